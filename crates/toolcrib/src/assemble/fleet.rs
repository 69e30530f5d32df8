//! The other servers: started, left alone, replaced or let go, as the config says now.

use super::{
    Fault, Stay,
    publisher::{Heard, Publisher, Steadied},
    sign_in::SignIns,
    status,
};
use crate::operations::Servers;
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet, time::Instant};
use toolcrib_contract::{Json, Listings, Secrets};
use toolcrib_upstream::{Definition, Guard, Listener, Status, Upstream};
use toolcrib_wire::client::ClientInfo;

/// How long calls may go on at a server that is let go.
const DRAIN: Duration = Duration::from_secs(25);
/// How long none of them may have been seen.
const QUIET: Duration = Duration::from_secs(1);
/// How often it is looked whether they are done.
const LOOK: Duration = Duration::from_millis(50);

/// The other servers.
pub(crate) struct Fleet {
    pub(super) publisher: Arc<Publisher>,
    sign_ins: Arc<Mutex<SignIns>>,
    secrets: Option<Arc<dyn Secrets>>,
    listings: Option<Arc<dyn Listings>>,
    stay: Stay,
    members: Arc<Mutex<Vec<Member>>>,
    guard: Mutex<Option<Arc<Guard>>>,
    lives: Mutex<JoinSet<()>>,
}

/// What servers need of what is kept, where anything is.
pub(super) struct Shelves {
    pub(super) secrets: Option<Arc<dyn Secrets>>,
    pub(super) listings: Option<Arc<dyn Listings>>,
}

/// One server, and the ways to end it.
#[derive(Clone)]
struct Member {
    upstream: Arc<Upstream>,
    stop: watch::Sender<bool>,
    is_heard: Arc<AtomicBool>,
}

/// What became of the servers when the config was read anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) added: Vec<String>,
    pub(crate) changed: Vec<String>,
    pub(crate) removed: Vec<String>,
}

impl Fleet {
    pub(super) fn new(publisher: Arc<Publisher>, sign_ins: SignIns, Shelves { secrets, listings }: Shelves, stay: Stay) -> Self {
        let (members, guard, lives) = (Arc::default(), Mutex::default(), Mutex::default());
        let sign_ins = Arc::new(Mutex::new(sign_ins));
        Self { publisher, sign_ins, secrets, listings, stay, members, guard, lives }
    }

    /// Offers how the servers are as a resource.
    pub(super) fn offer_status(&self) {
        let upstreams = self.lister();
        self.publisher.gate.publish(status::source(move || upstreams()));
    }

    /// Gives the servers as they are at the moment when it is asked.
    pub(super) fn lister(&self) -> Servers {
        let members = Arc::clone(&self.members);
        Arc::new(move || locked(&members).iter().map(|member| Arc::clone(&member.upstream)).collect())
    }

    /// The servers, in the order of the config.
    pub(crate) fn upstreams(&self) -> Vec<Arc<Upstream>> {
        self.members().iter().map(|member| Arc::clone(&member.upstream)).collect()
    }

    /// Starts a server in the background.
    pub(super) fn start(&self, definition: Definition) -> Result<(), Fault> {
        self.publisher.expect(&definition);
        let member = self.launch(definition, None)?;
        self.members().push(member);
        Ok(())
    }

    /// Tells once every server has connected, or could not: from then on what is listed is what there is.
    pub(super) fn tell_when_settled(&self, ready: watch::Sender<bool>) {
        let upstreams = self.upstreams();
        self.spawn(async move {
            for upstream in upstreams {
                upstream.settled().await;
            }
            ready.send_replace(true);
        });
    }

    /// Makes the servers what the config says now. One of which it says the same is left alone; one that is changed is replaced once its
    /// successor has connected, or has had its time; calls that have begun may finish. Gives also what could not be taken up; everything else
    /// is then as the config says.
    pub(super) fn become_like(&self, definitions: Vec<Definition>, steadied: Steadied) -> (Changes, Vec<Fault>) {
        let (mut changes, mut faults, mut kept) = (Changes::default(), Vec::new(), Vec::new());
        // Whoever asks meanwhile is told of those that there were.
        let mut old = self.members().clone();
        self.publisher.treat_anew(steadied, old.iter().map(|member| member.upstream.definition()));
        for definition in definitions {
            let found = old.iter().position(|member| member.upstream.definition().name == definition.name).map(|index| old.remove(index));
            let name = definition.name.to_string();
            match found {
                Some(member) if member.upstream.definition().says_the_same(&definition) => {
                    member.upstream.try_now();
                    kept.push(member);
                }
                Some(member) => {
                    self.publisher.succeed(&definition, &member.is_heard);
                    match self.launch(definition, Some(&member)) {
                        Ok(next) => {
                            changes.changed.push(name);
                            self.spawn(Self::take_over(Arc::clone(&self.publisher), Arc::clone(&self.sign_ins), member, next.clone()));
                            kept.push(next);
                        }
                        Err(fault) => {
                            member.is_heard.store(true, Ordering::Release);
                            kept.push(member);
                            faults.push(fault);
                        }
                    }
                }
                None => {
                    self.publisher.expect(&definition);
                    match self.launch(definition, None) {
                        Ok(member) => {
                            changes.added.push(name);
                            kept.push(member);
                        }
                        Err(fault) => faults.push(fault),
                    }
                }
            }
        }
        for member in old {
            changes.removed.push(member.upstream.name().to_owned());
            self.publisher.forget(member.upstream.definition(), &member.is_heard);
            self.spawn(retire(Arc::clone(&self.sign_ins), member));
        }
        self.publisher.arrange(kept.iter().map(|member| member.upstream.definition()));
        *self.members() = kept;
        (changes, faults)
    }

