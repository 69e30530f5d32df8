//! The other replicas, as doors see them.

use http::HeaderValue;
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::sync::{Mutex, watch};
use toolcrib_contract::{BoxFuture, Home};
use toolcrib_store::{Adoption, Replicas, Whereabouts};
use toolcrib_wire::server::{
    SessionState,
    http::{Found, Neighbours, PassedOn, Place},
};

/// How much longer than it may be silent a session is kept: it is renewed only now and then.
const LEEWAY: Duration = Duration::from_secs(5 * 60);

/// The replicas beside this one.
#[derive(Debug)]
pub(crate) struct Neighbourhood {
    replicas: Arc<Replicas>,
    /// How long a session may be silent.
    idle: Duration,
    missed: Mutex<watch::Receiver<u64>>,
}

impl Neighbourhood {
    pub(crate) fn new(replicas: Arc<Replicas>, session_idle: Duration) -> Arc<Self> {
        let missed = Mutex::new(replicas.missed());
        Arc::new(Self { replicas, idle: session_idle + LEEWAY, missed })
    }
}

impl Neighbours for Neighbourhood {
    fn name(&self, random: &str) -> Box<str> {
        self.replicas.home().name(random).into()
    }

    fn place_of(&self, name: &str) -> Place {
        match self.replicas.whereabouts(name) {
            Whereabouts::Here => Place::Here,
            Whereabouts::There(url) => Place::There(url),
            Whereabouts::Gone => Place::Gone,
        }
    }

    fn vouch_for(&self, address: Option<IpAddr>, PassedOn(times): PassedOn) -> HeaderValue {
        HeaderValue::from_str(&self.replicas.vouch_for(address, times)).expect("addresses and digits stand in a header")
    }

    fn vouched(&self, shown: &HeaderValue) -> Option<(Option<IpAddr>, PassedOn)> {
        self.replicas.vouched(shown.to_str().ok()?).map(|(address, times)| (address, PassedOn(times)))
    }

    fn keep<'a>(&'a self, id: &'a str, state: SessionState) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.replicas.keep_session(id, state.to_json().as_str(), self.idle).await })
    }

    fn adopt<'a>(&'a self, id: &'a str, unreachable: bool) -> BoxFuture<'a, Found> {
        Box::pin(async move {
            let gone = Home::of(id).filter(|_| unreachable);
            match self.replicas.adopt_session(id, gone).await {
                Adoption::Ours(state) => SessionState::read(&state).map_or(Found::None, Found::Ours),
                Adoption::There(url) => Found::There(url),
                Adoption::None => Found::None,
                Adoption::Unknown => Found::Unknown,
            }
        })
    }

    fn renew<'a>(&'a self, ids: &'a [Box<str>]) -> BoxFuture<'a, ()> {
        Box::pin(self.replicas.renew_sessions(ids, self.idle))
    }

    fn forget<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(self.replicas.forget_session(id))
    }

    fn were_taken_over(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if self.missed.lock().await.changed().await.is_err() {
                // Nobody is there any more who could say so.
                std::future::pending().await
            }
        })
    }
}
