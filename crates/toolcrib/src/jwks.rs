//! The key set of an issuer, fetched and kept fresh (RFC 7517; RFC 8725, section 3.10).
//!
//! A key that is not known yet makes us ask once more, but not for every token: many unknown names are one question, and
//! then there is a pause. While the issuer cannot be reached its last keys stay good for a day.

use arc_swap::ArcSwapOption;
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};
use toolcrib_contract::BoxFuture;
use toolcrib_egress::{Config, Egress, Request, Setup, Url};
use toolcrib_gate::{KeySet, KeySource};

/// The largest set.
const MAX_BYTES: usize = 64 * 1024;
/// How long one fetch may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How soon after one question the next may be asked: with keys, and without any.
const PAUSE: Duration = Duration::from_secs(30);
const PAUSE_WITHOUT_KEYS: Duration = Duration::from_secs(2);
/// How often keys are fetched anew without being asked for, so that one that was withdrawn is forgotten.
const REFRESH: Duration = Duration::from_secs(5 * 60);
/// How long the last keys are good while there are no newer ones to be had.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// A key set that is somewhere else.
#[derive(Debug)]
pub(crate) struct Jwks {
    place: Place,
    fetched: ArcSwapOption<Fetched>,
    /// Asks whoever keeps the set fresh to do so now.
    wanted: Notify,
    asking: watch::Sender<Asking>,
}

/// How far the last question has come.
#[derive(Debug, Clone, Copy, Default)]
struct Asking {
    /// When it was asked.
    at: Option<Instant>,
    /// Whether its answer is still to come.
    is_open: bool,
    /// How many were answered.
    answers: u64,
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    Url(Url, Egress),
}

#[derive(Debug)]
struct Fetched {
    keys: Arc<KeySet>,
    at: Instant,
}

impl Jwks {
    /// The set in a file.
    pub(crate) fn file(path: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            place: Place::File(path),
            fetched: ArcSwapOption::empty(),
            wanted: Notify::new(),
            asking: watch::Sender::default(),
        })
    }

    /// The set at a URL that the operator has chosen, wherever that is.
    pub(crate) fn url(url: Url, egress: &Egress) -> Result<Arc<Self>, Setup> {
        let bound = |config: &mut Config| {
            (config.timeout, config.max_body_bytes, config.max_wire_bytes) = (TIMEOUT, MAX_BYTES, MAX_BYTES);
        };
        let egress = egress.also_reaching(&[&url], bound)?;
        Ok(Arc::new(Self {
            place: Place::Url(url, egress),
            fetched: ArcSwapOption::empty(),
            wanted: Notify::new(),
            asking: watch::Sender::default(),
        }))
    }

    /// Keeps the set fresh for as long as this is polled: now and then, and when somebody wants newer keys, but not more often
    /// than the pause allows.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        loop {
            let asked = Instant::now();
            self.asking.send_modify(|asking| (asking.at, asking.is_open) = (Some(asked), true));
            self.fetch().await;
            self.asking.send_modify(|asking| (asking.is_open, asking.answers) = (false, asking.answers + 1));
            let wanted = async {
                self.wanted.notified().await;
                tokio::time::sleep_until((asked + self.pause()).into()).await;
            };
            tokio::select! {
                () = wanted => {}
                () = tokio::time::sleep(REFRESH) => {}
            }
        }
    }

    fn pause(&self) -> Duration {
        if self.fetched.load().is_some() { PAUSE } else { PAUSE_WITHOUT_KEYS }
    }

    /// Says how many keys there are now, or why there are none.
    pub(crate) async fn examine(&self) -> Result<usize, String> {
        self.read().await.map(|keys| keys.len())
    }

    async fn fetch(&self) {
        match self.read().await {
            Ok(keys) => self.fetched.store(Some(Arc::new(Fetched { keys: Arc::new(keys), at: Instant::now() }))),
            Err(reason) => tracing::warn!(from = %self.place, "the keys of an issuer cannot be had: {reason}"),
        }
    }

    async fn read(&self) -> Result<KeySet, String> {
        let text = match &self.place {
            Place::File(path) => {
                let bytes = tokio::fs::read(path).await.map_err(|error| error.to_string())?;
                if bytes.len() > MAX_BYTES {
                    return Err(format!("the file is larger than {MAX_BYTES} bytes"));
                }
                bytes
            }
            Place::Url(url, egress) => {
                let fetched = egress.send(Request::get(url.as_str())).await.map_err(|error| error.to_string())?;
                if !fetched.status.is_success() {
                    return Err(format!("the answer was {}", fetched.status));
                }
                if fetched.body.is_cut {
                    return Err(format!("the answer is larger than {MAX_BYTES} bytes"));
                }
                fetched.body.bytes.to_vec()
            }
        };
        KeySet::parse(&text).map_err(|fault| fault.to_string())
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            // What stands before the host may be a password.
            Self::Url(url, _) => write!(f, "{}{}", url.origin().ascii_serialization(), url.path()),
        }
    }
}

impl KeySource for Jwks {
    fn current(&self) -> Option<Arc<KeySet>> {
        let fetched = self.fetched.load_full()?;
        (fetched.at.elapsed() < STALE).then(|| Arc::clone(&fetched.keys))
    }

    fn renew(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let mut asking = self.asking.subscribe();
            let Asking { at, is_open, answers } = *asking.borrow();
            // Soon after a question there is no other: the keys are what they are.
            if !is_open && at.is_some_and(|at| at.elapsed() < self.pause()) {
                return;
            }
            if !is_open {
                self.wanted.notify_one();
            }
            // The task that keeps the set fresh asks, so that nobody who leaves breaks that off.
            let answered = asking.wait_for(|asking| asking.answers > answers);
            let _ = tokio::time::timeout(TIMEOUT, answered).await;
        })
    }
}
