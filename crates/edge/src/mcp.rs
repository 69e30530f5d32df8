//! MCP, every method of both eras, in front of the gate.

mod back;
mod listen;
mod lists;
mod questions;
mod rounds;
mod state;

use crate::answer::{Answer, Answers, cacheable};
use arc_swap::ArcSwap;
use back::Back;
use lists::Lists;
pub(crate) use lists::tool as tool_definition;
use rounds::Parked;
use state::{Answered, StateSeal};
use std::{net::IpAddr, sync::Arc};
use tokio::sync::{broadcast::error::RecvError, watch};
use toolcrib_contract as contract;
use toolcrib_contract::{Call, Change, Home, Json, Kind, LogLevel, Members, Origin, Trace};
use toolcrib_gate::{Arrived, Caller, Event, Gate, Names, Visible};
use toolcrib_wire::{
    Era, ErrorObject, Notification, Revision,
    headers::HeaderParam,
    method,
    server::{self, Exchange, Service, Session, SessionState},
};

/// What the server says about itself.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The name, `serverInfo.name`.
    pub name: String,
    /// The name that people read.
    pub title: Option<String>,
    /// The version.
    pub version: String,
    /// How to use the server, for the model.
    pub instructions: Option<String>,
}

/// The caller as the wire knows it.
#[derive(Debug, Clone)]
pub struct WireCaller {
    pub(crate) caller: Caller,
    /// Where its requests come from, as far as the transport knows.
    pub(crate) origin: Origin,
}

impl server::Caller for WireCaller {
    fn principal(&self) -> &str {
        self.caller.id().principal()
    }

    fn address(&self) -> Option<IpAddr> {
        self.origin.address
    }
}

/// What is kept with a legacy session: who opened it, and what its client calls itself.
#[derive(Debug)]
struct Opened {
    /// As it proved itself last: tokens are renewed, and roles change with them.
    caller: ArcSwap<WireCaller>,
    client: Option<Arc<str>>,
}

/// Answers MCP requests by way of the gate.
#[derive(Debug)]
pub struct Mcp {
    gate: Arc<Gate>,
    door: &'static str,
    /// What is shown of the catalogue, if not all of it.
    profile: Option<Arc<Names>>,
    /// The connection of the one client that this is for, if it is for one.
    pipe: Option<contract::Session>,
    server_info: Json,
    instructions: Option<Json>,
    answers: Answers,
    lists: Lists,
    seal: StateSeal,
    parked: Parked,
    shutdown: watch::Receiver<bool>,
}

impl Mcp {
    /// MCP at the door of this name. `shutdown` turns true when streams must end.
    #[must_use]
    pub fn new(
        gate: Arc<Gate>,
        door: &'static str,
        identity: &Identity,
        profile: Option<Arc<Names>>,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        let title = identity.title.as_deref().map(Json::string);
        let server_info = Json::object()
            .with_str("name", &identity.name)
            .with_some("title", title.as_ref())
            .with_str("version", &identity.version)
            .finish();
        let answers = Answers::new(&server_info);
        let instructions = identity.instructions.as_deref().map(Json::string);
        Self {
            gate,
            door,
            profile,
            pipe: None,
            server_info,
            instructions,
            answers,
            lists: Lists::default(),
            seal: StateSeal::at(Home::default()),
            parked: Parked::default(),
            shutdown,
        }
    }

    /// What lives in this process has a name that begins with it.
    #[must_use]
    pub(crate) fn at(mut self, home: Home) -> Self {
        self.seal = StateSeal::at(home);
        self
    }

    /// All calls come from one client, whose connection lasts as long as `alive` is held.
    #[must_use]
    pub(crate) fn for_one_client(mut self, alive: &Arc<()>) -> Self {
        self.pipe = Some(contract::Session::lasting_with(alive));
        self
    }

    /// What this caller may call at this door.
    fn visible_to(&self, caller: &WireCaller) -> Visible {
        // What was proved may hold no longer: then nothing is there.
        self.gate.visible_to(&caller.caller, &caller.origin, self.profile.clone())
    }

