//! Telling a service manager how we are (sd_notify): a line to the socket that it names, if it names one.

use std::os::unix::net::UnixDatagram;
#[cfg(target_os = "linux")]
use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};

/// What a service manager is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Clients may come.
    Ready,
    /// No more clients; those that are there may finish.
    Stopping,
}

/// Tells the manager behind this socket. One that cannot be told is not worth failing for.
pub(crate) fn tell(socket: Option<&str>, state: State) {
    let Some(socket) = socket.filter(|socket| !socket.is_empty()) else { return };
    let line: &[u8] = match state {
        State::Ready => b"READY=1",
        State::Stopping => b"STOPPING=1",
    };
    if let Err(error) = send(socket, line) {
        tracing::warn!(%error, "the service manager cannot be told how we are");
    }
}

fn send(socket: &str, line: &[u8]) -> std::io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    match socket.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(name) => sender.send_to_addr(line, &SocketAddr::from_abstract_name(name)?).map(drop),
        #[cfg(not(target_os = "linux"))]
        Some(_) => Err(std::io::Error::other("abstract sockets are those of Linux")),
        None => sender.send_to(line, socket).map(drop),
    }
}
