//! The replicas that are one server, by what they share: Valkey, or Redis.
//!
//! Each says every moment that it is there, and learns who else is. What lives in one of them has a name that begins with that of its
//! process ([`Home`]); what has to outlive it is kept here: what its sessions agreed on, and how much callers have used of their limits.
//! What is done at once, by several of them, is one script. Everything has an end: whatever is not renewed goes by itself.

use crate::{
    StoreError,
    secret::{SharedKey, hex},
    times::millis,
};
use arc_swap::ArcSwap;
use redis::{
    Client, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisFuture, RedisResult, Script, ScriptInvocation, TlsCertificates,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig},
    cluster::{ClusterClient, ClusterConfig},
    cluster_async::ClusterConnection,
};
use ring::{digest, hmac};
use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{
        Arc, LazyLock, OnceLock, Weak,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::watch;
use toolcrib_contract::{BoxFuture, Counted, Counter, CountsAway, Home, Known, SharedCounts};

/// How often each says that it is there.
const BEAT: Duration = Duration::from_millis(1500);
/// After how long without a word it is taken to be gone.
const GONE: Duration = Duration::from_secs(6);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(1);
/// How long after a failure nobody tries again: whoever asks meanwhile is told at once.
const PAUSE: Duration = Duration::from_millis(500);
/// How many sessions are renewed at once.
const MAX_RENEWED: usize = 500;
/// For how long another process may pass on a request in the name of an address.
const VOUCHED: Duration = Duration::from_secs(60);

/// KEYS: who is there, and when each was heard last. ARGV: our name, where we are, how long a silence may be, whether we were there before.
static PRESENT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[3])) do
            redis.call('ZREM', KEYS[2], gone)
            redis.call('HDEL', KEYS[1], gone)
        end
        local was_missed = ARGV[4] == '1' and not redis.call('ZSCORE', KEYS[2], ARGV[1])
        redis.call('ZADD', KEYS[2], now, ARGV[1])
        redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
        return {was_missed and 1 or 0, redis.call('HGETALL', KEYS[1])}",
    )
});

/// KEYS: a session, and when each process was heard last. ARGV: our name, and that of a process that is gone. Gives where the session lives
/// now, and what it is if it is ours. Where not even we are known, everything was forgotten.
static ADOPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local home = redis.call('HGET', KEYS[1], 'home')
        if not home then return {redis.call('ZSCORE', KEYS[2], ARGV[1]) and '' or '?', ''} end
        if home ~= ARGV[1] and home ~= ARGV[2] then return {home, ''} end
        redis.call('HSET', KEYS[1], 'home', ARGV[1])
        return {ARGV[1], redis.call('HGET', KEYS[1], 'state')}",
    )
});

/// KEYS: a session. ARGV: our name, what it is, for how many milliseconds. Whoever else has it by now keeps it.
static KEEP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local home = redis.call('HGET', KEYS[1], 'home')
        if home and home ~= ARGV[1] then return 0 end
        redis.call('HSET', KEYS[1], 'home', ARGV[1], 'state', ARGV[2])
        redis.call('PEXPIRE', KEYS[1], ARGV[3])
        return 1",
    )
});

/// KEYS: sessions. ARGV: our name, and for each session for how many milliseconds it is kept on. Gives for each 1 where it is ours, 2 where
/// it is somebody else's by now, 0 where nobody knows it.
static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local told = {}
        for i, key in ipairs(KEYS) do
            local home = redis.call('HGET', key, 'home')
            if not home then told[i] = 0
            elseif home ~= ARGV[1] then told[i] = 2
            else
                redis.call('PEXPIRE', key, ARGV[i + 1])
                told[i] = 1
            end
        end
        return told",
    )
});

