//! What is measured, in the forms in which others take it. Knows nothing of what it is that is measured.
//!
//! | module | what it is for |
//! |---|---|
//! | [`family`] | metrics as they are read at one moment |
//! | [`prometheus`] | the same as text that Prometheus scrapes |

pub mod family;
pub mod prometheus;

pub use family::{Family, Histogram, Label, Point, Value};
