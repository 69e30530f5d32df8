//! Sees to it that no child outlives us, even if we are killed with a signal that nobody can catch.
//!
//! One small shell, in a process group of its own, is told which groups our children lead. When the pipe to it breaks,
//! we are gone, and it ends what is left. That needs no `unsafe`, and reaches grandchildren (`npx` starts `node`), which
//! a parent-death signal on the child alone does not.

use std::{io::Write, process::Stdio};
use tokio::sync::mpsc;

const SCRIPT: &str = r#"
trap '' INT TERM HUP QUIT
groups=' '
while read -r verb group; do
  case "$verb" in
    '+') groups="$groups$group " ;;
    '-') case "$groups" in *" $group "*) groups="${groups%% $group *} ${groups#* $group }" ;; esac ;;
  esac
done
for group in $groups; do kill -TERM "-$group" 2>/dev/null; done
[ "$groups" = ' ' ] || sleep 1
for group in $groups; do kill -KILL "-$group" 2>/dev/null; done
"#;

/// The watch over all children of this process. Dropping it lets the shell end.
#[derive(Debug)]
pub struct Guard {
    tell: Option<mpsc::UnboundedSender<String>>,
}

/// A group of processes under guard, until it is dropped.
#[derive(Debug)]
pub(crate) struct Guarded {
    tell: Option<mpsc::UnboundedSender<String>>,
    group: i32,
}

impl Guard {
    /// Starts the guard. Without a shell there is none, and only a warning.
    #[must_use]
    pub fn start() -> Self {
        let shell = std::process::Command::new("/bin/sh");
        match Self::start_in(shell) {
            Ok(tell) => Self { tell: Some(tell) },
            Err(error) => {
                tracing::warn!(%error, "no /bin/sh: if this process is killed, its children may stay");
                Self { tell: None }
            }
        }
    }

    fn start_in(mut shell: std::process::Command) -> std::io::Result<mpsc::UnboundedSender<String>> {
        use std::os::unix::process::CommandExt;
        shell.args(["-c", SCRIPT, "toolcrib-guard"]).process_group(0).env_clear().env("PATH", "/usr/bin:/bin");
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut pipe = child.stdin.take().ok_or_else(|| std::io::Error::other("the shell has no standard input"))?;
        #[expect(clippy::disallowed_methods, reason = "each line stands for a process that was started or ended, and is read at once")]
        let (tell, mut told) = mpsc::unbounded_channel::<String>();
        // A thread of its own: it must also write when the runtime is busy or going down.
        std::thread::Builder::new().name("guard".into()).spawn(move || {
            while let Some(line) = told.blocking_recv() {
                if pipe.write_all(line.as_bytes()).and_then(|()| pipe.flush()).is_err() {
                    break;
                }
            }
            drop(pipe);
            // It ends at once: nothing is left to guard.
            let _ = child.wait();
        })?;
        Ok(tell)
    }

    pub(crate) fn watch(&self, group: i32) -> Guarded {
        let guarded = Guarded { tell: self.tell.clone(), group };
        guarded.say('+');
        guarded
    }
}

impl Guarded {
    fn say(&self, verb: char) {
        if let Some(tell) = &self.tell {
            // A guard that is gone was reported when it could not start.
            let _ = tell.send(format!("{verb} {}\n", self.group));
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.say('-');
    }
}
