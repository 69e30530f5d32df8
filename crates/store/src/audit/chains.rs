//! The log on a server: a chain for each replica, so that none waits for another, and all of them in one table, by the day on which
//! they were kept.
//!
//! A replica begins a chain when it first has something to keep. Its number, time and name are bound to the chain that was begun
//! before, and its first row to them: a chain that is taken out whole is missed by the next. The row of a chain says how far it has come,
//! in the same transaction as what it keeps: whoever finds it elsewhere has company, and that batch is not written.
//!
//! Old days are taken out whole, by a thread of its own: first it is looked whether they are what was written, which locks nobody out,
//! then they are signed for and dropped.

use super::{
    Ledger, Policy,
    chain::{COLUMNS, Hash, Kind, ORIGIN, Row, signed},
    verify::{self, Broken, Rows, Verdict},
};
use crate::{
    StoreError,
    database::{Database, Failed, For, Sql, Value, server::LOCK, values},
    secret::Master,
    times::millis,
};
use ring::hmac;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

const DAY_MS: i64 = 24 * 3600 * 1000;
/// How long after its end a day is still written to, by those whose clock is late.
const LEEWAY: Duration = Duration::from_secs(15 * 60);
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
    /// Whether a commit broke off, and nobody knows what became of it.
    is_in_doubt: bool,
    /// The day on which something was kept last: what comes later is never kept on an earlier one, whatever the clock says.
    last_day: i64,
    /// Whether there is a place for that day, as far as is known.
    is_prepared: bool,
}

/// How far a chain has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own {
    pub(super) number: i64,
    pub(super) link: i64,
    pub(super) hash: Hash,
}

impl Chains {
    pub(super) fn new(database: Database, master: &Arc<Master>, replica: &str) -> Self {
        Self {
            database,
            master: Arc::clone(master),
            replica: replica.to_owned(),
            own: None,
            is_in_doubt: false,
            last_day: 0,
            is_prepared: false,
        }
    }

