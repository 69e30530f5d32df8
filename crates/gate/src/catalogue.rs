//! Everything callable, by name, as one immutable snapshot that a change swaps whole.

mod template;

use crate::{
    resilience::{Resilience, SourceState, Steady},
    statistics::{Durations, Tallies, Tally, Usage},
    validate::{Arguments, SchemaFault},
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};
use template::Pattern;
use toolcrib_contract::{Annotations, Callable, Change, Json, Kind, Others, PromptSpec, ResourceSpec, Spec, TemplateSpec};

/// What one source offers: our own tools, or one other server.
#[derive(Debug, Default)]
pub struct Source {
    /// The name of the source.
    pub name: Arc<str>,
    tools: Vec<Arc<Entry>>,
    resources: Vec<Arc<Entry>>,
    templates: Vec<Arc<Entry>>,
    prompts: Vec<Arc<Entry>>,
    timeout: Option<Duration>,
    prefix: Option<Box<str>>,
    told: Vec<Change>,
    /// What is done about faults, where that is not the default; of single tools by their names.
    pub(crate) resilience: Resilience,
    pub(crate) is_connected_anew: bool,
    /// Whether this is what the source offers, be it nothing.
    has_offered: bool,
    tool_resilience: BTreeMap<String, Resilience>,
}

/// Something that is different, and whose names that concerns, if that is known.
#[derive(Debug, Clone)]
pub struct Event {
    /// What is different.
    pub change: Change,
    pub(crate) names: Option<Arc<[String]>>,
}

impl Event {
    /// A change of which the names are not known.
    #[must_use]
    pub fn of(change: Change) -> Self {
        Self { change, names: None }
    }
}

/// One thing that can be called.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A tool.
    Tool(ToolEntry),
    /// A resource.
    Resource(Resource),
    /// A family of resources.
    Template(Template),
    /// A prompt.
    Prompt(Prompt),
}

/// A tool in the catalogue, its schema compiled.
#[derive(Debug, Clone)]
pub struct ToolEntry {
    spec: Spec,
    arguments: Arc<Arguments>,
    run: Runnable,
}

/// A resource in the catalogue.
#[derive(Debug, Clone)]
pub struct Resource {
    spec: ResourceSpec,
    run: Runnable,
}

/// A family of resources in the catalogue.
#[derive(Debug, Clone)]
pub struct Template {
    spec: TemplateSpec,
    pattern: Pattern,
    run: Runnable,
}

/// A prompt in the catalogue.
#[derive(Debug, Clone)]
pub struct Prompt {
    spec: PromptSpec,
    run: Runnable,
}

/// What runs, and what steadies it.
#[derive(Clone)]
struct Runnable {
    callable: Arc<dyn Callable>,
    /// What completes its arguments, if anything does.
    completer: Option<Arc<dyn Callable>>,
    steady: Arc<Steady>,
    /// How a tool is used.
    tally: Option<Arc<Tally>>,
    timeout: Option<Duration>,
    /// The name of whatever offers it.
    source: Arc<str>,
}

/// A name that two sources claim. The one that was published first keeps it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {kind} {name:?} of {loser:?} is left out: {winner:?} already has one of that name")]
pub struct Clash {
    /// What is claimed.
    pub kind: Kind,
    /// By which name.
    pub name: String,
    /// Who keeps it.
    pub winner: Arc<str>,
    /// Who does not.
    pub loser: Arc<str>,
}

impl Source {
    /// A source with nothing in it yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Sets how long a call may take, where a tool does not say otherwise.
    #[must_use]
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets what is done about faults: of the source, and of single tools by the names under which they are offered.
    #[must_use]
    pub fn resilience(mut self, of_source: Resilience, of_tools: BTreeMap<String, Resilience>) -> Self {
        (self.resilience, self.tool_resilience) = (of_source, of_tools);
        self
    }

    /// The same source, of whose faults something else is done; of single tools where this says so.
    pub(crate) fn treated(&self, of_source: Resilience, of_tool: impl Fn(&str) -> Option<Resilience>) -> Self {
        let copies = |entries: &[Arc<Entry>]| entries.iter().map(|entry| Arc::new((**entry).clone())).collect();
        Self {
            name: Arc::clone(&self.name),
            tools: copies(&self.tools),
            resources: copies(&self.resources),
            templates: copies(&self.templates),
            prompts: copies(&self.prompts),
            timeout: self.timeout,
            prefix: self.prefix.clone(),
            told: Vec::new(),
            resilience: of_source,
            is_connected_anew: false,
            has_offered: self.has_offered,
            tool_resilience: self.tools.iter().filter_map(|tool| Some((tool.key().to_owned(), of_tool(tool.key())?))).collect(),
        }
    }

