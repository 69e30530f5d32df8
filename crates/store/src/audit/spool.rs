//! What waits on the local disk while the server is away: the end of a chain that has not arrived there yet.
//!
//! Rows are bound to their chain before they are written here, so that whoever changes them is found out when they are moved, and
//! none is moved twice: the server's row of the chain says how far it has come. New rows go behind those that wait until none does.
//! A process that ends before that leaves its file; whoever starts next in the same folder moves it.

use super::{
    Ledger,
    chain::{COLUMNS, Row},
    chains::{Chains, Own},
    file,
};
use crate::{
    StoreError,
    database::{Database, Failed, For, values},
    secret::make_folder,
};
use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The most rows that are moved together.
const BATCH: i64 = 1024;
/// How many of those are moved before new ones are seen to.
const BATCHES: usize = 4;

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
    own: Spool,
    max_bytes: u64,
    /// Those of processes that are gone.
    left: Vec<Spool>,
    /// How many records wait in all, for whoever asks.
    waiting: Arc<AtomicU64>,
}

/// A file of rows that wait, all of one chain.
#[derive(Debug)]
struct Spool {
    chain: i64,
    database: Database,
    /// The last row that waits, if there is one.
    last: Option<Own>,
    records: u64,
    /// Held for as long as the file is ours.
    lock: Lock,
}

/// A file that only one process holds.
#[derive(Debug)]
struct Lock {
    _file: File,
    path: PathBuf,
}

impl Spooled {
    /// Begins our chain, and makes sure that there is a place for what may have to wait for it.
    pub(super) fn begin(mut chains: Chains, at: &SpoolAt, waiting: &Arc<AtomicU64>) -> Result<Self, StoreError> {
        make_folder(&at.folder)?;
        let left = left_behind(&at.folder)?;
        let chain = chains.own()?.number;
        let lock = path(&at.folder, chain, "lock");
        let held = StoreError::Database { place: lock.display().to_string(), reason: "another process holds it".into() };
        let own = Spool::open(Lock::take(lock, true)?.ok_or(held)?, chain)?;
        for spool in &left {
            tracing::info!(chain = spool.chain, records = spool.records, "records that a process left behind go to the audit log now");
        }
        let spooled = Self { chains, own, max_bytes: at.max_bytes, left, waiting: Arc::clone(waiting) };
        spooled.tell();
        Ok(spooled)
    }

    fn tell(&self) {
        let left: u64 = self.left.iter().map(|spool| spool.records).sum();
        self.waiting.store(left + self.own.records, Ordering::Relaxed);
    }

    /// Moves some of what waits.
    fn drain(&mut self) -> Result<(), StoreError> {
        for _ in 0..BATCHES {
            let Some(spool) = self.left.last_mut().or((self.own.records > 0).then_some(&mut self.own)) else { break };
            spool.move_some(&mut self.chains)?;
            if spool.records > 0 {
                continue;
            }
            let chain = spool.chain;
            tracing::info!(chain, place = self.chains.place(), "all records that waited are in the audit log");
            self.chains.sign_for(chain)?;
            if let Some(left) = self.left.pop_if(|left| left.chain == chain) {
                left.remove();
            }
        }
        Ok(())
    }
}

impl Ledger for Spooled {
    fn place(&self) -> String {
        self.chains.place()
    }

    fn append(&mut self, rows: &mut [Row]) -> Result<(), StoreError> {
        if self.own.records == 0 {
            let mut kept = self.chains.append(rows);
            if kept.is_err() && !self.chains.is_away() {
                // It was away for no more than a moment: by now it is known how far the chain has come.
                kept = self.chains.append(rows);
            }
            let error = match kept {
                Err(error) if self.chains.is_away() => error,
                done => return done,
            };
            tracing::warn!(%error, folder = %self.own.lock.path.with_extension("db").display(), "records wait on the local disk until the server is back");
        }
        let before = self.own.last.map_or_else(|| self.chains.own(), Ok)?;
        let reached = self.chains.bind(before, rows);
        self.own.put(rows, reached, self.max_bytes)?;
        self.tell();
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        // What waits is signed for when it has arrived.
        if self.own.records > 0 { Ok(()) } else { self.chains.checkpoint() }
    }

    fn catch_up(&mut self) {
        if self.own.records == 0 && self.left.is_empty() || !self.chains.is_there() {
            return;
        }
        if let Err(error) = self.drain() {
            tracing::warn!(%error, "records still wait on the local disk");
        }
        self.tell();
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        if self.own.records == 0 {
            self.own.remove();
        } else {
            tracing::warn!(
                records = self.own.records,
                file = %self.own.lock.path.with_extension("db").display(),
                "records wait on the local disk: the next start moves them to the audit log"
            );
        }
    }
}

