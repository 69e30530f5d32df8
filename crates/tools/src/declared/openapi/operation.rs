//! One operation as a tool: its parameters and body as arguments, and the request that they go into.

use super::{
    OpenApiSettings,
    document::{Document, Operation},
    sanitised,
    schema::within_reason,
};
use crate::declared::{
    Declared, Does,
    http::{Body, HttpSettings, Style, Styled},
    template::{Shape, Template},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use toolcrib_contract::{Category, Json, Reach, Spec};
use toolcrib_egress::{HeaderMap, HeaderName, HeaderValue, Method, Url, header};

/// How much of a description is told.
const MAX_DESCRIPTION_CHARS: usize = 1000;
/// Headers that are not for callers to set (OpenAPI 3.0.3, section 4.7.12.1: such parameters are ignored).
const NOT_FOR_CALLERS: &[HeaderName] = &[header::ACCEPT, header::CONTENT_TYPE, header::AUTHORIZATION];

/// The tool.
///
/// # Errors
/// Why it cannot be offered, in a sentence.
pub(super) fn declared(
    document: &Document<'_>,
    operation: &Operation<'_>,
    name: &str,
    settings: &OpenApiSettings,
) -> Result<Declared, String> {
    let server = match &settings.server {
        Some(server) => server.clone(),
        None => its_own(document, document.server(operation, settings.location.as_ref())?, settings)?,
    };
    let mut arguments = Arguments::default();
    let mut request = Parts::default();
    for parameter in document.parameters(operation)? {
        request.parameter(document, operation, parameter, &mut arguments)?;
    }
    let takes_body = !matches!(operation.method, Method::GET | Method::HEAD);
    if !takes_body {
        request.body = None;
    }
    if takes_body && !document.is_swagger && operation.says["requestBody"].is_object() {
        let body = document.resolve(&operation.says["requestBody"]).ok_or("its body is described elsewhere")?;
        request.body(document, body, &mut arguments)?;
    }
    // What some write behind a path to tell one operation from another is not sent; a query is.
    let written = operation.path.split('#').next().unwrap_or_default();
    let (written, query) = written.split_once('?').unwrap_or((written, ""));
    let path = path(server.path(), written, &request.path)?;
    let literal = url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into_owned(), Template::literal_text(&value)));
    request.query.splice(..0, literal);
    let mut origin = server;
    origin.set_path("/");
    let mut http = HttpSettings {
        method: operation.method.clone(),
        origin,
        path,
        query: request.query,
        styled: request.styled,
        secrets: settings.headers.clone(),
        headers: request.headers,
        body: request.body,
        select: None,
        errors: BTreeMap::new(),
        pages: None,
        hidden: settings.hidden.clone(),
    };
    authenticate(document, operation, settings, &mut http)?;
    let does = Does::Http(http);
    let tags: Vec<&str> = operation.tags().chain(settings.tags.iter().map(String::as_str)).collect();
    let mut spec = Spec::new(name, &description(operation))
        .tags(&tags)
        .category(if operation.method == Method::GET { Category::DataRetrieval } else { Category::ExternalIntegration })
        .annotations(settings.annotations.or(does.annotations()))
        .reaches(&[Reach::Network])
        .input_schema(Json::from(&arguments.schema()));
    spec.title = operation.says["summary"].as_str().map(|title| title.trim().to_owned()).filter(|title| !title.is_empty());
    Ok(Declared { spec, does })
}

/// A document from elsewhere says nothing of where else we may go: what the config names may be reached whatever the rules of egress
/// are, and is shown what the config has for it.
fn its_own(document: &Document<'_>, server: Url, settings: &OpenApiSettings) -> Result<Url, String> {
    let host = server.host_str().unwrap_or_default();
    if let Some(location) = settings.location.as_ref().filter(|location| location.origin() != server.origin()) {
        let place = location.host_str().unwrap_or_default();
        return Err(format!("its API is at {host}, and the document at {place}: say \"server\" to have it asked"));
    }
    // What is shown to one host is not shown to another that a part of the document names.
    let shows_something = !settings.auth.is_empty() || !settings.headers.is_empty();
    let usual = document.usual_server(settings.location.as_ref());
    if shows_something && usual.is_none_or(|usual| usual.origin() != server.origin()) {
        return Err(format!(
            "its API is at {host}, unlike that of the document: say \"server\" to have it asked with what is in auth or headers"
        ));
    }
    Ok(server)
}

fn description(operation: &Operation<'_>) -> String {
    let text = |key: &str| operation.says[key].as_str().map(str::trim).filter(|text| !text.is_empty());
    let mut told: Vec<String> = [text("summary"), text("description")].into_iter().flatten().map(ToOwned::to_owned).collect();
    told.dedup();
    let mut told = told.join("\n\n");
    if told.chars().count() > MAX_DESCRIPTION_CHARS {
        told = format!("{}…", told.chars().take(MAX_DESCRIPTION_CHARS).collect::<String>().trim_end());
    }
    let deprecated = if operation.says["deprecated"] == true { " (deprecated)" } else { "" };
    let what = format!("{} {}{deprecated}", operation.method, operation.path);
    if told.is_empty() { what } else { format!("{told}\n\n{what}") }
}