    /// This is what the source offers: if it is nothing, there is nothing to wait for.
    #[must_use]
    pub fn offered(mut self) -> Self {
        self.has_offered = true;
        self
    }

    /// The source has just connected: what failed before need not fail now.
    #[must_use]
    pub fn connected_anew(mut self, is_connected_anew: bool) -> Self {
        self.is_connected_anew = is_connected_anew;
        self
    }

    pub(crate) fn has_tool(&self, name: &str) -> bool {
        self.tool_names().any(|tool| tool == name)
    }

    /// The names of its tools.
    pub fn tool_names(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().map(|tool| tool.key())
    }

    /// Sets what its names begin with, so that a call can be told whom it waits for before the names are known.
    #[must_use]
    pub fn prefix(mut self, prefix: Option<&str>) -> Self {
        self.prefix = prefix.map(Into::into);
        self
    }

    /// Passes on that these have changed, even if no difference is seen.
    #[must_use]
    pub fn told(mut self, changes: Vec<Change>) -> Self {
        self.told = changes;
        self
    }

    /// Adds a tool and compiles its schema.
    ///
    /// # Errors
    /// [`SchemaFault`]: the tool is then left out, the others stay.
    pub fn tool(&mut self, spec: Spec, callable: Arc<dyn Callable>) -> Result<(), SchemaFault> {
        let arguments = Arc::new(Arguments::compile(&spec.input_schema)?);
        self.tools.push(Arc::new(Entry::Tool(ToolEntry { spec, arguments, run: Runnable::new(callable, None) })));
        Ok(())
    }

    /// Adds a resource.
    pub fn resource(&mut self, spec: ResourceSpec, callable: Arc<dyn Callable>) {
        self.resources.push(Arc::new(Entry::Resource(Resource { spec, run: Runnable::new(callable, None) })));
    }

    /// Adds a family of resources, and what completes its variables.
    pub fn template(&mut self, spec: TemplateSpec, callable: Arc<dyn Callable>, completer: Option<Arc<dyn Callable>>) {
        let pattern = Pattern::parse(&spec.uri_template);
        self.templates.push(Arc::new(Entry::Template(Template { spec, pattern, run: Runnable::new(callable, completer) })));
    }

    /// Adds a prompt, and what completes its arguments.
    pub fn prompt(&mut self, spec: PromptSpec, callable: Arc<dyn Callable>, completer: Option<Arc<dyn Callable>>) {
        self.prompts.push(Arc::new(Entry::Prompt(Prompt { spec, run: Runnable::new(callable, completer) })));
    }

    fn is_empty(&self) -> bool {
        [&self.tools, &self.resources, &self.templates, &self.prompts].into_iter().all(Vec::is_empty)
    }

    pub(crate) fn steadied(mut self, state: &Arc<SourceState>, tallies: &Tallies) -> Self {
        let of_source = Steady::of_source(state, &self.resilience);
        let lists = [&mut self.tools, &mut self.resources, &mut self.templates, &mut self.prompts];
        for entry in lists.into_iter().flatten() {
            let entry = Arc::get_mut(entry).expect("a source that is not published yet shares no entry");
            let steady = match &*entry {
                Entry::Tool(tool) => Steady::of_tool(state, &tool.spec, &self.resilience, self.tool_resilience.get(&tool.spec.name)),
                _ => Arc::clone(&of_source),
            };
            let tally = if let Entry::Tool(tool) = &*entry { Some(tallies.of(&tool.spec.name)) } else { None };
            // What is remembered was for one caller to have, all of its parts.
            let steady = if matches!(entry.callable().others(), Others::Nobody) { steady } else { steady.remembering_nothing() };
            let run = entry.run_mut();
            (run.steady, run.tally, run.source) = (steady, tally, Arc::clone(&self.name));
            run.timeout = self.timeout;
        }
        self
    }

    /// What the source says has changed, with all its names: any of them may be meant.
    pub(crate) fn told_changes(&self) -> Vec<Event> {
        let names = |lists: &[&Vec<Arc<Entry>>]| lists.iter().flat_map(|list| list.iter()).map(|entry| entry.key().to_owned()).collect();
        let event = |change: &Change| {
            let names = match change {
                Change::Tools => Some(names(&[&self.tools])),
                Change::Prompts => Some(names(&[&self.prompts])),
                Change::Resources => Some(names(&[&self.resources, &self.templates])),
                Change::Resource(_) => None,
            };
            Event { change: change.clone(), names }
        };
        self.told.iter().map(event).collect()
    }
}

