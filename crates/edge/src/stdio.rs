//! The door on a pipe: for an agent that starts us as a child, and for the command line in its own process.

use crate::{
    mcp::{Identity, Mcp, WireCaller},
    raised,
};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};
use toolcrib_contract::Change;
use toolcrib_gate::{Caller, Gate};
use toolcrib_wire::server::{Limits, Session, stdio};

/// A door on a pipe, for one client.
#[derive(Debug)]
pub struct Door {
    /// The gate behind it.
    pub gate: Arc<Gate>,
    /// What the server says about itself.
    pub identity: Identity,
    /// Who is at the other end.
    pub caller: Caller,
    /// Bounds on messages.
    pub limits: Limits,
    /// The name of the door, for the record.
    pub name: &'static str,
}

impl Door {
    /// Serves the client until it leaves or `shutdown` turns true.
    ///
    /// # Errors
    /// What reading fails with.
    pub async fn serve(
        self,
        input: impl AsyncRead + Unpin,
        output: impl AsyncWrite + Unpin + Send + 'static,
        shutdown: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let Self { gate, identity, caller, limits, name } = self;
        let mcp = Arc::new(Mcp::new(Arc::clone(&gate), name, &identity, shutdown.clone()));
        let session: Arc<Mutex<Option<Arc<Session>>>> = Arc::default();
        let opened = Arc::clone(&session);
        let remember = move |session: &Arc<Session>| *opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(session));
        let mut changes = gate.changes();
        let tell = async {
            loop {
                match changes.recv().await {
                    Ok(change) => {
                        if let Some(session) = &*session.lock().unwrap_or_else(PoisonError::into_inner) {
                            Mcp::tell(session, &change);
                        }
                    }
                    // What exactly was missed is not known: every list may have changed.
                    Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {
                        if let Some(session) = &*session.lock().unwrap_or_else(PoisonError::into_inner) {
                            for change in [Change::Tools, Change::Prompts, Change::Resources] {
                                Mcp::tell(session, &change);
                            }
                        }
                    }
                    Err(tokio::sync::broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        let mut over = shutdown;
        let until = async move { raised(&mut over).await };
        let served = stdio::serve(mcp, WireCaller(caller), input, output, limits, remember, until);
        tokio::select! {
            ended = served => ended,
            () = tell => Ok(()),
        }
    }
}
