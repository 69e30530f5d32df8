//! Tools out of OpenAPI documents: what is said of each, and what is in those that lie beside the config.

use super::{
    super::{
        document::{Faults, Spanned, value_of},
        raw::declared::{Declared as Entry, OpenApi},
    },
    declared::{can_be_offered, hints},
    header_of, ready, seconds,
};
use std::{fs, time::Duration};
use toolcrib_contract::Globs;
use toolcrib_egress::HeaderMap;
use toolcrib_tools::{
    RemoteDocument,
    declared::{Declared, OpenApiSettings, Translated, translate},
};

/// What documents bring.
#[derive(Default)]
pub(super) struct Brought {
    pub(super) tools: Vec<Declared>,
    /// Those that are elsewhere.
    pub(super) documents: Vec<RemoteDocument>,
    /// What of them cannot be offered.
    pub(super) notes: Vec<String>,
}

/// Reads what is said of a document, and the document where it is a file.
pub(super) fn openapi(entry: &Entry, written: &OpenApi, brought: &mut Brought, faults: &mut Faults) {
    refuse_strangers(entry, faults);
    let timeout = seconds(entry.timeout_secs.as_ref(), faults);
    let Some(mut settings) = settings(entry, written, faults) else { return };
    match (&written.file, &written.url) {
        (Some(file), None) => {
            if let Some(translated) = of_file(entry, file, &settings, faults) {
                brought.tools.extend(offered(translated, timeout, &mut brought.notes));
            }
        }
        (None, Some(place)) => {
            let Some(url) = ready::url(place, faults) else { return };
            settings.location = Some(url.clone());
            brought.documents.push(RemoteDocument { url, settings, timeout });
        }
        _ => faults.add(written.place.fault("where is the document? give either a file or a url")),
    }
}

/// The tools of a document that a catalogue takes, with the time that their calls may take; the others are noted.
pub(crate) fn offered(Translated { tools, left_out }: Translated, timeout: Option<Duration>, notes: &mut Vec<String>) -> Vec<Declared> {
    notes.extend(left_out);
    let mut offered = Vec::with_capacity(tools.len());
    for mut tool in tools {
        tool.spec.timeout = timeout;
        match can_be_offered(&tool.spec) {
            Ok(()) => offered.push(tool),
            Err(fault) => notes.push(format!("{} cannot be offered: {fault}", tool.spec.name)),
        }
    }
    offered
}

fn of_file(entry: &Entry, file: &Spanned<String>, settings: &OpenApiSettings, faults: &mut Faults) -> Option<Translated> {
    let path = entry.base.join(&file.value);
    let text =
        fs::read_to_string(&path).map_err(|error| faults.add(file.fault(format!("cannot read {}: {error}", path.display())))).ok()?;
    let document = value_of(&text, &path).map_err(|reason| faults.add(file.fault(reason))).ok()?;
    translate(&document, settings).map_err(|reason| faults.add(file.fault(format!("{}: {reason}", path.display())))).ok()
}

fn settings(entry: &Entry, written: &OpenApi, faults: &mut Faults) -> Option<OpenApiSettings> {
    let server = match &written.server {
        Some(server) => Some(ready::plain_url(server, faults)?),
        None => None,
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &written.headers {
        headers.extend(header_of(name, value, faults));
    }
    Some(OpenApiSettings {
        name: entry.name.value.clone(),
        location: None,
        server,
        include: written.include.as_ref().map(|patterns| globs(patterns)),
        exclude: globs(&written.exclude),
        auth: written.auth.iter().map(|(scheme, value)| (scheme.clone(), value.value.clone())).collect(),
        headers,
        annotations: hints(&entry.hints),
        tags: entry.tags.iter().map(|tag| tag.value.clone()).collect(),
        hidden: entry.secrets.clone(),
    })
}

fn globs(patterns: &[Spanned<String>]) -> Globs {
    Globs::new(patterns.iter().map(|pattern| &pattern.value))
}

/// What the document says itself, for each of its operations.
fn refuse_strangers(entry: &Entry, faults: &mut Faults) {
    let texts = [
        ("title", &entry.title),
        ("description", &entry.description),
        ("category", &entry.category),
        ("author", &entry.author),
        ("version", &entry.version),
    ];
    let texts = texts.into_iter().filter_map(|(key, text)| Some((key, text.as_ref()?.with(()))));
    let schemas = [("input", &entry.input), ("output", &entry.output)];
    let schemas = schemas.into_iter().filter_map(|(key, schema)| Some((key, schema.as_ref()?.with(()))));
    let tests = entry.tests.first().map(|test| ("tests", test.with(())));
    for (key, place) in texts.chain(schemas).chain(tests) {
        faults.add(place.fault(format!("\"{key}\" does not go with openapi: the document says it for each of its operations")));
    }
}
