//! Who may have what: the rules, the lists that follow from them, and what those are told who may not.

#![expect(clippy::unwrap_used, reason = "in a test, what goes wrong ends it")]

use proptest::prelude::*;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};
use toolcrib_contract::{
    AuditLog, Call, CallError, Callable, CallerId, Globs, Json, Kept, Kind, Origin, Outcome, Output, PromptSpec, Record, ResourceSpec,
    Spec, ToolOutput, Unrecorded, callable,
};
use toolcrib_gate::{Access, Arrived, Caller, Condition, Config, Credential, EVERYONE, Gate, Limit, Names, Rule, Source};
use toolcrib_testkit::{Deaf, Remembered};

const TOOLS: [&str; 6] = ["admin_database", "user_data", "public_info", "git__log", "git__push", "api_client"];

fn tools(patterns: &[&str]) -> Names {
    Names { tools: Globs::new(patterns), ..Names::default() }
}

fn everything() -> Names {
    let all = || Globs::new(["*"]);
    Names { tools: all(), resources: all(), prompts: all() }
}

fn rule(roles: &[&str], allow: Names, deny: Names, when: Option<&str>) -> Rule {
    let roles = roles.iter().map(|role| (*role).into()).collect();
    let place = format!("test:{roles:?}").into();
    Rule { place, roles, allow, deny, when: when.map(|when| Condition::parse(when).unwrap()) }
}

fn allow(roles: &[&str], patterns: &[&str]) -> Rule {
    rule(roles, tools(patterns), Names::default(), None)
}

fn deny(roles: &[&str], patterns: &[&str]) -> Rule {
    rule(roles, Names::default(), tools(patterns), None)
}

struct Ruled {
    gate: Gate,
    audit: Arc<Remembered>,
}

fn said() -> Arc<dyn Callable> {
    callable(|_, _| async { Ok(Output::Tool(ToolOutput::text("done"))) })
}

fn source() -> Source {
    let mut source = Source::new("test");
    for name in TOOLS {
        source.tool(Spec::new(name, "For a test."), said()).unwrap();
    }
    source.resource(
        ResourceSpec { uri: "file:///secret/plan".into(), name: "plan".into(), description: None, mime_type: None, foreign: None },
        said(),
    );
    source.prompt(PromptSpec { name: "review".into(), title: None, description: None, arguments: Vec::new(), foreign: None }, said(), None);
    source
}

fn ruled(rules: Vec<Rule>, limits: Vec<Limit>) -> Ruled {
    let audit = Arc::new(Remembered::default());
    let gate = Gate::new(Config::default(), Arc::clone(&audit) as Arc<dyn AuditLog>).ruled_by(Access { rules, scopes: Vec::new() }, limits);
    gate.publish(source());
    Ruled { gate, audit }
}

impl Ruled {
    async fn caller(&self, roles: &[&str]) -> Caller {
        let id = if roles.is_empty() { CallerId::anonymous() } else { CallerId::new("test", "ann", roles.iter().copied()) };
        self.gate.authenticate(Credential::Local(id)).await.unwrap()
    }

    async fn call(&self, roles: &[&str], call: Call) -> Result<(), CallError> {
        let (caller, back) = (self.caller(roles).await, Arc::new(Deaf));
        self.gate.call(Arrived { caller, profile: None, call, origin: Origin::door("http"), back }).await.map(drop)
    }

    async fn tool(&self, roles: &[&str], name: &str, arguments: &str) -> Result<(), CallError> {
        self.call(roles, Call::tool(name, Json::parse(arguments.to_owned()).unwrap())).await
    }

    async fn listed(&self, roles: &[&str]) -> BTreeSet<String> {
        let visible = self.gate.visible_to(&self.caller(roles).await, &Origin::door("http"), None);
        visible.tools().map(|spec| spec.name.clone()).collect()
    }

    fn last(&self) -> Record {
        self.audit.records().pop().unwrap()
    }
}

