//! Prompts and resources that the config declares.

use super::{
    super::{
        Lookup,
        document::{Faults, Spanned},
        raw::offered as raw,
    },
    declared::{command, template},
    one_of, seconds, within,
};
use std::collections::{BTreeMap, BTreeSet};
use toolcrib_contract::{Globs, PromptArgument, PromptSpec, ResourceSpec, output::Role};
use toolcrib_tools::declared::{FolderSettings, PREFIX, PromptSettings, ReadFrom, ResourceSettings, Written as Output, media_type};

const ROLES: &[(&str, Role)] = &[("user", Role::User), ("assistant", Role::Assistant)];
/// The most that is read of a file, unless the config says.
const DEFAULT_MAX_BYTES: usize = 1 << 20;

pub(super) fn prompts(written: &[raw::Prompt], faults: &mut Faults) -> Vec<PromptSettings> {
    written.iter().filter_map(|prompt| self::prompt(prompt, faults)).collect()
}

fn prompt(written: &raw::Prompt, faults: &mut Faults) -> Option<PromptSettings> {
    refuse_odd_name(&written.name, "a prompt", faults);
    let spec = PromptSpec {
        name: written.name.value.clone(),
        title: written.title.as_ref().map(|title| title.value.clone()),
        description: written.description.as_ref().map(|text| text.value.clone()),
        arguments: written.arguments.iter().map(argument).collect(),
        foreign: None,
    };
    let user = |text: &Spanned<String>| (text.with("user".to_owned()), text.clone());
    let said: Vec<(Spanned<String>, Spanned<String>)> = match (&written.text, written.messages.as_slice()) {
        (Some(text), []) => vec![user(text)],
        (None, messages @ [_, ..]) => messages.to_vec(),
        _ => {
            faults.add(written.name.fault("a prompt has either a text or messages, such as messages: [{ user: … }, { assistant: … }]"));
            return None;
        }
    };
    let mut messages = Vec::new();
    for (who, text) in &said {
        let (role, parsed) = (one_of(Some(who), ROLES, faults)?, template(text, faults)?);
        for place in parsed.places() {
            if !spec.arguments.iter().any(|argument| argument.name == place.to_string()) {
                faults.add(text.fault(format!("{{{{{place}}}}} is no argument of this prompt")));
            }
        }
        messages.push((role, parsed));
    }
    let values = written.arguments.iter().filter(|argument| !argument.values.is_empty());
    let values: BTreeMap<String, Vec<String>> =
        values.map(|argument| (argument.name.value.clone(), argument.values.iter().map(|value| value.value.clone()).collect())).collect();
    Some(PromptSettings { spec, messages, values })
}

fn argument(written: &raw::Argument) -> PromptArgument {
    PromptArgument {
        name: written.name.value.clone(),
        description: written.description.as_ref().map(|text| text.value.clone()),
        required: !written.optional.as_ref().is_some_and(|flag| flag.value),
    }
}

pub(super) fn resources(written: &[raw::Resource], lookup: Lookup<'_>, faults: &mut Faults) -> Vec<ResourceSettings> {
    let mut uris = BTreeSet::new();
    let mut resources = Vec::new();
    for written in written {
        let Some(resource) = resource(written, lookup, faults) else { continue };
        if !uris.insert(resource.spec.uri.clone()) {
            faults.add(written.name.fault(format!("another resource has the URI {}", resource.spec.uri)));
        }
        resources.push(resource);
    }
    resources
}

fn resource(written: &raw::Resource, lookup: Lookup<'_>, faults: &mut Faults) -> Option<ResourceSettings> {
    refuse_odd_name(&written.name, "a resource", faults);
    let name = &written.name.value;
    let max_bytes = within(written.max_bytes.as_ref(), 1..=(8 << 20), faults);
    let every = seconds(written.every_secs.as_ref(), faults);
    if let Some(often) = written.every_secs.as_ref().filter(|secs| secs.value < 1.0) {
        faults.add(often.fault("a program is run every second at most"));
    }
    refuse_strangers(written, faults);
    let (from, guessed) = match (&written.file, &written.folder, &written.command) {
        (Some(file), None, None) => {
            let path = written.base.join(&file.value);
            let guessed = media_type(&path);
            (ReadFrom::File(path, max_bytes.unwrap_or(DEFAULT_MAX_BYTES)), guessed)
        }
        (None, Some(folder), None) => {
            let path = written.base.join(&folder.value);
            if !path.is_dir() {
                faults.add(folder.absence(format!("there is no folder {}", path.display())));
            }
            let include = if written.include.is_empty() { Globs::new(["*"]) } else { globs(&written.include) };
            let max_bytes = max_bytes.unwrap_or(DEFAULT_MAX_BYTES);
            (ReadFrom::Folder(FolderSettings { path, include, exclude: globs(&written.exclude), max_bytes }), None)
        }
        (None, None, Some(program)) => {
            let settings = command(program, &written.secrets, &written.base, lookup, faults)?;
            if let Some(place) = settings.places().first() {
                faults.add(program.place.fault(format!("{{{{{place}}}}}: a resource has no arguments")));
            }
            let kind = if settings.output == Output::Json { "application/json" } else { "text/plain" };
            (ReadFrom::Command(Box::new(settings), every), Some(kind))
        }
        _ => {
            faults.add(written.name.fault("a resource is either a file, a folder, or what a command writes"));
            return None;
        }
    };
    let is_folder = matches!(from, ReadFrom::Folder(_));
    let uri = match &written.uri {
        Some(uri) if is_uri(&uri.value) => uri.value.clone(),
        Some(uri) => {
            faults.add(uri.fault("a URI begins with its scheme, such as handbook://"));
            return None;
        }
        None => format!("{PREFIX}{name}{}", if is_folder { "/" } else { "" }),
    };
    if is_folder && !uri.ends_with('/') {
        faults.add(written.name.fault("the URI of a folder ends with a slash: the paths of its files come after it"));
    }
    let mime_type = written.mime_type.as_ref().map(|kind| kind.value.clone()).or_else(|| guessed.map(ToOwned::to_owned));
    let description = written.description.as_ref().map(|text| text.value.clone());
    Some(ResourceSettings { spec: ResourceSpec { uri, name: name.clone(), description, mime_type, foreign: None }, from })
}

/// What is said that goes with another kind of resource.
fn refuse_strangers(written: &raw::Resource, faults: &mut Faults) {
    if written.folder.is_none() {
        for pattern in written.include.iter().chain(&written.exclude) {
            faults.add(pattern.fault("include and exclude go with a folder"));
        }
    }
    if let (None, Some(every)) = (&written.command, &written.every_secs) {
        faults.add(every.fault("\"every\" goes with a command; changes of files are seen anyhow"));
    }
    if let (Some(_), Some(most)) = (&written.command, &written.max_bytes) {
        faults.add(most.fault("of a command it is maxOutputBytes, in the command"));
    }
}

fn globs(patterns: &[Spanned<String>]) -> Globs {
    Globs::new(patterns.iter().map(|pattern| &pattern.value))
}

fn refuse_odd_name(name: &Spanned<String>, what: &str, faults: &mut Faults) {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.value.is_empty() || name.value.len() > 64 || !name.value.chars().all(is_plain) {
        faults.add(name.fault(format!("the name of {what} has at most 64 letters, digits, \"-\", \"_\" and \".\"")));
    }
}

/// Whether a text begins with a scheme (RFC 3986, section 3.1).
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_fit) && !rest.is_empty()
}
