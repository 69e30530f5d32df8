//! MCP, every method of both eras, in front of the gate.

mod back;
mod listen;
mod lists;
mod state;

use crate::answer::{Answer, Answers, cacheable};
use back::Back;
use lists::Lists;
use state::{StateOwner, StateSeal};
use std::sync::Arc;
use tokio::sync::watch;
use toolcrib_contract::{Call, CallError, Json, Kind, LogLevel, Members};
use toolcrib_gate::{Arrived, Caller, Gate};
use toolcrib_wire::{
    Era, ErrorObject, Notification, Revision,
    headers::HeaderParam,
    method,
    server::{self, Exchange, Service, Session},
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
pub struct WireCaller(pub(crate) Caller);

impl server::Caller for WireCaller {
    fn principal(&self) -> &str {
        &self.0.id().subject
    }
}

/// Answers MCP requests by way of the gate.
#[derive(Debug)]
pub struct Mcp {
    gate: Arc<Gate>,
    door: &'static str,
    server_info: Json,
    instructions: Option<Json>,
    answers: Answers,
    lists: Lists,
    seal: StateSeal,
    shutdown: watch::Receiver<bool>,
}

impl Mcp {
    /// MCP at the door of this name. `shutdown` turns true when streams must end.
    #[must_use]
    pub fn new(gate: Arc<Gate>, door: &'static str, identity: &Identity, shutdown: watch::Receiver<bool>) -> Self {
        let title = identity.title.as_deref().map(Json::string);
        let server_info = Json::object()
            .with_str("name", &identity.name)
            .with_some("title", title.as_ref())
            .with_str("version", &identity.version)
            .finish();
        let answers = Answers::new(&server_info);
        let instructions = identity.instructions.as_deref().map(Json::string);
        Self { gate, door, server_info, instructions, answers, lists: Lists::default(), seal: StateSeal::new(), shutdown }
    }

    /// Tells a legacy session of a change, if it concerns it.
    pub(crate) fn tell(session: &Session, change: &toolcrib_contract::Change) {
        let (method, params) = listen::notification(change);
        match change {
            toolcrib_contract::Change::Resource(uri) if !session.is_subscribed(uri) => {}
            _ => session.notify(method, params),
        }
    }

    fn initialize(&self, session: &Session) -> Answer {
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

    async fn call(&self, call: Call, exchange: Exchange<WireCaller>) -> Answer {
        let era = exchange.revision.era();
        let kind = call.kind;
        let owner = StateOwner::of(&exchange.caller.0.id().subject, &call);
        let answered = if era == Era::Modern { self.answered(exchange.params.as_ref(), &owner)? } else { state::Answered::default() };
        let back = Arc::new(Back::new(Arc::clone(&self.gate), &exchange, answered.clone()));
        let arrived = Arrived { caller: exchange.caller.0, call, door: self.door, back };
        match self.gate.call(arrived).await {
            Ok(reply) => self.answers.reply(reply, kind, era),
            Err(CallError::NeedsInput(questions)) => Ok(self.answers.input_required(&questions, &self.seal.seal(&owner, &answered))),
            Err(error) => self.answers.error(&error, kind, era),
        }
    }

    /// The answers that a repeated modern call brings along.
    fn answered(&self, params: Option<&Members>, owner: &StateOwner) -> Result<state::Answered, ErrorObject> {
        let Some(params) = params else { return Ok(state::Answered::default()) };
        let mut answered = match params.get("requestState") {
            None => state::Answered::default(),
            Some(_) => {
                let sealed =
                    params.string("requestState").ok_or_else(|| ErrorObject::invalid_params("params.requestState must be a string"))?;
                self.seal.open(owner, &sealed).map_err(|error| ErrorObject::invalid_params(error.to_string()))?
            }
        };
        if let Some(responses) = params.get("inputResponses") {
            let responses = responses.members().map_err(|error| ErrorObject::invalid_params(format!("params.inputResponses: {error}")))?;
            for (name, response) in responses.iter() {
                if !response.is_object() {
                    return Err(ErrorObject::invalid_params(format!("params.inputResponses[{name:?}] must be an object")));
                }
                answered.insert(name.to_owned(), response);
            }
        }
        Ok(answered)
    }

    fn subscribe(&self, exchange: &Exchange<WireCaller>, is_on: bool) -> Answer {
        let uri = required_string(exchange.params.as_ref(), "uri")?;
        let session = exchange.session.as_ref().ok_or_else(|| ErrorObject::method_not_found(&exchange.method))?;
        if !is_on {
            session.unsubscribe(&uri);
        } else if !self.gate.visible_to(&exchange.caller.0).catalogue().announces(&uri) {
            return Err(ErrorObject::invalid_params(format!(
                "no changes are announced of {uri}: it is unknown, or its server's changes are not passed on"
            )));
        } else if !session.subscribe(uri) {
            return Err(ErrorObject::invalid_params("this session has too many subscriptions: end some first"));
        }
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

    async fn request(&self, exchange: Exchange<WireCaller>) -> Answer {
        let era = exchange.revision.era();
        let params = exchange.params.as_ref();
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
            (method::LISTEN, Era::Modern) => self.listen(&exchange).await,
            (method::INITIALIZE, Era::Legacy) => match &exchange.session {
                Some(session) => self.initialize(session),
                None => Err(ErrorObject::method_not_found(method::INITIALIZE)),
            },
            (method::PING, Era::Legacy) => Ok(Json::empty_object()),
            (method::SET_LEVEL, Era::Legacy) => Self::set_level(&exchange),
            (method::SUBSCRIBE, Era::Legacy) => self.subscribe(&exchange, true),
            (method::UNSUBSCRIBE, Era::Legacy) => self.subscribe(&exchange, false),
            (unknown, _) => Err(ErrorObject::method_not_found(unknown)),
        }
    }

    fn notification(&self, _notification: Notification, _session: &Arc<Session>) {
        // `initialized` needs no answer and changes nothing here; what else clients may tell us concerns nobody yet.
    }

    fn header_params(&self, tool: &str, caller: &WireCaller) -> Option<Arc<[HeaderParam]>> {
        self.lists.header_params(self.gate.visible_to(&caller.0).catalogue(), tool)
    }
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
const MAX_NAME_BYTES: usize = 8 * 1024;

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
