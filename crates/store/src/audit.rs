//! The audit log: one row for each call, each bound to the one before by its hash: in one chain where it is a file ([`file`]), in one for
//! each replica on a server ([`chains`]).
//!
//! One thread writes. What waits when it comes round is committed together, so that calls share the cost of the disk; where records
//! come fast it waits a moment for more ([`Company`], [`queue`]). An answer leaves once its row is committed. While nothing can be written
//! nothing is let pass, and once it can be again, a row tells how many were lost.

mod chain;
mod chains;
mod file;
pub(crate) mod query;
mod queue;
pub(crate) mod redact;
pub(crate) mod spool;
pub(crate) mod verify;

use crate::{StoreError, database::Database, secret::Master, times::millis};
use arc_swap::ArcSwapOption;
use chain::Row;
use queue::{Receiver, Sender, queue};
use redact::Arguments;
use ring::hmac;
use spool::{SpoolAt, Spooled};
use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{TryRecvError, TrySendError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::oneshot;
use toolcrib_contract::{AuditLog, Kept, Kind as Called, Outcome, Record, Trace, Unrecorded};

/// Records that wait for the disk; with more, calls are refused.
const MAX_WAITING: usize = 16 * 1024;
/// And no more than these bytes of them.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// The most records of one commit.
const MAX_BATCH: usize = 1024;
/// The longest that a commit waits for more records while somebody waits for it.
const MAX_PAUSE: Duration = Duration::from_millis(1);
/// How long it waits where nobody does.
const PAUSE_UNAWAITED: Duration = Duration::from_millis(5);
/// A commit waits no longer for others than so many commits take.
const PAUSE_IN_COMMITS: u32 = 4;
/// One in so many commits waits for more records than are likely to come; after each that has waited in vain one in twice as many.
const ASKED_FOR_MORE_EVERY: u32 = 32;
const ASKED_AT_LEAST_EVERY: u32 = 32 * 1024;
/// How long the thread waits for records before it looks after the rest.
const TICK: Duration = Duration::from_millis(500);
/// A checkpoint is signed after so many records, or after so long with new ones.
const CHECKPOINT_RECORDS: u64 = 1000;
const CHECKPOINT_AFTER: Duration = Duration::from_secs(60);
/// How often old records are looked for.
const RETENTION_EVERY: Duration = Duration::from_secs(60);
/// How long after it failed, on a server where others may have stood in its way.
const RETENTION_AGAIN: Duration = Duration::from_secs(5);

/// How records are kept.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How much of the arguments is kept. Default: redacted.
    pub arguments: Arguments,
    /// Whether an answer waits until its record is on disk. Default: yes.
    pub is_awaited: bool,
    /// Whether calls are refused while the log cannot be written. Default: yes.
    pub is_required: bool,
    /// How long records are kept. Default: for ever.
    pub max_age: Option<Duration>,
    /// How large the store may grow before the oldest records go, in bytes. Default: 1 GiB.
    pub max_bytes: Option<u64>,
    /// Where records wait while a server of PostgreSQL is away. Default: nowhere, so that they cannot be kept then.
    pub spool: Option<SpoolAt>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { arguments: Arguments::Redacted, is_awaited: true, is_required: true, max_age: None, max_bytes: Some(1 << 30), spool: None }
    }
}