    /// Our chain, begun if it is not yet.
    pub(super) fn own(&mut self) -> Result<Own, StoreError> {
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

    /// Makes sure that there is a place for what is kept on a day.
    fn prepare(&mut self, day: i64) -> Result<(), StoreError> {
        if self.last_day < day || !self.is_prepared {
            make_place(&mut self.database, day)?;
            (self.last_day, self.is_prepared) = (day, true);
        }
        Ok(())
    }

    /// How far a chain has come, as the server has it, if it knows it.
    pub(super) fn known(&mut self, number: i64) -> Result<Option<Own>, StoreError> {
        self.database.run(|it| {
            let row = it.first("SELECT link, hash FROM chain WHERE number = $1", &values![number])?;
            row.map(|row| Ok(Own { number, link: row.integer(0)?, hash: row.bytes(1)? })).transpose()
        })
    }

    /// The hash of a row, if it is there.
    pub(super) fn hash_of(&mut self, chain: i64, link: i64) -> Result<Option<Hash>, StoreError> {
        let query = "SELECT hash FROM audit WHERE chain = $1 AND link = $2";
        self.database.run(|it| it.first(query, &values![chain, link])?.map(|row| row.bytes(0)).transpose())
    }

    /// Finds out how far our chain has come, where a commit broke off. One that the server does not know any more is begun anew.
    pub(super) fn find_out(&mut self) -> Result<(), StoreError> {
        if let Some(own) = self.own.filter(|_| self.is_in_doubt) {
            self.own = self.known(own.number)?;
            self.is_in_doubt = false;
        }
        Ok(())
    }

    /// What is in doubt waits elsewhere, and will show.
    pub(super) fn leaves_it_open(&mut self) {
        self.is_in_doubt = false;
    }

    /// Begins another chain in place of ours.
    pub(super) fn begin_anew(&mut self) -> Result<Own, StoreError> {
        let before = self.own.take();
        self.own().inspect_err(|_| self.own = before)
    }

    /// Whether the server cannot be reached, as far as is known.
    pub(super) fn is_away(&self) -> bool {
        self.database.is_away()
    }

    /// Whether the server can be reached. Where it cannot, that is tried meanwhile, and nobody waits for it.
    pub(super) fn is_there(&mut self) -> bool {
        self.database.is_there()
    }

    /// Binds rows behind what is there, and says how far that reaches.
    pub(super) fn bind(&self, before: Own, rows: &mut [Row]) -> Own {
        rows.iter_mut().fold(before, |Own { number, link, hash }, row| Own {
            number,
            link: link + 1,
            hash: row.bind(link + 1, &hash, &self.master.chain),
        })
    }

    /// How far rows reach that were bound behind what is there, if they were.
    pub(super) fn following(&self, before: Own, rows: &[Row]) -> Option<Own> {
        rows.iter().try_fold(before, |Own { number, link, hash }, row| {
            let hash = row.follows(link + 1, &hash, &self.master.chain)?;
            Some(Own { number, link: link + 1, hash })
        })
    }

    /// Writes rows of a chain on a day that is none before that of its last, whatever the clock says.
    pub(super) fn put_on(&mut self, before: Own, reached: Own, rows: &[Row]) -> Result<(), StoreError> {
        let query = "SELECT day FROM audit WHERE chain = $1 AND link = $2";
        let last = self.database.run(|it| it.first(query, &values![before.number, before.link])?.map(|row| row.integer(0)).transpose())?;
        if let Some(last) = last.filter(|last| *last > self.last_day) {
            (self.last_day, self.is_prepared) = (last, false);
        }
        self.put(before, reached, rows)
    }

    /// Writes rows that are bound behind what is there.
    fn put(&mut self, before: Own, reached: Own, rows: &[Row]) -> Result<(), StoreError> {
        let day = day(SystemTime::now()).max(self.last_day);
        self.prepare(day)?;
        let values: Vec<&[Value]> = rows.iter().map(Row::values).collect();
        let insert = insert(before.number, day);
        let kept = self.database.transaction(For::Writing, |it| {
            let kept = it.execute_all(&insert, &values)?;
            if kept != values.len() as u64 {
                return Err(Failed::Odd(format!("of {} records it took {kept}", values.len())));
            }
            let update = "UPDATE chain SET link = $2, hash = $3 WHERE number = $1 AND link = $4 AND hash = $5";
            let (new, old) = (reached.hash.as_slice(), before.hash.as_slice());
            match it.execute(update, &values![before.number, reached.link, new, before.link, old])? {
                1 => Ok(()),
                _ => Err(Failed::Odd(format!("chain {} of the audit log is written by somebody else", before.number))),
            }
        });
        if kept.is_err() {
            // Retention may have taken the place away from a slow clock.
            self.is_prepared = false;
        }
        kept
    }

    /// Our chain has come as far as this, if it is ours.
    pub(super) fn goes_on_from(&mut self, reached: Own) {
        self.own = self.own.map(|own| if own.number == reached.number { reached } else { own });
    }

    /// Signs how far a chain has come.
    pub(super) fn sign_for(&mut self, chain: i64) -> Result<(), StoreError> {
        let Some(Own { number, link, hash }) = self.known(chain)? else { return Ok(()) };
        let master = &self.master;
        self.database.run(|it| sign(it, master, Kind::Head, number, link, &hash))
    }
}

impl Ledger for Chains {
    fn place(&self) -> String {
        self.database.place()
    }

    fn append(&mut self, rows: &mut [Row]) -> Result<(), StoreError> {
        self.find_out()?;
        let own = self.own()?;
        let reached = self.bind(own, rows);
        let Err(error) = self.put(own, reached, rows) else {
            self.own = Some(reached);
            return Ok(());
        };
        // The connection may have been lost behind the commit.
        self.is_in_doubt = true;
        if self.find_out().is_ok() && self.own.is_some_and(|found| (found.link, found.hash) == (reached.link, reached.hash)) {
            return Ok(());
        }
        Err(error)
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let Some(own) = self.own else { return Ok(()) };
        let master = &self.master;
        self.database.run(|it| sign(it, master, Kind::Head, own.number, own.link, &own.hash))
    }
}

/// Makes a place for what is kept on a day, without locking out whoever reads or writes on others.
fn make_place(database: &mut Database, day: i64) -> Result<(), StoreError> {
    if database.read(|it| has_place(it, day))? {
        return Ok(());
    }
    database.transaction(For::Writing, |it| {
        it.query("SELECT pg_advisory_xact_lock($1)::text", &values![LOCK])?;
        if has_place(it, day)? {
            return Ok(());
        }
        it.execute(&format!("CREATE TABLE IF NOT EXISTS audit_{day} (LIKE audit INCLUDING CONSTRAINTS INCLUDING INDEXES)"), &[])?;
        it.execute(&format!("ALTER TABLE audit ATTACH PARTITION audit_{day} FOR VALUES FROM ({day}) TO ({})", day + 1), &[])?;
        Ok(())
    })
}

fn has_place(it: &mut dyn Sql, day: i64) -> Result<bool, Failed> {
    let place = format!("SELECT 1 FROM pg_catalog.pg_inherits WHERE inhrelid = to_regclass('toolcrib.audit_{day}')");
    Ok(it.first(&place, &[])?.is_some())
}

/// Makes places ahead, and takes out what is old: whole days, of all chains.
#[derive(Debug)]
pub(super) struct Retention {
    database: Database,
    master: Arc<Master>,
    policy: Policy,
}

/// What was taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TakenOut {
    pub(super) records: u64,
    /// The last of them.
    pub(super) up_to: i64,
}

