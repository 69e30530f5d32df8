//! The built binary, used as its users use it: with real clients, real servers and real signals.
//!
//! One test binary, a module for each behaviour. What the tests talk to is installed by `tests/peers/setup.sh`.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "in a test, what goes wrong ends it, and may be said")]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests find their peers by a variable"))]

mod about;
mod audit;
mod auth;
mod authored;
mod children;
mod cli;
mod conformance;
mod dashboard;
mod declared;
mod everyday;
mod examples;
mod lifecycle;
mod login;
mod lossless;
mod misbehaving;
mod offered;
mod openapi;
mod pairs;
mod peers;
mod protocol;
mod questions;
mod ready;
mod relay;
mod reload;
mod replicas;
mod resilience;
mod rest;
mod statistics;
mod stdio;
mod support;
mod telemetry;
mod upstreams;
