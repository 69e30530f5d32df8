//! Questions of another server in mid-call, and whom they reach.

use crate::support::{Http, Running, Server, everything, free_port, is_running, node, python, repository, scripted, text_of, wait_for};
use serde_json::{Value, json};

/// A client of the old era that answers every question with its own name.
pub(crate) struct Person {
    name: String,
    url: String,
    session: String,
}

impl Person {
    pub(crate) async fn arrive(url: &str, name: &str, capabilities: Value) -> Self {
        let mut person = Self { name: name.to_owned(), url: url.to_owned(), session: String::new() };
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": {"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": {"name": name, "version": "1"}}});
        let reply = person.post(&hello).await;
        person.session = reply.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        person.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        person
    }

    async fn post(&self, message: &Value) -> reqwest::Response {
        let mut request = crate::support::client().post(&self.url).header("content-type", "application/json");
        request = request.header("accept", "application/json, text/event-stream");
        if !self.session.is_empty() {
            request = request.header("mcp-session-id", &self.session).header("mcp-protocol-version", "2025-11-25");
        }
        request.body(message.to_string()).send().await.unwrap()
    }

    /// Calls a tool, answers what is asked meanwhile, and gives the result.
    pub(crate) async fn call(&self, id: i64, tool: &str, arguments: Value) -> Result<String, String> {
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}});
        let mut stream = self.post(&call).await;
        let mut text = String::new();
        while let Some(chunk) = stream.chunk().await.unwrap() {
            text.push_str(std::str::from_utf8(&chunk).unwrap());
            while let Some(end) = text.find("\n\n") {
                let event: String = text.drain(..end + 2).collect();
                let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")).filter(|data| !data.is_empty()) else {
                    continue;
                };
                let message: Value = serde_json::from_str(data).unwrap();
                if message["method"] == "elicitation/create" {
                    assert!(message["params"]["message"] != "who?" || message["params"]["x-extra"] == 1.5, "as it was asked: {message}");
                    let answer = json!({"action": "accept", "content": {"name": self.name}});
                    self.post(&json!({"jsonrpc": "2.0", "id": message["id"], "result": answer})).await;
                } else if message["id"] == id {
                    return text_of(&message);
                }
            }
        }
        text_of(&serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }
}

pub(crate) fn can_elicit() -> Value {
    json!({"elicitation": {}})
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A call of 2026-07-28 by a client that can be asked by form.
pub(crate) fn modern_call(url: &str, tool: &str, arguments: Value, round: Value) -> Value {
    let mut params = json!({"name": tool, "arguments": arguments,
        "_meta": {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}, "sampling": {}, "roots": {}}}});
    params.as_object_mut().unwrap().extend(round.as_object().unwrap().clone());
    Http::new(url).modern("tools/call", params).json()
}

/// The next round after a result that asks one thing.
pub(crate) fn answering(asked: &Value, answer: Value) -> Value {
    let (name, _) = asked["result"]["inputRequests"].as_object().unwrap_or_else(|| panic!("{asked}")).iter().next().unwrap();
    json!({"inputResponses": {name: answer}, "requestState": asked["result"]["requestState"]})
}

pub(crate) fn named(name: &str) -> Value {
    json!({"action": "accept", "content": {"name": name}})
}

/// Everybody uses the same ids, and so does every child of the server: whoever mixed up two connections would give one
/// person the answer of another.
#[test]
fn equal_ids_on_many_connections_are_never_mixed_up() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__ask");
    runtime().block_on(async {
        let people: Vec<_> = (0..8)
            .map(|number| {
                let url = server.url.clone();
                tokio::spawn(async move {
                    let person = Person::arrive(&url, &format!("person {number}"), can_elicit()).await;
                    // Until the server has asked for the first time, all share one child of it, and whom a question is for
                    // cannot always be told: then nobody is asked.
                    let first = person.call(7, "s__ask", json!({"text": "first"})).await;
                    if let Err(error) = &first {
                        assert!(error.contains("several clients share this server"), "{error}");
                    }
                    for round in 0..10 {
                        let about = format!("round {round}");
                        let answer = person.call(round, "s__ask", json!({"text": about})).await.unwrap();
                        assert_eq!(answer, format!("{}, asked about {about}", person.name));
                    }
                    first.ok().inspect(|answer| assert_eq!(*answer, format!("{}, asked about first", person.name)))
                })
            })
            .collect();
        for person in people {
            person.await.unwrap();
        }
    });
}

