//! Feeds (RSS, Atom, JSON Feed) as Markdown.

use super::{cut, extract::Extracted, limit::limited, links, markdown::markdown, metadata::Metadata, selectors::collapsed};
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
    let links = feed.entries.iter().filter_map(|entry| entry.links.first()?.href.parse().ok());
    let links = links.filter(|link| links::is_same_site(link, url)).take(MAX_ENTRIES).collect();
    let Feed { title, description, language, updated, .. } = feed;
    let metadata = Metadata::told(language, description.map(|text| short(plain(&text.content))), updated.map(|time| time.to_rfc3339()));
    Some(Extracted {
        title: title.map(|text| short(title_of(&text.content))),
        content: entries.join("\n\n"),
        metadata,
        links,
        notes,
        ..Extracted::default()
    })
}

fn entry(entry: &Entry) -> String {
    let title = entry.title.as_ref().map_or_else(|| "(untitled)".to_owned(), |text| short(title_of(&text.content)));
    let link = entry.links.first().filter(|link| link.href.starts_with("http://") || link.href.starts_with("https://"));
    let title = match link {
        Some(link) => format!("## [{title}]({})", link.href),
        None => format!("## {title}"),
    };
    let authors: Vec<&str> = entry.authors.iter().filter_map(|author| author.name.as_deref()).take(5).collect();
    let time = entry.published.or(entry.updated).map(|time| time.to_rfc3339());
    let line = [time, (!authors.is_empty()).then(|| authors.join(", "))].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let said = entry.summary.as_ref().map(|text| text.content.as_str()).or_else(|| entry.content.as_ref()?.body.as_deref());
    let summary = said.map(|said| cut::piece(&markdown(&limited(said).0), 0, MAX_SUMMARY_CHARS).text.trim().to_owned());
    [Some(title), Some(line), summary].into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}

fn short(text: String) -> String {
    if text.len() > MAX_SUMMARY_CHARS { text.chars().take(MAX_SUMMARY_CHARS).collect() } else { text }
}

/// A title, which may hold signs that look like markup and are none.
fn title_of(text: &str) -> String {
    let plain = plain(text);
    let is_markup = ["</", "<b>", "<i>", "<em>", "<strong>", "&amp;", "<span"].iter().any(|mark| text.contains(mark));
    if is_markup || !text.contains('<') { plain } else { collapsed(text) }
}

/// Text without markup, which entries often carry.
fn plain(text: &str) -> String {
    let (html, _) = limited(text);
    collapsed(&Document::fragment(html.as_str()).text())
}
