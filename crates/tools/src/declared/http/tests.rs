use super::*;
use crate::outside::egress_to;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use toolcrib_contract::Spec;
use toolcrib_testkit::{OpenGate, Served, Site, TestGate};

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

fn get(site: &Site, path: &str) -> HttpSettings {
    HttpSettings {
        method: Method::GET,
        origin: Url::parse(&site.url("127.0.0.1", "/")).unwrap(),
        path: template(path),
        query: Vec::new(),
        styled: Vec::new(),
        secrets: HeaderMap::new(),
        headers: Vec::new(),
        body: None,
        select: None,
        errors: BTreeMap::new(),
        pages: None,
        hidden: Vec::new(),
    }
}

fn gate(site: &Site, settings: HttpSettings) -> OpenGate {
    assert_eq!(settings.faults(), Vec::<String>::new());
    let egress = egress_to(site).also_reaching(&[&settings.origin], |_| {}).unwrap();
    let http = Http::new(settings, egress, Kept::default());
    let once = toolcrib_gate::Resilience { attempts: 1, ..toolcrib_gate::Resilience::default() };
    TestGate::default().resilience(once, &[]).entry(Spec::new("ask", "Asks."), Arc::new(http)).open()
}

/// Answers with what was asked.
async fn echo() -> Site {
    Site::serve(|asked| {
        let headers: serde_json::Map<String, Value> = asked.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        Served::json(json!({"method": asked.method, "path": asked.path, "headers": headers, "body": asked.body}).to_string())
    })
    .await
}

async fn failure(site: &Site, settings: HttpSettings, arguments: Value) -> CallError {
    gate(site, settings).call("ask", &arguments.to_string()).await.unwrap_err()
}