#[tokio::test]
async fn each_role_has_what_the_rules_give_it() {
    let ruled = ruled(
        vec![
            allow(&["admin"], &["*"]),
            allow(&["user"], &["user_data", "git__*"]),
            allow(&[EVERYONE], &["public_info"]),
            deny(&["user"], &["git__push"]),
            deny(&["suspended"], &["*"]),
        ],
        Vec::new(),
    );
    let expected: [(&[&str], &[&str]); 6] = [
        (&[], &["public_info"]),
        (&["user"], &["git__log", "public_info", "user_data"]),
        (&["admin"], &["admin_database", "api_client", "git__log", "git__push", "public_info", "user_data"]),
        (&["admin", "user"], &["admin_database", "api_client", "git__log", "public_info", "user_data"]),
        (&["admin", "suspended"], &[]),
        (&["stranger"], &["public_info"]),
    ];
    for (roles, names) in expected {
        let names: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(ruled.listed(roles).await, names, "{roles:?}");
        for tool in TOOLS {
            assert_eq!(ruled.tool(roles, tool, "{}").await.is_ok(), names.contains(tool), "{roles:?} {tool}");
        }
    }
}

#[tokio::test]
async fn nothing_is_there_without_a_role_by_enumeration() {
    let ruled = ruled(vec![rule(&["admin"], everything(), Names::default(), None)], Vec::new());
    let calls = || {
        let named = |kind, name: &str| Call { kind, name: name.into(), arguments: Json::empty_object(), params: None };
        TOOLS.iter().map(|tool| Call::tool(tool, Json::empty_object())).collect::<Vec<_>>().into_iter().chain([
            Call::resource("file:///secret/plan"),
            named(Kind::Prompt, "review"),
            named(Kind::PromptCompletion, "review"),
        ])
    };
    for roles in [[].as_slice(), &["user"], &["ADMIN"], &["admin2"], &["*"]] {
        for call in calls() {
            let what = format!("{roles:?} {call:?}");
            let error = ruled.call(roles, call).await.unwrap_err();
            assert!(matches!(error, CallError::Forbidden { .. } | CallError::NotFound { .. }), "{what}: {error:?}");
        }
        let visible = ruled.gate.visible_to(&ruled.caller(roles).await, &Origin::door("http"), None);
        let seen = visible.tools().count() + visible.resources().count() + visible.templates().count() + visible.prompts().count();
        assert_eq!(seen, 0, "{roles:?}");
        assert!(ruled.gate.watch(&visible, "file:///secret/plan").await.is_err());
    }
    ruled.call(&["admin"], Call::resource("file:///secret/plan")).await.unwrap();
}

#[tokio::test]
async fn unknown_and_forbidden_are_told_alike_and_recorded_apart() {
    let ruled = ruled(vec![allow(&["user"], &["user_data"])], Vec::new());
    let forbidden = ruled.tool(&["user"], "admin_database", "{}").await.unwrap_err();
    assert_eq!(ruled.last().outcome, Outcome::Refused("forbidden"));
    let unknown = ruled.tool(&["user"], "admin_databose", "{}").await.unwrap_err();
    assert_eq!(ruled.last().outcome, Outcome::Refused("not_found"));
    assert_eq!(forbidden.to_string().replace("database", "databose"), unknown.to_string());
}

