//! A file of rows that wait, all of one chain, and the lock that says whose it is.

use crate::{
    StoreError,
    audit::{
        chain::{COLUMNS, Hash, Row},
        chains::{Chains, Own},
        file::{put_in, size_bytes},
    },
    database::{Database, Failed, For, values},
    times::millis,
};
use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

/// The most rows that are moved together, and about how many bytes.
const MOVED_ROWS: i64 = 1024;
const MOVED_BYTES: i64 = 4 << 20;
/// What a row takes besides its arguments, in bytes, roughly.
const ROW_BYTES: i64 = 512;

/// What became of moving some rows.
pub(super) enum Moved {
    Some,
    /// Nothing waits any more.
    All,
    /// They do not go on where the server stands, for this reason.
    Strange(String),
}

#[derive(Debug)]
pub(super) struct Spool {
    chain: i64,
    database: Database,
    /// The last row that waits, if there is one.
    last: Option<Own>,
    records: u64,
    /// Whether something found no room: then nothing does until some of it has been moved, or what is small would be kept and what is
    /// large not.
    is_full: bool,
    lock: Lock,
}

impl Spool {
    /// Makes the file of a chain that has just begun.
    pub(super) fn new(folder: &Path, chain: i64) -> Result<Self, StoreError> {
        const TRIES: usize = 100;
        let path = path(folder, chain, "lock");
        for _ in 0..TRIES {
            if let Some(lock) = Lock::take(path.clone())? {
                return Self::open(lock, chain);
            }
            // Another process that starts looks whether anything waits there.
            thread::sleep(Duration::from_millis(20));
        }
        Err(StoreError::Database { place: path.display().to_string(), reason: "another process holds it".into() })
    }

    fn open(lock: Lock, chain: i64) -> Result<Self, StoreError> {
        let mut database = Database::open(&lock.path.with_extension("db"))?;
        let (records, last) = database.read(|it| {
            let records = it.first("SELECT count(*) FROM audit", &[])?.ok_or(Failed::OddValue)?.integer(0)?.unsigned_abs();
            let last = it.first("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", &[])?;
            let last = last.map(|row| Ok::<_, Failed>(Own { number: chain, link: row.integer(0)?, hash: row.bytes(1)? }));
            Ok((records, last.transpose()?))
        })?;
        Ok(Self { chain, database, last, records, is_full: false, lock })
    }

    pub(super) fn chain(&self) -> i64 {
        self.chain
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn last(&self) -> Option<Own> {
        self.last
    }

    pub(super) fn file(&self) -> PathBuf {
        self.lock.path.with_extension("db")
    }

    /// Adds rows that are bound to the last one, which `reached` is then.
    pub(super) fn put(&mut self, rows: &[Row], reached: Own, max_bytes: u64) -> Result<(), StoreError> {
        let max_bytes = i64::try_from(max_bytes).unwrap_or(i64::MAX);
        let more: usize = rows.iter().map(Row::size_bytes).sum();
        self.is_full &= self.records > 0;
        let Self { database, is_full, records, .. } = self;
        database.transaction(For::Writing, |it| {
            if *records == 0 {
                // What has arrived and could not be taken away then.
                it.execute("DELETE FROM audit", &[])?;
            }
            *is_full |= size_bytes(it)?.saturating_add_unsigned(more as u64) > max_bytes;
            if *is_full {
                return Err(Failed::Odd("no more may wait there, as \"storage.spoolMaxBytes\" says, and the server is away".into()));
            }
            put_in(it, rows)
        })?;
        (self.last, self.records) = (Some(reached), self.records + rows.len() as u64);
        Ok(())
    }

    /// Moves the first of what waits to where its chain is.
    pub(super) fn move_some(&mut self, chains: &mut Chains) -> Result<Moved, StoreError> {
        let Some(arrived) = chains.known(self.chain)? else {
            return Ok(Moved::Strange("the server knows no such chain: it is another database, or an older state of it".into()));
        };
        let strange = || Ok(Moved::Strange(format!("they are not what was written behind record {} of their chain", arrived.link)));
        let read = self.row_before(arrived.link).and_then(|before| Ok((before, self.rows_behind(arrived.link)?)));
        let (before, rows) = match read {
            Err(error @ (StoreError::Damaged { .. } | StoreError::OddValue { .. })) => return Ok(Moved::Strange(error.to_string())),
            read => read?,
        };
        if let Some((link, hash)) = before
            && chains.hash_of(self.chain, link)?.is_some_and(|there| there != hash)
        {
            return strange();
        }
        let Some(reached) = chains.following(arrived, &rows) else { return strange() };
        if !rows.is_empty() {
            chains.put_on(arrived, reached, &rows)?;
        }
        let is_over = self.last.is_none_or(|last| last.link <= reached.link);
        if rows.is_empty() && !is_over {
            // What was to come next is not there any more.
            return strange();
        }
        self.records = if is_over { 0 } else { self.records.saturating_sub(rows.len() as u64) };
        if is_over {
            self.last = None;
            chains.goes_on_from(reached);
        }
        self.is_full = false;
        // What has arrived is known by its link: what stays here for want of room does no harm.
        if let Err(error) = self.forget_up_to(reached.link) {
            tracing::warn!(%error, "records that have been moved to the audit log stay on the local disk, too");
        }
        Ok(if is_over { Moved::All } else { Moved::Some })
    }

    /// The last row that the server should have already.
    fn row_before(&mut self, link: i64) -> Result<Option<(i64, Hash)>, StoreError> {
        let query = "SELECT seq, hash FROM audit WHERE seq <= $1 ORDER BY seq DESC LIMIT 1";
        self.database.read(|it| it.first(query, &values![link])?.map(|row| Ok((row.integer(0)?, row.bytes(1)?))).transpose())
    }

    /// The next rows, as many as are moved together.
    fn rows_behind(&mut self, link: i64) -> Result<Vec<Row>, StoreError> {
        let how_many = "SELECT count(*) FROM (SELECT sum(length(coalesce(arguments, '')) + $2) OVER (ORDER BY seq) AS bytes
            FROM audit WHERE seq > $1 ORDER BY seq LIMIT $3) WHERE bytes <= $4";
        let query = format!("SELECT {}, hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2", COLUMNS.join(", "));
        self.database.read(|it| {
            let count = it.first(how_many, &values![link, ROW_BYTES, MOVED_ROWS, MOVED_BYTES])?.ok_or(Failed::OddValue)?.integer(0)?;
            let rows = it.query(&query, &values![link, count.max(1)])?;
            rows.into_iter().map(|row| Row::read(row.0).ok_or(Failed::OddValue)).collect()
        })
    }

