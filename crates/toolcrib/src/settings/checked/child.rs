//! A server that is a child of ours: how it is started, and what it may use and reach.

use super::{
    super::{
        Lookup,
        document::{Faults, Spanned},
        raw::{self, Server},
    },
    fixed, one_of, seconds,
};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};
use toolcrib_upstream::{Limits, Sandbox, Transport, definition::Command};

/// The words for when a server is started, and whether that is by the first call only.
const STARTS: &[(&str, bool)] = &[("eager", false), ("lazy", true)];

/// What a child inherits of our environment, and nothing else: where things are, how to speak, whom to trust.
const INHERITED: &[&str] = &[
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

pub(super) fn child(server: &Server, command: &Spanned<String>, lookup: Lookup<'_>, faults: &mut Faults) -> Option<Transport> {
    if let Some(file) = &server.ca_file {
        faults.add(file.fault("caFile goes with a url, not with a command"));
    }
    if let Some((_, value)) = server.headers.first() {
        faults.add(value.fault("headers go with a url, not with a command"));
    }
    if command.value.trim().is_empty() {
        faults.add(command.fault("the command must not be empty"));
        return None;
    }
    let mut env = inherited(lookup);
    for (key, place) in &server.env {
        if key.is_empty() || key.contains(['=', '\0']) {
            faults.add(place.fault("the name of a variable must not be empty or hold \"=\""));
        }
        env.retain(|(inherited, _)| inherited.to_str() != Some(key));
    }
    for (key, value) in fixed(&server.env) {
        if value.value.contains('\0') {
            faults.add(value.fault("the value of a variable must not hold a NUL"));
        }
        env.push((key.into(), value.value.into()));
    }
    let directory = directory(server.directory.as_ref(), &server.base, faults);
    let program = program(command, &server.base);
    let args = server.args.iter().map(|arg| OsString::from(&arg.value)).collect();
    let limits = server.limits.as_ref().map(|written| child_limits(written, faults)).unwrap_or_default();
    let sandbox = server.sandbox.as_ref().map(|written| sandbox(written, &server.base, faults));
    Some(Transport::Child(Command { program, args, env, directory, limits, sandbox }))
}

/// What it has of our environment.
pub(super) fn inherited(lookup: Lookup<'_>) -> Vec<(OsString, OsString)> {
    INHERITED.iter().filter_map(|key| Some(((*key).into(), lookup(key)?.into()))).collect()
}

/// Where it is started.
pub(super) fn directory(written: Option<&Spanned<String>>, base: &Path, faults: &mut Faults) -> Option<PathBuf> {
    // Said in so many words: what a server is depends on where it is started.
    let Some(written) = written else { return std::env::current_dir().ok() };
    let path = base.join(&written.value);
    if !path.is_dir() {
        faults.add(written.absence(format!("there is no directory {}", path.display())));
    }
    Some(path)
}

/// A program given by a relative path is looked for beside the config, not wherever we happen to be started.
pub(super) fn program(written: &Spanned<String>, base: &Path) -> OsString {
    let is_relative = written.value.contains('/') && !written.value.starts_with('/');
    if is_relative { base.join(&written.value).into_os_string() } else { OsString::from(&written.value) }
}

pub(super) fn child_limits(written: &raw::ChildLimits, faults: &mut Faults) -> Limits {
    let mut positive = |written: Option<&Spanned<u64>>| {
        let written = written?;
        if written.value == 0 {
            faults.add(written.fault("a server that may use nothing cannot run: leave the limit out, or give it some"));
        }
        Some(written.value)
    };
    let bytes = |mib: u64| mib.saturating_mul(1 << 20);
    Limits {
        memory_bytes: positive(written.memory_mib.as_ref()).map(bytes),
        address_space_bytes: positive(written.address_space_mib.as_ref()).map(bytes),
        cpu_secs: positive(written.cpu_secs.as_ref()),
        open_files: positive(written.open_files.as_ref()),
        processes: positive(written.processes.as_ref()),
    }
}

pub(super) fn sandbox(written: &raw::Sandbox, base: &Path, faults: &mut Faults) -> Sandbox {
    let mut there = |paths: &[Spanned<String>]| -> Vec<PathBuf> {
        let mut found = Vec::with_capacity(paths.len());
        for written in paths {
            let path = base.join(&written.value);
            // Followed once and for all: what is put there later is not what was meant.
            match path.canonicalize() {
                Ok(path) => found.push(path),
                // Named all the same: nothing is started without it.
                Err(error) => {
                    faults.add(written.absence(format!("{}: {error}", path.display())));
                    found.push(path);
                }
            }
        }
        found
    };
    let has_network = written.network.as_ref().is_some_and(|network| network.value);
    Sandbox { read: there(&written.read), write: there(&written.write), has_network }
}

/// Whether the first call starts it, and after how long without one it is ended.
pub(super) fn rest(server: &Server, faults: &mut Faults) -> (bool, Option<Duration>) {
    let is_lazy = one_of(server.start.as_ref(), STARTS, faults).unwrap_or(false);
    let idle_stop = seconds(server.idle_stop_secs.as_ref(), faults);
    if server.url.is_some() {
        let places = [server.start.as_ref().map(|start| start.with(())), server.idle_stop_secs.as_ref().map(|idle| idle.with(()))];
        places.into_iter().flatten().for_each(|place| faults.add(place.fault("only a command is started and ended, not a url")));
    }
    (is_lazy, idle_stop)
}