/// The last row of a chain that goes with a day.
struct Cut {
    chain: i64,
    link: i64,
    hash: Hash,
}

impl Retention {
    pub(super) fn new(database: Database, master: &Arc<Master>, policy: &Policy) -> Self {
        Self { database, master: Arc::clone(master), policy: policy.clone() }
    }

    /// Does what is due, and tells of each day that was taken out.
    pub(super) fn look_after(&mut self, now: SystemTime, mut tell: impl FnMut(TakenOut)) -> Result<(), StoreError> {
        make_place(&mut self.database, day(now) + 1)?;
        while let Some(day) = self.due(now)? {
            let cuts = match self.cuts(day)? {
                Ok(cuts) => cuts,
                Err(broken) => {
                    tracing::error!(%broken, "the audit log was changed, so nothing is taken out of it: `toolcrib audit verify`");
                    break;
                }
            };
            // Another replica may be quicker, or somebody still writes there.
            let Some(gone) = self.take_out(day, &cuts)? else { break };
            tell(gone);
        }
        Ok(())
    }

    /// The oldest day, if it is too old, or there is too much.
    fn due(&mut self, now: SystemTime) -> Result<Option<i64>, StoreError> {
        let days = "SELECT substr(part.relname, 7)::bigint, coalesce(pg_total_relation_size(part.oid), 0) FROM pg_catalog.pg_inherits
            JOIN pg_catalog.pg_class part ON part.oid = inhrelid WHERE inhparent = 'toolcrib.audit'::regclass ORDER BY 1";
        let days = |it: &mut dyn Sql| it.query(days, &[])?.iter().map(|row| Ok((row.integer(0)?, row.integer(1)?))).collect();
        let days: Vec<(i64, i64)> = self.database.read(days)?;
        let oldest_kept = self.policy.max_age.map_or(0, |age| now.checked_sub(age).map_or(0, day));
        let limit = self.policy.max_bytes.map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        let bytes: i64 = days.iter().map(|(_, bytes)| bytes).sum();
        let oldest = days.first().map(|(oldest, _)| *oldest).filter(|oldest| *oldest < day(now - LEEWAY));
        Ok(oldest.filter(|oldest| *oldest < oldest_kept || bytes > limit))
    }

    /// Where chains are cut when a day is taken out, if it is what was written.
    fn cuts(&mut self, day: i64) -> Result<Result<Vec<Cut>, Broken>, StoreError> {
        let master = &self.master;
        self.database.view(|it| {
            it.execute(UNDISTURBED, &[])?;
            // What arrived later was not kept on that day: somebody has moved it there.
            let moved = it.first("SELECT count(*) FROM audit WHERE day <= $1 AND at_ms / $2 > day + 1", &values![day, DAY_MS])?;
            match moved.ok_or(Failed::OddValue)?.integer(0)? {
                0 => {}
                moved => return Ok(Err(Broken::Strangers(moved.unsigned_abs()))),
            }
            let mut cuts = Vec::new();
            for row in it.query("SELECT chain, max(link) FROM audit WHERE day <= $1 GROUP BY chain", &values![day])? {
                let (chain, link) = (row.integer(0)?, row.integer(1)?);
                let Some(begun) = it.first("SELECT origin FROM chain WHERE number = $1", &values![chain])? else {
                    return Ok(Err(Broken::Strangers(1)));
                };
                // What is signed for is what is as it was written, and leaves no hole.
                let (end, hash) = match verify::walk(it, &rows_of(chain, begun.bytes(0)?), master, Some(link), &mut Verdict::of(master))? {
                    Ok(end) => end,
                    Err(broken) => return Ok(Err(broken)),
                };
                let later = it.first("SELECT 1 FROM audit WHERE chain = $1 AND link <= $2 AND day > $3", &values![chain, link, day])?;
                if end != link || later.is_some() {
                    return Ok(Err(Broken::Record { seq: link, id: String::new() }));
                }
                cuts.push(Cut { chain, link, hash });
            }
            Ok(Ok(cuts))
        })
    }

