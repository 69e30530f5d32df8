//! What the names of another server become here: `server__tool`, in characters that every model's API accepts, and short
//! enough that a client may put its own prefix in front.

/// The most characters of a name. Models' APIs take 64; Claude Code puts `mcp__toolcrib__`, 15, in front.
const MAX_NAME: usize = 64 - 15;
/// What stands between the server and the tool.
const SEPARATOR: &str = "__";

/// Whether names carry that of their server in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prefix {
    /// Always: `server__tool`.
    #[default]
    Always,
    /// Never: two servers with the same name then clash.
    Never,
}

impl Prefix {
    /// The name under which a tool or prompt of a server is offered here.
    ///
    /// ```
    /// use toolcrib_upstream::Prefix;
    ///
    /// assert_eq!(Prefix::Always.name("git", "git_status"), "git__git_status");
    /// assert_eq!(Prefix::Always.name("my server", "a.b"), "my_server__a_b");
    /// assert_eq!(Prefix::Never.name("git", "git_status"), "git_status");
    /// ```
    ///
    /// A name that is too long keeps its beginning and gets a digest of the whole, so that it is always the same and
    /// two long names stay apart.
    #[must_use]
    pub fn name(self, server: &str, name: &str) -> String {
        match self {
            // Without a prefix the other server's name is passed on as it is.
            Self::Never => name.to_owned(),
            Self::Always => shortened(&format!("{server}{SEPARATOR}{name}")),
        }
    }
}

fn shortened(full: &str) -> String {
    let plain: String = full.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect();
    if plain.len() <= MAX_NAME {
        return plain;
    }
    let digest = format!("_{:08x}", fnv1a(full.as_bytes()));
    format!("{}{digest}", &plain[..MAX_NAME - digest.len()])
}

/// FNV-1a, 32 bits: short and the same for ever. It keeps names apart; it guards nothing.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_short_stable_and_apart() {
        let name = |tool: &str| Prefix::Always.name("a-server-with-a-long-name", tool);
        let (one, two) = (name("a_tool_whose_name_goes_on_and_on_1"), name("a_tool_whose_name_goes_on_and_on_2"));
        assert_ne!(one, two);
        assert_eq!(one.len(), MAX_NAME);
        assert_eq!(one, name("a_tool_whose_name_goes_on_and_on_1"));
        assert_eq!(one, "a-server-with-a-long-name__a_tool_whose__228357aa");
    }

    #[test]
    fn every_character_is_one_that_all_take() {
        let name = Prefix::Always.name("größe", "läuft/gut?");
        assert_eq!(name, "gr__e__l_uft_gut_");
    }
}
