//! Servers that misbehave, each in its way: what a caller sees, that nothing is done twice, that they recover, and that a neighbour never
//! notices.

use crate::support::{Folder, Running, Server, processes_of, repository, scripted, wait_for};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// What comes of a call.
#[derive(Debug, Clone, Copy)]
enum Seen {
    /// It is answered.
    Done,
    /// It fails, and the error says this.
    Fails(&'static str),
    /// There is no such tool: the server never came so far, and the log says this.
    Absent(&'static str),
}
use Seen::{Absent, Done, Fails};

const DEADLINE: &str = "no answer within the deadline of 3 s";
const UNKNOWN: &str = "the outcome is unknown";

const OVER_STDIO: &[(&str, Seen)] = &[
    ("says_nothing", Absent("no greeting within 15 s")),
    ("leaves_at_once", Absent("it exited with code 1; it last said: I was not in the mood")),
    ("greets_with_a_text", Absent("expected an object, found a string")),
    ("speaks_an_unknown_revision", Absent("it wants to speak revision \"1999-01-01\"")),
    ("has_lists_without_end", Absent("more than 10000 items")),
    ("has_one_page_for_ever", Absent("the same cursor twice")),
    ("has_too_many_tools", Absent("more than 10000 items")),
    ("cannot_list", Absent("the list is lost")),
    ("has_strange_tools", Done),
    ("crashes", Fails("did not finish the call, the outcome is unknown")),
    ("is_shot", Fails(UNKNOWN)),
    ("hangs", Fails(DEADLINE)),
    ("breaks_off", Fails(UNKNOWN)),
    ("stops_in_the_middle", Fails(DEADLINE)),
    ("trickles", Done),
    ("never_ends_its_line", Fails(DEADLINE)),
    ("babbles", Done),
    ("babbles_in_no_encoding", Done),
    ("answers_in_no_encoding", Fails(DEADLINE)),
    ("answers_to_another_id", Fails(DEADLINE)),
    ("answers_to_a_text", Fails(DEADLINE)),
    ("answers_to_nobody", Fails(DEADLINE)),
    ("answers_twice", Done),
    ("answers_what_nobody_asked", Done),
    ("answers_with_both", Fails("the answer cannot be read")),
    ("answers_with_neither", Fails("the answer cannot be read")),
    ("answers_with_a_text", Fails("expected an object, found a string")),
    ("answers_with_nothing", Fails("expected an object, found null")),
    ("answers_in_a_batch", Done),
    ("answers_too_deep", Fails(DEADLINE)),
    ("answers_with_no_number", Fails(DEADLINE)),
    ("answers_late", Fails(DEADLINE)),
    ("logs_without_end", Done),
    ("announces_without_end", Done),
    ("complains_without_end", Done),
    ("asks_without_end", Done),
    ("cancels_what_it_was_asked", Done),
    ("closes_its_output", Fails(UNKNOWN)),
    ("closes_its_input", Done),
    ("leaves_others_behind", Done),
];

const OVER_HTTP: &[(&str, Seen)] = &[
    ("fails", Fails("the outcome is unknown: the server answered 500")),
    ("has_a_proxy_that_fails", Fails("the outcome is unknown: the server answered 502")),
    ("is_in_a_hurry", Fails("(3 attempts); nothing was started")),
    ("answers_with_a_page", Fails(UNKNOWN)),
    ("answers_with_plain_text", Done),
    ("answers_no_content", Fails(UNKNOWN)),
    ("accepts_and_says_no_more", Fails(UNKNOWN)),
    ("answers_with_emptiness", Fails(UNKNOWN)),
    ("answers_half", Fails(UNKNOWN)),
    ("promises_more_than_it_sends", Fails(UNKNOWN)),
    ("sends_more_than_it_promised", Done),
    ("closes_without_a_word", Fails(UNKNOWN)),
    ("never_answers", Fails(DEADLINE)),
    ("never_ends_its_headers", Fails("message head is too large")),
    ("never_ends_its_body", Fails("an answer of more than 8454144 bytes")),
    ("trickles", Done),
    ("sends_a_bomb", Fails(UNKNOWN)),
    ("counts_its_chunks_wrongly", Fails(UNKNOWN)),
    ("answers_two_times", Done),
    ("speaks_no_http", Fails(UNKNOWN)),
    ("streams_in_crumbs", Done),
    ("streams_no_answer", Fails("the stream ended before the answer")),
    ("streams_comments_for_ever", Fails(DEADLINE)),
    ("streams_log_messages_for_ever", Fails(DEADLINE)),
    ("streams_a_huge_event", Fails("a server-sent event exceeds 8454144 bytes")),
    ("streams_nonsense_first", Fails(UNKNOWN)),
    ("streams_on_after_its_answer", Done),
    ("streams_the_answer_to_another", Fails("the stream ended before the answer")),
    ("streams_many_messages", Done),
];

fn script() -> String {
    repository().join("tests/peers/misbehaving.py").display().to_string()
}

/// The ways that there are, as the script tells them.
fn ways(over: &str) -> BTreeSet<String> {
    let told = Command::new("python3").args([&script(), "ways"]).output().unwrap();
    serde_json::from_slice::<BTreeMap<String, BTreeSet<String>>>(&told.stdout).unwrap().remove(over).unwrap()
}

/// Lets servers misbehave in all of these ways at once, beside one that does not.
fn misbehave(over: &str, expected: &[(&str, Seen)], ledger: &Path, definition: impl Fn(&str) -> Value) {
    let listed: BTreeSet<String> = expected.iter().map(|(way, _)| (*way).to_owned()).collect();
    let mut servers = serde_json::Map::new();
    servers.insert("neighbour".into(), scripted(&[]));
    for (number, (way, seen)) in expected.iter().enumerate() {
        let mut server = definition(way);
        // Whoever is to meet the deadline meets it soon; a busy machine lets nobody else meet it.
        let timeout_secs = if matches!(seen, Fails(DEADLINE)) { 3 } else { 20 };
        let common = json!({"prefix": format!("s{number}"), "timeout": timeout_secs, "startTimeout": 15, "resilience": {"breaker": false}});
        server.as_object_mut().unwrap().extend(common.as_object().unwrap().clone());
        servers.insert((*way).to_owned(), server);
    }
    let server = Server::start(&Value::Object(servers));
    server.wait_for_tool("neighbour__echo");
    let (is_over, next, neighbourly) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let surprises = Mutex::new(Vec::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(server.call("neighbour__echo", json!({"text": "well"})), Ok("well".into()));
                neighbourly.fetch_add(1, Ordering::Relaxed);
            }
        });
        let callers: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    while let Some((number, (way, seen))) =
                        Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|number| Some((number, expected.get(number)?)))
                    {
                        if let Err(surprise) = meet(&server, number, way, *seen) {
                            surprises.lock().unwrap().push(format!("{way}: {surprise}"));
                        }
                    }
                })
            })
            .collect();
        let ended: Vec<_> = callers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        is_over.store(true, Ordering::Relaxed);
        ended.into_iter().for_each(|ended| ended.unwrap());
    });
    let surprises = surprises.into_inner().unwrap();
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    assert!(neighbourly.into_inner() > expected.len(), "the neighbour was not asked all the while");
    // Whatever was tried again, nothing was done twice.
    let ledger = std::fs::read_to_string(ledger).unwrap();
    let mut entered: BTreeMap<&str, usize> = BTreeMap::new();
    ledger.lines().for_each(|way| *entered.entry(way).or_default() += 1);
    assert!(entered.values().all(|times| *times == 1), "{entered:?}");
    assert_eq!(listed, ways(over), "each way is met");
}

