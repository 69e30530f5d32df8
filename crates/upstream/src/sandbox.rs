//! What a child may reach of this machine: files, and the network. The kernel keeps it (Landlock), for the child and all that it starts.
//!
//! Landlock confines a thread and what that starts from then on, so a thread is made for each start: nothing of this process is confined,
//! and no `unsafe` code runs between fork and exec.

use std::{
    io,
    path::{Path, PathBuf},
};
use tokio::process::{Child, Command};

/// What a child may reach. Everything else of the file system is closed to it, but for where programs are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// Files, and folders with all that is in them, that it may read and run.
    pub read: Vec<PathBuf>,
    /// The same, that it may also write, make and remove.
    pub write: Vec<PathBuf>,
    /// Whether it may open and accept connections.
    pub has_network: bool,
}

impl Sandbox {
    /// Starts a program that may reach no more than this.
    ///
    /// # Errors
    /// Why it cannot be started, or not confined: without the one there is not the other.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let runtime = tokio::runtime::Handle::current();
        let start = || {
            self.confine_this_thread(Path::new(command.as_std().get_program()))?;
            let _within = runtime.enter();
            command.spawn()
        };
        std::thread::scope(|scope| scope.spawn(start).join())
            .unwrap_or_else(|_| Err(io::Error::other("the thread that was to start it panicked")))
    }

    #[cfg(target_os = "linux")]
    fn confine_this_thread(&self, program: &Path) -> io::Result<()> {
        let refused = |error: &dyn std::fmt::Display| {
            let needed = if self.has_network { "Linux 6.2" } else { "Linux 6.7" };
            io::Error::other(format!("it cannot be confined as \"sandbox\" demands, which takes {needed} or later with Landlock: {error}"))
        };
        match self.restrict(program) {
            Ok(landlock::RulesetStatus::NotEnforced) => Err(refused(&"this kernel has none")),
            Ok(_) => Ok(()),
            Err(error) => Err(refused(&error)),
        }
    }

    /// What is demanded is had, or nothing is started; what newer kernels can do besides is taken along.
    #[cfg(target_os = "linux")]
    fn restrict(&self, program: &Path) -> Result<landlock::RulesetStatus, landlock::RulesetError> {
        use landlock::{
            ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope, path_beneath_rules,
        };
        let (demanded, wished) = (CompatLevel::HardRequirement, CompatLevel::BestEffort);
        let mut rules = Ruleset::default().set_compatibility(demanded).handle_access(AccessFs::from_all(ABI::V3))?;
        if !self.has_network {
            rules =
                rules.handle_access(AccessNet::from_all(ABI::V4))?.set_compatibility(wished).handle_access(AccessNet::from_all(NEWEST))?;
        }
        let rules =
            rules.set_compatibility(wished).handle_access(AccessFs::from_all(ABI::V5))?.scope(Scope::from_all(ABI::V6))?.create()?;
        let readable = SYSTEM.iter().map(Path::new).chain(self.read.iter().map(PathBuf::as_path)).chain([program]);
        let writable = DEVICES.iter().map(Path::new).chain(self.write.iter().map(PathBuf::as_path));
        let rules = rules
            .add_rules(path_beneath_rules(readable, AccessFs::from_read(ABI::V5)))?
            .add_rules(path_beneath_rules(writable, AccessFs::from_all(ABI::V5)))?;
        Ok(rules.restrict_self()?.ruleset)
    }

    #[cfg(not(target_os = "linux"))]
    fn confine_this_thread(&self, _program: &Path) -> io::Result<()> {
        Err(io::Error::other("it cannot be confined as \"sandbox\" demands: that takes Linux"))
    }
}

/// The newest of what the library knows: kernels that can also refuse datagrams do.
#[cfg(target_os = "linux")]
const NEWEST: landlock::ABI = landlock::ABI::V10;

/// Where programs are, and what they need to start.
#[cfg(target_os = "linux")]
const SYSTEM: &[&str] = &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt", "/nix/store", "/proc", "/sys", "/dev"];

/// What everybody may write to.
#[cfg(target_os = "linux")]
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];
