//! The latest records, in memory.

use crossbeam_queue::ArrayQueue;
use toolcrib_contract::{AuditLog, Kept, Record};

/// Keeps the latest records in memory and forgets the oldest. Takes no lock.
///
/// ```
/// use toolcrib_store::Recent;
///
/// let recent = Recent::new(1000);
/// assert!(recent.take().is_empty());
/// ```
#[derive(Debug)]
pub struct Recent {
    records: ArrayQueue<Record>,
}

impl Recent {
    /// Room for this many records, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { records: ArrayQueue::new(capacity.max(1)) }
    }

    /// Takes out all records that are kept, the oldest first.
    #[must_use]
    pub fn take(&self) -> Vec<Record> {
        std::iter::from_fn(|| self.records.pop()).collect()
    }
}

impl AuditLog for Recent {
    fn keep(&self, record: Record) -> Kept {
        // The oldest record makes room; that it is lost is the meaning of "recent".
        drop(self.records.force_push(record));
        None
    }
}