#[tokio::test]
async fn values_go_where_the_config_has_places_for_them() {
    let site = echo().await;
    let settings = HttpSettings {
        method: Method::POST,
        query: vec![("q".into(), template("{{q}}")), ("tag".into(), template("{{tags}}")), ("v".into(), template("2"))],
        headers: vec![(HeaderName::from_static("x-city"), template("{{city}}")), (HeaderName::from_static("x-none"), template("{{none}}"))],
        secrets: HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Bearer shop-token-1"))]),
        body: Some(Body::Json(Shape::parse(&json!({"n": "{{n}}", "none": "{{none}}"})).unwrap())),
        ..get(&site, "/orders/{{order}}/lines")
    };
    let asked = json!({"order": "A 1?x#y", "q": "ü &", "tags": ["a", "b"], "city": "Bern", "n": 1.5});
    let told = gate(&site, settings).tell("ask", &asked).await;
    assert_eq!(told["path"], "/orders/A%201%3Fx%23y/lines?q=%C3%BC+%26&tag=a&tag=b&v=2");
    assert_eq!((&told["method"], &told["body"]), (&json!("POST"), &json!(r#"{"n":1.5}"#)));
    assert_eq!((&told["headers"]["x-city"], told["headers"].get("x-none")), (&json!("Bern"), None));
    assert_eq!(told["headers"]["authorization"], "***", "what it sends back is no secret any more");
}

#[tokio::test]
async fn no_value_leads_to_another_path_or_into_another_header() {
    let site = echo().await;
    for sly in ["..", ".", "a/b", "%2e%2e", "%252e%252e", "a%2f..%2fb", "..;x"] {
        let error = failure(&site, get(&site, "/orders/{{order}}/lines"), json!({"order": sly})).await;
        assert!(matches!(error, CallError::InvalidArguments(_)), "{sly}: {error}");
    }
    let headers = vec![(HeaderName::from_static("x-city"), template("{{city}}"))];
    let error = failure(&site, HttpSettings { headers, ..get(&site, "/") }, json!({"city": "Bern\r\nx-admin: 1"})).await;
    assert!(error.to_string().contains("no header may hold that"), "{error}");
    let error = failure(&site, get(&site, "/orders/{{order}}"), json!({"order": ""})).await;
    assert!(error.to_string().contains("order must not be empty"), "{error}");
    let error = failure(&site, get(&site, "/orders/{{order}}"), json!({})).await;
    assert_eq!(error.to_string(), "Invalid tool input: order is needed");
}

#[tokio::test]
async fn what_is_wanted_of_an_answer_is_what_is_given() {
    let site = Site::serve(|asked| match asked.path.as_str() {
        "/list" => Served::json(r#"{"items": [{"id": 1.50}, {"id": 2}]}"#),
        "/text" => Served::new(200, "plain words").header("content-type", "text/plain"),
        _ => Served::new(204, ""),
    })
    .await;
    let selecting = |path: &str, select: &str| HttpSettings { select: Some(select.into()), ..get(&site, path) };
    assert_eq!(gate(&site, selecting("/list", "$.items[*].id")).text("ask", &json!({})).await.unwrap(), "[1.50,2]");
    assert_eq!(gate(&site, selecting("/list", "$.items[0]")).tell("ask", &json!({})).await, json!({"id": 1.5}));
    assert_eq!(gate(&site, get(&site, "/text")).text("ask", &json!({})).await.unwrap(), "plain words");
    assert!(gate(&site, get(&site, "/nothing")).text("ask", &json!({})).await.unwrap().contains("nothing to tell"));
    let error = failure(&site, selecting("/list", "$.others"), json!({})).await;
    assert!(error.to_string().contains("does not have what the tool looks for"), "{error}");
    assert!(HttpSettings { select: Some("$[".into()), ..get(&site, "/") }.faults()[0].contains("JSONPath"));
}

#[tokio::test]
async fn a_status_says_whose_fault_it_is() {
    let site = Site::serve(|asked| {
        let status = asked.path.trim_start_matches('/').parse().unwrap();
        Served::new(status, "the reason").header("retry-after", "7").header("location", "http://elsewhere.example/")
    })
    .await;
    let of = async |status: u16| failure(&site, get(&site, &format!("/{status}")), json!({})).await;
    assert!(matches!(of(404).await, CallError::Failed(said) if said == "127.0.0.1: it answered 404 Not Found: the reason"));
    assert!(matches!(of(429).await, CallError::Unavailable { outage: Outage::Busy(Some(after)), .. } if after.as_secs() == 7));
    assert!(matches!(of(503).await, CallError::Unavailable { .. }));
    assert!(matches!(of(500).await, CallError::OutcomeUnknown { reason, .. } if reason.contains("the reason")));
    assert!(of(302).await.to_string().contains("redirects to http://elsewhere.example/, which is not followed"));
    let errors = BTreeMap::from([(404, "there is no such order".to_owned())]);
    let error = failure(&site, HttpSettings { errors, ..get(&site, "/404") }, json!({})).await;
    assert_eq!(error.to_string(), "there is no such order");
    let gone = HttpSettings { origin: Url::parse("http://127.0.0.1:9/").unwrap(), ..get(&site, "/") };
    assert!(matches!(failure(&site, gone, json!({})).await, CallError::Unavailable { outage: Outage::Unreached, .. }));
}

#[tokio::test]
async fn what_variables_have_put_in_is_shown_to_nobody() {
    let site = Site::serve(|asked| match asked.path.as_str() {
        path if path.starts_with("/moved") => Served::redirect(301, &format!("https://shop.example{path}")),
        path => Served::new(400, format!("no key at {path}")),
    })
    .await;
    let settings = |path: &str| HttpSettings {
        query: vec![("appid".into(), template("key+of+ours"))],
        secrets: HeaderMap::from_iter([(HeaderName::from_static("x-version"), HeaderValue::from_static("2026-11-24"))]),
        hidden: vec!["key+of+ours".into()],
        ..get(&site, path)
    };
    for path in ["/moved", "/refused"] {
        let error = failure(&site, settings(path), json!({})).await.to_string();
        assert!(!error.contains("key+of") && !error.contains("key%2Bof"), "{error}");
    }
    let http = Http::new(settings("/a"), egress_to(&site), Kept::default());
    let told = http.foretell(&Json::empty_object()).unwrap().unwrap().join("\n");
    assert!(told.contains("/a?appid=***") && told.contains("x-version: ***"), "{told}");
    assert_eq!(http.secrets(), ["key%2Bof%2Bours", "key+of+ours"], "a version is no secret that would have to be taken out of answers");
}

#[tokio::test]
async fn a_server_that_is_busy_and_one_that_broke_off_are_told_apart() {
    let site =
        Site::serve(|asked| if asked.path == "/later" { Served::new(503, "").header("retry-after", "9") } else { Served::new(503, "") })
            .await;
    let post = |path: &str| HttpSettings { method: Method::POST, ..get(&site, path) };
    assert!(matches!(failure(&site, post("/later"), json!({})).await, CallError::Unavailable { .. }));
    assert!(matches!(failure(&site, post("/reset"), json!({})).await, CallError::OutcomeUnknown { .. }));
    assert!(matches!(failure(&site, get(&site, "/reset"), json!({})).await, CallError::Unavailable { .. }));
}

#[tokio::test]
async fn pages_are_asked_for_one_after_the_other_at_the_same_host() {
    let site = Site::serve(|asked| {
        let page: usize = asked.path.rsplit_once("page=").map_or(1, |(_, page)| page.parse().unwrap());
        let answer = Served::json(json!({"items": [page], "next": if page < 3 { json!(page + 1) } else { json!(null) }}).to_string());
        match (asked.path.starts_with("/linked"), page) {
            (true, 1) => answer.header("link", "</other>; rel=\"prev\", </linked?size=1&page=2>; rel=\"next\""),
            (true, 2) => answer.header("link", "<https://elsewhere.example/>; rel=next"),
            _ => answer,
        }
    })
    .await;
    let paged = |path: &str, next: Next, max: usize| HttpSettings {
        query: vec![("size".into(), template("1"))],
        pages: Some(Pages { next, items: Some("$.items".into()), max }),
        ..get(&site, path)
    };
    let cursor = || Next::Cursor { path: "$.next".into(), parameter: "page".into() };
    assert_eq!(gate(&site, paged("/cursor", cursor(), 10)).text("ask", &json!({})).await.unwrap(), "[1,2,3]");
    let reply = gate(&site, paged("/cursor", cursor(), 2)).call("ask", "{}").await.unwrap();
    let Output::Tool(output) = reply.output else { panic!("a tool") };
    assert_eq!(output.structured.unwrap().as_str(), r#"{"result":[1,2]}"#);
    assert!(format!("{:?}", output.content).contains("there are more than the 2 pages"), "{:?}", output.content);
    let reply = gate(&site, paged("/linked", Next::Link, 10)).call("ask", "{}").await.unwrap();
    let Output::Tool(output) = reply.output else { panic!("a tool") };
    assert!(format!("{:?}", output.content).contains("said to be at another host, which is not asked"), "{:?}", output.content);
    assert_eq!(output.structured.unwrap().as_str(), r#"{"result":[1,2]}"#);
}

#[tokio::test]
async fn what_only_looks_is_asked_again_and_what_acts_is_not() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    let site =
        Site::serve(
            move |_| if counting.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { Served::new(500, "") } else { Served::json("1") },
        )
        .await;
    let trusting = toolcrib_gate::Resilience { trusts_hints: true, ..toolcrib_gate::Resilience::default() };
    let gate = |method: Method, annotations| {
        let http = Http::new(HttpSettings { method, ..get(&site, "/") }, egress_to(&site), Kept::default());
        let spec = Spec::new("ask", "Asks.").annotations(annotations);
        TestGate::default().resilience(trusting.clone(), &[]).entry(spec, Arc::new(http)).open()
    };
    let looking = gate(Method::GET, toolcrib_contract::Annotations::LOOKS_OUTSIDE);
    assert_eq!(looking.text("ask", &json!({})).await.unwrap(), "1");
    assert_eq!(asked.swap(0, Ordering::Relaxed), 2);
    let acting = gate(Method::POST, toolcrib_contract::Annotations::default());
    assert!(acting.text("ask", &json!({})).await.unwrap_err().contains("the outcome is unknown"));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