impl Spool {
    fn open(lock: Lock, chain: i64) -> Result<Self, StoreError> {
        let mut database = Database::open(&lock.path.with_extension("db"))?;
        let (records, last) = database.read(|it| {
            let records = it.first("SELECT count(*) FROM audit", &[])?.ok_or(Failed::OddValue)?.integer(0)?.unsigned_abs();
            let last = it.first("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", &[])?;
            let last = last.map(|row| Ok::<_, Failed>(Own { number: chain, link: row.integer(0)?, hash: row.bytes(1)? }));
            Ok((records, last.transpose()?))
        })?;
        Ok(Self { chain, database, last, records, lock })
    }

    /// Adds rows that are bound to the last one, which `reached` is then.
    fn put(&mut self, rows: &[Row], reached: Own, max_bytes: u64) -> Result<(), StoreError> {
        let max_bytes = i64::try_from(max_bytes).unwrap_or(i64::MAX);
        self.database.transaction(For::Writing, |it| {
            if file::size_bytes(it)? >= max_bytes {
                return Err(Failed::Odd("no more may wait there, as \"storage.spoolMaxBytes\" says, and the server is away".into()));
            }
            file::put_in(it, rows)
        })?;
        (self.last, self.records) = (Some(reached), self.records + rows.len() as u64);
        Ok(())
    }

    /// Moves the first of what waits to where its chain is.
    fn move_some(&mut self, chains: &mut Chains) -> Result<(), StoreError> {
        let arrived = chains.found(self.chain)?;
        let query = format!("SELECT {}, hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2", COLUMNS.join(", "));
        let read = self.database.read(|it| it.query(&query, &values![arrived.link, BATCH]))?;
        let rows: Option<Vec<Row>> = read.into_iter().map(|row| Row::read(row.0)).collect();
        let Some((reached, rows)) = rows.and_then(|rows| Some((chains.following(arrived, &rows)?, rows))) else {
            return Err(StoreError::Database {
                place: self.database.place(),
                reason: format!(
                    "what waits there is not what was written behind record {} of chain {}: it is not moved; keep the file, and find out who changed it",
                    arrived.link, self.chain
                ),
            });
        };
        if !rows.is_empty() {
            chains.put(arrived, reached, &rows)?;
        }
        self.database.run(|it| it.execute("DELETE FROM audit WHERE seq <= $1", &values![reached.link]).map(drop))?;
        self.records = self.records.saturating_sub(rows.len() as u64);
        let is_over = self.database.read(|it| it.first("SELECT 1 FROM audit LIMIT 1", &[]))?.is_none();
        if is_over {
            (self.records, self.last) = (0, None);
            self.database.run(|it| it.query("PRAGMA incremental_vacuum", &[]).map(drop))?;
            chains.goes_on_from(reached);
        }
        Ok(())
    }

    /// Takes the file away: nothing waits in it.
    fn remove(&self) {
        let database = self.lock.path.with_extension("db");
        let gone = ["db-wal", "db-shm"].map(|kind| self.lock.path.with_extension(kind)).iter().chain([&database, &self.lock.path]).try_for_each(
            |path| match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        );
        if let Err(error) = gone {
            tracing::warn!(%error, file = %database.display(), "an empty file cannot be taken away");
        }
    }
}

impl Lock {
    /// Takes it, unless another process has it.
    fn take(path: PathBuf, is_new: bool) -> Result<Option<Self>, StoreError> {
        let failed = |source| StoreError::File { path: path.clone(), source };
        let file = File::options().write(true).create(is_new).mode(0o600).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file, path })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

fn path(folder: &Path, chain: i64, kind: &str) -> PathBuf {
    folder.join(format!("spool-{chain}.{kind}"))
}

/// What processes that are gone could not move any more, the oldest last.
fn left_behind(folder: &Path) -> Result<Vec<Spool>, StoreError> {
    let failed = |source| StoreError::File { path: folder.to_owned(), source };
    let mut chains = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let chain = name.to_str().and_then(|name| name.strip_prefix("spool-")?.strip_suffix(".lock")?.parse::<i64>().ok());
        chains.extend(chain);
    }
    chains.sort_unstable_by(|one, other| other.cmp(one));
    let mut left = Vec::new();
    for chain in chains {
        // What another process holds is its own.
        let Some(lock) = Lock::take(path(folder, chain, "lock"), false)? else { continue };
        let spool = Spool::open(lock, chain)?;
        if spool.records == 0 {
            spool.remove();
        } else {
            left.push(spool);
        }
    }
    Ok(left)
}
