//! What is logged, and where: to standard error, for people; the latest of it is kept, for who may read it.

use crate::about::log::Recent;
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// The variable that says what is logged, in the words of `tracing_subscriber::EnvFilter`.
pub(crate) const VARIABLE: &str = "TOOLCRIB_LOG";

/// Starts to log. A wrong filter is reported and the default used: a log must not keep anybody from working.
pub(crate) fn start(default: LevelFilter, wanted: &str) {
    let (filter, fault) = match EnvFilter::builder().with_default_directive(default.into()).parse(wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::default().add_directive(default.into()), Some(error)),
    };
    let shown = fmt::layer().with_target(false).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let kept = fmt::layer().with_target(false).with_writer(Recent::default).with_ansi(false);
    tracing_subscriber::registry().with(filter).with(shown).with(kept).init();
    if let Some(error) = fault {
        tracing::warn!("{VARIABLE} is not understood ({error}); logging the default");
    }
}
