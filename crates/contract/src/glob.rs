//! Names by pattern, as people write them in a config.

use std::fmt;
use wildmatch::WildMatch;

/// Patterns of names: `*` stands for any characters, `?` for one.
///
/// ```
/// use toolcrib_contract::Globs;
///
/// let globs = Globs::new(["git__*", "calculator"]);
/// assert!(globs.include("git__log") && globs.include("calculator"));
/// assert!(!globs.include("calculator2") && !Globs::default().include("calculator"));
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Globs(Vec<WildMatch>);

impl Globs {
    /// These patterns. A name needs to match one of them.
    #[must_use]
    pub fn new<P: AsRef<str>>(patterns: impl IntoIterator<Item = P>) -> Self {
        Self(patterns.into_iter().map(|pattern| WildMatch::new(pattern.as_ref())).collect())
    }

    /// Whether one of the patterns matches. No patterns match nothing.
    #[must_use]
    pub fn include(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether one of the patterns is this very name.
    ///
    /// ```
    /// use toolcrib_contract::Globs;
    ///
    /// assert!(Globs::new(["a*", "ab"]).name("ab") && !Globs::new(["a*", "*"]).name("ab"));
    /// ```
    #[must_use]
    pub fn name(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name) && !pattern.to_string().contains(['*', '?']))
    }

    /// The patterns that match none of these names: most likely misspelt.
    pub fn without_match<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = String> + 'a {
        self.0.iter().filter(|pattern| !names.iter().any(|name| pattern.matches(name))).map(ToString::to_string)
    }
}

impl fmt::Debug for Globs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(ToString::to_string)).finish()
    }
}
