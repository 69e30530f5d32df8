//! A folder and a server keep the same: what holds of one holds of the other. And what only a server has to stand.

#![expect(clippy::unwrap_used, reason = "in a test, what goes wrong ends it")]

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};
use tempfile::TempDir;
use toolcrib_contract::{AuditLog, CallerId, Json, Kind, Listings, Origin, Outcome, Record, Secrets, Vault};
use toolcrib_store::{Address, Audit, Broken, Filter, NewKey, OutcomeFilter, Policy, SharedKey, SpoolAt, Store, StoreError};
use toolcrib_testkit::servers::{Guard, Postgres};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where stores are opened, each as a process of its own would.
enum Place {
    Folder(TempDir),
    Server(Box<Postgres>),
}

impl Place {
    fn both() -> [Self; 2] {
        [Self::Folder(tempfile::tempdir().unwrap()), Self::Server(Box::new(Postgres::start()))]
    }

    fn store(&self, replica: &str) -> Store {
        match self {
            Self::Folder(folder) => Store::open(folder.path()).unwrap(),
            Self::Server(server) => connect(server, replica).unwrap(),
        }
    }
}

fn key(digit: char) -> SharedKey {
    SharedKey::parse(&digit.to_string().repeat(64)).unwrap()
}

fn address(server: &Postgres) -> Address {
    Address {
        host: "127.0.0.1".into(),
        port: server.port(),
        user: "postgres".into(),
        password: None,
        database: "postgres".into(),
        tls: None,
    }
}

fn connect(server: &Postgres, replica: &str) -> Result<Store, StoreError> {
    Store::connect(address(server), &key('a'), replica)
}

