//! The other replicas, as doors see them.

use http::HeaderValue;
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::sync::watch;
use toolcrib_contract::BoxFuture;
use toolcrib_store::{Adoption, Replicas, Whereabouts};
use toolcrib_wire::server::{
    SessionState,
    http::{Found, Neighbours, PassedOn, Place, Standing},
};

/// How much longer than it may be silent a session is kept: it is renewed only now and then.
const LEEWAY: Duration = Duration::from_secs(5 * 60);

/// The replicas beside this one.
#[derive(Debug)]
pub(crate) struct Neighbourhood {
    replicas: Arc<Replicas>,
    /// How long a session is kept that is silent.
    idle: Duration,
}

impl Neighbourhood {
    pub(crate) fn new(replicas: Arc<Replicas>, session_idle: Duration) -> Arc<Self> {
        Arc::new(Self { replicas, idle: session_idle + LEEWAY })
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

    fn is_there(&self, base: &str) -> bool {
        self.replicas.is_there(base)
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

    fn adopt<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Found> {
        Box::pin(async move {
            match self.replicas.adopt_session(id).await {
                Adoption::Ours(state) => SessionState::read(&state).map_or(Found::None, Found::Ours),
                Adoption::There(url) => Found::There(url),
                Adoption::None => Found::None,
                Adoption::Unknown => Found::Unknown,
            }
        })
    }

    fn renew<'a>(&'a self, sessions: &'a [(Box<str>, Duration)]) -> BoxFuture<'a, Vec<Standing>> {
        Box::pin(async {
            let sessions: Vec<_> = sessions.iter().map(|(id, idle)| (id.clone(), *idle + LEEWAY)).collect();
            let standings = self.replicas.renew_sessions(&sessions).await;
            let told = standings.into_iter().map(|standing| match standing {
                toolcrib_store::Standing::Ours => Standing::Ours,
                toolcrib_store::Standing::Theirs => Standing::Theirs,
                toolcrib_store::Standing::Unknown => Standing::Unknown,
            });
            told.collect()
        })
    }

    fn forget<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(self.replicas.forget_session(id))
    }

    fn missed(&self) -> watch::Receiver<u64> {
        self.replicas.missed()
    }
}