/// The arguments of the tool.
#[derive(Default)]
struct Arguments {
    properties: Map<String, Value>,
    required: Vec<Value>,
}

impl Arguments {
    /// Takes up an argument, under a name that clients take and no other has.
    fn add(&mut self, wanted: &str, schema: Value, is_required: bool) -> String {
        let plain = match sanitised(wanted) {
            plain if plain.is_empty() => "value".to_owned(),
            plain => plain.chars().take(60).collect(),
        };
        let free = |name: &String| !self.properties.contains_key(name);
        let numbered = (2..).map(|number| format!("{plain}_{number}"));
        let name = std::iter::once(plain.clone()).chain(numbered).find(free).unwrap_or(plain);
        self.properties.insert(name.clone(), schema);
        if is_required {
            self.required.push(name.clone().into());
        }
        name
    }

    fn schema(self) -> Value {
        json!({"type": "object", "properties": self.properties, "required": self.required, "additionalProperties": false})
    }
}

/// What arguments go into.
#[derive(Default)]
struct Parts {
    /// The arguments of the path, by their names in it.
    path: BTreeMap<String, String>,
    query: Vec<(String, Template)>,
    styled: Vec<Styled>,
    headers: Vec<(HeaderName, Template)>,
    body: Option<Body>,
}

impl Parts {
    fn parameter(
        &mut self,
        document: &Document<'_>,
        operation: &Operation<'_>,
        parameter: &Value,
        arguments: &mut Arguments,
    ) -> Result<(), String> {
        let (name, place) = (parameter["name"].as_str().unwrap_or_default(), parameter["in"].as_str().unwrap_or_default());
        let is_required = parameter["required"] == true;
        match place {
            "path" => {
                let argument = arguments.add(name, schema_of(document, parameter), true);
                self.path.insert(name.to_owned(), argument);
            }
            "query" => {
                let argument = arguments.add(name, schema_of(document, parameter), is_required);
                match style(document, parameter) {
                    None => self.query.push((name.to_owned(), Template::argument(&argument))),
                    Some(style) => self.styled.push(Styled { name: name.to_owned(), argument: Template::argument(&argument), style }),
                }
            }
            "header" => {
                let header: HeaderName = name.parse().map_err(|_| format!("{name:?} is no name of a header"))?;
                if !NOT_FOR_CALLERS.contains(&header) {
                    let argument = arguments.add(name, schema_of(document, parameter), is_required);
                    self.headers.push((header, Template::argument(&argument)));
                }
            }
            // Those of version 2.0.
            "body" => {
                let argument = arguments.add("body", described(document, &parameter["schema"], parameter), is_required);
                self.body = Some(Body::Json(Shape::Text(Template::argument(&argument))));
            }
            "formData" => {
                let types = document.consumes(operation);
                if parameter["type"] == "file" || (!types.is_empty() && !types.contains(&"application/x-www-form-urlencoded")) {
                    return Err("it takes files, or a form with files (multipart/form-data)".to_owned());
                }
                let argument = arguments.add(name, schema_of(document, parameter), is_required);
                let fields = match &mut self.body {
                    Some(Body::Form(fields)) => fields,
                    body => {
                        let Body::Form(fields) = body.insert(Body::Form(Vec::new())) else { return Ok(()) };
                        fields
                    }
                };
                fields.push((name.to_owned(), Template::argument(&argument)));
            }
            "cookie" if !is_required => {}
            other => return Err(format!("its parameter {name:?} stands in {other:?}, where none can be put")),
        }
        Ok(())
    }

    /// The body of version 3: as JSON if it can be that.
    fn body(&mut self, document: &Document<'_>, body: &Value, arguments: &mut Arguments) -> Result<(), String> {
        let content = body["content"].as_object().ok_or("its body has no media type")?;
        let of_kind = |wanted: fn(&str) -> bool| content.iter().find(|(kind, _)| wanted(essence(kind)));
        let is_required = body["required"] == true;
        if let Some((_, media)) = of_kind(|kind| kind == "application/json" || kind.ends_with("+json") || kind == "*/*") {
            let argument = arguments.add("body", described(document, &media["schema"], body), is_required);
            self.body = Some(Body::Json(Shape::Text(Template::argument(&argument))));
        } else if let Some((_, media)) = of_kind(|kind| kind == "application/x-www-form-urlencoded") {
            let schema = described(document, &media["schema"], body);
            let must = schema["required"].as_array().cloned().unwrap_or_default();
            let fields = schema["properties"].as_object().cloned().unwrap_or_default();
            let field = |(name, schema): (String, Value)| {
                let argument = arguments.add(&name, schema, must.contains(&json!(name)));
                (name, Template::argument(&argument))
            };
            let fields: Vec<(String, Template)> = fields.into_iter().map(field).collect();
            self.body = (!fields.is_empty()).then_some(Body::Form(fields));
        } else if of_kind(|kind| kind.starts_with("text/")).is_some() {
            let argument = arguments.add("body", described(document, &json!({"type": "string"}), body), is_required);
            self.body = Some(Body::Text(Template::argument(&argument)));
        } else if is_required {
            let kinds: Vec<&str> = content.keys().map(String::as_str).collect();
            return Err(format!("its body is {}, which cannot be written by a model", kinds.join(" or ")));
        }
        Ok(())
    }
}