#[tokio::test]
async fn conditions_are_judged_on_the_arguments_that_the_tool_gets() {
    let get = r#"args.method == "GET""#;
    let ruled = ruled(vec![rule(&["user"], tools(&["api_client"]), Names::default(), Some(get))], Vec::new());
    ruled.tool(&["user"], "api_client", r#"{"method": "GET"}"#).await.unwrap();
    for arguments in [r#"{"method": "POST"}"#, "{}", r#"{"method": null}"#, r#"{"method": ["GET"]}"#, r#"{"METHOD": "GET"}"#] {
        let error = ruled.tool(&["user"], "api_client", arguments).await.unwrap_err();
        assert!(matches!(error, CallError::ArgumentsForbidden { .. }), "{arguments}: {error}");
    }
    // Two members of one name could be read differently by whoever acts on them.
    ruled.tool(&["user"], "api_client", r#"{"method": "GET", "method": "POST"}"#).await.unwrap_err();
    assert!(ruled.listed(&["user"]).await.contains("api_client"), "there are arguments with which it may be called");

    let ruled = self::ruled(
        vec![allow(&["user"], &["*"]), rule(&[EVERYONE], Names::default(), tools(&["api_client"]), Some(r#"args.method == "DELETE""#))],
        Vec::new(),
    );
    ruled.tool(&["user"], "api_client", r#"{"method": "GET"}"#).await.unwrap();
    ruled.tool(&["user"], "api_client", r#"{"method": "DELETE"}"#).await.unwrap_err();
    ruled.tool(&["user"], "api_client", "{}").await.unwrap_err();
    ruled.tool(&["user"], "git__log", "{}").await.unwrap();
}

#[tokio::test]
async fn limits_hold_across_calls_and_count_nothing_that_was_refused() {
    let limit = Limit { roles: vec![EVERYONE.into()], names: tools(&["user_data"]), per_minute: None, per_day: Some(3) };
    let ruled = ruled(vec![allow(&[EVERYONE], &["user_data", "public_info"])], vec![limit]);
    let ann = ruled.caller(&["user"]).await;
    ruled.gate.recount(ann.id(), None, Kind::Tool, "user_data", SystemTime::now(), 1);
    for _ in 0..2 {
        ruled.tool(&["user"], "user_data", "{}").await.unwrap();
        ruled.tool(&["user"], "admin_database", "{}").await.unwrap_err();
    }
    let error = ruled.tool(&["user"], "user_data", "{}").await.unwrap_err();
    assert!(matches!(error, CallError::LimitReached { limit: 3, window: "day", .. }), "{error}");
    assert_eq!(ruled.last().outcome, Outcome::Refused("limit_reached"));
    ruled.tool(&["user"], "public_info", "{}").await.unwrap();
    ruled.tool(&[], "user_data", "{}").await.unwrap();
}

/// A log that does not always take records.
#[derive(Debug)]
struct Failing {
    admits: bool,
}

impl AuditLog for Failing {
    fn admits(&self) -> Result<(), Unrecorded> {
        if self.admits { Ok(()) } else { Err(Unrecorded("the disk is full".into())) }
    }

    fn keep(&self, _: Record) -> Kept {
        Some(Box::pin(async { Err(Unrecorded("the disk is full".into())) }))
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done_and_not_answered() {
    for (admits, expected) in [(false, "not_recordable"), (true, "not_recorded")] {
        let gate = Gate::new(Config::default(), Arc::new(Failing { admits }));
        gate.publish(source());
        let caller = gate.authenticate(Credential::None).await.unwrap();
        let arrived = |name: &str| Arrived {
            caller: caller.clone(),
            profile: None,
            call: Call::tool(name, Json::empty_object()),
            origin: Origin::door("http"),
            back: Arc::new(Deaf),
        };
        assert_eq!(gate.call(arrived("user_data")).await.unwrap_err().code(), expected);
        assert_eq!(gate.call(arrived("none")).await.unwrap_err().code(), "not_recordable");
    }
}

/// The decision as one would write it down without a thought for speed.
fn naive(rules: &[Rule], roles: &[&str], tool: &str) -> bool {
    let is_for = |rule: &&Rule| rule.roles.iter().any(|role| &**role == "*" || roles.contains(&&**role));
    let denied = rules.iter().filter(is_for).any(|rule| rule.deny.tools.include(tool));
    let allowed = rules.iter().filter(is_for).any(|rule| rule.allow.tools.include(tool));
    allowed && !denied
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let roles = proptest::sample::subsequence(vec!["admin", "user", "guest", "*"], 1..3);
    let patterns = proptest::sample::subsequence(vec!["*", "git__*", "admin_*", "user_data", "public_info", "?ser_data"], 0..3);
    (roles, patterns.clone(), patterns).prop_map(|(roles, allow, deny)| rule(&roles, tools(&allow), tools(&deny), None))
}

proptest! {
    #[test]
    fn decisions_and_lists_are_those_of_the_naive_model(
        rules in proptest::collection::vec(any_rule(), 0..6),
        roles in proptest::sample::subsequence(vec!["admin", "user", "guest"], 0..3),
    ) {
        let ruled = ruled(rules.clone(), Vec::new());
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
            let listed = ruled.listed(&roles).await;
            for tool in TOOLS {
                let expected = naive(&rules, &roles, tool);
                assert_eq!(ruled.tool(&roles, tool, "{}").await.is_ok(), expected, "{tool}");
                assert_eq!(listed.contains(tool), expected, "{tool}");
            }
        });
    }
}

#[test]
fn waiting_is_told_in_seconds() {
    let error = CallError::LimitReached { limit: 2, window: "minute", retry_after: Duration::from_millis(200) };
    assert_eq!(error.to_string(), "limit reached: 2 calls per minute; nothing was started, try again in 1 s");
}

#[tokio::test]
async fn another_way_to_write_a_uri_is_no_way_around_a_rule() {
    use toolcrib_contract::TemplateSpec;
    let rules = vec![rule(
        &[EVERYONE],
        Names { resources: Globs::new(["file:///public/*", "file:///{+path}"]), ..Names::default() },
        Names { resources: Globs::new(["file:///public/secret/*"]), ..Names::default() },
        None,
    )];
    let ruled = ruled(rules, Vec::new());
    let mut files = Source::new("files");
    files.template(TemplateSpec { uri_template: "file:///{+path}".into(), name: "files".into(), ..TemplateSpec::default() }, said(), None);
    ruled.gate.publish(files);
    ruled.call(&[], Call::resource("file:///public/a%20b.txt")).await.unwrap();
    for uri in [
        "file:///secret/plan2",
        "file:///public/secret/x",
        "file:///public/../secret/plan2",
        "file:///public/./secret/x",
        "file:///public//secret/x",
        "file:///public/%73ecret/x",
        "file:///public/%2e%2e/secret/x",
        "file:///public\\..\\secret/x",
        "FILE:///public/secret/x",
    ] {
        let error = ruled.call(&[], Call::resource(uri)).await.unwrap_err();
        assert!(matches!(error, CallError::NotFound { .. } | CallError::Forbidden { .. }), "{uri}: {error:?}");
    }
}

/// A tool whose operator has set an argument.
struct Preset;

impl Callable for Preset {
    fn call(
        &self,
        input: toolcrib_contract::Input,
        _: toolcrib_contract::CallContext,
    ) -> toolcrib_contract::BoxFuture<'_, Result<Output, CallError>> {
        Box::pin(async move { Ok(Output::Tool(ToolOutput::text(input.arguments.as_str()))) })
    }

    fn prepare(&self, arguments: &Json) -> Result<Option<Json>, CallError> {
        let members = arguments.members().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
        Ok(Some(members.edit(&[("db", Some(Json::string("prod")))])))
    }
}

#[tokio::test]
async fn what_the_config_puts_in_is_judged_too() {
    let when = r#"has(args.db) && args.db == "prod""#;
    let ruled = ruled(vec![allow(&["user"], &["preset"]), rule(&["user"], Names::default(), tools(&["preset"]), Some(when))], Vec::new());
    let mut source = Source::new("other");
    source.tool(Spec::new("preset", "For a test."), Arc::new(Preset)).unwrap();
    ruled.gate.publish(source);
    assert!(matches!(ruled.tool(&["user"], "preset", "{}").await, Err(CallError::ArgumentsForbidden { .. })));
    assert_eq!(ruled.last().reason.as_deref(), Some(r#"test:["user"]"#), "the record says which rule");
}
