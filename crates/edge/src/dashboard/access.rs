//! Who may have what, as a table: roles across, what there is down, and in each cell the rule that decides.

use serde::Serialize;
use toolcrib_contract::{CallerId, Json, Kind};
use toolcrib_gate::{Access, Caller, Decision, EVERYONE, Gate};

#[derive(Serialize)]
struct Matrix {
    /// Whether there are rules at all: without any, everybody may have everything.
    is_ruled: bool,
    roles: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    kind: &'static str,
    name: String,
    /// One for each role.
    cells: Vec<Cell>,
}

#[derive(Serialize)]
struct Cell {
    allowed: bool,
    /// Where the rule stands that decides, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// The condition under which it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<String>,
}

/// The table of this gate, as its rules and its catalogue are now.
pub(super) fn matrix(gate: &Gate) -> Json {
    let access = gate.access();
    let roles = access.as_deref().map(roles_of).unwrap_or_default();
    let catalogue = gate.catalogue();
    let things = (catalogue.tools().map(|tool| (Kind::Tool, "tool", tool.spec().name.clone())))
        .chain(catalogue.resources().map(|resource| (Kind::Resource, "resource", resource.uri.clone())))
        .chain(catalogue.templates().map(|template| (Kind::TemplateCompletion, "template", template.uri_template.clone())))
        .chain(catalogue.prompts().map(|prompt| (Kind::Prompt, "prompt", prompt.name.clone())))
        .chain(super::VIEWS.iter().filter(|view| !catalogue.resources().any(|resource| resource.uri == view.uri)).map(of_view));
    let rows = things.map(|(kind, word, name)| {
        let cells = access.as_deref().map(|access| roles.iter().map(|role| cell(access, role, kind, &name)).collect());
        Row { kind: word, name, cells: cells.unwrap_or_default() }
    });
    Json::of(&Matrix { is_ruled: access.is_some(), rows: rows.collect(), roles }).expect("names and words are JSON")
}

/// What is no resource of the catalogue is given by rules all the same.
fn of_view(view: &super::View) -> (Kind, &'static str, String) {
    (Kind::Resource, "resource", view.uri.to_owned())
}

/// The roles that rules name, everybody last.
fn roles_of(access: &Access) -> Vec<String> {
    let mut roles: Vec<String> = access.rules.iter().flat_map(|rule| &rule.roles).map(ToString::to_string).collect();
    roles.retain(|role| role != EVERYONE);
    roles.sort_unstable();
    roles.dedup();
    roles.push(EVERYONE.to_owned());
    roles
}

fn cell(access: &Access, role: &str, kind: Kind, name: &str) -> Cell {
    let roles = (role != EVERYONE).then_some(role);
    let caller = Caller::assumed(CallerId::new(CallerId::LOCAL, "matrix", roles), serde_json::Map::new());
    let decision = access.verdict(&caller, kind, name, None);
    let rule = match decision {
        Decision::Allowed(rule) | Decision::Denied(rule) => Some(rule),
        Decision::NotAllowed => access.conditional(&caller, kind, name),
    };
    Cell {
        allowed: decision.is_allowed(),
        rule: rule.map(|rule| rule.place.to_string()),
        when: rule.and_then(|rule| rule.when.as_ref()).map(|when| when.text().to_owned()),
    }
}
