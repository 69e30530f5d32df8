//! The audit log: what it keeps, what it finds when it was tampered with, and what it gives up when it grows too old.

#![expect(clippy::unwrap_used, reason = "in a test, what goes wrong ends it")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use toolcrib_contract::{AuditLog, CallerId, Json, Kind, Origin, Outcome, Record};
use toolcrib_store::{Arguments, Audit, Broken, Filter, OutcomeFilter, Policy, Store, StoreError};

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
        arguments: Json::parse(format!(r#"{{"number":{number},"password":"hunter2"}}"#)).unwrap(),
    }
}

async fn keep(audit: &Arc<Audit>, numbers: std::ops::Range<usize>) {
    for number in numbers {
        if let Some(kept) = audit.keep(record(number)) {
            kept.await.unwrap();
        }
    }
}

/// A store with this many records, closed again.
async fn written(folder: &Path, records: usize) -> Store {
    let store = Store::open(folder).unwrap();
    let audit = store.audit(Policy::default()).unwrap();
    keep(&audit, 0..records).await;
    audit.close();
    store
}

fn broken(folder: &Path) -> Option<Broken> {
    Store::open(folder).unwrap().verify().unwrap().broken
}

/// Changes the database as somebody with the file in hands could.
fn tamper(folder: &Path, statement: &str) {
    let connection = rusqlite::Connection::open(folder.join("toolcrib.db")).unwrap();
    assert!(connection.execute(statement, []).unwrap() > 0, "{statement}");
}