/// An audit log that lasts.
pub struct Audit {
    sender: Sender<Message>,
    state: Arc<State>,
    policy: Policy,
    master: Arc<Master>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What those who hand records over and the thread that writes them know of one another.
#[derive(Default)]
struct State {
    /// Why nothing can be written, while that is so.
    broken: ArcSwapOption<Unrecorded>,
    /// The bytes of the records that wait.
    waiting_bytes: AtomicUsize,
    /// Records that could not be kept, and of which the log does not tell yet.
    lost: AtomicU64,
    /// Records that wait on the local disk for a server that is away.
    spooled: Arc<AtomicU64>,
    is_closed: AtomicBool,
}

/// A record that waits for the disk, and who waits for it.
struct Waiting {
    row: Row,
    bytes: usize,
    reply: Option<oneshot::Sender<Result<(), Unrecorded>>>,
}

enum Message {
    Record(Waiting),
    /// A row of our own.
    Note(Row),
    Close,
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Audit {
    /// `replica` names this process among others.
    pub(crate) fn start(database: Database, master: &Arc<Master>, policy: Policy, replica: &str) -> Result<Arc<Self>, StoreError> {
        let (sender, receiver) = queue(MAX_WAITING);
        let state = Arc::<State>::default();
        let ledger: Box<dyn Ledger> = match database {
            Database::File(_) => Box::new(file::OneChain { database, master: Arc::clone(master) }),
            Database::Server(server) => {
                let retention = chains::Retention::new(Database::Server(server.another().patient()), master, &policy);
                retain(retention, sender.clone(), Arc::downgrade(&state))?;
                let chains = chains::Chains::new(Database::Server(server), master, replica);
                match &policy.spool {
                    Some(at) => Box::new(Spooled::begin(chains, at, &state.spooled)?),
                    None => Box::new(chains),
                }
            }
        };
        let writer = Writer::new(ledger, policy.clone(), Arc::clone(&state));
        let spawned = thread::Builder::new().name("audit".into()).spawn(move || {
            tracing::debug!(place = writer.ledger.place(), "the audit log is open");
            writer.run(&receiver);
        });
        let thread = spawned.map_err(|source| StoreError::File { path: "audit".into(), source })?;
        Ok(Arc::new(Self { sender, state, policy, master: Arc::clone(master), thread: Mutex::new(Some(thread)) }))
    }

    /// Writes what waits, signs a checkpoint, and ends. Records that come later are lost.
    pub fn close(&self) {
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        // A thread that is gone has nothing left to write.
        let _ = self.sender.send(Message::Close);
        if thread.join().is_err() {
            tracing::error!("the thread of the audit log broke off");
        }
    }

    fn hand_over(&self, record: &Record, reply: Option<oneshot::Sender<Result<(), Unrecorded>>>) -> Result<(), Unrecorded> {
        let row = row_of(record, self.policy.arguments, &self.master.digests);
        let bytes = row.size_bytes();
        let too_many = || Unrecorded("too many records wait for the disk".into());
        if self.state.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) > MAX_WAITING_BYTES {
            self.state.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(too_many());
        }
        self.sender.try_send(Message::Record(Waiting { row, bytes, reply })).map_err(|error| {
            self.state.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => too_many(),
                TrySendError::Disconnected(_) => Unrecorded("the log is closed".into()),
            }
        })
    }
}

impl AuditLog for Audit {
    fn admits(&self) -> Result<(), Unrecorded> {
        match self.state.broken.load_full() {
            Some(reason) if self.policy.is_required => Err(Unrecorded::clone(&reason)),
            _ => Ok(()),
        }
    }

    fn spooled(&self) -> u64 {
        self.state.spooled.load(Ordering::Relaxed)
    }

    fn keep(&self, record: Record) -> Kept {
        let refuse = |reason: Unrecorded| -> Kept {
            tracing::error!(%reason, "a record is lost");
            self.state.lost.fetch_add(1, Ordering::Relaxed);
            if self.policy.is_required { Some(Box::pin(async move { Err(reason) })) } else { None }
        };
        if !self.policy.is_awaited {
            return self.hand_over(&record, None).err().and_then(refuse);
        }
        let (reply, kept) = oneshot::channel();
        if let Err(reason) = self.hand_over(&record, Some(reply)) {
            return refuse(reason);
        }
        let is_required = self.policy.is_required;
        Some(Box::pin(async move {
            let kept = kept.await.unwrap_or_else(|_| Err(Unrecorded("the log is closed".into())));
            if is_required { kept } else { Ok(()) }
        }))
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.close();
    }
}

