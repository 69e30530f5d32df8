//! Declared tools: what each takes, what it does, and how that is tried out.

use super::{
    super::{
        Fault, Lookup,
        document::{Faults, Spanned},
        raw::declared::{self as raw, Does as Written},
    },
    child, header_of, one_of,
    openapi::{Brought, openapi},
    ready::{METHODS, refuse_odd_name},
    seconds, within,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use toolcrib_contract::{Annotations, CallError, Category, Json, Reach, Spec, callable};
use toolcrib_egress::{HeaderMap, Method, Url};
use toolcrib_gate::{SchemaFault, Source};
use toolcrib_tools::declared::{
    ARGS, Body, Canned, CommandSettings, DEFAULT_MAX_OUTPUT_BYTES, DEFAULT_PAGES, Declared, Does, HttpSettings, Next, Pages,
    PipelineSettings, Place, Shape, SqlSettings, Statement, Step, Template, Written as Output,
};

const CATEGORIES: &[(&str, Category)] = &[
    ("data_retrieval", Category::DataRetrieval),
    ("data_processing", Category::DataProcessing),
    ("external_integration", Category::ExternalIntegration),
    ("utility", Category::Utility),
];
const OUTPUTS: &[(&str, Output)] = &[("text", Output::Text), ("json", Output::Json)];
/// The most rows that a declared statement gives, unless the config says.
const DEFAULT_MAX_ROWS: usize = 100;

/// One case that a declared tool is tried out with.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The tool.
    pub tool: String,
    /// The arguments.
    pub arguments: Value,
    /// The answer that it is given.
    pub canned: Canned,
    /// What comes of it.
    pub expected: Expected,
    place: Spanned<()>,
}

/// What comes of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// This result: its structure, or its text.
    Result(Value),
    /// An error that says this, among other things.
    Error(String),
}

impl Trial {
    /// The fault that an unexpected outcome is.
    #[must_use]
    pub fn fault(&self, message: impl Into<String>) -> Fault {
        self.place.fault(message)
    }
}

/// A test as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    #[serde(default = "nothing")]
    args: Value,
    #[serde(default)]
    answer: Canned,
    expect: Option<Value>,
    #[serde(rename = "expectError")]
    expect_error: Option<String>,
}

fn nothing() -> Value {
    json!({})
}

/// Everything about declared tools.
pub(super) fn check(written: &[raw::Declared], databases: &[&str], lookup: Lookup<'_>, faults: &mut Faults) -> (Brought, Vec<Trial>) {
    let (mut brought, mut tools, mut trials) = (Brought::default(), Vec::new(), Vec::new());
    for written in written {
        if let [Written::OpenApi(document)] = written.does.as_slice() {
            refuse_odd_name(&written.name, faults);
            openapi(written, document, &mut brought, faults);
            continue;
        }
        let Some(tool) = tool(written, databases, lookup, faults) else { continue };
        trials.extend(written.tests.iter().filter_map(|test| trial(test, &tool, faults)));
        tools.push(tool);
    }
    refuse_circles(written, &tools, faults);
    brought.tools.splice(..0, tools);
    (brought, trials)
}

