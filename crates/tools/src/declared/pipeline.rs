//! Tools one after the other, declared: each is called by the gate, for the same caller, and what one gives the next can take.
//!
//! Values are looked for by `{{args.NAME}}`, and by `{{STEP.PATH}}` in what a step before has given.

use super::{
    given::Given,
    template::{Place, Shape},
};
use crate::kept::Kept;
use serde_json::{Map, Value};
use toolcrib_contract::{BoxFuture, CallContext, CallError, Callable, Input, Json, Others, Output};

/// By which name the arguments of the call are found.
pub const ARGS: &str = "args";

/// Steps as the config declares them.
#[derive(Debug, Clone)]
pub struct PipelineSettings {
    /// The steps, in their order.
    pub steps: Vec<Step>,
    /// What the call gives; what the last step gave, without it.
    pub result: Option<Shape>,
}

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// By which name what it gives is found.
    pub name: String,
    /// The tool.
    pub tool: String,
    /// Its arguments.
    pub arguments: Shape,
    /// It is left out unless this value is there, and is neither false nor empty.
    pub when: Option<Place>,
}

/// Who makes the calls.
pub(super) trait Steps: Send + Sync {
    fn call<'a>(&'a self, step: &'a Step, arguments: Json, cx: &'a CallContext) -> BoxFuture<'a, Result<Output, CallError>>;
}

/// The gate does.
struct ByTheGate;

impl Steps for ByTheGate {
    fn call<'a>(&'a self, step: &'a Step, arguments: Json, cx: &'a CallContext) -> BoxFuture<'a, Result<Output, CallError>> {
        Box::pin(cx.call_tool(&step.tool, arguments))
    }
}

/// The tool.
pub(super) struct Pipeline {
    settings: PipelineSettings,
    tools: Vec<String>,
    kept: Kept,
}

impl PipelineSettings {
    /// What is wrong with where values are looked for, each in a sentence.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut known = vec![ARGS];
        let mut faults = Vec::new();
        let mut look = |places: Vec<&Place>, known: &[&str], whose: &str| {
            let lost = places.into_iter().filter(|place| !known.contains(&place.root()));
            faults.extend(lost.map(|place| format!("{whose} looks for {{{{{place}}}}}, and known there are {}", known.join(", "))));
        };
        for step in &self.steps {
            let whose = format!("the step {:?}", step.name);
            look(step.arguments.places().into_iter().chain(step.when.as_ref()).collect(), &known, &whose);
            known.push(&step.name);
        }
        look(self.result.iter().flat_map(Shape::places).collect(), &known, "the result");
        faults
    }

    /// The arguments of the call that it looks for.
    #[must_use]
    pub fn arguments(&self) -> Vec<&str> {
        let of_steps = self.steps.iter().flat_map(|step| step.arguments.places().into_iter().chain(step.when.as_ref()));
        let places = of_steps.chain(self.result.iter().flat_map(Shape::places));
        places.filter(|place| place.root() == ARGS).filter_map(Place::second).collect()
    }
}

impl Pipeline {
    pub(super) fn new(settings: PipelineSettings, kept: Kept) -> Self {
        let mut tools: Vec<String> = settings.steps.iter().map(|step| step.tool.clone()).collect();
        tools.sort_unstable();
        tools.dedup();
        Self { settings, tools, kept }
    }

    pub(super) async fn run(&self, arguments: Value, cx: &CallContext, steps: &impl Steps) -> Result<Given, CallError> {
        let mut scope = Value::Object(Map::from_iter([(ARGS.to_owned(), arguments)]));
        let mut last = Value::Null;
        // Steps report, too, and by the same clock.
        let began = std::time::Instant::now();
        for step in &self.settings.steps {
            if step.when.as_ref().is_some_and(|when| !when.find(&scope).is_some_and(holds)) {
                continue;
            }
            cx.progress(began.elapsed().as_secs_f64(), None, Some(&format!("{}: {}", step.name, step.tool)));
            let arguments = step.arguments.fill(&scope).unwrap_or_else(|| Value::Object(Map::new()));
            let output = steps.call(step, Json::from(&arguments), cx).await.map_err(|error| in_step(step, error))?;
            last = output
                .into_value()
                .map_err(|said| CallError::failed(format_args!("the step {:?} ({}) failed: {said}", step.name, step.tool)))?;
            scope[&step.name] = last.clone();
        }
        let given = match &self.settings.result {
            Some(shape) => shape.fill(&scope).unwrap_or_default(),
            None => last,
        };
        Ok(match given {
            Value::Null => Given::Nothing,
            Value::String(text) => Given::Text(text),
            other => Given::Json(Json::from(&other)),
        })
    }
}

