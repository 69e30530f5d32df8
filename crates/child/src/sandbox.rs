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
    /// Files, and folders with all that is in them, that it may read and run, by paths without symbolic links: these are not followed.
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
            self.confine_this_thread(command.as_std())?;
            let _within = runtime.enter();
            command.spawn()
        };
        std::thread::scope(|scope| scope.spawn(start).join())
            .unwrap_or_else(|_| Err(io::Error::other("the thread that was to start it panicked")))
    }

    #[cfg(target_os = "linux")]
    fn confine_this_thread(&self, command: &std::process::Command) -> io::Result<()> {
        let given = self.open()?;
        let refused = |error: &dyn std::fmt::Display| {
            let needed = if self.has_network { "Linux 6.2" } else { "Linux 6.7" };
            io::Error::other(format!("it cannot be confined as \"sandbox\" demands, which takes {needed} or later with Landlock: {error}"))
        };
        match self.restrict(given, program(command)) {
            Ok(landlock::RulesetStatus::NotEnforced) => Err(refused(&"this kernel has none")),
            Ok(_) => Ok(()),
            Err(error) => Err(refused(&error)),
        }
    }

    /// What the config names, opened, with whether it may be written. A link that has taken the place of something meanwhile is none of it.
    #[cfg(target_os = "linux")]
    fn open(&self) -> io::Result<Vec<(std::os::fd::OwnedFd, bool)>> {
        use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
        let named = self.read.iter().map(|path| (path, false)).chain(self.write.iter().map(|path| (path, true)));
        let opened = named.map(|(path, is_writable)| {
            let opened = openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_SYMLINKS);
            opened.map(|file| (file, is_writable)).map_err(|error| {
                io::Error::other(format!("{}, which \"sandbox\" names, cannot be opened as the config found it: {error}", path.display()))
            })
        });
        opened.collect()
    }

    /// What is demanded is had, or nothing is started; what newer kernels can do besides is taken along.
    #[cfg(target_os = "linux")]
    fn restrict(
        &self,
        given: Vec<(std::os::fd::OwnedFd, bool)>,
        program: Option<PathBuf>,
    ) -> Result<landlock::RulesetStatus, landlock::RulesetError> {
        use landlock::{
            ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
            path_beneath_rules,
        };
        let (demanded, wished) = (CompatLevel::HardRequirement, CompatLevel::BestEffort);
        let mut rules = Ruleset::default().set_compatibility(demanded).handle_access(AccessFs::from_all(ABI::V3))?;
        if !self.has_network {
            rules =
                rules.handle_access(AccessNet::from_all(ABI::V4))?.set_compatibility(wished).handle_access(AccessNet::from_all(NEWEST))?;
        }
        let rules = rules.set_compatibility(wished).handle_access(AccessFs::from_all(NEWEST))?.scope(Scope::from_all(NEWEST))?.create()?;
        let (readable, writable) = (AccessFs::from_read(NEWEST), AccessFs::from_all(NEWEST));
        let given = given.into_iter().map(|(file, is_writable)| {
            let is_folder = rustix::fs::fstat(&file).is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir());
            let access = if is_writable { writable } else { readable };
            Ok(PathBeneath::new(file, if is_folder { access } else { access & AccessFs::from_file(NEWEST) }))
        });
        let names = self.has_network.then(|| Path::new("/etc/resolv.conf").canonicalize().ok()).flatten();
        let system = SYSTEM.iter().map(PathBuf::from).chain(program).chain(names);
        let rules = rules
            .add_rules(path_beneath_rules(system, readable))?
            .add_rules(path_beneath_rules(DEVICES, writable))?
            .add_rules(given.collect::<Vec<Result<_, landlock::RulesetError>>>())?;
        Ok(rules.restrict_self()?.ruleset)
    }

    #[cfg(not(target_os = "linux"))]
    fn confine_this_thread(&self, _command: &std::process::Command) -> io::Result<()> {
        Err(io::Error::other("it cannot be confined as \"sandbox\" demands: that takes Linux"))
    }
}

/// The file that is run, if it is named by where it is. One that is looked for is taken from where it may be read.
#[cfg(target_os = "linux")]
fn program(command: &std::process::Command) -> Option<PathBuf> {
    let name = Path::new(command.get_program());
    (name.components().count() > 1).then(|| name.to_owned())
}

/// The newest of what the library knows: kernels that can also refuse datagrams do.
#[cfg(target_os = "linux")]
const NEWEST: landlock::ABI = landlock::ABI::V10;

/// Where programs are, and what they need to start.
#[cfg(target_os = "linux")]
const SYSTEM: &[&str] = &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt", "/nix/store", "/proc", "/sys"];

/// What everybody may write to.
#[cfg(target_os = "linux")]
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];
