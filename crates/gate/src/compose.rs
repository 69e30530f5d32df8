//! `Output` → [`Reply`]: what may be passed on.

use toolcrib_contract::{CallError, Output};

/// An output that may leave. A door gives it the form that its client understands.
#[derive(Debug)]
pub struct Reply {
    /// What came of the call.
    pub output: Output,
    /// Its size.
    pub size_bytes: usize,
}

pub(crate) fn reply(output: Output, limit_bytes: usize) -> Result<Reply, CallError> {
    let size_bytes = output.size_bytes();
    if size_bytes > limit_bytes {
        return Err(CallError::TooLarge { size_bytes, limit_bytes });
    }
    Ok(Reply { output, size_bytes })
}