impl Runnable {
    fn new(callable: Arc<dyn Callable>, completer: Option<Arc<dyn Callable>>) -> Self {
        Self { callable, completer, steady: Steady::nothing(), tally: None, timeout: None, source: Arc::default() }
    }
}

impl fmt::Debug for Runnable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runnable").finish_non_exhaustive()
    }
}

impl ToolEntry {
    /// What is known of the tool.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The name of the source that offers it: `toolcrib` for our own, else that of another server.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.run.source
    }

    /// How it has been used.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.run.tally.as_ref().map(|tally| tally.read()).unwrap_or_default()
    }

    /// How long its calls took.
    #[must_use]
    pub fn durations(&self) -> Durations {
        self.run.tally.as_ref().map(|tally| tally.durations()).unwrap_or_default()
    }

    /// Whether it may call other tools.
    #[must_use]
    pub fn calls_others(&self) -> bool {
        !matches!(self.run.callable.others(), Others::Nobody)
    }

    pub(crate) fn arguments(&self) -> &Arguments {
        &self.arguments
    }
}

impl Entry {
    fn run(&self) -> &Runnable {
        match self {
            Self::Tool(ToolEntry { run, .. })
            | Self::Resource(Resource { run, .. })
            | Self::Template(Template { run, .. })
            | Self::Prompt(Prompt { run, .. }) => run,
        }
    }

    fn run_mut(&mut self) -> &mut Runnable {
        match self {
            Self::Tool(ToolEntry { run, .. })
            | Self::Resource(Resource { run, .. })
            | Self::Template(Template { run, .. })
            | Self::Prompt(Prompt { run, .. }) => run,
        }
    }

    fn key(&self) -> &str {
        match self {
            Self::Tool(tool) => &tool.spec.name,
            Self::Resource(resource) => &resource.spec.uri,
            Self::Template(template) => &template.spec.uri_template,
            Self::Prompt(prompt) => &prompt.spec.name,
        }
    }

    fn foreign(&self) -> Option<&Json> {
        match self {
            Self::Tool(tool) => tool.spec.foreign.as_ref(),
            Self::Resource(resource) => resource.spec.foreign.as_ref(),
            Self::Template(template) => template.spec.foreign.as_ref(),
            Self::Prompt(prompt) => prompt.spec.foreign.as_ref(),
        }
    }

    /// What a tool says of its effects: its own words, or those that another server wrote.
    fn annotations(&self) -> Annotations {
        match self {
            Self::Tool(tool) => tool.spec.annotations,
            _ => Annotations::default(),
        }
    }

    pub(crate) fn callable(&self) -> &Arc<dyn Callable> {
        &self.run().callable
    }

    pub(crate) fn tally(&self) -> Option<&Tally> {
        self.run().tally.as_deref()
    }

    pub(crate) fn steady(&self) -> &Arc<Steady> {
        &self.run().steady
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        let own = if let Self::Tool(tool) = self { tool.spec.timeout } else { None };
        own.or(self.run().timeout)
    }

    /// The same entry, with its completer as what runs.
    fn completing(&self) -> Option<Arc<Self>> {
        let completer = self.run().completer.clone()?;
        let run = Runnable { callable: completer, completer: None, ..self.run().clone() };
        match self {
            Self::Prompt(prompt) => Some(Arc::new(Self::Prompt(Prompt { spec: prompt.spec.clone(), run }))),
            Self::Template(template) => {
                Some(Arc::new(Self::Template(Template { spec: template.spec.clone(), pattern: template.pattern.clone(), run })))
            }
            Self::Tool(_) | Self::Resource(_) => None,
        }
    }
}

type Entries = BTreeMap<String, Arc<Entry>>;

/// Everything callable at one moment.
#[derive(Debug, Default)]
pub struct Catalogue {
    generation: u64,
    tools: Entries,
    resources: Entries,
    templates: Entries,
    prompts: Entries,
    /// Sources that have offered nothing so far, with what their names would begin with.
    silent: Vec<(Box<str>, Arc<str>)>,
}