/// Calls a server in its way; then, it must have recovered.
fn meet(server: &Server, number: usize, way: &str, seen: Seen) -> Result<(), String> {
    let tool = |name: &str| format!("s{number}__{name}");
    if let Absent(reason) = seen {
        wait_for(&format!("the log to tell why {way} is absent"), || {
            let said = server.process.said();
            said.lines().any(|line| line.contains(&format!("server={way}")) && line.contains(reason)).then_some(())
        });
        let there = server.tools().into_iter().any(|name| name.starts_with(&tool("")));
        return if there { Err("it has tools".to_owned()) } else { Ok(()) };
    }
    server.wait_for_tool(&tool("transfer"));
    match (server.call(&tool("transfer"), json!({})), seen) {
        (Ok(text), Done) if text == "done" => {}
        (Err(error), Fails(reason)) if error.contains(reason) => {}
        (other, _) => return Err(format!("{seen:?} was expected, not {other:?}")),
    }
    wait_for(&format!("{way} to recover"), || (server.call(&tool("echo"), json!({"text": way})) == Ok(way.to_owned())).then_some(()));
    Ok(())
}

#[test]
fn each_way_to_misbehave_over_stdio_concerns_nobody_else() {
    let folder = Folder::new();
    let ledger = folder.path().join("ledger");
    let mark = format!("--misbehaving-{}", std::process::id());
    misbehave(
        "stdio",
        OVER_STDIO,
        &ledger,
        |way| json!({"command": "python3", "args": [script(), "stdio", way], "env": {"LEDGER": ledger, "MARK": mark}}),
    );
    // Those that they left behind are gone, too.
    wait_for("all of them to end", || processes_of(&mark).is_empty().then_some(()));
}

#[test]
fn each_way_to_misbehave_over_http_concerns_nobody_else() {
    let folder = Folder::new();
    let ledger = folder.path().join("ledger");
    let mut command = Command::new("python3");
    command.args([&script(), "http"]).env("LEDGER", &ledger);
    let mut site = Running::start(command);
    let port = site.wait_to_say("listening on ");
    misbehave("http", OVER_HTTP, &ledger, |way| json!({"url": format!("http://127.0.0.1:{port}/{way}")}));
}
