//! Outputs and errors in the words of MCP, for the era of the door.
//!
//! This is the only place where a [`CallError`] becomes a wire code. What a model can react to (wrong arguments, a tool
//! that failed, a server that is down) reaches it as a tool result with `isError`; what is the client's own mistake, as
//! a JSON-RPC error.

use toolcrib_contract::{CallError, Content, Json, Kind, Members, Output, Question, ToolOutput};
use toolcrib_gate::Reply;
use toolcrib_json::ObjectWriter;
use toolcrib_wire::{Era, ErrorObject, message::code, method};

/// What a call is answered with.
pub(crate) type Answer = Result<Json, ErrorObject>;

/// Writes answers for one server: knows the `_meta` that a modern result carries.
#[derive(Debug)]
pub(crate) struct Answers {
    meta: Json,
}

impl Answers {
    /// Answers that name this server (`io.modelcontextprotocol/serverInfo`).
    pub(crate) fn new(server_info: &Json) -> Self {
        Self { meta: Json::object().with(toolcrib_wire::meta::SERVER_INFO, server_info).finish() }
    }

    /// Begins a result, with what every modern one carries.
    pub(crate) fn result(&self, era: Era) -> ObjectWriter {
        self.result_about(era, None)
    }

    /// Begins a result of which more is to be known: the members of an object.
    fn result_about(&self, era: Era, about: Option<&Json>) -> ObjectWriter {
        match era {
            Era::Legacy => Json::object().with_some("_meta", about),
            Era::Modern => {
                let meta = about.map_or_else(|| self.meta.clone(), |about| joined(&self.meta, about));
                Json::object().with_str("resultType", "complete").with("_meta", &meta)
            }
        }
    }

    /// The answer to a call that passed the gate.
    pub(crate) fn reply(&self, reply: Reply, kind: Kind, era: Era) -> Answer {
        let size = reply.size_bytes;
        let about = if let Output::Tool(output) = &reply.output { output.meta.as_ref() } else { None };
        let result = self.result_about(era, about);
        Ok(match reply.output {
            Output::Tool(output) => tool_result(result.reserve(size + 64), &output, era),
            Output::Resource(contents) => cacheable(result.with("contents", &written(&contents)), era).finish(),
            Output::Prompt(prompt) => {
                let description = prompt.description.as_deref().map(Json::string);
                result.with_some("description", description.as_ref()).with("messages", &written(&prompt.messages)).finish()
            }
            Output::Completion(completion) => result.with("completion", &written(&completion)).finish(),
            Output::Foreign(result) => foreign(&result, kind, era),
        })
    }

    /// The answer to a call that ended without an output, other than by asking.
    pub(crate) fn error(&self, error: &CallError, kind: Kind, era: Era) -> Answer {
        if kind == Kind::Tool && is_for_the_model(error, era) {
            return Ok(tool_result(self.result(era), &ToolOutput::failure(error.to_string()), era));
        }
        Err(error_object(error, era))
    }

    /// The answer to a call that has questions first (MCP 2026-07-28, "Multi Round-Trip Requests").
    pub(crate) fn input_required(&self, questions: &[(String, Question)], state: &str) -> Json {
        let requests = questions.iter().fold(Json::object(), |object, (name, question)| {
            let (method, params) = request_of(question);
            object.with(name, &Json::object().with_str("method", method).with_some("params", params.as_ref()).finish())
        });
        Json::object()
            .with_str("resultType", "input_required")
            .with("inputRequests", &requests.finish())
            .with_str("requestState", state)
            .with("_meta", &self.meta)
            .finish()
    }
}

/// How a question goes over the wire: its method and parameters.
pub(crate) fn request_of(question: &Question) -> (&'static str, Option<Json>) {
    match question {
        Question::Elicit(params) => (method::ELICIT, Some(params.clone())),
        Question::Sample(params) => (method::SAMPLE, Some(params.clone())),
        Question::Roots(params) => (method::LIST_ROOTS, params.clone()),
    }
}

/// Adds the cache hints that some modern results must carry. Nothing is promised: every answer is stale at once.
pub(crate) fn cacheable(result: ObjectWriter, era: Era) -> ObjectWriter {
    match era {
        Era::Legacy => result,
        Era::Modern => result.with("ttlMs", &written(&0)).with_str("cacheScope", "private"),
    }
}