fn record(number: usize) -> Record {
    Record {
        id: format!("call-{number}").into(),
        at: SystemTime::now(),
        caller: CallerId::new("login", if number.is_multiple_of(2) { "ann" } else { "bob" }, ["user"]),
        origin: Origin { address: "10.1.2.3".parse().ok(), client: Some("test 1.0".into()), ..Origin::door("http") },
        kind: Kind::Tool,
        name: format!("tool_{}", number % 3).into(),
        outcome: if number % 5 == 4 { Outcome::Refused("forbidden") } else { Outcome::Answered { output_bytes: 12, is_error: false } },
        reason: None,
        duration: Duration::from_micros(1500),
        arguments: Json::parse(format!(r#"{{"number":{number},"text":"a%_\\b"}}"#)).unwrap(),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Keeps these records, and waits until they are kept.
fn keep(audit: &Arc<Audit>, numbers: std::ops::Range<usize>) -> Result<(), String> {
    keep_those(audit, numbers.map(record))
}

fn keep_those(audit: &Arc<Audit>, records: impl Iterator<Item = Record>) -> Result<(), String> {
    let kept: Vec<_> = records.map(|record| audit.keep(record)).collect();
    runtime().block_on(async {
        for kept in kept.into_iter().flatten() {
            kept.await.map_err(|error| error.to_string())?;
        }
        Ok(())
    })
}

fn wait_for<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what} does not come");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_is_kept_is_found_again() {
    for place in Place::both() {
        let store = place.store("one");
        let audit = store.audit(Policy::default()).unwrap();
        keep(&audit, 0..10).unwrap();
        audit.close();
        let all = store.records(&Filter::default()).unwrap();
        assert_eq!(all.iter().map(|entry| &*entry.id).collect::<Vec<_>>(), (0..10).map(|n| format!("call-{n}")).collect::<Vec<_>>());
        let first = &all[0];
        assert_eq!((&*first.subject, &*first.door, first.roles.as_slice()), ("ann", "http", ["user".to_owned()].as_slice()));
        assert_eq!((first.address.as_deref(), first.client.as_deref()), (Some("10.1.2.3"), Some("test 1.0")));
        assert_eq!(first.arguments.as_deref(), Some(r#"{"number":0,"text":"a%_\\b"}"#));
        assert_eq!(store.record(first.seq).unwrap().as_ref(), Some(first));

        let count = |filter: Filter| store.records(&filter).unwrap().len();
        assert_eq!(count(Filter { user: Some("bob".into()), ..Filter::default() }), 5);
        assert_eq!(count(Filter { user: Some("login:bob".into()), ..Filter::default() }), 5);
        assert_eq!(count(Filter { tool: Some("tool_1".into()), ..Filter::default() }), 3);
        assert_eq!(count(Filter { tool: Some("toolx1".into()), ..Filter::default() }), 0, "an underscore is one");
        assert_eq!(count(Filter { tool: Some("t?ol_*".into()), ..Filter::default() }), 10);
        assert_eq!(count(Filter { tool: Some("TOOL_*".into()), ..Filter::default() }), 0);
        assert_eq!(count(Filter { outcome: Some(OutcomeFilter::of("refused")), ..Filter::default() }), 2);
        assert_eq!(count(Filter { outcome: Some(OutcomeFilter::of("forbidden")), ..Filter::default() }), 2);
        let (before, after) = (SystemTime::now() - Duration::from_secs(60), SystemTime::now() + Duration::from_secs(60));
        assert_eq!(count(Filter { since: Some(before), until: Some(after), ..Filter::default() }), 10);
        assert_eq!(count(Filter { since: Some(after), ..Filter::default() }), 0);
        assert_eq!(count(Filter { after: Some(all[6].seq), ..Filter::default() }), 3);
        assert_eq!(count(Filter { before: Some(all[6].seq), ..Filter::default() }), 6);
        let last = store.records(&Filter { limit: Some(3), ..Filter::default() }).unwrap();
        assert_eq!(last, all[7..]);

        let spent = store.spent_since(before).unwrap();
        assert_eq!(spent.iter().map(|spent| spent.calls).sum::<u64>(), 8, "those that were refused used up nothing");
        let active = store.activity_since(before, 10).unwrap();
        let told: Vec<_> = active.iter().map(|one| (one.calls, one.errors, one.spent)).collect();
        assert_eq!(told, [(5, 1, Duration::from_micros(7500)); 2], "{active:?}");

        let verdict = store.verify().unwrap();
        assert_eq!((verdict.records, verdict.checkpoints, verdict.broken), (10, 1, None));
        assert_eq!(verdict.heads, [(all[9].seq, all[9].hash.clone())]);
    }
}

#[test]
fn several_write_one_log() {
    for place in Place::both() {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let store = place.store(&format!("replica-{writer}"));
                thread::spawn(move || {
                    let audit = store.audit(Policy::default()).unwrap();
                    (0..5).try_for_each(|round| keep(&audit, writer * 1000 + round * 40..writer * 1000 + (round + 1) * 40)).unwrap();
                    audit.close();
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let store = place.store("reader");
        let mut ids: Vec<String> = store.records(&Filter::default()).unwrap().into_iter().map(|entry| entry.id).collect();
        ids.sort();
        ids.dedup();
        let verdict = store.verify().unwrap();
        assert_eq!((ids.len(), verdict.records, verdict.broken), (600, 600, None));
        let chains = if matches!(place, Place::Server(_)) { 3 } else { 1 };
        assert_eq!(verdict.heads.len(), chains);
    }
}

/// Callers choose names: none of them costs the records of others.
#[test]
fn whatever_a_caller_writes_is_kept() {
    for place in Place::both() {
        let store = place.store("one");
        let audit = store.audit(Policy::default()).unwrap();
        let odd = |number: usize, name: &str| Record { name: name.into(), reason: Some(name.into()), ..record(number) };
        keep_those(&audit, [odd(0, "a\0b"), odd(1, "𝄞 \u{202e}\u{fffd}"), odd(2, "'; DROP TABLE audit; --"), record(3)].into_iter())
            .unwrap();
        audit.close();
        let names: Vec<String> = store.records(&Filter::default()).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["a\u{2400}b", "𝄞 \u{202e}\u{fffd}", "'; DROP TABLE audit; --", "tool_0"]);
        assert_eq!(store.verify().unwrap().broken, None);
    }
}

#[test]
fn keys_are_known_to_all_and_revoked_for_all() {
    for place in Place::both() {
        let (ours, theirs) = (place.store("a").api_keys().unwrap(), place.store("b").api_keys().unwrap());
        use toolcrib_contract::KeyDirectory;
        let expires = SystemTime::now() + Duration::from_secs(3600);
        let new = NewKey { subject: "ann".into(), roles: vec!["admin".into()], expires: Some(expires) };
        let issued = ours.issue(&new).unwrap();
        let holder = wait_for("the key", || theirs.holder(&issued.key));
        assert_eq!((&*holder.subject, holder.roles.len()), ("ann", 1));
        assert!(theirs.holder(&format!("{}0", &issued.key[..issued.key.len() - 1])).is_none_or(|_| issued.key.ends_with('0')));
        assert!(theirs.revoke(&issued.id).unwrap() && !theirs.revoke(&issued.id).unwrap());
        wait_for("its end", || ours.holder(&issued.key).is_none().then_some(()));
        let listed = ours.list().unwrap();
        assert!(listed.len() == 1 && listed[0].revoked.is_some() && listed[0].id == issued.id, "{listed:?}");
    }
}

#[test]
fn secrets_sign_ins_and_lists_are_shared() {
    let (ann, bob) = (CallerId::new("login", "ann", [""; 0]), CallerId::new("login", "bob", [""; 0]));
    for place in Place::both() {
        let (ours, theirs) = (place.store("a"), place.store("b"));
        let (secrets, same) = (ours.secrets().unwrap(), theirs.secrets().unwrap());
        secrets.set("token", &ann, "one").unwrap();
        secrets.set("token", &ann, "two").unwrap();
        assert_eq!(same.secret("token", &ann).as_deref().map(String::as_str), Some("two"));
        assert_eq!(same.secret("token", &bob), None);
        assert_eq!(same.list().unwrap().len(), 1);
        assert!(same.remove("token", &ann).unwrap() && !secrets.remove("token", &ann).unwrap());

        let (vault, same) = (ours.sign_ins().unwrap(), theirs.sign_ins().unwrap());
        vault.save("wiki", &ann, "first").unwrap();
        let first = same.load("wiki", &ann).unwrap().unwrap();
        assert!(vault.hold("wiki", &ann, PATIENCE).unwrap() && !same.hold("wiki", &ann, PATIENCE).unwrap());
        assert!(vault.replace("wiki", &ann, &first.version, Some("second")).unwrap(), "whoever holds it renews it");
        assert!(!same.replace("wiki", &ann, &first.version, Some("third")).unwrap(), "whoever comes late does not");
        assert_eq!(*same.load("wiki", &ann).unwrap().unwrap().text, "second");
        assert!(same.hold("wiki", &ann, PATIENCE).unwrap());
        same.release("wiki", &ann);
        assert!(vault.forget("wiki", &ann).unwrap() && !vault.forget("wiki", &ann).unwrap());

        let lists = Json::parse(r#"{"tools":[{"name":"a","x":1.50}]}"#).unwrap();
        ours.listings().unwrap().keep("wiki", "as it is", &lists);
        let kept = theirs.listings().unwrap();
        assert_eq!(kept.last("wiki", "as it is").unwrap().as_bytes(), lists.as_bytes());
        assert_eq!(kept.last("wiki", "otherwise"), None);
    }
}

#[test]
fn many_begin_at_once_and_only_those_with_the_key() {
    let server = Postgres::start();
    thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|number| {
                scope.spawn({
                    let server = &server;
                    move || connect(server, &format!("r{number}")).map(drop)
                })
            })
            .collect();
        starts.into_iter().for_each(|start| start.join().unwrap().unwrap());
    });
    assert_eq!(server.execute("postgres", "SELECT number FROM toolcrib.version"), "1");
    let other = Store::connect(address(&server), &key('b'), "stranger").unwrap_err();
    assert!(matches!(other, StoreError::OtherKey(_)), "{other}");
    // A newer version that leaves what we need as it is may stand beside us; one that does not may not.
    server.execute("postgres", "UPDATE toolcrib.version SET number = 7, works_with = 1");
    connect(&server, "old").unwrap();
    server.execute("postgres", "UPDATE toolcrib.version SET works_with = 2");
    assert!(matches!(connect(&server, "old").unwrap_err(), StoreError::Newer { found: 7, known: 1, .. }));
    let nowhere = Address { port: 1, ..address(&server) };
    let away = Store::connect(nowhere, &key('a'), "lost").unwrap_err().to_string();
    assert!(away.starts_with("postgres://127.0.0.1:1/postgres: it cannot be reached"), "{away}");
}

#[test]
fn what_was_changed_on_the_server_shows() {
    let server = Postgres::start();
    let store = connect(&server, "one").unwrap();
    let written = |numbers| {
        let audit = connect(&server, "one").unwrap().audit(Policy::default()).unwrap();
        keep(&audit, numbers).unwrap();
        audit.close();
    };
    written(0..5);
    written(5..8);
    let broken = || store.verify().unwrap().broken;
    assert_eq!(broken(), None);
    let within = |expected: Broken| match broken() {
        Some(Broken::Chain { replica, what, .. }) => assert_eq!((&*replica, *what), ("one", expected)),
        other => panic!("{other:?}"),
    };
    // Each is put right again before the next.
    let change = |there: &str, back: &str, expected: Broken| {
        server.execute("postgres", there);
        within(expected);
        server.execute("postgres", back);
        assert_eq!(broken(), None, "{back}");
    };
    let of_record = |seq: i64, id: &str| Broken::Record { seq, id: id.into() };
    change(
        "UPDATE toolcrib.audit SET subject = 'eve' WHERE id = 'call-2'",
        "UPDATE toolcrib.audit SET subject = 'ann' WHERE id = 'call-2'",
        of_record(3, "call-2"),
    );
    change(
        "CREATE TABLE kept AS SELECT * FROM toolcrib.audit WHERE id = 'call-6'; DELETE FROM toolcrib.audit WHERE id = 'call-6'",
        "INSERT INTO toolcrib.audit OVERRIDING SYSTEM VALUE SELECT * FROM kept",
        Broken::Missing { from: 2, to: 2 },
    );
    let (of_ours, columns) = (
        "FROM toolcrib.audit WHERE id = 'call-0'",
        server.execute(
            "postgres",
            "SELECT string_agg(column_name, ', ') FROM information_schema.columns WHERE table_schema = 'toolcrib' AND table_name = 'audit'
         AND column_name NOT IN ('chain', 'link', 'seq')",
        ),
    );
    // What nobody wrote, wherever it is put.
    for (chain, link) in [(1, -1), (1, 0), (99, 1)] {
        server.execute(
            "postgres",
            &format!("INSERT INTO toolcrib.audit (chain, link, {columns}) SELECT {chain}, {link}, {columns} {of_ours}"),
        );
        assert!(broken().is_some(), "{chain}, {link}");
        server.execute("postgres", &format!("DELETE FROM toolcrib.audit WHERE chain = {chain} AND link = {link}"));
        assert_eq!(broken(), None);
    }
    // What would change it on its way is refused from the start.
    server.execute(
        "postgres",
        "CREATE FUNCTION toolcrib.none() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER none BEFORE INSERT ON toolcrib.audit FOR EACH ROW EXECUTE FUNCTION toolcrib.none()",
    );
    let refused = connect(&server, "one").unwrap_err().to_string();
    assert!(refused.contains("somebody added triggers"), "{refused}");
    server.execute("postgres", "DROP TRIGGER none ON toolcrib.audit");
    // The end of a chain, with the row that says how far it goes.
    server.execute("postgres", "DELETE FROM toolcrib.audit WHERE id = 'call-7'; UPDATE toolcrib.chain SET link = 2 WHERE number = 2");
    within(Broken::Missing { from: 3, to: 3 });
    // A whole chain.
    server.execute("postgres", "DELETE FROM toolcrib.audit WHERE chain = 1; DELETE FROM toolcrib.checkpoint WHERE chain = 1; DELETE FROM toolcrib.chain WHERE number = 1");
    within(Broken::OtherChain);
}

#[test]
fn whole_days_are_taken_out_and_the_rest_still_holds() {
    let server = Postgres::start();
    let store = connect(&server, "one").unwrap();
    let first = store.audit(Policy::default()).unwrap();
    let then = SystemTime::now() - Duration::from_secs(2 * 24 * 3600);
    keep_those(&first, (0..5).map(|number| Record { at: then, ..record(number) })).unwrap();
    first.close();
    // They become those that were kept on that day.
    let today = server.execute("postgres", "SELECT max(day) FROM toolcrib.audit").parse::<i64>().unwrap();
    let then = today - 2;
    server.execute(
        "postgres",
        &format!(
            "CREATE TABLE toolcrib.audit_{then} PARTITION OF toolcrib.audit FOR VALUES FROM ({then}) TO ({}); UPDATE toolcrib.audit SET day = {then}",
            then + 1
        ),
    );
    assert_eq!(store.verify().unwrap().broken, None);
    let policy = Policy { max_age: Some(Duration::from_secs(24 * 3600)), ..Policy::default() };
    let second = store.audit(policy).unwrap();
    keep(&second, 5..8).unwrap();
    let ids = || store.records(&Filter::default()).unwrap().into_iter().map(|entry| entry.id).collect::<Vec<_>>();
    let notes = || store.records(&Filter { tool: Some("records taken out".into()), ..Filter::default() }).unwrap().len();
    wait_for("retention, which tells of it", || (!ids().contains(&"call-0".to_owned()) && notes() == 1).then_some(()));
    keep(&second, 8..9).unwrap();
    second.close();
    let mut kept: Vec<String> = ids().into_iter().filter(|id| !id.is_empty()).collect();
    kept.sort();
    assert_eq!(kept, ["call-5", "call-6", "call-7", "call-8"]);
    let verdict = store.verify().unwrap();
    assert_eq!((verdict.broken, verdict.records), (None, 5), "with the row that tells of it");
    // It was signed for: without the signature it is a hole.
    server.execute("postgres", "DELETE FROM toolcrib.checkpoint WHERE kind = 'cut'");
    assert!(matches!(store.verify().unwrap().broken, Some(Broken::Chain { number: 1, .. })));
}

#[test]
fn a_server_that_goes_away_costs_no_record_that_was_acknowledged() {
    let mut server = Postgres::start();
    let store = connect(&server, "one").unwrap();
    let audit = store.audit(Policy::default()).unwrap();
    let keys = store.api_keys().unwrap();
    use toolcrib_contract::KeyDirectory;
    let key = keys.issue(&NewKey { subject: "ann".into(), roles: Vec::new(), expires: None }).unwrap();
    let kept_until = std::sync::atomic::AtomicUsize::new(0);
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut acknowledged = Vec::new();
            for number in 0.. {
                match keep(&audit, number..number + 1) {
                    Ok(()) => acknowledged.push(number),
                    Err(_) => return acknowledged,
                }
                kept_until.store(number, std::sync::atomic::Ordering::Relaxed);
            }
            acknowledged
        });
        wait_for("some records", || (kept_until.load(std::sync::atomic::Ordering::Relaxed) > 50).then_some(()));
        server.kill();
        let acknowledged = writing.join().unwrap();
        assert!(audit.admits().unwrap_err().to_string().contains("cannot be reached"), "nothing is let pass meanwhile");
        assert!(keys.holder(&key.key).is_some(), "who is known stays known");
        server.start_again();
        wait_for("the log", || audit.admits().is_ok().then_some(()));
        keep(&audit, 100_000..100_001).unwrap();
        let ids: std::collections::BTreeSet<String> =
            store.records(&Filter::default()).unwrap().into_iter().map(|entry| entry.id).collect();
        let missing: Vec<_> = acknowledged.iter().filter(|number| !ids.contains(&format!("call-{number}"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(ids.contains("call-100000"));
        assert_eq!(store.verify().unwrap().broken, None);
        let gaps = store.records(&Filter { tool: Some("records lost".into()), ..Filter::default() }).unwrap();
        assert_eq!(gaps.len(), 1, "the log says itself that it could not be written");
    });
}

/// The policy of a process that lets records wait in this folder.
fn spooling(folder: &TempDir, max_bytes: u64) -> Policy {
    Policy { spool: Some(SpoolAt { folder: folder.path().to_owned(), max_bytes }), ..Policy::default() }
}

fn files(folder: &TempDir) -> Vec<String> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    files
}

/// Ends the server, and keeps records from this number on until they wait for it: what serves a connection outlives it for a moment.
fn keep_without(server: &mut Postgres, audit: &Arc<Audit>, first: usize) -> usize {
    server.kill();
    (first..)
        .find(|number| {
            keep(audit, *number..number + 1).unwrap();
            audit.spooled() > 0
        })
        .unwrap()
        + 1
}

/// The ids of all calls, in the order of their chain.
fn ids_in_order(server: &Postgres) -> Vec<String> {
    let ids = server.execute("postgres", "SELECT id FROM toolcrib.audit WHERE id <> '' ORDER BY chain, link");
    ids.lines().map(str::to_owned).collect()
}

#[test]
fn records_wait_on_the_disk_while_the_server_is_away() {
    let (mut server, folder) = (Postgres::start(), tempfile::tempdir().unwrap());
    let store = connect(&server, "one").unwrap();
    let audit = store.audit(spooling(&folder, 64 << 20)).unwrap();
    let kept_until = std::sync::atomic::AtomicUsize::new(0);
    let at_least = |number| wait_for("records", || (kept_until.load(std::sync::atomic::Ordering::Relaxed) >= number).then_some(()));
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let written = thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for number in 0.. {
                keep(&audit, number..number + 1).unwrap();
                kept_until.store(number, std::sync::atomic::Ordering::Relaxed);
                if is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    return number + 1;
                }
            }
            unreachable!()
        });
        for _ in 0..2 {
            let so_far = kept_until.load(std::sync::atomic::Ordering::Relaxed);
            at_least(so_far + 50);
            server.kill();
            wait_for("the spool", || (audit.spooled() > 20).then_some(()));
            server.start_again();
            wait_for("its end", || (audit.spooled() == 0).then_some(()));
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        writing.join().unwrap()
    });
    audit.close();
    assert_eq!(ids_in_order(&server), (0..written).map(|number| format!("call-{number}")).collect::<Vec<_>>(), "each once, in order");
    assert_eq!(store.verify().unwrap().broken, None);
    assert_eq!(store.records(&Filter { tool: Some("records lost".into()), ..Filter::default() }).unwrap().len(), 0);
    assert_eq!(files(&folder), [""; 0], "nothing waits");
}