impl Catalogue {
    pub(crate) fn assemble(sources: &[Arc<Source>], generation: u64) -> (Self, Vec<Clash>) {
        let mut clashes = Vec::new();
        let mut merge = |kind: Kind, list: fn(&Source) -> &Vec<Arc<Entry>>| {
            let mut merged: Entries = BTreeMap::new();
            let mut owners: HashMap<&str, &Arc<str>> = HashMap::new();
            for source in sources {
                for entry in list(source) {
                    if let Some(winner) = owners.get(entry.key()) {
                        clashes.push(Clash {
                            kind,
                            name: entry.key().to_owned(),
                            winner: Arc::clone(winner),
                            loser: Arc::clone(&source.name),
                        });
                        continue;
                    }
                    owners.insert(entry.key(), &source.name);
                    merged.insert(entry.key().to_owned(), Arc::clone(entry));
                }
            }
            merged
        };
        let mut tools = merge(Kind::Tool, |source| &source.tools);
        let resources = merge(Kind::Resource, |source| &source.resources);
        let templates = merge(Kind::TemplateCompletion, |source| &source.templates);
        let prompts = merge(Kind::Prompt, |source| &source.prompts);
        let silent = sources.iter().filter(|source| source.is_empty() && !source.has_offered);
        let silent = silent.filter_map(|source| Some((source.prefix.clone()?, Arc::clone(&source.name)))).collect();
        tell_effects_of_parts(&mut tools);
        (Self { generation, tools, resources, templates, prompts, silent }, clashes)
    }

    /// Whether the answer of another tool can stand for that of this one: clients refuse one that is not what the schema of its tool says.
    pub(crate) fn answers_alike(&self, entry: &Entry, other: &str) -> bool {
        let Entry::Tool(tool) = entry else { return false };
        let others = self.tools.get(other).and_then(|entry| if let Entry::Tool(tool) = &**entry { Some(tool) } else { None });
        match (&tool.spec.output_schema, others) {
            (None, Some(_)) => true,
            (Some(schema), Some(other)) => other.spec.output_schema.as_ref().is_some_and(|others| others.as_bytes() == schema.as_bytes()),
            (_, None) => false,
        }
    }

    /// The source that would have a thing of this name, if it had offered anything yet.
    pub(crate) fn awaited(&self, name: &str) -> Option<&Arc<str>> {
        self.silent.iter().find(|(prefix, _)| name.starts_with(&**prefix)).map(|(_, source)| source)
    }

    /// Grows with every change.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The tools, by name.
    pub fn tools(&self) -> impl Iterator<Item = &ToolEntry> {
        self.tools.values().filter_map(|entry| if let Entry::Tool(tool) = &**entry { Some(tool) } else { None })
    }

    /// The tool of this name.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<&ToolEntry> {
        match &**self.tools.get(name)? {
            Entry::Tool(tool) => Some(tool),
            _ => None,
        }
    }

    /// The resources, by URI.
    pub fn resources(&self) -> impl Iterator<Item = &ResourceSpec> {
        self.resources.values().filter_map(|entry| if let Entry::Resource(resource) = &**entry { Some(&resource.spec) } else { None })
    }

    /// The resource templates, by URI template.
    pub fn templates(&self) -> impl Iterator<Item = &TemplateSpec> {
        self.templates.values().filter_map(|entry| if let Entry::Template(template) = &**entry { Some(&template.spec) } else { None })
    }

    /// The prompts, by name.
    pub fn prompts(&self) -> impl Iterator<Item = &PromptSpec> {
        self.prompts.values().filter_map(|entry| if let Entry::Prompt(prompt) = &**entry { Some(&prompt.spec) } else { None })
    }

    /// The entry that a call of this kind means. A URI that no resource has is looked for among the templates.
    pub(crate) fn find(&self, kind: Kind, name: &str) -> Option<Arc<Entry>> {
        match kind {
            Kind::Tool => self.tools.get(name).cloned(),
            Kind::Prompt => self.prompts.get(name).cloned(),
            Kind::PromptCompletion => self.prompts.get(name)?.completing(),
            Kind::TemplateCompletion => self.templates.get(name)?.completing(),
            Kind::Resource => self.resources.get(name).or_else(|| self.templates.values().find(|entry| is_match(entry, name))).cloned(),
        }
    }

    /// What a client that knows `earlier` would list anew.
    pub(crate) fn changes_since(&self, earlier: &Self) -> Vec<Event> {
        let changed = |change: Change, pairs: &[(&Entries, &Entries)]| {
            let names: Arc<[String]> = pairs.iter().flat_map(|(now, before)| differences(now, before)).collect();
            (!names.is_empty()).then_some(Event { change, names: Some(names) })
        };
        let resources = [(&self.resources, &earlier.resources), (&self.templates, &earlier.templates)];
        let events = [
            changed(Change::Tools, &[(&self.tools, &earlier.tools)]),
            changed(Change::Prompts, &[(&self.prompts, &earlier.prompts)]),
            changed(Change::Resources, &resources),
        ];
        events.into_iter().flatten().collect()
    }
}

