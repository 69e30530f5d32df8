//! The `toolcrib` command.

use std::process::ExitCode;

/// A call asks for memory some dozens of times, each for little and not for long.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    toolcrib::main()
}
