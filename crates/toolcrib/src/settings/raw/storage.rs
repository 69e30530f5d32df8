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
    pub(in crate::settings) shared: Option<Spanned<String>>,
    pub(in crate::settings) shared_ca_file: Option<Spanned<String>>,
    pub(in crate::settings) on_shared_loss: Option<Spanned<String>>,
    pub(in crate::settings) advertise: Option<Spanned<String>>,
}

const STORAGE: &[&str] = &["database", "key", "replica", "shared", "sharedCaFile", "onSharedLoss", "advertise"];

impl Reader<'_> {
    pub(super) fn storage(&mut self, node: &Node<'_>) -> Storage {
        let mut storage = Storage {
            place: node.place(),
            database: None,
            key: None,
            replica: None,
            shared: None,
            shared_ca_file: None,
            on_shared_loss: None,
            advertise: None,
        };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "database" => storage.database = self.text(&node),
                "key" => storage.key = self.text(&node),
                "replica" => storage.replica = self.text(&node),
                "shared" => storage.shared = self.text(&node),
                "sharedCaFile" => storage.shared_ca_file = self.text(&node),
                "onSharedLoss" => storage.on_shared_loss = self.text(&node),
                "advertise" => storage.advertise = self.text(&node),
                _ => self.faults.add(node.unknown(&key, STORAGE)),
            }
        }
        storage
    }
}
