//! MCP on the wire: JSON-RPC messages with raw payloads, both eras, over stdio and Streamable HTTP, as server and as client.
//!
//! This is the only crate that knows JSON-RPC. It deliberately knows no tool and no policy: who may call what, and what
//! a tool answers, is decided behind [`server::Service`].
//!
//! | module | what it is for |
//! |---|---|
//! | [`message`] | one JSON-RPC message, its payloads still text |
//! | [`revision`] | the revisions of the protocol and their two [`Era`]s |
//! | [`meta`] | what a request says about itself in `_meta` |
//! | [`headers`] | the standard HTTP headers of 2026-07-28, written and checked against the body |
//! | [`sse`], [`lines`] | framing: server-sent events, and lines on a pipe |
//! | [`server`] | the serving side of both transports |
//! | [`client`] | the calling side of both transports |
//! | `http_client` | HTTP as it goes out, below both sides |

pub mod client;
pub mod headers;
mod http_client;
pub mod lines;
pub mod message;
pub mod meta;
pub mod method;
pub mod revision;
pub mod server;
pub mod sse;

pub use message::{ErrorObject, Id, Message, Notification, Request, Response};
pub use revision::{Era, Revision};
