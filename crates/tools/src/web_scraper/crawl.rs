//! Following the links of a site: nearest pages first, a few at a time, as fast as the site wants it.

use super::{Format, WebScraper, cut, links, selectors::Chosen};
use futures_util::stream::{self, StreamExt};
use schemars::JsonSchema;
use serde::Serialize;
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::Instant;
use toolcrib_contract::{CallContext, CallError};
use toolcrib_egress::Url;

/// Pages fetched at once.
const AT_ONCE: usize = 4;
/// The most characters of each page; all of it is there by calling for its URL.
const CHARS_OF_PAGE: usize = 4000;
/// What is left of the time of the call to answer.
const RESERVE: Duration = Duration::from_secs(20);

/// A page that was followed.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Followed {
    /// Its URL, after redirects.
    url: String,
    /// How many links away from the first page.
    depth: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// The beginning of its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    /// How many characters its whole content has.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_chars: Option<usize>,
    /// Why it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip)]
    links: Vec<Url>,
}

/// One walk through a site.
pub(super) struct Crawl<'a> {
    pub(super) scraper: &'a WebScraper,
    pub(super) cx: &'a CallContext,
    pub(super) format: Format,
    pub(super) start: &'a Url,
    pub(super) max_pages: usize,
}

impl Crawl<'_> {
    /// Follows links as deep as wanted. The first page counts among the pages.
    pub(super) async fn follow(&self, links: &[Url], depth: usize, notes: &mut Vec<String>) -> Result<Vec<Followed>, CallError> {
        let remaining = self.cx.remaining(std::time::Instant::now());
        let ends = Instant::now() + remaining - RESERVE.min(remaining / 2);
        let delay = match &self.scraper.robots {
            Some(robots) => robots.delay(self.start).await,
            None => None,
        };
        let mut seen: HashSet<Url> = HashSet::from([links::normalised(self.start.clone())]);
        let mut left_out = 0;
        let mut frontier = links.to_vec();
        let mut followed: Vec<Followed> = Vec::new();
        for depth in 1..=depth {
            let room = self.max_pages - 1 - followed.len();
            let mut next: Vec<Url> = frontier.into_iter().filter(|url| links::may_be_page(url) && seen.insert(url.clone())).collect();
            left_out += next.len().saturating_sub(room);
            next.truncate(room);
            let level = self.level(next, depth, delay, ends, followed.len()).await?;
            frontier = level.iter().flat_map(|page| page.links.iter().cloned()).collect();
            followed.extend(level);
            if Instant::now() >= ends {
                notes.push("the time for following links is over; not all were followed".into());
                break;
            }
        }
        if left_out > 0 {
            notes.push(format!("{left_out} links were not followed: max_pages is {}", self.max_pages));
        }
        Ok(followed)
    }

    async fn level(
        &self,
        urls: Vec<Url>,
        depth: usize,
        delay: Option<Duration>,
        ends: Instant,
        before: usize,
    ) -> Result<Vec<Followed>, CallError> {
        // A site that wants robots to wait is asked for one page at a time.
        let at_once = if delay.is_some() { 1 } else { AT_ONCE };
        let total = (before + urls.len() + 1) as f64;
        let mut pages = stream::iter(urls)
            .map(|url| async move {
                if Instant::now() + delay.unwrap_or_default() >= ends {
                    return Ok(None);
                }
                if let Some(delay) = delay {
                    tokio::time::sleep(delay).await;
                }
                self.page(url, depth).await.map(Some)
            })
            .buffered(at_once);
        let mut level = Vec::new();
        while let Some(page) = pages.next().await {
            level.extend(page?);
            self.cx.progress((before + level.len() + 1) as f64, Some(total), level.last().map(|page| page.url.as_str()));
        }
        Ok(level)
    }

    async fn page(&self, url: Url, depth: usize) -> Result<Followed, CallError> {
        let failed = |reason: String| Followed { url: url.to_string(), depth, error: Some(reason), ..Followed::default() };
        let page = match self.scraper.fetch(url.as_str(), false).await {
            Ok((page, _)) => page,
            Err(failure) => return Ok(failed(failure.reason)),
        };
        if !links::is_same_site(&page.url, self.start) {
            return Ok(failed(format!("it redirects to another site: {}", page.url)));
        }
        let (reading, format) = (Arc::clone(&page), self.format);
        let read = crate::big_stack::on_big_stack(move || super::reading::read(&reading, &Chosen::default(), format)).await?;
        let extracted = match read {
            Ok(extracted) => extracted,
            Err(reason) => return Ok(failed(reason)),
        };
        let piece = cut::piece(&extracted.content, 0, CHARS_OF_PAGE);
        Ok(Followed {
            url: page.url.to_string(),
            depth,
            status_code: Some(page.status.as_u16()),
            title: extracted.title,
            content: Some(piece.text),
            total_chars: Some(piece.total_chars),
            error: None,
            links: extracted.links,
        })
    }
}
