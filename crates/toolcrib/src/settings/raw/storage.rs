//! What was written about what replicas share.

use super::Reader;
use crate::settings::document::{Node, Spanned};

/// The block `storage`.
#[derive(Debug)]
pub(in crate::settings) struct Storage {
    pub(in crate::settings) database: Option<Spanned<String>>,
    pub(in crate::settings) key: Option<Spanned<String>>,
    pub(in crate::settings) replica: Option<Spanned<String>>,
    pub(in crate::settings) shared: Vec<Spanned<String>>,
    /// Whether `shared` was a list.
    pub(in crate::settings) is_cluster: bool,
    pub(in crate::settings) shared_ca_file: Option<Spanned<String>>,
    pub(in crate::settings) on_shared_loss: Option<Spanned<String>>,
    pub(in crate::settings) advertise: Option<Spanned<String>>,
    pub(in crate::settings) spool_max_bytes: Option<Spanned<usize>>,
}

const STORAGE: &[&str] = &["database", "key", "replica", "shared", "sharedCaFile", "onSharedLoss", "advertise", "spoolMaxBytes"];

impl Reader<'_> {
    pub(super) fn storage(&mut self, node: &Node<'_>) -> Storage {
        let mut storage = Storage {
            database: None,
            key: None,
            replica: None,
            shared: Vec::new(),
            is_cluster: false,
            shared_ca_file: None,
            on_shared_loss: None,
            advertise: None,
            spool_max_bytes: None,
        };
        let entries = node.entries(self.faults);
        // What is there and cannot be read is told of as such.
        let is_missing = |needed: &str| entries.iter().all(|(key, _)| key != needed);
        if is_missing("database") {
            self.faults.add(node.fault("\"database\" is needed"));
        }
        if is_missing("key") {
            let told = "\"key\" is needed: the secret that all replicas have, from a variable or file; `openssl rand -hex 32` makes one";
            self.faults.add(node.fault(told));
        }
        for (key, node) in entries {
            match key.as_str() {
                "database" => storage.database = self.text(&node),
                "key" => storage.key = self.text(&node),
                "replica" => storage.replica = self.text(&node),
                "shared" if node.is_sequence() => {
                    storage.is_cluster = true;
                    storage.shared = self.list(&node);
                    if storage.shared.is_empty() {
                        self.faults.add(node.fault("of a cluster at least one node is needed"));
                    }
                }
                "shared" => storage.shared.extend(self.text(&node)),
                "sharedCaFile" => storage.shared_ca_file = self.text(&node),
                "onSharedLoss" => storage.on_shared_loss = self.text(&node),
                "spoolMaxBytes" => storage.spool_max_bytes = node.scalar("a number of bytes", self.faults),
                "advertise" => storage.advertise = self.text(&node),
                _ => self.faults.add(node.unknown(&key, STORAGE)),
            }
        }
        storage
    }
}
