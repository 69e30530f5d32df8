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
use toolcrib_contract::Origin;
use toolcrib_gate::{Caller, Gate, Names};
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
    /// What it is shown of the catalogue, if not all of it.
    pub profile: Option<Arc<Names>>,
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
        let Self { gate, identity, caller, profile, limits, name } = self;
        let alive = Arc::new(());
        let mcp = Arc::new(Mcp::new(gate, name, &identity, profile, shutdown.clone()).for_one_client(&alive));
        let session: Arc<Mutex<Option<Arc<Session>>>> = Arc::default();
        let opened = Arc::clone(&session);
        let remember = move |session: &Arc<Session>| *opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(session));
        let telling = Arc::clone(&mcp);
        let tell = telling.tell_of_changes(|visit| {
            if let Some(session) = &*session.lock().unwrap_or_else(PoisonError::into_inner) {
                visit(session);
            }
        });
        let mut over = shutdown;
        let until = async move { raised(&mut over).await };
        let served = stdio::serve(mcp, WireCaller { caller, origin: Origin::door(name) }, input, output, limits, remember, until);
        tokio::select! {
            ended = served => ended,
            () = tell => Ok(()),
        }
    }
}
