//! Other MCP servers behind Toolcrib: started or reached in the background, kept connected, and offered as entries of the
//! catalogue.
//!
//! An [`Upstream`] never delays anybody: while it is not connected, calls to it say why. What it offers is handed to
//! whoever puts the catalogue together; this crate sees no gate.
//!
//! | module | what it is for |
//! |---|---|
//! | [`definition`] | where a server is and how to start it |
//! | [`supervise`] | the life of one server: connect, list, listen, connect again |
//! | `child` | a server as a child process, with everything that it starts |
//! | `guard` | sees to it that no child outlives us, even if we are killed |
//! | `remote` | a tool, resource or prompt of another server, as the gate runs it |
//! | [`naming`] | what another server's names become here |

mod child;
pub mod definition;
mod guard;
pub mod naming;
mod remote;
pub mod supervise;

pub use definition::{Definition, Transport};
pub use guard::Guard;
pub use naming::Prefix;
pub use supervise::{Offer, Status, Upstream};
