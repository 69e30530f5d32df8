use crate::{NAMES, Offer, Settings, ready};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf};
use toolcrib_contract::Output;
use toolcrib_testkit::{OpenGate, TestGate};

/// The two database tools behind a gate, with the sample in a folder that goes away.
struct Sample {
    gate: OpenGate,
    folder: PathBuf,
}

impl Sample {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("toolcrib-query-{name}-{}", std::process::id()));
        let others = NAMES.iter().filter(|name| !name.contains("database"));
        let off = |name: &&str| ((*name).to_owned(), Offer { is_off: true, ..Offer::default() });
        let offers: BTreeMap<String, Offer> = others.map(off).collect();
        let settings = Settings { sample_folder: Some(folder.clone()), offers, ..Settings::default() };
        let tools = ready(settings).unwrap().tools;
        let gate = tools.into_iter().fold(TestGate::default(), |gate, (spec, callable)| gate.entry(spec, callable)).open();
        Self { gate, folder }
    }

    async fn query(&self, arguments: Value) -> Value {
        self.gate.tell("database_query", &arguments).await
    }

    async fn describe(&self, arguments: Value) -> Value {
        self.gate.tell("describe_database", &arguments).await
    }

    /// What a model reads that is given text only.
    async fn text(&self, arguments: &Value) -> String {
        let reply = self.gate.call("database_query", &arguments.to_string()).await.unwrap();
        let Output::Tool(output) = reply.output else { panic!() };
        serde_json::to_value(&output.content[0]).unwrap()["text"].as_str().unwrap().to_owned()
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn rows_are_given_as_they_are_wanted() {
    let sample = Sample::new("forms");
    let sql = "SELECT id, name FROM products WHERE id <= ? ORDER BY id";
    let rows = sample.query(json!({"query": sql, "params": [2]})).await;
    assert_eq!((&rows["query"], &rows["row_count"], &rows["truncated"]), (&json!(sql), &json!(2), &json!(false)));
    assert_eq!((&rows["columns"], &rows["types"], &rows["rows"][0][0]), (&json!(["id", "name"]), &json!(["integer", "text"]), &json!(1)));
    let as_table = json!({"query": sql, "params": [2], "format": "table"});
    let (table, text) = (sample.query(as_table.clone()).await, sample.text(&as_table).await);
    assert!(table.get("rows").is_none() && text.starts_with("| id | name |\n| --- | --- |\n| 1 | "), "{text}");
    let as_csv = json!({"query": sql, "params": [1], "format": "csv"});
    let (csv, text) = (sample.query(as_csv.clone()).await, sample.text(&as_csv).await);
    assert!(csv["csv"].as_str().unwrap().starts_with("id,name\r\n1,") && text.starts_with("id,name"));
    let none = sample.query(json!({"query": "SELECT id FROM users WHERE 0"})).await;
    assert_eq!((&none["rows"], &none["row_count"], &none["truncated"]), (&json!([]), &json!(0), &json!(false)));
}

#[tokio::test]
async fn results_are_bounded_and_say_so() {
    let sample = Sample::new("bounds");
    let default = sample.query(json!({"query": "SELECT id FROM users"})).await;
    assert_eq!((&default["row_count"], &default["truncated"]), (&json!(100), &json!(true)));
    assert_eq!(default["note"], "there are more than 100 rows: raise max_rows, or narrow the statement");
    let exactly = sample.query(json!({"query": "SELECT id FROM users LIMIT 100"})).await;
    assert_eq!(exactly["truncated"], false);
    let large = sample.query(json!({"query": "SELECT * FROM users", "max_rows": 5000})).await;
    assert!(
        large["resource"].as_str().unwrap().starts_with("toolcrib://results/")
            && large["note"].as_str().unwrap().ends_with("of 1200 rows that were fetched")
    );
    let wide = sample.query(json!({"query": "SELECT hex(zeroblob(100000)) FROM users LIMIT 3"})).await;
    assert_eq!((&wide["row_count"], wide["resource"].is_string()), (&json!(1), true), "one row is always given");
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_place_and_a_hint() {
    let sample = Sample::new("errors");
    let error = sample.query(json!({"query": "SELECT id FROM user"})).await;
    assert_eq!((&error["error"], &error["error_class"]), (&json!("no such table: user"), &json!("statement")));
    assert_eq!(error["hint"], "describe_database lists tables and columns");
    let refused = sample.query(json!({"query": "UPDATE users SET name = 'x'"})).await;
    assert_eq!(refused["error_class"], "refused");
    let unknown = sample.query(json!({"query": "SELECT 1", "database": "nope"})).await;
    assert_eq!(unknown["error"], r#"there is no database "nope"; known are "sample""#);
    let string = sample.query(json!({"query": "SELECT 1", "database": "sqlite:/etc/passwd"})).await;
    assert_eq!(string["error_class"], "bad_connection_string");
}

#[tokio::test]
async fn a_database_is_described_so_that_a_statement_can_be_written() {
    let sample = Sample::new("describe");
    let all = sample.describe(json!({"sample_rows": 1})).await;
    assert_eq!((&all["database"], &all["engine"], all["tables"].as_array().unwrap().len()), (&json!("sample"), &json!("sqlite"), 5));
    let users = &all["tables"][4];
    assert_eq!((&users["name"], users["sample"].as_array().unwrap().len()), (&json!("users"), 1));
    assert_eq!(users["columns"][5], json!({"name": "registered_at", "type": "text", "nullable": false}));
    let some = sample.describe(json!({"tables": "users, order_*"})).await;
    assert_eq!(some["tables"].as_array().unwrap().len(), 2);
    let wrong = sample.describe(json!({"database": "nope"})).await;
    assert_eq!(wrong["error_class"], "unknown_database");
}