#[test]
fn what_a_process_leaves_behind_the_next_one_moves() {
    let (mut server, folder) = (Postgres::start(), tempfile::tempdir().unwrap());
    let store = connect(&server, "one").unwrap();
    let first = store.audit(spooling(&folder, 64 << 20)).unwrap();
    keep(&first, 0..3).unwrap();
    let next = keep_without(&mut server, &first, 3);
    keep(&first, next..next + 3).unwrap();
    first.close();
    assert_eq!(first.spooled(), 4);
    assert_eq!(files(&folder).len(), 2);
    server.start_again();
    // Another process that is at work in the same folder keeps what is its own.
    let second = connect(&server, "two").unwrap().audit(spooling(&folder, 64 << 20)).unwrap();
    wait_for("the records", || (second.spooled() == 0).then_some(()));
    let third = connect(&server, "three").unwrap().audit(spooling(&folder, 64 << 20)).unwrap();
    keep(&second, next + 3..next + 5).unwrap();
    keep(&third, next + 5..next + 6).unwrap();
    second.close();
    third.close();
    assert_eq!(ids_in_order(&server), (0..next + 6).map(|number| format!("call-{number}")).collect::<Vec<_>>());
    assert_eq!((store.verify().unwrap().broken, files(&folder)), (None, Vec::new()));
}

