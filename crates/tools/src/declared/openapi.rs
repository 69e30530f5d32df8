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
use crate::api::{Connection, ConnectionSettings};
use bytes::Bytes;
use document::{Document, Operation};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use toolcrib_contract::Globs;
use toolcrib_egress::{Egress, HeaderMap, Method, Request, Url};

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
    let mut origin = url.clone();
    origin.set_path("/");
    origin.set_query(None);
    let place = ConnectionSettings {
        name: "openapi".to_owned(),
        base_url: origin,
        headers: HeaderMap::new(),
        methods: Vec::new(),
        paths: None,
        description: None,
    };
    // Its host may be reached because the config names it.
    let connection = Connection::open(place, egress).map_err(|setup| setup.to_string())?;
    let request = Request {
        method: Method::GET,
        url: url.to_string(),
        headers: HeaderMap::new(),
        secrets: HeaderMap::new(),
        body: None,
        timeout: Some(TO_FETCH),
        follows_redirects: false,
    };
    let fetched = connection.egress().send(request).await.map_err(|error| error.to_string())?;
    if !fetched.status.is_success() {
        return Err(format!("{url} answered {}", fetched.status));
    }
    if fetched.body.is_cut {
        return Err(format!("the document is larger than {} bytes (egress.maxBodyBytes)", fetched.body.bytes.len()));
    }
    Ok(fetched.body.bytes)
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
    let mut translated = Translated::default();
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

fn is_selected(operation: &Operation<'_>, settings: &OpenApiSettings) -> bool {
    let is_in = |globs: &Globs| {
        globs.include(&operation.id)
            || globs.include(&format!("{} {}", operation.method, operation.path))
            || operation.tags().any(|tag| globs.include(&format!("tag:{tag}")))
    };
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