/// Whether a value says yes.
fn holds(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// The same error, with where it came up; what an earlier step did is done.
fn in_step(step: &Step, error: CallError) -> CallError {
    let place = format!("the step {:?} ({}) failed", step.name, step.tool);
    match error {
        CallError::Unavailable { server, reason, .. } => {
            CallError::failed(format_args!("{place}: the server {server:?} is not available: {reason}"))
        }
        CallError::OutcomeUnknown { server, reason } | CallError::Unreadable { server, reason } => {
            CallError::OutcomeUnknown { server, reason: format!("{place}: {reason}") }
        }
        CallError::DeadlineExceeded(_) => {
            CallError::OutcomeUnknown { server: step.tool.as_str().into(), reason: format!("{place}: {error}") }
        }
        other => CallError::failed(format_args!("{place}: {other}")),
    }
}

impl Callable for Pipeline {
    fn call(&self, input: Input, cx: CallContext) -> BoxFuture<'_, Result<Output, CallError>> {
        Box::pin(async move {
            let arguments = input.arguments.to_value().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
            let given = self.run(arguments, &cx, &ByTheGate).await?;
            Ok(Output::Tool(given.output(&self.kept, cx.caller(), None)))
        })
    }

    fn foretell(&self, _arguments: &Json) -> Option<Result<Vec<String>, CallError>> {
        let step = |step: &Step| match &step.when {
            Some(when) => format!("{}: calls {}, if {when} is there", step.name, step.tool),
            None => format!("{}: calls {}", step.name, step.tool),
        };
        Some(Ok(self.settings.steps.iter().map(step).collect()))
    }

    fn others(&self) -> Others<'_> {
        Others::These(&self.tools)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;
    use toolcrib_contract::{Annotations, Spec, ToolOutput, callable};
    use toolcrib_testkit::{OpenGate, TestGate, said};

    fn shape(value: Value) -> Shape {
        Shape::parse(&value).unwrap()
    }

    fn step(name: &str, tool: &str, arguments: Value) -> Step {
        Step { name: name.into(), tool: tool.into(), arguments: shape(arguments), when: None }
    }

    fn gate(steps: Vec<Step>, result: Option<Value>) -> OpenGate {
        let settings = PipelineSettings { steps, result: result.map(shape) };
        assert_eq!(settings.faults(), Vec::<String>::new());
        let looking = Spec::new("find", "Finds.").annotations(Annotations::LOOKS_OUTSIDE);
        let find = callable(|input, _| async move {
            let city: Value = input.arguments.read().unwrap();
            Ok(Output::Tool(ToolOutput::structured(&json!({"place": {"lat": 46.5, "name": city["city"]}})).unwrap()))
        });
        TestGate::default()
            .entry(looking, find)
            .tool("say", |input, _| async move { said(&format!("said {}", input.arguments)) })
            .tool("fail", |_, _| async move { Ok(Output::Tool(ToolOutput::failure("it rains"))) })
            .entry(Spec::new("all", "Does all of it."), Arc::new(Pipeline::new(settings, Kept::default())))
            // A call that waits for another keeps no place from it.
            .config(toolcrib_gate::Config { max_concurrent: 1, ..toolcrib_gate::Config::default() })
            .open()
    }

    #[tokio::test]
    async fn what_one_gives_the_next_takes_and_each_has_its_record() {
        let steps = vec![
            step("geo", "find", json!({"city": "{{args.city}}"})),
            step("out", "say", json!({"lat": "{{geo.place.lat}}", "text": "in {{geo.place.name}}", "none": "{{args.none}}"})),
        ];
        let gate_ = gate(steps.clone(), None);
        assert_eq!(gate_.text("all", &json!({"city": "Bern"})).await.unwrap(), r#"said {"lat":46.5,"text":"in Bern"}"#);
        let names: Vec<String> = gate_.records().iter().map(|record| record.name.to_string()).collect();
        assert_eq!(names, ["find", "say", "all"]);
        let shaped = gate(steps, Some(json!({"at": "{{geo.place}}", "told": "{{out}}"})));
        let told = shaped.tell("all", &json!({"city": "Bern"})).await;
        assert_eq!(told["at"], json!({"lat": 46.5, "name": "Bern"}));
        assert!(told["told"].as_str().unwrap().starts_with("said"));
    }

    #[tokio::test]
    async fn a_step_that_fails_ends_it_and_says_where() {
        let gate = gate(vec![step("first", "fail", json!({})), step("second", "say", json!({}))], None);
        assert_eq!(gate.text("all", &json!({})).await.unwrap_err(), r#"the step "first" (fail) failed: it rains"#);
        assert_eq!(gate.records().len(), 2);
        let missing = self::gate(vec![step("first", "no_such_tool", json!({}))], None).text("all", &json!({})).await.unwrap_err();
        assert!(missing.contains("unknown tool: no_such_tool"), "{missing}");
    }

    #[tokio::test]
    async fn what_is_too_much_for_a_step_is_not_handed_on_in_part() {
        let large = callable(|_, cx| async move {
            let json = Json::from(&json!({"text": "x".repeat(200_000)}));
            Ok(Output::Tool(Given::Json(json).output(&Kept::default(), cx.caller(), None)))
        });
        let settings = PipelineSettings {
            steps: vec![step("first", "large", json!({})), step("second", "say", json!({"x": "{{first.text}}"}))],
            result: None,
        };
        let gate = TestGate::default()
            .entry(Spec::new("large", "Gives much."), large)
            .tool("say", |_, _| async move { said("never") })
            .entry(Spec::new("all", "Does all of it."), Arc::new(Pipeline::new(settings, Kept::default())))
            .open();
        let error = gate.text("all", &json!({})).await.unwrap_err();
        assert!(error.contains("more than can be handed on"), "{error}");
    }

    #[tokio::test]
    async fn a_step_that_is_not_wanted_is_left_out() {
        let mut second = step("second", "say", json!({"n": 2}));
        second.when = Some(Place::parse("args.twice").unwrap());
        let gate = gate(vec![step("first", "say", json!({"n": 1})), second], None);
        for (arguments, said) in [(json!({}), 1), (json!({"twice": false}), 1), (json!({"twice": true}), 2)] {
            assert_eq!(gate.text("all", &arguments).await.unwrap(), format!("said {{\"n\":{said}}}"), "{arguments}");
        }
    }

    #[tokio::test]
    async fn its_effects_are_those_of_its_parts_and_it_ends_however_deep_it_calls_itself() {
        let of = |gate: &OpenGate| gate.gate().catalogue().tool("all").unwrap().spec().annotations;
        assert_eq!(of(&gate(vec![step("a", "find", json!({}))], None)), Annotations::LOOKS_OUTSIDE);
        assert_eq!(
            of(&gate(vec![step("a", "find", json!({})), step("b", "say", json!({}))], None)),
            Annotations { is_open_world: Some(true), ..Annotations::default() }
        );
        let endless = gate(vec![step("again", "all", json!({}))], None);
        let error = endless.text("all", &json!({})).await.unwrap_err();
        assert!(error.contains("8 calls have led here already"), "{error}");
    }

    #[test]
    fn values_are_looked_for_only_where_they_can_be() {
        let settings = PipelineSettings {
            steps: vec![step("a", "say", json!({"x": "{{b.y}}"})), step("b", "say", json!({"x": "{{a}} {{city}}"}))],
            result: Some(shape(json!("{{c}}"))),
        };
        assert_eq!(
            settings.faults(),
            [
                r#"the step "a" looks for {{b.y}}, and known there are args"#,
                r#"the step "b" looks for {{city}}, and known there are args, a"#,
                "the result looks for {{c}}, and known there are args, a, b",
            ]
        );
    }
}
