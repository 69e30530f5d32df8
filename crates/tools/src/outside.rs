//! What tools that reach outside have in common.

use std::{future::Future, time::Duration};
use toolcrib_contract::{CallContext, CallError, Json};
use toolcrib_egress::{HeaderMap, header::RETRY_AFTER};

/// How often a caller hears that a long call goes on.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// What is known of an output that holds what others wrote: which of its fields do. A model should take them as data, never
/// as instructions.
pub(crate) fn untrusted(fields: &[&str]) -> Json {
    let fields = Json::of(fields).expect("texts have a JSON form");
    Json::object().with("dev.toolcrib/untrusted", &fields).finish()
}

/// When a server wants to be asked again, in words (RFC 9110, section 10.2.3: seconds, or a date).
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<String> {
    let told = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let is_seconds = !told.is_empty() && told.bytes().all(|byte| byte.is_ascii_digit());
    Some(if is_seconds { format!("in {told} s") } else { format!("after {told}") })
}

/// Tells a caller who wants to hear of it that the work goes on. A sign of life is no progress: the work ends at the deadline
/// that the call had at first, with the error that says so.
pub(crate) async fn with_heartbeat<T>(cx: &CallContext, what: &str, work: impl Future<Output = T>) -> Result<T, CallError> {
    if !cx.wants_progress() {
        return Ok(work.await);
    }
    let mut work = std::pin::pin!(work);
    let started = tokio::time::Instant::now();
    let allowed = cx.remaining(std::time::Instant::now());
    let mut beat = tokio::time::interval_at(started + HEARTBEAT, HEARTBEAT);
    loop {
        tokio::select! {
            biased;
            done = work.as_mut() => return Ok(done),
            () = tokio::time::sleep_until(started + allowed) => {
                let tenths = allowed.as_secs_f64().mul_add(10.0, 0.5).floor();
                return Err(CallError::DeadlineExceeded(Duration::from_secs_f64(tenths / 10.0)));
            }
            _ = beat.tick() => {
                let seconds = started.elapsed().as_secs();
                cx.progress(started.elapsed().as_secs_f64(), None, Some(&format!("{what}: {seconds} s")));
            }
        }
    }
}

/// A way out that reaches a test's site on this machine, at any pace.
#[cfg(test)]
pub(crate) fn egress_to(site: &toolcrib_testkit::Site) -> toolcrib_egress::Egress {
    use toolcrib_egress::{Config, Egress, Policy};
    let exceptions = vec![format!("127.0.0.1:{}", site.address().port()).parse().unwrap()];
    let policy = Policy { exceptions, ..Policy::default() };
    Egress::new(Config { policy, per_host_per_second: 1000.try_into().unwrap(), ..Config::default() }).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use toolcrib_contract::{Answers, BackChannel, BoxFuture, CallError, CallerId, Change, Client, LogEntry, Progress, Question};

    /// A client that wants to hear of progress, and remembers it.
    #[derive(Debug, Default)]
    struct Listening(Mutex<Vec<Progress>>);

    impl BackChannel for Listening {
        fn progress(&self, progress: Progress) {
            self.0.lock().unwrap().push(progress);
        }

        fn log(&self, _: LogEntry) {}

        fn ask(&self, _: Vec<(String, Question)>) -> BoxFuture<'_, Result<Answers, CallError>> {
            Box::pin(async { Err(CallError::CannotAsk { capability: "elicitation" }) })
        }

        fn relay(&self, _: Question) -> BoxFuture<'_, Result<Json, CallError>> {
            Box::pin(async { Err(CallError::CannotAsk { capability: "elicitation" }) })
        }

        fn announce(&self, _: Change) {}

        fn wants_progress(&self) -> bool {
            true
        }

        fn client(&self) -> Client {
            Client::unknown()
        }
    }

    #[test]
    fn a_server_says_when_by_seconds_or_by_date() {
        let told = |value: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())])).unwrap();
        assert_eq!(told("30"), "in 30 s");
        assert_eq!(told("Wed, 21 Oct 2026 07:28:00 GMT"), "after Wed, 21 Oct 2026 07:28:00 GMT");
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn long_work_is_told_of_each_second() {
        let heard = Arc::new(Listening::default());
        let caller = CallerId::new("login", "ann", [""; 0]);
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        let cx = CallContext::new(caller, deadline, Arc::clone(&heard) as Arc<dyn BackChannel>);
        let work = |millis| async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            7
        };
        assert_eq!(with_heartbeat(&cx, "counting", work(3500)).await.unwrap(), 7);
        let heard = std::mem::take(&mut *heard.0.lock().unwrap());
        let words: Vec<&str> = heard.iter().filter_map(|progress| progress.message.as_deref()).collect();
        assert_eq!(words, ["counting: 1 s", "counting: 2 s", "counting: 3 s"]);
        assert!(heard.windows(2).all(|pair| pair[0].done < pair[1].done), "progress grows");
        let late = with_heartbeat(&cx, "counting", work(3_600_000)).await.unwrap_err();
        assert_eq!(late.to_string(), "no answer within the deadline of 5 s");
    }
}
