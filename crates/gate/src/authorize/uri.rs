//! URIs that can be written in one way only, so that a pattern means what it says.

/// Whether a URI is plain: no `.` or `..` among its segments, none empty, nothing encoded that need not be (RFC 3986, section 6.2),
/// and its scheme in lower case.
pub(super) fn is_plain(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let path = match path.strip_prefix("//") {
        Some(hierarchical) => hierarchical.split_once('/').map_or("", |(_, path)| path),
        None => path.trim_start_matches('/'),
    };
    let mut segments = path.split('/').peekable();
    let mut is_fine = true;
    while let Some(segment) = segments.next() {
        // The last may be empty: a folder.
        is_fine &= !matches!(segment, "." | "..") && (!segment.is_empty() || segments.peek().is_none());
    }
    is_fine && !path.contains('\\') && scheme.chars().all(|c| !c.is_ascii_uppercase()) && has_only_needed_escapes(rest)
}

fn has_only_needed_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/' | b'\\' | 0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_way_to_write_a_uri_is_plain() {
        for plain in [
            "file:///public/a.txt",
            "file:///public/",
            "note://a/b%20c",
            "urn:isbn:1",
            "test://x/{y}",
            "db://t?q=a/../b",
            "a:b",
            "x://host",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in [
            "file:///public/../secret/x",
            "file:///./secret/x",
            "file:////secret/x",
            "file:///%73ecret/x",
            "file:///public/%2e%2e/secret",
            "file:///public%2Fx",
            "FILE:///secret/x",
            "file:///a/..",
            "file:///a\\\\b",
            "file:///a%zz",
            "no scheme",
        ] {
            assert!(!is_plain(other), "{other}");
        }
    }
}
