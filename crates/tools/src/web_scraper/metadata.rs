//! What a page says of itself.

use super::selectors::collapsed;
use dom_query::Document;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use toolcrib_contract::Json;
use toolcrib_egress::Url;

const MAX_VALUE_CHARS: usize = 1000;
const MAX_VALUES: usize = 50;
/// How much JSON-LD an answer holds.
const MAX_JSON_LD_BYTES: usize = 16 << 10;

/// What a page says of itself: its own head, Open Graph, Twitter cards, JSON-LD.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// The URL that it wants to be known by.
    #[serde(skip_serializing_if = "Option::is_none")]
    canonical: Option<String>,
    /// Its language (BCP 47).
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    /// When it was published, as it writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<String>,
    /// When it was changed, as it writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    modified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site_name: Option<String>,
    /// Words that it wants to be found by.
    #[serde(skip_serializing_if = "Option::is_none")]
    keywords: Option<String>,
    /// Open Graph, without `og:`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    open_graph: BTreeMap<String, String>,
    /// Twitter card, without `twitter:`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    twitter: BTreeMap<String, String>,
    /// JSON-LD, as it stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<serde_json::Value>")]
    json_ld: Vec<Json>,
    /// Feeds of the site.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    feeds: Vec<String>,
    /// What `selectors.metadata` matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) selected: Option<Vec<String>>,
}

impl Metadata {
    /// Reads it out of a page.
    pub(super) fn of(document: &Document, base: &Url) -> Self {
        let mut found = Self { language: lang(document), json_ld: json_ld(document), ..Self::default() };
        let mut first = |slot: Slot, value: &str| {
            let slot = match slot {
                Slot::Description => &mut found.description,
                Slot::Author => &mut found.author,
                Slot::Published => &mut found.published,
                Slot::Modified => &mut found.modified,
                Slot::Keywords => &mut found.keywords,
                Slot::Language => &mut found.language,
            };
            if slot.is_none() {
                *slot = Some(value.to_owned());
            }
        };
        let (mut open_graph, mut twitter) = (BTreeMap::new(), BTreeMap::new());
        for node in document.select("meta[content]").nodes() {
            let Some(name) = ["name", "property", "itemprop", "http-equiv"].iter().find_map(|attribute| node.attr(attribute)) else {
                continue;
            };
            let name = name.trim().to_ascii_lowercase();
            let value: String = collapsed(&node.attr("content").unwrap_or_default()).chars().take(MAX_VALUE_CHARS).collect();
            if value.is_empty() {
                continue;
            }
            if let Some(slot) = Slot::of(&name) {
                first(slot, &value);
            } else if let Some(name) = name.strip_prefix("og:").filter(|_| open_graph.len() < MAX_VALUES) {
                let is_address = matches!(name, "image" | "url" | "image:url" | "image:secure_url" | "video" | "audio");
                let value = if is_address { base.join(&value).map_or(value, String::from) } else { value };
                open_graph.entry(name.to_owned()).or_insert(value);
            } else if let Some(name) = name.strip_prefix("twitter:").filter(|_| twitter.len() < MAX_VALUES) {
                twitter.entry(name.to_owned()).or_insert(value);
            }
        }
        let absolute = |selector: &str| {
            let hrefs = document.select(selector).nodes().iter().filter_map(|node| node.attr("href")).collect::<Vec<_>>();
            hrefs.into_iter().filter_map(|href| base.join(href.trim()).ok()).map(String::from).take(MAX_VALUES).collect::<Vec<_>>()
        };
        found.canonical = absolute("link[rel~=canonical][href]").into_iter().next();
        found.feeds = absolute("link[rel~=alternate][type='application/rss+xml'], link[rel~=alternate][type='application/atom+xml']");
        found.site_name = open_graph.get("site_name").cloned();
        found.description = found.description.or_else(|| open_graph.get("description").cloned());
        found.published =
            found.published.or_else(|| document.select("time[pubdate], time[datetime]").attr("datetime").map(|time| time.to_string()));
        found.open_graph = open_graph;
        found.twitter = twitter;
        found
    }

    /// What is known of a page in another way.
    pub(super) fn told(language: Option<String>, description: Option<String>, modified: Option<String>) -> Self {
        Self { language, description, modified, ..Self::default() }
    }

    /// The title that Open Graph or Twitter knows.
    pub(super) fn title(&self) -> Option<&str> {
        self.open_graph.get("title").or_else(|| self.twitter.get("title")).map(String::as_str)
    }
}

enum Slot {
    Description,
    Author,
    Published,
    Modified,
    Keywords,
    Language,
}

impl Slot {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "description" | "dc.description" => Self::Description,
            "author" | "article:author" | "dc.creator" => Self::Author,
            "article:published_time" | "date" | "datepublished" | "dc.date" | "pubdate" => Self::Published,
            "article:modified_time" | "last-modified" | "datemodified" => Self::Modified,
            "keywords" | "news_keywords" => Self::Keywords,
            "content-language" | "dc.language" => Self::Language,
            _ => return None,
        })
    }
}

fn lang(document: &Document) -> Option<String> {
    document.select("html[lang]").attr("lang").map(|lang| lang.trim().to_owned()).filter(|lang| !lang.is_empty())
}

fn json_ld(document: &Document) -> Vec<Json> {
    let mut room = MAX_JSON_LD_BYTES;
    let blocks = document.select("script[type='application/ld+json']");
    let read = blocks.nodes().iter().filter_map(|node| Json::parse(node.text().trim().to_owned()).ok());
    read.take_while(|json| {
        let fits = json.size_bytes() <= room;
        room = room.saturating_sub(json.size_bytes());
        fits
    })
    .collect()
}