#[test]
fn a_parked_call_goes_on_where_it_waits() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__ask");
    let asked = modern_call(&server.url, "s__ask", json!({"text": "tea"}), json!({}));
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let question = asked["result"]["inputRequests"].as_object().unwrap().values().next().unwrap();
    assert_eq!((&question["method"], &question["params"]["message"]), (&json!("elicitation/create"), &json!("who?")));

    let round = answering(&asked, named("Ada"));
    let other = modern_call(&server.url, "s__ask", json!({"text": "coffee"}), round.clone());
    assert_eq!(other["error"]["code"], -32602, "another call's state is refused: {other}");
    let mut forged = round.clone();
    forged["requestState"] = json!(round["requestState"].as_str().unwrap().replace('.', "A."));
    assert_eq!(modern_call(&server.url, "s__ask", json!({"text": "tea"}), forged)["error"]["code"], -32602);

    let done = modern_call(&server.url, "s__ask", json!({"text": "tea"}), round.clone());
    assert_eq!(text_of(&done).unwrap(), "Ada, asked about tea");
    let again = modern_call(&server.url, "s__ask", json!({"text": "tea"}), round);
    assert_eq!(again["error"]["code"], -32602, "a state is used once: {again}");
}

#[test]
fn a_parked_call_whose_answer_is_left_out_asks_again() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__ask");
    let asked = modern_call(&server.url, "s__ask", json!({"text": "tea"}), json!({}));
    let round = json!({"inputResponses": {}, "requestState": asked["result"]["requestState"]});
    let again = modern_call(&server.url, "s__ask", json!({"text": "tea"}), round);
    let done = modern_call(&server.url, "s__ask", json!({"text": "tea"}), answering(&again, named("Bea")));
    assert_eq!(text_of(&done).unwrap(), "Bea, asked about tea");
}

/// A client that asks and never comes back holds so many calls and no more; they hold no places either.
#[test]
fn the_longest_parked_call_of_a_caller_makes_room() {
    let port = free_port();
    let mut command = std::process::Command::new(python(1));
    command.arg(repository().join("tests/peers/pairs/legacy_server.py")).arg("http").arg(port.to_string());
    let _upstream = Running::start(command);
    wait_for("the server", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let server = Server::start(&json!({"s": {"url": format!("http://127.0.0.1:{port}/mcp")}}));
    server.wait_for_tool("s__ask");
    let asked: Vec<Value> = (0..65).map(|_| modern_call(&server.url, "s__ask", json!({}), json!({}))).collect();
    let again = |asked: &Value| modern_call(&server.url, "s__ask", json!({}), answering(asked, named("Ada")));
    assert_eq!(again(&asked[0])["error"]["code"], -32602, "it made room");
    for asked in [&asked[1], &asked[64]] {
        assert_eq!(text_of(&again(asked)).unwrap(), "hello, Ada");
    }
}

/// A server that takes its question back gets no answer to it, and the client that is still being asked is told.
#[test]
fn a_question_can_be_taken_back() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__withdraw");
    let asked = modern_call(&server.url, "s__withdraw", json!({}), json!({}));
    // Whether the answer comes before or after the question is taken back, the call ends as the server says.
    let done = modern_call(&server.url, "s__withdraw", json!({}), answering(&asked, named("Ada")));
    assert!(text_of(&done).is_ok(), "{done}");
    let legacy = runtime().block_on(async {
        let person = Person::arrive(&server.url, "nobody", can_elicit()).await;
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "s__withdraw", "arguments": {}}});
        person.post(&call).await.text().await.unwrap()
    });
    let place = |what: &str| legacy.find(what).unwrap_or_else(|| panic!("no {what}: {legacy}"));
    assert!(place("elicitation/create") < place("notifications/cancelled") && place("notifications/cancelled") < place("never mind"));
}

