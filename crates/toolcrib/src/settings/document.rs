//! A YAML or JSON document whose every value knows its line, read with all faults gathered.

use saphyr::{MarkedYaml, ScalarStyle, ScanError, YamlData, YamlLoader};
use saphyr_parser::{Event, Parser};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};
use toolcrib_contract::Json;

/// How deep a document may be nested.
const MAX_DEPTH: usize = 200;

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The key, as a path; empty for the document itself.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
    /// Whether it is that something is not there which the file names: it may come, and until then only what needs it fails.
    pub is_absence: bool,
}

/// Everything that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether nothing is wrong but that some things are not there.
    #[must_use]
    pub fn are_absences(&self) -> bool {
        self.0.iter().all(|fault| fault.is_absence)
    }

    /// Those that are so.
    pub(super) fn only(mut self, are: impl Fn(&Fault) -> bool) -> Self {
        self.0.retain(are);
        self
    }

    /// Whether something in this place, or within it, makes no sense.
    pub(super) fn spoil(&self, place: &Spanned<()>) -> bool {
        let is_within = |key: &str| key.strip_prefix(&place.key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        self.0.iter().any(|fault| !fault.is_absence && fault.file == place.file && is_within(&fault.key))
    }

    /// The faults, in the order of their lines.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        let mut sorted: Vec<&Fault> = self.0.iter().collect();
        sorted.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        sorted.into_iter()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file.display(), self.line)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

/// Parses a document. JSON is read as the YAML that it is.
pub(super) fn parse<'a>(text: &'a str, file: &Path, faults: &mut Faults) -> Option<MarkedYaml<'a>> {
    match load(text) {
        Ok(mut documents) if documents.len() == 1 => documents.pop(),
        Ok(documents) if documents.is_empty() => None,
        Ok(documents) => {
            let line = documents[1].span.start.line();
            faults.add(Fault {
                file: file.to_owned(),
                line,
                key: String::new(),
                message: "a config file holds one document, here begins another".into(),
                is_absence: false,
            });
            None
        }
        Err(error) => {
            faults.add(Fault {
                file: file.to_owned(),
                line: error.marker().line(),
                key: String::new(),
                message: format!("this is not YAML: {} (texts that hold *, &, {{, [, # or \": \" stand in quotes)", error.info()),
                is_absence: false,
            });
            None
        }
    }
}

/// What is in a document that is no config: JSON, or YAML.
pub(crate) fn value_of(text: &str, file: &Path) -> Result<Value, String> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| format!("{} is no JSON: {error}", file.display()));
    }
    // What stands for something else could stand for more than there is memory for.
    if Parser::new_from_str(text).any(|event| matches!(event, Ok((Event::Alias(_), _)))) {
        return Err(format!("{} has YAML aliases (*name), which are not taken in a document", file.display()));
    }
    let mut faults = Faults::default();
    let read = parse(text, file, &mut faults)
        .and_then(|document| Node::root(&document, file).json(&mut |text| Some(text.value), &mut faults))
        .and_then(|json| json.to_value().ok());
    read.ok_or_else(|| if faults.is_empty() { format!("{} is empty", file.display()) } else { faults.to_string() })
}

/// Loads scalars as they were written: whether `1.10` is a number or a text depends on where it stands.
fn load(text: &str) -> Result<Vec<MarkedYaml<'_>>, ScanError> {
    // What is loaded level by level takes stack for each of them.
    let mut depth = 0_usize;
    for (event, span) in Parser::new_from_str(text).map_while(Result::ok) {
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(ScanError::new(span.start, format!("it is nested more than {MAX_DEPTH} levels deep")));
        }
    }
    let mut loader = YamlLoader::<MarkedYaml<'_>>::default();
    loader.early_parse(false);
    Parser::new_from_str(text).load(&mut loader, true)?;
    // Faults that only the loader sees, such as a key that stands there twice, it keeps to itself.
    match loader.error() {
        Some(error) => Err(error.clone()),
        None => Ok(loader.into_documents()),
    }
}

/// A value in its place.
#[derive(Clone)]
pub(super) struct Node<'a> {
    yaml: &'a MarkedYaml<'a>,
    file: &'a Path,
    key: String,
}

/// A scalar as it was written.
#[derive(Debug, Clone)]
pub(super) struct Spanned<T> {
    pub(super) value: T,
    file: PathBuf,
    line: usize,
    key: String,
}

impl<T> Spanned<T> {
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { file: self.file.clone(), line: self.line, key: self.key.clone(), message: message.into(), is_absence: false }
    }

    /// The fault that what it names is not there.
    pub(super) fn absence(&self, message: impl Into<String>) -> Fault {
        Fault { is_absence: true, ..self.fault(message) }
    }

    /// The folder of the file that it stands in.
    pub(super) fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// Where it stands, in one word.
    pub(super) fn describe(&self) -> String {
        format!("{}:{}", self.file.display(), self.line)
    }

    pub(super) fn with<U>(&self, value: U) -> Spanned<U> {
        Spanned { value, file: self.file.clone(), line: self.line, key: self.key.clone() }
    }
}

