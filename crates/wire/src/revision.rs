//! The revisions of the protocol and their two eras.

use std::fmt;

/// A dated revision of the Model Context Protocol that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// 2024-11-05, the first.
    V2024_11_05,
    /// 2025-03-26: Streamable HTTP, and the only one with batches.
    V2025_03_26,
    /// 2025-06-18: structured results, elicitation, the version header.
    V2025_06_18,
    /// 2025-11-25, the last with sessions.
    V2025_11_25,
    /// 2026-07-28: stateless.
    V2026_07_28,
}

/// How a connection carries what both sides know about each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// `initialize` and a session; revisions up to 2025-11-25.
    Legacy,
    /// Stateless: every request says in `_meta` all that is needed; 2026-07-28.
    Modern,
}

impl Revision {
    /// All revisions, the newest first.
    pub const ALL: [Self; 5] = [Self::V2026_07_28, Self::V2025_11_25, Self::V2025_06_18, Self::V2025_03_26, Self::V2024_11_05];

    /// The newest legacy revision, offered to a client that asks `initialize` for something else.
    pub const NEWEST_LEGACY: Self = Self::V2025_11_25;

    /// The newest modern revision.
    pub const NEWEST_MODERN: Self = Self::V2026_07_28;

    /// The revision with this date, if we speak it.
    #[must_use]
    pub fn from_date(date: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|revision| revision.date() == date)
    }

    /// The date that names the revision on the wire.
    #[must_use]
    pub const fn date(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The era of the revision.
    #[must_use]
    pub const fn era(self) -> Era {
        match self {
            Self::V2026_07_28 => Era::Modern,
            _ => Era::Legacy,
        }
    }

    /// The revision that answers an `initialize` asking for `date`: the same if it is a legacy one that we speak,
    /// otherwise the newest legacy one. `initialize` is never answered with a modern revision, which has no sessions.
    #[must_use]
    pub fn negotiate(date: &str) -> Self {
        Self::from_date(date).filter(|revision| revision.era() == Era::Legacy).unwrap_or(Self::NEWEST_LEGACY)
    }

    /// Whether several messages may stand in one array.
    #[must_use]
    pub const fn has_batches(self) -> bool {
        matches!(self, Self::V2025_03_26)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.date())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initialize_is_never_answered_with_a_modern_revision() {
        for (asked, given) in [
            ("2024-11-05", "2024-11-05"),
            ("2025-06-18", "2025-06-18"),
            ("2026-07-28", "2025-11-25"),
            ("1999-01-01", "2025-11-25"),
            ("", "2025-11-25"),
        ] {
            assert_eq!(Revision::negotiate(asked).date(), given, "asked for {asked:?}");
        }
    }
}
