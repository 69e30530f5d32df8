//! What whoever looks after a server orders by hand: to start it anew, or to keep it out of service.

use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// The orders for one server.
#[derive(Debug)]
pub(crate) struct Orders {
    wanted: watch::Sender<Wanted>,
    /// How many of the restarts that were ordered have been carried out.
    done: AtomicU64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Wanted {
    is_held: bool,
    restarts: u64,
}

impl Orders {
    /// None so far; the successor of a server that is held is held, too.
    pub(crate) fn after(before: Option<&Self>) -> Self {
        let is_held = before.is_some_and(Self::is_held);
        Self { wanted: watch::Sender::new(Wanted { is_held, restarts: 0 }), done: AtomicU64::new(0) }
    }

    /// It is to be started anew, also if it is held.
    pub(crate) fn restart(&self) {
        self.wanted.send_modify(|wanted| *wanted = Wanted { is_held: false, restarts: wanted.restarts + 1 });
    }

    /// It is to be ended, and left alone.
    pub(crate) fn hold(&self) {
        self.wanted.send_modify(|wanted| wanted.is_held = true);
    }

    pub(crate) fn is_held(&self) -> bool {
        self.wanted.borrow().is_held
    }

    /// It is being started: with that, every restart that was ordered until now is carried out.
    pub(crate) fn begun(&self) {
        self.done.store(self.wanted.borrow().restarts, Ordering::Relaxed);
    }

    /// Whether there is an order to start it anew, or to end it, that is not carried out yet.
    pub(crate) fn is_given(&self) -> bool {
        self.is_open(*self.wanted.borrow())
    }

    /// Completes when there is.
    pub(crate) async fn given(&self) {
        self.until(|wanted| self.is_open(*wanted)).await;
    }

    /// Completes once nothing holds it any more.
    pub(crate) async fn released(&self) {
        self.until(|wanted| !wanted.is_held).await;
    }

    fn is_open(&self, wanted: Wanted) -> bool {
        wanted.is_held || wanted.restarts != self.done.load(Ordering::Relaxed)
    }

    async fn until(&self, is_so: impl Fn(&Wanted) -> bool) {
        // The sender is ours: it does not go away.
        let _ = self.wanted.subscribe().wait_for(|wanted| is_so(wanted)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn is_given(orders: &Orders) -> bool {
        let is_given = tokio::time::timeout(Duration::from_millis(1), orders.given()).await.is_ok();
        assert_eq!(is_given, orders.is_given());
        is_given
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_is_carried_out_once() {
        let orders = Orders::after(None);
        assert!(!is_given(&orders).await);
        orders.restart();
        orders.restart();
        assert!(is_given(&orders).await && is_given(&orders).await, "it stands until it is carried out");
        orders.begun();
        assert!(!is_given(&orders).await, "however often it was given");
        orders.hold();
        assert!(orders.is_held() && is_given(&orders).await);
        assert!(Orders::after(Some(&orders)).is_held());
        orders.restart();
        orders.released().await;
        assert!(is_given(&orders).await, "one that was held is started");
        orders.begun();
        assert!(!orders.is_held() && !is_given(&orders).await);
    }
}
