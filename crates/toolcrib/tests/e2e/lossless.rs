//! What we need not touch passes byte for byte, in both directions: arbitrary members, key orders, numbers, escapes and
//! nested `_meta`, in arguments, results and definitions. `docs/touched.md` lists what we do touch.
//!
//! The server behind us gives back the text that it got, so one call shows both ways. What came is read here without any
//! code of ours: as members in their order, each still as text.

use crate::support::{Folder, Http, Running, Server, free_port, legacy, repository, wait_for};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, json, value::RawValue};
use std::{
    fmt,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Command,
};

/// For each pair of client and server; there are eight.
const CASES: u32 = 1250;

/// An object as it was written: its members in their order, with the text of each value.
#[derive(Debug, PartialEq)]
struct Written(Vec<(String, String)>);

impl Written {
    fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    fn get(&self, key: &str) -> &str {
        self.0.iter().find(|(name, _)| name == key).map_or_else(|| panic!("no {key}: {self:?}"), |(_, text)| text)
    }

    fn without(mut self, keys: &[&str]) -> Self {
        self.0.retain(|(name, _)| !keys.contains(&name.as_str()));
        self
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Written;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Written, M::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    members.push((key, value.get().to_owned()));
                }
                Ok(Written(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Any JSON as somebody may write it.
fn json_text() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        Just("1e400".to_owned()),
        Just("0.10".to_owned()),
        Just("18446744073709551616".to_owned()),
        Just("-0".to_owned()),
        Just("1E+2".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
    ];
    let word = prop_oneof![Just("true".to_owned()), Just("false".to_owned()), Just("null".to_owned())];
    let leaf = prop_oneof![number, word, string_text()];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let gap = prop_oneof![3 => Just(""), 1 => Just(" "), 1 => Just("\t")];
        prop_oneof![
            (proptest::collection::vec(inner.clone(), 0..4), gap.clone())
                .prop_map(|(items, gap)| format!("[{}]", items.join(&format!(",{gap}")))),
            (members(inner), gap).prop_map(|(members, gap)| object(&members, gap)),
        ]
    })
}

fn string_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z <>&']{0,6}",
        Just(r"\u00e9".to_owned()),
        Just(r"\ud83d\ude00".to_owned()),
        Just(r"\/".to_owned()),
        Just("é😀\u{2028}".to_owned()),
        Just(r#"\n\t\"\\"#.to_owned()),
        Just(r"\u0000".to_owned()),
    ];
    proptest::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// Members with names that nobody interprets, each once, in any order.
