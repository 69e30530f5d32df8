//! The log in a file: one chain, whichever process writes.

use super::{
    Ledger, Policy,
    chain::{self, COLUMNS, Hash, Kind, ORIGIN, Row, signed},
    verify::{self, Broken, Rows, Verdict},
};
use crate::{
    StoreError,
    database::{Database, Failed, For, Sql, Value, file::strangers, values},
    secret::Master,
    times::millis,
};
use std::{
    sync::{Arc, LazyLock},
    time::SystemTime,
};

/// Puts a row in: its values in the order of [`Row::values`].
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let places: Vec<String> = (1..=COLUMNS.len() + 1).map(|number| format!("${number}")).collect();
    format!("INSERT INTO audit ({}, hash) VALUES ({})", COLUMNS.join(", "), places.join(", "))
});

/// What came of looking for old records.
enum Pruned {
    Nothing,
    /// So many were taken out, up to this one.
    Up(u64, i64),
    /// The log is not what was written.
    Broken(Broken),
    /// Somebody added to the file.
    Strangers(String),
}

/// The chain of a file.
#[derive(Debug)]
pub(super) struct OneChain {
    pub(super) database: Database,
    pub(super) master: Arc<Master>,
}

impl Ledger for OneChain {
    fn place(&self) -> String {
        self.database.place()
    }

    fn append(&mut self, rows: &mut [Row]) -> Result<(), StoreError> {
        let key = &self.master.chain;
        self.database.transaction(For::Writing, |it| {
            let (mut seq, mut hash) = head(it)?;
            for row in &mut *rows {
                seq = seq.checked_add(1).ok_or_else(|| Failed::Odd("its numbers are used up".into()))?;
                hash = row.bind(seq, &hash, key);
            }
            put_in(it, rows)
        })
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let master = &self.master;
        self.database.transaction(For::Writing, |it| {
            let (seq, hash) = head(it)?;
            sign(it, master, Kind::Head, seq, &hash)
        })
    }

    /// The last row that goes leaves a signed checkpoint, with which the chain begins from then on.
    fn prune(&mut self, policy: &Policy, now: SystemTime) -> Result<(), StoreError> {
        let master = &self.master;
        let pruned = self.database.transaction(For::Writing, |it| prune(it, master, policy, now))?;
        match pruned {
            Pruned::Nothing => return Ok(()),
            Pruned::Broken(broken) => {
                tracing::error!(%broken, "the audit log was changed, so nothing is taken out of it: `toolcrib audit verify`");
                return Ok(());
            }
            Pruned::Strangers(strangers) => {
                tracing::error!(strangers, "somebody added to the database of the audit log, so nothing is taken out of it");
                return Ok(());
            }
            Pruned::Up(records, cut) => {
                self.append(&mut [chain::taken_out(now, records, cut)])?;
                tracing::info!(records, "old records were taken out of the audit log, as its retention says");
            }
        }
        self.database.run(|it| it.query("PRAGMA incremental_vacuum", &[]).map(drop))
    }
}

/// Puts bound rows into the file.
pub(super) fn put_in(it: &mut dyn Sql, rows: &[Row]) -> Result<(), Failed> {
    let values: Vec<&[Value]> = rows.iter().map(Row::values).collect();
    match it.execute_all(&INSERT, &values)? {
        changed if changed == values.len() as u64 => Ok(()),
        changed => Err(Failed::Odd(format!("of {} records it took {changed}", values.len()))),
    }
}

/// How large the file is, in bytes, but for what is free in it.
pub(super) fn size_bytes(it: &mut dyn Sql) -> Result<i64, Failed> {
    let mut size = |name: &str| it.first(&format!("PRAGMA {name}"), &[])?.ok_or(Failed::OddValue)?.integer(0);
    Ok((size("page_count")? - size("freelist_count")?) * size("page_size")?)
}

