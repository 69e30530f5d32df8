//! The log on a server: a chain for each replica, so that none waits for another, and all of them in one table, by the day on which
//! they were kept.
//!
//! A replica begins a chain when it first has something to keep. Its number, time and name are bound to the chain that was begun
//! before, and its first row to them: a chain that is taken out whole is missed by the next. The row of a chain says how far it has come,
//! in the same transaction as what it keeps: whoever finds it elsewhere has company, and writes nothing.

use super::{
    Ledger, Policy,
    chain::{self, COLUMNS, Hash, Kind, ORIGIN, Row, signed},
    verify::{self, Broken, Rows, Verdict},
};
use crate::{
    StoreError,
    database::{Database, Failed, For, Sql, Value, server::LOCK, values},
    secret::Master,
    times::millis,
};
use ring::hmac;
use std::{sync::Arc, time::SystemTime};

const DAY_MS: i64 = 24 * 3600 * 1000;
/// The lock of whoever takes out what is old: one replica is enough.
const RETENTION: i64 = LOCK + 1;

/// The day on which something is kept: days since 1970, in UTC.
pub(super) fn day(at: SystemTime) -> i64 {
    millis(at) / DAY_MS
}

/// The chain of this replica, among those of others.
#[derive(Debug)]
pub(super) struct Chains {
    database: Database,
    master: Arc<Master>,
    replica: String,
    own: Option<Own>,
    /// The last day for which there is a place.
    prepared: i64,
}

/// How far our chain has come.
#[derive(Debug, Clone, Copy)]
struct Own {
    number: i64,
    link: i64,
    hash: Hash,
}

/// What was taken out.
enum Pruned {
    Records(u64),
    Broken(Broken),
}

impl Chains {
    pub(super) fn new(database: Database, master: &Arc<Master>, replica: &str) -> Self {
        Self { database, master: Arc::clone(master), replica: replica.to_owned(), own: None, prepared: 0 }
    }

    /// Our chain, begun if it is not yet.
    fn own(&mut self) -> Result<Own, StoreError> {
        if let Some(own) = self.own {
            return Ok(own);
        }
        let (key, replica) = (&self.master.chain, &self.replica);
        let own = self.database.transaction(For::Writing, |it| {
            it.query("SELECT pg_advisory_xact_lock($1)::text", &values![LOCK])?;
            let last = it.first("SELECT number, origin FROM chain ORDER BY number DESC LIMIT 1", &[])?;
            let (last, before) = last.map_or(Ok((0, ORIGIN)), |row| Ok::<_, Failed>((row.integer(0)?, row.bytes(1)?)))?;
            let (number, begun_ms) = (last + 1, millis(SystemTime::now()));
            let origin = origin(&before, number, begun_ms, replica, key);
            let insert = "INSERT INTO chain (number, replica, begun_ms, origin, link, hash) VALUES ($1, $2, $3, $4, 0, $4)";
            it.execute(insert, &values![number, replica.as_str(), begun_ms, origin.as_slice()])?;
            Ok(Own { number, link: 0, hash: origin })
        })?;
        tracing::debug!(chain = own.number, "a chain of the audit log is begun");
        self.own = Some(own);
        Ok(own)
    }

    /// Makes places for what is kept on a day and the next.
    fn prepare(&mut self, day: i64) -> Result<(), StoreError> {
        if self.prepared > day {
            return Ok(());
        }
        self.database.transaction(For::Writing, |it| {
            it.query("SELECT pg_advisory_xact_lock($1)::text", &values![LOCK])?;
            for day in [day, day + 1] {
                let place = format!("CREATE TABLE IF NOT EXISTS audit_{day} PARTITION OF audit FOR VALUES FROM ({day}) TO ({})", day + 1);
                it.execute(&place, &[])?;
            }
            Ok(())
        })?;
        self.prepared = day + 1;
        Ok(())
    }

    /// How far our chain has come, as the server has it.
    fn found(&mut self, number: i64) -> Result<Own, StoreError> {
        self.database.read(|it| {
            let row = it.first("SELECT link, hash FROM chain WHERE number = $1", &values![number])?.ok_or(Failed::OddValue)?;
            Ok(Own { number, link: row.integer(0)?, hash: row.bytes(1)? })
        })
    }
}

