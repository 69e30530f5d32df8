//! Whether a server still answers: asked once a call to it was given up. One that says nothing at all for as long as it may take to start
//! hangs, and is started anew.

use crate::line::Line;
use std::time::Duration;
use tokio::time::Instant;
use toolcrib_wire::{
    Era,
    client::{Connection, Outgoing},
    method,
};

/// Completes, with the reason, when the server hangs. Over HTTP each request stands for itself, and nothing could be started anew.
pub(crate) async fn lost(line: &Line, patience: Duration) -> String {
    if !matches!(line.connection, Connection::Pipe(_)) {
        return std::future::pending().await;
    }
    loop {
        line.traffic.until_one_is_given_up().await;
        while !answers(line, patience).await {
            // A call that began before may be what the server is busy with; it has a deadline of its own.
            if !line.traffic.has_call_from_before(Instant::now() - patience) {
                return format!("it hangs: nothing came from it for {} s, not even an answer whether it is there", patience.as_secs_f64());
            }
        }
    }
}

/// Whether the server says anything within this time.
async fn answers(line: &Line, patience: Duration) -> bool {
    let asked = Instant::now();
    let question = match line.greeting().revision.era() {
        Era::Legacy => method::PING,
        Era::Modern => method::DISCOVER,
    };
    let answered = tokio::time::timeout(patience, line.connection.request(question, Outgoing::default())).await;
    // An error is an answer, too; and that the connection ended is found out elsewhere.
    answered.is_ok() || line.traffic.has_answered_since(asked)
}
