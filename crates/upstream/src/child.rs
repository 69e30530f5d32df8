//! A server as a child process: in a process group of its own, its last words kept, and ended with everything that it
//! started.

use crate::definition::Command;
use std::{
    collections::VecDeque,
    io,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    process::{ChildStderr, ChildStdin, ChildStdout},
    task::JoinHandle,
};
use toolcrib_child::{Group, Guard, Signal};
use toolcrib_wire::lines::{Line, LineReader};

/// How long a child may take to leave once its input is closed, and again once it is told to terminate.
const GRACE: Duration = Duration::from_secs(2);
/// What is kept of its standard error.
const KEPT_LINES: usize = 20;
const MAX_LINE_BYTES: usize = 1024;

/// A running child.
#[derive(Debug)]
pub(crate) struct Child {
    process: tokio::process::Child,
    group: Option<Group>,
    last_words: LastWords,
    listening: JoinHandle<()>,
    /// Ends it when it uses too much.
    watching: JoinHandle<()>,
}

/// The latest lines of a child's standard error.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastWords(Arc<Mutex<VecDeque<String>>>);

/// A child's pipes.
pub(crate) struct Pipes {
    pub(crate) input: ChildStdin,
    pub(crate) output: ChildStdout,
}

impl Child {
    pub(crate) fn start(name: &str, command: &Command, guard: &Guard) -> io::Result<(Self, Pipes)> {
        let mut start = tokio::process::Command::new(&command.program);
        start.args(&command.args).env_clear().envs(command.env.iter().map(|(key, value)| (key, value)));
        start.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(directory) = &command.directory {
            start.current_dir(directory);
        }
        let (mut process, group) = Group::start(&mut start, command.limits, command.sandbox.as_ref(), guard)?;
        let lost = || io::Error::other("a pipe to the child is missing");
        let pipes = Pipes { input: process.stdin.take().ok_or_else(lost)?, output: process.stdout.take().ok_or_else(lost)? };
        let last_words = LastWords::default();
        let stderr = process.stderr.take().ok_or_else(lost)?;
        let listening = tokio::spawn(last_words.clone().listen(name.to_owned(), stderr));
        let words = last_words.clone();
        // Why it was ended stands with what it said last.
        let outgrown = group.end_when_outgrown(move |why| words.keep(why.to_owned()));
        let watching = tokio::spawn(async move {
            outgrown.await;
        });
        Ok((Self { process, group: Some(group), last_words, listening, watching }, pipes))
    }

    /// The number of the process, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    pub(crate) fn last_words(&self) -> &LastWords {
        &self.last_words
    }

    /// Waits until the child ends by itself.
    pub(crate) async fn ended(&mut self) -> String {
        let status = self.process.wait().await;
        // What it said last may still be in the pipe.
        let _ = tokio::time::timeout(Duration::from_millis(200), &mut self.listening).await;
        let how = status.map_or_else(|error| format!("it cannot be waited for: {error}"), describe);
        self.with_last_words(&how)
    }

    /// Ends the child and everything that it started. Its input is to be closed before.
    pub(crate) async fn stop(mut self) {
        if tokio::time::timeout(GRACE, self.process.wait()).await.is_err() {
            self.group.iter().for_each(|group| group.signal(Signal::TERM));
            let _ = tokio::time::timeout(GRACE, self.process.wait()).await;
        }
        // Whatever the leader did, nobody of its group stays.
        self.group.take().into_iter().for_each(Group::end);
        if let Err(error) = self.process.wait().await {
            tracing::warn!(%error, "a child cannot be waited for");
        }
        self.stop_looking();
    }

    fn stop_looking(&self) {
        self.listening.abort();
        self.watching.abort();
    }

    pub(crate) fn with_last_words(&self, how: &str) -> String {
        let words = self.last_words.joined();
        if words.is_empty() { how.to_owned() } else { format!("{how}; it last said: {words}") }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stop_looking();
    }
}

impl LastWords {
    async fn listen(self, name: String, stderr: ChildStderr) {
        let mut lines = LineReader::new(stderr, MAX_LINE_BYTES);
        while let Ok(Some(line)) = lines.next().await {
            let line = match line {
                Line::Text(text) => String::from_utf8_lossy(&text).into_owned(),
                Line::TooLong => "(a long line)".to_owned(),
            };
            tracing::debug!(server = name, "{line}");
            self.keep(line);
        }
    }

    fn keep(&self, line: String) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }

    /// The lines, the latest last.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn joined(&self) -> String {
        const SHOWN: usize = 3;
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shown: Vec<&str> = kept.iter().rev().take(SHOWN).rev().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
        shown.join(" | ")
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(0), _) => "it ended by itself".to_owned(),
        (Some(code), _) => format!("it exited with code {code}"),
        (None, Some(signal)) => format!("it was killed by signal {signal}"),
        (None, None) => "it ended".to_owned(),
    }
}
