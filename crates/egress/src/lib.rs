//! The one way out. Whatever of ours opens a connection because somebody asked for a URL or a host goes through [`Egress`],
//! so that no tool can be talked into reaching what only we can reach.
//!
//! What is judged is the address that is dialled, not the text of a URL: after the URL is parsed, after its name is
//! resolved, and anew on every redirect. Special ranges (private, loopback, link-local, metadata …) are refused unless
//! the config makes an exception. An [`EgressError`] says which rule refused.
//!
//! | module | what it holds |
//! |---|---|
//! | [`address`] | which addresses are special, and why |
//! | [`policy`] | the rules: hosts, ports, exceptions |
//! | [`target`] | a URL that may be fetched, as far as its text tells |
//! | [`resolve`] | names to addresses, all of them vetted |
//! | [`body`] | bytes within bounds, before and after decompression |
//! | [`tls`] | TLS to servers that speak no HTTP |
//! | [`fetch`] | requests, redirects, the pace for each host |
//! | `config`, `error` | bounds and the client within them; why there is no answer |
//!
//! This crate deliberately knows no tool, keeps no cookies and never looks at the environment.

pub mod address;
pub mod body;
mod config;
mod error;
pub mod fetch;
mod pace;
pub mod policy;
pub mod resolve;
pub mod target;
pub mod tls;

pub use address::Special;
pub use body::Body;
pub use bytes::Bytes;
pub use config::{Config, Proxy, Setup};
pub use error::EgressError;
pub use fetch::{Egress, Fetched, Request};
pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
pub use policy::{Destination, Policy, Refusal};
pub use resolve::{Resolve, System};
pub use target::Target;
pub use url::Url;