/// KEYS: counters. ARGV: for each the limit, the seconds of its window, and the least that it has counted in the window of which number.
/// Gives 0, and for each the number of its window and what it says; or which one is full, and for how many seconds.
static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local now = tonumber(redis.call('TIME')[1])
        local counts = {}
        for i, key in ipairs(KEYS) do
            local limit, window, least, of = tonumber(ARGV[4 * i - 3]), tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i])
            local number = math.floor(now / window)
            local kept = redis.call('HMGET', key, 'window', 'calls')
            local calls = 0
            if tonumber(kept[1]) == number then calls = tonumber(kept[2]) end
            if of == number then calls = math.max(calls, least) end
            if calls >= limit then return {i, (number + 1) * window - now} end
            counts[i] = {number, calls + 1, window}
        end
        local told = {0}
        for i, key in ipairs(KEYS) do
            redis.call('HSET', key, 'window', counts[i][1], 'calls', counts[i][2])
            redis.call('EXPIRE', key, counts[i][3] * 2)
            told[2 * i] = counts[i][1]
            told[2 * i + 1] = counts[i][2]
        end
        return told",
    )
});

/// Where Valkey is.
#[derive(Clone)]
pub struct SharedAt {
    /// `redis://` or `rediss://`, with user and password. Never shown. Of a cluster some of its nodes: the others are learnt from them.
    pub urls: Vec<String>,
    /// Whether it is a cluster.
    pub is_cluster: bool,
    /// Certificates (PEM) that are trusted in place of the system's.
    pub roots: Option<Vec<u8>>,
}

/// The replicas, as one of them knows them.
pub struct Replicas {
    name: Box<str>,
    /// Where the others reach us, once we say so.
    url: OnceLock<String>,
    place: String,
    connection: Connection,
    present: ArcSwap<HashMap<Box<str>, Present>>,
    between: hmac::Key,
    /// Milliseconds since we began until which nobody tries again.
    pause_until: AtomicI64,
    missed: watch::Sender<u64>,
    is_closing: AtomicBool,
    has_left: AtomicBool,
    began: Instant,
    /// Milliseconds since we began until which who is not mentioned may be there all the same.
    doubt_until: AtomicI64,
}

/// A process that is there.
#[derive(Debug, Clone)]
struct Present {
    url: Arc<str>,
    /// Whether it has shut its door: what was asked of it is still answered, and everything else is for others.
    is_closing: bool,
}

/// How a process that has shut its door says so.
const CLOSING: &str = "closing ";

/// Where something lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// In this process.
    Here,
    /// In another one, at this URL.
    There(Arc<str>),
    /// In one that is there no more.
    Gone,
}

/// Whose a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Ours, as far as is known.
    Ours,
    /// Another process's by now.
    Theirs,
    /// Nobody knows of it: what knew it has lost its memory.
    Unknown,
}

impl Standing {
    fn of(told: u8) -> Self {
        match told {
            0 => Self::Unknown,
            2 => Self::Theirs,
            _ => Self::Ours,
        }
    }
}

/// What became of a session whose process is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adoption {
    /// It is ours now: this is what it is.
    Ours(String),
    /// It lives elsewhere, at this URL.
    There(Arc<str>),
    /// There is none.
    None,
    /// Nobody can say at the moment.
    Unknown,
}

impl Replicas {
    /// Shares what the others share. Where the server `may_be_away`, that it is so is only said.
    ///
    /// # Errors
    /// [`StoreError`]: also where the server cannot be reached.
    pub async fn join(at: &SharedAt, key: &SharedKey, may_be_away: bool) -> Result<Arc<Self>, StoreError> {
        let place = at.place();
        let failed = |error: RedisError| StoreError::Database { place: place.clone(), reason: reason(&error) };
        // Only the first is taken; whichever is there does.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let connection = Connection::to(at).map_err(failed)?;
        let mut name = [0_u8; 5];
        getrandom::fill(&mut name).expect("the operating system provides random numbers");
        let replicas = Arc::new(Self {
            name: hex(&name).into(),
            url: OnceLock::new(),
            place: place.clone(),
            connection,
            present: ArcSwap::default(),
            between: key.master().between,
            pause_until: AtomicI64::new(0),
            missed: watch::Sender::new(0),
            is_closing: AtomicBool::new(false),
            has_left: AtomicBool::new(false),
            began: Instant::now(),
            doubt_until: AtomicI64::new(0),
        });
        match redis::cmd("PING").query_async::<()>(&mut replicas.connection.clone()).await {
            Err(error) if may_be_away => tracing::error!(place, reason = reason(&error), "what replicas share cannot be reached"),
            answered => answered.map_err(failed)?,
        }
        Ok(replicas)
    }

