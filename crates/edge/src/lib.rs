//! Doors: where bytes become calls, and replies become bytes again.
//!
//! | module | what it is for |
//! |---|---|
//! | [`http`] | the HTTP door: accept loop, guards, routes |
//! | [`stdio`] | the door for an agent that starts us as a child |
//! | [`mcp`] | MCP on both: every method of both eras |
//! | [`dashboard`] | the dashboard, `/metrics`, and the endpoints for those who look after the server |
//! | `rest` | tools by REST, and the description of it |
//! | [`envelope`] | what comes of a call, for programs that speak no MCP |
//! | [`answer`] | outputs and errors in the words of MCP; the only place where an error becomes a wire code |

pub mod answer;
pub mod dashboard;
pub mod envelope;
pub mod http;
pub mod mcp;
mod rest;
pub mod statistics;
pub mod stdio;

use tokio::sync::watch;

/// Waits until the flag turns true, or until whoever could turn it is gone.
async fn raised(flag: &mut watch::Receiver<bool>) {
    // A sender that is gone will not tell any more: that, too, is the end.
    let _ = flag.wait_for(|is_raised| *is_raised).await;
}
