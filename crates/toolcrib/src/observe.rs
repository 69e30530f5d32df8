//! What is logged, and where: to standard error, for people.

use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// The variable that says what is logged, in the words of `tracing_subscriber::EnvFilter`.
pub(crate) const VARIABLE: &str = "TOOLCRIB_LOG";

/// Starts to log. A wrong filter is reported and the default used: a log must not keep anybody from working.
pub(crate) fn start(default: LevelFilter, wanted: &str) {
    let (filter, fault) = match EnvFilter::builder().with_default_directive(default.into()).parse(wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::default().add_directive(default.into()), Some(error)),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    log.with_ansi(std::io::stderr().is_terminal()).init();
    if let Some(error) = fault {
        tracing::warn!("{VARIABLE} is not understood ({error}); logging the default");
    }
}