    fn take_out(&mut self, day: i64, cuts: &[Cut]) -> Result<Option<TakenOut>, StoreError> {
        let master = &self.master;
        self.database.transaction(For::Writing, |it| {
            // Whoever reads for long is not interrupted: it is tried again later. Nobody waits behind us for long.
            it.execute("SET LOCAL lock_timeout = 1000", &[])?;
            let is_ours = it.first("SELECT pg_try_advisory_xact_lock($1)::text", &values![RETENTION])?;
            if !is_ours.is_some_and(|row| row.text(0).is_ok_and(|is_ours| is_ours == "true")) || !has_place(it, day)? {
                return Ok(None);
            }
            it.execute(&format!("LOCK TABLE audit_{day} IN ACCESS EXCLUSIVE MODE"), &[])?;
            // What was written since it was looked is not signed for.
            for row in it.query("SELECT chain, max(link) FROM audit WHERE day <= $1 GROUP BY chain", &values![day])? {
                let (chain, link) = (row.integer(0)?, row.integer(1)?);
                if !cuts.iter().any(|cut| (cut.chain, cut.link) == (chain, link)) {
                    return Ok(None);
                }
            }
            let told = it.first("SELECT count(*), max(seq) FROM audit WHERE day <= $1", &values![day])?.ok_or(Failed::OddValue)?;
            for Cut { chain, link, hash } in cuts {
                sign(it, master, Kind::Cut, *chain, *link, hash)?;
                it.execute("DELETE FROM checkpoint WHERE chain = $1 AND link < $2", &values![*chain, *link])?;
            }
            it.execute(&format!("DROP TABLE audit_{day}"), &[])?;
            Ok(Some(TakenOut { records: told.integer(0)?.unsigned_abs(), up_to: told.some_integer(1)?.unwrap_or_default() }))
        })
    }
}

/// Before anything is seen: what is taken out meanwhile is then either seen whole or not at all.
const UNDISTURBED: &str = "LOCK TABLE audit IN ACCESS SHARE MODE";

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
        ON CONFLICT (chain, link) DO UPDATE SET kind = excluded.kind, at_ms = excluded.at_ms, hash = excluded.hash, signature = excluded.signature
        WHERE checkpoint.kind <> 'cut'";
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
        may_be_empty: true,
    }
}

/// Checks all chains, and that none is missing.
pub(super) fn verify(database: &mut Database, master: &Master) -> Result<Verdict, StoreError> {
    let mut verdict = Verdict::of(master);
    // One view of all of it, whatever is written meanwhile.
    let broken = database.view(|it| {
        it.execute(UNDISTURBED, &[])?;
        verdict = Verdict::of(master);
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
        let all = it.first("SELECT count(*) FROM audit", &[])?.ok_or(Failed::OddValue)?.integer(0)?.unsigned_abs();
        Ok((all > verdict.records).then(|| Broken::Strangers(all - verdict.records)))
    });
    verdict.broken = match broken {
        Ok(broken) => broken,
        Err(StoreError::OddValue { .. }) => Some(Broken::Unreadable(Failed::OddValue.to_string())),
        Err(other) => return Err(other),
    };
    verdict.heads.sort_unstable();
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        SharedKey,
        audit::chain::note,
        database::server::{Address, Background, Server},
    };
    use toolcrib_testkit::servers::Postgres;

    #[test]
    fn a_day_that_somebody_still_writes_to_stays() {
        let postgres = Postgres::start();
        let (host, port) = ("127.0.0.1".to_owned(), postgres.port());
        let address = Arc::new(Address { host, port, user: "postgres".into(), password: None, database: "postgres".into(), tls: None });
        let background = Arc::new(Background::start().unwrap());
        let master = Arc::new(SharedKey::parse(&"a".repeat(64)).unwrap().master());
        let mut first = Server::new(&address, &background);
        first.migrate(&master).unwrap();
        let mut retention = Retention::new(Database::Server(first.another()), &master, &Policy::default());
        let mut chains = Chains::new(Database::Server(first), &master, "one");
        let row = || [note(SystemTime::now(), "tool", "of a test", &serde_json::json!({}))];
        chains.append(&mut row()).unwrap();
        let today = chains.last_day;
        let seen = retention.cuts(today).unwrap().unwrap();
        chains.append(&mut row()).unwrap();
        assert_eq!(retention.take_out(today, &seen).unwrap(), None, "what came since is not signed for");
        let seen = retention.cuts(today).unwrap().unwrap();
        assert_eq!(retention.take_out(today, &seen).unwrap().map(|gone| gone.records), Some(2));
        // Whoever did not know of that fails once, and finds its place again.
        chains.append(&mut row()).unwrap_err();
        chains.append(&mut row()).unwrap();
        let verdict = verify(&mut retention.database, &master).unwrap();
        assert_eq!((verdict.broken, verdict.records, verdict.is_cut), (None, 1, true));
    }
}
