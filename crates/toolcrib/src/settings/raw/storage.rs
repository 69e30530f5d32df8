//! What was written about what replicas share.

use super::Reader;
use crate::settings::document::{Node, Spanned};

/// The block `storage`.
#[derive(Debug)]
pub(in crate::settings) struct Storage {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) database: Option<Spanned<String>>,
    pub(in crate::settings) key: Option<Spanned<String>>,
    pub(in crate::settings) replica: Option<Spanned<String>>,
}

const STORAGE: &[&str] = &["database", "key", "replica"];

impl Reader<'_> {
    pub(super) fn storage(&mut self, node: &Node<'_>) -> Storage {
        let mut storage = Storage { place: node.place(), database: None, key: None, replica: None };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "database" => storage.database = self.text(&node),
                "key" => storage.key = self.text(&node),
                "replica" => storage.replica = self.text(&node),
                _ => self.faults.add(node.unknown(&key, STORAGE)),
            }
        }
        storage
    }
}
