//! Results that are too large for an answer, kept for a while to be read as resources.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use moka::sync::Cache;
use std::{fmt, fmt::Write, sync::Arc, time::Duration};
use toolcrib_contract::{
    BoxFuture, CallContext, CallError, Callable, CallerId, Content, Home, Input, Kind, Output, TemplateSpec, output::ResourceContents,
};

/// The URI of a kept result, up to its id.
const PREFIX: &str = "toolcrib://results/";
/// How much is kept in all; what was read longest ago goes first.
const MAX_TOTAL_BYTES: u64 = 64 << 20;
/// How large one result may be, so that it can still be read in one answer.
pub(crate) const MAX_BYTES: usize = 5 << 20;
/// How long the name of its type may be.
const MAX_TYPE_CHARS: usize = 100;
/// How long a result is kept.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Keeps results. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Kept {
    results: Cache<String, KeptResult>,
    home: Home,
}

#[derive(Clone)]
struct KeptResult {
    owner: Arc<str>,
    mime_type: Arc<str>,
    bytes: Bytes,
}

impl Default for Kept {
    fn default() -> Self {
        Self::at(Home::default())
    }
}

impl Kept {
    pub(crate) fn at(home: Home) -> Self {
        let weight = |id: &String, result: &KeptResult| {
            u32::try_from(result.bytes.len() + result.mime_type.len() + id.len() + 256).unwrap_or(u32::MAX)
        };
        Self { results: Cache::builder().max_capacity(MAX_TOTAL_BYTES).weigher(weight).time_to_live(LIFETIME).build(), home }
    }

    /// Keeps a result for the caller who asked for it, and nobody else. Gives its URI, or nothing if it is too large.
    pub(crate) fn keep(&self, owner: &CallerId, mime_type: &str, bytes: impl Into<Bytes>) -> Option<String> {
        let bytes = bytes.into();
        let mut random = [0; 16];
        // Without random bytes the id could be guessed: then nothing is kept.
        getrandom::fill(&mut random).ok()?;
        if bytes.len() > MAX_BYTES {
            return None;
        }
        let id = random.iter().fold(String::new(), |mut id, byte| {
            let _ = write!(id, "{byte:02x}");
            id
        });
        let id = self.home.name(&id);
        let uri = format!("{PREFIX}{id}");
        self.results.insert(
            id,
            KeptResult {
                owner: Arc::clone(owner.principal()),
                mime_type: mime_type.chars().take(MAX_TYPE_CHARS).collect::<String>().into(),
                bytes,
            },
        );
        Some(uri)
    }

    /// The family of resources under which results can be read.
    pub(crate) fn template() -> TemplateSpec {
        TemplateSpec {
            uri_template: format!("{PREFIX}{{id}}"),
            name: "results".into(),
            description: Some("Results that were too large for an answer; a tool names the URI. Kept for 15 minutes.".into()),
            ..TemplateSpec::default()
        }
    }
}

/// A link to a kept result.
pub(crate) fn link(uri: &str, name: &str, mime_type: &str) -> Content {
    Content::ResourceLink { uri: uri.into(), name: name.into(), mime_type: Some(mime_type.into()), size: None }
}

impl Callable for Kept {
    fn call(&self, input: Input, cx: CallContext) -> BoxFuture<'_, Result<Output, CallError>> {
        let found =
            input.name.strip_prefix(PREFIX).and_then(|id| self.results.get(id)).filter(|result| result.owner == *cx.caller().principal());
        Box::pin(async move {
            let Some(KeptResult { mime_type, bytes, .. }) = found else {
                return Err(CallError::NotFound { kind: Kind::Resource, name: input.name });
            };
            let contents = match std::str::from_utf8(&bytes) {
                Ok(text) => ResourceContents::text(&input.name, &mime_type, text),
                Err(_) => ResourceContents {
                    uri: input.name.into(),
                    mime_type: Some(mime_type.to_string()),
                    text: None,
                    blob: Some(BASE64_STANDARD.encode(&bytes)),
                },
            };
            Ok(Output::Resource(vec![contents]))
        })
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("results", &self.results.entry_count()).finish()
    }
}
