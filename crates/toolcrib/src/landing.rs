//! Where browsers come back to after somebody signed in elsewhere: our own door where it is open, else a port of this machine
//! that is opened when it is first needed.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, OnceLock},
};
use tokio::{
    net::TcpListener,
    sync::{Mutex, watch},
};
use toolcrib_contract::{BoxFuture, Callback};
use toolcrib_edge::http::{CALLBACK_PATH, serve_callback};
use toolcrib_oauth::Landing;

/// The places for browsers to come back to.
#[derive(Debug)]
pub(crate) struct Landings {
    /// Our own door, as browsers see it.
    door: OnceLock<String>,
    /// The ports that were opened: those that were asked for, and the one for whoever asks for none.
    opened: Mutex<HashMap<Option<u16>, String>>,
    shutdown: watch::Receiver<bool>,
}

impl Landings {
    pub(crate) fn new(shutdown: watch::Receiver<bool>) -> Arc<Self> {
        Arc::new(Self { door: OnceLock::new(), opened: Mutex::default(), shutdown })
    }

    /// Our door is open, and browsers see its MCP endpoint at this URL.
    pub(crate) fn door_is_at(&self, url: &str) {
        let base = url.strip_suffix("/mcp").unwrap_or(url).trim_end_matches('/');
        // It opens once.
        let _ = self.door.set(format!("{base}{CALLBACK_PATH}"));
    }

    async fn open(&self, port: Option<u16>, callback: Arc<dyn Callback>) -> Result<String, String> {
        if let (None, Some(door)) = (port, self.door.get()) {
            return Ok(door.clone());
        }
        let mut opened = self.opened.lock().await;
        if let Some(uri) = opened.get(&port) {
            return Ok(uri.clone());
        }
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or_default()));
        let failed = |error: std::io::Error| format!("{wanted} cannot be listened on, for the browser to come back to: {error}");
        let listener = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        // Clients that are registered beforehand are so under this name and path.
        let uri = if port.is_some() {
            format!("http://localhost:{}/callback", address.port())
        } else {
            format!("http://{address}{CALLBACK_PATH}")
        };
        let serving = serve_callback(listener, callback, self.shutdown.clone());
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::warn!(%error, "browsers cannot come back any more");
            }
        });
        opened.insert(port, uri.clone());
        Ok(uri)
    }
}

impl Landing for Landings {
    fn redirect_uri(&self, port: Option<u16>, callback: Arc<dyn Callback>) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(self.open(port, callback))
    }
}
