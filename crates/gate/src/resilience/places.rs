//! Places for calls to run in. Who finds none waits, and callers take turns: however many calls one of them has waiting, the next place
//! goes to whoever has waited for its turn the longest.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering, fence},
    },
};
use tokio::sync::{Semaphore, oneshot};
use toolcrib_contract::{CallError, CallerId};

/// The places of one source, or of one tool.
#[derive(Debug)]
pub(crate) struct Places {
    free: Semaphore,
    queued: AtomicUsize,
    waiting: Mutex<Waiting>,
    limit: usize,
    max_queued: usize,
}

/// A call that waits, and by which number it is known.
type Waiter = (u64, oneshot::Sender<()>);

/// Who waits, by caller. Nobody waits while there is a free place but for the moment in which it is handed on.
#[derive(Debug, Default)]
struct Waiting {
    /// The callers, in the order of their turns.
    turns: VecDeque<Arc<str>>,
    calls: HashMap<Arc<str>, VecDeque<Waiter>>,
    next: u64,
}

impl Places {
    pub(crate) fn new(limit: usize, max_queued: usize) -> Arc<Self> {
        let (free, queued, waiting) = (Semaphore::new(limit), AtomicUsize::new(0), Mutex::default());
        Arc::new(Self { free, queued, waiting, limit, max_queued })
    }

    /// Waits for a place. It is left when what this gives is dropped, unless it is kept.
    pub(crate) async fn enter(&self, caller: &CallerId) -> Result<Taken<'_>, CallError> {
        // Whoever comes while others wait has to wait, too.
        if self.queued.load(Ordering::SeqCst) == 0 && self.take() {
            return Ok(Taken { places: self, is_kept: false });
        }
        let _queued = self.queue()?;
        fence(Ordering::SeqCst);
        let mut handed = {
            let mut waiting = self.lock();
            // A place may have become free before anybody could know that we wait for it.
            if waiting.turns.is_empty() && self.take() {
                return Ok(Taken { places: self, is_kept: false });
            }
            let (number, handed) = waiting.push(caller.principal());
            Handed { places: self, caller: caller.principal(), number, handed }
        };
        (&mut handed.handed).await.expect("whoever waits is told, since the queue lives as long");
        Ok(Taken { places: self, is_kept: false })
    }

    /// Gives a place back: to the next who waits.
    pub(crate) fn leave(&self) {
        self.free.add_permits(1);
        // Who begins to wait says so first, and then looks once more whether there is a place: one of us two sees the other.
        fence(Ordering::SeqCst);
        if self.queued.load(Ordering::SeqCst) > 0 {
            self.hand_on();
        }
    }

    fn hand_on(&self) {
        let mut waiting = self.lock();
        while !waiting.turns.is_empty() && self.take() {
            if !waiting.wake_next() {
                self.free.add_permits(1);
                return;
            }
        }
    }

    fn take(&self) -> bool {
        self.free.try_acquire().map(tokio::sync::SemaphorePermit::forget).is_ok()
    }

    fn queue(&self) -> Result<Queued<'_>, CallError> {
        let queued = Queued(self);
        if self.queued.fetch_add(1, Ordering::SeqCst) >= self.max_queued {
            return Err(CallError::Overloaded { limit: self.limit, what: "calls are running and the queue is full" });
        }
        Ok(queued)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn push(&mut self, caller: &Arc<str>) -> (u64, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        self.next += 1;
        let calls = self.calls.entry(Arc::clone(caller)).or_default();
        if calls.is_empty() {
            self.turns.push_back(Arc::clone(caller));
        }
        calls.push_back((self.next, sender));
        (self.next, receiver)
    }

    /// Forgets a call that waits no more.
    fn remove(&mut self, caller: &Arc<str>, number: u64) {
        let Some(calls) = self.calls.get_mut(caller) else { return };
        calls.retain(|(other, _)| *other != number);
        if calls.is_empty() {
            self.calls.remove(caller);
            self.turns.retain(|other| other != caller);
        }
    }

    /// Gives a place to the next call of the caller whose turn it is. `false` if nobody waits any more.
    fn wake_next(&mut self) -> bool {
        while let Some(caller) = self.turns.pop_front() {
            let Some(calls) = self.calls.get_mut(&caller) else { continue };
            let mut is_woken = false;
            while let Some((_, call)) = calls.pop_front() {
                // One that has left needs none.
                if call.send(()).is_ok() {
                    is_woken = true;
                    break;
                }
            }
            if calls.is_empty() {
                self.calls.remove(&caller);
            } else {
                self.turns.push_back(caller);
            }
            if is_woken {
                return true;
            }
        }
        false
    }
}