#[test]
fn who_cannot_be_asked_is_told_what_is_missing() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__ask");
    let modern = text_of(&server.modern("tools/call", json!({"name": "s__ask", "arguments": {}}))).unwrap_err();
    let legacy = runtime().block_on(async {
        let person = Person::arrive(&server.url, "nobody", json!({})).await;
        person.call(1, "s__ask", json!({})).await.unwrap_err()
    });
    for error in [modern, legacy] {
        assert!(error.contains("this call needs to ask the client (elicitation), which the client does not support"), "{error}");
    }
}

#[test]
fn each_session_has_a_child_of_its_own_where_the_config_says_so() {
    let mut definition = scripted(&[]);
    definition["sharing"] = json!("perSession");
    let server = Server::start(&json!({ "s": definition }));
    server.wait_for_tool("s__pid");
    let (mine, theirs, url) = runtime().block_on(async {
        let one = Person::arrive(&server.url, "one", can_elicit()).await;
        let two = Person::arrive(&server.url, "two", can_elicit()).await;
        let mine = one.call(1, "s__pid", json!({})).await.unwrap();
        assert_eq!(mine, one.call(2, "s__pid", json!({})).await.unwrap());
        let theirs = two.call(1, "s__pid", json!({})).await.unwrap();
        let gone = crate::support::client().delete(&one.url).header("mcp-session-id", &one.session).send().await.unwrap();
        assert_eq!(gone.status(), 204);
        (mine, theirs, two)
    });
    assert_ne!(mine, theirs);
    wait_for("the child of the session that ended to end", || (!is_running(&mine)).then_some(()));
    let still = runtime().block_on(async { url.call(2, "s__pid", json!({})).await.unwrap() });
    assert_eq!(still, theirs);
}

/// A call that was given up is no reason to take a caller's child away while its server never asks.
#[test]
fn sessions_of_one_caller_share_a_child_where_the_config_says_so() {
    let mut definition = scripted(&[]);
    definition["sharing"] = json!("perCaller");
    let server = Server::with(&json!({"mcpServers": {"s": definition}, "claude": {"mcp": {"timeout": 1}}}));
    server.wait_for_tool("s__pid");
    runtime().block_on(async {
        let one = Person::arrive(&server.url, "one", can_elicit()).await;
        let two = Person::arrive(&server.url, "two", can_elicit()).await;
        let pid = one.call(1, "s__pid", json!({})).await.unwrap();
        assert_eq!(two.call(1, "s__pid", json!({})).await.unwrap(), pid);
        one.call(2, "s__hang", json!({})).await.unwrap_err();
        // Longer than it takes to look for connections that nobody may use any more.
        tokio::time::sleep(std::time::Duration::from_secs(6)).await;
        assert_eq!(two.call(2, "s__pid", json!({})).await.unwrap(), pid);
    });
}

#[test]
fn a_server_that_all_share_runs_one_call_at_a_time_once_it_asks() {
    let mut definition = scripted(&[]);
    definition["sharing"] = json!("shared");
    let server = Server::start(&json!({ "s": definition }));
    server.wait_for_tool("s__ask");
    runtime().block_on(async {
        let one = Person::arrive(&server.url, "one", can_elicit()).await;
        let two = Person::arrive(&server.url, "two", can_elicit()).await;
        one.call(1, "s__ask", json!({"text": "a"})).await.unwrap();
        let (first, second) = tokio::join!(one.call(2, "s__ask", json!({"text": "b"})), two.call(2, "s__ask", json!({"text": "c"})));
        assert_eq!((first.unwrap().as_str(), second.unwrap().as_str()), ("one, asked about b", "two, asked about c"));
        assert_eq!(one.call(3, "s__pid", json!({})).await, two.call(3, "s__pid", json!({})).await);
    });
}

