//! What REST takes and gives, for programs: OpenAPI 3.1, with the tools that its reader may call.

use serde_json::{Map, Value, json};
use toolcrib_contract::{Json, Spec};
use toolcrib_gate::Visible;

/// The statuses that a call can be answered with, and what they mean.
const STATUSES: [(&str, &str); 13] = [
    ("400", "The request is not understood."),
    ("401", "The token is missing or proves nothing."),
    ("403", "A scope is missing, the arguments are not allowed for you, or the request comes from where none may come from."),
    ("404", "There is no such tool for this caller."),
    ("408", "The body did not arrive in time."),
    ("413", "The body is too large."),
    ("415", "The body is not application/json."),
    ("422", "The arguments do not fit, or the tool could not do anything with them."),
    ("429", "A limit of calls is reached."),
    ("500", "The tool broke off."),
    ("502", "The server that has the tool failed."),
    ("503", "There is too much to do, or the server that has the tool is not there."),
    ("504", "The call took too long."),
];

/// The document for one caller.
pub(super) fn document(visible: &Visible, is_authenticated: bool) -> Json {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    schemas.insert("Failure".into(), failure());
    paths.insert(
        "/api/v1/tools".into(),
        json!({"get": {"operationId": "listTools", "summary": "List the tools that you may call.",
        "responses": responses(json!({"description": "The tools.", "content": {"application/json": {"schema": {"type": "object",
            "required": ["tools"], "properties": {"tools": {"type": "array", "items": {"type": "object"}}}}}}}))}}),
    );
    let named = json!({"type": "object", "required": ["name"], "additionalProperties": false,
        "properties": {"name": {"type": "string", "description": "The tool."}, "args": {"type": "object", "description": "Its arguments."}}});
    paths.insert("/api/v1/mcp/tool".into(), post("callTool", "Call a tool by its name.", &named, &json!({})));
    for spec in visible.tools() {
        let result = spec.output_schema.as_ref().and_then(|schema| component(&mut schemas, &spec.name, "result", schema));
        let Some(arguments) = component(&mut schemas, &spec.name, "arguments", &spec.input_schema) else { continue };
        paths.insert(
            format!("/api/v1/tools/{}", in_path(&spec.name)),
            post(&format!("call_{}", spec.name), &summary(spec), &arguments, &result.unwrap_or_else(|| json!({}))),
        );
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {"title": "Toolcrib", "version": env!("CARGO_PKG_VERSION"), "description": "Tools by REST. What stands here is what you may call."},
        "paths": paths,
        "components": {"schemas": schemas},
    });
    if is_authenticated {
        document["components"]["securitySchemes"] =
            json!({"bearer": {"type": "http", "scheme": "bearer", "description": "A token or an API key."}});
        document["security"] = json!([{"bearer": []}]);
    }
    Json::of(&document).expect("a document of ours has a JSON form")
}

fn summary(spec: &Spec) -> String {
    spec.description.lines().next().unwrap_or_default().to_owned()
}

/// A name as it stands in a path (RFC 3986, "segment").
fn in_path(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn post(id: &str, summary: &str, arguments: &Value, result: &Value) -> Value {
    let answer = json!({"type": "object", "required": ["success", "result", "execution_time"], "properties": {
        "success": {"const": true},
        "result": result,
        "execution_time": {"type": "number", "description": "In seconds."},
        "tool_version": {"type": "string"}}});
    json!({"post": {"operationId": id, "summary": summary,
        "requestBody": {"required": true, "content": {"application/json": {"schema": arguments}}},
        "responses": responses(json!({"description": "The result.", "content": {"application/json": {"schema": answer}}}))}})
}

fn responses(well: Value) -> Value {
    let failed = |meaning: &str| json!({"description": meaning, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}});
    let mut responses: Map<String, Value> = STATUSES.iter().map(|(status, meaning)| ((*status).to_owned(), failed(meaning))).collect();
    responses.insert("200".into(), well);
    responses.into()
}

fn failure() -> Value {
    json!({"type": "object", "required": ["error"], "properties": {
        "success": {"const": false}, "error": {"type": "string", "description": "For people."}, "error_type": {"type": "string", "description": "For programs."},
        "execution_time": {"type": "number", "description": "In seconds."}, "tool_version": {"type": "string"}}})
}

/// Puts a schema of a tool among the components, and gives a reference to it. What the schema says of its own parts is told
/// from where it stands now.
fn component(schemas: &mut Map<String, Value>, tool: &str, part: &str, schema: &Json) -> Option<Value> {
    // Names of components are of few letters (OpenAPI 3.1, "Components Object").
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    // Others are written by their number, so that no two names become one.
    let plain: String = tool.chars().map(|c| if plain(c) { c.to_string() } else { format!(".{:x}.", u32::from(c)) }).collect();
    let name = format!("{plain}.{part}");
    let mut schema = schema.to_value().ok()?;
    rebase(&mut schema, &format!("#/components/schemas/{name}"));
    schemas.insert(name.clone(), schema);
    Some(json!({"$ref": format!("#/components/schemas/{name}")}))
}

fn rebase(schema: &mut Value, base: &str) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref")
                && let Some(rest) = reference.strip_prefix('#').filter(|rest| rest.is_empty() || rest.starts_with('/'))
            {
                *reference = format!("{base}{rest}");
            }
            members.remove("$schema");
            members.values_mut().for_each(|member| rebase(member, base));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rebase(item, base)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_within_a_schema_hold_where_it_stands_now() {
        let mut schemas = Map::new();
        let schema = Json::of(&json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "properties": {"unit": {"$ref": "#/$defs/Unit"}, "more": {"$ref": "#"}}, "$defs": {"Unit": {"enum": ["a"]}}}))
        .unwrap();
        let reference = component(&mut schemas, "git/log", "arguments", &schema).unwrap();
        assert_eq!(reference, json!({"$ref": "#/components/schemas/git.2f.log.arguments"}));
        let placed = &schemas["git.2f.log.arguments"];
        assert_eq!(placed["properties"]["unit"]["$ref"], "#/components/schemas/git.2f.log.arguments/$defs/Unit");
        assert_eq!(placed["properties"]["more"]["$ref"], "#/components/schemas/git.2f.log.arguments");
        assert!(placed.get("$schema").is_none());
        assert_eq!(in_path("a b/ü"), "a%20b%2F%C3%BC");
    }
}
