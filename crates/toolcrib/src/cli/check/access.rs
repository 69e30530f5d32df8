//! Whether the rules of access say what they are meant to say.

use crate::settings::{Fault, Settings, checked::security::AccessTest};
use serde_json::Value;
use toolcrib_edge::dashboard::views;
use toolcrib_gate::{Access, Caller, Decision, Rule};

/// What of the rules is not as it is said to be: tests that come out otherwise, names that no tool has, conditions on arguments
/// that no tool has.
pub(super) fn faults(settings: &Settings) -> Vec<Fault> {
    let Some(access) = &settings.security.access else { return Vec::new() };
    // What the ready tools take is known without asking anybody.
    let tools: Vec<(String, Value)> = match toolcrib_tools::ready(settings.ready.clone()) {
        Ok(ready) => ready
            .tools
            .into_iter()
            .chain(ready.declared)
            .filter_map(|(spec, _)| Some((spec.name, spec.input_schema.to_value().ok()?)))
            .collect(),
        Err(setup) => return vec![fault("egress", setup.to_string())],
    };
    // Where every server has a prefix, a name without one is that of a ready tool.
    let has_prefixes = settings.servers.iter().all(|server| server.names_begin_with().is_some());
    let misspelt = access.rules.iter().filter(|_| has_prefixes).flat_map(|rule| misspelt(rule, &tools));
    let misfits = access.rules.iter().filter_map(|rule| misfit(rule, &tools));
    let no_views = access.rules.iter().flat_map(no_views);
    let surprises = settings.security.tests.iter().filter_map(|test| surprise(access, test));
    surprises.chain(misspelt).chain(no_views).chain(misfits).collect()
}

fn fault(place: &str, message: String) -> Fault {
    let (file, line) = place.rsplit_once(':').unwrap_or((place, ""));
    Fault { file: file.into(), line: line.parse().unwrap_or_default(), key: "access".into(), message, is_absence: false }
}

/// Patterns that name no tool.
fn misspelt(rule: &Rule, tools: &[(String, Value)]) -> Vec<Fault> {
    let names: Vec<&str> = tools.iter().map(|(name, _)| name.as_str()).collect();
    let patterns = rule.allow.tools.without_match(&names).chain(rule.deny.tools.without_match(&names));
    let misspelt = patterns.filter(|pattern| !pattern.contains("__") && !pattern.trim_matches('*').is_empty());
    misspelt.map(|pattern| fault(&rule.place, format!("no tool is called {pattern:?}; ready tools are {}", names.join(", ")))).collect()
}

/// URIs that look like those of the server's own views, and are none.
fn no_views(rule: &Rule) -> Vec<Fault> {
    let views: Vec<&str> = views().collect();
    let patterns = rule.allow.resources.without_match(&views).chain(rule.deny.resources.without_match(&views));
    let own = patterns.filter(|pattern| pattern.contains("://server/"));
    let told = own.map(|pattern| {
        let nearest = views.iter().min_by_key(|view| strsim::osa_distance(view, &pattern)).copied().unwrap_or_default();
        fault(&rule.place, format!("the server has no resource {pattern:?}; did you mean {nearest:?}?"))
    });
    told.collect()
}

/// A condition on arguments that none of the tools has that it is for: a wide pattern means many tools.
fn misfit(rule: &Rule, tools: &[(String, Value)]) -> Option<Fault> {
    let when = rule.when.as_ref()?;
    let meant = tools.iter().filter(|(name, _)| rule.allow.tools.include(name) || rule.deny.tools.include(name));
    let mut first = None;
    for (name, schema) in meant {
        match when.fits(schema) {
            Ok(()) => return None,
            Err(reason) => first = first.or(Some(format!("when, for {name}: {reason}"))),
        }
    }
    first.map(|message| fault(&rule.place, message))
}

/// A test that comes out otherwise than is expected.
fn surprise(access: &Access, test: &AccessTest) -> Option<Fault> {
    let claims = test.claims.to_value().ok().and_then(|claims| claims.as_object().cloned()).unwrap_or_default();
    let caller = Caller::assumed(test.caller.clone(), claims);
    let decision = access.verdict(&caller, test.kind, &test.name, test.arguments.as_ref());
    if decision.is_allowed() == test.expects_allowed {
        return None;
    }
    let found = match decision {
        Decision::Allowed(rule) => format!("it is allowed, by {}", rule.place),
        Decision::Denied(rule) => format!("it is denied, by {}", rule.place),
        Decision::NotAllowed => "no rule allows it".to_owned(),
    };
    let expected = if test.expects_allowed { "allow" } else { "deny" };
    let roles = if test.caller.roles.is_empty() { "no roles".into() } else { test.caller.roles.join(", ") };
    let given = test.arguments.as_ref().map(|arguments| format!(" and {arguments}")).unwrap_or_default();
    Some(fault(&test.place, format!("expected {expected} for {} {:?} with {roles}{given}: {found}", test.kind, test.name)))
}
