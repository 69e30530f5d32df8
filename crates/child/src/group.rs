//! A process and all that it starts: one group, which is ended when it is let go.

use crate::{
    guard::{Guard, Guarded},
    limits::Limits,
    sandbox::Sandbox,
};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use tokio::process::{Child, Command};

/// The group that a process of ours leads. Dropping it kills whoever is in it.
#[derive(Debug)]
pub struct Group {
    leader: Option<Pid>,
    limits: Limits,
    _guarded: Option<Guarded>,
}

impl Group {
    /// Starts a program as the leader of a group of its own.
    ///
    /// # Errors
    /// Why it cannot be started, or not bounded and confined as it is to be: without the one there is not the other.
    pub fn start(command: &mut Command, limits: Limits, sandbox: Option<&Sandbox>, guard: &Guard) -> io::Result<(Child, Self)> {
        command.process_group(0).kill_on_drop(true);
        let started = match sandbox {
            Some(sandbox) => sandbox.spawn(command),
            None => command.spawn(),
        };
        let child = started.map_err(|error| explained(error, command))?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let group = Self { leader: id.and_then(Pid::from_raw), limits, _guarded: id.map(|id| guard.watch(id)) };
        if let Some(leader) = group.leader {
            // A process has hardly begun when this is asked for; what it starts later inherits it.
            limits.impose(leader)?;
        }
        Ok((child, group))
    }

    /// Sends a signal to everybody in it.
    pub fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // A group that is gone needs no signal.
            let _ = kill_process_group(leader, signal);
        }
    }

    /// Kills them when they are more, or use more memory, than they may, and completes with what is to be said of that; whoever looks for
    /// the reason when they end is told before. To be dropped once the group has ended.
    pub fn end_when_outgrown<F: FnOnce(&str) + Send>(&self, tell: F) -> impl Future<Output = String> + Send + use<F> {
        let (limits, leader) = (self.limits, self.leader);
        async move {
            let Some(leader) = leader else { return std::future::pending().await };
            let why = limits.outgrown(leader.as_raw_nonzero().get()).await;
            tell(&why);
            // A group that is gone needs no signal.
            let _ = kill_process_group(leader, Signal::KILL);
            why
        }
    }

    /// Kills whoever is left, once and for all: the number may be another's later.
    pub fn end(mut self) {
        self.signal(Signal::KILL);
        self.leader = None;
    }
}

/// A folder that is not there to be started in is told as a program that is not there: which it is, is said.
fn explained(error: io::Error, command: &Command) -> io::Error {
    match command.as_std().get_current_dir().filter(|folder| error.kind() == io::ErrorKind::NotFound && !folder.is_dir()) {
        Some(folder) => io::Error::new(io::ErrorKind::NotFound, format!("there is no directory {} to start it in", folder.display())),
        None => error,
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