    /// Says to the others where they reach us, and goes on to say so for as long as we are.
    pub async fn announce(self: &Arc<Self>, url: String) {
        if self.url.set(url).is_ok() {
            let is_heard = self.be_present(false).await.is_ok();
            tokio::spawn(stay(Arc::downgrade(self), is_heard));
        }
    }

    /// This process, by which what lives in it is named.
    #[must_use]
    pub fn home(&self) -> Home {
        Home::named(&self.name)
    }

    /// What this process is called.
    #[must_use]
    pub fn process(&self) -> &str {
        &self.name
    }

    /// Where what has this name lives. What names no process lives here, or nowhere.
    #[must_use]
    pub fn whereabouts(&self, name: &str) -> Whereabouts {
        match Home::of(name) {
            Some(process) if process != &*self.name => self.of_process(process),
            _ => Whereabouts::Here,
        }
    }

    fn of_process(&self, process: &str) -> Whereabouts {
        match self.present.load().get(process) {
            Some(present) if !present.is_closing => Whereabouts::There(Arc::clone(&present.url)),
            _ => Whereabouts::Gone,
        }
    }

    /// Whether the process at this URL is there, with its door open or shut.
    #[must_use]
    pub fn is_there(&self, url: &str) -> bool {
        self.present.load().values().any(|present| &*present.url == url)
    }

    /// How many replicas there are, this one among them.
    #[must_use]
    pub fn together(&self) -> usize {
        self.present.load().values().filter(|present| !present.is_closing).count()
    }

    /// Changes whenever the others have had to do without us for a while, and may have taken over what was ours.
    #[must_use]
    pub fn missed(&self) -> watch::Receiver<u64> {
        self.missed.subscribe()
    }

    /// Keeps what a session is, for as long as it may be silent, unless somebody else has it by now.
    pub async fn keep_session(&self, id: &str, state: &str, idle: Duration) {
        let mut keep = KEEP.key(session_key(id));
        keep.arg(&*self.name).arg(self.sealed(id, state)).arg(millis_of(idle));
        match self.ask::<bool>(&keep).await {
            Ok(_) => {}
            Err(error) => tracing::warn!(reason = reason(&error), place = self.place, "a session will not outlive this process"),
        }
    }

    /// Sessions that may be silent for so much longer are kept on. Says of each whose it is now.
    pub async fn renew_sessions(&self, sessions: &[(Box<str>, Duration)]) -> Vec<Standing> {
        let mut standings = Vec::with_capacity(sessions.len());
        for some in sessions.chunks(MAX_RENEWED) {
            let mut renew = RENEW.arg(&*self.name);
            for (id, idle) in some {
                renew.key(session_key(id)).arg(millis_of(*idle));
            }
            match self.ask::<Vec<u8>>(&renew).await {
                Ok(told) if told.len() == some.len() => standings.extend(told.into_iter().map(Standing::of)),
                // What nobody says stays as it is.
                Ok(_) => standings.resize(standings.len() + some.len(), Standing::Ours),
                Err(error) => {
                    tracing::warn!(reason = reason(&error), place = self.place, "sessions may be forgotten before their time");
                    standings.resize(standings.len() + some.len(), Standing::Ours);
                }
            }
        }
        standings
    }

    /// Forgets a session that has ended.
    pub async fn forget_session(&self, id: &str) {
        let mut forget = redis::cmd("UNLINK");
        forget.arg(session_key(id));
        self.try_to(async { forget.query_async::<()>(&mut self.connection.clone()).await }, "a session that has ended is still known")
            .await;
    }

