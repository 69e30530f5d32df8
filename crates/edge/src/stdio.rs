//! The door for an agent that starts us as a child: MCP over standard input and output.

use crate::{
    mcp::{Identity, Mcp, WireCaller},
    raised,
};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;
use toolcrib_gate::{Caller, Gate};
use toolcrib_wire::server::{Limits, Session, stdio};

/// Serves one client on standard input and output until it leaves or `shutdown` turns true.
///
/// # Errors
/// What reading standard input fails with.
pub async fn serve(
    gate: Arc<Gate>,
    identity: &Identity,
    caller: Caller,
    limits: Limits,
    shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    let mcp = Arc::new(Mcp::new(Arc::clone(&gate), "stdio", identity, shutdown.clone()));
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
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    };
    let mut over = shutdown;
    let until = async move { raised(&mut over).await };
    let served = stdio::serve(mcp, WireCaller(caller), tokio::io::stdin(), tokio::io::stdout(), limits, remember, until);
    tokio::select! {
        ended = served => ended,
        () = tell => Ok(()),
    }
}