fn tool(written: &raw::Declared, databases: &[&str], lookup: Lookup<'_>, faults: &mut Faults) -> Option<Declared> {
    let name = &written.name;
    refuse_odd_name(name, faults);
    let Some(description) = &written.description else {
        faults.add(name.fault("a declared tool needs a description: by it, the model chooses"));
        return None;
    };
    let [does] = written.does.as_slice() else {
        faults.add(name.fault("a declared tool does one thing: http, command, sql, pipeline or openapi"));
        return None;
    };
    let schema = input(written.input.as_ref(), faults)?;
    let does = match does {
        Written::Http(http) => Does::Http(HttpSettings { hidden: written.secrets.clone(), ..self::http(http, faults)? }),
        Written::Command(command) => Does::Command(self::command(command, &written.secrets, &written.base, lookup, faults)?),
        Written::Sql(sql) => Does::Sql(self::sql(sql, databases, faults)?),
        Written::Pipeline(pipeline) => Does::Pipeline(self::pipeline(pipeline, faults)?),
        // It is read as a document of many tools.
        Written::OpenApi(_) => return None,
    };
    refuse_lost_places(name, &does, &schema, faults);
    let schema = Json::from(&schema);
    // What cannot be offered is said here, where it has its line.
    if let Err(fault) = can_be_offered(&Spec::new(&name.value, "").input_schema(schema.clone())) {
        faults.add(written.input.as_ref().map_or_else(|| name.fault(fault.to_string()), |input| input.fault(fault.to_string())));
        return None;
    }
    let tags: Vec<&str> = written.tags.iter().map(|tag| tag.value.as_str()).collect();
    let mut spec = Spec::new(&name.value, &description.value)
        .tags(&tags)
        .category(one_of(written.category.as_ref(), CATEGORIES, faults).unwrap_or(default_category(&does)))
        .annotations(hints(&written.hints).or(does.annotations()))
        .reaches(reaches(&does))
        .input_schema(schema);
    spec.title = written.title.as_ref().map(|title| title.value.clone());
    spec.author = written.author.as_ref().map(|author| author.value.clone());
    spec.timeout = seconds(written.timeout_secs.as_ref(), faults);
    spec.output_schema = written.output.as_ref().map(|output| output.value.clone());
    if let Some(version) = &written.version {
        spec.version.clone_from(&version.value);
    }
    Some(Declared { spec, does })
}

/// Whether a catalogue takes a tool with this schema.
pub(super) fn can_be_offered(spec: &Spec) -> Result<(), SchemaFault> {
    let nobody = callable(|_, _| async { Err(CallError::failed("it is only looked at")) });
    Source::new("check").tool(spec.clone(), nobody)
}

fn default_category(does: &Does) -> Category {
    match does {
        Does::Http(http) if http.method == Method::GET => Category::DataRetrieval,
        Does::Http(_) => Category::ExternalIntegration,
        Does::Sql(sql) if sql.writes => Category::ExternalIntegration,
        Does::Sql(_) => Category::DataRetrieval,
        Does::Command(_) | Does::Pipeline(_) => Category::Utility,
    }
}

fn reaches(does: &Does) -> &'static [Reach] {
    match does {
        Does::Http(_) => &[Reach::Network],
        Does::Command(_) | Does::Sql(_) => &[Reach::Network, Reach::Files],
        Does::Pipeline(_) => &[],
    }
}

/// What the config says of effects.
pub(super) fn hints(hints: &[(String, Spanned<bool>)]) -> Annotations {
    let mut annotations = Annotations::default();
    for (hint, flag) in hints {
        let slot = match hint.as_str() {
            "readOnlyHint" => &mut annotations.is_read_only,
            "destructiveHint" => &mut annotations.is_destructive,
            "idempotentHint" => &mut annotations.is_idempotent,
            _ => &mut annotations.is_open_world,
        };
        *slot = Some(flag.value);
    }
    annotations
}

/// The schema of the arguments: as it is written in full, or by the names of the arguments, each with its type or schema. Without more,
/// each of them has to be given.
fn input(written: Option<&Spanned<Json>>, faults: &mut Faults) -> Option<Value> {
    let Some(written) = written else { return Some(json!({"type": "object", "properties": {}, "additionalProperties": false})) };
    let Ok(Value::Object(given)) = written.value.to_value() else {
        faults.add(written.fault("expected the arguments by their names, or a JSON Schema of type object"));
        return None;
    };
    if given.get("type").is_some_and(|kind| kind == "object") {
        return Some(Value::Object(given));
    }
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (name, schema) in given {
        let mut schema = match schema {
            Value::String(kind) => Map::from_iter([("type".to_owned(), Value::String(kind))]),
            Value::Object(schema) => schema,
            _ => {
                faults.add(written.fault(format!("{name}: expected a type such as string, or a JSON Schema")));
                return None;
            }
        };
        let is_optional = schema.remove("optional").is_some_and(|flag| flag == Value::Bool(true)) || schema.contains_key("default");
        if !is_optional {
            required.push(Value::String(name.clone()));
        }
        properties.insert(name, Value::Object(schema));
    }
    Some(json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false}))
}

