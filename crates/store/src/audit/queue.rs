//! Records on their way to the thread that writes them.
//!
//! It sleeps until as many are there as it waits for: whoever brings the last of them wakes it, so that it is neither woken for each nor
//! has to look now and then.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering, fence},
        mpsc::{self, SendError, SyncSender, TryRecvError, TrySendError},
    },
    thread::{self, Thread},
    time::Duration,
};

/// More than there can be.
const NOBODY_WAITS: usize = usize::MAX;

/// A queue that holds so many.
pub(super) fn queue<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::sync_channel(capacity);
    let level = Arc::new(Level { there: AtomicUsize::new(0), wanted: AtomicUsize::new(NOBODY_WAITS), reader: OnceLock::new() });
    (Sender { sender, level: Arc::clone(&level) }, Receiver { receiver, level })
}

/// How full a queue is, and when its reader wants to know.
#[derive(Debug)]
struct Level {
    /// How many are there, or will be in a moment.
    there: AtomicUsize,
    /// With how many its reader is to be woken.
    wanted: AtomicUsize,
    reader: OnceLock<Thread>,
}

#[derive(Debug)]
pub(super) struct Sender<T> {
    sender: SyncSender<T>,
    level: Arc<Level>,
}

#[derive(Debug)]
pub(super) struct Receiver<T> {
    receiver: mpsc::Receiver<T>,
    level: Arc<Level>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), level: Arc::clone(&self.level) }
    }
}

impl<T> Sender<T> {
    /// Puts one in, and wakes the reader if it is the last of those that it waits for.
    ///
    /// # Errors
    /// The queue is full, or nobody reads it any more.
    pub(super) fn try_send(&self, one: T) -> Result<(), TrySendError<T>> {
        let there = self.level.there.fetch_add(1, Ordering::SeqCst) + 1;
        self.sender.try_send(one).inspect_err(|_| self.level.take_away())?;
        if there >= self.level.wanted.load(Ordering::SeqCst) {
            self.level.wake();
        }
        Ok(())
    }

    /// Puts one in as soon as there is room, and wakes the reader however many it waits for.
    ///
    /// # Errors
    /// Nobody reads the queue any more.
    pub(super) fn send(&self, one: T) -> Result<(), SendError<T>> {
        self.level.there.fetch_add(1, Ordering::SeqCst);
        self.sender.send(one).inspect_err(|_| self.level.take_away())?;
        self.level.wake();
        Ok(())
    }
}

impl<T> Receiver<T> {
    /// Sleeps until so many are there, somebody has called [`Sender::send`], or so much time is over; now and then less long. The first
    /// thread that waits is the one that is woken.
    pub(super) fn wait(&self, wanted: usize, at_most: Duration) {
        self.level.reader.get_or_init(thread::current);
        self.level.wanted.store(wanted, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        // Whoever puts one in counts it first and then looks what is wanted.
        if self.level.there.load(Ordering::SeqCst) < wanted {
            thread::park_timeout(at_most);
        } else {
            // One that is counted may not be there yet.
            thread::yield_now();
        }
        self.level.wanted.store(NOBODY_WAITS, Ordering::SeqCst);
    }

    /// The next one.
    ///
    /// # Errors
    /// There is none now, or will never be.
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        self.receiver.try_recv().inspect(|_| self.level.take_away())
    }
}

impl Level {
    fn take_away(&self) {
        self.there.fetch_sub(1, Ordering::SeqCst);
    }

    fn wake(&self) {
        fence(Ordering::SeqCst);
        // One that has not begun to read looks before it sleeps.
        if let Some(reader) = self.reader.get() {
            reader.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_reader_is_woken_by_the_last_that_it_waits_for_or_by_what_cannot_wait() {
        let (sender, receiver) = queue(8);
        let (told, hear) = mpsc::channel();
        let reader = thread::spawn(move || {
            let began = Instant::now();
            let all_of = |wanted: usize| {
                let mut found = Vec::new();
                while found.len() < wanted && found.last() != Some(&"end") && began.elapsed() < LONG {
                    receiver.wait(wanted - found.len(), LONG);
                    found.extend(std::iter::from_fn(|| receiver.try_recv().ok()));
                }
                found
            };
            told.send(all_of(3)).unwrap();
            told.send(all_of(3)).unwrap();
            assert!(began.elapsed() < LONG, "nobody slept until the time was over");
        });
        for one in ["a", "b", "c"] {
            sender.try_send(one).unwrap();
        }
        assert_eq!(hear.recv().unwrap(), ["a", "b", "c"]);
        sender.try_send("d").unwrap();
        sender.send("end").unwrap();
        assert_eq!(hear.recv().unwrap(), ["d", "end"], "two are fewer than three, and do");
        reader.join().unwrap();
    }

    #[test]
    fn of_many_that_come_at_once_none_is_missed() {
        const EACH: usize = 10_000;
        let (sender, receiver) = queue(64);
        let began = Instant::now();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for mut one in 0..EACH {
                        while let Err(TrySendError::Full(again)) = sender.try_send(one) {
                            one = again;
                            thread::yield_now();
                        }
                    }
                });
            }
            let mut sum = 0;
            for taken in 0..4 * EACH {
                // The last are fewer than it waits for now and then.
                let wanted = (1 + taken % 7).min(4 * EACH - taken);
                sum += loop {
                    match receiver.try_recv() {
                        Ok(one) => break one,
                        Err(_) => receiver.wait(wanted, LONG),
                    }
                };
            }
            assert_eq!(sum, 4 * EACH * (EACH - 1) / 2);
        });
        assert!(began.elapsed() < LONG, "no wake-up was lost");
        assert_eq!(receiver.level.there.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn what_finds_no_room_is_not_counted() {
        let (sender, receiver) = queue(1);
        sender.try_send(1).unwrap();
        assert!(matches!(sender.try_send(2), Err(TrySendError::Full(2))));
        assert_eq!(receiver.try_recv(), Ok(1));
        assert_eq!(receiver.level.there.load(Ordering::SeqCst), 0);

        // For one there is room again.
        sender.try_send(3).unwrap();
        receiver.wait(1, LONG);
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(3), Err(TryRecvError::Empty)));
    }

    #[test]
    fn a_wait_in_vain_ends() {
        let (sender, receiver) = queue::<()>(1);
        receiver.wait(1, Duration::from_millis(1));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        drop(receiver);
        assert!(sender.send(()).is_err());
    }
}