fn prune(it: &mut dyn Sql, master: &Master, policy: &Policy, now: SystemTime) -> Result<Pruned, Failed> {
    let number = |it: &mut dyn Sql, query: &str, value: i64| it.first(query, &values![value])?.map_or(Ok(None), |row| row.some_integer(0));
    let Some(first) = number(it, "SELECT min(seq) FROM audit WHERE seq > $1", 0)? else { return Ok(Pruned::Nothing) };
    let too_old = match policy.max_age {
        // Up to the first that is young: records of long calls come after younger ones.
        Some(age) => {
            let query = "SELECT coalesce((SELECT min(seq) FROM audit WHERE at_ms >= $1), (SELECT max(seq) + 1 FROM audit)) - 1";
            number(it, query, now.checked_sub(age).map_or(0, millis))?
        }
        None => None,
    };
    let too_much = match policy.max_bytes {
        Some(limit) if size_bytes(it)? > i64::try_from(limit).unwrap_or(i64::MAX) => {
            number(it, "SELECT min(seq) + (max(seq) - min(seq)) / $1 FROM audit", 10)?
        }
        _ => None,
    };
    let head = head(it)?.0;
    // The last record stays: the next one is bound to it.
    let cut = too_old.max(too_much).map(|cut| cut.min(head - 1)).filter(|cut| *cut >= first);
    let Some(cut) = cut else { return Ok(Pruned::Nothing) };
    // What is taken out is signed for: only what is as it was written.
    let hash = match verify::walk(it, &ROWS, master, Some(cut), &mut Verdict::of(master))? {
        Ok((_, hash)) => hash,
        Err(broken) => return Ok(Pruned::Broken(broken)),
    };
    if let Some(strangers) = strangers(it)? {
        return Ok(Pruned::Strangers(strangers));
    }
    sign(it, master, Kind::Cut, cut, &hash)?;
    let gone = it.execute("DELETE FROM audit WHERE seq <= $1", &values![cut])?;
    it.execute("DELETE FROM checkpoint WHERE seq < $1", &values![cut])?;
    Ok(Pruned::Up(gone, cut))
}

/// The number and hash of the last row; of the last one that was taken out, where there is none.
fn head(it: &mut dyn Sql) -> Result<(i64, Hash), Failed> {
    for query in ["SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", "SELECT seq, hash FROM checkpoint ORDER BY seq DESC LIMIT 1"] {
        if let Some(row) = it.first(query, &[])? {
            return Ok((row.integer(0)?, row.bytes(1)?));
        }
    }
    Ok((0, ORIGIN))
}

fn sign(it: &mut dyn Sql, master: &Master, kind: Kind, seq: i64, hash: &Hash) -> Result<(), Failed> {
    let at_ms = millis(SystemTime::now());
    let signature = master.signer.sign(&signed(kind, seq, at_ms, hash));
    let insert = "INSERT OR REPLACE INTO checkpoint (seq, kind, at_ms, hash, signature) VALUES ($1, $2, $3, $4, $5)";
    it.execute(insert, &values![seq, kind.name(), at_ms, hash.as_slice(), signature.as_ref()]).map(drop)
}

static ROWS: LazyLock<Rows> = LazyLock::new(|| Rows {
    rows: format!("SELECT {}, hash, seq FROM audit WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT 1000", COLUMNS.join(", ")),
    checkpoints: "SELECT seq, at_ms, hash, signature, kind FROM checkpoint WHERE seq <= $1 ORDER BY seq".to_owned(),
    origin: ORIGIN,
    // The last record is never taken out.
    may_be_empty: false,
});

/// Checks the whole chain.
pub(super) fn verify(database: &mut Database, master: &Master) -> Result<Verdict, StoreError> {
    let mut verdict = Verdict::of(master);
    // One view of the file, whatever is written meanwhile.
    let walked = database.view(|it| {
        verdict = Verdict::of(master);
        let walked = verify::walk(it, &ROWS, master, None, &mut verdict)?;
        let all = it.first("SELECT count(*) FROM audit", &[])?.ok_or(Failed::OddValue)?.integer(0)?.unsigned_abs();
        Ok(walked.err().or((all > verdict.records).then(|| Broken::Strangers(all - verdict.records))))
    });
    verdict.broken = match walked {
        Ok(broken) => broken,
        Err(StoreError::Damaged { reason, .. }) => Some(Broken::Unreadable(reason)),
        Err(StoreError::OddValue { .. }) => Some(Broken::Unreadable(Failed::OddValue.to_string())),
        Err(other) => return Err(other),
    };
    Ok(verdict)
}