/// Values are looked for among the arguments that there are.
fn refuse_lost_places(name: &Spanned<String>, does: &Does, schema: &Value, faults: &mut Faults) {
    let known: BTreeSet<&str> = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let places: Vec<&str> = match does {
        Does::Http(http) => http.places().into_iter().map(Place::root).collect(),
        Does::Command(command) => command.places().into_iter().map(Place::root).collect(),
        Does::Sql(sql) => sql.statement.places().into_iter().map(Place::root).collect(),
        Does::Pipeline(pipeline) => pipeline.arguments(),
    };
    let lost: BTreeSet<&str> = places.into_iter().filter(|place| !known.contains(place)).collect();
    for lost in lost {
        let known = if known.is_empty() { "none".to_owned() } else { known.iter().copied().collect::<Vec<_>>().join(", ") };
        faults.add(name.fault(format!("{{{{{lost}}}}} is no argument of it; its input has: {known}")));
    }
}

pub(super) fn template(written: &Spanned<String>, faults: &mut Faults) -> Option<Template> {
    said(Template::parse(&written.value), written, faults)
}

fn shape(written: &Spanned<Json>, faults: &mut Faults) -> Option<Shape> {
    let value = written.value.to_value().ok()?;
    said(Shape::parse(&value), written, faults)
}

fn said<T, P>(parsed: Result<T, String>, place: &Spanned<P>, faults: &mut Faults) -> Option<T> {
    parsed.map_err(|reason| faults.add(place.fault(reason))).ok()
}

fn templates(written: &[(String, Spanned<String>)], faults: &mut Faults) -> Vec<(String, Template)> {
    written.iter().filter_map(|(name, text)| Some((name.clone(), template(text, faults)?))).collect()
}

fn http(written: &raw::Http, faults: &mut Faults) -> Option<HttpSettings> {
    let Some(url) = &written.url else {
        faults.add(written.place.fault("a request needs a url"));
        return None;
    };
    let (origin, path, mut query) = address(url, faults)?;
    query.extend(templates(&written.query, faults));
    let method = match &written.method {
        None => Method::GET,
        Some(written) => {
            let found = METHODS.iter().find(|method| method.as_str().eq_ignore_ascii_case(&written.value));
            if found.is_none() {
                let known: Vec<&str> = METHODS.iter().map(Method::as_str).collect();
                faults.add(written.fault(format!("expected one of {}, found {:?}", known.join(", "), written.value)));
            }
            found.cloned().unwrap_or_default()
        }
    };
    let (mut secrets, mut headers) = (HeaderMap::new(), Vec::new());
    for (name, value) in &written.headers {
        let Some(text) = template(value, faults) else { continue };
        if text.places().next().is_none() {
            secrets.extend(header_of(name, value, faults));
        } else if let Some((name, _)) = header_of(name, &value.with("x".to_owned()), faults) {
            headers.push((name, text));
        }
    }
    let body = match (&written.body, written.form.is_empty()) {
        (Some(body), true) => shape(body, faults).map(|shape| match shape {
            Shape::Text(text) if !text.is_lone() => Body::Text(text),
            other => Body::Json(other),
        }),
        (None, false) => Some(Body::Form(templates(&written.form, faults))),
        (Some(body), false) => {
            faults.add(body.fault("give either a body or a form"));
            None
        }
        (None, true) => None,
    };
    if body.is_some() && matches!(method, Method::GET | Method::HEAD) {
        faults.add(written.place.fault(format!("{method} takes no body; parameters go into query")));
    }
    let numbered = |(status, meaning): &(String, Spanned<String>), faults: &mut Faults| match status.parse::<u16>() {
        Ok(status @ 300..=599) => Some((status, meaning.value.clone())),
        _ => {
            faults.add(meaning.fault(format!("{status:?} is no status of an error: they go from 300 to 599")));
            None
        }
    };
    let errors = written.errors.iter().filter_map(|error| numbered(error, faults)).collect();
    let pages = written.pages.as_ref().and_then(|pages| self::pages(pages, faults));
    let select = written.select.as_ref().map(|select| select.value.clone());
    let settings =
        HttpSettings { method, origin, path, query, styled: Vec::new(), secrets, headers, body, select, errors, pages, hidden: Vec::new() };
    settings.faults().into_iter().for_each(|reason| faults.add(written.place.fault(reason)));
    Some(settings)
}

