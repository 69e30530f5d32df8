//! How far long work has come, for a person at a terminal who waits for it. Elsewhere nothing is drawn.

use super::is_quiet;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{borrow::Cow, time::Duration};

/// How often what turns is turned.
const TURN: Duration = Duration::from_millis(100);
/// Parts that take about the same time.
const BAR: &str = "{spinner} {msg} {wide_bar} {pos}/{len}, {eta} left";
/// Parts of which each takes as long as it likes.
const STEPS: &str = "{spinner} {pos}/{len} {msg} ({elapsed})";

/// What is drawn on standard error until it is dropped.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Work of so many parts that take about the same time.
    pub(super) fn of(parts: usize, what: impl Into<Cow<'static, str>>) -> Self {
        Self::drawn(parts, BAR, what)
    }

    /// Work of so many parts, each of which may take as long as it likes.
    pub(super) fn of_steps(parts: usize, what: impl Into<Cow<'static, str>>) -> Self {
        Self::drawn(parts, STEPS, what)
    }

    fn drawn(parts: usize, how: &str, what: impl Into<Cow<'static, str>>) -> Self {
        let target = if is_quiet() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(parts as u64), target);
        // The styles are understood: a test below holds them to it.
        bar.set_style(ProgressStyle::with_template(how).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what);
        if !bar.is_hidden() {
            bar.enable_steady_tick(TURN);
        }
        Self(bar)
    }

    /// What is being done now.
    pub(super) fn say(&self, what: impl Into<Cow<'static, str>>) {
        self.0.set_message(what);
    }

    /// One part is done.
    pub(super) fn advance(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_are_understood() {
        for how in [BAR, STEPS] {
            ProgressStyle::with_template(how).unwrap();
        }
    }
}
