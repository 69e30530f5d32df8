//! A prompt, declared: messages with places for its arguments.

use super::template::Template;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, sync::Arc};
use toolcrib_contract::{
    CallError, Content, Output, Prompt, PromptSpec, callable,
    output::{PromptMessage, PromptOutput, Role},
};

/// A prompt as the config declares it.
#[derive(Debug, Clone)]
pub struct PromptSettings {
    /// What is known of it.
    pub spec: PromptSpec,
    /// Who says what.
    pub messages: Vec<(Role, Template)>,
    /// The values that an argument may have, by the arguments' names; they complete what is typed, too.
    pub values: BTreeMap<String, Vec<String>>,
}

/// The prompt that was declared.
pub(crate) fn prompt(settings: PromptSettings) -> Prompt {
    let (spec, values) = (settings.spec.clone(), settings.values.clone());
    let settings = Arc::new(settings);
    let run = callable(move |input, _| {
        let settings = Arc::clone(&settings);
        async move {
            let given = input.arguments.to_value().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
            settings.fill(&given).map(Output::Prompt)
        }
    });
    Prompt::of(spec, run).completing(move |argument, typed| {
        let known = values.get(&argument).into_iter().flatten();
        let typed = typed.to_lowercase();
        let fitting: Vec<String> = known.filter(|value| value.to_lowercase().starts_with(&typed)).cloned().collect();
        async move { Ok(fitting) }
    })
}

impl PromptSettings {
    /// The messages with these arguments. One that is empty without an argument that may be left out is left out, too.
    fn fill(&self, given: &Value) -> Result<PromptOutput, CallError> {
        let scope = Value::Object(self.scope(given)?);
        let message = |(role, text): &(Role, Template)| {
            let text = text.fill(&scope).filter(|text| !text.trim().is_empty())?;
            Some(PromptMessage { role: *role, content: Content::text(text) })
        };
        Ok(PromptOutput { description: self.spec.description.clone(), messages: self.messages.iter().filter_map(message).collect() })
    }

    fn scope(&self, given: &Value) -> Result<Map<String, Value>, CallError> {
        let mut scope = Map::new();
        if let Some(odd) = given.as_object().into_iter().flat_map(Map::keys).find(|name| !self.has_argument(name)) {
            return Err(CallError::InvalidArguments(format!("{odd:?} is no argument of this prompt")));
        }
        for argument in &self.spec.arguments {
            let name = &argument.name;
            let text = match &given[name] {
                Value::Null if argument.required => return Err(CallError::InvalidArguments(format!("the argument {name:?} is missing"))),
                Value::Null => "",
                Value::String(text) => text,
                _ => return Err(CallError::InvalidArguments(format!("the argument {name:?} is to be a text"))),
            };
            if let Some(values) = self.values.get(name).filter(|values| !text.is_empty() && !values.iter().any(|value| value == text)) {
                return Err(CallError::InvalidArguments(format!("the argument {name:?} is one of {}", values.join(", "))));
            }
            scope.insert(name.clone(), text.into());
        }
        Ok(scope)
    }

    fn has_argument(&self, name: &str) -> bool {
        self.spec.arguments.iter().any(|argument| argument.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use toolcrib_contract::PromptArgument;

    fn review() -> PromptSettings {
        let argument = |name: &str, required| PromptArgument { name: name.into(), description: None, required };
        let mut spec = PromptSpec::new("review", "Reviews code.");
        spec.arguments = vec![argument("language", true), argument("focus", false)];
        let text = |text: &str| Template::parse(text).unwrap();
        PromptSettings {
            spec,
            messages: vec![(Role::User, text("Review this {{language}} code.")), (Role::Assistant, text("{{focus}}"))],
            values: BTreeMap::from([("focus".to_owned(), vec!["speed".to_owned(), "clarity".to_owned()])]),
        }
    }

    fn said(given: &Value) -> Result<Vec<String>, String> {
        let messages = review().fill(given).map_err(|error| error.to_string())?.messages;
        Ok(messages.into_iter().map(|message| format!("{:?}: {:?}", message.role, message.content)).collect())
    }

    #[test]
    fn arguments_take_their_places() {
        let both = said(&json!({"language": "{{focus}}", "focus": "speed"})).unwrap();
        // A value is never looked at for places.
        assert!(both[0].contains("Review this {{focus}} code.") && both[1].contains("speed"), "{both:?}");
        assert_eq!(said(&json!({"language": "Rust"})).unwrap().len(), 1);
    }

    #[test]
    fn what_is_missing_or_not_meant_is_said() {
        for (given, wanted) in [
            (json!({}), "the argument \"language\" is missing"),
            (json!({"language": "Rust", "focus": "love"}), "is one of speed, clarity"),
            (json!({"language": 7}), "is to be a text"),
            (json!({"language": "Rust", "foucs": "speed"}), "\"foucs\" is no argument"),
        ] {
            let error = said(&given).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
