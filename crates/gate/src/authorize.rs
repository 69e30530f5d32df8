//! `Arrived` → [`Permitted`]: is there such a thing, and may this caller call it?
//!
//! The two are answered alike, so that nobody learns names by asking. Without access rules everything is permitted.

use crate::{
    Arrived, Caller,
    catalogue::{Catalogue, Entry},
};
use std::sync::Arc;
use toolcrib_contract::{BackChannel, Call, CallError};

/// A call that its caller may make, with the entry of the catalogue that it keeps even if a reload swaps the catalogue.
#[derive(Debug)]
pub struct Permitted {
    pub(crate) call: Call,
    pub(crate) entry: Arc<Entry>,
    pub(crate) caller: Caller,
    pub(crate) back: Arc<dyn BackChannel>,
}

/// The part of the catalogue that one caller may call.
#[derive(Debug, Clone)]
pub struct Visible {
    catalogue: Arc<Catalogue>,
}

impl Visible {
    /// The catalogue, of which everything is visible while there are no access rules.
    #[must_use]
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }
}

pub(crate) fn permit(catalogue: &Catalogue, Arrived { caller, call, back, .. }: Arrived) -> Result<Permitted, CallError> {
    match catalogue.find(call.kind, &call.name) {
        Some(entry) => Ok(Permitted { call, entry, caller, back }),
        None => Err(match catalogue.awaited(&call.name) {
            Some(server) => CallError::Unavailable {
                server: Arc::clone(server),
                reason: "it has not connected yet, so its tools are not known; the log of Toolcrib says why".into(),
            },
            None => CallError::NotFound { kind: call.kind, name: call.name },
        }),
    }
}

pub(crate) fn visible(catalogue: Arc<Catalogue>, _caller: &Caller) -> Visible {
    Visible { catalogue }
}
