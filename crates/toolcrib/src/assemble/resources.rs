//! Resources that the config declares, in the catalogue: again whenever other files lie in their folders.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::{JoinSet, spawn_blocking};
use toolcrib_contract::{Resource, Template};
use toolcrib_gate::{Gate, Source};
use toolcrib_tools::declared::Resources;

/// The name of their source.
const NAME: &str = "resources (declared)";
/// How often it is looked whether there are other files.
const LOOK: Duration = Duration::from_secs(2);

/// Offers the resources for as long as the tasks go on.
pub(super) fn publish(gate: &Arc<Gate>, resources: Resources, tasks: &mut JoinSet<()>) {
    if resources.is_empty() {
        return;
    }
    let announcing = Arc::downgrade(gate);
    resources.announce_by(Arc::new(move |change| {
        if let Some(gate) = announcing.upgrade() {
            gate.announce(change);
        }
    }));
    let (offered, templates) = resources.offered();
    let mut known = uris(&offered);
    publish_these(gate, offered, templates);
    if !resources.has_folders() {
        return;
    }
    let gate = Arc::clone(gate);
    tasks.spawn(async move {
        let mut took = Duration::ZERO;
        loop {
            // What takes long to look through is looked through less often.
            tokio::time::sleep(LOOK.max(took * 20)).await;
            let (resources, began) = (resources.clone(), Instant::now());
            let Ok((offered, templates)) = spawn_blocking(move || resources.offered()).await else { return };
            took = began.elapsed();
            let now = uris(&offered);
            if now != known {
                known = now;
                publish_these(&gate, offered, templates);
            }
        }
    });
}

fn uris(offered: &[Resource]) -> Vec<String> {
    offered.iter().map(|resource| resource.spec.uri.clone()).collect()
}

fn publish_these(gate: &Gate, resources: Vec<Resource>, templates: Vec<Template>) {
    let mut source = Source::new(NAME);
    resources.into_iter().for_each(|Resource { spec, callable }| source.resource(spec, callable));
    templates.into_iter().for_each(|Template { spec, callable, completer }| source.template(spec, callable, completer));
    for clash in gate.publish(source) {
        tracing::warn!("{clash}");
    }
}