fn is_match(entry: &Entry, uri: &str) -> bool {
    matches!(entry, Entry::Template(template) if template.pattern.matches(uri))
}

/// What is made of other tools has their effects: it only looks if all of them do, and may destroy if one of them may. What nobody knows
/// is not said; of what is made of such tools in turn, only what holds for those that are no such tools.
fn tell_effects_of_parts(tools: &mut Entries) {
    let told: Vec<(String, Annotations)> =
        tools.iter().filter_map(|(name, entry)| Some((name.clone(), of_parts(tools, entry, 0)?))).collect();
    for (name, annotations) in told {
        if let Some(entry) = tools.get_mut(&name)
            && let Entry::Tool(tool) = &**entry
            && let said = tool.spec.annotations
            && let annotations = over(said, annotations)
            && said != annotations
        {
            let spec = Spec { annotations, ..tool.spec.clone() };
            *entry = Arc::new(Entry::Tool(ToolEntry { spec, ..tool.clone() }));
        }
    }
}

/// What was said, and of the rest what was found out.
fn over(said: Annotations, found: Annotations) -> Annotations {
    Annotations {
        is_read_only: said.is_read_only.or(found.is_read_only),
        is_destructive: said.is_destructive.or(found.is_destructive),
        is_idempotent: said.is_idempotent.or(found.is_idempotent),
        is_open_world: said.is_open_world.or(found.is_open_world),
    }
}

/// The effects of a tool that is made of others; none for one that is not.
fn of_parts(tools: &Entries, entry: &Entry, depth: usize) -> Option<Annotations> {
    const DEEPEST: usize = 8;
    let Others::These(names) = entry.callable().others() else { return None };
    let unknown = Annotations::default();
    let of = |name: &String| match tools.get(name).map(|part| (part, depth < DEEPEST)) {
        Some((part, true)) => of_parts(tools, part, depth + 1).unwrap_or_else(|| part.annotations()),
        _ => unknown,
    };
    let parts: Vec<Annotations> = names.iter().map(of).collect();
    // All must hold; one that does not decides, one that is not known leaves it open.
    let all = |hint: fn(&Annotations) -> Option<bool>| {
        let hints = || parts.iter().map(hint);
        if hints().any(|hint| hint == Some(false)) { Some(false) } else { hints().all(|hint| hint == Some(true)).then_some(true) }
    };
    let any = |hint: fn(&Annotations) -> Option<bool>| {
        let hints = || parts.iter().map(hint);
        if hints().any(|hint| hint == Some(true)) { Some(true) } else { hints().all(|hint| hint == Some(false)).then_some(false) }
    };
    Some(Annotations {
        is_read_only: all(|part| part.is_read_only),
        is_destructive: any(|part| part.is_destructive),
        // To read and then to write what was read is no such thing, although each of the two may be.
        is_idempotent: all(|part| part.is_idempotent).filter(|is| !is || parts.iter().all(|part| part.is_read_only == Some(true))),
        is_open_world: any(|part| part.is_open_world),
    })
}

/// The names that are new, gone, or look different.
fn differences(now: &Entries, before: &Entries) -> Vec<String> {
    let is_same = |name: &String, entry| before.get(name).is_some_and(|earlier| is_alike(entry, earlier));
    let here = now.iter().filter(|(name, entry)| !is_same(name, entry)).map(|(name, _)| name);
    here.chain(before.keys().filter(|name| !now.contains_key(*name))).cloned().collect()
}

/// Whether two entries look the same to a client. A server that restarts publishes the same definitions again: that is no
/// change to tell anybody.
fn is_alike(a: &Arc<Entry>, b: &Arc<Entry>) -> bool {
    let is_same = match (&**a, &**b) {
        (Entry::Tool(a), Entry::Tool(b)) => a.spec == b.spec,
        (Entry::Resource(a), Entry::Resource(b)) => a.spec == b.spec,
        (Entry::Template(a), Entry::Template(b)) => a.spec == b.spec,
        (Entry::Prompt(a), Entry::Prompt(b)) => a.spec == b.spec,
        _ => false,
    };
    Arc::ptr_eq(a, b) || if a.foreign().is_some() { a.foreign() == b.foreign() } else { is_same }
}
