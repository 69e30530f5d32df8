//! What comes of a call, for programs that speak no MCP: by REST, and of the library.

use serde::Serialize;
use std::time::Duration;
use toolcrib_contract::{CallError, Content, Json, Output};
use toolcrib_gate::Reply;

/// What came of a call, and what is known of it.
///
/// ```json
/// {"success": true, "result": {"each": 2487, "left": 2}, "execution_time": 0.0004, "tool_version": "1.0.0"}
/// ```
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Envelope {
    /// Whether it has a result.
    pub success: bool,
    /// The result: the structure where there is one, a lone text as text, else the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    /// Why it has none, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The same for programs: `tool_error` where the tool itself has failed, else the name of one of `docs/errors`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<&'static str>,
    /// How long it took, in seconds.
    pub execution_time: f64,
    /// The version of the tool, unless it is another server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_version: Option<String>,
}

impl Envelope {
    /// What came of a call that took so long.
    #[must_use]
    pub fn of(outcome: Result<Reply, CallError>, took: Duration, tool_version: Option<String>) -> Self {
        let result = match outcome {
            Ok(reply) => result_of(reply).map_err(|said| (said, TOOL_ERROR)),
            Err(error) => Err((error.to_string(), kind_of(&error))),
        };
        let (result, failure) = result.map_or_else(|failure| (None, Some(failure)), |result| (Some(result), None));
        let (error, error_type) = failure.unzip();
        Self { success: result.is_some(), result, error, error_type, execution_time: took.as_secs_f64(), tool_version }
    }
}

/// What a failure of the tool itself is called.
pub(crate) const TOOL_ERROR: &str = "tool_error";

/// What an error is called. What a caller may not have is told of as if it were not there.
pub(crate) fn kind_of(error: &CallError) -> &'static str {
    match error {
        CallError::Forbidden { .. } => "not_found",
        CallError::Failed(_) => TOOL_ERROR,
        other => other.code(),
    }
}

/// The result as programs want it. Of a failure, what it says.
pub(crate) fn result_of(reply: Reply) -> Result<Json, String> {
    let is_error = reply.output.is_error();
    let (content, structured) = match reply.output {
        Output::Tool(output) => (written(&output.content), output.structured),
        Output::Foreign(result) => (result.get("content").unwrap_or_else(|| Json::array([])), result.get("structuredContent")),
        _ => return Err("the tool gave something that is no tool's result".into()),
    };
    let blocks = content.elements().unwrap_or_default();
    let text = |block: &Json| block.members().ok().filter(|block| block.string("type").as_deref() == Some("text"))?.string("text");
    if is_error {
        let texts: Vec<String> = blocks.iter().filter_map(text).collect();
        return Err(texts.join("\n"));
    }
    let only_text = if let [block] = blocks.as_slice() { text(block) } else { None };
    Ok(structured.unwrap_or_else(|| only_text.map_or(content, |text| Json::string(&text))))
}

fn written(content: &[Content]) -> Json {
    Json::of(content).expect("our own outputs have a JSON form")
}
