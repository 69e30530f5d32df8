//! What whoever looks after a server orders by hand: to start it anew, or to keep it out of service.

use tokio::sync::{Notify, watch};

/// The orders for one server.
#[derive(Debug)]
pub(crate) struct Orders {
    held: watch::Sender<bool>,
    restart: Notify,
}

impl Orders {
    pub(crate) fn none() -> Self {
        Self { held: watch::Sender::new(false), restart: Notify::new() }
    }

    /// It is to be started anew. One that is held is started.
    pub(crate) fn restart(&self) {
        if !self.held.send_replace(false) {
            self.restart.notify_one();
        }
    }

    /// It is to be ended, and left alone.
    pub(crate) fn hold(&self) {
        self.held.send_replace(true);
    }

    pub(crate) fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    /// Completes when there is an order to start it anew, or to end it.
    pub(crate) async fn given(&self) {
        tokio::select! {
            () = self.restart.notified() => {}
            () = self.until(true) => {}
        }
    }

    /// Completes once nothing holds it any more.
    pub(crate) async fn released(&self) {
        self.until(false).await;
    }

    async fn until(&self, is_held: bool) {
        // The sender is ours: it does not go away.
        let _ = self.held.subscribe().wait_for(|held| *held == is_held).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn is_given(orders: &Orders) -> bool {
        tokio::time::timeout(Duration::from_millis(1), orders.given()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_is_carried_out_once() {
        let orders = Orders::none();
        assert!(!is_given(&orders).await);
        orders.restart();
        assert!(is_given(&orders).await && !is_given(&orders).await);
        orders.hold();
        assert!(orders.is_held() && is_given(&orders).await && is_given(&orders).await, "it is held until it is released");
        orders.restart();
        orders.released().await;
        assert!(!orders.is_held() && !is_given(&orders).await, "one that starts need not be started anew");
    }
}