/// Looks after what is old on a server, for as long as the log is open.
fn retain(mut retention: chains::Retention, sender: Sender<Message>, log: Weak<State>) -> Result<(), StoreError> {
    let looking = move || {
        while log.upgrade().is_some_and(|state| !state.is_closed.load(Ordering::Relaxed)) {
            let tell = |chains::TakenOut { records, up_to }| {
                tracing::info!(records, "old records were taken out of the audit log, as its retention says");
                // A log that is closed by now tells of it no more; the checkpoints do.
                let _ = sender.send(Message::Note(chain::taken_out(SystemTime::now(), records, up_to)));
            };
            let pause = match retention.look_after(SystemTime::now(), tell) {
                Ok(()) => RETENTION_EVERY,
                Err(error) => {
                    tracing::warn!(%error, "old records cannot be taken out of the audit log now");
                    RETENTION_AGAIN
                }
            };
            let looked = Instant::now();
            while looked.elapsed() < pause && log.upgrade().is_some_and(|state| !state.is_closed.load(Ordering::Relaxed)) {
                thread::sleep(TICK);
            }
        }
    };
    let spawned = thread::Builder::new().name("retention".into()).spawn(looking);
    spawned.map(drop).map_err(|source| StoreError::File { path: "retention".into(), source })
}

/// Where rows are put.
trait Ledger: Send {
    /// Where that is, for whoever reads of it.
    fn place(&self) -> String;

    /// Binds rows to their chain and puts them where they last: all of them, or none.
    fn append(&mut self, rows: &mut [Row]) -> Result<(), StoreError>;

    /// Signs how far the chain has come.
    fn checkpoint(&mut self) -> Result<(), StoreError>;

    /// Does some of what could not be done before.
    fn catch_up(&mut self) {}

    /// Takes out what is too old, or too much, unless somebody else does.
    fn prune(&mut self, _: &Policy, _: SystemTime) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Checks everything that was written.
pub(crate) fn verify(database: &mut Database, master: &Master) -> Result<verify::Verdict, StoreError> {
    match database {
        Database::File(_) => file::verify(database, master),
        Database::Server(_) => chains::verify(database, master),
    }
}

/// The thread that writes.
struct Writer {
    ledger: Box<dyn Ledger>,
    policy: Policy,
    state: Arc<State>,
    since_checkpoint: u64,
    checkpointed: Instant,
    pruned: Option<Instant>,
    company: Company,
}

/// What a commit takes, as it comes in.
#[derive(Default)]
struct Batch {
    records: Vec<Waiting>,
    is_closing: bool,
}

impl Batch {
    fn add(&mut self, message: Message) {
        match message {
            Message::Record(waiting) => self.records.push(waiting),
            Message::Note(row) => self.records.push(Waiting { row, bytes: 0, reply: None }),
            Message::Close => self.is_closing = true,
        }
    }

    /// Takes what is there.
    fn fill(&mut self, receiver: &Receiver<Message>) {
        while self.room() > 0 {
            match receiver.try_recv() {
                Ok(message) => self.add(message),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => return self.is_closing = true,
            }
        }
    }

    /// How many more it may take.
    fn room(&self) -> usize {
        MAX_BATCH.saturating_sub(self.records.len())
    }
}

/// How many records a commit waits for. It costs many times what a record adds to it: where the disk is quick, each record would have one
/// of its own, and wake the thread for it.
struct Company {
    /// How many came together the last time.
    came: usize,
    /// How long their commit took.
    took: Duration,
    /// How many commits there are from one that hopes for more to the next, and how many there were since.
    hopes_every: u32,
    since_hope: u32,
    /// How many were likely to come, of those that hope for more.
    likely: Option<usize>,
}

impl Default for Company {
    fn default() -> Self {
        Self { came: 0, took: Duration::ZERO, hopes_every: ASKED_FOR_MORE_EVERY, since_hope: 0, likely: None }
    }
}

impl Company {
    /// How many are expected, where so many are there already. Whoever calls alone waits for nobody.
    fn expected(&mut self, there: usize) -> usize {
        let likely = self.came.max(there);
        self.since_hope = self.since_hope.saturating_add(1);
        if likely < 2 || self.since_hope < self.hopes_every {
            return likely;
        }
        // Now and then more than are likely, to find out whether more would come.
        (self.since_hope, self.likely) = (0, Some(likely));
        (likely + likely.div_ceil(2)).min(MAX_BATCH)
    }

