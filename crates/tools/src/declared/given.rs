//! What a declared tool gives back: JSON with its structure, or text; what is too much for a model lies in a resource.

use crate::{
    kept::{self, Kept},
    outside::untrusted,
};
use toolcrib_contract::{CallerId, Content, Json, ToolOutput};

/// The most bytes of text that a model is given at once.
const MAX_TEXT_BYTES: usize = 100_000;

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Given {
    Json(Json),
    Text(String),
    /// There was nothing to give.
    Nothing,
}

impl Given {
    /// As a tool's output: of others' making, so marked as that.
    pub(super) fn output(self, kept: &Kept, caller: &CallerId, note: Option<&str>) -> ToolOutput {
        let mut output = match self {
            Self::Nothing => ToolOutput::text("(done; there is nothing to tell)"),
            Self::Json(json) => {
                // What a structure is, the protocol says: an object.
                let structured = if json.is_object() { json.clone() } else { Json::object().with("result", &json).finish() };
                let mut output = shortened(json.as_str(), "application/json", kept, caller);
                output.structured = (json.size_bytes() <= MAX_TEXT_BYTES).then_some(structured);
                output
            }
            Self::Text(text) => shortened(&text, "text/plain", kept, caller),
        };
        output.meta = Some(untrusted(&["*"]));
        output.content.extend(note.map(Content::text));
        output
    }
}

/// The text, or its beginning and where the rest can be read.
fn shortened(text: &str, media_type: &str, kept: &Kept, caller: &CallerId) -> ToolOutput {
    if text.len() <= MAX_TEXT_BYTES {
        return ToolOutput::text(text);
    }
    let mut output = ToolOutput::text(&text[..text.floor_char_boundary(MAX_TEXT_BYTES)]);
    let resource = kept.keep(caller, media_type, text.as_bytes().to_vec());
    let where_the_rest_is = if resource.is_some() { "; all of it can be read from the resource" } else { "" };
    output.content.push(Content::text(format!("(these are {MAX_TEXT_BYTES} of {} bytes{where_the_rest_is})", text.len())));
    output.content.extend(resource.map(|uri| kept::link(&uri, "all of it", media_type)));
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_cut_and_kept() {
        let (kept, ann) = (Kept::default(), CallerId::anonymous());
        let output = Given::Json(Json::parse("[1]").unwrap()).output(&kept, &ann, None);
        assert_eq!(output.structured.unwrap().as_str(), r#"{"result":[1]}"#);
        let output = Given::Text("ü".repeat(MAX_TEXT_BYTES)).output(&kept, &ann, Some("a note"));
        assert!(
            matches!(&output.content[..], [Content::Text { text }, Content::Text { .. }, Content::ResourceLink { .. }, Content::Text { .. }] if text.len() == MAX_TEXT_BYTES)
        );
        let large = Json::string(&"x".repeat(MAX_TEXT_BYTES));
        assert!(Given::Json(large).output(&kept, &ann, None).structured.is_none());
    }
}