#[tokio::test]
async fn what_is_kept_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = written(folder.path(), 10).await;
    let all = store.records(&Filter::default()).unwrap();
    assert_eq!(all.len(), 10);
    let first = &all[0];
    assert_eq!((first.seq, &*first.id, &*first.subject, &*first.door), (1, "call-0", "ann", "http"));
    assert_eq!((first.address.as_deref(), first.client.as_deref()), (Some("10.1.2.3"), Some("test 1.0")));
    assert_eq!(first.arguments.as_deref(), Some(r#"{"number":0,"password":"[redacted]"}"#));
    let json = first.to_json();
    assert!(json.as_str().contains(r#""execution_ms":1.5"#) && !json.as_str().contains("hunter2"), "{json}");

    let count = |filter: Filter| store.records(&filter).unwrap().len();
    assert_eq!(count(Filter { user: Some("bob".into()), ..Filter::default() }), 5);
    assert_eq!(count(Filter { tool: Some("tool_1".into()), ..Filter::default() }), 3);
    assert_eq!(count(Filter { tool: Some("tool_*".into()), ..Filter::default() }), 10);
    assert_eq!(count(Filter { outcome: Some(OutcomeFilter::of("refused")), ..Filter::default() }), 2);
    assert_eq!(count(Filter { outcome: Some(OutcomeFilter::of("forbidden")), ..Filter::default() }), 2);
    assert_eq!(count(Filter { since: Some(SystemTime::now() + Duration::from_secs(60)), ..Filter::default() }), 0);
    let last = store.records(&Filter { limit: Some(3), ..Filter::default() }).unwrap();
    assert_eq!(last.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [8, 9, 10]);
    let spent = store.spent_since(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    assert_eq!(spent.iter().map(|spent| spent.calls).sum::<u64>(), 8, "those that were refused used up nothing");
}

#[tokio::test]
async fn arguments_are_kept_as_the_policy_says() {
    for (policy, has_digest, kept) in [
        (Arguments::Off, false, None),
        (Arguments::Digest, true, None),
        (Arguments::Redacted, true, Some(r#"{"number":0,"password":"[redacted]"}"#)),
        (Arguments::Full, true, Some(r#"{"number":0,"password":"hunter2"}"#)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let audit = store.audit(Policy { arguments: policy, ..Policy::default() }).unwrap();
        keep(&audit, 0..1).await;
        audit.close();
        let entry = store.records(&Filter::default()).unwrap().remove(0);
        assert_eq!((entry.digest.is_some(), entry.arguments.as_deref()), (has_digest, kept), "{policy:?}");
    }
}

#[tokio::test]
async fn only_its_owner_can_read_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("new/store");
    written(&folder, 1).await;
    for (path, mode) in [(folder.clone(), 0o700), (folder.join("toolcrib.key"), 0o600), (folder.join("toolcrib.db"), 0o600)] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
    fs::set_permissions(folder.join("toolcrib.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Store::open(&folder), Err(StoreError::Exposed(_))));
}

#[tokio::test]
async fn a_sound_log_verifies_and_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = written(folder.path(), 7).await;
    written(folder.path(), 5).await;
    let verdict = store.verify().unwrap();
    assert_eq!((verdict.records, verdict.checkpoints, verdict.first, verdict.broken), (12, 2, Some(1), None));
    assert_eq!(verdict.heads[0].0, 12);
}

#[tokio::test]
async fn tampering_is_found_and_named() {
    let record_is_broken = |seq: i64, id: &str| Some(Broken::Record { seq, id: id.into() });
    let cases = [
        ("UPDATE audit SET subject = 'eve' WHERE seq = 4", record_is_broken(4, "call-3")),
        ("UPDATE audit SET arguments = NULL WHERE seq = 4", record_is_broken(4, "call-3")),
        ("UPDATE audit SET at_ms = at_ms + 1 WHERE seq = 9", record_is_broken(9, "call-8")),
        ("UPDATE audit SET hash = zeroblob(32) WHERE seq = 2", record_is_broken(2, "call-1")),
        ("DELETE FROM audit WHERE seq = 5", Some(Broken::Missing { from: 5, to: 5 })),
        ("DELETE FROM audit WHERE seq <= 3", Some(Broken::Missing { from: 1, to: 3 })),
        ("DELETE FROM audit WHERE seq > 8", Some(Broken::Missing { from: 9, to: 10 })),
        ("DELETE FROM audit", Some(Broken::Missing { from: 1, to: 10 })),
        ("UPDATE audit SET seq = 11 WHERE seq = 10", Some(Broken::Missing { from: 10, to: 10 })),
        ("UPDATE checkpoint SET hash = zeroblob(32)", Some(Broken::Forged(10))),
        ("UPDATE checkpoint SET seq = 9", Some(Broken::Forged(9))),
    ];
    for (statement, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path(), 10).await;
        tamper(folder.path(), statement);
        assert_eq!(broken(folder.path()), expected, "{statement}");
    }
}

#[tokio::test]
async fn a_chain_of_another_store_does_not_pass_for_this_one() {
    // Somebody without the key writes a whole log of the same length, and puts it in the place of this one.
    let [real, forged] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    written(real.path(), 10).await;
    written(forged.path(), 10).await;
    let database: PathBuf = forged.path().join("toolcrib.db");
    tamper(real.path(), &format!("INSERT INTO api_key VALUES ('x', x'00', '{}', '', 0, 0, 0, 0)", database.display()));
    let connection = rusqlite::Connection::open(real.path().join("toolcrib.db")).unwrap();
    connection.execute("ATTACH ?1 AS forged", [database.to_str().unwrap()]).unwrap();
    connection.execute_batch("DELETE FROM audit; INSERT INTO audit SELECT * FROM forged.audit").unwrap();
    drop(connection);
    assert_eq!(broken(real.path()), Some(Broken::Record { seq: 1, id: "call-0".into() }));
}

#[tokio::test]
async fn a_chain_begins_at_its_origin_or_where_retention_cut_it_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 5).await;
    written(folder.path(), 5).await;
    // There is a signed checkpoint at record 5, but retention did not put it there.
    tamper(folder.path(), "DELETE FROM audit WHERE seq <= 5");
    assert_eq!(broken(folder.path()), Some(Broken::Missing { from: 1, to: 5 }));
    tamper(folder.path(), "UPDATE checkpoint SET kind = 'cut' WHERE seq = 5");
    assert_eq!(broken(folder.path()), Some(Broken::Forged(5)));
}

#[tokio::test]
async fn a_store_that_somebody_added_to_or_lost_the_key_of_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let store = written(folder.path(), 3).await;
    let trigger = "CREATE TRIGGER t BEFORE INSERT ON audit BEGIN SELECT raise(IGNORE); END";
    // A log that is open notices that its rows are not written.
    let audit = store.audit(Policy::default()).unwrap();
    rusqlite::Connection::open(folder.path().join("toolcrib.db")).unwrap().execute(trigger, []).unwrap();
    assert!(audit.keep(record(4)).unwrap().await.is_err());
    audit.close();
    assert!(Store::open(folder.path()).unwrap_err().to_string().contains("somebody added to it: trigger t"));

    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 3).await;
    fs::remove_file(folder.path().join("toolcrib.key")).unwrap();
    assert!(matches!(Store::open(folder.path()), Err(StoreError::KeyMissing(_))));
    assert!(!folder.path().join("toolcrib.key").exists());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("toolcrib.db"), "this is no database, it is a note of some length").unwrap();
    fs::write(folder.path().join("toolcrib.key"), "0".repeat(64)).unwrap();
    fs::set_permissions(folder.path().join("toolcrib.key"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(Store::open(folder.path()), Err(StoreError::Damaged { .. })));
}

#[tokio::test]
async fn no_flipped_byte_changes_what_is_read_unnoticed() {
    let folder = tempfile::tempdir().unwrap();
    let store = written(folder.path(), 60).await;
    let (sound, file) = (store.records(&Filter::default()).unwrap(), folder.path().join("toolcrib.db"));
    rusqlite::Connection::open(&file).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let bytes = fs::read(&file).unwrap();
    let mut found = 0;
    for at in (0..bytes.len()).step_by(37) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x20;
        fs::write(&file, &flipped).unwrap();
        let _ = (fs::remove_file(file.with_extension("db-wal")), fs::remove_file(file.with_extension("db-shm")));
        let outcome = Store::open(folder.path()).and_then(|store| Ok((store.verify()?.broken, store.records(&Filter::default())?)));
        match outcome {
            Ok((None, records)) => assert!(records == sound, "the flip at {at} was read and not found"),
            _ => found += 1,
        }
    }
    assert!(found > 100, "{found}");
}

#[tokio::test]
async fn every_flipped_byte_of_a_record_is_found() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 20).await;
    let file = folder.path().join("toolcrib.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let bytes = fs::read(&file).unwrap();
    let text = b"call-7";
    // A page that was split keeps old copies in the space that it has free: one of the places is the record itself.
    let places = bytes.windows(text.len()).enumerate().filter(|(_, window)| window == text).map(|(at, _)| at);
    let is_found = |at: usize| {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        fs::write(&file, &flipped).unwrap();
        let _ = (fs::remove_file(file.with_extension("db-wal")), fs::remove_file(file.with_extension("db-shm")));
        broken(folder.path()).is_some()
    };
    assert_eq!(places.filter(|start| (*start..start + 100).all(is_found)).count(), 1);
}

#[tokio::test]
async fn retention_takes_out_the_oldest_and_the_chain_holds() {
    let folder = tempfile::tempdir().unwrap();
    let store = written(folder.path(), 500).await;
    let audit = store.audit(Policy { max_bytes: Some(100_000), ..Policy::default() }).unwrap();
    // Retention is looked after once at the start, so the first tick has done it when the log is closed.
    keep(&audit, 500..501).await;
    audit.close();
    let verdict = store.verify().unwrap();
    assert_eq!(verdict.broken, None);
    assert!(verdict.first.unwrap() > 1, "{verdict:?}");
    assert_eq!(verdict.heads[0].0, 502, "the log says itself that records were taken out");
    tamper(folder.path(), "DELETE FROM audit WHERE seq = (SELECT min(seq) FROM audit)");
    assert!(matches!(broken(folder.path()), Some(Broken::Missing { .. })));

    let old = tempfile::tempdir().unwrap();
    let store = written(old.path(), 20).await;
    let audit = store.audit(Policy { max_age: Some(Duration::ZERO), ..Policy::default() }).unwrap();
    audit.close();
    let left = store.records(&Filter::default()).unwrap();
    assert_eq!(
        left.iter().map(|entry| &*entry.kind).collect::<Vec<_>>(),
        ["tool", "retention"],
        "the last record stays, for the next to be bound to"
    );
    assert_eq!(store.verify().unwrap().broken, None);

    let changed = tempfile::tempdir().unwrap();
    let store = written(changed.path(), 20).await;
    tamper(changed.path(), "UPDATE audit SET subject = 'eve' WHERE seq = 3");
    store.audit(Policy { max_age: Some(Duration::ZERO), ..Policy::default() }).unwrap().close();
    assert_eq!(
        store.verify().unwrap().broken,
        Some(Broken::Record { seq: 3, id: "call-2".into() }),
        "retention signs for nothing that was changed"
    );
}

#[tokio::test]
async fn several_processes_share_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    // Connections of their own, as processes have them.
    let logs: Vec<_> = (0..3).map(|_| store.audit(Policy::default()).unwrap()).collect();
    let writing: Vec<_> = logs.iter().map(|log| keep(log, 0..40)).collect();
    let mut writing = writing.into_iter();
    tokio::join!(writing.next().unwrap(), writing.next().unwrap(), writing.next().unwrap());
    logs.iter().for_each(|log| log.close());
    let verdict = store.verify().unwrap();
    assert_eq!((verdict.records, verdict.broken), (120, None));
}

