//! Measures the way of a call. Run with `cargo bench -p toolcrib-bench`; what was measured stands in `bench/README.md`.
//!
//! Speed is never asserted in a test: these numbers depend on the machine, and only ratios within one run mean something.
