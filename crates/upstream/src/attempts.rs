//! When a server that is away is tried again.

use std::time::Duration;

/// The wait before the first new attempt; it doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// A server that was connected for this long has recovered: the next wait is a short one again.
pub(crate) const SUSTAINED: Duration = Duration::from_secs(60);
/// How long such a child is left alone, and up to a tenth more.
const QUARANTINE: Duration = Duration::from_secs(5 * 60);

/// What went before, as far as the next attempt depends on it.
#[derive(Debug)]
pub(crate) struct Attempts {
    is_child: bool,
    backoff: Duration,
    failures: u32,
}

/// How a connection was that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lived {
    pub(crate) time: Duration,
    /// Whether a call was under way as it ended.
    pub(crate) was_called: bool,
}

/// When the next attempt is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) wait: Duration,
    /// Failures in a row, until now.
    pub(crate) failures: u32,
    /// Whether it has become pointless to try as often as that.
    pub(crate) is_quarantined: bool,
}

impl Attempts {
    /// A child that ended so many times in a row, each time before it had recovered, is in a crash loop.
    pub(crate) const CRASH_LOOP: u32 = 5;

    /// To start a child again and again costs the machine something; to ask a server behind a URL again does not.
    pub(crate) fn new(is_child: bool) -> Self {
        Self { is_child, backoff: MIN_BACKOFF, failures: 0 }
    }

    /// The server is away, if it was ever connected after it had lived so.
    ///
    /// One that fails by a call is no loop of its own making: whoever makes such calls should not take it from all others.
    pub(crate) fn after(&mut self, lived: Option<Lived>) -> Next {
        if lived.is_some_and(|lived| lived.time > SUSTAINED) {
            self.begin_anew();
        }
        let is_by_a_call = lived.is_some_and(|lived| lived.was_called);
        self.failures = self.failures.saturating_add(u32::from(!is_by_a_call));
        let is_quarantined = self.is_child && !is_by_a_call && self.failures >= Self::CRASH_LOOP;
        let wait = if is_quarantined { QUARANTINE.mul_f64(1.0 + fastrand::f64() / 10.0) } else { jittered(self.backoff) };
        self.backoff = (self.backoff * 2).min(MAX_BACKOFF);
        Next { wait, failures: self.failures, is_quarantined }
    }

    /// Somebody has done something about it.
    pub(crate) fn begin_anew(&mut self) {
        *self = Self::new(self.is_child);
    }
}

/// Somewhere between half of the wait and all of it, so that servers that fell together do not return together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Option<Lived> = Some(Lived { time: Duration::from_secs(1), was_called: false });
    const LONG: Option<Lived> = Some(Lived { time: Duration::from_secs(120), was_called: false });

    #[test]
    fn a_child_in_a_crash_loop_is_left_alone_until_it_has_lived() {
        let mut attempts = Attempts::new(true);
        let early: Vec<Next> = (0..4).map(|_| attempts.after(SHORT)).collect();
        assert!(early.iter().all(|next| !next.is_quarantined && next.wait <= 8 * MIN_BACKOFF), "{early:?}");
        let next = attempts.after(SHORT);
        assert!(next.is_quarantined && next.failures == 5 && next.wait >= QUARANTINE, "{next:?}");
        // One attempt that fails is enough to be left alone again; one that lasts is a recovery.
        assert!(attempts.after(SHORT).is_quarantined);
        let next = attempts.after(LONG);
        assert!(!next.is_quarantined && next.failures == 1 && next.wait <= MIN_BACKOFF, "{next:?}");
    }

    #[test]
    fn calls_that_end_a_child_do_not_quarantine_it() {
        let mut attempts = Attempts::new(true);
        let by_a_call = Some(Lived { time: Duration::from_secs(1), was_called: true });
        let nexts: Vec<Next> = (0..20).map(|_| attempts.after(by_a_call)).collect();
        assert!(nexts.iter().all(|next| !next.is_quarantined && next.wait <= MAX_BACKOFF), "{nexts:?}");
        (0..4).for_each(|_| {
            attempts.after(None);
        });
        assert!(attempts.after(None).is_quarantined, "one that cannot be started is");
    }

    #[test]
    fn whoever_does_something_about_it_is_heard_at_once() {
        let mut attempts = Attempts::new(true);
        (0..9).for_each(|_| {
            attempts.after(SHORT);
        });
        attempts.begin_anew();
        assert!(!attempts.after(SHORT).is_quarantined);
    }

    #[test]
    fn a_server_behind_a_url_is_asked_once_a_minute_for_as_long_as_it_takes() {
        let mut attempts = Attempts::new(false);
        let waits: Vec<Next> = (0..100).map(|_| attempts.after(SHORT)).collect();
        assert!(waits.iter().all(|next| !next.is_quarantined && next.wait <= MAX_BACKOFF), "{waits:?}");
        assert!(waits[99].wait >= MAX_BACKOFF / 2);
    }
}