/// The server goes on with a call that was given up, and asks: whoever calls next is not asked in its place.
#[test]
fn the_question_of_a_call_that_was_given_up_reaches_nobody() {
    let mut server = Server::with(&json!({"mcpServers": {"s": scripted(&[])}, "claude": {"mcp": {"timeout": 3}}}));
    server.wait_for_tool("s__ask_late");
    runtime().block_on(async {
        let call = crate::support::modern(1, "tools/call", json!({"name": "s__ask_late", "arguments": {}})).to_string();
        let request = crate::support::client().post(&server.url).header("content-type", "application/json");
        let request = request.header("accept", "application/json, text/event-stream").header("mcp-protocol-version", "2026-07-28");
        let request = request.header("mcp-method", "tools/call").header("mcp-name", "s__ask_late").body(call);
        // The client leaves before the server asks.
        request.timeout(std::time::Duration::from_millis(300)).send().await.unwrap_err();
    });
    // This call is under way when the question comes: nothing else is.
    let answer = modern_call(&server.url, "s__hang", json!({}), json!({}));
    assert!(text_of(&answer).unwrap_err().contains("deadline of 3 s"), "{answer}");
    server.process.wait_to_say("the question was refused");
}

/// Servers of other makers, each in the era in which it can ask: a FastMCP server and one on the TypeScript SDK 2.x.
#[test]
fn servers_of_other_makers_ask_clients_of_either_era() {
    let script = crate::support::beside_packages("server.mjs");
    let server = Server::start(&json!({
        "fast": {"command": python(2), "args": [repository().join("tests/peers/fast_server.py"), "stdio"], "era": "legacy"},
        "typescript": {"command": node(), "args": [script]},
    }));
    for name in ["fast", "typescript"] {
        server.wait_for_tool(&format!("{name}__ask"));
        let tool = format!("{name}__ask");
        let asked = modern_call(&server.url, &tool, json!({"text": "tea"}), json!({}));
        let done = modern_call(&server.url, &tool, json!({"text": "tea"}), answering(&asked, named("Ada")));
        assert_eq!(text_of(&done).unwrap(), "Ada, asked about tea");
        let legacy = runtime().block_on(async {
            let person = Person::arrive(&server.url, "Bea", can_elicit()).await;
            person.call(1, &tool, json!({"text": "coffee"})).await.unwrap()
        });
        assert_eq!(legacy, "Bea, asked about coffee");
    }
}

/// The reference server asks through the TypeScript SDK.
#[test]
fn the_reference_server_asks_clients_of_either_era() {
    let server = Server::start(&json!({"everything": everything()}));
    server.wait_for_tool("everything__trigger-elicitation-request");
    let asked = modern_call(&server.url, "everything__trigger-elicitation-request", json!({}), json!({}));
    let declined =
        modern_call(&server.url, "everything__trigger-elicitation-request", json!({}), answering(&asked, json!({"action": "decline"})));
    assert!(text_of(&declined).unwrap().contains("declined"), "{declined}");

    let sample = json!({"prompt": "say something", "maxTokens": 20});
    let asked = modern_call(&server.url, "everything__trigger-sampling-request", sample.clone(), json!({}));
    let words = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "words of a model"}});
    let sampled = modern_call(&server.url, "everything__trigger-sampling-request", sample, answering(&asked, words));
    assert!(text_of(&sampled).unwrap().contains("words of a model"), "{sampled}");

    let legacy = runtime().block_on(async {
        let person = Person::arrive(&server.url, "Ada", can_elicit()).await;
        person.call(1, "everything__trigger-elicitation-request", json!({})).await.unwrap()
    });
    assert!(legacy.contains("Ada") || legacy.contains("provided"), "{legacy}");
    assert!(Http::new(&server.url).modern("tools/list", json!({})).status == 200);
}