fn tool_result(result: ObjectWriter, output: &ToolOutput, era: Era) -> Json {
    // Before 2026-07-28 structured content is an object or is not.
    let structured = output.structured.as_ref().filter(|json| era == Era::Modern || json.is_object());
    let result = result.with("content", &content(&output.content, era)).with_some("structuredContent", structured);
    if output.is_error { result.with("isError", &written(&true)).finish() } else { result.finish() }
}

/// Links came with 2025-06-18; to older clients, and so to all of their era, a link is its URI in words.
fn content(blocks: &[Content], era: Era) -> Json {
    let is_link = |block: &Content| matches!(block, Content::ResourceLink { .. });
    if era == Era::Modern || !blocks.iter().any(is_link) {
        return written(blocks);
    }
    let in_words = |block: &Content| match block {
        Content::ResourceLink { uri, name, .. } => written(&Content::text(format!("{name}: {uri}"))),
        block => written(block),
    };
    Json::array(blocks.iter().map(in_words))
}

/// The members of both.
fn joined(first: &Json, second: &Json) -> Json {
    let (Ok(first), Ok(second)) = (first.members(), second.members()) else { return first.clone() };
    first.iter().chain(second.iter()).fold(Json::object(), |object, (name, value)| object.with(name, &value)).finish()
}

fn written(value: &(impl serde::Serialize + ?Sized)) -> Json {
    Json::of(value).expect("our own outputs have a JSON form")
}

/// Another server's result in the era of the client. Within one era it passes byte for byte.
fn foreign(result: &Members, kind: Kind, era: Era) -> Json {
    let zero = || Some(written(&0));
    match era {
        Era::Legacy => {
            let has_no_object = |json: Json| !json.is_object();
            let drops_structure = result.get("structuredContent").is_some_and(has_no_object);
            if !result.has("resultType") && !drops_structure {
                return result.text().clone();
            }
            let mut edits = vec![("resultType", None)];
            if drops_structure {
                edits.push(("structuredContent", None));
            }
            result.edit(&edits)
        }
        Era::Modern => {
            let mut edits = Vec::new();
            if !result.has("resultType") {
                edits.push(("resultType", Some(Json::string("complete"))));
            }
            if kind == Kind::Resource && !result.has("ttlMs") {
                edits.extend([("ttlMs", zero()), ("cacheScope", Some(Json::string("private")))]);
            }
            if edits.is_empty() { result.text().clone() } else { result.edit(&edits) }
        }
    }
}

fn is_for_the_model(error: &CallError, era: Era) -> bool {
    match error {
        CallError::NotFound { .. }
        | CallError::Forbidden { .. }
        | CallError::Unauthenticated
        | CallError::Refused { .. }
        | CallError::NeedsInput(_)
        | CallError::NeedsRound(_) => false,
        CallError::CannotAsk { .. } => era == Era::Legacy,
        _ => true,
    }
}

fn error_object(error: &CallError, era: Era) -> ErrorObject {
    let message = error.to_string();
    if let CallError::Forbidden { kind, name, scopes, .. } = error {
        // What is not for this caller is answered as if it were not there.
        let as_missing = error_object(&CallError::NotFound { kind: *kind, name: name.clone() }, era);
        return if scopes.is_empty() { as_missing } else { as_missing.with_missing_scope(scopes.join(" ")) };
    }
    match error {
        CallError::NotFound { kind: Kind::Resource, name } => {
            let code = if era == Era::Legacy { code::LEGACY_RESOURCE_NOT_FOUND } else { code::INVALID_PARAMS };
            ErrorObject::new(code, message).with_data(Json::object().with_str("uri", name).finish())
        }
        CallError::NotFound { .. } | CallError::InvalidArguments(_) => ErrorObject::invalid_params(message),
        CallError::CannotAsk { capability } if era == Era::Modern => {
            let required = Json::object().with(capability, &Json::empty_object()).finish();
            ErrorObject::new(code::MISSING_CAPABILITY, message).with_data(Json::object().with("requiredCapabilities", &required).finish())
        }
        CallError::Refused { code, data, .. } if !is_reserved(*code) => {
            ErrorObject { code: *code, message, data: data.clone(), missing_scope: None }
        }
        _ => ErrorObject::new(code::INTERNAL_ERROR, message),
    }
}

