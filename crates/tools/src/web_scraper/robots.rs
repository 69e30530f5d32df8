//! What a site wants of robots (RFC 9309), and how fast.

mod rules;

use moka::future::Cache;
use rules::Rules;
use std::{fmt, sync::Arc, time::Duration};
use toolcrib_egress::{Egress, EgressError, Request, StatusCode, Url};

/// The name by which sites can speak of us.
const AGENT: &str = "toolcrib";
/// RFC 9309 wants at least this much to be read.
const MAX_BYTES: usize = 500 << 10;
/// How long an answer counts.
const LIFETIME: Duration = Duration::from_secs(3600);
/// How much is remembered of all sites.
const MAX_TOTAL_BYTES: u64 = 16 << 20;
/// The longest wait between two pages that we keep; a site that wants more gets fewer pages.
const MAX_DELAY: Duration = Duration::from_secs(10);

/// Remembers what sites want.
#[derive(Clone)]
pub(super) struct Robots {
    egress: Egress,
    known: Cache<String, Arc<Rules>>,
}

/// Whether a page may be fetched.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    Refused(String),
}

impl Robots {
    pub(super) fn new(egress: Egress) -> Self {
        let weight = |site: &String, rules: &Arc<Rules>| u32::try_from(site.len() + rules.size_bytes() + 128).unwrap_or(u32::MAX);
        Self { egress, known: Cache::builder().max_capacity(MAX_TOTAL_BYTES).weigher(weight).time_to_live(LIFETIME).build() }
    }

    /// Whether the site allows the page.
    pub(super) async fn judge(&self, url: &Url) -> Verdict {
        match self.rules(url).await {
            Ok(rules) if rules.allow(url) => Verdict::Allowed,
            Ok(_) => Verdict::Refused("the site's robots.txt asks robots to stay away from this page".into()),
            Err(reason) => Verdict::Refused(reason.to_string()),
        }
    }

    /// How long the site wants robots to wait between two pages.
    pub(super) async fn delay(&self, url: &Url) -> Option<Duration> {
        self.rules(url).await.ok()?.delay().map(|delay| delay.min(MAX_DELAY))
    }

    /// The rules of a site. Trouble is not remembered: it passes.
    async fn rules(&self, url: &Url) -> Result<Arc<Rules>, Arc<String>> {
        let Ok(place) = url.join("/robots.txt") else { return Ok(Arc::default()) };
        let egress = self.egress.clone();
        let key = url.origin().ascii_serialization();
        self.known.try_get_with(key, async move { fetch(&egress, &place).await }).await
    }
}

async fn fetch(egress: &Egress, place: &Url) -> Result<Arc<Rules>, String> {
    let request = Request { timeout: Some(Duration::from_secs(10)), ..Request::get(place.as_str()) };
    match egress.send(request).await {
        Ok(answer) if answer.status.is_success() => {
            let text = String::from_utf8_lossy(&answer.body.bytes[..answer.body.bytes.len().min(MAX_BYTES)]).into_owned();
            let read = tokio::task::spawn_blocking(move || Rules::parse(&text, AGENT)).await;
            read.map(Arc::new).map_err(|_| "the site's robots.txt cannot be read".into())
        }
        // RFC 9309, 2.3.1.4: a server that is in trouble wants no robots for now.
        Ok(answer) if answer.status.is_server_error() && answer.status != StatusCode::NOT_IMPLEMENTED => {
            Err(format!("the site's robots.txt answers {}, which means that robots should stay away for now", answer.status.as_u16()))
        }
        Ok(_) => Ok(Arc::default()),
        // Nothing is there at all: that will show in the page itself, in better words.
        Err(EgressError::Connect { .. } | EgressError::Dns { .. } | EgressError::Tls { .. }) => Ok(Arc::default()),
        Err(error) => Err(format!("the site's robots.txt cannot be had, so that robots should stay away: {error}")),
    }
}

impl fmt::Debug for Robots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Robots").field("sites", &self.known.entry_count()).finish()
    }
}