impl<'a> Node<'a> {
    pub(super) fn root(yaml: &'a MarkedYaml<'a>, file: &'a Path) -> Self {
        Self { yaml, file, key: String::new() }
    }

    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        self.place().fault(message)
    }

    pub(super) fn place(&self) -> Spanned<()> {
        Spanned { value: (), file: self.file.to_owned(), line: self.yaml.span.start.line(), key: self.key.clone() }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.yaml.data, YamlData::Representation(text, style, _) if *style == ScalarStyle::Plain && matches!(&**text, "" | "~" | "null" | "Null" | "NULL"))
    }

    pub(super) fn is_scalar(&self) -> bool {
        text_of(self.yaml).is_some() && !self.is_null()
    }

    pub(super) fn is_sequence(&self) -> bool {
        matches!(self.yaml.data, YamlData::Sequence(_))
    }

    /// The entries of a mapping in their order. A key that is no text, and one that stands there twice, are faults.
    pub(super) fn entries(&self, faults: &mut Faults) -> Vec<(String, Node<'a>)> {
        let YamlData::Mapping(mapping) = &self.yaml.data else {
            if !self.is_null() {
                faults.add(self.fault(format!("expected a mapping of keys to values, found {}", self.kind())));
            }
            return Vec::new();
        };
        let mut entries: Vec<(String, Node<'a>)> = Vec::new();
        let mut names = BTreeSet::new();
        for (key, value) in mapping {
            let Some(name) = text_of(key) else {
                faults.add(Node { yaml: key, file: self.file, key: self.key.clone() }.fault("a key must be a text"));
                continue;
            };
            if !names.insert(name.clone()) {
                faults.add(Node { yaml: key, file: self.file, key: self.child_key(&name) }.fault("this key stands here twice"));
                continue;
            }
            let node = Node { yaml: value, file: self.file, key: self.child_key(&name) };
            entries.push((name, node));
        }
        entries
    }

    /// The items of a sequence.
    pub(super) fn items(&self, faults: &mut Faults) -> Vec<Node<'a>> {
        match &self.yaml.data {
            YamlData::Sequence(items) => items
                .iter()
                .enumerate()
                .map(|(index, yaml)| Node { yaml, file: self.file, key: format!("{}[{index}]", self.key) })
                .collect(),
            _ if self.is_null() => Vec::new(),
            _ => {
                faults.add(self.fault(format!("expected a list, found {}", self.kind())));
                Vec::new()
            }
        }
    }

    /// A scalar as it was written, whatever it looks like.
    pub(super) fn text(&self, faults: &mut Faults) -> Option<Spanned<String>> {
        let text = text_of(self.yaml).filter(|_| !self.is_null());
        if text.is_none() {
            faults.add(self.fault(format!("expected a text, found {}", self.kind())));
        }
        text.map(|text| self.place().with(text))
    }

    /// A scalar of a type of the caller's.
    pub(super) fn scalar<T: std::str::FromStr>(&self, expected: &str, faults: &mut Faults) -> Option<Spanned<T>> {
        let read = text_of(self.yaml).and_then(|text| text.parse().ok());
        if read.is_none() {
            let found = text_of(self.yaml).map_or_else(|| self.kind().to_owned(), |text| format!("{text:?}"));
            faults.add(self.fault(format!("expected {expected}, found {found}")));
        }
        read.map(|value| self.place().with(value))
    }

    /// The value as JSON. A plain scalar is what it looks like; texts pass through `expand` first.
    pub(super) fn json(&self, expand: &mut dyn FnMut(Spanned<String>) -> Option<String>, faults: &mut Faults) -> Option<Json> {
        match &self.yaml.data {
            YamlData::Sequence(_) => {
                let items: Vec<_> = self.items(faults).iter().map(|item| item.json(expand, faults)).collect();
                Some(Json::array(items.into_iter().collect::<Option<Vec<Json>>>()?))
            }
            YamlData::Mapping(_) => {
                let mut object = Json::object();
                for (key, node) in self.entries(faults) {
                    object = object.with(&key, &node.json(expand, faults)?);
                }
                Some(object.finish())
            }
            _ if self.is_null() => Json::parse("null").ok(),
            YamlData::Representation(text, ScalarStyle::Plain, _) if is_number_or_flag(text) => Json::parse(text.to_string()).ok(),
            _ => self.text(faults).and_then(expand).map(|text| Json::string(&text)),
        }
    }

    /// The fault that an unknown key is, with the known one that was probably meant.
    pub(super) fn unknown(&self, name: &str, known: &[&str]) -> Fault {
        let nearest = known.iter().map(|known| (strsim::osa_distance(&name.to_lowercase(), &known.to_lowercase()), known)).min();
        let hint = match nearest {
            Some((distance, known)) if distance <= 2 || distance * 3 <= name.len() => format!("did you mean {known:?}?"),
            _ => format!("known are {}", known.join(", ")),
        };
        self.fault(format!("unknown key; {hint}"))
    }

    fn child_key(&self, name: &str) -> String {
        if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) }
    }

    fn kind(&self) -> &'static str {
        match &self.yaml.data {
            YamlData::Sequence(_) => "a list",
            YamlData::Mapping(_) => "a mapping",
            _ if self.is_null() => "nothing",
            _ => "a single value",
        }
    }
}

fn is_number_or_flag(text: &str) -> bool {
    matches!(serde_json::from_str(text), Ok(Value::Number(_) | Value::Bool(_)))
}

fn text_of(yaml: &MarkedYaml<'_>) -> Option<String> {
    match &yaml.data {
        YamlData::Representation(text, ..) => Some(text.to_string()),
        YamlData::Tagged(_, inner) => text_of(inner),
        _ => None,
    }
}