    fn forget_up_to(&mut self, link: i64) -> Result<(), StoreError> {
        self.database.run(|it| {
            it.execute("DELETE FROM audit WHERE seq <= $1", &values![link])?;
            it.query("PRAGMA incremental_vacuum", &[]).map(drop)
        })
    }

    /// Takes the file away: nothing waits in it.
    pub(super) fn remove(&self) {
        let kinds = ["db-wal", "db-shm", "db", "lock"].map(|kind| self.lock.path.with_extension(kind));
        let gone = kinds.iter().try_for_each(|path| match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        });
        if let Err(error) = gone {
            tracing::warn!(%error, file = %self.file().display(), "an empty file cannot be taken away");
        }
    }

    /// Gives the file a name under which nobody looks for what waits, and says which.
    pub(super) fn set_aside(self) -> PathBuf {
        let (file, Self { chain, mut database, lock, .. }) = (self.file(), self);
        // Whoever closes it last brings all of it into one file, and whoever does not may do so now.
        if let Err(error) = database.run(|it| it.query("PRAGMA wal_checkpoint(TRUNCATE)", &[]).map(drop)) {
            tracing::warn!(%error, "a file is set aside in two parts");
        }
        drop(database);
        let aside = file.with_file_name(format!("aside-{chain}-{}.db", millis(SystemTime::now())));
        let rest = |of: &Path| of.with_extension("db-wal");
        let moved = fs::rename(&file, &aside).and_then(|()| match fs::rename(rest(&file), rest(&aside)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::remove_file(&lock.path),
        });
        if let Err(error) = moved {
            tracing::error!(%error, file = %file.display(), "a file cannot be set aside");
            return file;
        }
        aside
    }
}

/// A file that only one process holds.
#[derive(Debug)]
struct Lock {
    _file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes it, unless another process has it.
    fn take(path: PathBuf) -> Result<Option<Self>, StoreError> {
        let failed = |source| StoreError::File { path: path.clone(), source };
        loop {
            let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            // Whoever had it before may have taken the file away meanwhile: then this is the lock of nothing.
            let ours = file.metadata().map_err(failed)?;
            if fs::metadata(&path).is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
                return Ok(Some(Self { _file: file, path }));
            }
        }
    }
}

fn path(folder: &Path, chain: i64, kind: &str) -> PathBuf {
    folder.join(format!("spool-{chain}.{kind}"))
}

/// What processes that are gone could not move any more, the oldest last. `own` is the chain that has just begun: none is newer.
pub(super) fn left_behind(folder: &Path, own: i64) -> Result<Vec<Spool>, StoreError> {
    let failed = |source| StoreError::File { path: folder.to_owned(), source };
    let mut chains = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let chain = name.to_str().and_then(|name| {
            let rest = name.strip_prefix("spool-")?;
            rest.strip_suffix(".lock").or_else(|| rest.strip_suffix(".db"))?.parse::<i64>().ok()
        });
        chains.extend(chain);
    }
    let mut left = Vec::new();
    for chain in chains.into_iter().rev() {
        let opened = Lock::take(path(folder, chain, "lock")).and_then(|lock| lock.map(|lock| Spool::open(lock, chain)).transpose());
        match opened {
            // What another process holds is its own.
            Ok(None) => {}
            Ok(Some(spool)) if spool.records == 0 => spool.remove(),
            Ok(Some(spool)) if chain >= own => {
                let (records, file) = (spool.records, spool.set_aside());
                tracing::error!(chain, records, file = %file.display(), "records of another database waited here: they are kept, and not moved");
            }
            Ok(Some(spool)) => left.push(spool),
            Err(error) => tracing::error!(%error, chain, "records that a process left behind cannot be read"),
        }
    }
    Ok(left)
}