    /// Tells legacy sessions of what is different, each of what concerns it, for as long as this is polled.
    pub(crate) async fn tell_of_changes(&self, for_each: impl Fn(&mut dyn FnMut(&Arc<Session>))) {
        let mut changes = self.gate.changes();
        loop {
            match changes.recv().await {
                Ok(event) => for_each(&mut |session| self.tell(session, &event)),
                // What exactly was missed is not known: everything may have changed.
                Err(RecvError::Lagged(_)) => for_each(&mut |session| {
                    let watched = session.subscriptions().into_iter().map(|uri| Change::Resource(uri.into()));
                    for change in [Change::Tools, Change::Prompts, Change::Resources].into_iter().chain(watched) {
                        self.tell(session, &Event::of(change));
                    }
                }),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn tell(&self, session: &Session, event: &Event) {
        // What is seen by a caller whose proof no longer holds is nothing.
        let may_hear = |opened: &Opened| self.visible_to(&opened.caller.load()).concerns(event);
        let is_visible = session.attached::<Opened>().is_some_and(may_hear);
        let is_wanted = !matches!(&event.change, Change::Resource(uri) if !session.is_subscribed(uri));
        if is_visible && is_wanted {
            let (method, params) = listen::notification(&event.change);
            session.notify(method, params);
        }
    }

    /// Where a call came from: what the transport knows, and what the client says of itself.
    fn origin_of(&self, exchange: &Exchange<WireCaller>) -> Origin {
        let opened = exchange.session.as_ref().and_then(|session| session.attached::<Opened>()?.client.clone());
        let client = opened.or_else(|| client_name(exchange.meta.client_info.as_ref()));
        let parent = exchange.meta.traceparent.as_deref();
        let trace = parent.and_then(|parent| Trace::parse(parent, exchange.meta.tracestate.as_deref()));
        let origin = exchange.caller.origin.clone();
        Origin { door: self.door, client, trace: trace.or(origin.trace), ..origin }
    }

    fn initialize(&self, session: &Session, exchange: &Exchange<WireCaller>) -> Answer {
        let client = client_name(exchange.params.as_ref().and_then(|params| params.get("clientInfo")).as_ref());
        session.attach(Opened { caller: ArcSwap::from_pointee(exchange.caller.clone()), client });
        Ok(Json::object()
            .with_str("protocolVersion", session.revision().date())
            .with("capabilities", &capabilities())
            .with("serverInfo", &self.server_info)
            .with_some("instructions", self.instructions.as_ref())
            .finish())
    }

    fn discover(&self) -> Answer {
        let result = self.answers.result(Era::Modern);
        let versions = Json::array(Revision::ALL.map(|revision| Json::string(revision.date())));
        let result = result.with("supportedVersions", &versions).with("capabilities", &capabilities());
        Ok(cacheable(result.with_some("instructions", self.instructions.as_ref()), Era::Modern).finish())
    }

    async fn call(&self, call: Call, exchange: Box<Exchange<WireCaller>>) -> Answer {
        if exchange.revision.era() == Era::Modern {
            return self.round(call, exchange).await;
        }
        let kind = call.kind;
        let back = Arc::new(Back::new(Arc::clone(&self.gate), &exchange, self.pipe.as_ref(), Answered::new()));
        let origin = self.origin_of(&exchange);
        let arrived = Arrived { caller: exchange.caller.caller, profile: self.profile.clone(), call, origin, back };
        // Boxed, as whatever is large and not on every way: the future of a request has room for all of them.
        match Box::pin(self.gate.call(arrived)).await {
            Ok(reply) => self.answers.reply(reply, kind, Era::Legacy),
            Err(error) => self.answers.error(&error, kind, Era::Legacy),
        }
    }

    async fn subscribe(&self, exchange: &Exchange<WireCaller>) -> Answer {
        let uri = required_string(exchange.params.as_ref(), "uri")?;
        let session = exchange.session.as_ref().ok_or_else(|| ErrorObject::method_not_found(&exchange.method))?;
        let watching = self.gate.watch(&self.visible_to(&exchange.caller), &uri).await;
        let watch = match watching {
            Ok(watch) => watch,
            Err(error) => return self.answers.error(&error, Kind::Resource, Era::Legacy),
        };
        if !session.subscribe(uri, Box::new(watch)) {
            return Err(ErrorObject::invalid_params("this session has too many subscriptions: end some first"));
        }
        Ok(Json::empty_object())
    }

    fn unsubscribe(exchange: &Exchange<WireCaller>) -> Answer {
        let uri = required_string(exchange.params.as_ref(), "uri")?;
        let session = exchange.session.as_ref().ok_or_else(|| ErrorObject::method_not_found(&exchange.method))?;
        session.unsubscribe(&uri);
        Ok(Json::empty_object())
    }

    fn set_level(exchange: &Exchange<WireCaller>) -> Answer {
        let level = required_string(exchange.params.as_ref(), "level")?;
        let level = LogLevel::from_name(&level).ok_or_else(|| {
            let names = LogLevel::ALL.map(LogLevel::name).join(", ");
            ErrorObject::invalid_params(format!("params.level must be one of {names}"))
        })?;
        if let Some(session) = &exchange.session {
            session.set_log_level(level.name());
        }
        Ok(Json::empty_object())
    }
}

impl Service for Mcp {
    type Caller = WireCaller;

    async fn request(&self, exchange: Box<Exchange<WireCaller>>) -> Answer {
        let era = exchange.revision.era();
        let params = exchange.params.as_ref();
        if self.gate.authenticates()
            && let Some(opened) = exchange.session.as_ref().and_then(|session| session.attached::<Opened>())
        {
            opened.caller.store(Arc::new(exchange.caller.clone()));
        }
        match (&*exchange.method, era) {
            (method::CALL_TOOL, _) => self.call(tool_call(params)?, exchange).await,
            (method::READ_RESOURCE, _) => self.call(read_call(params)?, exchange).await,
            (method::GET_PROMPT, _) => self.call(prompt_call(params)?, exchange).await,
            (method::COMPLETE, _) => self.call(completion_call(params)?, exchange).await,
            (method::LIST_TOOLS, _) => self.list(lists::Kind::Tools, &exchange),
            (method::LIST_RESOURCES, _) => self.list(lists::Kind::Resources, &exchange),
            (method::LIST_TEMPLATES, _) => self.list(lists::Kind::Templates, &exchange),
            (method::LIST_PROMPTS, _) => self.list(lists::Kind::Prompts, &exchange),
            (method::DISCOVER, Era::Modern) => self.discover(),
            (method::LISTEN, Era::Modern) => Box::pin(self.listen(&exchange)).await,
            (method::INITIALIZE, Era::Legacy) => match &exchange.session {
                Some(session) => self.initialize(session, &exchange),
                None => Err(ErrorObject::method_not_found(method::INITIALIZE)),
            },
            (method::PING, Era::Legacy) => Ok(Json::empty_object()),
            (method::SET_LEVEL, Era::Legacy) => Self::set_level(&exchange),
            (method::SUBSCRIBE, Era::Legacy) => Box::pin(self.subscribe(&exchange)).await,
            (method::UNSUBSCRIBE, Era::Legacy) => Self::unsubscribe(&exchange),
            (unknown, _) => Err(ErrorObject::method_not_found(unknown)),
        }
    }

    fn notification(&self, _notification: Notification, _session: &Arc<Session>) {
        // `initialized` needs no answer and changes nothing here; what else clients may tell us concerns nobody yet.
    }

    fn goes_on_with(&self, exchange: &Exchange<WireCaller>) -> Option<String> {
        let params = exchange.params.as_ref()?;
        if exchange.method.as_ref() == method::READ_RESOURCE
            && let Some(result) = params.string("uri").as_deref().and_then(|uri| uri.strip_prefix(RESULTS))
        {
            return Some(result.to_owned());
        }
        params.string("requestState")
    }

    fn remember(&self, session: &Session) -> Json {
        let client = session.attached::<Opened>().and_then(|opened| opened.client.as_deref()).map(Json::string);
        Json::object().with_some("client", client.as_ref()).finish()
    }

    async fn restore(&self, session: &Arc<Session>, state: &SessionState, caller: &WireCaller) {
        let client = state.of_service.members().ok().and_then(|members| members.string("client"));
        session.attach(Opened { caller: ArcSwap::from_pointee(caller.clone()), client: client.map(Into::into) });
        let visible = self.visible_to(caller);
        for uri in &state.subscriptions {
            // What is no longer there is subscribed to no more.
            if let Ok(watch) = self.gate.watch(&visible, uri).await {
                session.subscribe(uri.clone(), Box::new(watch));
            }
        }
    }

    fn header_params(&self, tool: &str, caller: &WireCaller) -> Option<Arc<[HeaderParam]>> {
        self.lists.header_params(&self.visible_to(caller), tool)
    }
}

/// Under which URIs the results are that are kept in the process that made them.
const RESULTS: &str = "toolcrib://results/";

/// What a client calls itself, in a few words: its name and version.
fn client_name(info: Option<&Json>) -> Option<Arc<str>> {
    const MAX_BYTES: usize = 128;
    let members = info?.members().ok()?;
    let name = [members.str("name")?, members.str("version").unwrap_or_default()].join(" ");
    Some(name.trim()[..name.trim().floor_char_boundary(MAX_BYTES)].into())
}

fn capabilities() -> Json {
    let changes = Json::parse(r#"{"listChanged":true}"#).expect("this is JSON");
    let resources = Json::parse(r#"{"subscribe":true,"listChanged":true}"#).expect("this is JSON");
    Json::object()
        .with("tools", &changes)
        .with("resources", &resources)
        .with("prompts", &changes)
        .with("completions", &Json::empty_object())
        .with("logging", &Json::empty_object())
        .finish()
}

/// The longest name or URI that anything is called by.
pub(crate) const MAX_NAME_BYTES: usize = 8 * 1024;

fn required_string(params: Option<&Members>, key: &str) -> Result<String, ErrorObject> {
    let text = params
        .and_then(|params| params.string(key))
        .ok_or_else(|| ErrorObject::invalid_params(format!("params.{key} is needed, a string")))?;
    bounded(text, key)
}

fn bounded(text: String, what: &str) -> Result<String, ErrorObject> {
    if text.len() > MAX_NAME_BYTES {
        return Err(ErrorObject::invalid_params(format!("params.{what} is longer than {MAX_NAME_BYTES} bytes")));
    }
    Ok(text)
}

fn arguments(params: Option<&Members>) -> Result<Json, ErrorObject> {
    match params.and_then(|params| params.get("arguments")) {
        None => Ok(Json::empty_object()),
        Some(arguments) if arguments.is_object() => Ok(arguments),
        Some(other) => Err(ErrorObject::invalid_params(format!("params.arguments must be an object, not {}", other.kind()))),
    }
}

fn tool_call(params: Option<&Members>) -> Result<Call, ErrorObject> {
    let name = required_string(params, "name")?.into();
    Ok(Call { kind: Kind::Tool, name, arguments: arguments(params)?, params: params.cloned() })
}

fn read_call(params: Option<&Members>) -> Result<Call, ErrorObject> {
    let name = required_string(params, "uri")?.into();
    Ok(Call { kind: Kind::Resource, name, arguments: Json::empty_object(), params: params.cloned() })
}

fn prompt_call(params: Option<&Members>) -> Result<Call, ErrorObject> {
    let name = required_string(params, "name")?.into();
    Ok(Call { kind: Kind::Prompt, name, arguments: arguments(params)?, params: params.cloned() })
}

fn completion_call(params: Option<&Members>) -> Result<Call, ErrorObject> {
    let invalid = |what: &str| ErrorObject::invalid_params(what);
    let members = params.ok_or_else(|| invalid("completion/complete needs params.ref and params.argument"))?;
    let reference = members.get("ref").and_then(|json| json.members().ok()).ok_or_else(|| invalid("params.ref must be an object"))?;
    let (kind, name) = match reference.string("type").as_deref() {
        Some("ref/prompt") => (Kind::PromptCompletion, reference.string("name")),
        Some("ref/resource") => (Kind::TemplateCompletion, reference.string("uri")),
        _ => return Err(invalid("params.ref.type must be \"ref/prompt\" or \"ref/resource\"")),
    };
    let name = bounded(name.ok_or_else(|| invalid("params.ref must name a prompt or a resource template"))?, "ref")?.into();
    let argument = members.get("argument").filter(Json::is_object).ok_or_else(|| invalid("params.argument must be an object"))?;
    let arguments = Json::object().with("argument", &argument).with_some("context", members.get("context").as_ref()).finish();
    Ok(Call { kind, name, arguments, params: params.cloned() })
}
