//! What each step would decide about a call, and why. Nothing is executed, counted or recorded.

use crate::{
    Gate,
    authenticate::Assumed,
    authorize::{self, Access, Asker, Condition, Decision, Rule, Says},
    validate,
};
use std::{sync::Arc, time::SystemTime};
use toolcrib_contract::{Call, CallError, Json, Kind, Origin};

/// What would become of a call.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// What each step would decide, in their order, up to the one that would stop the call.
    pub steps: Vec<Step>,
    /// What the caller would be answered instead, if it would be stopped.
    pub answer: Option<String>,
}

/// What one step would decide.
#[derive(Debug, Clone)]
pub struct Step {
    /// The step, as in [`Gate::call`].
    pub name: &'static str,
    /// Whether the call would pass.
    pub passes: bool,
    /// Why.
    pub reasons: Vec<String>,
}

impl Explanation {
    /// Whether the call would be made.
    #[must_use]
    pub fn is_made(&self) -> bool {
        self.answer.is_none()
    }

    /// Adds a step; gives back whether the call would go on.
    fn add(&mut self, name: &'static str, reasons: Vec<String>, stopped: Option<&CallError>) -> bool {
        self.steps.push(Step { name, passes: stopped.is_none(), reasons });
        self.answer = stopped.map(ToString::to_string);
        stopped.is_none()
    }
}

impl Gate {
    /// Explains what would become of a call. Without arguments, what depends on them is left open.
    #[must_use]
    pub fn explain(&self, Assumed(caller): &Assumed, origin: &Origin, call: &Call, has_arguments: bool) -> Explanation {
        let mut explanation = Explanation { steps: Vec::new(), answer: None };
        let (kind, name) = (call.kind, &*call.name);
        let roles = caller.id().roles.join(", ");
        let who =
            format!("{} with {}", caller.id().principal(), if roles.is_empty() { "no roles".into() } else { format!("the roles {roles}") });
        let at = origin.address.map(|address| format!(", from {address}")).unwrap_or_default();
        explanation.add("authenticate", vec![format!("taken to be {who}"), format!("at the door {}{at}", origin.door)], None);
        let access = self.access.load_full();
        let visible = authorize::visible(access.as_ref(), self.catalogue(), caller, origin, None, true);
        let found = visible.find(kind, name);
        let facts = authorize::facts(caller, origin, name);
        let mut reasons = match &access {
            None => vec!["there are no rules: everybody may have everything".into()],
            Some(access) => opinions(access, kind, facts, None),
        };
        if let Err(CallError::NotFound { .. }) = &found {
            reasons.push(format!("there is no {kind} of that name here"));
        }
        if let Err(CallError::Forbidden { scopes, .. }) = &found
            && !scopes.is_empty()
        {
            reasons.push(format!(
                "with the scope {} it would be allowed: over HTTP the client is told so (403, or 401 without a token)",
                scopes.join(" ")
            ));
        }
        if !explanation.add("authorize", reasons, found.as_ref().err()) {
            return explanation;
        }
        let Ok(entry) = found else { return explanation };
        let mut arguments = call.arguments.clone();
        if has_arguments {
            let fitted = validate::fitted(&entry, &call.arguments, self.config.max_argument_bytes);
            let reason = if fitted.is_ok() { "the arguments fit the schema" } else { "the arguments do not fit the schema" };
            if !explanation.add("validate", vec![reason.to_owned()], fitted.as_ref().err()) {
                return explanation;
            }
            arguments = fitted.ok().flatten().unwrap_or(arguments);
        } else {
            explanation.add("validate", vec!["no arguments were given, so none are judged".into()], None);
        }
        if let Some(access) = access.as_ref().filter(|access| access.looks_at_arguments(kind, caller.id(), name)) {
            let judged = has_arguments.then(|| access.judge(kind, facts, &arguments));
            let reasons =
                if has_arguments { opinions(access, kind, facts, Some(&arguments)) } else { vec!["depends on the arguments".into()] };
            if !explanation.add("authorize the arguments", reasons, judged.and_then(Result::err).as_ref()) {
                return explanation;
            }
        }
        let asker = Asker { caller: caller.id(), address: origin.address };
        let (mut reasons, reached) = self.limits.load().used(asker, kind, name, SystemTime::now());
        if reasons.is_empty() {
            reasons.push("no limit applies".into());
        }
        if !explanation.add("limits", reasons, reached.as_ref()) {
            return explanation;
        }
        let timeout = entry.timeout().unwrap_or(self.config.timeout);
        let mut reasons = vec![format!("would run for at most {} s", timeout.as_secs_f64())];
        let mut fails = None;
        match entry.callable().foretell(&arguments).filter(|_| has_arguments) {
            Some(Ok(lines)) => reasons.extend(lines),
            Some(Err(error)) => fails = Some(error),
            None => {}
        }
        explanation.add("execute", reasons, fails.as_ref());
        explanation
    }
}

/// What the rules say that have to do with a call, and what follows.
fn opinions(access: &Arc<Access>, kind: Kind, facts: authorize::Facts<'_>, arguments: Option<&Json>) -> Vec<String> {
    let value = arguments.and_then(|arguments| arguments.to_value().ok());
    let mut reasons: Vec<String> = access
        .opinions(kind, facts, value.as_ref())
        .into_iter()
        .map(|(rule, says)| {
            let when = rule.when.as_ref().map(|when| format!(" when {}", when.text())).unwrap_or_default();
            let says = match says {
                Says::Allows => "allows it".to_owned(),
                Says::Denies => "denies it".to_owned(),
                Says::NotNow if value.is_none() && rule.when.as_ref().is_some_and(Condition::needs_arguments) => {
                    "depends on the arguments".to_owned()
                }
                Says::NotNow => "does not apply".to_owned(),
                Says::Unclear(reason) => format!("cannot be judged ({reason})"),
                Says::Nothing => String::new(),
            };
            format!("{}: the rule for {}{when} {says}", rule.place, rule.roles.join(", "))
        })
        .collect();
    reasons.push(match access.decide(kind, facts, value.as_ref()) {
        Decision::Allowed(rule) => format!("allowed by {}", rule.place),
        Decision::Denied(rule) => format!("denied by {}", rule.place),
        Decision::NotAllowed => "no rule allows it".into(),
    });
    reasons
}

impl Access {
    /// A rule that would decide on something for this caller, if its condition held; for what no rule decides on as it is.
    #[must_use]
    pub fn conditional(&self, Assumed(caller): &Assumed, kind: Kind, name: &str) -> Option<&Rule> {
        let opinions = self.opinions(kind, authorize::facts(caller, &Origin::door("http"), name), None);
        opinions.into_iter().map(|(rule, _)| rule).find(|rule| rule.when.is_some())
    }

    /// Whether a caller may have something, and by which rule; with arguments, whether it may be called with them.
    #[must_use]
    pub fn verdict(&self, Assumed(caller): &Assumed, kind: Kind, name: &str, arguments: Option<&Json>) -> Decision<'_> {
        let value = arguments.and_then(|arguments| arguments.to_value().ok());
        self.decide(kind, authorize::facts(caller, &Origin::door("http"), name), value.as_ref())
    }
}
