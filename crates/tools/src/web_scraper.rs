//! `web_scraper`: what a page says, for a model to read: its main content as Markdown, or the parts that CSS selectors name,
//! what it says of itself, and the pages of its site that it links to. Scripts are not run.
//!
//! | module | what it does |
//! |---|---|
//! | [`page`] | fetches and keeps pages |
//! | [`reading`] | tells HTML, feeds, JSON and text apart |
//! | [`limit`] | makes HTML harmless to parse |
//! | [`extract`], [`metadata`], [`selectors`], [`links`], [`feed`], [`hidden`] | read it |
//! | [`markdown`] | writes it |
//! | [`robots`], [`crawl`] | follow links, as the site wants it |

mod crawl;
mod cut;
mod extract;
mod feed;
mod hidden;
mod limit;
mod links;
mod markdown;
mod metadata;
mod page;
mod reading;
mod robots;
mod selectors;

use crate::{
    kept::{self, Kept},
    outside::{retry_after, untrusted, with_heartbeat},
};
use crawl::Crawl;
use cut::Piece;
use extract::Extracted;
use metadata::Metadata;
use page::{Origin, Page, Pages};
use robots::{Robots, Verdict};
use schemars::JsonSchema;
use selectors::{Chosen, Selectors};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use toolcrib_contract::{Annotations, CallContext, CallError, Category, Reach, Spec, Tool, ToolOutput};
use toolcrib_egress::{Egress, StatusCode};

const DEFAULT_MAX_CHARS: usize = 20_000;
const MAX_CHARS: usize = 100_000;
const DEFAULT_PAGES: usize = 10;
const MAX_PAGES: usize = 50;
const MAX_DEPTH: usize = 3;
/// How long a call may take in all; following links ends in time to answer.
const TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) struct WebScraper {
    pages: Pages,
    /// What sites want; nothing where the config does not care.
    robots: Option<Robots>,
    kept: Kept,
}

/// Which page, and what of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The URL of the page.
    url: String,
    /// CSS selectors of the parts that are wanted. Without them: the main content.
    #[serde(default)]
    selectors: Option<Selectors>,
    /// How the content is written. Default markdown.
    #[serde(default)]
    format: Format,
    /// Whether to collect the links to other pages of the site, and to fetch those. Default false.
    #[serde(default)]
    follow_links: bool,
    /// How many links deep to follow, up to 3; 0 collects the links only. Default 1.
    #[serde(default)]
    #[schemars(range(min = 0, max = 3))]
    depth: Option<usize>,
    /// How many pages to fetch in all, up to 50. Default 10.
    #[serde(default)]
    #[schemars(range(min = 1, max = 50))]
    max_pages: Option<usize>,
    /// Where in the content to begin, in characters: `next_offset` of the piece before.
    #[serde(default)]
    offset: usize,
    /// The most characters of content, up to 100000. Default 20000.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100_000))]
    max_chars: Option<usize>,
}

/// How content is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// As Markdown.
    #[default]
    Markdown,
    /// As plain text.
    Text,
    /// As HTML without scripts and styles.
    Html,
}

/// The page, or why there is none.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Answer {
    /// Where the page came from, after redirects; the URL as it was given if there is no page.
    url: String,
    /// The status. One of 400 or more came with a page, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    /// The title.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// The content, or the piece of it that begins at `offset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    /// What the page says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata>,
    /// With `follow_links`: the other pages of its site that it links to.
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<Vec<String>>,
    /// What selectors of your own matched.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<String, Vec<String>>,
    /// With `follow_links`: the pages that were followed, the nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pages: Vec<crawl::Followed>,
    /// How many characters the whole content has.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_chars: Option<usize>,
    /// Where the next piece begins, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<usize>,
    /// Whether the page was known already: from_cache, or not_modified as the site said.
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<&'static str>,
    /// Where a body that is no page can be read for 15 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    /// What is worth knowing about the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// Why there is no page, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What kind of failure it is: bad_url, bad_selector, blocked, robots, dns, connect, tls, timeout, redirects, too_large,
    /// bad_answer or unsupported_type.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<&'static str>,
}

/// Why a page is not given.
#[derive(Debug)]
pub(crate) struct Failure {
    class: &'static str,
    reason: String,
    /// The body, where it can be read all the same.
    resource: Option<String>,
}

impl Failure {
    fn new(class: &'static str, reason: impl Into<String>) -> Self {
        Self { class, reason: reason.into(), resource: None }
    }
}

impl WebScraper {
    pub(crate) fn new(egress: Egress, keeps_to_robots: bool, kept: Kept) -> Self {
        Self { robots: keeps_to_robots.then(|| Robots::new(egress.clone())), pages: Pages::new(egress), kept }
    }

    async fn scrape(&self, args: &Args, cx: &CallContext) -> Result<Result<Answer, Failure>, CallError> {
        let chosen = match args.selectors.as_ref().map(Selectors::parse).transpose() {
            Ok(chosen) => Arc::new(chosen.unwrap_or_default()),
            Err(reason) => return Ok(Err(Failure::new("bad_selector", reason))),
        };
        let (page, origin) = match with_heartbeat(cx, "waiting for the page", self.fetch(&args.url, args.offset > 0)).await? {
            Ok(fetched) => fetched,
            Err(failure) => return Ok(Err(failure)),
        };
        let extracted = match self.read(&page, &chosen, args.format, cx).await? {
            Ok(extracted) => extracted,
            Err(failure) => return Ok(Err(failure)),
        };
        let mut answer = self.answer(&page, origin, args);
        if args.follow_links {
            let depth = args.depth.unwrap_or(1).min(MAX_DEPTH);
            let max_pages = args.max_pages.unwrap_or(DEFAULT_PAGES).clamp(1, MAX_PAGES);
            let crawl = Crawl { scraper: self, cx, format: args.format, start: &page.url, max_pages };
            answer.links = Some(extracted.links.iter().map(ToString::to_string).collect());
            answer.pages = crawl.follow(&extracted.links, depth, &mut answer.notes).await?;
        }
        Ok(Ok(with_content(answer, extracted, args)))
    }

