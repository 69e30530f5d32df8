//! Every wall against every attempt: real engines, with logins that may do everything.

use super::{Ask, ConnectionStrings, DatabaseSettings, Databases, Location, SqlError, Table};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use toolcrib_egress::{Config, Egress};
use toolcrib_testkit::servers::{Mariadb, Postgres};

const BYPASS: &str = include_str!("data/bypass.tsv");
const LEGITIMATE: &str = include_str!("data/legitimate.tsv");
/// What a statement of the tables may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A folder that is removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("toolcrib-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn sqlite(&self, sql: &str) -> PathBuf {
        let file = self.0.join("fixture.sqlite");
        rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn databases(settings: DatabaseSettings) -> Databases {
    Databases::new(vec![settings], None, ConnectionStrings::default(), Egress::new(Config::default()).unwrap())
}

fn settings(location: &str) -> DatabaseSettings {
    let location = Location::parse(location).unwrap();
    DatabaseSettings { timeout: TIMEOUT, allows_privileged_role: true, ..DatabaseSettings::new("db", location) }
}

fn sqlite(file: &Path) -> DatabaseSettings {
    settings(&format!("sqlite:{}", file.display()))
}

async fn query(databases: &Databases, sql: &str) -> Result<Table, SqlError> {
    query_with(databases, sql, vec![]).await
}

async fn query_with(databases: &Databases, sql: &str, params: Vec<serde_json::Value>) -> Result<Table, SqlError> {
    databases.find(None).await.unwrap().query(Ask { sql: sql.into(), params, max_rows: 1000 }).await
}

/// One row of values as JSON text.
async fn row(databases: &Databases, sql: &str) -> String {
    let table = query(databases, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    table.rows[0].iter().map(|cell| cell.as_str()).collect::<Vec<_>>().join(" ")
}

/// The lines of a table for one engine, their escapes resolved.
fn lines(table: &'static str, engine: &'static str) -> impl Iterator<Item = String> {
    let fields = table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect::<Vec<_>>());
    fields.filter(move |fields| fields[0] == engine).map(|fields| unescape(fields[1]))
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(index) = rest.find(['\\', '{']) {
        out.push_str(&rest[..index]);
        rest = &rest[index..];
        if let Some(repeat) = rest.strip_prefix("{{REPEAT:") {
            let (count, after) = repeat.split_once(':').unwrap();
            let (piece, after) = after.split_once("}}").unwrap();
            out.push_str(&piece.repeat(count.parse().unwrap()));
            rest = after;
        } else if let Some(code) = rest.strip_prefix("\\u{") {
            let (code, after) = code.split_once('}').unwrap();
            out.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
            rest = after;
        } else if let Some(after) = rest.strip_prefix('\\') {
            let escaped = after.chars().next().unwrap();
            out.push(match escaped {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '0' => '\0',
                other => other,
            });
            rest = &after[escaped.len_utf8()..];
        } else {
            out.push('{');
            rest = &rest[1..];
        }
    }
    out + rest
}

