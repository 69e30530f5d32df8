//! What the names of another server become here: `server__tool`, in characters that every model's API accepts, and short
//! enough that a client may put its own prefix in front.

use std::collections::{HashMap, HashSet};

/// The most characters of a name. Models' APIs take 64; Claude Code puts `mcp__toolcrib__`, 15, in front.
const MAX_NAME: usize = 64 - 15;
/// How many of them are a digest, where there is one.
const DIGEST: usize = 11;
/// What stands between a prefix and a name.
pub const SEPARATOR: &str = "__";

/// Where the name that a server gave its tool stands in `_meta`, if the name here does not tell it.
pub const ORIGINAL: &str = "dev.toolcrib/original";

/// The names under which things of one server are offered, in the order of the names that the server gave them.
///
/// ```
/// use toolcrib_upstream::naming::offered;
///
/// assert_eq!(offered(Some("git"), &["git_status"]), ["git__git_status"]);
/// assert_eq!(offered(Some("my server"), &["a.b"]), ["my_server__a_b"]);
/// assert_eq!(offered(None, &["git_status"]), ["git_status"]);
/// ```
///
/// A name that is too long keeps its beginning and gets a digest of the whole. So does a name with characters that some
/// client refuses, where replacing them would make it equal to another. Each name depends on nothing but the set of names,
/// and no two become one.
#[must_use]
pub fn offered(prefix: Option<&str>, theirs: &[&str]) -> Vec<String> {
    let full: Vec<String> = theirs.iter().map(|name| full(prefix, name)).collect();
    let plain: Vec<String> = full.iter().map(|name| in_plain_characters(name)).collect();
    let mut claims: HashMap<&str, HashSet<&str>> = HashMap::new();
    for (plain, full) in plain.iter().zip(&full) {
        claims.entry(plain).or_default().insert(full);
    }
    let is_fine = |plain: &str, full: &str| plain.len() <= MAX_NAME && (plain == full || claims[plain].len() == 1);
    plain.iter().zip(&full).map(|(plain, full)| if is_fine(plain, full) { plain.clone() } else { with_digest(plain, full) }).collect()
}

/// What every name of a server with this prefix begins with.
#[must_use]
pub fn beginning(prefix: &str) -> String {
    let mut plain = in_plain_characters(&full(Some(prefix), ""));
    plain.truncate(MAX_NAME - DIGEST);
    plain
}

/// The whole name, however long and whatever its characters.
pub(crate) fn full(prefix: Option<&str>, theirs: &str) -> String {
    prefix.map_or_else(|| theirs.to_owned(), |prefix| format!("{prefix}{SEPARATOR}{theirs}"))
}

fn in_plain_characters(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect()
}

fn with_digest(plain: &str, full: &str) -> String {
    let digest = format!("_{:010x}", fnv1a(full.as_bytes()) & 0xff_ffff_ffff);
    format!("{}{digest}", &plain[..plain.len().min(MAX_NAME - DIGEST)])
}

/// FNV-1a, 64 bits: the same for ever. It keeps names apart; it guards nothing.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn long_names_are_short_stable_and_apart() {
        let (one, two) = ("a_tool_whose_name_goes_on_and_on_1", "a_tool_whose_name_goes_on_and_on_2");
        let names = offered(Some("a-server-with-a-long-name"), &[one, two]);
        assert_ne!(names[0], names[1]);
        assert_eq!(names[0].len(), MAX_NAME);
        assert_eq!(names[0], offered(Some("a-server-with-a-long-name"), &[one])[0], "whatever else there is");
        assert_eq!(names[0], "a-server-with-a-long-name__a_tool_whos_c5aa63844a");
    }

    #[test]
    fn names_that_would_become_one_stay_apart() {
        assert_eq!(offered(None, &["a_b", "a.b", "a/b"])[0], "a_b", "who needs no change keeps the name");
        let names = offered(None, &["a_b", "a.b", "a/b"]);
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), 3, "{names:?}");
        assert_eq!(offered(None, &["a.b"]), ["a_b"]);
        assert_eq!(offered(Some("größe"), &["läuft/gut?"]), ["gr__e__l_uft_gut_"]);
    }

    proptest! {
        #[test]
        fn every_client_accepts_every_name(prefix in proptest::option::of(".{1,60}"), theirs in proptest::collection::hash_set(".{0,80}", 1..40)) {
            let theirs: Vec<&str> = theirs.iter().map(String::as_str).collect();
            let names = offered(prefix.as_deref(), &theirs);
            prop_assert!(names.iter().all(|name| name.len() <= MAX_NAME && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))));
            prop_assert_eq!(names.iter().collect::<HashSet<_>>().len(), theirs.len());
            let begins = prefix.as_deref().map(beginning).unwrap_or_default();
            prop_assert!(names.iter().all(|name| name.starts_with(&begins)));
            let backwards: Vec<&str> = theirs.iter().rev().copied().collect();
            prop_assert_eq!(offered(prefix.as_deref(), &backwards), names.into_iter().rev().collect::<Vec<_>>());
        }
    }
}
