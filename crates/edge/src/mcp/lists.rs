//! The four lists, written once for each state of the catalogue and era, and given out from memory.

use super::{Mcp, WireCaller};
use crate::answer::{Answer, cacheable};
use arc_swap::ArcSwap;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};
use toolcrib_contract::{Json, PromptSpec, ResourceSpec, Spec, TemplateSpec};
use toolcrib_gate::Visible;
use toolcrib_wire::{
    Era, ErrorObject,
    headers::{HeaderParam, header_params},
    server::Exchange,
};

/// The most items on one page.
const PAGE: usize = 1000;

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tools,
    Resources,
    Templates,
    Prompts,
}

impl Kind {
    fn key(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
            Self::Prompts => "prompts",
        }
    }
}

/// What was written once for one generation of the catalogue.
#[derive(Debug, Default)]
struct Written {
    generation: u64,
    first_pages: [[OnceLock<Json>; 2]; 4],
    /// The tools of which HTTP clients mirror arguments into headers.
    header_params: OnceLock<HashMap<String, Arc<[HeaderParam]>>>,
}

#[derive(Debug, Default)]
pub(super) struct Lists(ArcSwap<Written>);

impl Lists {
    fn of(&self, generation: u64) -> Arc<Written> {
        let written = self.0.load_full();
        if written.generation == generation {
            return written;
        }
        let fresh = Arc::new(Written { generation, ..Written::default() });
        self.0.store(Arc::clone(&fresh));
        fresh
    }

    /// The arguments of a tool that are mirrored into headers, if it has such.
    pub(super) fn header_params(&self, visible: &Visible, tool: &str) -> Option<Arc<[HeaderParam]>> {
        let written = self.of(visible.generation());
        let all = written.header_params.get_or_init(|| {
            let annotated = visible.every_tool().filter(|spec| has_annotations(spec));
            annotated.filter_map(|spec| Some((spec.name.clone(), header_params(&spec.input_schema.to_value().ok()?).ok()?))).collect()
        });
        // Few tools have such, so that hardly a call is decided twice.
        let found = all.get(tool)?;
        visible.tool(tool).map(|_| Arc::clone(found))
    }
}

/// Whether a schema may annotate an argument. Most do not, and their text says so quicker than a parse.
fn has_annotations(spec: &Spec) -> bool {
    const ANNOTATION: &[u8] = b"x-mcp-header";
    spec.input_schema.as_bytes().windows(ANNOTATION.len()).any(|window| window == ANNOTATION)
}

impl Mcp {
    pub(super) fn list(&self, kind: Kind, exchange: &Exchange<WireCaller>) -> Answer {
        let visible = &self.visible_to(&exchange.caller);
        let era = exchange.revision.era();
        match exchange.params.as_ref().and_then(|params| params.get("cursor")) {
            // What a caller may have is decided anew for each list; where everybody may have everything, it is written once.
            None if !visible.is_whole() => Ok(self.page(visible, kind, era, None)),
            None => {
                let written = self.lists.of(visible.generation());
                let page = written.first_pages[kind as usize][era as usize].get_or_init(|| self.page(visible, kind, era, None));
                Ok(page.clone())
            }
            Some(cursor) => {
                let after = read_cursor(&cursor).ok_or_else(|| ErrorObject::invalid_params("params.cursor is none of ours"))?;
                Ok(self.page(visible, kind, era, Some(&after)))
            }
        }
    }

    fn page(&self, visible: &Visible, kind: Kind, era: Era, after: Option<&str>) -> Json {
        let mut items = items(visible, kind, era).skip_while(|(key, _)| after.is_some_and(|after| key.as_str() <= after));
        let page: Vec<(String, Json)> = items.by_ref().take(PAGE).collect();
        let next = items.next().and_then(|_| page.last()).map(|(key, _)| Json::string(&BASE64_URL_SAFE_NO_PAD.encode(key)));
        let list = Json::array(page.into_iter().map(|(_, item)| item));
        cacheable(self.answers.result(era).reserve(list.size_bytes()).with(kind.key(), &list), era)
            .with_some("nextCursor", next.as_ref())
            .finish()
    }
}