    /// Fetches a page, if its site allows that.
    async fn fetch(&self, url: &str, is_later_piece: bool) -> Result<(Arc<Page>, Origin), Failure> {
        let target = self.pages.judge(url).map_err(|refusal| {
            let error = toolcrib_egress::EgressError::Refused(refusal);
            Failure::new(error.class(), error.to_string())
        })?;
        if let Some(robots) = &self.robots
            && let Verdict::Refused(reason) = robots.judge(target.url()).await
        {
            return Err(Failure::new("robots", reason));
        }
        let (page, origin) = self.pages.get(url, is_later_piece).await.map_err(|error| Failure::new(error.class(), error.to_string()))?;
        // A redirect may lead where the site does not want robots either.
        if let Some(robots) = self.robots.as_ref().filter(|_| page.url != *target.url())
            && let Verdict::Refused(reason) = robots.judge(&page.url).await
        {
            return Err(Failure::new("robots", format!("it redirects to {}: {reason}", page.url)));
        }
        Ok((page, origin))
    }

    /// Reads a page as what it is; a body that is none is kept to be read as a resource.
    async fn read(
        &self,
        page: &Arc<Page>,
        chosen: &Arc<Chosen>,
        format: Format,
        cx: &CallContext,
    ) -> Result<Result<Extracted, Failure>, CallError> {
        let (reading, chosen) = (Arc::clone(page), Arc::clone(chosen));
        let read = crate::big_stack::on_big_stack(move || reading::read(&reading, &chosen, format)).await?;
        Ok(read.map_err(|reason| {
            let resource = self.kept.keep(cx.caller(), &page.media_type(), page.body.bytes.clone());
            let kept = if resource.is_some() { "; the resource holds it as it is" } else { "; it is too large to be kept" };
            Failure { resource, ..Failure::new("unsupported_type", reason + kept) }
        }))
    }

    fn answer(&self, page: &Page, origin: Origin, args: &Args) -> Answer {
        let mut notes = Vec::new();
        if page.body.is_cut {
            notes.push(format!("the page is larger than what is read; it ends after {} bytes", page.body.bytes.len()));
        }
        if matches!(page.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let when = retry_after(&page.headers).unwrap_or_else(|| "later".to_owned());
            notes.push(format!("the site wants fewer requests; try again {when}"));
        }
        Answer {
            url: page.url.to_string(),
            status_code: Some(page.status.as_u16()),
            cache: match origin {
                Origin::Fetched => None,
                Origin::Kept => Some("from_cache"),
                Origin::Revalidated => Some("not_modified"),
            },
            links: (!args.follow_links).then(Vec::new),
            notes,
            ..Answer::default()
        }
    }
}

fn with_content(answer: Answer, extracted: Extracted, args: &Args) -> Answer {
    let Extracted { title, content, metadata, fields, notes: found, .. } = extracted;
    let Piece { text, total_chars, next_offset } =
        cut::piece(&content, args.offset, args.max_chars.unwrap_or(DEFAULT_MAX_CHARS).min(MAX_CHARS));
    let mut notes = answer.notes;
    notes.extend(found);
    if let Some(next) = next_offset {
        notes.push(format!("the content goes on: call again with offset {next}"));
    }
    Answer { title, content: Some(text), metadata: Some(metadata), fields, total_chars: Some(total_chars), next_offset, notes, ..answer }
}

impl Tool for WebScraper {
    type Args = Args;
    type Output = Answer;

    fn spec(&self) -> Spec {
        Spec::new(
            "web_scraper",
            "Reads a web page: its main content as Markdown, or the parts that CSS selectors name, with title and metadata; long pages piece by \
             piece. Can follow the links of the site. Reads feeds and JSON, too. Scripts are not run.",
        )
        .title("Read a web page")
        .category(Category::DataRetrieval)
        .tags(&["web", "scraper", "html", "markdown", "crawl"])
        .author("Toolcrib")
        .annotations(Annotations::LOOKS_OUTSIDE)
        .reaches(&[Reach::Network])
        .timeout(TIMEOUT)
    }

    async fn run(&self, args: Args, cx: &CallContext) -> Result<Answer, CallError> {
        Ok(self.scrape(&args, cx).await?.unwrap_or_else(|Failure { class, reason, resource }| Answer {
            url: args.url.clone(),
            error: Some(reason),
            error_class: Some(class),
            resource,
            ..Answer::default()
        }))
    }

    fn present(&self, answer: &Answer, written: &mut ToolOutput) {
        written.is_error = answer.error.is_some();
        written.meta = Some(untrusted(&["title", "content", "metadata", "links", "fields", "pages", "error"]));
        if let Some(uri) = &answer.resource {
            written.content.push(kept::link(uri, "the body", "application/octet-stream"));
        }
    }
}

#[cfg(test)]
mod tests;
