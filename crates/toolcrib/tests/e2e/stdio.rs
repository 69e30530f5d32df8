//! MCP over standard input and output: both eras on one pipe.

use crate::support::{Folder, Running, legacy, modern, scripted, toolcrib, wait_for};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    process::{ChildStdin, ChildStdout, Stdio},
};

struct Pipe {
    process: Running,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    _folder: Folder,
}

impl Pipe {
    fn open(servers: &Value) -> Self {
        let folder = Folder::new();
        let mut command = toolcrib();
        command.args(["serve", "--stdio", "--config"]).arg(folder.config(&json!({ "mcpServers": servers }))).current_dir(folder.path());
        let mut process = Running::start({
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            command
        });
        let (input, output) = (process.child.stdin.take(), BufReader::new(process.child.stdout.take().unwrap()));
        Self { process, input, output, _folder: folder }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn ask(&mut self, line: &str) -> Value {
        self.say(line);
        self.hear()
    }
}

fn hello(revision: &str) -> String {
    legacy(1, "initialize", json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}))
}

#[test]
fn both_eras_are_served_on_one_pipe() {
    let mut pipe = Pipe::open(&json!({}));
    let sum = |expression: &str| json!({"name": "calculator", "arguments": {"expression": expression}});
    // Real clients probe with discover and then still send initialize.
    assert_eq!(pipe.ask(&modern(0, "server/discover", json!({})).to_string())["result"]["resultType"], "complete");
    assert_eq!(pipe.ask(&hello("2025-06-18"))["result"]["protocolVersion"], "2025-06-18");
    pipe.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let answer = pipe.ask(&legacy(2, "tools/call", sum("6*7")));
    assert_eq!((&answer["id"], &answer["result"]["structuredContent"]["result"]), (&json!(2), &json!(42)));
    assert!(answer["result"].get("resultType").is_none());
    assert_eq!(pipe.ask(&modern(3, "tools/call", sum("6*8")).to_string())["result"]["resultType"], "complete");
}

#[test]
fn wrong_lines_are_answered_and_harm_nobody() {
    let mut pipe = Pipe::open(&json!({}));
    // What arrives before anything is asked ends nothing.
    pipe.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    pipe.say(r#"{"jsonrpc":"2.0","id":9,"result":{}}"#);
    assert_eq!(pipe.ask("nonsense")["error"]["code"], -32700);
    assert_eq!(pipe.ask(r#"{"jsonrpc":"1.0","id":3,"method":"ping"}"#)["error"]["code"], -32600);
    assert_eq!(pipe.ask(&legacy(4, "tools/list", json!({})))["error"]["code"], -32600, "nothing says which revision");
    assert_eq!(pipe.ask("[]")["error"]["code"], -32600);
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(5 << 20));
    assert!(pipe.ask(&long)["error"]["message"].as_str().unwrap().contains("exceeds the limit"));
    assert_eq!(pipe.ask(&hello("2025-03-26"))["result"]["protocolVersion"], "2025-03-26");
    let batch = pipe.ask(&format!("[{},{}]", legacy(5, "ping", json!({})), legacy(6, "no/such", json!({}))));
    assert_eq!(batch.as_array().unwrap().len(), 2);
}

#[test]
fn a_slow_call_holds_up_nobody_and_can_be_cancelled() {
    let mut pipe = Pipe::open(&json!({"slow": scripted(&[])}));
    assert!(pipe.ask(&hello("2025-11-25"))["result"].is_object());
    wait_for("the scripted server", || {
        pipe.say(&legacy(2, "tools/list", json!({})));
        loop {
            let message = pipe.hear();
            if message["id"] == 2 {
                return message.to_string().contains("slow__hang").then_some(());
            }
        }
    });
    pipe.say(&legacy(10, "tools/call", json!({"name": "slow__hang"})));
    pipe.say(&legacy(11, "ping", json!({})));
    let answered = |pipe: &mut Pipe| loop {
        let message = pipe.hear();
        if message.get("id").is_some() {
            return message["id"].clone();
        }
    };
    assert_eq!(answered(&mut pipe), 11);
    pipe.say(&legacy(10, "ping", json!({})));
    assert_eq!(answered(&mut pipe), 10, "an id in use is refused");
    pipe.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":10}}"#);
    pipe.say(&legacy(10, "ping", json!({})));
    assert_eq!(answered(&mut pipe), 10, "a cancelled id is free again, and its call gets no answer");
}

#[test]
fn a_client_that_does_not_read_does_not_keep_us() {
    let mut pipe = Pipe::open(&json!({}));
    let list = modern(1, "tools/list", json!({})).to_string();
    let mut input = pipe.input.take().unwrap();
    // Far more answers than a pipe holds; the writer is left behind when the pipe to us is full, too.
    let writing = std::thread::spawn(move || (0..5_000).try_for_each(|_| writeln!(input, "{list}")).is_err());
    // Its first answers fill the pipe: then it is certain that the rest cannot be written.
    wait_for("a full pipe", || (unread(&pipe.output) >= 32 * 1024).then_some(()));
    pipe.process.signal("-TERM");
    assert!(pipe.process.wait().code().is_some());
    writing.join().unwrap();
}

/// How many bytes wait in a pipe.
fn unread(output: &BufReader<ChildStdout>) -> usize {
    usize::try_from(rustix::io::ioctl_fionread(output.get_ref()).unwrap()).unwrap()
}

#[test]
fn at_the_end_of_the_input_calls_in_flight_are_answered() {
    let mut pipe = Pipe::open(&json!({}));
    for id in 1..=20 {
        pipe.say(&modern(id, "tools/call", json!({"name": "calculator", "arguments": {"expression": "200!"}})).to_string());
    }
    pipe.input.take();
    let mut ids: Vec<i64> = (1..=20).map(|_| pipe.hear()["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=20).collect::<Vec<_>>());
    assert!(pipe.process.wait().success());
}

#[test]
fn a_listening_client_hears_of_changes_and_does_not_hold_up_the_end() {
    let mut pipe = Pipe::open(&json!({"s": scripted(&[])}));
    pipe.say(&modern(1, "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})).to_string());
    let acknowledged = pipe.hear();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(acknowledged["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 1);
    // The tools of the server arrive: that is a change.
    let changed = pipe.hear();
    assert_eq!(
        (&changed["method"], &changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"]),
        (&json!("notifications/tools/list_changed"), &json!(1))
    );
    pipe.input.take();
    assert!(pipe.process.wait().success());
}
