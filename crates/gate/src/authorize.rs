//! `Arrived` → [`Permitted`]: is there such a thing, and may this caller call it?
//!
//! The two are answered alike, so that nobody learns names by asking, unless the operator offers scopes that would be enough: then
//! a client is told to ask for them. Without rules everything is permitted that the
//! profile holds. What a rule says of arguments is judged once these have been checked, on what the tool will get.

mod condition;
mod limits;
mod rules;
mod uri;

pub use condition::Condition;
pub(crate) use condition::Facts;
pub(crate) use limits::{Asker, Limits};
pub use limits::{CountedTogether, Limit};
pub(crate) use rules::Says;
pub use rules::{Access, Decision, EVERYONE, Names, Rule};

use crate::{
    Arrived, Caller, Event,
    catalogue::{Catalogue, Entry, ToolEntry},
    validate::Checked,
};
use std::sync::Arc;
use toolcrib_contract::{BackChannel, Call, CallError, Change, Kind, Origin, Outage, PromptSpec, ResourceSpec, Spec, TemplateSpec};

/// A call that its caller may make, with the entry of the catalogue that it keeps even if a reload swaps the catalogue. It is boxed: the
/// steps that are left hand it on.
#[derive(Debug)]
pub struct Permitted {
    pub(crate) call: Call,
    pub(crate) entry: Arc<Entry>,
    pub(crate) caller: Caller,
    pub(crate) origin: Origin,
    pub(crate) back: Arc<dyn BackChannel>,
}

/// The part of the catalogue that one caller may call: in a list stands what a call finds, and nothing else.
#[derive(Debug, Clone)]
pub struct Visible {
    catalogue: Arc<Catalogue>,
    profile: Option<Arc<Names>>,
    access: Option<Arc<Access>>,
    caller: Caller,
    origin: Origin,
    /// Whether the caller is still who it proved to be.
    is_known: bool,
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

    /// The tools, by name, with all that is known of them here.
    pub fn tool_entries(&self) -> impl Iterator<Item = &ToolEntry> {
        self.catalogue.tools().filter(|tool| self.includes(Kind::Tool, &tool.spec().name))
    }

    /// Every tool that there is, whoever may have it: for what is worked out once for all callers.
    pub fn every_tool(&self) -> impl Iterator<Item = &Spec> {
        self.catalogue.tools().map(ToolEntry::spec)
    }

    /// The tool of this name.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<&Spec> {
        self.catalogue.tool(name).map(ToolEntry::spec).filter(|spec| self.includes(Kind::Tool, &spec.name))
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

    /// Whether the caller may read what has this URI, be it a resource of the catalogue or what a door itself shows.
    #[must_use]
    pub fn may_read(&self, uri: &str) -> bool {
        self.includes(Kind::Resource, uri)
    }

    /// Whether no rule makes a difference between callers.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.access.is_none()
    }

    /// Says why a call of this name would not be let pass, as far as its arguments do not matter.
    ///
    /// # Errors
    /// Those of the call.
    pub fn check(&self, kind: Kind, name: &str) -> Result<(), CallError> {
        self.find(kind, name).map(drop)
    }

    fn includes(&self, kind: Kind, name: &str) -> bool {
        self.profile.as_ref().is_none_or(|profile| profile.include(kind, name)) && self.may_have(kind, name)
    }

    fn may_have(&self, kind: Kind, name: &str) -> bool {
        self.is_known
            && self.access.as_ref().is_none_or(|access| access.decide(kind, facts(&self.caller, &self.origin, name), None).is_allowed())
    }

    /// What a call of this name would run.
    pub(crate) fn find(&self, kind: Kind, name: &str) -> Result<Arc<Entry>, CallError> {
        let missing = || CallError::NotFound { kind, name: name.into() };
        if !self.profile.as_ref().is_none_or(|profile| profile.include(kind, name)) {
            return Err(missing());
        }
        let found = self.catalogue.find(kind, name);
        let by_template = kind == Kind::Resource && found.as_ref().is_some_and(|entry| matches!(**entry, Entry::Template(_)));
        // Another way to write a URI must not be a way around what is said of it.
        if by_template && (self.access.is_some() || self.profile.is_some()) && !uri::is_plain(name) {
            return Err(missing());
        }
        if !self.may_have(kind, name) {
            return Err(if found.is_some() {
                forbidden(self.access.as_deref(), kind, facts(&self.caller, &self.origin, name))
            } else {
                missing()
            });
        }
        found.ok_or_else(|| match self.catalogue.awaited(name) {
            Some(server) => CallError::Unavailable {
                server: Arc::clone(server),
                reason: "it has not connected yet, so its tools are not known; the log of Toolcrib says why".into(),
                outage: Outage::Down,
            },
            None => missing(),
        })
    }
}

fn forbidden(access: Option<&Access>, kind: Kind, facts: Facts<'_>) -> CallError {
    let scopes = access.map(|access| access.scopes_for(kind, facts)).unwrap_or_default();
    let rule = access.and_then(|access| access.decide(kind, facts, None).denied_by());
    CallError::Forbidden { kind, name: facts.name.into(), scopes, rule }
}

pub(crate) fn facts<'a>(caller: &'a Caller, origin: &'a Origin, name: &'a str) -> Facts<'a> {
    Facts { claims: caller.claims(), caller: caller.id(), name, door: origin.door, address: origin.address }
}

pub(crate) fn permit(
    access: Option<&Arc<Access>>,
    catalogue: Arc<Catalogue>,
    Arrived { caller, profile, call, origin, back }: Arrived,
) -> Result<Box<Permitted>, CallError> {
    let visible = Visible { catalogue, profile, access: access.cloned(), caller, origin, is_known: true };
    let entry = visible.find(call.kind, &call.name)?;
    Ok(Box::new(Permitted { call, entry, caller: visible.caller, origin: visible.origin, back }))
}

/// Judges what the rules say of the arguments, now that these are what the tool will get.
pub(crate) fn agree(access: Option<&Arc<Access>>, checked: &Checked) -> Result<(), CallError> {
    let Permitted { call, caller, origin, .. } = &*checked.permitted;
    agree_on(access, call, caller, origin)
}

/// The same, of a call whose arguments are checked by nothing else.
pub(crate) fn agree_on(access: Option<&Arc<Access>>, call: &Call, caller: &Caller, origin: &Origin) -> Result<(), CallError> {
    let Some(access) = access.filter(|access| access.looks_at_arguments(call.kind, caller.id(), &call.name)) else { return Ok(()) };
    access.judge(call.kind, facts(caller, origin, &call.name), &call.arguments)
}

pub(crate) fn visible(
    access: Option<&Arc<Access>>,
    catalogue: Arc<Catalogue>,
    caller: &Caller,
    origin: &Origin,
    profile: Option<Arc<Names>>,
    is_known: bool,
) -> Visible {
    Visible { catalogue, profile, access: access.cloned(), caller: caller.clone(), origin: origin.clone(), is_known }
}