/// A place that was taken.
#[must_use]
pub(crate) struct Taken<'a> {
    places: &'a Places,
    is_kept: bool,
}

impl Taken<'_> {
    /// Whoever has it gives it back by [`Places::leave`].
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.places.leave();
        }
    }
}

/// A place that is being handed to us. If we leave just then, it goes to the next.
struct Handed<'a> {
    places: &'a Places,
    caller: &'a Arc<str>,
    number: u64,
    handed: oneshot::Receiver<()>,
}

impl Drop for Handed<'_> {
    fn drop(&mut self) {
        self.handed.close();
        match self.handed.try_recv() {
            Ok(()) => self.places.leave(),
            Err(_) => self.places.lock().remove(self.caller, self.number),
        }
    }
}

/// A call that waits for a place.
struct Queued<'a>(&'a Places);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.queued.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{Future, poll_fn};
    use std::{pin::Pin, task::Poll};

    type Entering<'a> = Pin<Box<dyn Future<Output = Result<Taken<'a>, CallError>> + 'a>>;

    async fn poll<'a>(entering: &mut Entering<'a>) -> Option<Taken<'a>> {
        poll_fn(|cx| match entering.as_mut().poll(cx) {
            Poll::Ready(taken) => Poll::Ready(Some(taken.unwrap())),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn callers_take_turns_and_places_of_those_who_leave_are_handed_on() {
        let places = Places::new(1, 10);
        let [greedy, modest] = ["greedy", "modest"].map(|name| CallerId::new("test", name, [""; 0]));
        let first = places.enter(&greedy).await.unwrap();
        let mut waiting: Vec<Entering<'_>> = Vec::new();
        for caller in [&greedy, &greedy, &greedy, &modest] {
            let mut entering: Entering<'_> = Box::pin(places.enter(caller));
            assert!(poll(&mut entering).await.is_none());
            waiting.push(entering);
        }
        drop(first);
        // The place is handed to the first, who leaves without taking it: it goes to the one whose turn it is.
        drop(waiting.remove(0));
        assert!(poll(&mut waiting[0]).await.is_none());
        let second = poll(&mut waiting[2]).await.expect("the modest caller's turn");
        drop(second);
        let third = poll(&mut waiting[0]).await.expect("then the greedy one's");
        assert!(poll(&mut waiting[1]).await.is_none());
        drop(third);
        drop(poll(&mut waiting[1]).await.expect("and again"));
        drop(waiting);
        assert_eq!((places.free.available_permits(), places.queued.load(Ordering::SeqCst)), (1, 0));
        assert!(places.lock().calls.is_empty() && places.lock().turns.is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_place_is_lost_however_calls_come_and_go() {
        let places = Places::new(3, 1000);
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..600 {
            let places = Arc::clone(&places);
            calls.spawn(async move {
                let caller = CallerId::new("test", &format!("c{}", number % 7), [""; 0]);
                let work = async {
                    let _taken = places.enter(&caller).await.unwrap();
                    for _ in 0..number % 5 {
                        tokio::task::yield_now().await;
                    }
                };
                let leave = async {
                    for _ in 0..number % 11 {
                        tokio::task::yield_now().await;
                    }
                };
                // Some are not patient.
                if number % 3 == 0 {
                    tokio::select! { () = work => {}, () = leave => {} }
                } else {
                    work.await;
                }
            });
        }
        calls.join_all().await;
        assert_eq!(places.free.available_permits(), 3);
        assert!(places.lock().calls.is_empty());
    }
}