#[tokio::test]
async fn keys_are_good_until_they_expire_or_are_revoked() {
    use toolcrib_contract::KeyDirectory;
    use toolcrib_store::NewKey;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let keys = store.api_keys().unwrap();
    let new = |expires| NewKey { subject: "ci".into(), roles: vec!["user".into()], expires };
    let issued = keys.issue(&new(None)).unwrap();
    let holder = keys.holder(&issued.key).unwrap();
    assert_eq!((holder.principal().as_ref(), holder.has_role("user")), ("key:ci", true));
    let (start, end) = issued.key.split_at(issued.key.len() - 1);
    let other = if end == "0" { "1" } else { "0" };
    for wrong in [&*format!("{start}{other}"), start, "tck_", "tck_x_y", "", &issued.key[4..], &issued.key.to_uppercase()] {
        assert!(keys.holder(wrong).is_none(), "{wrong}");
    }
    let database = fs::read(folder.path().join("toolcrib.db-wal")).unwrap();
    let secret = issued.key.rsplit('_').next().unwrap().as_bytes();
    assert!(!database.windows(secret.len()).any(|window| window == secret), "only a keyed hash is kept");

    tamper(folder.path(), "UPDATE api_key SET roles = '[\"admin\"]'");
    assert!(store.api_keys().unwrap().holder(&issued.key).is_none(), "what a key is for is part of it");
    tamper(folder.path(), "UPDATE api_key SET roles = '[\"user\"]'");

    let expired = keys.issue(&new(Some(SystemTime::now() - Duration::from_secs(1)))).unwrap();
    assert!(keys.holder(&expired.key).is_none());
    assert!(keys.revoke(&issued.id).unwrap());
    assert!(!keys.revoke(&issued.id).unwrap());
    assert!(keys.holder(&issued.key).is_none());
    tamper(folder.path(), "UPDATE api_key SET revoked_ms = NULL");
    assert!(store.api_keys().unwrap().holder(&issued.key).is_none(), "nobody makes a revoked key good again");
    tamper(folder.path(), "UPDATE api_key SET revoked_ms = 1");
    assert_eq!(keys.list().unwrap().iter().filter(|key| key.revoked.is_some()).count(), 2);
}