type Parameters = Vec<(String, Template)>;

/// The host, which stands as it is, the path and the parameters of a URL.
fn address(written: &Spanned<String>, faults: &mut Faults) -> Option<(Url, Template, Parameters)> {
    let text = &written.value;
    let begins = text.find("://").map_or(0, |index| index + 3);
    let ends = text[begins..].find(['/', '?', '#']).map_or(text.len(), |index| begins + index);
    let (host, rest) = text.split_at(ends);
    if host.contains("{{") {
        faults.add(written.fault("the host of a URL stands as it is: no value can change where a request goes"));
        return None;
    }
    let origin = super::ready::plain_url(&written.with(host.to_owned()), faults)?;
    if rest.contains('#') {
        faults.add(written.fault("a URL of a request has no fragment (#)"));
        return None;
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = template(&written.with(if path.is_empty() { "/".to_owned() } else { path.to_owned() }), faults)?;
    let mut parameters = Vec::new();
    // As a form is read: a parameter is written anew when it is sent.
    let read = Url::parse(&format!("http://host/?{query}")).ok()?;
    for (name, value) in read.query_pairs().filter(|(name, value)| !name.is_empty() || !value.is_empty()) {
        parameters.push((name.into_owned(), template(&written.with(value.into_owned()), faults)?));
    }
    Some((origin, path, parameters))
}

fn pages(written: &raw::Pages, faults: &mut Faults) -> Option<Pages> {
    let Some(next) = &written.next else {
        faults.add(written.place.fault("where is the next page told? next: link, or a JSONPath"));
        return None;
    };
    let next = match (next.value.as_str(), &written.parameter) {
        ("link", None) => Next::Link,
        (path, Some(parameter)) if path != "link" => Next::Cursor { path: path.to_owned(), parameter: parameter.value.clone() },
        _ => {
            faults
                .add(next.fault("next: link goes without a parameter, a JSONPath with one: the parameter of the URL that gets its value"));
            return None;
        }
    };
    let max = within(written.max.as_ref(), 1..=100, faults).unwrap_or(DEFAULT_PAGES);
    Some(Pages { next, items: written.items.as_ref().map(|items| items.value.clone()), max })
}

pub(super) fn command(
    written: &raw::Command,
    secrets: &[String],
    base: &Path,
    lookup: Lookup<'_>,
    faults: &mut Faults,
) -> Option<CommandSettings> {
    let Some((program, args)) = written.run.split_first() else {
        faults.add(written.place.fault("which program? run: [program, argument, …]"));
        return None;
    };
    if program.value.contains("{{") || program.value.trim().is_empty() {
        faults.add(program.fault("the program stands as it is: no value can change what is run"));
        return None;
    }
    let mut env = child::inherited(lookup);
    let mut variables = Vec::new();
    for (name, value) in &written.env {
        if name.is_empty() || name.contains(['=', '\0']) || value.value.contains('\0') {
            faults.add(value.fault("the name of a variable must not be empty or hold \"=\", and its value no NUL"));
        }
        let Some(text) = template(value, faults) else { continue };
        env.retain(|(inherited, _)| inherited.to_str() != Some(name));
        match text.literal() {
            Some(literal) => env.push((name.into(), literal.into())),
            None => variables.push((name.clone(), text)),
        }
    }
    let mut codes = BTreeMap::new();
    for (code, meaning) in &written.exit_codes {
        match code.parse::<u8>() {
            Ok(code) => {
                codes.insert(i32::from(code), meaning.value.clone());
            }
            Err(_) => faults.add(meaning.fault(format!("{code:?} is no exit code: they go from 0 to 255"))),
        }
    }
    let code = |written: &Spanned<String>, faults: &mut Faults| match written.value.parse::<u8>() {
        Ok(code) => Some(i32::from(code)),
        Err(_) => {
            faults.add(written.fault("expected an exit code from 0 to 255"));
            None
        }
    };
    let fine: Vec<i32> = written.fine.iter().filter_map(|written| code(written, faults)).collect();
    Some(CommandSettings {
        hidden: secrets.to_vec(),
        program: child::program(program, base),
        args: args.iter().filter_map(|arg| template(arg, faults)).collect(),
        stdin: written.stdin.as_ref().and_then(|stdin| shape(stdin, faults)),
        env,
        variables,
        directory: child::directory(written.directory.as_ref(), base, faults),
        limits: written.limits.as_ref().map(|limits| child::child_limits(limits, faults)).unwrap_or_default(),
        sandbox: written.sandbox.as_ref().map(|sandbox| child::sandbox(sandbox, base, faults)),
        output: one_of(written.output.as_ref(), OUTPUTS, faults).unwrap_or_default(),
        max_output_bytes: within(written.max_output_bytes.as_ref(), 1..=(8 << 20), faults).unwrap_or(DEFAULT_MAX_OUTPUT_BYTES),
        exit_codes: codes,
        fine: if fine.is_empty() { vec![0] } else { fine },
    })
}

fn sql(written: &raw::Sql, databases: &[&str], faults: &mut Faults) -> Option<SqlSettings> {
    let Some(statement) = &written.statement else {
        faults.add(written.place.fault("which statement?"));
        return None;
    };
    if let Some(database) = written.database.as_ref().filter(|database| !databases.contains(&database.value.as_str())) {
        faults.add(database.fault(format!("there is no database {:?}; known are {}", database.value, databases.join(", "))));
    } else if written.database.is_none() && databases.len() != 1 {
        faults.add(written.place.fault(format!("which database? known are {}", databases.join(", "))));
    }
    let writes = written.writes.as_ref().is_some_and(|flag| flag.value);
    let parsed = said(Statement::parse(&statement.value), statement, faults)?;
    if !writes && parsed.begins_with_writing() {
        faults.add(statement.fault("it writes: say writes: true beside the statement"));
    }
    if writes && !parsed.writes_rows() {
        faults.add(statement.fault("with writes: true, a statement begins with INSERT, UPDATE, DELETE, REPLACE, MERGE or WITH"));
    }
    Some(SqlSettings {
        writes,
        database: written.database.as_ref().map(|database| database.value.clone()),
        statement: parsed,
        max_rows: within(written.max_rows.as_ref(), 1..=1_000_000, faults).unwrap_or(DEFAULT_MAX_ROWS),
    })
}

fn pipeline(written: &raw::Pipeline, faults: &mut Faults) -> Option<PipelineSettings> {
    if written.steps.is_empty() {
        faults.add(written.place.fault("a pipeline has steps: a list of tools with their args"));
        return None;
    }
    let mut steps: Vec<Step> = Vec::new();
    for (index, step) in written.steps.iter().enumerate() {
        let Some(tool) = &step.tool else {
            faults.add(step.place.fault("which tool?"));
            continue;
        };
        let name = step.name.as_ref().map_or_else(|| format!("step{}", index + 1), |name| name.value.clone());
        if name == ARGS || !name.chars().all(super::is_plain) || steps.iter().any(|step| step.name == name) {
            faults.add(step.place.fault(format!(
                "{name:?} cannot be the name of this step: it has letters, digits, \"-\" and \"_\", is not {ARGS:?} and not another's"
            )));
        }
        let arguments = match &step.arguments {
            Some(arguments) => shape(arguments, faults)?,
            None => Shape::Object(Vec::new()),
        };
        if !matches!(arguments, Shape::Object(_)) {
            faults.add(step.place.fault("args are a mapping of names to values"));
        }
        let when = match &step.when {
            Some(when) => Some(said(Place::parse(when.value.trim_start_matches("{{").trim_end_matches("}}")), when, faults)?),
            None => None,
        };
        steps.push(Step { name, tool: tool.value.clone(), arguments, when });
    }
    let result = match &written.result {
        Some(result) => Some(shape(result, faults)?),
        None => None,
    };
    let settings = PipelineSettings { steps, result };
    settings.faults().into_iter().for_each(|reason| faults.add(written.place.fault(reason)));
    Some(settings)
}

/// A pipeline that leads back to itself would not end.
fn refuse_circles(written: &[raw::Declared], tools: &[Declared], faults: &mut Faults) {
    let steps_of = |name: &str| {
        let found = tools.iter().find(|tool| tool.spec.name == name).map(|tool| &tool.does);
        if let Some(Does::Pipeline(pipeline)) = found { pipeline.steps.as_slice() } else { &[] }
    };
    for written in written {
        let (mut reached, mut ahead) = (BTreeSet::new(), vec![written.name.value.as_str()]);
        while let Some(name) = ahead.pop() {
            ahead.extend(steps_of(name).iter().map(|step| step.tool.as_str()).filter(|tool| reached.insert(*tool)));
        }
        if reached.contains(written.name.value.as_str()) {
            faults.add(written.name.fault("its steps lead back to itself"));
        }
    }
}

/// What of an answer a tool of this kind can never be given.
fn does_not_fit(answer: &Canned, does: &Does) -> Option<String> {
    let (of_http, of_command) = (answer.status.is_some() || !answer.headers.is_empty(), answer.exit.is_some() || !answer.stderr.is_empty());
    let of_both = answer.json.is_some() || answer.text.is_some();
    match does {
        Does::Http(_) if of_command || !answer.steps.is_empty() => {
            Some("an answer to a request has status, headers, json or text".to_owned())
        }
        Does::Command(_) if of_http || !answer.steps.is_empty() => Some("a program answers with json or text, exit and stderr".to_owned()),
        Does::Pipeline(_) if of_http || of_command || of_both => Some("a pipeline is answered by its steps".to_owned()),
        Does::Pipeline(pipeline) => {
            let odd = answer.steps.keys().find(|name| !pipeline.steps.iter().any(|step| step.name == **name));
            odd.map(|name| format!("there is no step {name:?}"))
        }
        _ => None,
    }
}

fn trial(written: &Spanned<Json>, tool: &Declared, faults: &mut Faults) -> Option<Trial> {
    let place = written.with(());
    let fault = |message: String| written.fault(message);
    if matches!(tool.does, Does::Sql(_)) {
        faults.add(fault("a statement cannot be tried without its database: tests are for http, command and pipeline".to_owned()));
        return None;
    }
    let Test { args, answer, expect, expect_error } = match written.value.read::<Test>() {
        Ok(test) => test,
        Err(error) => {
            faults.add(fault(format!("a test has args, answer, and expect or expectError: {error}")));
            return None;
        }
    };
    let expected = match (expect, expect_error) {
        (Some(value), None) => Expected::Result(value),
        (None, Some(error)) if !error.trim().is_empty() => Expected::Error(error),
        _ => {
            faults.add(fault("a test expects either a result (expect) or an error (expectError)".to_owned()));
            return None;
        }
    };
    if let Some(odd) = does_not_fit(&answer, &tool.does) {
        faults.add(fault(odd));
        return None;
    }
    Some(Trial { tool: tool.spec.name.clone(), arguments: args, canned: answer, expected, place })
}
