//! CSS selectors of callers: which parts of a page they want.

use super::markdown::markdown;
use dom_query::{Document, Matcher, NodeRef, Selection};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use toolcrib_egress::Url;

const MAX_BYTES: usize = 1000;
const MAX_PARTS: usize = 64;
/// How many selectors a call may have in all.
const MAX_SELECTORS: usize = 32;
/// From this many elements on, selectors that compare elements with each other would take too long.
const MANY_ELEMENTS: usize = 5000;
/// How many matches of one field are given, and how long each may be.
const MAX_MATCHES: usize = 200;
const MAX_MATCH_CHARS: usize = 5000;

/// Which parts of the page: CSS selectors. Of several for one part, the first that matches counts. `a.next::attr(href)` gives an
/// attribute instead of the text.
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

/// A selector that was understood.
pub(super) struct Selector {
    matcher: Matcher,
    /// The attribute that is wanted instead of the text.
    attribute: Option<String>,
    /// Whether it compares elements with each other, which takes the square of their number.
    is_costly: bool,
}

/// Selectors that were understood.
#[derive(Default)]
pub(super) struct Chosen {
    pub(super) title: Vec<Selector>,
    pub(super) content: Vec<Selector>,
    pub(super) metadata: Vec<Selector>,
    pub(super) others: BTreeMap<String, Vec<Selector>>,
}

impl Selectors {
    pub(super) fn parse(&self) -> Result<Chosen, String> {
        let optional = |name: &str, written: &Option<OneOrMore>| written.as_ref().map_or(Ok(Vec::new()), |written| parse(name, written));
        let chosen = Chosen {
            title: optional("title", &self.title)?,
            content: optional("content", &self.content)?,
            metadata: optional("metadata", &self.metadata)?,
            others: self.others.iter().map(|(name, written)| Ok((name.clone(), parse(name, written)?))).collect::<Result<_, String>>()?,
        };
        let all = [&chosen.title, &chosen.content, &chosen.metadata].into_iter().chain(chosen.others.values());
        if all.map(Vec::len).sum::<usize>() > MAX_SELECTORS {
            return Err(format!("a call has at most {MAX_SELECTORS} selectors"));
        }
        Ok(chosen)
    }
}

fn parse(field: &str, written: &OneOrMore) -> Result<Vec<Selector>, String> {
    let written = match written {
        OneOrMore::One(one) => std::slice::from_ref(one),
        OneOrMore::More(more) => more,
    };
    let selector = |text: &String| {
        if text.len() > MAX_BYTES || text.split(',').count() > MAX_PARTS {
            return Err(format!("the selector for {field:?} is longer than {MAX_BYTES} bytes or {MAX_PARTS} parts"));
        }
        let (css, attribute) = match text.split_once("::attr(") {
            Some((css, rest)) => (css, Some(rest.trim_end_matches(')').trim().to_owned())),
            None => (text.as_str(), None),
        };
        let is_costly = [":has", "~", ":nth-last", ":only", ":last"].iter().any(|part| css.replace("~=", "").contains(part));
        let matcher = Matcher::new(css)
            .map_err(|_| format!("the selector for {field:?} is not CSS: {text:?}; an attribute is {:?}", "SELECTOR::attr(NAME)"))?;
        Ok(Selector { matcher, attribute, is_costly })
    };
    written.iter().map(selector).collect()
}

/// What the first of these selectors that matches anything matches.
pub(super) fn first<'a, 's>(document: &'a Document, selectors: &'s [Selector]) -> Option<(Selection<'a>, &'s Selector)> {
    let is_large = selectors.iter().any(|selector| selector.is_costly) && document.select("*").length() > MANY_ELEMENTS;
    let usable = selectors.iter().filter(|selector| !(is_large && selector.is_costly));
    usable.map(|selector| (document.select_matcher(&selector.matcher), selector)).find(|(found, _)| !found.is_empty())
}

/// Gives the texts of what selectors match, as long as there is room.
pub(super) struct Picked<'a> {
    pub(super) document: &'a Document,
    pub(super) base: &'a Url,
    pub(super) room: usize,
}

impl Picked<'_> {
    pub(super) fn texts(&mut self, field: &str, selectors: &[Selector], notes: &mut Vec<String>) -> Vec<String> {
        let Some((found, selector)) = first(self.document, selectors) else {
            let is_large = selectors.iter().any(|selector| selector.is_costly) && self.document.select("*").length() > MANY_ELEMENTS;
            let reason = if is_large { "is too costly on a page this large (it holds ~, :has, :last or :only)" } else { "matches nothing" };
            notes.push(format!("the selector for {field:?} {reason}"));
            return Vec::new();
        };
        let mut texts = Vec::new();
        for node in found.nodes().iter().take(MAX_MATCHES) {
            if self.room == 0 {
                notes.push(format!("not all that the selector for {field:?} matches is given: it is too much"));
                break;
            }
            let text = self.text(node, selector);
            self.room = self.room.saturating_sub(text.len());
            texts.push(if text.len() > MAX_MATCH_CHARS { text.chars().take(MAX_MATCH_CHARS).collect() } else { text });
        }
        texts
    }

    /// What a person reads in a match: of code and tables with their lines, of an element without text what its attributes say.
    fn text(&self, node: &NodeRef<'_>, selector: &Selector) -> String {
        const SAYING: &[&str] = &["content", "datetime", "value", "alt", "src", "href"];
        if let Some(attribute) = &selector.attribute {
            let value = node.attr(attribute).unwrap_or_default().trim().to_owned();
            let is_address = matches!(attribute.as_str(), "href" | "src" | "action" | "data-src");
            return if is_address { self.base.join(&value).map_or(value, String::from) } else { value };
        }
        if node.node_name().is_some_and(|name| matches!(&*name, "pre" | "table" | "ul" | "ol" | "dl")) {
            return markdown(&node.html());
        }
        let text = collapsed(&node.text());
        let said = || SAYING.iter().find_map(|name| node.attr(name)).map(|value| value.to_string());
        if text.is_empty() { said().unwrap_or_default() } else { text }
    }
}

/// A text with its runs of blanks made one.
pub(super) fn collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
