//! What is logged, and where: to standard error, for people or for machines; the latest of it is kept, for who may read it; and a
//! collector is told, where there is one.

use crate::about::log::Recent;
use std::{
    io::{self, IsTerminal},
    sync::OnceLock,
};
use toolcrib_telemetry::log::Exported;
use tracing_subscriber::{EnvFilter, Layer, Registry, filter::LevelFilter, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// The variable that says what is logged, in the words of `tracing_subscriber::EnvFilter`.
pub(crate) const VARIABLE: &str = "TOOLCRIB_LOG";
/// The variable that says in which form: `text`, or `json`.
pub(crate) const FORMAT: &str = "TOOLCRIB_LOG_FORMAT";

/// The longest filter that is taken while we run.
const MAX_FILTER_BYTES: usize = 1024;

/// What is logged may be something else while we run.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts to log. A wrong filter or form is reported and the default used: a log must not keep anybody from working.
pub(crate) fn start(default: LevelFilter, wanted: &str, format: &str) {
    let (filter, fault) = match EnvFilter::builder().with_default_directive(default.into()).parse(wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::default().add_directive(default.into()), Some(error)),
    };
    let (filter, handle) = reload::Layer::new(filter);
    // It is started once.
    let _ = FILTER.set(handle);
    let shown = fmt::layer().with_writer(io::stderr);
    let shown = if format == "json" {
        shown.json().flatten_event(true).boxed()
    } else {
        shown.with_target(false).with_ansi(io::stderr().is_terminal()).boxed()
    };
    let kept = fmt::layer().with_target(false).with_writer(Recent::default).with_ansi(false);
    tracing_subscriber::registry().with(filter).with(shown).with(kept).with(Exported).init();
    if let Some(error) = fault {
        tracing::warn!("{VARIABLE} is not understood ({error}); logging the default");
    }
    if !matches!(format, "" | "text" | "json") {
        tracing::warn!("{FORMAT} is {format:?}; known are text and json");
    }
}

/// What is logged now, in the same words.
pub(crate) fn filter() -> String {
    FILTER.get().and_then(|handle| handle.with_current(ToString::to_string).ok()).unwrap_or_default()
}

/// From now on this is logged.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn set_filter(wanted: &str) -> Result<(), String> {
    if wanted.len() > MAX_FILTER_BYTES || wanted.chars().any(char::is_control) {
        return Err(format!("a filter is one line of at most {MAX_FILTER_BYTES} bytes"));
    }
    if wanted.trim().is_empty() {
        return Err("an empty filter would log nothing, not even this: write off, info or debug, or levels by module".to_owned());
    }
    let filter = EnvFilter::builder().parse(wanted).map_err(|error| format!("{wanted:?} is not understood: {error}"))?;
    let handle = FILTER.get().ok_or("this program does its own logging")?;
    handle.reload(filter).map_err(|error| error.to_string())?;
    tracing::info!(filter = wanted, "what is logged is now something else");
    Ok(())
}
