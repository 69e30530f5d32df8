//! Where browsers come back to after somebody signed in elsewhere: our own door where browsers can reach it safely, else a port of
//! this machine that is open for as long as a login may take.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::Instant};
use toolcrib_contract::{BoxFuture, Callback};
use toolcrib_edge::http::{CALLBACK_PATH, serve_callback};
use toolcrib_egress::Url;
use toolcrib_oauth::{Landing, is_private};

/// How long a port stays open after a login has begun.
const OPEN_FOR: Duration = Duration::from_secs(10 * 60);

/// The places for browsers to come back to.
#[derive(Debug)]
pub(crate) struct Landings {
    /// Our own door, as browsers see it, if they can reach it safely.
    door: OnceLock<Option<String>>,
    /// The ports that are open: those that were asked for, and the one for whoever asks for none.
    opened: Mutex<HashMap<Option<u16>, Opened>>,
    shutdown: watch::Receiver<bool>,
}

#[derive(Debug)]
struct Opened {
    uri: String,
    until: watch::Sender<Instant>,
    serving: JoinHandle<()>,
}

impl Landings {
    pub(crate) fn new(shutdown: watch::Receiver<bool>) -> Arc<Self> {
        Arc::new(Self { door: OnceLock::new(), opened: Mutex::default(), shutdown })
    }

    /// Our door is open, and browsers see its MCP endpoint at this URL.
    pub(crate) fn door_is_at(&self, url: &str) {
        let is_private = Url::parse(url).is_ok_and(|url| is_private(&url));
        let base = url.strip_suffix("/mcp").unwrap_or(url).trim_end_matches('/');
        // It opens once.
        let _ = self.door.set(is_private.then(|| format!("{base}{CALLBACK_PATH}")));
    }

    async fn land(self: Arc<Self>, port: Option<u16>, callback: Arc<dyn Callback>) -> Result<String, String> {
        match (port, self.door.get()) {
            (None, Some(Some(door))) => return Ok(door.clone()),
            (None, Some(None)) => {
                return Err("browsers come back to Toolcrib by https: say in \"auth.publicUrl\" at which https URL they reach it".into());
            }
            _ => {}
        }
        if let Some(opened) = self.lock().get(&port) {
            opened.until.send_replace(Instant::now() + OPEN_FOR);
            return Ok(opened.uri.clone());
        }
        self.open(port, callback).await
    }

    async fn open(self: Arc<Self>, port: Option<u16>, callback: Arc<dyn Callback>) -> Result<String, String> {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or_default()));
        let failed = |error: std::io::Error| format!("{wanted} cannot be listened on, for the browser to come back to: {error}");
        let listener = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        // Clients that are registered beforehand are so under this name and path.
        let uri = match port {
            Some(port) => format!("http://localhost:{port}/callback"),
            None => format!("http://{address}{CALLBACK_PATH}"),
        };
        let (until, open_until) = watch::channel(Instant::now() + OPEN_FOR);
        let this = Arc::clone(&self);
        let serving = tokio::spawn(async move {
            let serving = serve_callback(listener, callback, this.shutdown.clone());
            tokio::select! {
                served = serving => {
                    if let Err(error) = served {
                        tracing::warn!(%error, "browsers cannot come back any more");
                    }
                }
                () = passed(open_until) => {}
            }
            this.lock().remove(&port);
        });
        self.lock().insert(port, Opened { uri: uri.clone(), until, serving });
        Ok(uri)
    }

    /// Waits until whoever came back has seen what became of it, once the shutdown has begun.
    pub(crate) async fn closed(&self) {
        let opened: Vec<Opened> = self.lock().drain().map(|(_, opened)| opened).collect();
        for Opened { serving, .. } in opened {
            // One that broke has said so.
            let _ = serving.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<u16>, Opened>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Completes once a moment has passed that may be put off.
async fn passed(mut moment: watch::Receiver<Instant>) {
    loop {
        let until = *moment.borrow_and_update();
        tokio::select! {
            () = tokio::time::sleep_until(until) => return,
            changed = moment.changed() => if changed.is_err() { return },
        }
    }
}

/// The places, as logins ask for them.
#[derive(Debug)]
pub(crate) struct Lands(pub(crate) Arc<Landings>);

impl Landing for Lands {
    fn redirect_uri(&self, port: Option<u16>, callback: Arc<dyn Callback>) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(Arc::clone(&self.0).land(port, callback))
    }
}
