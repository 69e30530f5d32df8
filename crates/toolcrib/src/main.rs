//! The `toolcrib` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    toolcrib::main()
}