    /// Takes over a session whose process is gone. One that lives in a process that is there stays where it is.
    pub async fn adopt_session(&self, id: &str) -> Adoption {
        let mut dead = Home::of(id).filter(|process| self.of_process(process) == Whereabouts::Gone).unwrap_or_default().to_owned();
        // Whoever had it last may be gone as well.
        for _ in 0..3 {
            let mut adopt = ADOPT.key(session_key(id));
            let asked: RedisResult<(String, String)> = self.ask(adopt.key(HEARD).arg(&*self.name).arg(&dead)).await;
            match asked {
                Ok((home, _)) if home == "?" || (home.is_empty() && self.is_in_doubt()) => return Adoption::Unknown,
                Ok((home, _)) if home.is_empty() => return Adoption::None,
                Ok((home, sealed)) if home == *self.name => {
                    return self.opened(id, &sealed).map_or(Adoption::None, |state| Adoption::Ours(state.to_owned()));
                }
                Ok((home, _)) => match self.of_process(&home) {
                    Whereabouts::There(url) => return Adoption::There(url),
                    _ => dead = home,
                },
                Err(error) => {
                    tracing::warn!(reason = reason(&error), "a session of another replica cannot be taken over");
                    return Adoption::Unknown;
                }
            }
        }
        Adoption::Unknown
    }

    /// What is written where others can write, too: only what one of us wrote is believed.
    fn sealed(&self, about: &str, text: &str) -> String {
        let tag = hmac::sign(&self.between, format!("{about}\0{text}").as_bytes());
        format!("{};{text}", hex(tag.as_ref()))
    }

