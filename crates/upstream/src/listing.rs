//! Reads the lists of a server and turns their items into what is offered.

use crate::{
    curate,
    definition::{Definition, Preset},
    link::Link,
    naming,
    remote::{Remote, What},
    supervise::Offer,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use toolcrib_contract::{Annotations, Callable, Json, Members, PromptSpec, ResourceSpec, Spec, TemplateSpec};
use toolcrib_wire::{
    client::Connection,
    headers::{HeaderParam, header_params},
    method,
};

/// The most items of one list.
const MAX_ITEMS: usize = 10_000;

/// Something to call, and what completes its arguments.
pub type Completed<S> = (S, Arc<dyn Callable>, Arc<dyn Callable>);

/// What a server listed, as it said it.
#[derive(Default)]
pub(crate) struct Lists {
    tools: Vec<Json>,
    resources: Vec<Json>,
    templates: Vec<Json>,
    prompts: Vec<Json>,
    /// For how long that holds, if the server says so.
    pub(crate) fresh_for: Option<Duration>,
}

/// Makes of lists what is offered.
pub(crate) struct Listing<'a> {
    pub(crate) definition: &'a Definition,
    pub(crate) link: &'a Arc<Link>,
    /// Whether the server is reached over a pipe, which has no headers.
    pub(crate) is_pipe: bool,
}

/// An item of a list, by the name that the server gave it and by the name that it has here.
struct Named {
    members: Members,
    theirs: String,
    name: String,
}

impl Lists {
    /// Reads the lists that the server says it has.
    ///
    /// # Errors
    /// Why one of them cannot be read, in words.
    pub(crate) async fn ask(connection: &Connection) -> Result<Self, String> {
        let capabilities = connection.greeting().capabilities.members().map_err(|error| error.to_string())?;
        let mut lists = Self::default();
        if capabilities.has("tools") {
            lists.tools = lists.items(connection, method::LIST_TOOLS, "tools").await?;
        }
        if capabilities.has("resources") {
            lists.resources = lists.items(connection, method::LIST_RESOURCES, "resources").await?;
            // A server may have resources and have never heard of templates.
            lists.templates = lists.items(connection, method::LIST_TEMPLATES, "resourceTemplates").await.unwrap_or_default();
        }
        if capabilities.has("prompts") {
            lists.prompts = lists.items(connection, method::LIST_PROMPTS, "prompts").await?;
        }
        Ok(lists)
    }

    async fn items(&mut self, connection: &Connection, method: &str, key: &str) -> Result<Vec<Json>, String> {
        let listed = connection.list(method, key, MAX_ITEMS).await.map_err(|error| error.to_string())?;
        self.fresh_for = self.fresh_for.into_iter().chain(listed.fresh_for).min();
        Ok(listed.items)
    }

    pub(crate) fn to_json(&self) -> Json {
        let lists = [("tools", &self.tools), ("resources", &self.resources), ("templates", &self.templates), ("prompts", &self.prompts)];
        lists.into_iter().fold(Json::object(), |object, (key, items)| object.with(key, &Json::array(items.iter().cloned()))).finish()
    }

    /// What [`Lists::to_json`] wrote.
    pub(crate) fn of_json(lists: &Json) -> Option<Self> {
        let lists = lists.members().ok()?;
        let items = |key: &str| lists.get(key)?.elements().ok();
        let (tools, resources) = (items("tools")?, items("resources")?);
        Some(Self { tools, resources, templates: items("templates")?, prompts: items("prompts")?, fresh_for: None })
    }
}

