//! What a site wants of robots (RFC 9309), and how fast.

use moka::future::Cache;
use std::{fmt, sync::Arc, time::Duration};
use texting_robots::Robot;
use toolcrib_egress::{Egress, EgressError, Request, StatusCode, Url};

/// The name by which sites can speak of us.
const AGENT: &str = "toolcrib";
/// RFC 9309 wants at least this much to be read.
const MAX_BYTES: usize = 500 << 10;
/// How long an answer counts.
const LIFETIME: Duration = Duration::from_secs(3600);
/// The longest wait between two pages that we keep; a site that wants more gets fewer pages.
const MAX_DELAY: Duration = Duration::from_secs(10);

/// Remembers what sites want.
#[derive(Clone)]
pub(super) struct Robots {
    egress: Egress,
    known: Cache<String, Rules>,
}

/// What one site wants.
#[derive(Clone)]
enum Rules {
    Anything,
    Nothing(Arc<str>),
    These(Arc<Robot>),
}

/// Whether a page may be fetched.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    Refused(String),
}

impl Robots {
    pub(super) fn new(egress: Egress) -> Self {
        Self { egress, known: Cache::builder().max_capacity(1000).time_to_live(LIFETIME).build() }
    }

    /// Whether the site allows the page.
    pub(super) async fn judge(&self, url: &Url) -> Verdict {
        match self.rules(url).await {
            Rules::Anything => Verdict::Allowed,
            Rules::Nothing(reason) => Verdict::Refused(reason.to_string()),
            Rules::These(robot) if robot.allowed(url.as_str()) => Verdict::Allowed,
            Rules::These(_) => Verdict::Refused("the site's robots.txt asks robots to stay away from this page".into()),
        }
    }

    /// How long the site wants robots to wait between two pages.
    pub(super) async fn delay(&self, url: &Url) -> Option<Duration> {
        match self.rules(url).await {
            Rules::These(robot) => robot.delay.and_then(|delay| Duration::try_from_secs_f32(delay).ok()).map(|delay| delay.min(MAX_DELAY)),
            _ => None,
        }
    }

    async fn rules(&self, url: &Url) -> Rules {
        let Ok(place) = url.join("/robots.txt") else { return Rules::Anything };
        let egress = self.egress.clone();
        let key = url.origin().ascii_serialization();
        self.known.get_with(key, async move { fetch(&egress, &place).await }).await
    }
}

async fn fetch(egress: &Egress, place: &Url) -> Rules {
    let request = Request { timeout: Some(Duration::from_secs(10)), ..Request::get(place.as_str()) };
    match egress.send(request).await {
        Ok(answer) if answer.status.is_success() => {
            let text = &answer.body.bytes[..answer.body.bytes.len().min(MAX_BYTES)];
            Robot::new(AGENT, text).map_or(Rules::Anything, |robot| Rules::These(Arc::new(robot)))
        }
        // RFC 9309, 2.3.1.4: a server that is in trouble wants no robots for now.
        Ok(answer) if answer.status.is_server_error() && answer.status != StatusCode::NOT_IMPLEMENTED => Rules::Nothing(
            format!("the site's robots.txt answers {}, which means that robots should stay away for now", answer.status.as_u16()).into(),
        ),
        Ok(_) => Rules::Anything,
        // A redirect that leads where nothing may be fetched is no leave to fetch.
        Err(error @ (EgressError::RefusedRedirect { .. } | EgressError::TooManyRedirects(_))) => {
            Rules::Nothing(format!("the site's robots.txt: {error}").into())
        }
        // Whatever is wrong with the host will show in the page itself.
        Err(_) => Rules::Anything,
    }
}

impl fmt::Debug for Robots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Robots").field("sites", &self.known.entry_count()).finish()
    }
}
