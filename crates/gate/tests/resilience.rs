//! What is done about faults, on a clock that the tests turn.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use toolcrib_contract::{Annotations, Call, CallError, CallerId, Json, Origin, Outage, Output, Spec, callable};
use toolcrib_gate::{Arrived, Caching, Config, Credential, Fallback, Reply, Resilience, Trip};
use toolcrib_testkit::{Deaf, OpenGate, TestGate, said};

fn unreached() -> CallError {
    CallError::Unavailable { server: "s".into(), reason: "refused".into(), outage: Outage::Unreached }
}

fn unknown() -> CallError {
    CallError::OutcomeUnknown { server: "s".into(), reason: "gone".into() }
}

/// A tool that ends with these in turn, and then well; and how often it was called.
fn flaky(name: &str, gate: TestGate, faults: Vec<CallError>) -> (TestGate, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let gate = gate.tool(name, move |_, _| {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        let fault = faults.get(number).cloned();
        async move { fault.map_or_else(|| said("well"), Err) }
    });
    (gate, calls)
}

fn texts(reply: &Reply) -> Vec<String> {
    let Output::Tool(output) = &reply.output else { panic!("{reply:?}") };
    let text = |content: &toolcrib_contract::Content| match content {
        toolcrib_contract::Content::Text { text } => text.clone(),
        other => panic!("{other:?}"),
    };
    output.content.iter().map(text).collect()
}

async fn call_as(gate: &OpenGate, caller: &str, tool: &str, arguments: &str) -> Result<Reply, CallError> {
    let local = CallerId::new(CallerId::LOCAL, caller, [""; 0]);
    let caller = gate.gate().authenticate(Credential::Local(local)).await.expect("anybody may call");
    let call = Call::tool(tool, Json::parse(arguments.to_owned()).expect("the test's arguments are JSON"));
    gate.gate().call(Arrived { caller, profile: None, call, origin: Origin::door("test"), back: Arc::new(Deaf) }).await
}

