//! What is measured, in the forms in which others take it. Knows nothing of what it is that is measured.
//!
//! | module | what it is for |
//! |---|---|
//! | [`family`] | metrics as they are read at one moment |
//! | [`prometheus`] | the same as text that Prometheus scrapes |
//! | [`otlp`] | spans, metrics and log lines on their way to a collector of OpenTelemetry |
//! | [`log`] | log lines, as they are told to a collector |

pub mod family;
pub mod log;
pub mod otlp;
pub mod prometheus;

pub use family::{Family, Histogram, Label, Point, Value};
