//! [`Checked`] → `Output`: runs what was called.

use crate::{onward, resilience::Bounds, validate::Checked};
use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Poll,
};
use toolcrib_contract::{BackChannel, CallContext, CallError, Input, Others, Output};

/// Runs the call. A tool that panics is one failed call, nothing more.
pub(crate) async fn run(checked: &Checked, bounds: &Arc<Bounds>) -> Result<Output, CallError> {
    let permitted = &checked.permitted;
    let back: Arc<dyn BackChannel> = Arc::clone(bounds) as _;
    let mut cx = CallContext::new(permitted.caller.id().clone(), bounds.deadline().into_std(), back);
    cx = cx.with_trace(permitted.origin.trace.clone());
    if let Some(token) = permitted.caller.token().filter(|_| permitted.entry.callable().takes_token()) {
        cx = cx.with_token(Arc::clone(token));
    }
    if !matches!(permitted.entry.callable().others(), Others::Nobody) {
        cx = cx.with_onward(onward::from(checked, bounds));
    }
    let input = Input::from(permitted.call.clone());
    // What the tool leaves behind when it breaks is its own; nothing of ours is shared with it but what it was given.
    let started = catch_unwind(AssertUnwindSafe(|| permitted.entry.callable().call(input, cx)));
    let broke_off = || {
        // What it said when it broke may be about arguments: that is on standard error, not in a log that others read.
        tracing::error!("{} {:?} panicked; standard error says where", permitted.call.kind, permitted.call.name);
        Err(CallError::Panicked)
    };
    let Ok(mut running) = started else { return broke_off() };
    poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx))) {
        Ok(polled) => polled,
        Err(_) => Poll::Ready(broke_off()),
    })
    .await
}
