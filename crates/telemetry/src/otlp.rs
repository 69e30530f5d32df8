//! Spans, metrics and log lines on their way to a collector of OpenTelemetry: OTLP over HTTP, in Protocol Buffers.
//!
//! Calls never wait for it. What a collector does not take in time is tried again for a while and then lost, and the log says so; what
//! waits is bounded.

mod messages;

use crate::{Family, log};
use messages::Resource;
use prost::Message;
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior},
};
use toolcrib_contract::{CallSpan, Trace, Tracing};
use toolcrib_egress::{Bytes, Config, Egress, HeaderMap, HeaderValue, Method, Request, Setup, Url, header};

/// Spans, and log lines, that wait to be handed over.
const MAX_WAITING: usize = 4096;
/// The most of them in one message.
const MAX_BATCH: usize = 512;
/// How long they wait for others at most.
const LINGER: Duration = Duration::from_secs(1);
/// How long a collector may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often something is tried, and how long is waited before the second time; before each next one, twice as long.
const ATTEMPTS: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// How long the last things may take once we are told to stop.
const FAREWELL: Duration = Duration::from_secs(3);

/// Where to, and what.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The URL of the collector; what follows is `v1/traces`, `v1/metrics`, `v1/logs`.
    pub endpoint: Url,
    /// Headers that go with each message, such as what the collector is to know us by.
    pub headers: HeaderMap,
    /// Whether traces are handed over.
    pub traces: bool,
    /// How often metrics are, if they are.
    pub metrics_every: Option<Duration>,
    /// Whether log lines are.
    pub logs: bool,
    /// Which share of traces that begin here is kept, from 0 to 1. Whether others are has been decided where they began.
    pub sample: f64,
    /// What we are called, and what else is to be known of us.
    pub resource: Vec<(String, String)>,
}

/// What is handed over, as the gate hands it over.
pub struct Spans {
    sender: mpsc::Sender<CallSpan>,
    sample: f64,
}

/// The way to a collector.
pub struct Exporter {
    settings: Settings,
    resource: Resource,
    egress: Egress,
    spans: Option<mpsc::Receiver<CallSpan>>,
    lines: Option<mpsc::Receiver<log::Line>>,
}

/// Reads all metrics.
pub type Read = Arc<dyn Fn() -> Vec<Family> + Send + Sync>;

impl Exporter {
    /// The way to this collector, wherever it is, and what traces are told to.
    ///
    /// # Errors
    /// [`Setup`].
    pub fn new(settings: Settings, egress: &Egress) -> Result<(Self, Option<Arc<dyn Tracing>>), Setup> {
        let egress = egress.also_reaching(&[&settings.endpoint], |config: &mut Config| config.timeout = TIMEOUT)?;
        let (tracing, spans) = if settings.traces {
            let (sender, spans) = mpsc::channel(MAX_WAITING);
            (Some(Arc::new(Spans { sender, sample: settings.sample }) as Arc<dyn Tracing>), Some(spans))
        } else {
            (None, None)
        };
        let lines = settings.logs.then(|| {
            let (sender, lines) = mpsc::channel(MAX_WAITING);
            log::give_to(Some(sender));
            lines
        });
        let resource = messages::resource(&settings.resource);
        Ok((Self { settings, resource, egress, spans, lines }, tracing))
    }

    /// Hands over what there is, until `shutdown` turns true; then the rest.
    pub async fn run(self, read: Read, shutdown: watch::Receiver<bool>) {
        let Self { settings, resource, egress, spans, lines } = self;
        let way = |what: &'static str| Way { what, url: url(&settings.endpoint, what), headers: &settings.headers, egress: &egress };
        let (traces, metrics, logs) = (way("traces"), way("metrics"), way("logs"));
        tokio::join!(
            traces.carry(spans, shutdown.clone(), |batch| messages::traces(&resource, batch).encode_to_vec()),
            logs.carry(lines, shutdown.clone(), |batch| messages::logs(&resource, batch).encode_to_vec()),
            metrics.tell(settings.metrics_every, shutdown, || messages::metrics(&resource, &read()).encode_to_vec()),
        );
        log::give_to(None);
    }
}

async fn raised(flag: &mut watch::Receiver<bool>) {
    // A sender that is gone will not tell any more: that, too, is the end.
    let _ = flag.wait_for(|is_raised| *is_raised).await;
}

fn url(endpoint: &Url, what: &str) -> String {
    format!("{}/v1/{what}", endpoint.as_str().trim_end_matches('/'))
}

/// One of the three.
struct Way<'a> {
    what: &'static str,
    url: String,
    headers: &'a HeaderMap,
    egress: &'a Egress,
}

