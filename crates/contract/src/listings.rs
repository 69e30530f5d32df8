//! What other servers had when they were last listed.

use crate::Json;
use std::fmt;

/// Keeps what servers listed last, for those that are started only when they are called.
pub trait Listings: Send + Sync + fmt::Debug {
    /// The latest lists of a server, if it was defined then as it is now.
    fn last(&self, server: &str, defined_as: &str) -> Option<Json>;

    /// Keeps these lists in place of earlier ones. What cannot be kept is only missed the next time.
    fn keep(&self, server: &str, defined_as: &str, lists: &Json);
}