    fn opened<'a>(&self, about: &str, sealed: &'a str) -> Option<&'a str> {
        let (tag, text) = sealed.split_once(';')?;
        hmac::verify(&self.between, format!("{about}\0{text}").as_bytes(), &crate::secret::from_hex(tag)?).ok()?;
        Some(text)
    }

    /// Says for whom a request is passed on to another replica, and how often it has been with that.
    #[must_use]
    pub fn vouch_for(&self, address: Option<IpAddr>, times: u8) -> String {
        let address = address.map(|address| address.to_string()).unwrap_or_default();
        let until = millis(SystemTime::now() + VOUCHED);
        let said = format!("{address};{until};{times}");
        let tag = hmac::sign(&self.between, said.as_bytes());
        format!("{said};{}", hex(tag.as_ref()))
    }

    /// For whom a request was passed on by another replica, and how often: nobody else can say so.
    #[must_use]
    pub fn vouched(&self, text: &str) -> Option<(Option<IpAddr>, u8)> {
        let (said, tag) = text.rsplit_once(';')?;
        hmac::verify(&self.between, said.as_bytes(), &crate::secret::from_hex(tag)?).ok()?;
        let mut parts = said.split(';');
        let (address, until, times) = (parts.next()?, parts.next()?.parse::<i64>().ok()?, parts.next()?.parse().ok()?);
        if until < millis(SystemTime::now()) {
            return None;
        }
        let address = if address.is_empty() { None } else { Some(address.parse().ok()?) };
        Some((address, times))
    }

    /// Says that our door is shut: what is ours may be taken over, but for what was asked of us before.
    pub async fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
        self.try_to(self.be_present(true), "the others will learn only later that our door is shut").await;
    }

    /// Says that we are there no more.
    pub async fn leave(&self) {
        self.has_left.store(true, Ordering::Relaxed);
        let mut pipe = redis::pipe();
        pipe.cmd("ZREM").arg(HEARD).arg(&*self.name).ignore().cmd("HDEL").arg(PROCESSES).arg(&*self.name).ignore();
        self.try_to(async { pipe.query_async::<()>(&mut self.connection.clone()).await }, "the others will miss us only after a while")
            .await;
    }

    /// Says that we are there, and learns who else is.
    async fn be_present(&self, was_present: bool) -> RedisResult<()> {
        let Some(url) = self.url.get().filter(|_| !self.has_left.load(Ordering::Relaxed)) else { return Ok(()) };
        let url = format!("{}{url}", if self.is_closing.load(Ordering::Relaxed) { CLOSING } else { "" });
        let url = self.sealed(&self.name, &url);
        let mut present = PRESENT.key(PROCESSES);
        present.key(HEARD).arg(&*self.name).arg(url).arg(millis_of(GONE)).arg(i32::from(was_present));
        let (was_missed, others): (bool, HashMap<String, String>) = self.ask(&present).await?;
        let believed = others.into_iter().filter_map(|(name, sealed)| {
            let said = self.opened(&name, &sealed)?;
            let url = said.strip_prefix(CLOSING);
            Some((name.into(), Present { url: url.unwrap_or(said).into(), is_closing: url.is_some() }))
        });
        let mut present: HashMap<Box<str>, Present> = believed.collect();
        let now = self.millis();
        if was_missed {
            // So may all others have been, which have yet to say that they are there.
            self.doubt_until.store(now + millis_of(2 * BEAT), Ordering::Relaxed);
            self.missed.send_modify(|times| *times += 1);
        }
        if self.is_in_doubt() {
            for (name, other) in self.present.load().iter().filter(|(name, _)| !present.contains_key(*name)).collect::<Vec<_>>() {
                present.insert(name.clone(), other.clone());
            }
        }
        self.present.store(Arc::new(present));
        Ok(())
    }

    /// Whether what we share has forgotten something lately, of which not everybody may have told it anew.
    fn is_in_doubt(&self) -> bool {
        self.millis() < self.doubt_until.load(Ordering::Relaxed)
    }

    /// Milliseconds since we began.
    fn millis(&self) -> i64 {
        millis_of(self.began.elapsed())
    }

    async fn ask<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> RedisResult<T> {
        let now = self.millis();
        if self.pause_until.load(Ordering::Relaxed) > now {
            return Err((ErrorKind::Io, "it did not answer a moment ago").into());
        }
        let mut answer = script.invoke_async(&mut self.connection.clone()).await;
        // It was started anew since it was asked last. What it has done already it does once more: nobody gets more by that.
        if answer.as_ref().is_err_and(|error: &RedisError| error.is_connection_dropped() || error.is_io_error() && !error.is_timeout()) {
            answer = script.invoke_async(&mut self.connection.clone()).await;
        }
        // Of a cluster one node may be away, which is no reason not to ask the others.
        let is_one = matches!(self.connection, Connection::One(_));
        if is_one && answer.as_ref().is_err_and(|error| error.is_unrecoverable_error() || error.is_timeout()) {
            self.pause_until.store(now + millis_of(PAUSE), Ordering::Relaxed);
        }
        answer
    }

    async fn try_to(&self, done: impl Future<Output = RedisResult<()>>, otherwise: &str) {
        if let Err(error) = done.await {
            tracing::warn!(reason = reason(&error), place = self.place, "{otherwise}");
        }
    }
}

impl SharedCounts for Replicas {
    fn count<'a>(&'a self, whose: &'a str, counters: &'a [Counter]) -> BoxFuture<'a, Result<Counted, CountsAway>> {
        Box::pin(async move {
            let mut count = COUNT.prepare_invoke();
            for Counter { what, limit, window, known } in counters {
                let known = known.unwrap_or(Known { window: 0, calls: 0 });
                count.key(counter_key(whose, what)).arg(limit).arg(window.as_secs()).arg(known.calls).arg(known.window);
            }
            let told: Vec<u64> = self.ask(&count).await.map_err(|error| CountsAway(reason(&error)))?;
            match told.split_first() {
                Some((0, counts)) if counts.len() == 2 * counters.len() => {
                    Ok(Counted::All(counts.chunks(2).map(|of| Known { window: of[0], calls: of[1] }).collect()))
                }
                Some((full, [ends_in])) if *full > 0 => {
                    Ok(Counted::Full { counter: *full as usize - 1, ends_in: Duration::from_secs(*ends_in) })
                }
                _ => Err(CountsAway("it answered something else".into())),
            }
        })
    }
}

