//! Reading the config anew while we serve: on SIGHUP, and when one of its files has changed. A file that makes no sense changes nothing.

use crate::{assemble::Behind, settings::Settings};
use std::{
    convert::Infallible,
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    time::{Duration, SystemTime},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often it is looked whether a file has changed. What is still being written changes again until the next look.
const LOOK: Duration = Duration::from_secs(1);

/// What tells one state of the files from another.
type Seen = Vec<Option<(u64, u64, Option<SystemTime>)>>;

/// Watches a config.
pub(crate) struct Reload<'a> {
    read: &'a dyn Fn() -> Result<Settings, String>,
    files: Vec<PathBuf>,
    hangup: Signal,
}

impl<'a> Reload<'a> {
    /// Watches these files, which are read by this.
    pub(crate) fn new(files: Vec<PathBuf>, read: &'a dyn Fn() -> Result<Settings, String>) -> std::io::Result<Self> {
        Ok(Self { read, files, hangup: signal(SignalKind::hangup())? })
    }

    /// Keeps a server as its config says, for as long as this is polled.
    pub(crate) async fn keep(mut self, behind: &Behind) -> Infallible {
        let mut known = self.look();
        loop {
            self.changed(&mut known).await;
            // What is written from now on is another change.
            known = self.look();
            match (self.read)() {
                // An empty file is one that is being written, or was lost: nobody means it.
                Ok(settings) if settings.sections.is_empty() => {
                    tracing::error!("the config is empty; everything stays as it was");
                }
                Ok(settings) => {
                    if settings.files != self.files {
                        self.files.clone_from(&settings.files);
                        known = self.look();
                    }
                    behind.reload(settings);
                }
                Err(faults) => tracing::error!("the config was changed and is faulty; everything stays as it was:\n{faults}"),
            }
        }
    }

    /// Completes when the config is to be read anew.
    async fn changed(&mut self, known: &mut Seen) {
        let mut last = known.clone();
        loop {
            tokio::select! {
                _ = self.hangup.recv() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let now = self.look();
            // Changed, and not changing any more.
            if now == last && now != *known {
                *known = now;
                return;
            }
            last = now;
        }
    }

    fn look(&self) -> Seen {
        let seen = |file: &PathBuf| fs::metadata(file).ok().map(|found| (found.ino(), found.len(), found.modified().ok()));
        self.files.iter().map(seen).collect()
    }
}