impl Ledger for Chains {
    fn place(&self) -> String {
        self.database.place()
    }

    fn append(&mut self, mut rows: Vec<Row>) -> Result<(), StoreError> {
        let (own, day) = (self.own()?, day(SystemTime::now()));
        self.prepare(day)?;
        let (mut link, mut hash) = (own.link, own.hash);
        for row in &mut rows {
            link += 1;
            hash = row.bind(link, &hash, &self.master.chain);
        }
        let values: Vec<&[Value]> = rows.iter().map(Row::values).collect();
        let insert = insert(own.number, day);
        let kept = self.database.transaction(For::Writing, |it| {
            it.execute_all(&insert, &values)?;
            let update = "UPDATE chain SET link = $2, hash = $3 WHERE number = $1 AND link = $4";
            match it.execute(update, &values![own.number, link, hash.as_slice(), own.link])? {
                1 => Ok(()),
                _ => Err(Failed::Odd(format!("chain {} of the audit log is written by somebody else", own.number))),
            }
        });
        let reached = Own { link, hash, ..own };
        let kept = kept.or_else(|error| {
            // The connection may have been lost behind the commit.
            match self.found(own.number) {
                Ok(found) if (found.link, found.hash) == (link, hash) => Ok(()),
                Ok(found) => {
                    self.own = Some(found);
                    Err(error)
                }
                Err(_) => Err(error),
            }
        });
        if kept.is_ok() {
            self.own = Some(reached);
        }
        kept
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let Some(own) = self.own else { return Ok(()) };
        let master = &self.master;
        self.database.run(|it| sign(it, master, Kind::Head, own.number, own.link, &own.hash))
    }

