//! Replicas, and what they share.

#![expect(clippy::unwrap_used, reason = "in a test, what goes wrong ends it")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use toolcrib_contract::{Counted, Counter, Home, Known, SharedCounts};
use toolcrib_store::{Adoption, Replicas, SharedAt, SharedKey, Standing, Whereabouts};
use toolcrib_testkit::servers::{Guard, Valkey};

/// What docs/replicas.md says that may be done there.
const COMMANDS: [&str; 17] = [
    "EVAL",
    "EVALSHA",
    "SCRIPT LOAD",
    "TIME",
    "HSET",
    "HGET",
    "HMGET",
    "HDEL",
    "HGETALL",
    "ZADD",
    "ZREM",
    "ZSCORE",
    "ZRANGEBYSCORE",
    "EXPIRE",
    "PEXPIRE",
    "UNLINK",
    "PING",
];
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(60);

fn key(digit: char) -> SharedKey {
    SharedKey::parse(&digit.to_string().repeat(64)).unwrap()
}

/// The server at this URL.
fn one(url: String) -> SharedAt {
    SharedAt { urls: vec![url], is_cluster: false, roots: None }
}

async fn join(valkey: &Valkey, name: &str) -> Arc<Replicas> {
    let replicas = Replicas::join(&one(valkey.url()), &key('a'), false).await.unwrap();
    replicas.announce(format!("http://{name}")).await;
    replicas
}