/// Tries every attempt; `state` tells what there is, and must tell the same after each.
async fn try_all(databases: &Databases, engine: &'static str, places: &[(&str, &str)], state: impl Fn() -> String) {
    let before = state();
    let (mut tried, mut faults) = (0, Vec::new());
    for mut sql in lines(BYPASS, engine) {
        for (place, value) in places {
            sql = sql.replace(place, value);
        }
        let started = Instant::now();
        let result = query(databases, &sql).await;
        let short: String = sql.chars().take(100).collect();
        // Twice the limit is for the machine that the tests share.
        if started.elapsed() > TIMEOUT * 2 + Duration::from_secs(3) {
            faults.push(format!("{short}: took {:?}", started.elapsed()));
        }
        if let Ok(table) = &result {
            let bytes: usize = table.rows.iter().flatten().map(toolcrib_contract::Json::size_bytes).sum();
            assert!(bytes <= super::MAX_RESULT_BYTES && table.rows.len() <= 1000, "{short}");
            let holds_secret = table
                .rows
                .iter()
                .flatten()
                .any(|cell| ["root:x:", "SCRAM-SHA", "mysql_native"].iter().any(|secret| cell.as_str().contains(secret)));
            if holds_secret {
                faults.push(format!("{short}: gave what it must not"));
            }
        }
        let after = state();
        if after != before {
            faults.push(format!("{short}: changed {before} to {after}"));
            break;
        }
        tried += 1;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(tried > 40, "{tried} attempts");
}

async fn answer_all(databases: &Databases, engine: &'static str) {
    let (mut answered, mut faults) = (0, Vec::new());
    for sql in lines(LEGITIMATE, engine) {
        match query(databases, &sql).await {
            Ok(table) if !table.columns.is_empty() => answered += 1,
            other => faults.push(format!("{sql}: {:?}", other.err())),
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), faults.len() + answered, faults.join("\n"));
    assert!(answered > 50, "{answered} answered");
}

// ---- SQLite ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn sqlite_is_read_and_nothing_else() {
    let folder = Folder::new("sqlite-bypass");
    let file = folder.sqlite(include_str!("data/fixture_sqlite.sql"));
    let out = folder.0.join("out");
    fs::create_dir(&out).unwrap();
    let other = folder.0.join("other.sqlite");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE secret (a)").unwrap();
    let databases = databases(sqlite(&file));
    let state = || {
        let files = fs::read_dir(&out).unwrap().count();
        let hash = fs::read(&file).unwrap().iter().fold(0_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        format!("{files} files beside, contents {hash:x}")
    };
    let places = [("@OUT@", out.to_str().unwrap()), ("@OTHER@", other.to_str().unwrap())];
    try_all(&databases, "sqlite", &places, state).await;
    answer_all(&databases, "sqlite").await;
}

#[tokio::test]
async fn values_of_sqlite_are_exact() {
    let folder = Folder::new("sqlite-values");
    let file =
        folder.sqlite("CREATE TABLE t (a INTEGER, b REAL, c TEXT, d BLOB); INSERT INTO t VALUES (9007199254740993, 0.1, 'ä', x'00ff');");
    let databases = databases(sqlite(&file));
    assert_eq!(
        row(&databases, "SELECT a, b, c, d, NULL, 9007199254740991, 1e999 FROM t").await,
        r#""9007199254740993" 0.1 "ä" "AP8=" null 9007199254740991 "Infinity""#
    );
    let table = query(&databases, "SELECT a AS x, a AS x FROM t").await.unwrap();
    let names: Vec<_> = table.columns.iter().map(|column| (column.name.as_str(), column.kind.as_str())).collect();
    assert_eq!(names, [("x", "integer"), ("x", "integer")]);
    let params = vec![serde_json::json!("ä"), serde_json::json!(0.1), serde_json::Value::Null];
    assert_eq!(query_with(&databases, "SELECT 1 FROM t WHERE c = ? AND b = ? AND ? IS NULL", params).await.unwrap().rows.len(), 1);
    let error = query_with(&databases, "SELECT ?", vec![]).await.unwrap_err();
    assert_eq!(error.to_string(), "the statement has 1 parameter(s), 0 were given");
}

#[tokio::test]
async fn errors_of_sqlite_name_the_place() {
    let folder = Folder::new("sqlite-errors");
    let databases = databases(sqlite(&folder.sqlite("CREATE TABLE t (a)")));
    let SqlError::Statement { message, position, .. } = query(&databases, "SELECT 'ä', b FROM t").await.unwrap_err() else { panic!() };
    assert_eq!((message.as_str(), position), ("no such column: b", Some(13)));
    let SqlError::Statement { hint, .. } = query(&databases, "SELECT a FROM u").await.unwrap_err() else { panic!() };
    assert_eq!(hint.as_deref(), Some("describe_database lists tables and columns"));
}

#[tokio::test]
async fn a_masked_column_of_sqlite_is_null_everywhere() {
    let folder = Folder::new("sqlite-mask");
    let file = folder
        .sqlite("CREATE TABLE users (id, email); INSERT INTO users VALUES (1, 'a@x.org'); CREATE VIEW v AS SELECT email AS e FROM users;");
    let databases = databases(DatabaseSettings { mask: vec!["users.email".into()], ..sqlite(&file) });
    for sql in [
        "SELECT email FROM users",
        "SELECT upper(email) FROM users",
        "SELECT e FROM v",
        "SELECT x FROM (SELECT email AS x FROM users)",
        "SELECT group_concat(email) FROM users",
    ] {
        assert_eq!(row(&databases, sql).await, "null", "{sql}");
    }
    assert_eq!(row(&databases, "SELECT count(*) FROM users WHERE email LIKE '%@%'").await, "0");
    let table = query(&databases, "SELECT * FROM users").await.unwrap();
    assert_eq!(table.masked, ["users.email"]);
}

#[tokio::test]
async fn a_statement_whose_caller_left_ends() {
    let folder = Folder::new("sqlite-leave");
    let settings = DatabaseSettings { timeout: Duration::from_secs(600), pool_size: 1, ..sqlite(&folder.sqlite("CREATE TABLE t (a)")) };
    let databases = databases(settings);
    let endless = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r";
    assert!(tokio::time::timeout(Duration::from_millis(200), query(&databases, endless)).await.is_err());
    // The only place is free again, and the connection is as good as new.
    assert_eq!(row(&databases, "SELECT 1").await, "1");
}

#[tokio::test]
async fn what_is_broken_is_told_and_hides_nothing_else() {
    let folder = Folder::new("sqlite-broken");
    let file = folder.sqlite(
        "CREATE TABLE Parents (id INTEGER PRIMARY KEY); CREATE TABLE children (id INTEGER PRIMARY KEY, parent REFERENCES Parents); \
         CREATE TABLE gone (a); CREATE VIEW broken AS SELECT a FROM gone; DROP TABLE gone;",
    );
    let databases = databases(sqlite(&file));
    let database = databases.find(None).await.unwrap();
    let written = serde_json::to_value(database.layout(None).await.unwrap().relations).unwrap();
    let named = |name: &str| written.as_array().unwrap().iter().find(|relation| relation["name"] == name).unwrap();
    assert!(named("broken")["error"].as_str().unwrap().contains("no such table"), "{written}");
    assert_eq!(named("children")["columns"].as_array().unwrap().len(), 2);
    assert_eq!(named("children")["foreign_keys"][0]["references"], "Parents");
    // Names are found whatever their case.
    assert_eq!(database.layout(Some("parents,CHILD*")).await.unwrap().relations.len(), 2);
}

#[tokio::test]
async fn a_mask_that_hides_nothing_is_told_of() {
    let folder = Folder::new("sqlite-mask");
    let mask = vec!["users.email".to_owned(), "*.phone".to_owned()];
    let settings = DatabaseSettings { mask, allows_privileged_role: false, ..sqlite(&folder.sqlite("CREATE TABLE users (Email, name)")) };
    let [finding] = &databases(settings).examine().await[..] else { panic!("one database, one finding") };
    let advice = finding.advice.as_deref().unwrap();
    assert!(advice.contains("\"*.phone\"") && !advice.contains("users.email"), "{advice}");
}

/// Whatever is asked, and whatever comes of it, nothing of it holds a masked value of the fixtures.
async fn nothing_leaks(databases: &Databases, statements: &[&str]) {
    for sql in statements {
        let told = match query(databases, sql).await {
            Ok(table) => table.rows.iter().flatten().map(|cell| cell.to_string()).collect::<Vec<_>>().join(" "),
            Err(error @ (SqlError::Refused(_) | SqlError::Statement { .. })) => error.to_string(),
            Err(error) => panic!("{sql}: {error}"),
        };
        assert!(!told.to_lowercase().contains("@x.org"), "{sql}: {told}");
    }
}

/// Statements that pass one by one, so that a test of what is refused does not pass for the wrong reason.
async fn all_answer(databases: &Databases, statements: &[&str]) {
    for sql in statements {
        assert!(query(databases, sql).await.is_ok(), "{sql}: {:?}", query(databases, sql).await);
    }
}

#[tokio::test]
async fn full_text_indexes_and_statistics_of_sqlite_show_nothing_masked() {
    let folder = Folder::new("sqlite-copies");
    let file = folder.sqlite(
        "CREATE VIRTUAL TABLE f USING fts5(name, email); INSERT INTO f VALUES ('Ann', 'word a@x.org'); CREATE TABLE t_data (id, block2);",
    );
    let databases = databases(DatabaseSettings { mask: vec!["f.email".into()], ..sqlite(&file) });
    all_answer(&databases, &["SELECT name FROM f", "SELECT id, block2 FROM t_data"]).await;
    nothing_leaks(
        &databases,
        &[
            "SELECT * FROM f",
            "SELECT * FROM f_content",
            "SELECT CAST(block AS TEXT) FROM f_data",
            "SELECT snippet(f, 1, '', '', '', 9) FROM f('word')",
            "SELECT highlight(f, 1, '', '') FROM f('word')",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_shows_nothing_masked() {
    let server = Postgres::start();
    server.execute("postgres", POSTGRES_FIXTURE);
    server.execute(
        "postgres",
        "CREATE VIEW seen AS SELECT id, email FROM users; CREATE TABLE heirs () INHERITS (users); INSERT INTO heirs (id, email) VALUES (9, 'k@x.org'); \
         CREATE TABLE onecol (email text); INSERT INTO onecol VALUES ('o@x.org'); CREATE TABLE customers (id int, email text); INSERT INTO customers \
         VALUES (1, 'not masked'); CREATE FUNCTION spell(users) RETURNS text LANGUAGE sql AS 'SELECT $1.email'",
    );
    let mask = vec!["users.email".to_owned(), "onecol.email".to_owned()];
    let databases = databases(DatabaseSettings { mask, ..postgres(&server) });
    all_answer(
        &databases,
        &[
            "SELECT u.id, u.name, u.email FROM users u",
            "SELECT o.* FROM orders o",
            "SELECT id FROM users WHERE id>-1",
            "SELECT o.min, o.count FROM (SELECT min(id) AS min, count(*) AS count FROM orders) o",
            "SELECT q.* FROM (SELECT * FROM v1) q",
            "SELECT id FROM users ORDER BY id FETCH FIRST 1 ROW ONLY",
        ],
    )
    .await;
    assert_eq!(row(&databases, "SELECT id, email FROM customers").await, r#"1 "not masked""#);
    nothing_leaks(
        &databases,
        &[
            "SELECT u.to_jsonb FROM users u",
            "SELECT u.\"to_jsonb\" FROM users u",
            "SELECT u.row_to_json FROM users u",
            "SELECT users.json_agg FROM users",
            "SELECT u.record_out FROM users u",
            "SELECT u.spell FROM users u",
            "SELECT public.users.to_jsonb FROM users",
            "SELECT id FROM users u WHERE 1 = u.to_jsonb::text::int",
            "SELECT x.value FROM users u, jsonb_each(u.to_jsonb) x",
            "SELECT 1 AS email UNION ALL TABLE onecol",
            "SELECT 'a' AS x UNION ALL TABLE onecol",
            "VALUES ('x') UNION ALL TABLE onecol",
            "SELECT ARRAY(TABLE \"onecol\") AS y",
            "SELECT (TABLE \"onecol\") || 'x' AS y",
            "SELECT x FROM users u, LATERAL to_jsonb(u.*) x",
            "SELECT json_populate_record(base => u.*, from_json => '{}') FROM users u",
            "SELECT id, email FROM seen",
            "SELECT * FROM seen",
            "SELECT * FROM heirs",
            "SELECT s.to_jsonb FROM seen s",
            "SELECT row_to_json(users) FROM ONLY users",
            "SELECT users::text FROM ONLY users",
            "SELECT row_to_json(u) FROM ONLY (users) u",
            "SELECT d FROM ONLY (users) AS u(a,b,d)",
            "SELECT row_to_json(s) FROM seen s",
            "SELECT s::text FROM seen s",
            "SELECT lower(b) AS z FROM seen AS s(a,b)",
            "SELECT row_to_json(h) FROM heirs h",
            "SELECT 1 AS a, 'x' AS b UNION ALL SELECT * FROM seen",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_shows_nothing_masked() {
    let server = mariadb();
    server.execute(
        "fixture",
        "CREATE VIEW seen AS SELECT id, email FROM users; CREATE TABLE customers (id int, email text); INSERT INTO customers VALUES (1, 'not masked');",
    );
    let databases = databases(DatabaseSettings { mask: vec!["users.email".into()], ..settings(&server.url("root", "fixture")) });
    all_answer(&databases, &["SELECT u.id, u.name, u.email FROM users u", "SHOW TABLES", "SHOW INDEX FROM users"]).await;
    assert_eq!(row(&databases, "SELECT id, email FROM customers").await, r#"1 "not masked""#);
    nothing_leaks(
        &databases,
        &[
            "SELECT email AS xi, (SELECT UPPER(x\u{130})) AS y FROM users",
            "SELECT id, email FROM seen",
            "SELECT * FROM seen",
            "SELECT LOWER(ema\u{130}l) FROM seen",
            "SELECT 1 AS a, 'x' AS b UNION ALL SELECT * FROM seen",
            "VALUES (1, 'x') UNION ALL SELECT * FROM seen",
            "WITH q(a, b) AS (SELECT * FROM seen) SELECT b FROM q",
            "SELECT email AS ' x', (SELECT LOWER(x)) AS y FROM users",
            "SELECT email AS '\tx', (SELECT LOWER(x)) AS y FROM users",
            "SELECT info FROM information_schema.processlist",
            "SHOW BINLOG EVENTS",
            "SHOW ENGINE INNODB STATUS",
            "SHOW FULL PROCESSLIST",
        ],
    )
    .await;
    for sql in ["SHOW BINLOG EVENTS", "SHOW ENGINE INNODB STATUS", "SHOW FULL PROCESSLIST", "SHOW CREATE USER root@localhost"] {
        assert!(matches!(query(&databases, sql).await, Err(SqlError::Refused(_))), "{sql}");
    }
}

#[tokio::test]
async fn the_sample_is_there_without_a_config() {
    let folder = Folder::new("sample-find");
    let egress = Egress::new(Config::default()).unwrap();
    let databases = Databases::new(vec![], Some(folder.0.clone()), ConnectionStrings::default(), egress);
    let database = databases.find(Some("sample")).await.unwrap();
    let layout = database.layout(None).await.unwrap();
    let written = serde_json::to_value(&layout.relations).unwrap();
    let users = written.as_array().unwrap().iter().find(|relation| relation["name"] == "users").unwrap();
    assert_eq!(users["row_estimate"], 1200);
    assert_eq!(users["columns"][5]["name"], "registered_at");
    let orders = written.as_array().unwrap().iter().find(|relation| relation["name"] == "orders").unwrap();
    assert_eq!(orders["foreign_keys"][0], serde_json::json!({"columns": "user_id", "references": "users (id)"}));
    assert_eq!(orders["columns"][0]["primary_key"], 1);
    assert!(orders["indexes"].as_array().unwrap().iter().any(|index| index["columns"] == "user_id"));
    let only = database.layout(Some("order*")).await.unwrap();
    assert_eq!(only.relations.iter().map(|relation| relation.name.as_str()).collect::<Vec<_>>(), ["order_items", "orders"]);
}

#[tokio::test]
async fn connection_strings_are_for_those_who_may() {
    let folder = Folder::new("strings");
    let file = folder.sqlite("CREATE TABLE t (a)");
    let egress = || Egress::new(Config::default()).unwrap();
    let string = format!("sqlite:{}", file.display());
    let closed = Databases::new(vec![], None, ConnectionStrings::default(), egress());
    assert!(matches!(closed.find(Some(&string)).await, Err(SqlError::BadConnectionString(_))));
    let open = Databases::new(vec![], None, ConnectionStrings { are_allowed: true, folders: vec![folder.0.clone()] }, egress());
    assert!(open.find(Some(&string)).await.is_ok());
    for string in lines(BYPASS, "conn") {
        match open.find(Some(&string)).await {
            Err(error) => assert!(matches!(error, SqlError::BadConnectionString(_)), "{string}: {error}"),
            // The string is sound; where it leads is found out when it is dialled.
            Ok(database) => {
                let error = database.query(Ask { sql: "SELECT 1".into(), params: vec![], max_rows: 1 }).await.unwrap_err();
                assert!(error.to_string().contains("refused: "), "{string}: {error}");
            }
        }
    }
    let error = open.find(Some("nope")).await.unwrap_err();
    assert!(matches!(error, SqlError::UnknownDatabase { .. }), "{error}");
}

// ---- PostgreSQL ------------------------------------------------------------------------------------------------------

const POSTGRES_FIXTURE: &str = include_str!("data/fixture_postgres.sql");

fn postgres(server: &Postgres) -> DatabaseSettings {
    settings(&server.url("postgres", "postgres"))
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_read_and_nothing_else() {
    let server = Postgres::start();
    server.execute("postgres", POSTGRES_FIXTURE);
    let databases = databases(postgres(&server));
    let folder = Folder::new("postgres-bypass");
    fs::set_permissions(&folder.0, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let state = || {
        let files = fs::read_dir(&folder.0).unwrap().count();
        let told = server.execute(
            "postgres",
            "SELECT (SELECT string_agg(id || v, ',' ORDER BY id) FROM canary), (SELECT count(*) FROM pg_class WHERE relname !~ '^pg_'), \
             (SELECT count(*) FROM pg_largeobject_metadata), (SELECT last_value || is_called::text FROM seq1), \
             (SELECT string_agg(convert_from(data, 'UTF8'), '') FROM pg_largeobject), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), \
             (SELECT relacl::text FROM pg_class WHERE relname = 'canary'), (SELECT count(*) FROM pg_extension), (SELECT count(*) FROM pg_cursors), \
             (SELECT count(*) FROM pg_settings WHERE sourcefile ~ 'auto.conf')",
        );
        format!("{files} files, {told}")
    };
    try_all(
        &databases,
        "postgres",
        &[("@OUT@", folder.0.to_str().unwrap()), ("@DB@", "postgres"), ("55432", &server.port().to_string())],
        state,
    )
    .await;
    answer_all(&databases, "postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_answers_exactly_and_says_what_is_wrong() {
    let server = Postgres::start();
    server.execute("postgres", POSTGRES_FIXTURE);
    server.execute("postgres", "CREATE TYPE mood AS ENUM ('sad', 'glad'); COMMENT ON TABLE users IS 'people'; ANALYZE");
    let databases = databases(DatabaseSettings { mask: vec!["users.email".into()], pool_size: 1, ..postgres(&server) });
    let check = async |sql: &str, expected: &str| assert_eq!(row(&databases, sql).await, expected, "{sql}");
    check(
        "SELECT 9007199254740993::bigint, 1.10::numeric, 0.1::float4, true, NULL, 'NaN'::numeric",
        r#""9007199254740993" "1.10" 0.1 true null "NaN""#,
    )
    .await;
    check(
        "SELECT '2026-11-24 10:00:00+02'::timestamptz, '2026-11-24'::date, '1 day 2 hours'::interval",
        r#""2026-11-24T08:00:00Z" "2026-11-24" "P1DT2H""#,
    )
    .await;
    check(
        "SELECT '\\x00ff'::bytea, ARRAY[1,NULL,3], ARRAY['a b','c'], '{\"a\": 1.50}'::json",
        r#""AP8=" [1,null,3] ["a b","c"] {"a": 1.50}"#,
    )
    .await;
    check(
        "SELECT 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, 'glad'::mood, '[1,5)'::int4range, point(1,2)",
        r#""a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11" "glad" "[1,5)" "(1,2)""#,
    )
    .await;
    check("SHOW TimeZone", r#""UTC""#).await;
    let table = query(&databases, "SELECT 1 AS x, 'a' AS x, ARRAY[1::bigint]").await.unwrap();
    let columns: Vec<_> = table.columns.iter().map(|column| format!("{} {}", column.name, column.kind)).collect();
    assert_eq!(columns, ["x int4", "x text", "array int8[]"]);
    let params = vec![serde_json::json!("Ann"), serde_json::json!(1)];
    assert_eq!(query_with(&databases, "SELECT id FROM users WHERE name = $1 AND id = $2", params).await.unwrap().rows.len(), 1);
    let error = query_with(&databases, "SELECT id FROM users WHERE id = $1", vec![serde_json::json!("x")]).await.unwrap_err();
    assert!(matches!(error, SqlError::Statement { .. }), "{error}");
    // A masked column may be seen as there, and as nothing else.
    assert_eq!(row(&databases, "SELECT id, email FROM users ORDER BY id").await, r#"1 "***""#);
    assert!(matches!(query(&databases, "SELECT upper(email) FROM users").await, Err(SqlError::Refused(_))));
    let SqlError::Statement { message, position, code, .. } = query(&databases, "SELECT nme FROM users").await.unwrap_err() else {
        panic!()
    };
    assert_eq!((message.as_str(), position, code.as_deref()), (r#"column "nme" does not exist"#, Some(8), Some("42703")));
    // Rows are cut where the caller wants it, whatever the statement says.
    let database = databases.find(None).await.unwrap();
    let table = database.query(Ask { sql: "SELECT generate_series(1, 1000000)".into(), params: vec![], max_rows: 5 }).await.unwrap();
    assert_eq!((table.rows.len(), table.cut), (5, Some(super::Cut::Rows)));
    let exactly = database.query(Ask { sql: "SELECT generate_series(1, 5)".into(), params: vec![], max_rows: 5 }).await.unwrap();
    assert_eq!((exactly.rows.len(), exactly.cut), (5, None));
    let many = database.query(Ask { sql: "SELECT generate_series(1, 3000)".into(), params: vec![], max_rows: 10_000 }).await.unwrap();
    assert_eq!((many.rows.len(), many.cut), (3000, None));
    let wide = database
        .query(Ask { sql: "SELECT repeat('x', 100000) FROM generate_series(1, 1000)".into(), params: vec![], max_rows: 1000 })
        .await
        .unwrap();
    assert_eq!((wide.rows.len(), wide.cut), (83, Some(super::Cut::Bytes)));
    let layout = serde_json::to_value(&database.layout(Some("users,orders")).await.unwrap().relations).unwrap();
    assert_eq!(layout[0]["foreign_keys"][0]["references"], "users (id)");
    assert_eq!((&layout[1]["comment"], &layout[1]["row_estimate"]), (&serde_json::json!("people"), &serde_json::json!(3)));
    assert_eq!(
        (&layout[1]["columns"][2]["name"], &layout[1]["columns"][2]["masked"]),
        (&serde_json::json!("email"), &serde_json::json!(true))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_cancels_and_knows_its_logins() {
    let server = Postgres::start();
    server.execute("postgres", "CREATE TABLE t AS SELECT 1 AS a; CREATE ROLE reader LOGIN PASSWORD 'secret-word'; GRANT SELECT ON t TO reader; CREATE ROLE writer LOGIN CREATEDB;");
    let slow = "SELECT count(*) FROM generate_series(1, 100000000000)";
    let running =
        || server.execute("postgres", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'toolcrib' AND state = 'active'");
    let patient = databases(DatabaseSettings { timeout: Duration::from_secs(600), ..postgres(&server) });
    assert!(tokio::time::timeout(Duration::from_millis(500), query(&patient, slow)).await.is_err());
    let end = Instant::now() + Duration::from_secs(20);
    while running() != "0" {
        assert!(Instant::now() < end, "the statement goes on although its caller left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let error = query(&databases(postgres(&server)), slow).await.unwrap_err();
    assert!(matches!(error, SqlError::Timeout(_)), "{error}");
    // A login that can only read passes; one that can do more does not, unless the config says so.
    let strict = |user: &str| databases(DatabaseSettings { allows_privileged_role: false, ..settings(&server.url(user, "postgres")) });
    assert_eq!(row(&strict("reader:secret-word"), "SELECT a FROM t").await, "1");
    for (user, power) in [("postgres", "superuser"), ("writer", "may create")] {
        let error = query(&strict(user), "SELECT 1").await.unwrap_err().to_string();
        assert!(error.contains(power) && error.contains("allowPrivilegedRole"), "{error}");
    }
    let examined = async |databases: Databases| databases.examine().await.remove(0);
    let reader = examined(strict("reader:secret-word")).await;
    assert!(reader.answer.unwrap().starts_with("PostgreSQL 1") && reader.advice.is_none());
    server.execute("postgres", "CREATE ROLE owner LOGIN; GRANT INSERT ON t TO owner");
    assert!(examined(strict("owner")).await.advice.unwrap().contains("the login may write"));
    assert!(examined(databases(postgres(&server))).await.advice.unwrap().contains("allowPrivilegedRole is set"));
    assert!(examined(strict("postgres")).await.answer.unwrap_err().contains("superuser"));
    let error = query(&strict("nobody-here:secret-word"), "SELECT 1").await.unwrap_err().to_string();
    assert!(error.contains("nobody-here") && !error.contains("secret-word"), "{error}");
    let missing = databases(settings("postgres://a:secret-word@127.0.0.1:1/x"));
    let error = query(&missing, "SELECT 1").await.unwrap_err();
    assert!(matches!(error, SqlError::Unreachable { .. }) && !error.to_string().contains("secret-word"), "{error}");
}

// ---- MariaDB ---------------------------------------------------------------------------------------------------------

const MARIADB_FIXTURE: &str = include_str!("data/fixture_mysql.sql");

fn mariadb() -> Mariadb {
    let server = Mariadb::start();
    server.execute("mysql", "CREATE DATABASE fixture; CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'secret-word'; GRANT SELECT ON fixture.* TO reader@'127.0.0.1';");
    server.execute("fixture", MARIADB_FIXTURE);
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_is_read_and_nothing_else() {
    let server = mariadb();
    let databases = databases(settings(&server.url("root", "fixture")));
    let folder = Folder::new("mariadb-bypass");
    fs::set_permissions(&folder.0, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let state = || {
        let files = fs::read_dir(&folder.0).unwrap().count();
        let told = server.execute(
            "fixture",
            "SELECT (SELECT GROUP_CONCAT(id, v ORDER BY id) FROM canary), (SELECT COUNT(*) FROM information_schema.tables), \
             (SELECT next_not_cached_value FROM seq1), @@GLOBAL.general_log, (SELECT COUNT(*) FROM mysql.global_priv), \
             (SELECT COUNT(*) FROM information_schema.routines)",
        );
        format!("{files} files, {told}")
    };
    try_all(&databases, "mysql", &[("@OUT@", folder.0.to_str().unwrap())], state).await;
    answer_all(&databases, "mysql").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_answers_exactly_cancels_and_knows_its_logins() {
    let server = mariadb();
    let url = server.url("root", "fixture");
    let databases_of = |settings| databases(settings);
    let databases = databases_of(DatabaseSettings { mask: vec!["*.email".into()], pool_size: 1, ..settings(&url) });
    let check = async |sql: &str, expected: &str| assert_eq!(row(&databases, sql).await, expected, "{sql}");
    check(
        "SELECT 9007199254740993, CAST(18446744073709551615 AS UNSIGNED), CAST(1.10 AS DECIMAL(10,2)), NULL",
        r#""9007199254740993" "18446744073709551615" "1.10" null"#,
    )
    .await;
    check(
        "SELECT CAST('2026-11-24 10:00:00.5' AS DATETIME(6)), CAST('2026-11-24' AS DATE), CAST('26:00:01' AS TIME)",
        r#""2026-11-24T10:00:00.500000" "2026-11-24" "26:00:01""#,
    )
    .await;
    check("SELECT X'00ff', 'ä', b'101', 1 = 1", r#""AP8=" "ä" "BQ==" 1"#).await;
    assert_eq!(row(&databases, "SELECT id, email FROM users ORDER BY id").await, r#"1 "***""#);
    assert!(matches!(query(&databases, "SELECT upper(email) FROM users").await, Err(SqlError::Refused(_))));
    let params = vec![serde_json::json!("Ann"), serde_json::json!(1)];
    assert_eq!(query_with(&databases, "SELECT id FROM users WHERE name = ? AND id = ?", params).await.unwrap().rows.len(), 1);
    let SqlError::Statement { message, code, .. } = query(&databases, "SELECT nme FROM users").await.unwrap_err() else { panic!() };
    assert_eq!((message.as_str(), code.as_deref()), ("Unknown column 'nme' in 'SELECT'", Some("42S22")));
    let database = databases.find(None).await.unwrap();
    let ask = |sql: &str, max_rows| Ask { sql: sql.into(), params: vec![], max_rows };
    let table = database.query(ask("SELECT seq FROM seq_1_to_1000000 LIMIT 1000000", 5)).await.unwrap();
    assert_eq!((table.rows.len(), table.cut), (5, Some(super::Cut::Rows)));
    assert_eq!(row(&databases, "SELECT 1").await, "1", "what was cut takes no place from others");
    let layout = serde_json::to_value(&database.layout(Some("users,orders")).await.unwrap().relations).unwrap();
    assert_eq!(layout[0]["foreign_keys"][0], serde_json::json!({"columns": "user_id", "references": "users (id)"}));
    assert_eq!(
        (&layout[1]["columns"][0]["primary_key"], &layout[1]["columns"][2]["masked"]),
        (&serde_json::json!(1), &serde_json::json!(true))
    );
    // Who leaves takes the statement along.
    let slow = "SELECT COUNT(*) FROM seq_1_to_1000000 a, seq_1_to_1000000 b";
    let patient = databases_of(DatabaseSettings { timeout: Duration::from_secs(600), ..settings(&url) });
    assert!(tokio::time::timeout(Duration::from_millis(500), query(&patient, slow)).await.is_err());
    let end = Instant::now() + Duration::from_secs(20);
    while server.execute(
        "fixture",
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%seq_1_to_1000000 b%' AND info NOT LIKE '%processlist%'",
    ) != "0"
    {
        assert!(Instant::now() < end, "the statement goes on although its caller left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let error = query(&databases, slow).await.unwrap_err();
    assert!(matches!(error, SqlError::Timeout(_)), "{error}");
    let strict = |user: &str| databases_of(DatabaseSettings { allows_privileged_role: false, ..settings(&server.url(user, "fixture")) });
    assert_eq!(row(&strict("reader:secret-word"), "SELECT id FROM canary ORDER BY id").await, "1");
    let error = query(&strict("root"), "SELECT 1").await.unwrap_err().to_string();
    assert!(error.contains("ALL PRIVILEGES") && error.contains("allowPrivilegedRole"), "{error}");
    let reader = strict("reader:secret-word").examine().await.remove(0);
    assert!(reader.answer.unwrap().contains("login reader@") && reader.advice.is_none());
    server.execute("mysql", "CREATE USER owner@'127.0.0.1'; GRANT ALL PRIVILEGES ON fixture.* TO owner@'127.0.0.1'");
    assert_eq!(row(&strict("owner"), "SELECT id FROM canary ORDER BY id").await, "1", "an owner of one database passes");
    assert!(strict("owner").examine().await.remove(0).advice.unwrap().contains("the login may write"));
    let error = query(&strict("reader:wrong-word"), "SELECT 1").await.unwrap_err().to_string();
    assert!(error.contains("Access denied") && !error.contains("wrong-word"), "{error}");
}

/// What a statement of the config may do, on any engine: `?` stands for a parameter.
async fn writes(databases: &Databases, parameter: &str, returns: bool) {
    let database = databases.find(None).await.unwrap();
    let write = async |sql: &str, params: &[serde_json::Value]| {
        let sql = sql.replace('?', parameter);
        database.write(Ask { sql, params: params.to_vec(), max_rows: 10 }).await
    };
    let hostile = "x'); DELETE FROM notes; --";
    let written = write("INSERT INTO notes (id, v) VALUES (7, ?)", &[hostile.into()]).await.unwrap();
    assert_eq!((written.affected, written.rows.len()), (Some(1), 0));
    assert_eq!(row(databases, "SELECT v FROM notes WHERE id = 7").await, format!("{hostile:?}"));
    let written = write("UPDATE notes SET v = ? WHERE id < 3", &["same".into()]).await.unwrap();
    assert_eq!(written.affected, Some(2));
    if returns {
        let written = write("DELETE FROM notes WHERE v = ? RETURNING id, v", &["same".into()]).await.unwrap();
        assert_eq!((written.affected, written.rows.len(), written.columns[1].name.as_str()), (Some(2), 2, "v"));
        assert_eq!(written.rows[0][1].as_str(), "\"same\"");
        let written = write("INSERT INTO notes (id, v) VALUES (4, 'four') RETURNING id, id", &[]).await.unwrap();
        assert_eq!((written.columns.len(), written.rows.len()), (2, 1));
    }
    // What fails leaves nothing behind, and nobody waits for it.
    let twice = write("INSERT INTO notes (id, v) VALUES (8, 'a'), (7, 'b')", &[]).await.unwrap_err();
    assert_eq!(twice.class(), "statement", "{twice}");
    assert_eq!(row(databases, "SELECT count(*) FROM notes WHERE id = 8").await, "0");
    assert!(write("INSERT INTO notes (id, v) VALUES (9, 'c'); DELETE FROM notes", &[]).await.is_err());
    assert_eq!(row(databases, "SELECT count(*) FROM notes WHERE id = 7").await, "1");
    // Those who read still cannot do more.
    for _ in 0..5 {
        assert!(query(databases, "DELETE FROM notes").await.is_err());
        // The connections themselves, too, whatever is sent on them.
        assert!(database.query_own("DELETE FROM notes").await.is_err());
    }
    assert_eq!(row(databases, "SELECT count(*) FROM notes WHERE id = 7").await, "1");
}

const NOTES: &str = "CREATE TABLE notes (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO notes VALUES (1, 'one'), (2, 'two');";

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_is_written_by_statements_of_the_config() {
    let folder = Folder::new("sqlite-writing");
    let file = folder.0.join("notes.sqlite");
    rusqlite::Connection::open(&file).unwrap().execute_batch(NOTES).unwrap();
    let databases = databases(sqlite(&file));
    writes(&databases, "?", true).await;
    let database = databases.find(None).await.unwrap();
    for other in [
        "WITH n AS (SELECT 1) SELECT * FROM n",
        "DROP TABLE notes",
        "CREATE TABLE more (id)",
        "PRAGMA journal_mode = OFF",
        "ATTACH 'x' AS x",
        "VACUUM",
        "BEGIN",
    ] {
        let error = database.write(Ask { sql: other.into(), params: vec![], max_rows: 1 }).await.unwrap_err();
        assert_eq!(error.class(), "refused", "{other}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_written_by_statements_of_the_config() {
    let server = Postgres::start();
    server.execute("postgres", &format!("{NOTES} CREATE ROLE writer LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO writer;"));
    let databases = databases(settings(&server.url("writer", "postgres")));
    writes(&databases, "$1", true).await;
    let database = databases.find(None).await.unwrap();
    let write = async |sql: &str| database.write(Ask { sql: sql.into(), params: vec![], max_rows: 10 }).await.unwrap();
    // Values are as exact as those that are read.
    let written = write("UPDATE notes SET v = 'x' WHERE id = 7 RETURNING 9007199254740993::bigint, 1.10::numeric, 'a'::bytea").await;
    let told: Vec<&str> = written.rows[0].iter().map(|cell| cell.as_str()).collect();
    assert_eq!(told.join(" "), row(&databases, "SELECT 9007199254740993::bigint, 1.10::numeric, 'a'::bytea").await);
    let moved =
        write("WITH gone AS (DELETE FROM notes WHERE id = 7 RETURNING v) INSERT INTO notes SELECT 70, v FROM gone RETURNING id").await;
    assert_eq!((moved.affected, moved.rows.len()), (Some(1), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_is_written_by_statements_of_the_config() {
    let server = mariadb();
    server.execute("fixture", NOTES);
    // MySQL returns nothing, MariaDB does with DELETE and INSERT.
    writes(&databases(settings(&server.url("root", "fixture"))), "?", true).await;
}