#[test]
fn no_more_waits_than_may_and_what_was_changed_meanwhile_is_not_moved() {
    let (mut server, folder) = (Postgres::start(), tempfile::tempdir().unwrap());
    let store = connect(&server, "one").unwrap();
    let audit = store.audit(spooling(&folder, 1 << 20)).unwrap();
    let next = keep_without(&mut server, &audit, 0);
    let refused = (next..).step_by(100).find_map(|from| keep(&audit, from..from + 100).err()).unwrap();
    assert!(refused.contains("spool-1.db") && refused.contains("storage.spoolMaxBytes"), "{refused}");
    assert!(audit.admits().is_err(), "then calls are refused");
    let spooled = audit.spooled();
    assert!(spooled > 500, "{spooled}");
    server.start_again();
    wait_for("the log", || (audit.spooled() == 0 && audit.admits().is_ok()).then_some(()));
    let gaps = store.records(&Filter { tool: Some("records lost".into()), ..Filter::default() }).unwrap();
    assert_eq!(gaps.len(), 1, "the log says itself that records were lost");
    assert_eq!((ids_in_order(&server).len() as u64, store.verify().unwrap().broken), (next as u64 - 1 + spooled, None));

    let next_id = keep_without(&mut server, &audit, 100_000);
    keep(&audit, next_id..next_id + 9).unwrap();
    audit.close();
    let database = folder.path().join("spool-1.db");
    rusqlite::Connection::open(&database)
        .unwrap()
        .execute("UPDATE audit SET subject = 'eve' WHERE seq = (SELECT min(seq) + 5 FROM audit)", [])
        .unwrap();
    server.start_again();
    let next = store.audit(spooling(&folder, 1 << 20)).unwrap();
    wait_for("it to be set aside", || (next.spooled() == 0).then_some(()));
    // It is in nobody's way.
    keep_without(&mut server, &next, 200_000);
    server.start_again();
    wait_for("the records", || (next.spooled() == 0).then_some(()));
    next.close();
    assert!(!database.exists() && files(&folder).iter().all(|name| name.starts_with("aside-1-")), "{:?}", files(&folder));
    let ids = ids_in_order(&server);
    assert!(ids.contains(&"call-200000".to_owned()) && !ids.contains(&format!("call-{}", next_id + 8)), "nothing of it is moved");
    let told = store.records(&Filter { tool: Some("records set aside".into()), ..Filter::default() }).unwrap();
    assert_eq!((told.len(), store.verify().unwrap().broken), (1, None));
}

