//! URIs that can be written in one way only, so that a pattern means what it says.

/// Whether a URI is plain: no `.` or `..` among its segments, none empty; nothing encoded that need not be, and what has to be
/// in upper case; its scheme and host in lower case (RFC 3986, section 6.2).
pub(super) fn is_plain(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let (authority, path) = match rest.strip_prefix("//") {
        Some(hierarchical) => hierarchical.split_at(hierarchical.find(['/', '?', '#']).unwrap_or(hierarchical.len())),
        None => ("", rest),
    };
    let is_lower = |text: &str| text.chars().all(|c| !c.is_ascii_uppercase());
    let is_written_out = uri.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '\\' | '"' | '<' | '>' | '^' | '`' | '|'));
    // Some take `?` and `#` for parts of a path: dots are refused behind them, too.
    let has_dots = rest.split(['/', '?', '#']).any(|segment| matches!(segment, "." | ".."));
    let has_empty = path.split(['?', '#']).next().unwrap_or_default().contains("//");
    let is_alone = is_lower(scheme) && is_lower(authority) && !authority.contains('@');
    is_written_out && !has_dots && !has_empty && is_alone && has_only_needed_escapes(rest)
}

fn has_only_needed_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let digits = after.get(..2).filter(|digits| digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F')));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        // What may stand for itself does; a slash that is hidden in a segment is none that a pattern sees.
        byte.is_some_and(|byte| !byte.is_ascii_alphanumeric() && byte != 0 && !b"-._~/\\!$&'()*+,;=:@".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_way_to_write_a_uri_is_plain() {
        for plain in
            ["file:///public/a.txt", "file:///public/", "note://a/b%20c", "urn:isbn:1", "note:a/b", "db://t?q=a/b", "a:b", "x://host"]
        {
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
            "note:///%c3%a9",
            "note:///\u{e9}",
            "note:///a b",
            "note:///team%40hr",
            "https://INTERNAL.example/x",
            "https://a@internal.example/x",
            "file:///public/.\t./secret",
            "file:///public/x?/../../secret",
            "file:///public/x#/../secret",
            "note://./secret",
            "note://\tsecret",
            "no scheme",
        ] {
            assert!(!is_plain(other), "{other}");
        }
    }
}
