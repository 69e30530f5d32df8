//! Connections that are used again, and what becomes of those that are not.

use super::{DatabaseSettings, MAX_WAIT, SqlError};
use deadpool::managed::{self, Manager, Object, PoolError};
use std::{
    fmt,
    ops::{Deref, DerefMut},
    time::Duration,
};

/// How long a statement that was broken off may take to end at the server before its place is given away.
const MAX_ENDING: Duration = Duration::from_secs(600);

/// A connection whose statement can be broken off.
pub(super) trait Breakable: Send + 'static {
    /// Breaks the statement off at the server, and waits until it has ended there.
    fn break_off(&mut self) -> impl Future<Output = ()> + Send;
}

/// Connections to one server, at most so many at once.
pub(super) struct Pool<M: Manager> {
    pool: managed::Pool<M>,
    name: String,
}

impl<M> Pool<M>
where
    M: Manager<Error = SqlError> + 'static,
    M::Type: Breakable,
{
    pub(super) fn new(manager: M, settings: &DatabaseSettings) -> Self {
        let pool =
            managed::Pool::builder(manager).max_size(settings.pool_size).wait_timeout(Some(MAX_WAIT)).runtime(deadpool::Runtime::Tokio1);
        Self { pool: pool.build().expect("a pool with a runtime can be built"), name: settings.name.clone() }
    }

    pub(super) async fn lease(&self) -> Result<Lease<M>, SqlError> {
        match self.pool.get().await {
            Ok(session) => Ok(Lease(Some(session))),
            Err(PoolError::Backend(error)) => Err(error),
            Err(PoolError::Timeout(_)) => Err(SqlError::Busy(self.name.clone())),
            Err(other) => Err(SqlError::Unreachable { name: self.name.clone(), reason: other.to_string() }),
        }
    }
}

impl<M: Manager> fmt::Debug for Pool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A connection on which a statement runs. If it is dropped, and not handed back, the statement is broken off at the server.
pub(super) struct Lease<M: Manager + 'static>(Option<Object<M>>)
where
    M::Type: Breakable;

impl<M: Manager + 'static> Lease<M>
where
    M::Type: Breakable,
{
    /// Gives the connection back to its pool.
    pub(super) fn hand_back(mut self) {
        drop(self.0.take());
    }
}

const HELD: &str = "the connection is there until it is handed back";

impl<M: Manager + 'static> Deref for Lease<M>
where
    M::Type: Breakable,
{
    type Target = M::Type;

    fn deref(&self) -> &M::Type {
        self.0.as_ref().expect(HELD)
    }
}

impl<M: Manager + 'static> DerefMut for Lease<M>
where
    M::Type: Breakable,
{
    fn deref_mut(&mut self) -> &mut M::Type {
        self.0.as_mut().expect(HELD)
    }
}

impl<M: Manager + 'static> Drop for Lease<M>
where
    M::Type: Breakable,
{
    fn drop(&mut self) {
        if let Some(mut session) = self.0.take() {
            tokio::spawn(async move {
                if tokio::time::timeout(MAX_ENDING, session.break_off()).await.is_err() {
                    tracing::warn!("a statement that was broken off still runs at the server");
                }
                // Only now the place is free: what goes on at the server counts among the connections.
                drop(Object::take(session));
            });
        }
    }
}