/// Codes that speak of the connection to another server or of its knowledge of methods, not of the call: they would mislead
/// our client about us.
fn is_reserved(code: i64) -> bool {
    let is_of_connection = (-32099..=-32000).contains(&code) && code != code::LEGACY_RESOURCE_NOT_FOUND;
    is_of_connection || matches!(code, code::METHOD_NOT_FOUND | code::INVALID_REQUEST | code::PARSE_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn answers() -> Answers {
        Answers::new(&Json::object().with_str("name", "t").finish())
    }

    #[test]
    fn what_a_model_can_mend_reaches_it_as_a_result() {
        let text = |error: CallError| answers().error(&error, Kind::Tool, Era::Legacy).unwrap().as_str().to_owned();
        assert_eq!(
            text(CallError::InvalidArguments("/n: it is no number".into())),
            r#"{"content":[{"type":"text","text":"Invalid tool input: /n: it is no number"}],"isError":true}"#
        );
        assert!(text(CallError::DeadlineExceeded(Duration::from_secs(30))).contains("no answer within the deadline of 30 s"));
        assert!(
            text(CallError::Unavailable { server: "git".into(), reason: "it crashed".into(), outage: toolcrib_contract::Outage::Down })
                .contains("\\\"git\\\" is not available")
        );
    }

    #[test]
    fn what_is_known_of_an_output_and_its_links_reach_clients_of_each_era() {
        let link = Content::ResourceLink { uri: "a://b".into(), name: "the rest".into(), mime_type: None, size: Some(5) };
        let meta = Some(Json::object().with_str("dev.toolcrib/untrusted", "content").finish());
        let output = Output::Tool(ToolOutput { content: vec![link], meta, ..ToolOutput::default() });
        let text = |era| answers().reply(Reply { output: output.clone(), size_bytes: 1 }, Kind::Tool, era).unwrap().as_str().to_owned();
        assert_eq!(
            text(Era::Legacy),
            r#"{"_meta":{"dev.toolcrib/untrusted":"content"},"content":[{"type":"text","text":"the rest: a://b"}]}"#
        );
        assert_eq!(
            text(Era::Modern),
            r#"{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"t"},"dev.toolcrib/untrusted":"content"},"content":[{"type":"resource_link","uri":"a://b","name":"the rest","size":5}]}"#
        );
    }

    #[test]
    fn a_clients_mistake_is_an_error_of_its_era() {
        let code = |error: &CallError, kind, era| answers().error(error, kind, era).unwrap_err().code;
        let missing = |kind| CallError::NotFound { kind, name: "x".into() };
        assert_eq!(code(&missing(Kind::Tool), Kind::Tool, Era::Legacy), -32602);
        assert_eq!(code(&missing(Kind::Resource), Kind::Resource, Era::Legacy), -32002);
        assert_eq!(code(&missing(Kind::Resource), Kind::Resource, Era::Modern), -32602);
        assert_eq!(code(&CallError::CannotAsk { capability: "sampling" }, Kind::Tool, Era::Modern), -32021);
        let refused = |code| CallError::Refused { code, message: "no".into(), data: None };
        assert_eq!(code(&refused(-32602), Kind::Tool, Era::Modern), -32602);
        assert_eq!(code(&refused(4711), Kind::Prompt, Era::Modern), 4711);
        assert_eq!(code(&refused(-32601), Kind::Tool, Era::Modern), -32603, "it is not our method that is unknown");
        assert_eq!(code(&refused(-32020), Kind::Tool, Era::Modern), -32603, "another server's protocol errors are not ours");
    }

    #[test]
    fn a_foreign_result_passes_untouched_within_an_era_and_is_mended_across() {
        let pass = |text: &'static str, kind, era| foreign(&Json::parse(text).unwrap().members().unwrap(), kind, era).as_str().to_owned();
        let legacy = r#"{"content": [], "x":1.0}"#;
        assert_eq!(pass(legacy, Kind::Tool, Era::Legacy), legacy);
        assert_eq!(pass(legacy, Kind::Tool, Era::Modern), r#"{"content":[],"x":1.0,"resultType":"complete"}"#);
        let modern = r#"{"resultType":"complete","content":[],"structuredContent":[1]}"#;
        assert_eq!(pass(modern, Kind::Tool, Era::Modern), modern);
        assert_eq!(pass(modern, Kind::Tool, Era::Legacy), r#"{"content":[]}"#);
        assert_eq!(
            pass(r#"{"contents":[]}"#, Kind::Resource, Era::Modern),
            r#"{"contents":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#
        );
    }
}