    /// The longest that it is worth while to wait.
    fn patience(&self) -> Duration {
        MAX_PAUSE.min(self.took * PAUSE_IN_COMMITS)
    }

    /// Takes note of how many have come.
    fn note(&mut self, came: usize) {
        if let Some(likely) = self.likely.take() {
            let is_in_vain = came <= likely;
            self.hopes_every = if is_in_vain { (self.hopes_every * 2).min(ASKED_AT_LEAST_EVERY) } else { ASKED_FOR_MORE_EVERY };
        }
        self.came = came;
    }
}

impl Writer {
    fn new(ledger: Box<dyn Ledger>, policy: Policy, state: Arc<State>) -> Self {
        Self { ledger, policy, state, since_checkpoint: 0, checkpointed: Instant::now(), pruned: None, company: Company::default() }
    }

    /// What is to be committed next, as far as it comes in time.
    fn gather(&mut self, receiver: &Receiver<Message>) -> Batch {
        let mut batch = Batch::default();
        receiver.wait(1, TICK);
        batch.fill(receiver);
        if batch.records.is_empty() || batch.is_closing {
            return batch;
        }
        if self.policy.is_awaited {
            let (expected, began) = (self.company.expected(batch.records.len()), Instant::now());
            while batch.records.len() < expected && !batch.is_closing {
                let Some(left) = self.company.patience().checked_sub(began.elapsed()) else { break };
                receiver.wait(expected - batch.records.len(), left);
                batch.fill(receiver);
            }
            self.company.note(batch.records.len());
        } else if self.state.waiting_bytes.load(Ordering::Relaxed) < MAX_WAITING_BYTES / 4 {
            let until = Instant::now() + PAUSE_UNAWAITED;
            while batch.room() > 0 && !batch.is_closing && Instant::now() < until {
                receiver.wait(batch.room(), until.saturating_duration_since(Instant::now()));
                batch.fill(receiver);
            }
        }
        batch
    }

    fn run(mut self, receiver: &Receiver<Message>) {
        loop {
            let Batch { records: batch, is_closing } = self.gather(receiver);
            if self.state.broken.load().is_some() || self.state.lost.load(Ordering::Relaxed) > 0 {
                self.tell_of_lost();
            }
            if !batch.is_empty() {
                self.keep(batch);
            }
            self.ledger.catch_up();
            self.look_after(is_closing);
            if is_closing {
                return;
            }
        }
    }

    /// Writes a batch and answers everybody who waits for it.
    fn keep(&mut self, batch: Vec<Waiting>) {
        let count = batch.len() as u64;
        self.state.waiting_bytes.fetch_sub(batch.iter().map(|waiting| waiting.bytes).sum(), Ordering::Relaxed);
        let (mut rows, replies): (Vec<Row>, Vec<_>) = batch.into_iter().map(|Waiting { row, reply, .. }| (row, reply)).unzip();
        let began = Instant::now();
        let written = self.ledger.append(&mut rows).map_err(|error| Unrecorded(error.to_string().into()));
        self.company.took = began.elapsed();
        match &written {
            Ok(()) => self.since_checkpoint += count,
            Err(reason) => {
                self.state.lost.fetch_add(count, Ordering::Relaxed);
                if self.state.broken.swap(Some(Arc::new(reason.clone()))).is_none() {
                    tracing::error!(%reason, place = self.ledger.place(), refusing = self.policy.is_required, "records are lost");
                }
            }
        }
        for reply in replies.into_iter().flatten() {
            // Whoever does not wait any more has left.
            let _ = reply.send(written.clone());
        }
    }

