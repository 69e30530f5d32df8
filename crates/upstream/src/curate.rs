//! What the config alters of a tool: how it is described, and arguments whose values it gives. What is not altered stays
//! as the server wrote it.

use crate::{
    definition::{Alteration, Preset},
    naming::ORIGINAL,
};
use std::collections::BTreeMap;
use toolcrib_contract::{CallError, Json, Members};

/// The schema of the arguments that callers still give: fixed ones are gone, those with a default need not be given.
pub(crate) fn schema(schema: &Json, presets: &BTreeMap<String, Preset>) -> Json {
    let Ok(members) = schema.members() else { return schema.clone() };
    let mut edits = Vec::new();
    if let Some(properties) = members.get("properties").and_then(|properties| properties.members().ok()) {
        let known = presets.iter().filter(|(name, _)| properties.has(name));
        let altered: Vec<_> = known.map(|(name, preset)| (name.as_str(), property(&properties, name, preset))).collect();
        edits.push(("properties", Some(properties.edit(&altered))));
    }
    if let Some(required) = members.get("required").and_then(|required| required.elements().ok()) {
        let is_preset = |name: &Json| name.read::<String>().is_ok_and(|name| presets.contains_key(&name));
        edits.push(("required", Some(Json::array(required.into_iter().filter(|name| !is_preset(name))))));
    }
    members.edit(&edits)
}

fn property(properties: &Members, name: &str, preset: &Preset) -> Option<Json> {
    match preset {
        Preset::Fixed(_) => None,
        Preset::Default(value) => {
            let property = properties.get(name)?;
            Some(property.members().map_or(property, |members| members.edit(&[("default", Some(value.clone()))])))
        }
    }
}

/// The arguments as the server gets them. `None` where they stay as the caller gave them.
pub(crate) fn arguments(given: &Json, presets: &BTreeMap<String, Preset>) -> Result<Option<Json>, CallError> {
    if presets.is_empty() {
        return Ok(None);
    }
    let members = given.members().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
    let mut edits = Vec::with_capacity(presets.len());
    for (name, preset) in presets {
        match preset {
            Preset::Fixed(_) if members.has(name) => {
                return Err(CallError::InvalidArguments(format!("/{name}: its value is set by the config; leave it out")));
            }
            Preset::Default(_) if members.has(name) => {}
            Preset::Fixed(value) | Preset::Default(value) => edits.push((name.as_str(), Some(value.clone()))),
        }
    }
    Ok(Some(members.edit(&edits)))
}

/// What is written differently in the definition of a tool.
///
/// `plain` is the name that it would have if neither length nor characters nor the config asked for another.
pub(crate) fn definition<'a>(
    members: &Members,
    name: &str,
    plain: &str,
    theirs: &str,
    alteration: Option<&Alteration>,
) -> Vec<(&'a str, Option<Json>)> {
    let mut edits = Vec::new();
    if name != theirs {
        edits.push(("name", Some(Json::string(name))));
    }
    if let Some(description) = alteration.and_then(|alteration| alteration.description.as_deref()) {
        edits.push(("description", Some(Json::string(description))));
    }
    if let (Some(input), Some(alteration)) = (members.get("inputSchema"), alteration)
        && !alteration.arguments.is_empty()
    {
        edits.push(("inputSchema", Some(schema(&input, &alteration.arguments))));
    }
    // A name from which nobody could tell the server's own is told beside it.
    if name != plain {
        let meta = members.get("_meta").and_then(|meta| meta.members().ok());
        let original = Some(Json::string(theirs));
        edits.push((
            "_meta",
            Some(meta.map_or_else(|| Json::object().with_str(ORIGINAL, theirs).finish(), |meta| meta.edit(&[(ORIGINAL, original)]))),
        ));
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presets() -> BTreeMap<String, Preset> {
        let json = |text: &'static str| Json::parse(text).unwrap();
        [("repo".to_owned(), Preset::Fixed(json(r#""/srv""#))), ("count".to_owned(), Preset::Default(json("1.50")))].into()
    }

    #[test]
    fn nobody_sees_a_fixed_argument_and_a_default_need_not_be_given() {
        let before = r#"{"type":"object","properties":{"repo":{"type":"string"},"count":{"type":"number"},"x":{"minimum":1.0}},"required":["repo","count","x"],"y":0.10}"#;
        let after =
            r#"{"type":"object","properties":{"count":{"type":"number","default":1.50},"x":{"minimum":1.0}},"required":["x"],"y":0.10}"#;
        assert_eq!(schema(&Json::parse(before).unwrap(), &presets()).as_str(), after);
    }

    #[test]
    fn the_server_gets_what_the_config_gives() {
        let check = |given: &'static str, expected: Result<&str, &str>| {
            let found = arguments(&Json::parse(given).unwrap(), &presets())
                .map(|json| json.unwrap().to_string())
                .map_err(|error| error.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), expected);
        };
        check(r#"{"x":1e2}"#, Ok(r#"{"x":1e2,"count":1.50,"repo":"/srv"}"#));
        check(r#"{"count":7}"#, Ok(r#"{"count":7,"repo":"/srv"}"#));
        check(r#"{"repo":"/etc"}"#, Err("Invalid tool input: /repo: its value is set by the config; leave it out"));
    }
}
