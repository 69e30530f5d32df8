//! Names to addresses, every one of them vetted. What is vetted is what is dialled: there is no second look-up.

use crate::policy::{Policy, Refusal};
use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use toolcrib_contract::BoxFuture;

/// Turns names into addresses. The system does, unless a test scripts it.
pub trait Resolve: Send + Sync + fmt::Debug {
    /// All addresses of a name.
    ///
    /// # Errors
    /// Those of the resolver.
    fn addresses(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Resolve for System {
    fn addresses(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let name = name.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect()) })
    }
}

/// Why a name gave no address to dial.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unresolved {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the name cannot be resolved")]
    Unknown(#[source] io::Error),
    #[error("the name has no address")]
    Empty,
}

/// Resolves and vets for one class of requests: those to a port that exceptions name, or those to all other ports.
#[derive(Debug, Clone)]
pub(crate) struct Vetting {
    pub(crate) policy: Arc<Policy>,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) port: Option<u16>,
    /// The hosts of proxies, which the operator chose and which no request may name.
    pub(crate) trusted: Vec<String>,
}

impl Vetting {
    /// The addresses of a name. One that may not be dialled refuses the name as a whole: a name that leads outside and inside is
    /// a trick.
    pub(crate) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Unresolved> {
        let name = name.strip_suffix('.').unwrap_or(name).to_lowercase();
        let addresses = self.resolver.addresses(&name).await.map_err(Unresolved::Unknown)?;
        if addresses.is_empty() {
            return Err(Unresolved::Empty);
        }
        if !self.trusted.contains(&name) {
            addresses.iter().try_for_each(|address| self.policy.judge_address(&name, *address, self.port))?;
        }
        Ok(addresses)
    }
}

impl reqwest::dns::Resolve for Vetting {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let vetting = self.clone();
        Box::pin(async move {
            let addresses = vetting.addresses(name.as_str()).await?;
            // Port 0 is replaced by that of the URL.
            let addresses: reqwest::dns::Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}
