//! Other MCP servers behind Toolcrib: started or reached in the background, kept connected, and offered as entries of the
//! catalogue.
//!
//! An [`Upstream`] never delays anybody: while it is not connected, calls to it say why. What it offers is handed to
//! whoever puts the catalogue together; this crate sees no gate.
//!
//! | module | what it is for |
//! |---|---|
//! | [`definition`] | where a server is, how to start it, what of it is offered |
//! | [`supervise`] | the life of one server: connect, list, listen, connect again |
//! | `attempts` | when a server that is away is tried again |
//! | [`Health`] | how a server has fared, for whoever looks after it |
//! | `hearing` | what a server says besides its answers |
//! | `line` | one connection, from start to stop |
//! | `child` | a server as a child process, with everything that it starts |
//! | `listing` | what a server has, as entries of the catalogue |
//! | [`naming`] | what another server's names become here |
//! | `curate` | what the config alters of a tool |
//! | `remote` | a tool, resource or prompt of another server, as the gate runs it |
//! | `authorization` | an account at a server, as its connections want it |
//! | `login` | the tool by which a caller signs in |
//! | `link` | the way from a call to the connection that it takes |
//! | `traffic` | the calls under way on a connection, and whom a question is for |
//! | `pulse` | whether a server still answers |
//! | `orders` | what is ordered by hand |
//! | `private` | connections that single clients have for themselves |
//! | `watches` | resources whose changes somebody wants to hear of |

mod attempts;
mod authorization;
mod binding;
mod child;
mod curate;
pub mod definition;
mod health;
mod hearing;
mod line;
mod link;
mod listing;
mod login;
pub mod naming;
mod orders;
mod private;
mod pulse;
mod remote;
pub mod supervise;
mod traffic;
mod watches;

pub use authorization::SignIn;
pub use binding::{Binding, Piece, Place, Template, is_secret_name};
pub use definition::{Alteration, Choice, Definition, Preset, Protocol, Sharing, Transport};
pub use health::Health;
pub use line::{Line, Quarantine, Status};
pub use listing::Completed;
pub use supervise::{Listener, Offer, Upstream};
pub use toolcrib_child::{Guard, Limits, Sandbox, Use};

use tokio::sync::watch;

async fn raised(flag: &mut watch::Receiver<bool>) {
    // A sender that is gone will not tell any more: that, too, is the end.
    let _ = flag.wait_for(|is_raised| *is_raised).await;
}
