//! What waits on the local disk while the server is away: the end of a chain that has not arrived there yet.
//!
//! Rows are bound to their chain before they are written here, so that whoever changes them is found out when they are moved, and
//! none is moved twice: the server's row of the chain says how far it has come. New rows go behind those that wait until none does.
//! A process that ends before that leaves its file; whoever starts next in the same folder moves it.
//!
//! What does not go on where the server stands is set aside: kept, told of, and in nobody's way.

mod file;

use super::{
    Ledger,
    chain::{Row, note},
    chains::Chains,
};
use crate::{StoreError, secret::make_folder};
use file::{Moved, Spool};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

/// How often some of what waits is moved before new rows are seen to.
const MOVES: usize = 4;
/// How long after a failure nothing is moved, at first and at most: while it is tried calls wait for it.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Where records wait while the server is away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolAt {
    /// The folder of its files.
    pub folder: PathBuf,
    /// How much may wait, in bytes. With more, calls are refused.
    pub max_bytes: u64,
}

/// A chain on a server, with what waits for it.
#[derive(Debug)]
pub(super) struct Spooled {
    chains: Chains,
    at: SpoolAt,
    own: Spool,
    /// Those of processes that are gone, the oldest last.
    left: Vec<Spool>,
    /// When what waits is moved on, after a failure, and how long it was waited for that.
    again: Option<(Instant, Duration)>,
    /// How many records wait in all, for whoever asks.
    waiting: Arc<AtomicU64>,
}

impl Spooled {
    /// Begins our chain, and makes sure that there is a place for what may have to wait for it.
    pub(super) fn begin(mut chains: Chains, at: &SpoolAt, waiting: &Arc<AtomicU64>) -> Result<Self, StoreError> {
        make_folder(&at.folder)?;
        let chain = chains.own()?.number;
        let left = file::left_behind(&at.folder, chain)?;
        for spool in &left {
            tracing::info!(chain = spool.chain(), records = spool.records(), "records that a process left behind go to the audit log now");
        }
        let own = Spool::new(&at.folder, chain)?;
        let waiting = Arc::clone(waiting);
        let spooled = Self { chains, at: at.clone(), own, left, again: None, waiting };
        spooled.tell();
        Ok(spooled)
    }

    fn tell(&self) {
        let left: u64 = self.left.iter().map(Spool::records).sum();
        self.waiting.store(left + self.own.records(), Ordering::Relaxed);
    }

    /// Moves some of what waits, the oldest first.
    fn drain(&mut self) -> Result<(), StoreError> {
        for _ in 0..MOVES {
            let is_left = !self.left.is_empty();
            let spool = if let Some(left) = self.left.last_mut() { left } else { &mut self.own };
            if spool.records() == 0 {
                return Ok(());
            }
            match spool.move_some(&mut self.chains)? {
                Moved::Some => {}
                Moved::All => {
                    let chain = spool.chain();
                    if let Some(left) = self.left.pop_if(|_| is_left) {
                        left.remove();
                    }
                    tracing::info!(chain, place = self.chains.place(), "all records that waited are in the audit log");
                    if let Err(error) = self.chains.sign_for(chain) {
                        tracing::warn!(%error, chain, "a checkpoint of the audit log cannot be written");
                    }
                }
                Moved::Strange(why) => self.set_aside(is_left, &why)?,
            }
        }
        Ok(())
    }

    /// Keeps what cannot be moved where it is in nobody's way, and says so in the log.
    fn set_aside(&mut self, is_left: bool, why: &str) -> Result<(), StoreError> {
        let strange = match self.left.pop_if(|_| is_left) {
            Some(left) => left,
            None => {
                let fresh = self.chains.begin_anew()?.number;
                std::mem::replace(&mut self.own, Spool::new(&self.at.folder, fresh)?)
            }
        };
        let (chain, records) = (strange.chain(), strange.records());
        let file = strange.set_aside();
        tracing::error!(chain, records, file = %file.display(), "records that waited are not moved to the audit log: {why}; keep the file, and find out who changed what");
        let told = serde_json::json!({"chain": chain, "records": records, "reason": why});
        self.append(&mut [note(SystemTime::now(), "gap", "records set aside", &told)])
    }
}

impl Ledger for Spooled {
    fn place(&self) -> String {
        self.chains.place()
    }

    fn append(&mut self, rows: &mut [Row]) -> Result<(), StoreError> {
        if self.own.records() == 0 {
            // Of what is in doubt and waits nowhere it has to be known what became of it, before anything is bound behind it.
            self.chains.find_out()?;
            let mut kept = self.chains.append(rows);
            if kept.is_err() && !self.chains.is_away() {
                // It was away for no more than a moment: by now it is known how far the chain has come.
                kept = self.chains.append(rows);
            }
            let error = match kept {
                Err(error) if self.chains.is_away() => error,
                done => return done,
            };
            tracing::warn!(%error, file = %self.own.file().display(), "records wait on the local disk until the server is back");
        }
        let before = self.own.last().map_or_else(|| self.chains.own(), Ok)?;
        if self.own.chain() != before.number {
            // The server did not know the one that we had begun.
            let fresh = Spool::new(&self.at.folder, before.number)?;
            std::mem::replace(&mut self.own, fresh).remove();
        }
        let reached = self.chains.bind(before, rows);
        self.own.put(rows, reached, self.at.max_bytes)?;
        self.chains.leaves_it_open();
        self.tell();
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        // What waits is signed for when it has arrived.
        if self.own.records() > 0 { Ok(()) } else { self.chains.checkpoint() }
    }

    fn catch_up(&mut self) {
        let waits = self.own.records() > 0 || !self.left.is_empty();
        if !waits || self.again.is_some_and(|(at, _)| Instant::now() < at) || !self.chains.is_there() {
            return;
        }
        self.again = match self.drain() {
            Ok(()) => None,
            Err(error) => {
                let pause = self.again.map_or(FIRST_PAUSE, |(_, before)| (before * 2).min(MAX_PAUSE));
                tracing::warn!(%error, "records still wait on the local disk");
                Some((Instant::now() + pause, pause))
            }
        };
        self.tell();
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        let records = self.own.records();
        if records == 0 {
            self.own.remove();
        } else {
            let file = self.own.file();
            tracing::warn!(records, file = %file.display(), "records wait on the local disk: the next start moves them to the audit log");
        }
    }
}