#[tokio::test]
async fn secrets_open_for_their_owner_alone() {
    use toolcrib_contract::Secrets;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let secrets = store.secrets().unwrap();
    let [ann, bob] = ["ann", "bob"].map(|name| CallerId::new("login", name, [""; 0]));
    secrets.set("github", &ann, "ghp_of-ann").unwrap();
    secrets.set("github", &bob, "ghp_of-bob").unwrap();
    secrets.set("github", &ann, "ghp_of-ann-2").unwrap();
    assert_eq!(secrets.secret("github", &ann).as_deref().map(String::as_str), Some("ghp_of-ann-2"));
    assert!(secrets.secret("gitlab", &ann).is_none());
    assert!(secrets.secret("github", &CallerId::new("other", "ann", [""; 0])).is_none(), "another authority's ann is somebody else");
    for file in ["toolcrib.db", "toolcrib.db-wal"] {
        let bytes = fs::read(folder.path().join(file)).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"ghp_of-"), "{file}");
    }
    assert_eq!(secrets.list().unwrap().len(), 2);
    // A row that is given to somebody else opens for nobody.
    tamper(
        folder.path(),
        "UPDATE secret SET sealed = (SELECT sealed FROM secret WHERE principal = 'login:bob') WHERE principal = 'login:ann'",
    );
    assert!(secrets.secret("github", &ann).is_none());
    assert!(secrets.remove("github", &bob).unwrap() && !secrets.remove("github", &bob).unwrap());
}
