//! A server with tools of its own: functions, and a closure.
//!
//! ```sh
//! cargo run --example basic-tools -- call calculate operation=multiply a=6 b=7
//! ```

use std::process::ExitCode;
use toolcrib::{
    Annotations, CallError, Category, Crib, Spec,
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
    tool, tool_fn,
};

fn main() -> ExitCode {
    let shout = Spec::new("shout", "Writes a text in capitals.").category(Category::DataProcessing).annotations(Annotations::PURE);
    Crib::builder()
        .name("basic-tools", "1.0.0")
        .tool(calculate())
        .tool(describe_text())
        .tool(tool_fn(shout, |Text { text }, _| async move {
            if text.is_empty() { Err(CallError::failed("there is nothing to shout")) } else { Ok(text.to_uppercase()) }
        }))
        .serve()
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// Computes with two numbers.
#[tool(pure, category = utility, tags("arithmetic"))]
async fn calculate(
    /// What to do with them.
    operation: Operation,
    /// The first number.
    a: f64,
    /// The second number.
    b: f64,
) -> Result<f64, CallError> {
    Ok(match operation {
        Operation::Add => a + b,
        Operation::Subtract => a - b,
        Operation::Multiply => a * b,
        // What the model can react to is an error in words.
        Operation::Divide if b == 0.0 => return Err(CallError::failed("nothing can be divided by zero")),
        Operation::Divide => a / b,
    })
}

/// What there is to say of a text. Output that is an object is structure for programs, described by a schema.
#[derive(Serialize, JsonSchema)]
struct Description {
    /// Words, as spaces separate them.
    words: usize,
    /// Lines.
    lines: usize,
    /// The longest word.
    longest: Option<String>,
}

/// Counts the words and lines of a text, and finds its longest word.
#[tool(pure, category = data_processing, tags("text"))]
async fn describe_text(
    /// The text.
    text: String,
) -> Result<Description, CallError> {
    let longest = text.split_whitespace().max_by_key(|word| word.chars().count()).map(ToOwned::to_owned);
    Ok(Description { words: text.split_whitespace().count(), lines: text.lines().count(), longest })
}

#[derive(Deserialize, JsonSchema)]
struct Text {
    /// The text.
    text: String,
}
