//! Who may have what: rules that give things to roles, and rules that take them away.
//!
//! A rule that denies beats every rule that allows, and what no rule allows is not allowed. A condition that cannot be
//! judged helps nobody: a rule that allows by it does not, a rule that denies by it does.

use super::condition::{Condition, Facts};
use serde_json::Value;
use std::sync::Arc;
use toolcrib_contract::{CallError, CallerId, Globs, Json, Kind};

/// The largest arguments that conditions are judged on: that takes time, and nothing else is done meanwhile.
const MAX_JUDGED_BYTES: usize = 64 * 1024;

/// The role that everybody has, the anonymous caller included.
pub const EVERYONE: &str = "*";

/// What the URIs of resources begin with that are for those who look after the server.
const FOR_OPERATORS: &[&str] = &[
    "status://server/",
    "metrics://server/",
    "config://server/",
    "logs://server/",
    "audit://server/",
    "access://server/",
    "control://server/",
];

/// Things by the patterns of their names. What no pattern names is not meant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Names {
    /// The tools.
    pub tools: Globs,
    /// The resources, by URI, and the templates, by URI template.
    pub resources: Globs,
    /// The prompts.
    pub prompts: Globs,
}

impl Names {
    /// Whether they give what is called so. What tells of everything at once, whoever may have what of it, is given only by its name.
    fn give(&self, kind: Kind, name: &str) -> bool {
        if kind == Kind::Resource && FOR_OPERATORS.iter().any(|scheme| name.starts_with(scheme)) {
            self.resources.name(name)
        } else {
            self.include(kind, name)
        }
    }

    pub(crate) fn include(&self, kind: Kind, name: &str) -> bool {
        match kind {
            Kind::Tool => self.tools.include(name),
            Kind::Resource | Kind::TemplateCompletion => self.resources.include(name),
            Kind::Prompt | Kind::PromptCompletion => self.prompts.include(name),
        }
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Where it is written, for whoever asks why.
    pub place: Arc<str>,
    /// For whom: callers with one of these roles. [`EVERYONE`] means everybody.
    pub roles: Vec<Box<str>>,
    /// What it gives.
    pub allow: Names,
    /// What it takes away.
    pub deny: Names,
    /// When it applies; always, without one.
    pub when: Option<Condition>,
}

/// The rules of access. Their order does not matter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Access {
    /// The rules.
    pub rules: Vec<Rule>,
    /// Roles that clients can get by asking their authorization server for the scope of the same name.
    pub scopes: Vec<Box<str>>,
}

/// What is decided, and by which rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decision<'a> {
    /// A rule allows it and none denies it.
    Allowed(&'a Rule),
    /// A rule denies it.
    Denied(&'a Rule),
    /// No rule allows it.
    NotAllowed,
}

impl Decision<'_> {
    /// The place of the rule that denies it.
    pub(crate) fn denied_by(&self) -> Option<Arc<str>> {
        if let Self::Denied(rule) = self { Some(Arc::clone(&rule.place)) } else { None }
    }

    /// Whether it is allowed.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }
}

/// What one rule says to one call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Says {
    /// It is for others, or for other things.
    Nothing,
    /// Its condition does not hold.
    NotNow,
    /// Its condition cannot be judged.
    Unclear(String),
    Allows,
    Denies,
}

impl Rule {
    fn is_for(&self, caller: &CallerId) -> bool {
        self.roles.iter().any(|role| &**role == EVERYONE || caller.has_role(role))
    }

    fn says(&self, kind: Kind, facts: Facts<'_>, arguments: Option<&Value>) -> Says {
        if !self.is_for(facts.caller) {
            return Says::Nothing;
        }
        let denies = self.deny.include(kind, facts.name);
        if !denies && !self.allow.give(kind, facts.name) {
            return Says::Nothing;
        }
        let Some(when) = &self.when else { return if denies { Says::Denies } else { Says::Allows } };
        let holds = when.holds(facts, arguments);
        // What depends on arguments is not taken away before these are known.
        let is_open = denies && arguments.is_none() && when.needs_arguments();
        match holds {
            Ok(true) if is_open => Says::NotNow,
            Ok(true) if denies => Says::Denies,
            Ok(true) => Says::Allows,
            Ok(false) => Says::NotNow,
            Err(reason) => Says::Unclear(reason),
        }
    }
}

impl Access {
    /// Decides on a call, or, without arguments, whether there are any with which it could be made.
    pub(crate) fn decide(&self, kind: Kind, facts: Facts<'_>, arguments: Option<&Value>) -> Decision<'_> {
        let mut allowed = None;
        for rule in &self.rules {
            match rule.says(kind, facts, arguments) {
                Says::Denies => return Decision::Denied(rule),
                Says::Unclear(_) if rule.deny.include(kind, facts.name) => return Decision::Denied(rule),
                Says::Allows if allowed.is_none() => allowed = Some(rule),
                _ => {}
            }
        }
        allowed.map_or(Decision::NotAllowed, Decision::Allowed)
    }

    /// Judges a call by its arguments.
    pub(crate) fn judge(&self, kind: Kind, facts: Facts<'_>, arguments: &Json) -> Result<(), CallError> {
        let size = arguments.size_bytes();
        if size > MAX_JUDGED_BYTES {
            return Err(CallError::InvalidArguments(format!(
                "a rule looks at the arguments, so they may have {MAX_JUDGED_BYTES} bytes, not {size}"
            )));
        }
        let arguments = arguments.to_value().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
        let decision = self.decide(kind, facts, Some(&arguments));
        // That there is such a thing the caller knows: only what it wants of it is not allowed.
        if decision.is_allowed() { Ok(()) } else { Err(CallError::ArgumentsForbidden { rule: decision.denied_by() }) }
    }

    /// Whether a decision on this call has to look at its arguments.
    pub(crate) fn looks_at_arguments(&self, kind: Kind, caller: &CallerId, name: &str) -> bool {
        self.rules.iter().any(|rule| {
            rule.when.as_ref().is_some_and(Condition::needs_arguments)
                && rule.is_for(caller)
                && (rule.allow.include(kind, name) || rule.deny.include(kind, name))
        })
    }

    /// What each rule that has to do with a call says to it.
    pub(crate) fn opinions(&self, kind: Kind, facts: Facts<'_>, arguments: Option<&Value>) -> Vec<(&Rule, Says)> {
        let opinions = self.rules.iter().map(|rule| (rule, rule.says(kind, facts, arguments)));
        opinions.filter(|(_, says)| *says != Says::Nothing).collect()
    }

    /// The scopes of which each would be enough for what is not allowed as it is, the first of them as the least to ask for.
    pub(crate) fn scopes_for(&self, kind: Kind, facts: Facts<'_>) -> Box<[Box<str>]> {
        let enough = |scope: &str| {
            let roles = facts.caller.roles.iter().map(AsRef::as_ref).chain([scope]);
            let with = CallerId::new(&facts.caller.authority, &facts.caller.subject, roles);
            self.decide(kind, Facts { caller: &with, ..facts }, None).is_allowed()
        };
        self.scopes.iter().find(|scope| enough(scope)).into_iter().cloned().collect()
    }

    /// Whether anything is there for callers who have proved nothing.
    #[must_use]
    pub fn has_something_for_everyone(&self) -> bool {
        let is_given = |rule: &Rule| {
            // Whoever has proved nothing has no claims that a condition could find.
            let asks_claims = rule.when.as_ref().is_some_and(|when| when.speaks_of("claims"));
            rule.allow != Names::default() && !asks_claims && rule.roles.iter().any(|role| &**role == EVERYONE)
        };
        self.rules.iter().any(is_given)
    }
}