    /// Writes how many records could not be: that also shows whether the log can be written again.
    fn tell_of_lost(&mut self) {
        let lost = self.state.lost.load(Ordering::Relaxed);
        let reason = self.state.broken.load_full().map(|reason| reason.to_string());
        let told = serde_json::json!({"lost": lost, "reason": reason});
        match self.ledger.append(&mut [chain::note(SystemTime::now(), "gap", "records lost", &told)]) {
            Ok(()) => {
                tracing::warn!(lost, "records could not be kept; the audit log can be written again");
                self.state.lost.fetch_sub(lost, Ordering::Relaxed);
                self.state.broken.store(None);
            }
            Err(error) => tracing::debug!(%error, "the audit log still cannot be written"),
        }
    }

    fn look_after(&mut self, is_closing: bool) {
        // While nothing can be written it is not tried, but at the end.
        let is_possible = is_closing || self.state.broken.load().is_none();
        let is_due = self.since_checkpoint >= CHECKPOINT_RECORDS || is_closing || self.checkpointed.elapsed() >= CHECKPOINT_AFTER;
        if is_due && is_possible && self.since_checkpoint > 0 {
            self.checkpointed = Instant::now();
            match self.ledger.checkpoint() {
                Ok(()) => self.since_checkpoint = 0,
                Err(error) => tracing::warn!(%error, "a checkpoint of the audit log cannot be written"),
            }
        }
        if self.pruned.is_none_or(|at| at.elapsed() >= RETENTION_EVERY) {
            self.pruned = Some(Instant::now());
            if let Err(error) = self.ledger.prune(&self.policy, SystemTime::now()) {
                tracing::warn!(%error, "old records cannot be taken out of the audit log");
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // However the thread ends, nothing is let pass any more that nobody would write down.
        self.state.is_closed.store(true, Ordering::Relaxed);
        self.state.broken.store(Some(Arc::new(Unrecorded("the log is closed".into()))));
    }
}

fn row_of(record: &Record, policy: Arguments, digests: &hmac::Key) -> Row {
    let (outcome, code, output_bytes) = match record.outcome {
        Outcome::Answered { output_bytes, is_error: false } => ("answered", None, Some(output_bytes)),
        Outcome::Answered { output_bytes, is_error: true } => ("tool_error", None, Some(output_bytes)),
        Outcome::Refused(code) => ("refused", Some(code), None),
        Outcome::Abandoned => ("abandoned", None, None),
    };
    let roles = serde_json::to_string(&record.caller.roles[..]).unwrap_or_default();
    let (digest, arguments) = redact::kept(&record.arguments, policy, digests);
    Row::new(&chain::Fields {
        id: &record.id,
        at_ms: millis(record.at),
        trace: record.origin.trace.as_ref().map(Trace::id_text).as_deref(),
        authority: &record.caller.authority,
        subject: &record.caller.subject,
        roles: &roles,
        address: record.origin.address.map(|address| address.to_string()).as_deref(),
        door: record.origin.door,
        client: record.origin.client.as_deref(),
        kind: query::kind_name(record.kind),
        name: &if record.kind == Called::Resource { redact::name(&record.name, policy) } else { Cow::Borrowed(&*record.name) },
        outcome,
        code,
        reason: record.reason.as_deref(),
        duration_us: record.duration.as_micros() as i64,
        argument_bytes: record.arguments.size_bytes() as i64,
        output_bytes: output_bytes.map(|bytes| bytes as i64),
        digest: digest.as_deref(),
        arguments: arguments.as_deref(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::file::NAME;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn who_calls_alone_waits_for_nobody_and_company_is_waited_for_once_it_has_come() {
        let mut company = Company::default();
        assert!((0..100).all(|_| company.expected(1) == 1), "nobody has ever come");

        // Twelve came while the last commit was made, and are expected again; now and then one hopes for more, and less often the more often
        // that was in vain.
        let mut company = Company { came: 12, took: Duration::from_micros(100), ..Company::default() };
        let mut hopes = Vec::new();
        for commit in 1..=1000 {
            let expected = company.expected(3);
            assert!([12, 18].contains(&expected), "{expected}");
            hopes.extend((expected == 18).then_some(commit));
            company.note(12);
        }
        assert_eq!(hopes, [32, 96, 224, 480, 992]);
        assert!(company.expected(20) >= 20, "who is there is waited for no more");
        assert_eq!(company.patience(), Duration::from_micros(400), "no longer than is worth while");

        // Hope that was not in vain is had again soon.
        company.since_hope = company.hopes_every;
        let expected = company.expected(12);
        company.note(16);
        assert_eq!((expected, company.hopes_every, company.came), (18, ASKED_FOR_MORE_EVERY, 16), "some of it was not in vain");

        company.note(1);
        assert_eq!(company.expected(1), 1, "they have left");
    }

    #[test]
    fn records_that_come_together_are_committed_together_and_all_are_answered() {
        let folder = tempfile::tempdir().unwrap();
        let master = Arc::new(Master::of(folder.path()).unwrap());
        let ledger = Box::new(file::OneChain { database: Database::open(&folder.path().join(NAME)).unwrap(), master });
        let mut writer = Writer::new(ledger, Policy::default(), Arc::default());
        let (sender, receiver) = queue(MAX_WAITING);
        let note = || chain::note(SystemTime::now(), "tool", "of a test", &serde_json::json!({}));
        (0..MAX_BATCH + 7).for_each(|_| sender.send(Message::Note(note())).unwrap());
        let sizes = [writer.gather(&receiver), writer.gather(&receiver)].map(|batch| batch.records.len());
        assert_eq!(sizes, [MAX_BATCH, 7], "no commit is without bounds");

        // Others are expected and do not come: the wait ends. The end of the log ends it, too.
        (writer.company.came, writer.company.took) = (MAX_BATCH, Duration::from_secs(3600));
        sender.send(Message::Note(note())).unwrap();
        assert_eq!((writer.gather(&receiver).records.len(), writer.company.came), (1, 1));

        sender.send(Message::Close).unwrap();
        let (reply, mut kept) = oneshot::channel();
        sender.send(Message::Record(Waiting { row: note(), bytes: 0, reply: Some(reply) })).unwrap();
        let last = writer.gather(&receiver);
        assert!(last.is_closing && last.records.len() == 1, "what comes with the end is written");
        writer.keep(last.records);
        assert_eq!(kept.try_recv(), Ok(Ok(())));
    }

    #[test]
    fn retention_by_age_takes_out_what_is_old_once_and_nothing_for_an_age_beyond_time() {
        let folder = tempfile::tempdir().unwrap();
        let master = Arc::new(Master::of(folder.path()).unwrap());
        let mut chain = file::OneChain { database: Database::open(&folder.path().join(NAME)).unwrap(), master };
        let now = SystemTime::now();
        let note = |at| chain::note(at, "tool", "of a test", &serde_json::json!({}));
        chain.append(&mut [note(now - 2 * HOUR), note(now - 2 * HOUR), note(now)]).unwrap();
        let rows = |chain: &mut file::OneChain| {
            let read = chain.database.read(|it| {
                it.query("SELECT seq FROM audit ORDER BY seq", &[])?.iter().map(|row| row.integer(0)).collect::<Result<Vec<i64>, _>>()
            });
            read.unwrap()
        };

        let policy = |age| Policy { max_age: Some(age), ..Policy::default() };
        chain.prune(&policy(Duration::MAX), now).unwrap();
        assert_eq!(rows(&mut chain), [1, 2, 3]);

        chain.prune(&policy(HOUR), now).unwrap();
        assert_eq!(rows(&mut chain), [3, 4], "the last row tells that two were taken out");
        chain.prune(&policy(HOUR), now).unwrap();
        assert_eq!(rows(&mut chain), [3, 4], "nothing is old any more");
    }
}
