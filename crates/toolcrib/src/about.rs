//! What the server tells of itself, as resources: how it is set, how it is used, and what it has logged lately. Where there are rules of
//! access, only one that names such a resource itself gives it.
//!
//! | resource | module |
//! |---|---|
//! | `config://server/settings` | [`settings`] |
//! | `metrics://server/stats` | [`statistics`] |
//! | `logs://server/recent` | [`log`] |
//! | `status://server/upstreams` | `assemble/status.rs` |

pub(crate) mod history;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod settings;
pub(crate) mod statistics;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::task::JoinSet;
use toolcrib_contract::{
    BoxFuture, CallContext, CallError, Callable, Change, Input, Output, ResourceSpec, Watch, output::ResourceContents,
};
use toolcrib_gate::{Gate, Source};

/// Something that the server tells of itself.
struct Told<F> {
    spec: ResourceSpec,
    tell: Arc<F>,
    /// How often it is looked whether it is something else, while somebody wants to hear of that.
    every: Duration,
    gate: Weak<Gate>,
}

/// A resource that holds what `tell` gives, as a source of the catalogue.
fn source<F>(gate: &Arc<Gate>, spec: ResourceSpec, every: Duration, tell: F) -> Source
where
    F: Fn() -> String + Send + Sync + 'static,
{
    let mut source = Source::new(&format!("toolcrib ({})", spec.name));
    // The gate holds what it offers: not the other way round.
    let told = Told { spec: spec.clone(), tell: Arc::new(tell), every, gate: Arc::downgrade(gate) };
    source.resource(spec, Arc::new(told));
    source
}

impl<F: Fn() -> String + Send + Sync + 'static> Callable for Told<F> {
    fn call(&self, _: Input, _: CallContext) -> BoxFuture<'_, Result<Output, CallError>> {
        let ResourceSpec { uri, mime_type, .. } = self.spec.clone();
        Box::pin(async move { Ok(Output::Resource(vec![ResourceContents { uri, mime_type, text: Some((self.tell)()), blob: None }])) })
    }

    fn watch(&self, _: &str) -> Option<BoxFuture<'_, Result<Watch, CallError>>> {
        let (tell, gate, uri, every) = (Arc::clone(&self.tell), self.gate.clone(), Arc::<str>::from(self.spec.uri.as_str()), self.every);
        Some(Box::pin(async move {
            let mut looking = JoinSet::new();
            looking.spawn(until_it_is_gone(
                every,
                move || tell(),
                move || gate.upgrade().map(|gate| gate.announce(Change::Resource(Arc::clone(&uri)))),
            ));
            Ok(Watch::holding(looking))
        }))
    }
}

/// Tells whenever what is seen is something else than before, as long as there is somebody to tell it to.
async fn until_it_is_gone<T: PartialEq>(every: Duration, see: impl Fn() -> T, tell: impl Fn() -> Option<()>) {
    let mut last = see();
    loop {
        tokio::time::sleep(every).await;
        let now = see();
        if now != last && tell().is_none() {
            return;
        }
        last = now;
    }
}
