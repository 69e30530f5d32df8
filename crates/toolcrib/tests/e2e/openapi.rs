//! Tools out of an OpenAPI document, used as all others are.

use crate::support::{Folder, Server, toolcrib};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use toolcrib_testkit::{Asked, Served, Site};

const DOCUMENT: &str = "\
openapi: 3.1.0
info: { title: Orders, version: '1' }
servers: [{ url: /api }]
paths:
  /orders/{id}:
    get:
      operationId: getOrder
      summary: Tells where an order is
      parameters: [{ name: id, in: path, required: true, schema: { type: integer } }]
      security: [{ key: [] }]
      responses: { '200': { description: fine } }
  /orders/{id}/picture:
    put:
      operationId: putPicture
      parameters: [{ name: id, in: path, required: true, schema: { type: integer } }]
      requestBody: { required: true, content: { image/png: {} } }
      responses: { '200': { description: fine } }
components:
  securitySchemes: { key: { type: apiKey, in: header, name: X-Key } }
";

fn answer(asked: &Asked, is_away: &AtomicBool) -> Served {
    match asked.path.as_str() {
        "/openapi.yaml" if is_away.load(Ordering::Relaxed) => Served::new(503, "away"),
        "/openapi.yaml" => Served::new(200, DOCUMENT),
        "/api/orders/7" if asked.header("x-key") == Some("secret-of-the-shop") => Served::json(r#"{"state": "sent"}"#),
        other => Served::new(404, format!("nothing at {other}")),
    }
}

#[test]
fn operations_are_tools_wherever_their_document_is() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let is_away = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&is_away);
    let site = runtime.block_on(Site::serve(move |asked| answer(asked, &state)));
    let folder = Folder::new();
    std::fs::write(folder.path().join("openapi.yaml"), DOCUMENT).unwrap();
    let shown = json!({"key": "secret-of-the-shop"});
    let config = |document: Value| json!({"tools": {"shop": {"openapi": document}}, "dataFolder": folder.path().join("data")});
    let local = config(json!({
        "file": folder.path().join("openapi.yaml"), "server": site.url("127.0.0.1", "/api"), "auth": shown,
    }));
    let remote = config(json!({"url": site.url("127.0.0.1", "/openapi.yaml"), "auth": shown}));
    for document in [&local, &remote] {
        let server = Server::with(document);
        assert!(server.tools().contains(&"shop__getOrder".to_owned()), "{:?}", server.tools());
        assert_eq!(server.call("shop__getOrder", json!({"id": 7})).unwrap(), r#"{"state": "sent"}"#);
        assert!(server.call("shop__getOrder", json!({"id": 8})).unwrap_err().contains("404"));
        assert!(server.call("shop__getOrder", json!({"id": "x"})).unwrap_err().contains("id"));
    }
    // What was brought once is there when the document is away.
    is_away.store(true, Ordering::Relaxed);
    assert!(Server::with(&remote).tools().contains(&"shop__getOrder".to_owned()));
    // And where it never was, everything else is.
    let elsewhere = json!({"tools": {"other": {"openapi": {"url": site.url("127.0.0.1", "/gone.yaml")}}}});
    let server = Server::with(&elsewhere);
    assert!(server.tools().contains(&"calculator".to_owned()));
    assert!(server.process.said().contains("the tools of \"other\" are not offered"), "{}", server.process.said());
}

#[test]
fn check_says_what_a_document_does_not_offer() {
    let folder = Folder::new();
    std::fs::write(folder.path().join("openapi.yaml"), DOCUMENT).unwrap();
    let check = |document: Value| {
        let config = folder.config(&json!({"tools": {"shop": {"openapi": document}}}));
        let output = toolcrib().arg("check").arg(config).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let sound = check(json!({"file": "openapi.yaml", "server": "https://shop.example.com/api"}));
    assert!(sound.contains("tools of your own: shop__getOrder"), "{sound}");
    assert!(sound.contains("note: putPicture cannot be offered: its body is image/png"), "{sound}");
    for (document, wanted) in [
        (json!({"file": "openapi.yaml"}), "which is no absolute URL: say \"server\""),
        (json!({"file": "nowhere.yaml"}), "cannot read"),
        (
            json!({"file": "openapi.yaml", "server": "https://shop.example.com", "auth": {"kay": "x"}}),
            "no security scheme \"kay\"; it has key",
        ),
        (
            json!({"file": "openapi.yaml", "server": "https://shop.example.com", "include": ["getOrders"]}),
            "no operation of the document is selected",
        ),
        (json!({"server": "https://shop.example.com"}), "give either a file or a url"),
    ] {
        let said = check(document);
        assert!(said.contains(wanted), "{wanted:?} is not in {said}");
    }
}
