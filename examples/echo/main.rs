//! A server with a tool of its own, as somebody would write it who has Toolcrib as a library: the candidate of the comparison
//! (`bench/compare`) for what a tool costs that is served here.

use std::process::ExitCode;
use toolcrib::{CallError, Crib, tool};

/// The allocator that the `toolcrib` command has, too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives back a text.
#[tool(pure)]
async fn echo(
    /// The text.
    text: String,
) -> Result<String, CallError> {
    Ok(text)
}

fn main() -> ExitCode {
    Crib::builder().name("echo", "1.0.0").tool(echo()).serve()
}
