//! Replicas, and what they share.

#![expect(clippy::unwrap_used, reason = "in a test, what goes wrong ends it")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use toolcrib_contract::{Counted, Counter, Home, Known, SharedCounts};
use toolcrib_store::{Adoption, Replicas, SharedAt, SharedKey, Standing, Whereabouts};
use toolcrib_testkit::servers::Valkey;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(60);

fn key(digit: char) -> SharedKey {
    SharedKey::parse(&digit.to_string().repeat(64)).unwrap()
}

async fn join(valkey: &Valkey, name: &str) -> Arc<Replicas> {
    let replicas = Replicas::join(&SharedAt { url: valkey.url(), roots: None }, &key('a'), false).await.unwrap();
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
    let (one, two) = (join(&valkey, "one").await, join(&valkey, "two").await);
    let said = one.vouch_for("2001:db8::7".parse().ok(), 1);
    assert_eq!(two.vouched(&said), Some(("2001:db8::7".parse().ok(), 1)));
    assert_eq!(two.vouched(&one.vouch_for(None, 2)), Some((None, 2)));
    assert_eq!(two.vouched(&said.replace("::7", "::8")), None);
    assert_eq!(two.vouched("10.0.0.1;99999999999999;1;00"), None);
    let stranger = Replicas::join(&SharedAt { url: valkey.url(), roots: None }, &key('b'), false).await.unwrap();
    assert_eq!(two.vouched(&stranger.vouch_for(None, 1)), None);
    let nowhere = SharedAt { url: "redis://ann:hunter2@127.0.0.1:1".into(), roots: None };
    let error = Replicas::join(&nowhere, &key('a'), false).await.unwrap_err().to_string();
    assert!(
        error.starts_with("redis://127.0.0.1:1: ") && !error.contains("hunter2") && !format!("{nowhere:?}").contains("hunter2"),
        "{error}"
    );
}