/// A media type without its parameters.
fn essence(kind: &str) -> &str {
    kind.split(';').next().unwrap_or_default().trim()
}

fn schema_of(document: &Document<'_>, parameter: &Value) -> Value {
    let written = match (parameter.get("schema"), parameter["content"].as_object()) {
        (Some(schema), _) => schema,
        (None, Some(content)) => content.values().next().map_or(&Value::Null, |media| &media["schema"]),
        // Version 2.0 has the schema in the parameter itself.
        (None, None) => {
            let keys = ["type", "format", "enum", "default", "items", "minimum", "maximum", "minLength", "maxLength", "pattern"];
            let own: Map<String, Value> = keys.iter().filter_map(|key| Some(((*key).to_owned(), parameter.get(*key)?.clone()))).collect();
            return described(document, &Value::Object(own), parameter);
        }
    };
    described(document, written, parameter)
}

/// The schema, with what is said of its place.
fn described(document: &Document<'_>, schema: &Value, place: &Value) -> Value {
    let mut schema = within_reason(document, schema);
    if let (Some(object), Some(text)) = (schema.as_object_mut(), place["description"].as_str().filter(|text| !text.trim().is_empty())) {
        let text: String = text.trim().chars().take(500).collect();
        object.insert("description".to_owned(), text.into());
    }
    schema
}

/// How a parameter of the query is written, where that is not once for each value (OpenAPI 3.0.3, section 4.7.12.2).
fn style(document: &Document<'_>, parameter: &Value) -> Option<Style> {
    let schema = parameter.get("schema").and_then(|schema| document.resolve(schema)).unwrap_or(parameter);
    let is_object = schema["type"] == "object" || schema["properties"].is_object();
    match (parameter["style"].as_str(), parameter["collectionFormat"].as_str()) {
        _ if parameter["content"].is_object() => Some(Style::Json),
        (Some("deepObject"), _) => Some(Style::Deep),
        (Some("spaceDelimited"), _) | (_, Some("ssv")) => Some(Style::Joined(" ")),
        (Some("pipeDelimited"), _) | (_, Some("pipes")) => Some(Style::Joined("|")),
        (_, Some("tsv")) => Some(Style::Joined("\t")),
        (_, Some("multi")) => None,
        _ if is_object => Some(Style::Members),
        _ if document.is_swagger && schema["type"] == "array" => Some(Style::Joined(",")),
        _ if parameter["explode"] == false => Some(Style::Joined(",")),
        _ => None,
    }
}

/// The path with its arguments: `{pet}` in it is a piece of it.
fn path(base: &str, path: &str, arguments: &BTreeMap<String, String>) -> Result<Template, String> {
    let mut parts = vec![Template::literal_text(base.trim_end_matches('/'))];
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or_else(|| format!("its path {path:?} has a {{ without its }}"))?;
        let argument = arguments.get(name).ok_or_else(|| format!("its path has {{{name}}}, which is none of its parameters"))?;
        parts.extend([Template::literal_text(before), Template::argument(argument)]);
        rest = after;
    }
    parts.push(Template::literal_text(rest));
    Ok(Template::joined(parts))
}

/// Shows what the config has for a scheme that the operation takes.
fn authenticate(
    document: &Document<'_>,
    operation: &Operation<'_>,
    settings: &OpenApiSettings,
    http: &mut HttpSettings,
) -> Result<(), String> {
    for name in document.schemes_of(operation) {
        let (Some(value), Some(scheme)) = (settings.auth.get(name), document.scheme(name)) else { continue };
        http.hidden.push(value.clone());
        let key = scheme["name"].as_str().unwrap_or_default();
        match (scheme["type"].as_str().unwrap_or_default(), scheme["in"].as_str(), scheme["scheme"].as_str()) {
            ("apiKey", Some("query"), _) => http.query.push((key.to_owned(), Template::literal_text(value))),
            ("apiKey", Some("cookie"), _) => secret(&mut http.secrets, header::COOKIE.as_str(), &format!("{key}={value}"))?,
            ("apiKey", _, _) => secret(&mut http.secrets, key, value)?,
            ("basic", _, _) => secret(&mut http.secrets, "authorization", &basic(value))?,
            ("http", _, Some(kind)) if kind.eq_ignore_ascii_case("basic") => secret(&mut http.secrets, "authorization", &basic(value))?,
            _ => secret(&mut http.secrets, "authorization", &format!("Bearer {value}"))?,
        }
    }
    Ok(())
}

fn basic(user_and_password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(user_and_password))
}

fn secret(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let name: HeaderName = name.parse().map_err(|_| format!("{name:?} is no name of a header"))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| format!("what is to be shown in {name} has characters that no header may"))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}
