//! Processes that we start: each in a group of its own, confined as the config says, and ended with everything that it started,
//! whatever becomes of us.

mod group;
mod guard;
mod limits;
mod sandbox;

pub use group::Group;
pub use guard::Guard;
pub use limits::{Limits, Use};
pub use rustix::process::Signal;
pub use sandbox::Sandbox;