/// A connection, which is made when it is needed and made anew when it is lost.
#[derive(Clone)]
enum Connection {
    One(ConnectionManager),
    Cluster(ClusterConnection),
}

impl Connection {
    fn to(at: &SharedAt) -> RedisResult<Self> {
        let certificates = at.roots.clone().map(|roots| TlsCertificates { client_tls: None, root_cert: Some(roots) });
        if at.is_cluster {
            let nodes = ClusterClient::builder(at.urls.iter().map(String::as_str)).retries(1).max_retry_wait(200);
            let nodes = if let Some(certificates) = certificates { nodes.certs(certificates) } else { nodes };
            let config = ClusterConfig::new().set_connection_timeout(ANSWER).set_response_timeout(ANSWER);
            return Ok(Self::Cluster(nodes.build()?.get_pending_async_connection_with_config(config)));
        }
        let url = at.urls.first().map(String::as_str).unwrap_or_default();
        let client = certificates.map_or_else(|| Client::open(url), |certificates| Client::build_with_tls(url, certificates))?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(ANSWER))
            .set_response_timeout(Some(ANSWER))
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(200));
        ConnectionManager::new_lazy_with_config(client, config).map(Self::One)
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, redis::Value> {
        match self {
            Self::One(one) => one.req_packed_command(command),
            Self::Cluster(cluster) => cluster.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(&'a mut self, pipeline: &'a Pipeline, offset: usize, count: usize) -> RedisFuture<'a, Vec<redis::Value>> {
        match self {
            Self::One(one) => one.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(one) => one.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}

/// Says that we are there for as long as we are.
async fn stay(replicas: Weak<Replicas>, mut is_heard: bool) {
    // Until we were there once nobody can have missed us.
    let mut was_present = is_heard;
    loop {
        tokio::time::sleep(BEAT).await;
        let Some(replicas) = replicas.upgrade() else { return };
        let heard = replicas.be_present(was_present).await;
        was_present |= heard.is_ok();
        match heard {
            Ok(()) if !is_heard => {
                is_heard = true;
                tracing::info!(place = replicas.place, "what replicas share is there again");
            }
            Ok(()) => {}
            Err(error) => {
                if std::mem::take(&mut is_heard) {
                    tracing::error!(place = replicas.place, reason = reason(&error), "what replicas share cannot be reached");
                }
            }
        }
    }
}

const PROCESSES: &str = "{toolcrib}:processes";
const HEARD: &str = "{toolcrib}:heard";

/// All sessions are in one place, with those who have them.
fn session_key(id: &str) -> String {
    format!("{{toolcrib}}:session:{}", digest_of(id))
}

/// All counters of one caller are in one place, wherever that is.
fn counter_key(whose: &str, what: &str) -> String {
    format!("{{toolcrib:count:{}}}:{}", digest_of(whose), digest_of(what))
}

/// Names of callers and sessions are nobody's business there.
fn digest_of(text: &str) -> String {
    hex(&digest::digest(&digest::SHA256, text.as_bytes()).as_ref()[..16])
}

fn millis_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl SharedAt {
    /// Where it is, without who logs in.
    fn place(&self) -> String {
        let place = |url: &String| {
            let (scheme, rest) = url.split_once("://").unwrap_or(("redis", ""));
            format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, place)| place))
        };
        self.urls.iter().map(place).collect::<Vec<_>>().join(", ")
    }
}

fn reason(error: &RedisError) -> String {
    if error.is_timeout() { format!("no answer within {} s", ANSWER.as_secs()) } else { error.to_string() }
}

impl fmt::Debug for SharedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

impl fmt::Debug for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replicas").field("name", &self.name).field("place", &self.place).finish_non_exhaustive()
    }
}