fn members(value: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<(String, String)>> {
    let key = prop_oneof![
        "x[a-z]{0,5}",
        Just(r"x\u00e9".to_owned()),
        Just("xé.b/c".to_owned()),
        Just("icons".to_owned()),
        Just("execution".to_owned())
    ];
    proptest::collection::vec((key, value), 0..5).prop_map(|mut members| {
        let said = |key: &str| serde_json::from_str::<String>(&format!("\"{key}\"")).unwrap();
        let mut seen = std::collections::HashSet::new();
        members.retain(|(key, _)| seen.insert(said(key)));
        members
    })
}

fn object(members: &[(String, String)], gap: &str) -> String {
    let members: Vec<String> = members.iter().map(|(key, value)| format!("{gap}\"{key}\":{gap}{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// One call: what kind, its arguments, other parameters before and after, and `_meta`.
fn calls() -> impl Strategy<Value = (usize, String, Vec<(String, String)>, String)> {
    let content = (json_text(), proptest::bool::ANY).prop_map(|(text, is_image)| {
        let kind = if is_image { "image" } else { "resource_link" };
        ("content".to_owned(), format!(r#"[{{"type":"{kind}","data":{text},"annotations":{{"priority":0.50}}}}]"#))
    });
    let structured = members(json_text()).prop_map(|members| ("structuredContent".to_owned(), object(&members, "")));
    let extras = (members(json_text()), proptest::option::of(content), proptest::option::of(structured));
    let extras = extras.prop_map(|(mut members, content, structured)| {
        members.extend(content);
        members.extend(structured);
        members
    });
    let arguments = members(json_text()).prop_map(|members| object(&members, " "));
    (0..3_usize, arguments, extras, members(json_text()).prop_map(|members| object(&members, "")))
}

#[derive(Clone, Copy)]
struct Pair {
    modern_client: bool,
    modern_server: bool,
    over_http: bool,
}

struct Mirror {
    _folder: Folder,
    _process: Option<Running>,
    server: Server,
}

impl Mirror {
    fn start(pair: Pair, lists: [(&str, String); 4]) -> Self {
        let folder = Folder::new();
        for (name, text) in lists {
            std::fs::write(folder.path().join(format!("{name}.json")), text).unwrap();
        }
        let script = repository().join("tests/peers/mirror.py");
        let era = if pair.modern_server { "--modern" } else { "--legacy" };
        let (process, definition) = if pair.over_http {
            let port = free_port();
            let mut command = Command::new("python3");
            command.arg(script).args(["http", &port.to_string(), era]).env("MIRROR", folder.path());
            let process = Running::start(command);
            wait_for("the mirror", || TcpStream::connect(("127.0.0.1", port)).ok());
            (Some(process), json!({"url": format!("http://127.0.0.1:{port}/mcp")}))
        } else {
            (None, json!({"command": "python3", "args": [script, "stdio", era], "env": {"MIRROR": folder.path()}}))
        };
        let server = Server::start(&json!({ "m": definition }));
        Self { _folder: folder, _process: process, server }
    }
}

/// A connection that is kept, since ten thousand are too many.
struct Kept {
    stream: BufReader<TcpStream>,
    head: String,
}

impl Kept {
    fn open(server: &Server, is_modern: bool) -> Self {
        let address = server.url.trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
        let mut head = format!(
            "POST /mcp HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\n"
        );
        if is_modern {
            head += "mcp-protocol-version: 2026-07-28\r\n";
        } else {
            let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
            let reply = Http::new(&server.url).post(legacy(0, "initialize", hello));
            head += &format!("mcp-session-id: {}\r\nmcp-protocol-version: 2025-11-25\r\n", reply.header("mcp-session-id"));
        }
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream), head }
    }

    fn post(&mut self, headers: &str, body: &str) -> String {
        let request = format!("{}{headers}content-length: {}\r\n\r\n{body}", self.head, body.len());
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }
}

const NOTHING: [(&str, &str); 4] = [
    (
        "tools",
        r#"[{"name":"t","inputSchema":{"type":"object"}},{"name":"u","inputSchema":{"type":"object","properties":{"unused":{"type":"string"}}}}]"#,
    ),
    ("resources", r#"[{"uri":"mirror://r","name":"r"}]"#),
    ("templates", "[]"),
    ("prompts", r#"[{"name":"t"}]"#),
];

/// What an era demands of every request and result of its own.
const DEMANDED: [&str; 4] = [
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/clientCapabilities",
    "io.modelcontextprotocol/logLevel",
];

fn check_calls(pair: Pair) {
    let mirror = Mirror::start(pair, NOTHING.map(|(name, text)| (name, text.to_owned())));
    mirror.server.wait_for_tool("m__t");
    let mut kept = Kept::open(&mirror.server, pair.modern_client);
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let kept = std::cell::RefCell::new(&mut kept);
    let result = runner.run(&calls(), |(kind, arguments, extras, meta)| {
        let (method, key, name) =
            [("tools/call", "name", "m__t"), ("resources/read", "uri", "mirror://r"), ("prompts/get", "name", "m__t")][kind];
        // A schema that says something makes us read the arguments; they pass as they are all the same.
        let name = if kind == 0 && arguments.len() % 2 == 0 { "m__u" } else { name };
        let mut sent = vec![(key.to_owned(), format!("\"{name}\""))];
        sent.extend(extras.clone());
        if kind != 1 {
            sent.push(("arguments".to_owned(), arguments.clone()));
        }
        let mut sent_meta = Written::read(&meta).0;
        if pair.modern_client {
            sent_meta.push((DEMANDED[0].to_owned(), "\"2026-07-28\"".to_owned()));
            sent_meta.push((DEMANDED[2].to_owned(), "{}".to_owned()));
        }
        let quoted: Vec<(String, String)> =
            sent_meta.iter().map(|(key, value)| (json!(key).to_string().trim_matches('"').to_owned(), value.clone())).collect();
        sent.push(("_meta".to_owned(), object(&quoted, "")));
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{}}}"#, object(&sent, ""));
        let headers = if pair.modern_client { format!("mcp-method: {method}\r\nmcp-name: {name}\r\n") } else { String::new() };
        let answer = kept.borrow_mut().post(&headers, &body);

        let answer = Written::read(&answer);
        let got = Written::read(
            answer.0.iter().find(|(key, _)| key == "result").map_or_else(|| panic!("{answer:?} to {body}"), |(_, text)| text),
        );
        let theirs = if kind == 1 { name } else { &name[3..] };
        prop_assert_eq!(got.get(key), format!("\"{theirs}\""));
        let got_meta = got.0.iter().find(|(key, _)| key == "_meta").map_or(Written(Vec::new()), |(_, text)| Written::read(text));
        prop_assert_eq!(got_meta.without(&DEMANDED), Written(sent_meta).without(&DEMANDED));
        let ours = [key, "_meta", "resultType", "ttlMs", "cacheScope"];
        let sent = Written::read(&object(&sent, ""));
        prop_assert_eq!(got.without(&ours), sent.without(&ours));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

macro_rules! pairs {
    ($($test:ident: $modern_client:expr, $modern_server:expr, $over_http:expr;)*) => {
        $(#[test]
        fn $test() {
            check_calls(Pair { modern_client: $modern_client, modern_server: $modern_server, over_http: $over_http });
        })*
    };
}

pairs! {
    calls_pass_untouched_from_legacy_clients_to_legacy_stdio_servers: false, false, false;
    calls_pass_untouched_from_legacy_clients_to_legacy_http_servers: false, false, true;
    calls_pass_untouched_from_legacy_clients_to_modern_stdio_servers: false, true, false;
    calls_pass_untouched_from_legacy_clients_to_modern_http_servers: false, true, true;
    calls_pass_untouched_from_modern_clients_to_legacy_stdio_servers: true, false, false;
    calls_pass_untouched_from_modern_clients_to_legacy_http_servers: true, false, true;
    calls_pass_untouched_from_modern_clients_to_modern_stdio_servers: true, true, false;
    calls_pass_untouched_from_modern_clients_to_modern_http_servers: true, true, true;
}

/// Of definitions only the names are ours.
#[test]
fn definitions_pass_untouched() {
    const ITEMS: usize = 400;
    let mut runner = TestRunner::new(Config::default());
    let mut items = |needed: &dyn Fn(usize) -> Vec<(&'static str, String)>| -> Vec<String> {
        let mut item = |number| {
            let mut all: Vec<(String, String)> = needed(number).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            let meta = members(json_text()).new_tree(&mut runner).unwrap().current();
            all.push(("_meta".to_owned(), object(&meta, " ")));
            all.extend(members(json_text()).new_tree(&mut runner).unwrap().current());
            object(&all, "")
        };
        (0..ITEMS).map(&mut item).collect()
    };
    let schema = || ("inputSchema", r#"{"type":"object","x-unknown":1.50}"#.to_owned());
    let lists = [
        ("tools", "name", items(&|number| vec![("name", format!("\"t{number}\"")), schema()])),
        ("resources", "uri", items(&|number| vec![("uri", format!("\"mirror://{number}\"")), ("name", "\"r\"".to_owned())])),
        (
            "templates",
            "uriTemplate",
            items(&|number| vec![("uriTemplate", format!("\"mirror://{number}/{{id}}\"")), ("name", "\"r\"".to_owned())]),
        ),
        ("prompts", "name", items(&|number| vec![("name", format!("\"p{number}\""))])),
    ];
    let written = [0, 1, 2, 3].map(|index| (lists[index].0, format!("[{}]", lists[index].2.join(","))));
    let pair = Pair { modern_client: true, modern_server: false, over_http: false };
    let mirror = Mirror::start(pair, written);
    let listed = || Http::new(&mirror.server.url).modern("tools/list", json!({})).body.contains("\"m__t0\"");
    wait_for("the definitions", || listed().then_some(()));
    for (list, key, items) in &lists {
        let method = if *list == "templates" { "resources/templates/list".to_owned() } else { format!("{list}/list") };
        let reply = Http::new(&mirror.server.url).modern(&method, json!({}));
        let result = Written::read(Written::read(&reply.body).get("result"));
        let shown: Vec<Box<RawValue>> =
            serde_json::from_str(result.get(if *list == "templates" { "resourceTemplates" } else { list })).unwrap();
        let shown: Vec<Written> = shown.iter().map(|item| Written::read(item.get())).collect();
        for item in items {
            let item = Written::read(item);
            let name: Value = serde_json::from_str(item.get(key)).unwrap();
            let here = if key == &"name" { json!(format!("m__{}", name.as_str().unwrap())) } else { name };
            let here = here.to_string();
            let found = shown.iter().find(|shown| shown.get(key) == here).unwrap_or_else(|| panic!("{here} is missing"));
            let mut expected = item;
            expected.0.iter_mut().filter(|(name, _)| name == key).for_each(|(_, text)| text.clone_from(&here));
            assert_eq!(*found, expected);
        }
    }
}
