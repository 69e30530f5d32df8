//! What a child may use up: limits that the kernel keeps, and a watch over its memory and its number.

use std::{fs, time::Duration};

/// How often it is looked how much memory a child uses.
const LOOK: Duration = Duration::from_secs(2);

/// What a child, and everything that it starts, may use up. What is absent is not limited beyond what we are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory in use by all its processes together, in bytes. One that grows beyond is ended, and started anew.
    pub memory_bytes: Option<u64>,
    /// Address space of each process, in bytes. Some runtimes reserve far more than they use.
    pub address_space_bytes: Option<u64>,
    /// Seconds of CPU time of each process.
    pub cpu_secs: Option<u64>,
    /// Files and connections that each process has open.
    pub open_files: Option<u64>,
    /// Processes, with all that it started and these started. One that starts more is ended, and started anew.
    pub processes: Option<u64>,
}

impl Limits {
    /// Asks the kernel to keep what it can keep, of a process that has just begun, and of all that it will start.
    ///
    /// # Errors
    /// Why the kernel does not.
    #[cfg(target_os = "linux")]
    pub(crate) fn impose(&self, process: rustix::process::Pid) -> std::io::Result<()> {
        use rustix::process::{Resource, Rlimit, prlimit};
        let kept = [(Resource::As, self.address_space_bytes), (Resource::Cpu, self.cpu_secs), (Resource::Nofile, self.open_files)];
        for (resource, most) in kept.into_iter().filter(|(_, most)| most.is_some()) {
            prlimit(Some(process), resource, Rlimit { current: most, maximum: most })?;
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn impose(&self, _process: rustix::process::Pid) -> std::io::Result<()> {
        let watched = self.memory_bytes.or(self.processes);
        let is_asked = self.address_space_bytes.or(self.cpu_secs).or(self.open_files).or(watched).is_some();
        if is_asked { Err(std::io::Error::other("limits on children are kept on Linux only")) } else { Ok(()) }
    }

    /// Completes when the processes of a group are more, or use more memory, than they may, with what is to be said of that.
    pub(crate) async fn outgrown(self, group: i32) -> String {
        if self.memory_bytes.or(self.processes).is_none() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(LOOK).await;
            let Use { processes, memory_bytes } = tokio::task::spawn_blocking(move || Use::of(group)).await.unwrap_or_default();
            if let Some(most) = self.memory_bytes.filter(|most| memory_bytes > *most) {
                return format!("(it used {} MiB of memory, {} are allowed, and was ended)", memory_bytes >> 20, most >> 20);
            }
            if let Some(most) = self.processes.filter(|most| processes > *most) {
                return format!("(it was {processes} processes, {most} are allowed, and was ended)");
            }
        }
    }
}

/// What the processes of a group use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Use {
    /// How many they are.
    pub processes: u64,
    /// What lies in memory, in bytes; what they share is counted for each.
    pub memory_bytes: u64,
}

impl Use {
    /// What the group of this leader uses, as far as the system tells: `/proc`. A process that ends meanwhile uses nothing.
    #[must_use]
    pub fn of(group: i32) -> Self {
        let Ok(processes) = fs::read_dir("/proc") else { return Self::default() };
        let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let ours = numbers.filter(|process| group_of(*process) == Some(group)).filter_map(resident_bytes);
        ours.fold(Self::default(), |used, bytes| Self { processes: used.processes + 1, memory_bytes: used.memory_bytes + bytes })
    }
}

/// The fifth field of `stat`, after the name, which stands in parentheses and may hold anything (proc(5)).
fn group_of(process: u32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(2)?.parse().ok()
}

fn resident_bytes(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_a_group_uses_is_what_its_processes_do() {
        let own = Use::of(group_of(std::process::id()).unwrap());
        assert!(own.processes > 0 && own.memory_bytes > 1 << 20, "{own:?}");
        assert_eq!(Use::of(i32::MAX), Use::default());
    }
}
