//! What a server says besides its answers: that lists changed, that a resource did, and what belongs to calls.

use crate::{supervise::Listener, traffic::Traffic, watches::Watches};
use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Notify;
use toolcrib_contract::Change;
use toolcrib_wire::{
    Notification,
    client::{Asked, Audience},
    method,
};

/// Hears what the server says besides its answers.
pub(crate) struct Hearing {
    /// What it said has changed, since that was last looked at.
    told: Mutex<HashSet<Change>>,
    /// Told when that becomes more.
    pub(crate) arrived: Notify,
    pub(crate) watches: Arc<Watches>,
    pub(crate) listener: Arc<dyn Listener>,
}

impl Hearing {
    pub(crate) fn new(watches: Arc<Watches>, listener: Arc<dyn Listener>) -> Arc<Self> {
        Arc::new(Self { told: Mutex::default(), arrived: Notify::new(), watches, listener })
    }

    fn note(&self, change: Change) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(change);
        self.arrived.notify_one();
    }

    /// What the server said has changed, to be looked at now.
    pub(crate) fn told(&self) -> Told<'_> {
        let changes = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
        Told { hearing: self, changes }
    }

    /// Nobody knows what changed while we were away.
    pub(crate) fn suspect_watched(&self) {
        self.watches.uris().into_iter().for_each(|uri| self.listener.changed(Change::Resource(uri.into())));
    }
}

/// Hears nothing.
#[derive(Debug)]
pub(crate) struct Deaf;

impl Audience for Deaf {
    fn hear(&self, _notification: Notification) {}
}

/// Hears what is said on one connection.
#[derive(Debug)]
pub(crate) struct Ear {
    pub(crate) hearing: Arc<Hearing>,
    pub(crate) traffic: Arc<Traffic>,
}

impl Audience for Ear {
    fn hear(&self, notification: Notification) {
        let hearing = &self.hearing;
        match notification.method.as_ref() {
            method::TOOLS_CHANGED => hearing.note(Change::Tools),
            method::PROMPTS_CHANGED => hearing.note(Change::Prompts),
            method::RESOURCES_CHANGED => hearing.note(Change::Resources),
            method::RESOURCE_UPDATED => {
                let uri = notification.params.and_then(|params| params.members().ok()?.string("uri"));
                // Servers tell of more than they were asked for.
                if let Some(uri) = uri.filter(|uri| hearing.watches.has(uri)) {
                    hearing.listener.changed(Change::Resource(uri.into()));
                }
            }
            _ => self.traffic.hear(notification),
        }
    }

    fn ask(&self, asked: Asked) {
        self.traffic.ask(asked);
    }

    fn answered_late(&self) {
        self.traffic.answered_late();
    }

    fn missed(&self) {
        self.hearing.arrived.notify_one();
        self.hearing.suspect_watched();
    }

    fn renewed(&self) {
        self.hearing.watches.forget();
    }
}

impl fmt::Debug for Hearing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hearing").finish_non_exhaustive()
    }
}

/// What the server told us has changed, put back unless it is looked at.
pub(crate) struct Told<'a> {
    hearing: &'a Hearing,
    changes: HashSet<Change>,
}

impl Told<'_> {
    pub(crate) fn changes(&self) -> Vec<Change> {
        self.changes.iter().cloned().collect()
    }

    /// The lists were read.
    pub(crate) fn done(mut self) {
        self.changes.clear();
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        let changes = std::mem::take(&mut self.changes);
        self.hearing.told.lock().unwrap_or_else(PoisonError::into_inner).extend(changes);
    }
}