impl Way<'_> {
    /// Gathers things and hands them over together, as long as there are any.
    async fn carry<T>(&self, things: Option<mpsc::Receiver<T>>, mut shutdown: watch::Receiver<bool>, encode: impl Fn(Vec<T>) -> Vec<u8>) {
        let Some(mut things) = things else { return };
        let mut is_well = true;
        loop {
            let mut batch = Vec::new();
            let is_over = tokio::select! {
                count = things.recv_many(&mut batch, MAX_BATCH) => count == 0,
                () = raised(&mut shutdown) => true,
            };
            let deadline = Instant::now() + LINGER;
            while !is_over && batch.len() < MAX_BATCH {
                let room = MAX_BATCH - batch.len();
                tokio::select! {
                    count = things.recv_many(&mut batch, room) => if count == 0 { break },
                    () = tokio::time::sleep_until(deadline) => break,
                    () = raised(&mut shutdown) => break,
                }
            }
            if is_over {
                things.close();
                while let Ok(thing) = things.try_recv() {
                    batch.push(thing);
                }
                if !batch.is_empty() {
                    // Whoever waits for us to end does not wait for a collector that is away.
                    let _ = tokio::time::timeout(FAREWELL, self.hand_over(encode(batch), &mut is_well)).await;
                }
                return;
            }
            self.hand_over_until(&mut shutdown, encode(batch), &mut is_well).await;
        }
    }

    /// The same, without hurry until the end begins, and then for a little while.
    async fn hand_over_until(&self, shutdown: &mut watch::Receiver<bool>, message: Vec<u8>, is_well: &mut bool) {
        let mut handing = std::pin::pin!(self.hand_over(message, is_well));
        tokio::select! {
            () = &mut handing => return,
            () = raised(shutdown) => {}
        }
        let _ = tokio::time::timeout(FAREWELL, handing).await;
    }

    /// Tells what is so from time to time, and a last time at the end.
    async fn tell(&self, every: Option<Duration>, mut shutdown: watch::Receiver<bool>, encode: impl Fn() -> Vec<u8>) {
        let Some(every) = every else { return };
        let mut turn = tokio::time::interval(every);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // There is nothing to tell yet.
        turn.tick().await;
        let mut is_well = true;
        loop {
            tokio::select! {
                _ = turn.tick() => self.hand_over_until(&mut shutdown.clone(), encode(), &mut is_well).await,
                () = raised(&mut shutdown) => break,
            }
        }
        let _ = tokio::time::timeout(FAREWELL, self.hand_over(encode(), &mut is_well)).await;
    }

    /// Hands one message over, however often that has to be tried. That it does not work is told once, until it does.
    async fn hand_over(&self, message: Vec<u8>, is_well: &mut bool) {
        let message = Bytes::from(message);
        let mut wait = FIRST_WAIT;
        for attempt in 1..=ATTEMPTS {
            match self.post(message.clone()).await {
                Ok(()) => {
                    if !std::mem::replace(is_well, true) {
                        tracing::info!("the collector takes {} again", self.what);
                    }
                    return;
                }
                Err(Lost { reason, may_help }) if !may_help || attempt == ATTEMPTS => {
                    if std::mem::replace(is_well, false) {
                        tracing::warn!(url = %self.url, "{} are lost, since the collector does not take them: {reason}", self.what);
                    }
                    return;
                }
                Err(_) => tokio::time::sleep(wait).await,
            }
            wait *= 2;
        }
    }

    async fn post(&self, message: Bytes) -> Result<(), Lost> {
        let mut request = Request::get(self.url.clone()).header(header::CONTENT_TYPE, "application/x-protobuf");
        (request.method, request.body, request.follows_redirects) = (Method::POST, Some(message), false);
        request.secrets = self.headers.clone();
        let answer = self.egress.send(request).await.map_err(|error| Lost { reason: error.to_string(), may_help: true })?;
        let status = answer.status;
        if status.is_success() {
            return Ok(());
        }
        // These may be tried again (OTLP, "OTLP/HTTP Response").
        let may_help = matches!(status.as_u16(), 429 | 502 | 503 | 504);
        Err(Lost { reason: format!("the answer was {status}"), may_help })
    }
}

/// Why a message was not taken, and whether trying again may help.
struct Lost {
    reason: String,
    may_help: bool,
}

impl Tracing for Spans {
    fn begin(&self, parent: Option<&Trace>) -> Trace {
        let (id, is_sampled, state) = match parent {
            Some(parent) => (parent.id, parent.is_sampled, parent.state.clone()),
            None => (fastrand::u128(1..).to_be_bytes(), fastrand::f64() < self.sample, None),
        };
        Trace { id, span: fastrand::u64(1..).to_be_bytes(), is_sampled, state }
    }

    fn ended(&self, call: CallSpan) {
        // A call is not held up by a collector that is.
        let _ = self.sender.try_send(call);
    }
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spans").finish_non_exhaustive()
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("endpoint", &self.settings.endpoint.as_str()).finish_non_exhaustive()
    }
}

/// A value of a variable of OpenTelemetry: percent-encoded, or not.
#[must_use]
pub fn decoded(value: &str) -> String {
    percent_encoding::percent_decode_str(value.trim()).decode_utf8_lossy().into_owned()
}

/// The headers of a text as `OTEL_EXPORTER_OTLP_HEADERS` has it: `name=value,name=value`, values percent-encoded or not.
#[must_use]
pub fn headers(text: &str) -> HeaderMap {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .filter_map(|(name, value)| {
            let name = header::HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            let mut value = HeaderValue::from_str(&decoded(value)).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        })
        .collect()
}
