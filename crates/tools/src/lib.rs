//! Ready tools: one file (or one folder) each, named as clients name the tool.

use std::sync::Arc;
use toolcrib_contract::{Callable, Spec};

/// All ready tools.
#[must_use]
pub fn all() -> Vec<(Spec, Arc<dyn Callable>)> {
    vec![]
}
