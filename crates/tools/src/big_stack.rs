//! Work that recurses, on a thread with a stack that holds it.

use tokio::sync::oneshot;
use toolcrib_contract::CallError;

/// Far more than the limits of what is read need.
const STACK_BYTES: usize = 16 << 20;

/// Does the work on a thread of its own and waits for it.
///
/// # Cancellation
/// The work goes on to its end, which its limits bound; what comes of it is dropped.
pub(crate) async fn on_big_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, CallError> {
    let (done, wait) = oneshot::channel();
    let thread = std::thread::Builder::new().name("toolcrib-big-stack".into()).stack_size(STACK_BYTES).spawn(move || {
        // Nobody waits for the result of a call that was given up.
        let _ = done.send(work());
    });
    thread.map_err(|error| CallError::failed(format_args!("no thread could be started: {error}")))?;
    // A thread that breaks drops its end of the channel.
    wait.await.map_err(|_| CallError::Panicked)
}
