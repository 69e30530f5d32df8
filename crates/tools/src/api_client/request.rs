//! What is sent: URL, headers and body out of the arguments.

use super::{Args, MAX_TIMEOUT_SECS};
use crate::api::{Connection, Failure};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};
use toolcrib_contract::Json;
use toolcrib_egress::{HeaderMap, HeaderName, HeaderValue, Method, Request, Url, header};

const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 << 10;
const MAX_BODY_BYTES: usize = 1 << 20;

pub(super) fn build(args: &Args, method: Method, connection: Option<&Connection>) -> Result<Request, Failure> {
    let mut headers = headers(&args.headers)?;
    let body = body(args, &mut headers)?;
    if body.as_ref().is_some_and(|body| body.len() > MAX_BODY_BYTES) {
        return Err(bad(format!("the body is larger than {MAX_BODY_BYTES} bytes")));
    }
    if body.is_some() && matches!(method, Method::GET | Method::HEAD) {
        return Err(bad(format!("{method} takes no body; use `query` for parameters")));
    }
    if let Some(connection) = connection {
        connection.judge_headers(&headers)?;
    }
    let url = url(args, &method, connection)?;
    let secrets = connection.map(|connection| connection.headers().clone()).unwrap_or_default();
    // What the config says, callers do not change.
    secrets.keys().for_each(|name| {
        headers.remove(name);
    });
    headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("application/json, text/*;q=0.9, */*;q=0.8"));
    Ok(Request {
        method,
        url,
        headers,
        secrets,
        body: body.map(Into::into),
        timeout: args.timeout.map(|timeout| Duration::from_secs_f64(timeout.clamp(0.1, MAX_TIMEOUT_SECS))),
        // Secrets go where the config says, and nowhere that a server says.
        follows_redirects: connection.is_none() && args.follow_redirects.unwrap_or(true),
    })
}

fn bad(reason: impl Into<String>) -> Failure {
    Failure::new("bad_request", reason)
}

fn headers(given: &BTreeMap<String, String>) -> Result<HeaderMap, Failure> {
    let bytes: usize = given.iter().map(|(name, value)| name.len() + value.len()).sum();
    if given.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        return Err(bad(format!("at most {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes in all")));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let parsed = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
        let (Ok(name), Ok(value)) = parsed else {
            return Err(bad(format!("{name:?} is not the name of a header, or its value holds characters that no header may")));
        };
        headers.insert(name, value);
    }
    Ok(headers)
}

fn body(args: &Args, headers: &mut HeaderMap) -> Result<Option<Vec<u8>>, Failure> {
    let (body, media_type) = match (&args.body, &args.form) {
        (Some(_), Some(_)) => return Err(bad("give either `body` or `form`")),
        (None, None) => return Ok(None),
        (None, Some(form)) => {
            let mut fields = url::form_urlencoded::Serializer::new(String::new());
            pairs(form).for_each(|(name, value)| {
                fields.append_pair(name, &value);
            });
            (fields.finish().into_bytes(), "application/x-www-form-urlencoded")
        }
        (Some(body), None) => match body.read::<String>() {
            // Models often write the JSON of a body as a text.
            Ok(text) if is_json(&text) => (text.into_bytes(), "application/json"),
            Ok(text) => (text.into_bytes(), "text/plain; charset=utf-8"),
            Err(_) => (body.as_bytes().to_vec(), "application/json"),
        },
    };
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(media_type));
    Ok(Some(body))
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && Json::parse(text.to_owned()).is_ok()
}

/// The URL as it goes out. Without a connection it stays the caller's text, since that is what the rules judge.
fn url(args: &Args, method: &Method, connection: Option<&Connection>) -> Result<String, Failure> {
    let Some(connection) = connection else {
        if args.query.is_empty() {
            return Ok(args.url.clone());
        }
        let (url, fragment) = args.url.split_once('#').map_or((args.url.as_str(), ""), |(url, fragment)| (url, fragment));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        pairs(&args.query).for_each(|(name, value)| {
            query.append_pair(name, &value);
        });
        let separator = if url.contains('?') { '&' } else { '?' };
        let end = if fragment.is_empty() { String::new() } else { format!("#{fragment}") };
        return Ok(format!("{url}{separator}{}{end}", query.finish()));
    };
    let mut url: Url = connection.url(&args.url, method)?;
    if !args.query.is_empty() {
        let mut query = url.query_pairs_mut();
        pairs(&args.query).for_each(|(name, value)| {
            query.append_pair(name, &value);
        });
    }
    Ok(url.into())
}

/// Names and values as texts; a list gives its name once for each value, what is null gives nothing.
fn pairs(given: &BTreeMap<String, Value>) -> impl Iterator<Item = (&str, String)> {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    given.iter().flat_map(move |(name, value)| {
        let values: Vec<String> = match value {
            Value::Array(values) => values.iter().filter_map(text).collect(),
            other => text(other).into_iter().collect(),
        };
        values.into_iter().map(move |value| (name.as_str(), value))
    })
}