#[test]
fn a_guarded_server_is_reached_by_tls_with_a_password_and_no_more_rights_than_are_needed() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let guard = Guard { certificate: made.cert.pem(), key: made.signing_key.serialize_pem(), password: "hunter2".into() };
    let server = Postgres::guarded(&guard);
    let folder = tempfile::tempdir().unwrap();
    let trusting = |certificate: &str| {
        let file = folder.path().join("roots.pem");
        std::fs::write(&file, certificate).unwrap();
        toolcrib_egress::tls::client_config(Some(&file)).unwrap()
    };
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap().cert.pem();
    let (other, trusting) = (trusting(&other), trusting(&guard.certificate));
    let with =
        |password: &str, tls| Address { user: "toolcrib".into(), password: Some(password.to_owned().into()), tls, ..address(&server) };
    let refused = |address| Store::connect(address, &key('a'), "one").unwrap_err().to_string();
    let (wrong, plain) = (refused(with("hunter3", Some(trusting.clone()))), refused(with("hunter2", None)));
    assert!(wrong.contains("password authentication failed") && !wrong.contains("hunter"), "{wrong}");
    assert!(plain.contains("no encryption"), "{plain}");
    let untrusted = refused(with("hunter2", Some(other)));
    assert!(untrusted.to_lowercase().contains("certificate"), "{untrusted}");

    let store = Store::connect(with("hunter2", Some(trusting)), &key('a'), "one").unwrap();
    let audit = store.audit(Policy::default()).unwrap();
    keep(&audit, 0..3).unwrap();
    audit.close();
    assert_eq!((store.verify().unwrap().broken, ids_in_order(&server).len()), (None, 3));
}