    fn launch(&self, mut definition: Definition, before: Option<&Member>) -> Result<Member, Fault> {
        definition.secrets.clone_from(&self.secrets);
        definition.listings.clone_from(&self.listings);
        let authenticates = self.publisher.gate.authenticates();
        definition.sign_in = self.sign_ins().at(&definition, self.stay, authenticates)?;
        let client = ClientInfo { name: "toolcrib".into(), version: env!("CARGO_PKG_VERSION").into(), capabilities: Json::empty_object() };
        let (stop, is_heard) = (watch::Sender::new(false), Arc::new(AtomicBool::new(true)));
        let listener: Arc<dyn Listener> = Arc::new(Heard { publisher: Arc::clone(&self.publisher), is_heard: Arc::clone(&is_heard) });
        let before = before.map(|before| &*before.upstream);
        let (upstream, life) = Upstream::new(definition, client, self.guard(), listener, stop.subscribe(), before);
        self.spawn(life);
        Ok(Member { upstream: Arc::new(upstream), stop, is_heard })
    }

    /// Lets a server go once the next of its name is there, or has had its time. Then its name stands for a server that is down.
    async fn take_over(publisher: Arc<Publisher>, sign_ins: Arc<Mutex<SignIns>>, before: Member, next: Member) {
        let within = next.upstream.definition().start_timeout;
        if tokio::time::timeout(within, next.upstream.ready()).await.is_err() {
            publisher.give_up_waiting(next.upstream.definition(), || {
                next.is_heard.load(Ordering::Acquire) && !matches!(next.upstream.status(), Status::Ready(_) | Status::Asleep)
            });
        }
        retire(sign_ins, before).await;
    }

    /// Stops all of them and waits until they are gone.
    pub(super) async fn stop(&self) {
        for member in self.members().iter() {
            member.stop.send_replace(true);
        }
        let mut lives = std::mem::take(&mut *self.lives.lock().unwrap_or_else(PoisonError::into_inner));
        // Those that are being let go have less time than they thought.
        let deadline = Instant::now() + DRAIN;
        while let Ok(Some(_)) = tokio::time::timeout_at(deadline, lives.join_next()).await {}
        lives.shutdown().await;
        let accounts = std::mem::take(&mut self.sign_ins().accounts);
        // What is good once is not left half way.
        for accounts in accounts {
            accounts.settle().await;
        }
    }

    fn spawn(&self, life: impl Future<Output = ()> + Send + 'static) {
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that are over need not be kept.
        while lives.try_join_next().is_some() {}
        lives.spawn(life);
    }

    fn guard(&self) -> Arc<Guard> {
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(guard.get_or_insert_with(|| Arc::new(Guard::start())))
    }

    fn members(&self) -> MutexGuard<'_, Vec<Member>> {
        locked(&self.members)
    }

    fn sign_ins(&self) -> MutexGuard<'_, SignIns> {
        self.sign_ins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn locked(members: &Mutex<Vec<Member>>) -> MutexGuard<'_, Vec<Member>> {
    members.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a server once its calls are done: those that are on their way to it included, so it has to be quiet for a while.
async fn retire(sign_ins: Arc<Mutex<SignIns>>, member: Member) {
    let deadline = Instant::now() + DRAIN;
    let mut quiet_since = Instant::now();
    while quiet_since.elapsed() < QUIET && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
        if !member.upstream.is_idle() {
            quiet_since = Instant::now();
        }
    }
    member.stop.send_replace(true);
    if let Some(sign_in) = &member.upstream.definition().sign_in {
        sign_in.accounts.settle().await;
        sign_ins.lock().unwrap_or_else(PoisonError::into_inner).accounts.retain(|accounts| !Arc::ptr_eq(accounts, &sign_in.accounts));
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.members().iter().map(|member| member.upstream.name())).finish()
    }
}
