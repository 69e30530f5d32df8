//! Signing in to other MCP servers: an OAuth 2.1 client as the MCP authorization specification has it.
//!
//! An [`Account`] is what one owner has at one server: it gives the token for the next request, renews it in time, and knows
//! when a person has to sign in. [`Logins`] lead that person through it. Tokens are kept by a [`Vault`](toolcrib_contract::Vault),
//! under the issuer and the URL that they are for, and go nowhere else.
//!
//! | module | what it holds |
//! |---|---|
//! | [`challenge`] | what a server says when it refuses us |
//! | `discovery` | who gives out tokens for a server |
//! | [`client`] | who we are to an authorization server |
//! | `token` | the token endpoint, and what it gives |
//! | [`account`] | what we have at a server, and how it stands |
//! | `place` | one server as a place to sign in at, and what is kept of it |
//! | [`login`] | a person agrees, in a browser |
//! | `out` | how authorization servers are reached |
//! | [`vault`] | sign-ins in memory |
//! | [`error`] | why somebody cannot be signed in |
//!
//! This crate deliberately knows neither MCP's messages nor where anything is stored.

pub mod account;
pub mod challenge;
pub mod client;
mod discovery;
pub mod error;
pub mod login;
mod out;
mod place;
mod token;
pub mod vault;

pub use account::{Account, Accounts, Problem, Redress, State};
pub use challenge::Challenge;
pub use client::Settings;
pub use error::OAuthError;
pub use login::{Begun, Confirm, Landing, Logins};
pub use out::is_private;
pub use vault::InMemory;