fn read_cursor(cursor: &Json) -> Option<String> {
    let text: String = cursor.read().ok()?;
    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// The items of a list with the keys that order it.
fn items(visible: &Visible, kind: Kind, era: Era) -> Box<dyn Iterator<Item = (String, Json)> + '_> {
    match kind {
        Kind::Tools => {
            Box::new(visible.tools().filter(|spec| has_sound_headers(spec)).map(move |spec| (spec.name.clone(), tool(spec, era))))
        }
        Kind::Resources => Box::new(visible.resources().map(|spec| (spec.uri.clone(), resource(spec)))),
        Kind::Templates => Box::new(visible.templates().map(|spec| (spec.uri_template.clone(), template(spec)))),
        Kind::Prompts => Box::new(visible.prompts().map(|spec| (spec.name.clone(), prompt(spec)))),
    }
}

/// Whether HTTP clients may see the tool: one with an invalid `x-mcp-header` they would have to drop.
fn has_sound_headers(spec: &Spec) -> bool {
    !has_annotations(spec) || spec.input_schema.to_value().is_ok_and(|schema| header_params(&schema).is_ok())
}

/// A tool as clients of the era see it.
pub(crate) fn tool(spec: &Spec, era: Era) -> Json {
    // Before 2026-07-28 an output schema describes an object or is not.
    let describes_object =
        |schema: &&Json| era == Era::Modern || schema.members().is_ok_and(|members| members.string("type").as_deref() == Some("object"));
    if let Some(definition) = &spec.foreign {
        let drops_schema = spec.output_schema.as_ref().is_some_and(|schema| !describes_object(&schema));
        return match definition.members() {
            Ok(members) if drops_schema => members.edit(&[("outputSchema", None)]),
            _ => definition.clone(),
        };
    }
    let meta = Json::object()
        .with("dev.toolcrib/category", &written(&spec.category))
        .with_str("dev.toolcrib/version", &spec.version)
        .with_some("dev.toolcrib/author", spec.author.as_deref().map(Json::string).as_ref())
        .with("dev.toolcrib/tags", &written(&spec.tags))
        .with("dev.toolcrib/reaches", &written(&spec.reaches));
    Json::object()
        .with_str("name", &spec.name)
        .with_some("title", spec.title.as_deref().map(Json::string).as_ref())
        .with_str("description", &spec.description)
        .with("inputSchema", &spec.input_schema)
        .with_some("outputSchema", spec.output_schema.as_ref().filter(describes_object))
        .with("annotations", &annotations(spec))
        .with("_meta", &meta.finish())
        .finish()
}

fn annotations(spec: &Spec) -> Json {
    let hint = |value: Option<bool>| value.map(|value| written(&value));
    Json::object()
        .with_some("readOnlyHint", hint(spec.annotations.is_read_only).as_ref())
        .with_some("destructiveHint", hint(spec.annotations.is_destructive).as_ref())
        .with_some("idempotentHint", hint(spec.annotations.is_idempotent).as_ref())
        .with_some("openWorldHint", hint(spec.annotations.is_open_world).as_ref())
        .finish()
}

fn resource(spec: &ResourceSpec) -> Json {
    spec.foreign.clone().unwrap_or_else(|| described("uri", &spec.uri, &spec.name, spec.description.as_deref(), spec.mime_type.as_deref()))
}

fn template(spec: &TemplateSpec) -> Json {
    spec.foreign
        .clone()
        .unwrap_or_else(|| described("uriTemplate", &spec.uri_template, &spec.name, spec.description.as_deref(), spec.mime_type.as_deref()))
}

fn described(key: &str, uri: &str, name: &str, description: Option<&str>, mime_type: Option<&str>) -> Json {
    Json::object()
        .with_str(key, uri)
        .with_str("name", name)
        .with_some("description", description.map(Json::string).as_ref())
        .with_some("mimeType", mime_type.map(Json::string).as_ref())
        .finish()
}

fn prompt(spec: &PromptSpec) -> Json {
    let own = || {
        Json::object()
            .with_str("name", &spec.name)
            .with_some("title", spec.title.as_deref().map(Json::string).as_ref())
            .with_some("description", spec.description.as_deref().map(Json::string).as_ref())
            .with("arguments", &written(&spec.arguments))
            .finish()
    };
    spec.foreign.clone().unwrap_or_else(own)
}

fn written(value: &impl serde::Serialize) -> Json {
    Json::of(value).expect("our own definitions have a JSON form")
}
