//! The other servers: started, left alone, replaced or let go, as the config says now.

use super::{
    Fault, Stay,
    publisher::{Heard, Publisher, Steadied},
    sign_in::SignIns,
};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet, time::Instant};
use toolcrib_contract::{Json, Secrets};
use toolcrib_upstream::{Definition, Guard, Listener, Status, Upstream};
use toolcrib_wire::client::ClientInfo;

/// How long calls may go on at a server that is let go.
const DRAIN: Duration = Duration::from_secs(25);
/// How often it is looked whether they are done.
const LOOK: Duration = Duration::from_millis(50);

/// The other servers.
pub(crate) struct Fleet {
    pub(super) publisher: Arc<Publisher>,
    sign_ins: Mutex<SignIns>,
    secrets: Option<Arc<dyn Secrets>>,
    stay: Stay,
    members: Mutex<Vec<Member>>,
    guard: Mutex<Option<Arc<Guard>>>,
    lives: Mutex<JoinSet<()>>,
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
    pub(super) fn new(publisher: Arc<Publisher>, sign_ins: SignIns, secrets: Option<Arc<dyn Secrets>>, stay: Stay) -> Self {
        let (members, guard, lives) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { publisher, sign_ins: Mutex::new(sign_ins), secrets, stay, members, guard, lives }
    }

    /// The servers, in the order of the config.
    pub(crate) fn upstreams(&self) -> Vec<Arc<Upstream>> {
        self.members().iter().map(|member| Arc::clone(&member.upstream)).collect()
    }

    /// Starts a server in the background.
    pub(super) fn start(&self, definition: Definition) -> Result<(), Fault> {
        self.publisher.expect(&definition);
        let member = self.launch(definition)?;
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
    /// successor has connected, or could not; calls that have begun may finish.
    pub(super) fn become_like(&self, definitions: Vec<Definition>, steadied: Steadied) -> Result<Changes, Fault> {
        let mut changes = Changes::default();
        let before = std::mem::replace(&mut *self.publisher.steadied(), steadied.clone());
        let is_treated_alike =
            |server: &Definition| before.all == steadied.all && before.servers.get(&server.name) == steadied.servers.get(&server.name);
        let mut kept = Vec::new();
        let mut old = std::mem::take(&mut *self.members());
        for definition in definitions {
            let found = old.iter().position(|member| member.upstream.definition().name == definition.name).map(|index| old.remove(index));
            match found {
                Some(member) if member.upstream.definition().says_the_same(&definition) && is_treated_alike(&definition) => {
                    kept.push(member)
                }
                Some(member) => {
                    changes.changed.push(definition.name.to_string());
                    member.is_heard.store(false, Ordering::Release);
                    let next = self.launch(definition)?;
                    self.spawn(Self::succeed(Arc::clone(&self.publisher), member, next.clone()));
                    kept.push(next);
                }
                None => {
                    changes.added.push(definition.name.to_string());
                    self.publisher.expect(&definition);
                    kept.push(self.launch(definition)?);
                }
            }
        }
        for member in old {
            changes.removed.push(member.upstream.name().to_owned());
            member.is_heard.store(false, Ordering::Release);
            self.publisher.forget(member.upstream.definition());
            self.spawn(retire(member));
        }
        *self.members() = kept;
        Ok(changes)
    }

    fn launch(&self, mut definition: Definition) -> Result<Member, Fault> {
        definition.secrets.clone_from(&self.secrets);
        let authenticates = self.publisher.gate.authenticates();
        definition.sign_in = self.sign_ins().at(&definition, self.stay, authenticates)?;
        let client = ClientInfo { name: "toolcrib".into(), version: env!("CARGO_PKG_VERSION").into(), capabilities: Json::empty_object() };
        let (stop, is_heard) = (watch::Sender::new(false), Arc::new(AtomicBool::new(true)));
        let listener: Arc<dyn Listener> = Arc::new(Heard { publisher: Arc::clone(&self.publisher), is_heard: Arc::clone(&is_heard) });
        let (upstream, life) = Upstream::new(definition, client, self.guard(), listener, stop.subscribe());
        self.spawn(life);
        Ok(Member { upstream: Arc::new(upstream), stop, is_heard })
    }

    /// Lets a server go once the next of its name is there. If that cannot connect, its name stands for a server that is down.
    async fn succeed(publisher: Arc<Publisher>, before: Member, next: Member) {
        if !matches!(next.upstream.settled().await, Status::Ready(_)) && next.is_heard.load(Ordering::Acquire) {
            publisher.expect(next.upstream.definition());
        }
        retire(before).await;
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
        self.lives.lock().unwrap_or_else(PoisonError::into_inner).spawn(life);
    }

    fn guard(&self) -> Arc<Guard> {
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(guard.get_or_insert_with(|| Arc::new(Guard::start())))
    }

    fn members(&self) -> MutexGuard<'_, Vec<Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sign_ins(&self) -> MutexGuard<'_, SignIns> {
        self.sign_ins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a server once its calls are done.
async fn retire(member: Member) {
    let deadline = Instant::now() + DRAIN;
    while !member.upstream.is_idle() && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
    }
    member.stop.send_replace(true);
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.members().iter().map(|member| member.upstream.name())).finish()
    }
}
