//! Log lines for a collector: a layer that hands them over while there is anybody to take them, and costs next to nothing otherwise.

use arc_swap::ArcSwapOption;
use std::{
    fmt::{self, Write},
    sync::Arc,
    time::SystemTime,
};
use tokio::sync::mpsc::Sender;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// What is longer is cut.
const MAX_BYTES: usize = 4096;

/// What happens on the way to a collector is not told there: each line would make others.
const OF_THE_WAY: [&str; 7] = ["toolcrib_telemetry", "toolcrib_egress", "hyper", "reqwest", "h2", "rustls", "tower"];

/// Who takes the lines of this process, if anybody does: there is one log of it.
static TAKER: ArcSwapOption<Sender<Line>> = ArcSwapOption::const_empty();

/// A line of the log.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) at: SystemTime,
    pub(crate) level: Level,
    pub(crate) target: &'static str,
    pub(crate) text: String,
    pub(crate) fields: Vec<(&'static str, String)>,
}

/// From now on lines go there.
pub(crate) fn give_to(taker: Option<Sender<Line>>) {
    TAKER.store(taker.map(Arc::new));
}

/// The layer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Exported;

impl<S: Subscriber> Layer<S> for Exported {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let taker = TAKER.load();
        let Some(taker) = &*taker else { return };
        let metadata = event.metadata();
        if OF_THE_WAY.iter().any(|target| metadata.target().starts_with(target)) {
            return;
        }
        let mut line =
            Line { at: SystemTime::now(), level: *metadata.level(), target: metadata.target(), text: String::new(), fields: Vec::new() };
        event.record(&mut line);
        // Where more is logged than can be told elsewhere, the rest is on standard error only.
        let _ = taker.try_send(line);
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.take(field, text);
    }
}

impl Line {
    fn take(&mut self, field: &Field, mut text: String) {
        text.truncate(text.floor_char_boundary(MAX_BYTES));
        if field.name() == "message" { self.text = text } else { self.fields.push((field.name(), text)) }
    }
}
