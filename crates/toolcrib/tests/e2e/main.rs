//! The built binary, used as its users use it: with real clients, real servers and real signals.
//!
//! One test binary, a module for each behaviour. What the tests talk to is installed by `tests/peers/setup.sh`.

mod cli;
mod conformance;
mod lifecycle;
mod peers;
mod protocol;
mod stdio;
mod support;
mod upstreams;
