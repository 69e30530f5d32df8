//! `analyze_text`: sentiment, complexity or a summary of a text. Published methods, no model, no network; the same text
//! always gives the same answer.
//!
//! Tolerances against the reference implementations, on English prose: the sentiment scores equal VADER 3.3.2 to all
//! four digits; sentences and words are counted by Unicode boundaries with a list of abbreviations, where textstat cuts
//! at every full stop; syllables come from a rule and lie within some 5 % of hyphenation patterns.

mod complexity;
mod segment;
mod sentiment;
mod summary;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolcrib_contract::{Annotations, CallContext, CallError, Category, Spec, Tool};

pub(crate) struct AnalyzeText;

/// What to analyze, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The text.
    text: String,
    /// What to find out.
    analysis_type: AnalysisType,
    /// For a summary: the most sentences it may have. Default a third of the text's, at most 5.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    max_sentences: Option<usize>,
}

/// What to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AnalysisType {
    /// Whether the text is positive, negative or neutral (English).
    Sentiment,
    /// How hard the text is to read.
    Complexity,
    /// The most central sentences.
    Summary,
}

/// The analysis: the fields of the one that was asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Analysis {
    /// What was asked for.
    analysis_type: AnalysisType,
    #[serde(flatten)]
    sentiment: Option<sentiment::Sentiment>,
    #[serde(flatten)]
    complexity: Option<complexity::Complexity>,
    #[serde(flatten)]
    summary: Option<summary::Summary>,
    /// What is worth knowing about the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

impl Tool for AnalyzeText {
    type Args = Args;
    type Output = Analysis;

    fn spec(&self) -> Spec {
        Spec::new(
            "analyze_text",
            "Analyzes a text: sentiment (VADER scores with the words behind them, English), complexity (sentence and word counts, readability \
             indices) or an extractive summary (the most central sentences, in their order).",
        )
        .title("Analyze text")
        .category(Category::DataProcessing)
        .tags(&["text", "sentiment", "readability", "summary"])
        .author("Toolcrib")
        .annotations(Annotations::PURE)
    }

    async fn run(&self, args: Args, _: &CallContext) -> Result<Analysis, CallError> {
        // A long text takes a while: not on a thread that serves others.
        tokio::task::spawn_blocking(move || analyze(&args)).await.map_err(|_| CallError::Panicked)
    }
}

fn analyze(Args { text, analysis_type, max_sentences }: &Args) -> Analysis {
    let mut analysis = Analysis { analysis_type: *analysis_type, sentiment: None, complexity: None, summary: None, note: None };
    match analysis_type {
        AnalysisType::Sentiment => analysis.sentiment = Some(sentiment::of(text)),
        AnalysisType::Complexity => analysis.complexity = Some(complexity::of(text)),
        AnalysisType::Summary => analysis.summary = Some(summary::of(text, *max_sentences)),
    }
    if segment::words(text).next().is_none() {
        analysis.note = Some("the text has no words");
    }
    analysis
}

#[cfg(test)]
mod tests;
