//! Logging in to a server: where it is dialled, whom it trusts, and what the login may be able to do.

use super::{
    DatabaseSettings, SqlError,
    location::{Server, Tls},
};
use std::{fmt, net::SocketAddr, time::Duration};
use tokio::net::TcpStream;
use toolcrib_egress::{Egress, tls};

/// How long to wait until a server takes a connection, and until it has cancelled a statement.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A login to a server, as its pool makes connections of it.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) server: Server,
    pub(super) timeout: Duration,
    name: String,
    allows_privileged_role: bool,
    /// The rules for hosts that callers name. Those that the config names are dialled as they are.
    egress: Option<Egress>,
}

impl Login {
    pub(super) fn new(server: Server, settings: &DatabaseSettings, egress: Option<Egress>) -> Self {
        let DatabaseSettings { name, timeout, allows_privileged_role, .. } = settings;
        Self { server, timeout: *timeout, name: name.clone(), allows_privileged_role: *allows_privileged_role, egress }
    }

    pub(super) fn unreachable(&self, reason: impl fmt::Display) -> SqlError {
        SqlError::Unreachable { name: self.name.clone(), reason: reason.to_string() }
    }

    /// Connects within the time that a server may take for it.
    pub(super) async fn within_time<T>(&self, connecting: impl Future<Output = Result<T, SqlError>>) -> Result<T, SqlError> {
        let late = || self.unreachable(format_args!("no answer within {} s", CONNECT_TIMEOUT.as_secs()));
        tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or_else(|_| Err(late()))
    }

    /// What a refused connection means: whatever the server says of it, it cannot be reached.
    pub(super) fn refused(&self, error: SqlError) -> SqlError {
        match error {
            SqlError::Statement { message, .. } => self.unreachable(message),
            other => other,
        }
    }

    /// The addresses of the server.
    pub(super) async fn addresses(&self) -> Result<Vec<SocketAddr>, SqlError> {
        let Server { host, port, .. } = &self.server;
        match &self.egress {
            Some(egress) => egress.addresses(host, *port).await.map_err(|error| self.unreachable(error)),
            None => {
                let found = tokio::net::lookup_host((host.as_str(), *port)).await;
                found.map(Iterator::collect).map_err(|error| self.unreachable(format_args!("the name cannot be resolved: {error}")))
            }
        }
    }

    /// Connects to the first address that answers.
    pub(super) async fn dial(&self) -> Result<(TcpStream, SocketAddr), SqlError> {
        let mut refusal = self.unreachable("the name has no address");
        for address in self.addresses().await? {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(|error| self.unreachable(error))?;
                    return Ok((stream, address));
                }
                Err(error) => refusal = self.unreachable(error),
            }
        }
        Err(refusal)
    }

    /// TLS that trusts the certificates that the location names, or else those that the system trusts.
    pub(super) fn tls(&self) -> Result<Option<rustls::ClientConfig>, SqlError> {
        match &self.server.tls {
            Tls::Off => Ok(None),
            Tls::On { roots } => tls::client_config(roots.as_deref()).map(Some).map_err(|reason| self.unreachable(reason)),
        }
    }

    /// Refuses a login with this power over the server, unless the config says otherwise.
    pub(super) fn judge_power(&self, what: String) -> Result<(), SqlError> {
        if !self.allows_privileged_role {
            return Err(SqlError::Privileged { name: self.name.clone(), what });
        }
        tracing::warn!(database = self.name, "the login can do more than read: {what}; give it a role that can only read");
        Ok(())
    }
}
