//! What the exit codes mean. They are an interface: scripts rely on them.

/// All went well.
pub const OK: u8 = 0;
/// The call failed, or the check found faults.
pub const FAILED: u8 = 1;
/// The command line or the config is wrong.
pub const USAGE: u8 = 2;
/// A server could not be reached.
pub const UNREACHABLE: u8 = 3;
