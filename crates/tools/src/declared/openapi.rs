//! Tools out of an OpenAPI document (2.0, 3.0, 3.1): each operation that is selected is a declared request.
//!
//! | module | its part |
//! |---|---|
//! | `document` | where things stand in a document, whichever its version |
//! | `operation` | one operation as a tool |
//! | `schema` | schemas of OpenAPI as JSON Schema, whole, and of a size that a model can read |

mod document;
mod operation;
mod schema;

use super::Declared;
use bytes::Bytes;
use document::{Document, Operation};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use toolcrib_contract::{Annotations, Globs};
use toolcrib_egress::{Egress, EgressError, HeaderMap, Method, Request, Url};

/// The most operations that are offered out of one document: more are no help to a model.
pub const MAX_OPERATIONS: usize = 200;
/// How long it may take to bring a document.
const TO_FETCH: Duration = Duration::from_secs(20);
/// How long a tool's name may be, so that clients can put `mcp__toolcrib__` before it.
const MAX_NAME: usize = 48;

/// What the config says of a document.
#[derive(Debug, Clone, Default)]
pub struct OpenApiSettings {
    /// What its tools' names begin with.
    pub name: String,
    /// Where the document is, for servers that it names in relation to that.
    pub location: Option<Url>,
    /// Where its API is, if not where the document says.
    pub server: Option<Url>,
    /// Which operations are offered: patterns of their ids, of `METHOD /path`, and of `tag:NAME`. All, if there are not too many.
    pub include: Option<Globs>,
    /// Which of these are not.
    pub exclude: Globs,
    /// What is shown to each security scheme, by its name.
    pub auth: BTreeMap<String, String>,
    /// Headers of every request: secrets among them.
    pub headers: HeaderMap,
    /// What its tools say of their effects, where that is not as their methods have it.
    pub annotations: Annotations,
    /// Words to find them by, besides those of the document.
    pub tags: Vec<String>,
    /// Values that stand in it and that nobody is to see.
    pub hidden: Vec<String>,
}

/// What became of a document.
#[derive(Debug, Clone, Default)]
pub struct Translated {
    /// The tools.
    pub tools: Vec<Declared>,
    /// What of the selected operations cannot be offered, and why: each in a sentence.
    pub left_out: Vec<String>,
}

/// Brings a document from where it is.
///
/// # Errors
/// Why it cannot be had, in a sentence.
pub async fn fetch(url: &Url, egress: &Egress) -> Result<Bytes, String> {
    // Its host may be reached because the config names it.
    let egress = egress.also_reaching(&[url], |_| {}).map_err(|setup| setup.to_string())?;
    let request = Request {
        method: Method::GET,
        url: url.to_string(),
        headers: HeaderMap::new(),
        secrets: HeaderMap::new(),
        body: None,
        timeout: Some(TO_FETCH),
        follows_redirects: false,
    };
    // What asks for it may have a key in it.
    let unsent = |error: EgressError| error.to_string().replace(url.as_str(), &shown(url));
    let fetched = egress.send(request).await.map_err(unsent)?;
    if !fetched.status.is_success() {
        return Err(format!("{} answered {}", shown(url), fetched.status));
    }
    if fetched.body.is_cut {
        return Err(format!("the document is larger than {} bytes (egress.maxBodyBytes)", fetched.body.bytes.len()));
    }
    Ok(fetched.body.bytes)
}

/// A URL as it is told of: without what may be a key.
#[must_use]
pub fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// The tools of a document.
///
/// # Errors
/// What is wrong with the document, or with what is said of it, in a sentence.
pub fn translate(document: &Value, settings: &OpenApiSettings) -> Result<Translated, String> {
    let document = Document::new(document)?;
    if let Some(unknown) = settings.auth.keys().find(|name| !document.schemes().any(|scheme| scheme == name.as_str())) {
        let known: Vec<&str> = document.schemes().collect();
        return Err(format!("the document has no security scheme {unknown:?}; it has {}", known.join(", ")));
    }
    let operations = document.operations();
    let selected: Vec<&Operation<'_>> = operations.iter().filter(|operation| is_selected(operation, settings)).collect();
    match selected.len() {
        0 if operations.is_empty() => return Err("the document has no operations".to_owned()),
        0 => return Err("no operation of the document is selected by include and exclude".to_owned()),
        many if many > MAX_OPERATIONS => {
            return Err(format!(
                "{many} operations are more than a model can choose from: say which in include, by operation ids, \"GET /path*\" or \"tag:NAME\" (at most {MAX_OPERATIONS})"
            ));
        }
        _ => {}
    }
    let mut translated = Translated { left_out: without_match(&operations, settings), ..Translated::default() };
    let mut names = BTreeSet::new();
    for operation in selected {
        let name = name_of(&settings.name, &operation.id, &names);
        match operation::declared(&document, operation, &name, settings) {
            Ok(tool) => {
                names.insert(name);
                translated.tools.push(tool);
            }
            Err(reason) => translated.left_out.push(format!("{} cannot be offered: {reason}", operation.id)),
        }
    }
    if translated.tools.is_empty() {
        return Err(translated.left_out.swap_remove(0));
    }
    Ok(translated)
}

/// What is said of patterns that select nothing: they are likely to be misspelt.
fn without_match(operations: &[Operation<'_>], settings: &OpenApiSettings) -> Vec<String> {
    let names: Vec<String> = operations.iter().flat_map(known_as).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let lists = settings.include.iter().map(|globs| ("include", globs)).chain([("exclude", &settings.exclude)]);
    lists
        .flat_map(|(list, globs)| globs.without_match(&names).map(move |pattern| format!("{list}: no operation is meant by {pattern:?}")))
        .collect()
}

/// What patterns find an operation by.
fn known_as(operation: &Operation<'_>) -> Vec<String> {
    let tags = operation.tags().map(|tag| format!("tag:{tag}"));
    [operation.id.clone(), format!("{} {}", operation.method, operation.path)].into_iter().chain(tags).collect()
}

fn is_selected(operation: &Operation<'_>, settings: &OpenApiSettings) -> bool {
    let names = known_as(operation);
    let is_in = |globs: &Globs| names.iter().any(|name| globs.include(name));
    settings.include.as_ref().is_none_or(is_in) && !is_in(&settings.exclude)
}

/// A name that clients take, that no other has, and that says which operation it is.
fn name_of(document: &str, id: &str, taken: &BTreeSet<String>) -> String {
    let plain = sanitised(&format!("{document}__{id}"));
    let mut name = shortened(&plain);
    for number in 2.. {
        if !taken.contains(&name) {
            break;
        }
        name = shortened(&format!("{plain}_{number}"));
    }
    name
}

/// The hexadecimal digest of a text: a name for what belongs to it.
#[must_use]
pub fn digest(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text with nothing but what names of tools and arguments may have.
fn sanitised(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect();
    plain.trim_matches('_').to_owned()
}

/// The same, where it is too long: its beginning, and something of its own.
fn shortened(name: &str) -> String {
    if name.len() <= MAX_NAME {
        return name.to_owned();
    }
    format!("{}_{}", &name[..MAX_NAME - 7], &digest(name)[..6])
}

#[cfg(test)]
mod tests;