#[tokio::test(start_paused = true)]
async fn what_was_not_started_is_tried_again_as_often_as_configured() {
    for (attempts, expected) in [(1, 1), (3, 3), (5, 4)] {
        let (gate, calls) = flaky("t", TestGate::default(), vec![unreached(), unreached(), unreached()]);
        let gate = gate.resilience(Resilience { attempts, ..Resilience::default() }, &[]).open();
        let result = gate.call("t", "{}").await;
        assert_eq!(calls.load(Ordering::Relaxed), expected, "{attempts} attempts");
        match result {
            Ok(_) => assert_eq!(attempts, 5),
            Err(error) if attempts == 1 => assert!(!error.to_string().contains("attempts"), "{error}"),
            Err(error) => assert!(error.to_string().contains("refused (3 attempts); nothing was started"), "{error}"),
        }
        assert_eq!(gate.records().len(), 1, "one call, one record");
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_done_is_done_again_only_where_that_is_harmless() {
    let repeatable = |is_repeatable| Resilience { is_repeatable: Some(is_repeatable), trusts_hints: true, ..Resilience::default() };
    let trusting = || Resilience { trusts_hints: true, ..Resilience::default() };
    let reads = Annotations { is_read_only: Some(true), ..Annotations::default() };
    let repeats = Annotations { is_idempotent: Some(true), ..Annotations::default() };
    for (resilience, annotations, expected) in [
        (Resilience::default(), Annotations::default(), 1),
        // What a tool says of itself counts only where it is trusted.
        (Resilience::default(), reads, 1),
        (trusting(), reads, 2),
        (trusting(), repeats, 2),
        (trusting(), Annotations::default(), 1),
        (repeatable(true), Annotations::default(), 2),
        (repeatable(false), reads, 1),
    ] {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let spec = Spec { annotations, ..Spec::new("t", "For a test.") };
        let run = callable(move |_, _| {
            let is_first = counted.fetch_add(1, Ordering::Relaxed) == 0;
            async move { if is_first { Err(unknown()) } else { said("well") } }
        });
        let gate = TestGate::default().resilience(resilience.clone(), &[]).entry(spec, run).open();
        let result = gate.call("t", "{}").await;
        assert_eq!((calls.load(Ordering::Relaxed), result.is_ok()), (expected, expected == 2), "{resilience:?} {annotations:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_attempt_is_made_that_the_deadline_would_end() {
    let busy = CallError::Unavailable { server: "s".into(), reason: "busy".into(), outage: Outage::Busy(Some(Duration::from_secs(40))) };
    let (gate, calls) = flaky("t", TestGate::default(), vec![busy]);
    let gate = gate.open();
    let error = gate.call("t", "{}").await.unwrap_err();
    assert!(error.to_string().ends_with("try again in 40 s"), "{error}");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn what_fails_again_and_again_is_left_alone_and_then_tried_once() {
    let trip = Trip { failures: 3, recovery: Duration::from_secs(60) };
    let settings = Resilience { attempts: 1, breaker: Some(trip), ..Resilience::default() };
    let gate = TestGate::default().resilience(settings, &[]).tool("neighbour", |_, _| async { said("well") });
    let (gate, calls) = flaky("t", gate, vec![unknown(); 4]);
    let gate = gate.config(Config { max_concurrent: 50, ..Config::default() }).open();
    for _ in 0..3 {
        assert!(matches!(gate.call("t", "{}").await, Err(CallError::OutcomeUnknown { .. })));
        tokio::time::advance(Duration::from_millis(1)).await;
        // Another tool of the source answers: the source is well.
        gate.call("neighbour", "{}").await.unwrap();
    }
    let error = gate.call("t", "{}").await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("this tool failed 3 times in a row") && said.contains("gone") && said.ends_with("try again in 60 s"), "{said}");
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    gate.call("neighbour", "{}").await.unwrap();
    tokio::time::advance(trip.recovery).await;
    let (one, two, three) = tokio::join!(gate.call("t", "{}"), gate.call("t", "{}"), gate.call("t", "{}"));
    assert!(one.is_err() && two.is_err() && three.is_err());
    assert_eq!(calls.load(Ordering::Relaxed), 4, "one tries, and fails");
    tokio::time::advance(trip.recovery).await;
    gate.call("t", "{}").await.unwrap();
    gate.call("t", "{}").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_faults_of_the_server_open_the_breaker() {
    let trip = Trip { failures: 1, recovery: Duration::from_secs(60) };
    let settings = Resilience { attempts: 1, breaker: Some(trip), ..Resilience::default() };
    let harmless = vec![
        CallError::failed("no such file"),
        CallError::InvalidArguments("no".into()),
        CallError::Refused { code: -32602, message: "no".into(), data: None },
        CallError::CannotAsk { capability: "sampling" },
        CallError::Unavailable { server: "s".into(), reason: "somebody has to sign in".into(), outage: Outage::Lasting },
        CallError::Unavailable { server: "s".into(), reason: "it is starting".into(), outage: Outage::Down },
    ];
    let (gate, calls) = flaky("t", TestGate::default().resilience(settings.clone(), &[]), harmless.clone());
    let gate = gate.open();
    for _ in &harmless {
        gate.call("t", "{}").await.unwrap_err();
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    gate.call("t", "{}").await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), harmless.len() + 1);

    // One that gives no answer in time has failed; one whose client leaves has not.
    let gate = TestGate::default().resilience(settings, &[]).tool("hangs", |_, _| pending()).open();
    tokio::select! {
        _ = gate.call("hangs", "{}") => panic!("it hangs"),
        () = tokio::time::sleep(Duration::from_secs(1)) => {}
    }
    assert!(matches!(gate.call("hangs", "{}").await, Err(CallError::DeadlineExceeded(_))));
    assert!(gate.call("hangs", "{}").await.unwrap_err().to_string().contains("no answer in time"));
}

#[tokio::test(start_paused = true)]
async fn answers_are_remembered_for_those_who_asked() {
    let caching = Caching { ttl: Duration::from_secs(60), is_shared: false };
    let own = Resilience { caching: Some(caching), ..Resilience::default() };
    let shared = Resilience { caching: Some(Caching { is_shared: true, ..caching }), ..Resilience::default() };
    let of_tools = [("own", own.clone()), ("shared", shared), ("fails", own.clone()), ("questions", own)];
    let calls = Arc::new(AtomicUsize::new(0));
    let count = |name: &str| {
        let calls = Arc::clone(&calls);
        let fault = match name {
            "fails" => Some(CallError::failed("no")),
            "questions" => Some(CallError::CannotAsk { capability: "elicitation" }),
            _ => None,
        };
        move |_, _| {
            let (number, fault) = (calls.fetch_add(1, Ordering::Relaxed), fault.clone());
            async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                fault.map_or_else(|| said(&number.to_string()), Err)
            }
        }
    };
    let gate = TestGate::default().resilience(Resilience::default(), &of_tools);
    let gate = gate
        .tool("own", count("own"))
        .tool("shared", count("shared"))
        .tool("fails", count("fails"))
        .tool("questions", count("questions"))
        .open();
    let text = |reply: Result<Reply, CallError>| texts(&reply.unwrap()).remove(0);
    // However the arguments are written; of those that come together one is made.
    let (one, two) = tokio::join!(
        call_as(&gate, "ann", "own", r#"{"a":1,"b":[{"c":2,"d":3}]}"#),
        call_as(&gate, "ann", "own", r#"{ "b":[{"d":3,"c":2}], "a":1 }"#)
    );
    assert_eq!((text(one), text(two)), ("0".into(), "0".into()));
    assert_eq!(text(call_as(&gate, "ann", "own", r#"{"a":2}"#).await), "1");
    assert_eq!(text(call_as(&gate, "bob", "own", r#"{"a":2}"#).await), "2", "nobody is answered what another was");
    assert_eq!(text(call_as(&gate, "ann", "shared", "{}").await), "3");
    assert_eq!(text(call_as(&gate, "bob", "shared", "{}").await), "3");
    for _ in 0..2 {
        gate.call("fails", "{}").await.unwrap_err();
    }
    assert_eq!(calls.load(Ordering::Relaxed), 6, "what failed is not remembered");
    assert_eq!(gate.records().len(), 8, "each call has its record");
    // What could not be asked of one client is not so for another.
    let counted = calls.load(Ordering::Relaxed);
    let (one, two) = tokio::join!(call_as(&gate, "ann", "questions", "{}"), call_as(&gate, "ann", "questions", "{}"));
    assert!(matches!((one, two), (Err(CallError::CannotAsk { .. }), Err(CallError::CannotAsk { .. }))));
    assert_eq!(calls.load(Ordering::Relaxed), counted + 2, "each is asked for itself");
    let counted = calls.load(Ordering::Relaxed);
    // Whoever has begun it and leaves does not take it from those who wait.
    let (first, second) = (call_as(&gate, "ann", "own", r#"{"a":3}"#), call_as(&gate, "ann", "own", r#"{"a":3}"#));
    let leaving = tokio::time::timeout(Duration::from_millis(5), first);
    let (left, stayed) = tokio::join!(leaving, second);
    assert!(left.is_err());
    assert_eq!(text(stayed), (counted + 1).to_string());
}

#[tokio::test(start_paused = true)]
async fn another_tool_answers_instead_and_says_so() {
    let fallback = |tool: &str, arguments: Option<&[(&str, &str)]>| {
        let arguments = arguments.map(|names| names.iter().map(|(theirs, ours)| ((*theirs).to_owned(), (*ours).to_owned())).collect());
        Resilience { attempts: 1, fallback: Some(Fallback { tool: tool.into(), arguments }), ..Resilience::default() }
    };
    let of_tools = [
        ("first", fallback("second", None)),
        ("named", fallback("second", Some(&[("city", "place")]))),
        ("writes", fallback("second", None)),
        ("lost", fallback("broken", None)),
        ("broken", fallback("second", None)),
    ];
    let down = |_, _| async { Err(unreached()) };
    let gate = TestGate::default().resilience(Resilience::default(), &of_tools);
    let gate = gate
        .tool("first", down)
        .tool("named", down)
        .tool("lost", down)
        .tool("broken", down)
        .tool("writes", |_, _| async { Err(unknown()) });
    let gate = gate.tool("second", |input, _| async move { said(input.arguments.as_str()) }).open();
    let reply = gate.call("first", r#"{"a": 1}"#).await.unwrap();
    let said = texts(&reply);
    assert!(said[0].starts_with("(first could not answer, this is from second: "), "{said:?}");
    assert_eq!(said[1], r#"{"a": 1}"#);
    let Output::Tool(output) = &reply.output else { panic!() };
    assert!(output.meta.as_ref().unwrap().as_str().contains(r#""dev.toolcrib/fallback":{"tool":"second","insteadOf":"first""#));
    assert_eq!(texts(&gate.call("named", r#"{"place": "Bonn", "days": 2}"#).await.unwrap())[1], r#"{"city":"Bonn"}"#);
    // What may have been done is not done otherwise; and nobody falls for ever.
    assert!(matches!(gate.call("writes", "{}").await, Err(CallError::OutcomeUnknown { .. })));
    let error = gate.call("lost", "{}").await.unwrap_err().to_string();
    assert!(error.contains("broken was tried instead, and failed, too"), "{error}");
}

#[tokio::test]
async fn a_tool_has_places_of_its_own_besides_those_of_all() {
    let narrow = Resilience { max_concurrent: Some(1), ..Resilience::default() };
    let (begun, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (counted, waited) = (Arc::clone(&begun), Arc::clone(&go_on));
    let gate = TestGate::default()
        .config(Config { max_concurrent: 2, ..Config::default() })
        .resilience(Resilience::default(), &[("narrow", narrow)])
        .tool("narrow", move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            let waited = Arc::clone(&waited);
            async move {
                waited.notified().await;
                said("done")
            }
        })
        .tool("other", |_, _| async { said("well") })
        .open();
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let gate = gate.clone();
            tokio::spawn(async move { gate.call("narrow", "{}").await })
        })
        .collect();
    while begun.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    // Two more wait for the tool; they take no place from the rest.
    gate.call("other", "{}").await.unwrap();
    assert_eq!(begun.load(Ordering::Relaxed), 1);
    for call in calls {
        go_on.notify_one();
        call.await.unwrap().unwrap();
    }
}
