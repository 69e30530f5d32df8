//! `calculator`: evaluates an expression, exactly where that is possible.
//!
//! A bounded parser and evaluator of our own: every library that was tried crashes or hangs on hostile input. Numbers are
//! fractions (`0.1+0.2` is `0.3`), multiples of π stay multiples of π (`sin(pi)` is 0), percentages mean what people mean
//! by them (`200 + 10%` is 220), quantities carry their units. Nothing is ever handed to a host language.
//!
//! Documented choices: `5 % 3` between two operands is the remainder; `mod` takes the sign of the divisor; `round` goes
//! half away from zero; `0^0` is 1; `log(x)` is decadic and `log(x, b)` has the base second; an odd root of a negative
//! number is negative; `variance` is that of a sample; a comma between groups of three digits is part of a number except
//! among the arguments of a function.

mod evaluate;
mod fault;
mod format;
mod functions;
mod lexer;
mod parser;
mod real;
mod units;

use evaluate::{Angle, Scope, Value};
use fault::{Class, Fault};
use format::{Format, Written};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toolcrib_contract::{Annotations, CallContext, CallError, Category, Json, Spec, Tool};

/// Digits of a result that has no end.
const DIGITS: usize = 30;
const MAX_VARIABLES: usize = 100;

pub(crate) struct Calculator;

/// What to evaluate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The expression, e.g. "0.1 + 0.2", "200 + 10%", "5 km / 25 min to km/h", "2^100 mod 7", "x^2 + 1". Operators: + - * /
    /// ^ ! % mod, comparisons, and/or/xor, << >>. Functions: sqrt, ln, log(x, base), sin, round(x, places), gcd, nCr, mean,
    /// if(c, a, b) and more. Constants: pi, e, tau, phi. "to" converts units or notation ("255 to hex"); ";" separates
    /// statements, "x = 3" assigns.
    expression: String,
    /// Values of variables: numbers, or expressions as text.
    #[serde(default)]
    vars: BTreeMap<String, Variable>,
    /// How angles are given and wanted. Default rad.
    #[serde(default)]
    angle: Angle,
    /// How the result is written. Default decimal.
    #[serde(default)]
    format: Format,
    /// Whether i is the imaginary unit. Default false.
    #[serde(default)]
    complex: bool,
    /// Significant digits of a result that has no end, 1 to 50. Default 30.
    #[serde(default)]
    #[schemars(range(min = 1, max = 50))]
    precision: Option<usize>,
}

/// A number, or an expression.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Variable {
    Number(serde_json::Number),
    Expression(String),
}

/// The result, or what is wrong.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Answer {
    /// The expression as it was given.
    expression: String,
    /// Whether there is a result.
    success: bool,
    /// The result: a number, or a text where it is none that JSON has (hexadecimal, complex, beyond 1e308).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NumberOrText>")]
    result: Option<Json>,
    /// Whether the value is exact. If its decimal form has no end, `fraction` has it and `result` is rounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    exact: Option<bool>,
    /// The exact value as a fraction, if it is not whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    fraction: Option<String>,
    /// The unit of the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    /// What is wrong, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What kind of fault it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<Class>,
}

/// Only for the schema.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "stands for what the result may be")]
enum NumberOrText {
    Number(f64),
    Text(String),
}

impl Tool for Calculator {
    type Args = Args;
    type Output = Answer;

    fn spec(&self) -> Spec {
        Spec::new(
            "calculator",
            "Evaluates an arithmetic expression exactly where possible: fractions, big integers, percentages (200 + 10% = 220, 10% of 80, \
             25 as % of 200), units with conversion (100 degF to degC), functions, constants, variables. Use it instead of computing in your head.",
        )
        .title("Calculator")
        .category(Category::Utility)
        .tags(&["math", "arithmetic", "units", "percent"])
        .author("Toolcrib")
        .annotations(Annotations::PURE)
    }

    async fn run(&self, args: Args, _: &CallContext) -> Result<Answer, CallError> {
        // Bounded work, but up to tens of milliseconds of it: not on a thread that serves others.
        tokio::task::spawn_blocking(move || answer(args)).await.map_err(|_| CallError::Panicked)
    }
}

fn answer(args: Args) -> Answer {
    let expression = args.expression.clone();
    let empty =
        Answer { expression, success: false, result: None, exact: None, fraction: None, unit: None, error: None, error_class: None };
    match evaluate(&args) {
        Ok(Written { text, is_number, is_exact, fraction, unit }) => Answer {
            success: true,
            result: Some(if is_number { Json::parse(text).unwrap_or_else(|_| Json::string("")) } else { Json::string(&text) }),
            exact: Some(is_exact),
            fraction,
            unit,
            ..empty
        },
        Err(fault) => Answer { error: Some(fault.to_string()), error_class: Some(fault.class), ..empty },
    }
}

fn evaluate(args: &Args) -> Result<Written, Fault> {
    if args.vars.len() > MAX_VARIABLES {
        return Err(Fault::limit(format!("at most {MAX_VARIABLES} variables")));
    }
    let mut scope = Scope { angle: args.angle, is_complex: args.complex, ..Scope::default() };
    for (name, variable) in &args.vars {
        let text = match variable {
            Variable::Number(number) => number.to_string(),
            Variable::Expression(text) => text.clone(),
        };
        let value = value_of(&text, Scope { angle: args.angle, is_complex: args.complex, ..Scope::default() })?;
        scope.variables.insert(name.clone(), value);
    }
    let digits = args.precision.unwrap_or(DIGITS).clamp(1, 50);
    format::write(&simplified(value_of(&args.expression, scope)?), args.format, digits)
}

fn value_of(text: &str, scope: Scope) -> Result<Value, Fault> {
    evaluate::run(&parser::parse(&lexer::tokens(text)?)?, scope)
}

/// A complex number without an imaginary part is a real one.
fn simplified(value: Value) -> Value {
    match &value.im {
        Some(im) if im.is_zero() => Value { im: None, ..value },
        _ => value,
    }
}

#[cfg(test)]
mod tests;