impl Listing<'_> {
    pub(crate) fn offer(&self, lists: &Lists) -> Offer {
        let mut offer = Offer::default();
        self.warn_of_strays(&lists.tools);
        for named in self.named(&lists.tools, &mut offer) {
            match self.tool(&named) {
                Ok(tool) => offer.tools.push(tool),
                Err(reason) => offer.left_out.push((named.theirs, reason)),
            }
        }
        offer.resources = lists.resources.iter().filter_map(|item| self.resource(item)).collect();
        offer.templates = lists.templates.iter().filter_map(|item| self.template(item)).collect();
        let named = self.named(&lists.prompts, &mut offer);
        offer.prompts = named.iter().map(|named| self.prompt(named)).collect();
        offer
    }

    /// Says which names of tools in the config the server does not know: what was to be left out or altered is not.
    fn warn_of_strays(&self, items: &[Json]) {
        let choice = &self.definition.choice;
        let names: Vec<String> = items.iter().filter_map(|item| item.members().ok()?.string("name")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let warn = |key: &str, name: &str| {
            tracing::warn!(server = %self.definition.name, "the config names {name:?} under {key:?}, but the server has no such tool");
        };
        choice.exclude.without_match(&names).for_each(|pattern| warn("exclude", &pattern));
        choice.tools.keys().filter(|name| !names.contains(&name.as_str())).for_each(|name| warn("tools", name));
    }

    /// The items that are to be offered, with the names that they get. What has no name is left out.
    fn named(&self, items: &[Json], offer: &mut Offer) -> Vec<Named> {
        let mut chosen: Vec<(Members, String)> = Vec::with_capacity(items.len());
        for item in items {
            match item.members().map(|members| members.string("name").map(|name| (members, name))) {
                Ok(Some((members, theirs))) if self.definition.choice.takes(&theirs) => chosen.push((members, theirs)),
                Ok(Some(_)) => {}
                Ok(None) => offer.left_out.push(("(unnamed)".to_owned(), "it has no name".to_owned())),
                Err(error) => offer.left_out.push(("(unreadable)".to_owned(), error.to_string())),
            }
        }
        let renamed = |theirs: &'_ String| {
            let alteration = self.definition.choice.tools.get(theirs);
            alteration.and_then(|alteration| alteration.rename.clone()).unwrap_or_else(|| theirs.clone())
        };
        let wanted: Vec<String> = chosen.iter().map(|(_, theirs)| renamed(theirs)).collect();
        let names = naming::offered(self.definition.prefix.as_deref(), &wanted.iter().map(String::as_str).collect::<Vec<_>>());
        chosen.into_iter().zip(names).map(|((members, theirs), name)| Named { members, theirs, name }).collect()
    }

    fn tool(&self, Named { members, theirs, name }: &Named) -> Result<(Spec, Arc<dyn Callable>), String> {
        let alteration = self.definition.choice.tools.get(theirs);
        // The server wants its own arguments mirrored, those included that nobody here sees.
        let theirs_schema = members.get("inputSchema").ok_or("it has no inputSchema")?;
        let header_params = self.header_params(&theirs_schema)?;
        let edits = curate::definition(members, name, &naming::full(self.definition.prefix.as_deref(), theirs), theirs, alteration);
        let definition = if edits.is_empty() { members.text().clone() } else { members.edit(&edits) };
        let members = definition.members().map_err(|error| error.to_string())?;
        let input_schema = members.get("inputSchema").ok_or("it has no inputSchema")?;
        let mut spec = Spec::new(name, &members.string("description").unwrap_or_default()).input_schema(input_schema);
        spec.title = members.string("title");
        spec.output_schema = members.get("outputSchema");
        spec.annotations = members.get("annotations").and_then(|json| json.read::<Annotations>().ok()).unwrap_or_default();
        spec.foreign = Some(definition);
        let presets: BTreeMap<String, Preset> = alteration.map(|alteration| alteration.arguments.clone()).unwrap_or_default();
        self.warn_of_stray_arguments(theirs, &theirs_schema, &presets);
        Ok((spec, self.remote(What::Tool { name: theirs.clone(), header_params, presets })))
    }

    fn warn_of_stray_arguments(&self, tool: &str, schema: &Json, presets: &BTreeMap<String, Preset>) {
        let known = schema.members().ok().and_then(|schema| schema.get("properties")?.members().ok());
        for argument in presets.keys().filter(|argument| known.as_ref().is_some_and(|known| !known.has(argument))) {
            let server = &self.definition.name;
            tracing::warn!(%server, tool, "the config gives a value to {argument:?}, but the tool has no such argument");
        }
    }

    /// The arguments to mirror into headers. Only HTTP has headers; over a pipe the annotation means nothing.
    fn header_params(&self, schema: &Json) -> Result<Arc<[HeaderParam]>, String> {
        if self.is_pipe {
            return Ok(Arc::default());
        }
        header_params(&schema.to_value().map_err(|error| error.to_string())?)
    }

    fn resource(&self, item: &Json) -> Option<(ResourceSpec, Arc<dyn Callable>)> {
        let members = item.members().ok()?;
        let spec = ResourceSpec {
            uri: members.string("uri")?,
            name: members.string("name").unwrap_or_default(),
            description: members.string("description"),
            mime_type: members.string("mimeType"),
            foreign: Some(item.clone()),
        };
        Some((spec, self.remote(What::Resource)))
    }

    fn template(&self, item: &Json) -> Option<Completed<TemplateSpec>> {
        let members = item.members().ok()?;
        let uri_template = members.string("uriTemplate")?;
        let reference = Json::object().with_str("type", "ref/resource").with_str("uri", &uri_template).finish();
        let spec = TemplateSpec {
            uri_template,
            name: members.string("name").unwrap_or_default(),
            description: members.string("description"),
            mime_type: members.string("mimeType"),
            foreign: Some(item.clone()),
        };
        Some((spec, self.remote(What::Resource), self.remote(What::Completion { reference })))
    }

    fn prompt(&self, Named { members, theirs, name }: &Named) -> Completed<PromptSpec> {
        let reference = Json::object().with_str("type", "ref/prompt").with_str("name", theirs).finish();
        let foreign = if name == theirs { members.text().clone() } else { members.edit(&[("name", Some(Json::string(name)))]) };
        let spec = PromptSpec {
            name: name.clone(),
            title: members.string("title"),
            description: members.string("description"),
            arguments: Vec::new(),
            foreign: Some(foreign),
        };
        (spec, self.remote(What::Prompt { name: theirs.clone() }), self.remote(What::Completion { reference }))
    }

    fn remote(&self, what: What) -> Arc<dyn Callable> {
        Arc::new(Remote { link: Arc::clone(self.link), what })
    }
}
