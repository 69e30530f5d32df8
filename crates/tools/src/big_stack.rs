//! Work that recurses, on a thread with a stack that holds it.

use std::sync::{Arc, LazyLock};
use tokio::sync::{Semaphore, oneshot};
use toolcrib_contract::CallError;

/// Far more than the limits of what is read need.
const STACK_BYTES: usize = 16 << 20;
/// How many such threads there may be, those included whose result nobody waits for any more.
const MAX_THREADS: usize = 8;

static PLACES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(MAX_THREADS)));

/// Does the work on a thread of its own and waits for it.
///
/// # Cancellation
/// The work goes on to its end, which its limits bound; what comes of it is dropped, and its place is taken until then.
pub(crate) async fn on_big_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, CallError> {
    let place = Arc::clone(&PLACES).acquire_owned().await.expect("the places are never closed");
    let (done, wait) = oneshot::channel();
    let thread = std::thread::Builder::new().name("toolcrib-big-stack".into()).stack_size(STACK_BYTES).spawn(move || {
        let _place = place;
        // Nobody waits for the result of a call that was given up.
        let _ = done.send(work());
    });
    thread.map_err(|error| CallError::failed(format_args!("no thread could be started: {error}")))?;
    // A thread that breaks drops its end of the channel.
    wait.await.map_err(|_| CallError::Panicked)
}
