//! The way of a call, without sockets, on a clock that the tests turn.

use std::{future::pending, sync::Arc, time::Duration};
use tokio::sync::{Notify, Semaphore};
use toolcrib_contract::{Call, CallContext, CallError, Json, Origin, Outcome, Output, ResourceSpec, Spec, callable};
use toolcrib_gate::{Arrived, Config, Credential, Source};
use toolcrib_testkit::{Deaf, OpenGate, TestGate, said};

fn text_of(output: &Output) -> &str {
    match output {
        Output::Tool(tool) => match &tool.content[0] {
            toolcrib_contract::Content::Text { text } => text,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn codes(gate: &OpenGate) -> Vec<String> {
    let code = |outcome: Outcome| match outcome {
        Outcome::Answered { is_error, .. } => format!("answered{}", if is_error { " with an error" } else { "" }),
        Outcome::Refused(code) => code.to_owned(),
        Outcome::Abandoned => "abandoned".to_owned(),
    };
    gate.records().into_iter().map(|record| code(record.outcome)).collect()
}

#[tokio::test]
async fn a_call_is_answered_and_recorded() {
    let gate = TestGate::default().tool("echo", |input, _| async move { said(input.arguments.as_str()) }).open();
    let reply = gate.call("echo", r#"{"a": 1.50}"#).await.unwrap();
    assert_eq!(text_of(&reply.output), r#"{"a": 1.50}"#, "arguments arrive as they were written");
    let record = gate.records().pop().unwrap();
    assert_eq!(
        (&*record.name, record.origin.door, record.arguments.size_bytes(), &*record.caller.subject),
        ("echo", "test", 11, "anonymous")
    );
    assert!(matches!(record.outcome, Outcome::Answered { is_error: false, output_bytes: 11 }));
}

#[tokio::test]
async fn every_way_out_leaves_one_record() {
    let number = Json::parse(r#"{"type":"object","properties":{"n":{"type":"integer"}}}"#).unwrap();
    let gate = TestGate::default()
        .config(Config { max_output_bytes: 10, max_argument_bytes: 100, ..Config::default() })
        .tool("fails", |_, _| async { Err(CallError::failed("no luck")) })
        .tool("panics", |_, _| async { panic!("on purpose") })
        .tool("floods", |_, _| async { said("more than ten bytes") })
        .entry(Spec::new("counts", "").input_schema(number), callable(|_, _| async { said("ok") }))
        .open();
    for (tool, arguments) in [
        ("unknown", "{}"),
        ("fails", "{}"),
        ("panics", "{}"),
        ("floods", "{}"),
        ("counts", r#"{"n": "one"}"#),
        ("counts", "[1]"),
        ("counts", &format!(r#"{{"n": {}}}"#, "1".repeat(200))),
    ] {
        gate.call(tool, arguments).await.unwrap_err();
    }
    gate.call("counts", r#"{"n": 1}"#).await.unwrap();
    assert_eq!(
        codes(&gate),
        [
            "not_found",
            "answered with an error",
            "panicked",
            "too_large",
            "invalid_arguments",
            "invalid_arguments",
            "invalid_arguments",
            "answered"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline() {
    let config = Config { timeout: Duration::from_secs(3), ..Config::default() };
    let spec = Spec::new("patient", "").timeout(Duration::from_secs(60));
    let gate = TestGate::default()
        .config(config)
        .tool("hangs", |_, _| pending())
        .entry(
            spec,
            callable(|_, _| async {
                tokio::time::sleep(Duration::from_secs(50)).await;
                said("at last")
            }),
        )
        .open();
    let error = gate.call("hangs", "{}").await.unwrap_err();
    assert_eq!(error.to_string(), "no answer within the deadline of 3 s");
    assert_eq!(text_of(&gate.call("patient", "{}").await.unwrap().output), "at last", "a tool may have a deadline of its own");
}

#[tokio::test]
async fn a_call_that_always_has_something_to_do_ends_at_its_deadline() {
    let config = Config { timeout: Duration::from_millis(50), ..Config::default() };
    let busy = |_, _| async {
        loop {
            tokio::task::consume_budget().await;
        }
    };
    let gate = TestGate::default().config(config).tool("busy", busy).open();
    assert!(matches!(gate.call("busy", "{}").await, Err(CallError::DeadlineExceeded(_))));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_counts_against_the_deadline() {
    let config = Config { timeout: Duration::from_secs(3), max_concurrent: 1, ..Config::default() };
    let gate = TestGate::default().config(config).tool("hangs", |_, _| pending()).open();
    let (first, second) = tokio::join!(gate.call("hangs", "{}"), gate.call("hangs", "{}"));
    assert!(matches!(first, Err(CallError::DeadlineExceeded(_))));
    assert!(matches!(second, Err(CallError::DeadlineExceeded(_))));
}

#[tokio::test]
async fn no_more_calls_run_at_once_than_there_are_places() {
    let running = Arc::new(Semaphore::new(2));
    let inside = Arc::clone(&running);
    let gate = TestGate::default()
        .config(Config { max_concurrent: 2, ..Config::default() })
        .tool("counts", move |_, _| {
            let inside = Arc::clone(&inside);
            async move {
                let _place = inside.try_acquire().map_err(|_| CallError::failed("a third call runs"))?;
                tokio::task::yield_now().await;
                said("ok")
            }
        })
        .open();
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let gate = gate.clone();
            tokio::spawn(async move { gate.call("counts", "{}").await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let gate =
        TestGate::default().config(Config { max_concurrent: 1, max_queued: 1, ..Config::default() }).tool("hangs", |_, _| pending()).open();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let gate = gate.clone();
        calls.spawn(async move { gate.call("hangs", "{}").await });
    }
    // One runs, one waits; the third is the first to end.
    let error = calls.join_next().await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, CallError::Overloaded { limit: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_source_that_hangs_takes_no_place_from_another() {
    let gate = TestGate::default().config(Config { max_concurrent: 1, ..Config::default() }).tool("hangs", |_, _| pending()).open();
    let mut neighbour = Source::new("neighbour");
    neighbour.tool(Spec::new("answers", ""), callable(|_, _| async { said("here") })).unwrap();
    assert!(gate.gate().publish(neighbour).is_empty());
    let hanging = {
        let gate = gate.clone();
        tokio::spawn(async move { gate.call("hangs", "{}").await })
    };
    tokio::task::yield_now().await;
    for _ in 0..10 {
        gate.call("answers", "{}").await.unwrap();
    }
    hanging.abort();
}

#[tokio::test]
async fn an_abandoned_call_is_recorded_and_its_work_dropped() {
    struct Dropped(Arc<Notify>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let (started, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (on_start, on_drop) = (Arc::clone(&started), Arc::clone(&dropped));
    let gate = TestGate::default()
        .tool("hangs", move |_, _| {
            let guard = Dropped(Arc::clone(&on_drop));
            let on_start = Arc::clone(&on_start);
            async move {
                let _guard = guard;
                on_start.notify_one();
                pending().await
            }
        })
        .open();
    let caller = {
        let gate = gate.clone();
        tokio::spawn(async move { gate.call("hangs", "{}").await })
    };
    started.notified().await;
    caller.abort();
    dropped.notified().await;
    let _ = caller.await;
    assert_eq!(codes(&gate), ["abandoned"]);
}

#[tokio::test]
async fn the_first_to_claim_a_name_keeps_it() {
    let gate = TestGate::default().tool("taken", |_, _| async { said("first") }).open();
    let mut changes = gate.gate().changes();
    let mut late = Source::new("late");
    late.tool(Spec::new("taken", ""), callable(|_, _| async { said("second") })).unwrap();
    late.tool(Spec::new("free", ""), callable(|_, _| async { said("second") })).unwrap();
    let clashes = gate.gate().publish(late);
    assert_eq!(
        clashes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [r#"the tool "taken" of "late" is left out: "test" already has one of that name"#]
    );
    assert_eq!(text_of(&gate.call("taken", "{}").await.unwrap().output), "first");
    assert_eq!(text_of(&gate.call("free", "{}").await.unwrap().output), "second");
    assert_eq!(changes.recv().await.unwrap().change, toolcrib_contract::Change::Tools);
}

#[tokio::test(start_paused = true)]
async fn half_an_hour_with_progress_is_no_reason_to_give_up() {
    let works = |every_secs| {
        move |_, cx: CallContext| async move {
            for minute in 0..30 * 60 / every_secs {
                tokio::time::sleep(Duration::from_secs(every_secs)).await;
                cx.progress(minute as f64, None, None);
            }
            said("done")
        }
    };
    let gate = TestGate::default().tool("diligent", works(20)).tool("slow", works(40)).open();
    assert_eq!(text_of(&gate.call("diligent", "{}").await.unwrap().output), "done");
    let error = gate.call("slow", "{}").await.unwrap_err();
    assert!(matches!(error, CallError::DeadlineExceeded(allowed) if allowed == Duration::from_secs(30)), "{error}");
    let gate = TestGate::default().config(Config { max_timeout: Duration::from_secs(600), ..Config::default() });
    let error = gate.tool("diligent", works(20)).open().call("diligent", "{}").await.unwrap_err();
    assert!(matches!(error, CallError::DeadlineExceeded(allowed) if allowed == Duration::from_secs(600)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_source_is_that_of_its_resources_too() {
    let open = TestGate::default().open();
    let mut source = Source::new("slow").timeout(Some(Duration::from_secs(5)));
    source.resource(ResourceSpec { uri: "slow://one".into(), ..ResourceSpec::default() }, callable(|_, _| pending()));
    assert!(open.gate().publish(source).is_empty());
    let caller = open.gate().authenticate(Credential::None).await.unwrap();
    let arrived = Arrived { caller, profile: None, call: Call::resource("slow://one"), origin: Origin::door("test"), back: Arc::new(Deaf) };
    let error = open.gate().call(arrived).await.unwrap_err();
    assert!(matches!(error, CallError::DeadlineExceeded(allowed) if allowed == Duration::from_secs(5)), "{error}");
}