    /// Takes out whole days, of all chains. Each leaves a signed checkpoint, with which it begins from then on.
    fn prune(&mut self, policy: &Policy, now: SystemTime) -> Result<(), StoreError> {
        let master = &self.master;
        let pruned = self.database.transaction(For::Writing, |it| prune(it, master, policy, now))?;
        match pruned {
            Some(Pruned::Records(records)) if records > 0 => {
                tracing::info!(records, "old records were taken out of the audit log, as its retention says");
                let (now, up_to) = (SystemTime::now(), self.own.map_or(0, |own| own.link));
                self.append(vec![chain::taken_out(now, records, up_to)])
            }
            Some(Pruned::Broken(broken)) => {
                tracing::error!(%broken, "the audit log was changed, so nothing is taken out of it: `toolcrib audit verify`");
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn prune(it: &mut dyn Sql, master: &Master, policy: &Policy, now: SystemTime) -> Result<Option<Pruned>, Failed> {
    let is_ours = it
        .first("SELECT pg_try_advisory_xact_lock($1)::text", &values![RETENTION])?
        .is_some_and(|row| row.text(0).is_ok_and(|it| it == "true"));
    if !is_ours {
        return Ok(None);
    }
    let days = it.query(
        "SELECT substr(part.relname, 7)::bigint, pg_total_relation_size(part.oid) FROM pg_catalog.pg_inherits JOIN pg_catalog.pg_class part ON part.oid = inhrelid
         WHERE inhparent = 'toolcrib.audit'::regclass ORDER BY 1",
        &[],
    )?;
    let days: Vec<(i64, i64)> = days.iter().map(|row| Ok((row.integer(0)?, row.integer(1)?))).collect::<Result<_, Failed>>()?;
    let oldest = policy.max_age.map_or(0, |age| now.checked_sub(age).map_or(0, day));
    let limit = policy.max_bytes.map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let mut bytes: i64 = days.iter().map(|(_, bytes)| bytes).sum();
    let (today, mut gone) = (day(now), 0);
    for (day, size) in days {
        if day >= today || (day >= oldest && bytes <= limit) {
            break;
        }
        for row in it.query("SELECT chain, max(link) FROM audit WHERE day <= $1 GROUP BY chain", &values![day])? {
            let (number, cut) = (row.integer(0)?, row.integer(1)?);
            let begun = it.first("SELECT origin FROM chain WHERE number = $1", &values![number])?.ok_or(Failed::OddValue)?;
            // What is taken out is signed for: only what is as it was written.
            match verify::walk(it, &rows_of(number, begun.bytes(0)?), master, Some(cut), &mut Verdict::of(master))? {
                Ok((_, hash)) => sign(it, master, Kind::Cut, number, cut, &hash)?,
                Err(broken) => return Ok(Some(Pruned::Broken(broken))),
            }
            it.execute("DELETE FROM checkpoint WHERE chain = $1 AND link < $2", &values![number, cut])?;
        }
        let count = it.first("SELECT count(*) FROM audit WHERE day <= $1", &values![day])?.ok_or(Failed::OddValue)?.integer(0)?;
        gone += count.unsigned_abs();
        bytes -= size;
        it.execute(&format!("DROP TABLE audit_{day}"), &[])?;
    }
    Ok(Some(Pruned::Records(gone)))
}

/// Puts a row in: its values in the order of [`Row::values`].
fn insert(chain: i64, day: i64) -> String {
    let places: Vec<String> = (1..=COLUMNS.len() + 1).map(|number| format!("${number}")).collect();
    format!("INSERT INTO audit (link, {}, hash, chain, day) VALUES ({}, {chain}, {day})", COLUMNS[1..].join(", "), places.join(", "))
}

/// What the first row of a chain is bound to.
fn origin(before: &Hash, number: i64, begun_ms: i64, replica: &str, key: &hmac::Key) -> Hash {
    let bound = [b"toolcrib chain 1".as_slice(), before, &number.to_be_bytes(), &begun_ms.to_be_bytes(), replica.as_bytes()].concat();
    hmac::sign(key, &bound).as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

fn sign(it: &mut dyn Sql, master: &Master, kind: Kind, chain: i64, link: i64, hash: &Hash) -> Result<(), Failed> {
    let at_ms = millis(SystemTime::now());
    let signature = master.signer.sign(&signed(kind, link, at_ms, hash));
    let insert = "INSERT INTO checkpoint (chain, link, kind, at_ms, hash, signature) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (chain, link) DO UPDATE SET kind = excluded.kind, at_ms = excluded.at_ms, hash = excluded.hash, signature = excluded.signature";
    it.execute(insert, &values![chain, link, kind.name(), at_ms, hash.as_slice(), signature.as_ref()]).map(drop)
}

fn rows_of(chain: i64, origin: Hash) -> Rows {
    Rows {
        rows: format!(
            "SELECT link, {}, hash, seq FROM audit WHERE chain = {chain} AND link > $1 AND link <= $2 ORDER BY link LIMIT 1000",
            COLUMNS[1..].join(", ")
        ),
        checkpoints: format!(
            "SELECT link, at_ms, hash, signature, kind FROM checkpoint WHERE chain = {chain} AND link <= $1 ORDER BY link"
        ),
        origin,
    }
}

/// Checks all chains, and that none is missing.
pub(super) fn verify(database: &mut Database, master: &Master) -> Result<Verdict, StoreError> {
    let mut verdict = Verdict::of(master);
    // One view of all of it, whatever is written meanwhile.
    let broken = database.transaction(For::Reading, |it| {
        let mut before = ORIGIN;
        let chains = it.query("SELECT number, replica, begun_ms, origin, link, hash FROM chain ORDER BY number", &[])?;
        for (expected, row) in (1..).zip(&chains) {
            let (number, replica, begun_ms, begun): (i64, &str, i64, Hash) =
                (row.integer(0)?, row.text(1)?, row.integer(2)?, row.bytes(3)?);
            let within = |what| Some(Broken::Chain { number, replica: replica.to_owned(), what: Box::new(what) });
            if number != expected || begun != origin(&before, number, begun_ms, replica, &master.chain) {
                return Ok(within(Broken::OtherChain));
            }
            before = begun;
            match verify::walk(it, &rows_of(number, begun), master, None, &mut verdict)? {
                Ok(end) if end == (row.integer(4)?, row.bytes(5)?) => {}
                Ok((last, _)) => return Ok(within(Broken::Missing { from: last + 1, to: row.integer(4)? })),
                Err(broken) => return Ok(within(broken)),
            }
        }
        Ok(None)
    });
    verdict.broken = match broken {
        Ok(broken) => broken,
        Err(StoreError::OddValue { .. }) => Some(Broken::Unreadable(Failed::OddValue.to_string())),
        Err(other) => return Err(other),
    };
    verdict.heads.sort_unstable();
    Ok(verdict)
}
