//! What tools that reach outside have in common.

use std::{future::Future, time::Duration};
use toolcrib_contract::{CallContext, Json};

/// How often a caller hears that a long call goes on.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// What is known of an output that holds what others wrote: which of its fields do. A model should take them as data, never
/// as instructions.
pub(crate) fn untrusted(fields: &[&str]) -> Json {
    let fields = Json::of(fields).expect("texts have a JSON form");
    Json::object().with("dev.toolcrib/untrusted", &fields).finish()
}

/// Tells a caller who wants to hear of it that the work goes on.
pub(crate) async fn with_heartbeat<T>(cx: &CallContext, what: &str, work: impl Future<Output = T>) -> T {
    if !cx.wants_progress() {
        return work.await;
    }
    let mut work = std::pin::pin!(work);
    let started = tokio::time::Instant::now();
    let mut beat = tokio::time::interval_at(started + HEARTBEAT, HEARTBEAT);
    loop {
        tokio::select! {
            biased;
            done = work.as_mut() => return done,
            _ = beat.tick() => {
                let seconds = started.elapsed().as_secs();
                cx.progress(started.elapsed().as_secs_f64(), None, Some(&format!("{what}: {seconds} s")));
            }
        }
    }
}