async fn wait_for(what: &str, look: impl AsyncFn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !look().await {
        assert!(Instant::now() < end, "{what} does not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Longer than a test may run: whatever the clock says, it is one window.
const WINDOW: Duration = Duration::from_secs(1 << 31);

fn counter(what: &str, limit: u64, known: Option<Known>) -> Counter {
    Counter { what: what.into(), limit, window: WINDOW, known }
}

/// What one counter says.
async fn counted(replica: &Replicas, whose: &str, counter: Counter) -> u64 {
    match replica.count(whose, &[counter]).await.unwrap() {
        Counted::All(counts) => counts[0].calls,
        full @ Counted::Full { .. } => panic!("{full:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_knows_where_the_others_are_and_takes_over_from_those_who_are_gone() {
    let valkey = Valkey::start();
    let (one, two) = (join(&valkey, "one").await, join(&valkey, "two").await);
    let session = one.home().name("session");
    assert_eq!((one.whereabouts(&session), one.whereabouts("nameless")), (Whereabouts::Here, Whereabouts::Here));
    assert_eq!(two.whereabouts(&session), Whereabouts::There("http://one".into()));
    wait_for("the second", async || one.together() == 2).await;
    assert_eq!(one.whereabouts(&two.home().name("x")), Whereabouts::There("http://two".into()));

    one.keep_session(&session, "what it is", IDLE).await;
    assert_eq!(two.adopt_session(&session).await, Adoption::There("http://one".into()), "it stays with whoever is there");
    assert_eq!(one.adopt_session(&session).await, Adoption::Ours("what it is".into()), "who has lost it has it again");
    assert_eq!(two.adopt_session("other~session").await, Adoption::None);
    let renewed = async |of: &Replicas| of.renew_sessions(&[(session.as_str().into(), IDLE), ("unknown".into(), IDLE)]).await;
    assert_eq!(renewed(&one).await, [Standing::Ours, Standing::Unknown]);

    let three = join(&valkey, "three").await;
    // One that has shut its door is there for what was asked of it, and for nothing else.
    one.close().await;
    wait_for("its closing", async || two.whereabouts(&session) == Whereabouts::Gone).await;
    assert!(two.is_there("http://one") && !two.is_there("http://four"));
    one.leave().await;
    wait_for("its end", async || !two.is_there("http://one")).await;
    wait_for("its end for all,", async || {
        three.whereabouts(&session) == Whereabouts::Gone && two.whereabouts(&session) == Whereabouts::Gone
    })
    .await;
    // One that still has to tidy up does not come back by that.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(three.whereabouts(&session), Whereabouts::Gone);
    assert_eq!(three.adopt_session(&session).await, Adoption::Ours("what it is".into()));
    assert_eq!(two.adopt_session(&session).await, Adoption::There("http://three".into()), "only one takes it over");
    // Whoever had it before takes nothing back.
    one.keep_session(&session, "what it was", IDLE).await;
    assert_eq!(renewed(&one).await[0], Standing::Theirs);
    assert_eq!(three.adopt_session(&session).await, Adoption::Ours("what it is".into()));
    three.forget_session(&session).await;
    assert_eq!(two.adopt_session(&session).await, Adoption::None);

    // One that does not even say that it leaves is missed.
    let silent = two.home();
    drop(two);
    wait_for("its end", async || three.whereabouts(&silent.name("x")) == Whereabouts::Gone).await;
    assert_eq!(Home::of(&silent.name("x")).unwrap().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_counted_once_for_all() {
    let mut valkey = Valkey::start();
    let replicas = [join(&valkey, "one").await, join(&valkey, "two").await, join(&valkey, "three").await];
    let asked: Vec<_> = (0..300)
        .map(|number| {
            let replica = Arc::clone(&replicas[number % 3]);
            tokio::spawn(async move { replica.count("ann", &[counter("day", 100, None), counter("all", 1000, None)]).await.unwrap() })
        })
        .collect();
    let mut passed = Vec::new();
    for asked in asked {
        match asked.await.unwrap() {
            Counted::All(counts) => passed.push(counts[0].calls),
            Counted::Full { counter, ends_in } => assert!(counter == 0 && ends_in <= WINDOW),
        }
    }
    passed.sort_unstable();
    assert_eq!(passed, (1..=100).collect::<Vec<_>>(), "each of the hundred is let pass once");
    // What one full counter refuses no other counts.
    assert_eq!(counted(&replicas[0], "ann", counter("all", 1000, None)).await, 101);
    assert_eq!(counted(&replicas[0], "bob", counter("day", 100, None)).await, 1);
    // What it has on disk it still knows when it comes back.
    valkey.kill();
    let away = replicas[0].count("ann", &[counter("all", 1000, None)]).await.unwrap_err();
    assert!(away.to_string().contains("cannot be reached"), "{away}");
    valkey.start_again();
    for replica in &replicas {
        wait_for("an answer", async || replica.count("carl", &[counter("all", 1000, None)]).await.is_ok()).await;
    }
    assert_eq!(counted(&replicas[1], "bob", counter("day", 100, None)).await, 2);
    // What it has forgotten those know who ask.
    valkey.forget();
    let known = |window, calls| counter("day", 100, Some(Known { window, calls }));
    assert_eq!(counted(&replicas[1], "bob", known(0, 42)).await, 43);
    // Of another window they know nothing that counts.
    assert_eq!(counted(&replicas[1], "bob", known(1, 77)).await, 44);
    wait_for("the others", async || replicas[0].together() == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_replicas_speak_for_others() {
    let valkey = Valkey::start();
    let (first, two) = (join(&valkey, "one").await, join(&valkey, "two").await);
    let said = first.vouch_for("2001:db8::7".parse().ok(), 1);
    assert_eq!(two.vouched(&said), Some(("2001:db8::7".parse().ok(), 1)));
    assert_eq!(two.vouched(&first.vouch_for(None, 2)), Some((None, 2)));
    assert_eq!(two.vouched(&said.replace("::7", "::8")), None);
    assert_eq!(two.vouched("10.0.0.1;99999999999999;1;00"), None);
    let stranger = Replicas::join(&one(valkey.url()), &key('b'), false).await.unwrap();
    assert_eq!(two.vouched(&stranger.vouch_for(None, 1)), None);
    let nowhere = one("redis://ann:hunter2@127.0.0.1:1".into());
    let error = Replicas::join(&nowhere, &key('a'), false).await.unwrap_err().to_string();
    assert!(
        error.starts_with("redis://127.0.0.1:1: ") && !error.contains("hunter2") && !format!("{nowhere:?}").contains("hunter2"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_does_what_one_does() {
    let mut nodes = Valkey::cluster();
    // One is named: the others are learnt from it.
    let at = SharedAt { urls: vec![nodes[0].url()], is_cluster: true, roots: None };
    let join = async |name: &str| {
        let replicas = Replicas::join(&at, &key('a'), false).await.unwrap();
        replicas.announce(format!("http://{name}")).await;
        replicas
    };
    let (first, second) = (join("one").await, join("two").await);
    wait_for("the second", async || first.together() == 2).await;
    let session = first.home().name("session");
    first.keep_session(&session, "what it is", IDLE).await;
    assert_eq!(second.adopt_session(&session).await, Adoption::There("http://one".into()));
    let unknown = first.home().name("unknown");
    let renewed = first.renew_sessions(&[(session.as_str().into(), IDLE), (unknown.into(), IDLE)]).await;
    assert_eq!(renewed, [Standing::Ours, Standing::Unknown]);
    first.leave().await;
    wait_for("its end", async || second.whereabouts(&session) == Whereabouts::Gone).await;
    assert_eq!(second.adopt_session(&session).await, Adoption::Ours("what it is".into()));
    // Callers are spread over the nodes: one that is gone costs those that it counts, until it is back.
    let callers: Vec<String> = (0..30).map(|number| format!("caller-{number}")).collect();
    for caller in &callers {
        for expected in 1..=2 {
            assert_eq!(counted(&second, caller, counter("day", 2, None)).await, expected);
        }
        assert!(matches!(second.count(caller, &[counter("day", 2, None)]).await.unwrap(), Counted::Full { .. }));
    }
    nodes[2].kill();
    let mut costs = 0;
    for caller in &callers {
        costs += usize::from(second.count(caller, &[counter("day", 2, None)]).await.is_err());
    }
    assert!(costs > 0, "nobody was counted there");
    nodes[2].start_again();
    for caller in &callers {
        let is_full =
            async || second.count(caller, &[counter("day", 2, None)]).await.is_ok_and(|told| matches!(told, Counted::Full { .. }));
        wait_for("its node", is_full).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guarded_server_is_reached_by_tls_with_a_password_and_no_more_rights_than_are_needed() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (certificate, key_of_it) = (made.cert.pem(), made.signing_key.serialize_pem());
    let guard = Guard { certificate: certificate.clone(), key: key_of_it, password: "hunter2".into() };
    let valkey = Valkey::guarded(&guard, &COMMANDS, "*toolcrib*");
    let at = |login: &str, roots: Option<&str>| SharedAt {
        urls: vec![format!("rediss://{login}127.0.0.1:{}", valkey.port())],
        is_cluster: false,
        roots: roots.map(|roots| roots.as_bytes().to_vec()),
    };
    let refused = async |at: SharedAt| Replicas::join(&at, &key('a'), false).await.unwrap_err().to_string();
    let (untrusted, wrong) = (refused(at("toolcrib:hunter2@", None)).await, refused(at("toolcrib:hunter3@", Some(&certificate))).await);
    assert!(untrusted.to_lowercase().contains("certificate"), "{untrusted}");
    assert!(wrong.contains("authentication failed") && !wrong.contains("hunter"), "{wrong}");
    refused(at("", Some(&certificate))).await;

    let (first, second) = (at("toolcrib:hunter2@", Some(&certificate)), at("toolcrib:hunter2@", Some(&certificate)));
    let first = Replicas::join(&first, &key('a'), false).await.unwrap();
    let second = Replicas::join(&second, &key('a'), false).await.unwrap();
    first.announce("http://one".into()).await;
    second.announce("http://two".into()).await;
    wait_for("the second", async || first.together() == 2).await;
    let session = first.home().name("session");
    first.keep_session(&session, "what it is", IDLE).await;
    assert_eq!(first.renew_sessions(&[(session.as_str().into(), IDLE)]).await, [Standing::Ours]);
    assert_eq!(counted(&first, "ann", counter("day", 2, None)).await, 1);
    first.close().await;
    first.leave().await;
    wait_for("its end", async || second.whereabouts(&session) == Whereabouts::Gone).await;
    assert_eq!(second.adopt_session(&session).await, Adoption::Ours("what it is".into()));
    second.forget_session(&session).await;
    assert_eq!(second.adopt_session(&session).await, Adoption::None);
}
