//! `subscriptions/listen`: a modern client hears of changes on a stream of its own.

use super::{Mcp, WireCaller};
use crate::{answer::Answer, raised};
use std::{collections::BTreeSet, sync::Arc};
use tokio::{sync::broadcast::error::RecvError, task::JoinSet};
use toolcrib_contract::{Change, Json, Watch};
use toolcrib_wire::{Era, ErrorObject, meta::SUBSCRIPTION_ID, method, server::Exchange};

/// The most resources that one stream tells of.
const MAX_WATCHED: usize = 1_000;

/// What a client wants to hear of.
#[derive(Debug, Default)]
struct Filter {
    tools: bool,
    prompts: bool,
    resources: bool,
    uris: Option<BTreeSet<String>>,
}

impl Filter {
    fn read(filter: &Json) -> Result<Self, ErrorObject> {
        let invalid = |what: &str| ErrorObject::invalid_params(format!("params.notifications{what}"));
        let members = filter.members().map_err(|error| invalid(&format!(": {error}")))?;
        let flag = |key: &str| match members.get(key) {
            None => Ok(false),
            Some(json) => json.read().map_err(|_| invalid(&format!(".{key} must be a boolean"))),
        };
        let uris = members.get("resourceSubscriptions").map(|json| json.read());
        Ok(Self {
            tools: flag("toolsListChanged")?,
            prompts: flag("promptsListChanged")?,
            resources: flag("resourcesListChanged")?,
            uris: uris.transpose().map_err(|_| invalid(".resourceSubscriptions must be an array of strings"))?,
        })
    }

    /// The filter as it is honoured, in the words of the protocol.
    fn accepted(&self) -> Json {
        let flag = |is_on: bool| is_on.then(|| Json::of(&true).expect("true has a JSON form"));
        let uris = self.uris.as_ref().map(|uris| Json::of(uris).expect("strings have a JSON form"));
        Json::object()
            .with_some("toolsListChanged", flag(self.tools).as_ref())
            .with_some("promptsListChanged", flag(self.prompts).as_ref())
            .with_some("resourcesListChanged", flag(self.resources).as_ref())
            .with_some("resourceSubscriptions", uris.as_ref())
            .finish()
    }

    fn wants(&self, change: &Change) -> bool {
        match change {
            Change::Tools => self.tools,
            Change::Prompts => self.prompts,
            Change::Resources => self.resources,
            Change::Resource(uri) => self.uris.as_ref().is_some_and(|uris| uris.contains(&**uri)),
        }
    }

    /// Everything that the client may have missed a change of.
    fn everything(&self) -> impl Iterator<Item = Change> {
        let lists = [Change::Tools, Change::Prompts, Change::Resources].into_iter().filter(|change| self.wants(change));
        lists.chain(self.uris.iter().flatten().map(|uri| Change::Resource(uri.as_str().into())))
    }
}

impl Mcp {
    /// Listens until the client leaves or we shut down. Listening begins before it is acknowledged, so that no change
    /// falls into the gap.
    pub(super) async fn listen(&self, exchange: &Exchange<WireCaller>) -> Answer {
        let wanted = exchange.params.as_ref().and_then(|params| params.get("notifications"));
        let wanted = wanted.ok_or_else(|| ErrorObject::invalid_params("subscriptions/listen needs params.notifications, an object"))?;
        let mut filter = Filter::read(&wanted)?;
        let mut changes = self.gate.changes();
        let _watches = self.watch_all(&mut filter, &exchange.caller).await?;
        let mut shutdown = self.shutdown.clone();
        let meta = Json::object().with(SUBSCRIPTION_ID, &exchange.id.to_json()).finish();
        exchange
            .channel
            .notify(method::ACKNOWLEDGED, Json::object().with("_meta", &meta).with("notifications", &filter.accepted()).finish());
        let tell = |change: &Change| {
            let (method, params) = notification(change);
            let params = params.unwrap_or_else(Json::empty_object);
            let members = params.members().expect("our own parameters are an object");
            exchange.channel.notify(method, members.edit(&[("_meta", Some(meta.clone()))]));
        };
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    // Who is no longer known hears of nothing more.
                    _ if !self.gate.still_holds(&exchange.caller.caller) => break,
                    Ok(event) if filter.wants(&event.change) && self.visible_to(&exchange.caller).concerns(&event) => tell(&event.change),
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => filter.everything().for_each(|change| tell(&change)),
                    Err(RecvError::Closed) => break,
                },
                () = raised(&mut shutdown) => break,
            }
        }
        Ok(self.answers.result(Era::Modern).finish().members().expect("a result is an object").edit(&[("_meta", Some(meta))]))
    }

    /// Watches every resource that the filter names, as long as what this gives is held; those of which nobody tells
    /// changes are taken out of the filter.
    async fn watch_all(&self, filter: &mut Filter, caller: &WireCaller) -> Result<Vec<Watch>, ErrorObject> {
        let Some(uris) = &mut filter.uris else { return Ok(Vec::new()) };
        if uris.len() > MAX_WATCHED {
            return Err(ErrorObject::invalid_params(format!(
                "params.notifications.resourceSubscriptions has more than {MAX_WATCHED} entries"
            )));
        }
        let visible = self.visible_to(caller);
        let mut watching = JoinSet::new();
        for uri in std::mem::take(uris) {
            let (gate, visible) = (Arc::clone(&self.gate), visible.clone());
            watching.spawn(async move { gate.watch(&visible, &uri).await.map(|watch| (uri, watch)) });
        }
        let (watched, watches) = watching.join_all().await.into_iter().flatten().unzip();
        *uris = watched;
        Ok(watches)
    }
}

/// The notification that tells of a change.
pub(super) fn notification(change: &Change) -> (&'static str, Option<Json>) {
    match change {
        Change::Tools => (method::TOOLS_CHANGED, None),
        Change::Prompts => (method::PROMPTS_CHANGED, None),
        Change::Resources => (method::RESOURCES_CHANGED, None),
        Change::Resource(uri) => (method::RESOURCE_UPDATED, Some(Json::object().with_str("uri", uri).finish())),
    }
}
