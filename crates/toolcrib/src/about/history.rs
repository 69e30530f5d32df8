//! How the server did in the last minutes: what was read of the totals every few seconds, for charts that are full when they are opened.

use serde::Serialize;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use toolcrib_edge::statistics::millis;
use toolcrib_gate::{Gate, Totals};

/// How often the totals are read.
pub(crate) const EVERY: Duration = Duration::from_secs(2);
/// Ten minutes.
const MAX_POINTS: usize = 300;

/// The points, the latest last.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<VecDeque<Point>>);

/// What became of the calls that ended between two readings.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Point {
    /// When it was read, in seconds since 1970.
    at: f64,
    calls: u64,
    errors: u64,
    in_flight: u64,
    /// Within which time so many of a hundred were answered, in milliseconds.
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

impl Point {
    fn between(before: &Totals, now: &Totals) -> Self {
        let durations = now.durations.since(&before.durations);
        let within = |share| durations.quantile(share).map(millis);
        Self {
            at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            calls: now.ended().saturating_sub(before.ended()),
            errors: now.errors().saturating_sub(before.errors()),
            in_flight: now.in_flight,
            p50: within(0.5),
            p95: within(0.95),
            p99: within(0.99),
        }
    }
}

impl History {
    /// Reads the totals of this gate as long as there is one.
    pub(crate) async fn keep(self: Arc<Self>, gate: Weak<Gate>) {
        let mut before = Totals::default();
        let mut turn = tokio::time::interval(EVERY);
        loop {
            turn.tick().await;
            let Some(now) = gate.upgrade().map(|gate| gate.totals()) else { return };
            let mut points = self.lock();
            if points.len() == MAX_POINTS {
                points.pop_front();
            }
            points.push_back(Point::between(&before, &now));
            before = now;
        }
    }

    pub(crate) fn points(&self) -> Vec<Point> {
        self.lock().iter().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Point>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
