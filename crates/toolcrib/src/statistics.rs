//! How tools are used, as a resource of the server.

use std::sync::{Arc, Weak};
use toolcrib_contract::{CallError, Output, ResourceSpec, callable, output::ResourceContents};
use toolcrib_edge::statistics::document;
use toolcrib_gate::{Gate, Source};

/// The resource.
pub(crate) const URI: &str = "metrics://server/stats";

/// The resource, as a source of the catalogue of this gate.
pub(crate) fn source(gate: &Arc<Gate>) -> Source {
    let spec = ResourceSpec {
        uri: URI.to_owned(),
        name: "stats".to_owned(),
        description: Some("The tools of this server by category, and how they have been used: calls, errors, latency.".to_owned()),
        mime_type: Some("application/json".to_owned()),
        foreign: None,
    };
    // The gate holds what it offers: not the other way round.
    let gate = Arc::downgrade(gate);
    let read = callable(move |_input, _cx| {
        let told = Weak::upgrade(&gate).map(|gate| document(gate.catalogue().tools().map(|tool| (tool.spec(), tool.usage()))));
        async move {
            let told = told.ok_or_else(|| CallError::failed("the server is ending"))?;
            Ok(Output::Resource(vec![ResourceContents::text(URI, "application/json", told.to_string())]))
        }
    });
    let mut source = Source::new("toolcrib (statistics)");
    source.resource(spec, read);
    source
}
