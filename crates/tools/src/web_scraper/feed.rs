//! Feeds (RSS, Atom, JSON Feed) as Markdown.

use super::{extract::Extracted, metadata::Metadata};
use dom_query::Document;
use feed_rs::model::{Entry, Feed};
use toolcrib_egress::Url;

const MAX_ENTRIES: usize = 100;
const MAX_SUMMARY_CHARS: usize = 500;

/// Reads a feed, if it is one.
pub(super) fn read(bytes: &[u8], url: &Url) -> Option<Extracted> {
    let parser = feed_rs::parser::Builder::new().base_uri(Some(url.as_str())).build();
    let feed = parser.parse(bytes).ok()?;
    let entries: Vec<String> = feed.entries.iter().take(MAX_ENTRIES).map(entry).collect();
    let left_out = feed.entries.len().saturating_sub(MAX_ENTRIES);
    let notes = if left_out > 0 { vec![format!("{left_out} older entries were left out")] } else { vec![] };
    let links = feed.entries.iter().filter_map(|entry| entry.links.first()?.href.parse().ok()).collect();
    let Feed { title, description, language, updated, .. } = feed;
    let metadata = Metadata::told(language, description.map(|text| plain(&text.content)), updated.map(|time| time.to_rfc3339()));
    Some(Extracted {
        title: title.map(|text| plain(&text.content)),
        content: entries.join("\n\n"),
        metadata,
        links,
        notes,
        ..Extracted::default()
    })
}

fn entry(entry: &Entry) -> String {
    let title = entry.title.as_ref().map_or_else(|| "(untitled)".to_owned(), |text| plain(&text.content));
    let title = match entry.links.first() {
        Some(link) => format!("## [{title}]({})", link.href),
        None => format!("## {title}"),
    };
    let time = entry.published.or(entry.updated).map(|time| format!("\n\n{}", time.to_rfc3339())).unwrap_or_default();
    let said = entry.summary.as_ref().map(|text| text.content.as_str()).or_else(|| entry.content.as_ref()?.body.as_deref());
    let said = said.map(plain).filter(|text| !text.is_empty());
    let summary = said.map(|text| format!("\n\n{}", text.chars().take(MAX_SUMMARY_CHARS).collect::<String>())).unwrap_or_default();
    format!("{title}{time}{summary}")
}

/// Text without markup, which entries often carry.
fn plain(text: &str) -> String {
    let (html, _) = super::limit::limited(text);
    super::selectors::collapsed(&Document::fragment(html.as_str()).text())
}
