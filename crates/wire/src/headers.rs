//! The standard HTTP headers of 2026-07-28: written from a request, and checked against it.
//!
//! Headers let intermediaries route without parsing. They never outrank the body: a request whose headers say something
//! else than its body is refused, and what is acted upon is always the body (Streamable HTTP, "Server Validation").

use crate::{
    message::{ErrorObject, Request, code},
    method,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::{borrow::Cow, sync::Arc};
use toolcrib_json::{Json, Members};

/// Names the revision of a request.
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// Names the session of a legacy client.
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// Mirrors `method`.
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// Mirrors `params.name` or `params.uri`.
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// The last event that a resuming client saw.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The start of each header that mirrors an argument.
pub const PARAM_PREFIX: &str = "mcp-param-";

const SENTINEL_START: &str = "=?base64?";
const SENTINEL_END: &str = "?=";

/// One argument of a tool that its schema wants mirrored into a header, by `x-mcp-header`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderParam {
    /// The header, `mcp-param-…`.
    pub header: HeaderName,
    /// Where the argument stands: the chain of `properties` keys.
    pub path: Vec<String>,
}

/// Writes a value as it may stand in a header: as it is where it is plain ASCII, otherwise in the Base64 form.
#[must_use]
pub fn encode(value: &str) -> HeaderValue {
    let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && value.trim_matches(' ') == value
        && !(value.starts_with(SENTINEL_START) && value.ends_with(SENTINEL_END));
    let text = if is_plain {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(format!("{SENTINEL_START}{}{SENTINEL_END}", BASE64_STANDARD.encode(value)))
    };
    HeaderValue::from_str(&text).expect("visible ASCII and blanks are valid in a header")
}

/// Reads a header value, undoing the Base64 form. `None` where it holds what no header may, or broken Base64.
#[must_use]
pub fn decode(value: &HeaderValue) -> Option<Cow<'_, str>> {
    let text = value.to_str().ok()?;
    match text.strip_prefix(SENTINEL_START).and_then(|rest| rest.strip_suffix(SENTINEL_END)) {
        Some(encoded) => String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok().map(Cow::Owned),
        None => Some(Cow::Borrowed(text)),
    }
}

/// The only value of a header, `Ok(None)` where it is absent.
///
/// # Errors
/// -32020 where the header stands there twice: two readers could then follow two values.
pub fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ErrorObject> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        Some(_) => Err(mismatch(format!("the header {name} appears twice"))),
        None => Ok(first),
    }
}

/// The parameter that `Mcp-Name` mirrors for a method, if it has one.
#[must_use]
pub fn named_by(method: &str) -> Option<&'static str> {
    match method {
        method::CALL_TOOL | method::GET_PROMPT => Some("name"),
        method::READ_RESOURCE => Some("uri"),
        _ => None,
    }
}

/// Checks the standard headers of a modern request against its body.
///
/// # Errors
/// -32020 naming the header that is missing, doubled, unreadable or different.
pub fn check_standard(headers: &HeaderMap, request: &Request, params: Option<&Members>, version: &str) -> Result<(), ErrorObject> {
    check_one(headers, &PROTOCOL_VERSION, version)?;
    check_one(headers, &METHOD, &request.method)?;
    if let Some(member) = named_by(&request.method)
        && let Some(name) = params.and_then(|params| params.str(member))
    {
        check_one(headers, &NAME, &name)?;
    }
    Ok(())
}

fn check_one(headers: &HeaderMap, name: &HeaderName, expected: &str) -> Result<(), ErrorObject> {
    let value = single(headers, name)?.ok_or_else(|| mismatch(format!("the header {name} is missing")))?;
    let found = decode(value).ok_or_else(|| mismatch(format!("the header {name} is not readable")))?;
    if found == expected { Ok(()) } else { Err(mismatch(format!("the header {name} says {found:?}, the body says {expected:?}"))) }
}

/// Checks the `Mcp-Param-…` headers of a tool call against its arguments.
///
/// # Errors
/// -32020 naming the header that is missing, unreadable, different, or present without an argument.
pub fn check_params(headers: &HeaderMap, expected: &[HeaderParam], arguments: Option<&Json>) -> Result<(), ErrorObject> {
    if expected.is_empty() {
        return Ok(());
    }
    let arguments = arguments.and_then(|json| json.to_value().ok()).unwrap_or(Value::Null);
    for HeaderParam { header, path } in expected {
        let body = at_path(&arguments, path);
        match (single(headers, header)?, body) {
            (None, None) => {}
            (None, Some(_)) => return Err(mismatch(format!("the header {header} is missing"))),
            (Some(_), None) => return Err(mismatch(format!("the header {header} mirrors an argument that is not there"))),
            (Some(value), Some(body)) => {
                let found = decode(value).ok_or_else(|| mismatch(format!("the header {header} is not readable")))?;
                if !same(&found, body) {
                    return Err(mismatch(format!("the header {header} differs from the argument that it mirrors")));
                }
            }
        }
    }
    Ok(())
}

/// The `Mcp-Param-…` headers that go with these arguments.
#[must_use]
pub fn params_of(expected: &[HeaderParam], arguments: &Value) -> Vec<(HeaderName, HeaderValue)> {
    let written = |HeaderParam { header, path }: &HeaderParam| Some((header.clone(), encode(&as_text(at_path(arguments, path)?)?)));
    expected.iter().filter_map(written).collect()
}

/// Finds the `x-mcp-header` annotations of an input schema (Streamable HTTP, "Schema Extension").
///
/// # Errors
/// A sentence that says which annotation breaks which rule: such a tool must not be listed to HTTP clients.
pub fn header_params(schema: &Value) -> Result<Arc<[HeaderParam]>, String> {
    let mut found = Vec::new();
    collect(schema, true, &mut Vec::new(), &mut found)?;
    for (index, param) in found.iter().enumerate() {
        if found[..index].iter().any(|earlier: &HeaderParam| earlier.header == param.header) {
            return Err(format!("two parameters claim the header {}", param.header));
        }
    }
    Ok(found.into())
}

