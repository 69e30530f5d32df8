//! CSS selectors of callers: which parts of a page they want.

use dom_query::{Document, Matcher, Selection};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

const MAX_BYTES: usize = 1000;
const MAX_PARTS: usize = 64;
const MAX_FIELDS: usize = 32;
/// How many matches of one field are given, and how long each may be.
const MAX_MATCHES: usize = 200;
const MAX_MATCH_CHARS: usize = 5000;

/// Which parts of the page: CSS selectors. Of several for one part, the first that matches counts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct Selectors {
    /// The title.
    #[serde(default)]
    title: Option<OneOrMore>,
    /// The content; all elements that match.
    #[serde(default)]
    content: Option<OneOrMore>,
    /// More about the page: what matches is given as `metadata.selected`.
    #[serde(default)]
    metadata: Option<OneOrMore>,
    /// Any other parts, by names of your choice: what matches is given as `fields`.
    #[serde(flatten)]
    others: BTreeMap<String, OneOrMore>,
}

/// One selector, or several to be tried in turn.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// Selectors that were understood.
#[derive(Default)]
pub(super) struct Chosen {
    pub(super) title: Vec<Matcher>,
    pub(super) content: Vec<Matcher>,
    pub(super) metadata: Vec<Matcher>,
    pub(super) others: BTreeMap<String, Vec<Matcher>>,
}

impl Selectors {
    pub(super) fn parse(&self) -> Result<Chosen, String> {
        if self.others.len() > MAX_FIELDS {
            return Err(format!("at most {MAX_FIELDS} fields can be selected"));
        }
        let optional =
            |name: &str, selectors: &Option<OneOrMore>| selectors.as_ref().map_or(Ok(Vec::new()), |selectors| matchers(name, selectors));
        Ok(Chosen {
            title: optional("title", &self.title)?,
            content: optional("content", &self.content)?,
            metadata: optional("metadata", &self.metadata)?,
            others: self
                .others
                .iter()
                .map(|(name, selectors)| Ok((name.clone(), matchers(name, selectors)?)))
                .collect::<Result<_, String>>()?,
        })
    }
}

fn matchers(field: &str, selectors: &OneOrMore) -> Result<Vec<Matcher>, String> {
    let selectors = match selectors {
        OneOrMore::One(one) => std::slice::from_ref(one),
        OneOrMore::More(more) => more,
    };
    let matcher = |selector: &String| {
        if selector.len() > MAX_BYTES || selector.split(',').count() > MAX_PARTS {
            return Err(format!("the selector for {field:?} is longer than {MAX_BYTES} bytes or {MAX_PARTS} parts"));
        }
        Matcher::new(selector).map_err(|_| format!("the selector for {field:?} is not CSS: {selector:?}"))
    };
    selectors.iter().map(matcher).collect()
}

/// What the first of these selectors that matches anything matches.
pub(super) fn first<'a>(document: &'a Document, matchers: &[Matcher]) -> Option<Selection<'a>> {
    matchers.iter().map(|matcher| document.select_matcher(matcher)).find(|found| !found.is_empty())
}

/// What a person reads in each match: of an element without text, the attribute that says it.
pub(super) fn texts(found: &Selection<'_>) -> Vec<String> {
    const SAYING: &[&str] = &["content", "datetime", "value", "alt", "src", "href"];
    let text = |node: &dom_query::NodeRef<'_>| {
        let text = collapsed(&node.text());
        let said = SAYING.iter().find_map(|name| node.attr(name)).map(|value| value.to_string());
        if text.is_empty() { said.unwrap_or_default() } else { text }
    };
    let short = |text: String| if text.len() > MAX_MATCH_CHARS { text.chars().take(MAX_MATCH_CHARS).collect() } else { text };
    found.nodes().iter().take(MAX_MATCHES).map(text).map(short).collect()
}

/// A text with its runs of blanks made one.
pub(super) fn collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
