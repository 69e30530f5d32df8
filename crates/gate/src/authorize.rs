//! `Arrived` → [`Permitted`]: is there such a thing, and may this caller call it?
//!
//! The two are answered alike, so that nobody learns names by asking. Without access rules everything is permitted that the profile holds.

use crate::{
    Arrived, Caller, Event,
    catalogue::{Catalogue, Entry, ToolEntry},
};
use std::sync::Arc;
use toolcrib_contract::{BackChannel, Call, CallError, Change, Globs, Kind, PromptSpec, ResourceSpec, Spec, TemplateSpec};

/// A call that its caller may make, with the entry of the catalogue that it keeps even if a reload swaps the catalogue.
#[derive(Debug)]
pub struct Permitted {
    pub(crate) call: Call,
    pub(crate) entry: Arc<Entry>,
    pub(crate) caller: Caller,
    pub(crate) back: Arc<dyn BackChannel>,
}

/// A part of the catalogue by name, for those who need no more. What no pattern names is not in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    /// The tools.
    pub tools: Globs,
    /// The resources, by URI, and the templates, by URI template.
    pub resources: Globs,
    /// The prompts.
    pub prompts: Globs,
}

impl Profile {
    fn includes(&self, kind: Kind, name: &str) -> bool {
        match kind {
            Kind::Tool => self.tools.include(name),
            Kind::Resource | Kind::TemplateCompletion => self.resources.include(name),
            Kind::Prompt | Kind::PromptCompletion => self.prompts.include(name),
        }
    }
}

/// The part of the catalogue that one caller may call: in a list stands what a call finds, and nothing else.
#[derive(Debug, Clone)]
pub struct Visible {
    catalogue: Arc<Catalogue>,
    profile: Option<Arc<Profile>>,
}

impl Visible {
    /// Which state of the catalogue this is.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.catalogue.generation()
    }

    /// The tools, by name.
    pub fn tools(&self) -> impl Iterator<Item = &Spec> {
        self.catalogue.tools().map(ToolEntry::spec).filter(|spec| self.includes(Kind::Tool, &spec.name))
    }

    /// The resources, by URI.
    pub fn resources(&self) -> impl Iterator<Item = &ResourceSpec> {
        self.catalogue.resources().filter(|spec| self.includes(Kind::Resource, &spec.uri))
    }

    /// The resource templates, by URI template.
    pub fn templates(&self) -> impl Iterator<Item = &TemplateSpec> {
        self.catalogue.templates().filter(|spec| self.includes(Kind::TemplateCompletion, &spec.uri_template))
    }

    /// The prompts, by name.
    pub fn prompts(&self) -> impl Iterator<Item = &PromptSpec> {
        self.catalogue.prompts().filter(|spec| self.includes(Kind::Prompt, &spec.name))
    }

    /// Whether the caller would see that something is different.
    #[must_use]
    pub fn concerns(&self, event: &Event) -> bool {
        let any = |kind| event.names.as_ref().is_none_or(|names| names.iter().any(|name| self.includes(kind, name)));
        match &event.change {
            Change::Tools => any(Kind::Tool),
            Change::Prompts => any(Kind::Prompt),
            Change::Resources => any(Kind::Resource),
            Change::Resource(uri) => self.includes(Kind::Resource, uri),
        }
    }

    fn includes(&self, kind: Kind, name: &str) -> bool {
        self.profile.as_ref().is_none_or(|profile| profile.includes(kind, name))
    }

    /// What a call of this name would run.
    pub(crate) fn find(&self, kind: Kind, name: &str) -> Result<Arc<Entry>, CallError> {
        let missing = || CallError::NotFound { kind, name: name.into() };
        if !self.includes(kind, name) {
            return Err(missing());
        }
        self.catalogue.find(kind, name).ok_or_else(|| match self.catalogue.awaited(name) {
            Some(server) => CallError::Unavailable {
                server: Arc::clone(server),
                reason: "it has not connected yet, so its tools are not known; the log of Toolcrib says why".into(),
            },
            None => missing(),
        })
    }
}

pub(crate) fn permit(catalogue: Arc<Catalogue>, Arrived { caller, profile, call, back, .. }: Arrived) -> Result<Permitted, CallError> {
    let entry = visible(catalogue, &caller, profile).find(call.kind, &call.name)?;
    Ok(Permitted { call, entry, caller, back })
}

pub(crate) fn visible(catalogue: Arc<Catalogue>, _caller: &Caller, profile: Option<Arc<Profile>>) -> Visible {
    Visible { catalogue, profile }
}
