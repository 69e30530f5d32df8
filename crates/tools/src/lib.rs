//! Ready tools: one file (or one folder) each, named as clients name the tool.
//!
//! A tool sees nothing but `toolcrib-contract`, and never reaches back for this list.

mod analyze_text;
mod api_client;
mod big_stack;
mod calculator;
mod charset;
mod database;
mod database_query;
mod describe_database;
mod kept;
mod outside;
mod weather_api;
mod web_scraper;

use std::sync::Arc;
use toolcrib_contract::{Callable, Spec, typed};

/// All ready tools.
#[must_use]
pub fn all() -> Vec<(Spec, Arc<dyn Callable>)> {
    vec![typed(analyze_text::AnalyzeText), typed(calculator::Calculator)]
}