/// Walks the schema. Only a property reached through `properties` alone has one place in the arguments; an annotation
/// under any other keyword (`items`, `anyOf`, `$defs`, …) is invalid.
fn collect(schema: &Value, is_reachable: bool, path: &mut Vec<String>, found: &mut Vec<HeaderParam>) -> Result<(), String> {
    let children = match schema {
        Value::Object(members) => members,
        Value::Array(items) => return items.iter().try_for_each(|item| collect(item, false, path, found)),
        _ => return Ok(()),
    };
    if let Some(name) = children.get("x-mcp-header") {
        if !is_reachable || path.is_empty() {
            return Err("x-mcp-header stands where no single argument can be meant".into());
        }
        found.push(annotation(name, children.get("type"), path)?);
    }
    for (keyword, child) in children {
        match (keyword.as_str(), child) {
            ("properties", Value::Object(properties)) => {
                for (property, child) in properties {
                    path.push(property.clone());
                    collect(child, is_reachable, path, found)?;
                    path.pop();
                }
            }
            ("const" | "enum" | "default" | "examples" | "x-mcp-header", _) => {}
            _ => collect(child, false, path, found)?,
        }
    }
    Ok(())
}

fn annotation(name: &Value, kind: Option<&Value>, path: &[String]) -> Result<HeaderParam, String> {
    let place = path.join(".");
    let name = name.as_str().ok_or_else(|| format!("x-mcp-header of {place} is not a string"))?;
    if !matches!(kind.and_then(Value::as_str), Some("string" | "integer" | "boolean")) {
        return Err(format!("x-mcp-header of {place} needs the type string, integer or boolean"));
    }
    let header = HeaderName::from_bytes(format!("{PARAM_PREFIX}{name}").as_bytes())
        .ok()
        .filter(|_| !name.is_empty())
        .ok_or_else(|| format!("x-mcp-header of {place} is not a header name: {name:?}"))?;
    Ok(HeaderParam { header, path: path.to_vec() })
}

fn at_path<'a>(arguments: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(arguments, |value, key| value.get(key)).filter(|value| !value.is_null())
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Whether a header means the argument. Whole numbers are compared as numbers (`42.0` is `42`).
fn same(header: &str, argument: &Value) -> bool {
    match argument {
        Value::Number(number) => match (header.parse::<i64>(), number.as_i64()) {
            (Ok(header), Some(number)) => header == number,
            _ => header.parse::<f64>().ok() == number.as_f64(),
        },
        _ => as_text(argument).is_some_and(|text| text == header),
    }
}

fn mismatch(message: String) -> ErrorObject {
    ErrorObject::new(code::HEADER_MISMATCH, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn values_are_encoded_as_the_specification_shows() {
        for (value, header) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            assert_eq!(encode(value), header);
            assert_eq!(decode(&encode(value)).unwrap(), value);
        }
        assert_eq!(decode(&HeaderValue::from_static("=?base64?%%%?=")), None);
    }

    #[test]
    fn annotations_are_found_and_bad_ones_are_named() {
        let found = |schema: Value| {
            header_params(&schema).map(|params| params.iter().map(|p| format!("{}={}", p.header, p.path.join("."))).collect::<Vec<_>>())
        };
        let ok = json!({"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"},
            "where": {"type": "object", "properties": {"zone": {"type": "integer", "x-mcp-header": "Zone"}}}}});
        assert_eq!(found(ok).unwrap(), ["mcp-param-region=region", "mcp-param-zone=where.zone"]);
        for bad in [
            json!({"properties": {"a": {"type": "string", "x-mcp-header": ""}}}),
            json!({"properties": {"a": {"type": "string", "x-mcp-header": "a b"}}}),
            json!({"properties": {"a": {"type": "string", "x-mcp-header": 5}}}),
            json!({"properties": {"a": {"type": "object", "x-mcp-header": "A"}}}),
            json!({"properties": {"a": {"type": "number", "x-mcp-header": "A"}}}),
            json!({"properties": {"a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "a"}}}),
            json!({"properties": {"a": {"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}}}),
            json!({"anyOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}]}),
        ] {
            found(bad.clone()).expect_err(&bad.to_string());
        }
    }

    #[test]
    fn mirrored_arguments_must_agree() {
        let schema = json!({"properties": {"n": {"type": "integer", "x-mcp-header": "N"}, "s": {"type": "string", "x-mcp-header": "S"}}});
        let params = header_params(&schema).unwrap();
        let check = |pairs: &[(&str, &str)], arguments: Value| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
            }
            check_params(&headers, &params, Some(&Json::from(&arguments))).is_ok()
        };
        assert!(check(&[("mcp-param-n", "42"), ("mcp-param-s", "x")], json!({"n": 42, "s": "x"})));
        assert!(check(&[("mcp-param-n", "42.0")], json!({"n": 42, "s": null})));
        assert!(!check(&[], json!({"n": 42})));
        assert!(!check(&[("mcp-param-n", "42"), ("mcp-param-s", "x")], json!({"n": 42})));
        assert!(!check(&[("mcp-param-n", "41")], json!({"n": 42})));
        assert!(!check(&[("mcp-param-n", "42"), ("mcp-param-n", "42")], json!({"n": 42})));
    }

    proptest! {
        #[test]
        fn every_string_survives_a_header(text in ".*") {
            let header = encode(&text);
            prop_assert_eq!(decode(&header).unwrap(), text);
        }
    }
}
