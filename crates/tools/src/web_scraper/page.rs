//! Pages as they were fetched, kept for a while so that the next piece of one costs no request.

use crate::charset::media_type;
use moka::sync::Cache;
use std::{fmt, sync::Arc, time::Duration};
use toolcrib_egress::{Body, Egress, EgressError, Fetched, HeaderMap, HeaderValue, Refusal, Request, StatusCode, Target, Url, header};

/// How much is kept in all.
const MAX_TOTAL_BYTES: u64 = 32 << 20;
/// How long a page is kept, to be asked about anew.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// A page as it was fetched.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) url: Url,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

/// Whether a page came from memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Fetched,
    Kept,
    /// The site said that it has not changed.
    Revalidated,
}

/// Fetches pages and keeps them.
#[derive(Clone)]
pub(super) struct Pages {
    egress: Egress,
    kept: Cache<String, Arc<Page>>,
}

impl Page {
    pub(super) fn content_type(&self) -> &str {
        self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn header_bytes(&self) -> usize {
        self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum()
    }

    pub(super) fn media_type(&self) -> String {
        media_type(self.content_type())
    }
}

impl Pages {
    pub(super) fn new(egress: Egress) -> Self {
        let weight = |url: &String, page: &Arc<Page>| {
            u32::try_from(page.body.bytes.len() + page.header_bytes() + url.len() + 1024).unwrap_or(u32::MAX)
        };
        Self { egress, kept: Cache::builder().max_capacity(MAX_TOTAL_BYTES).weigher(weight).time_to_live(LIFETIME).build() }
    }

    /// Judges a URL before anything is fetched.
    pub(super) fn judge(&self, url: &str) -> Result<Target, Refusal> {
        self.egress.judge(url)
    }

    /// The page at a URL. A later piece of one that is kept is not asked for again.
    pub(super) async fn get(&self, url: &str, is_later_piece: bool) -> Result<(Arc<Page>, Origin), EgressError> {
        let kept = self.kept.get(url);
        if let Some(page) = kept.as_ref().filter(|_| is_later_piece) {
            return Ok((Arc::clone(page), Origin::Kept));
        }
        let mut request =
            Request::get(url).header(header::ACCEPT, "text/markdown, text/html, application/xhtml+xml, application/json;q=0.9, */*;q=0.8");
        if let Some(page) = &kept {
            let validators = [(header::ETAG, header::IF_NONE_MATCH), (header::LAST_MODIFIED, header::IF_MODIFIED_SINCE)];
            let copied: Vec<(header::HeaderName, HeaderValue)> =
                validators.into_iter().filter_map(|(from, to)| Some((to, page.headers.get(from)?.clone()))).collect();
            request.headers.extend(copied);
        }
        let Fetched { url: end, status, headers, body, .. } = self.egress.send(request).await?;
        if let Some(page) = kept.filter(|_| status == StatusCode::NOT_MODIFIED) {
            return Ok((page, Origin::Revalidated));
        }
        let page = Arc::new(Page { url: end, status, headers, body });
        let mut directives = page.headers.get_all(header::CACHE_CONTROL).iter().map(|value| value.as_bytes().to_ascii_lowercase());
        let is_private = directives.any(|directive| directive.windows(8).any(|word| word == b"no-store"));
        let may_be_kept = page.status.is_success() && !is_private;
        if may_be_kept {
            self.kept.insert(url.to_owned(), Arc::clone(&page));
        }
        Ok((page, Origin::Fetched))
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("kept", &self.kept.entry_count()).finish()
    }
}
