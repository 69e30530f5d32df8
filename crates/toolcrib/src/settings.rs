//! Settings: what was written in a file, and what it means.
//!
//! Every fault of a file is reported at once, each with its line, its key and what would be right. Past this module
//! nobody checks again.

pub mod checked;
pub(crate) mod document;
pub(crate) mod edit;
mod raw;
mod sections;
mod variables;

pub use checked::{Kept, Settings};
pub use document::{Fault, Faults};
pub use sections::Sections;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Where settings come from besides files: the variables of the environment.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "mcp-config.yaml";

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file says something that makes no sense.
    #[error("{0}")]
    Faulty(Faults),
}

/// Reads a file, and the one that it names in `claude.mcp.configFile`. What it names and is not there is among the settings.
///
/// # Errors
/// [`SettingsError`], with every fault that was found.
pub fn read(file: &Path, lookup: Lookup<'_>) -> Result<Settings, SettingsError> {
    let (settings, faults) = read_with_faults(file, lookup)?;
    if faults.are_absences() { Ok(Settings { absences: faults, ..settings }) } else { Err(SettingsError::Faulty(faults)) }
}

/// Everything that is wrong with a file, or is not there.
///
/// # Errors
/// [`SettingsError::Unreadable`].
pub fn faults_of(file: &Path, lookup: Lookup<'_>) -> Result<Faults, SettingsError> {
    read_with_faults(file, lookup).map(|(_, faults)| faults)
}

/// Reads a file as far as it makes sense. Servers of which something makes none are left out; nobody may be served with the rest.
///
/// # Errors
/// [`SettingsError::Unreadable`].
pub fn read_with_faults(file: &Path, lookup: Lookup<'_>) -> Result<(Settings, Faults), SettingsError> {
    let mut faults = Faults::default();
    let mut written = raw::read(&load(file)?, file, lookup, &mut faults);
    let mut files = vec![file.to_owned()];
    if let Some(other) = written.config_file.take().filter(|other| !is_same(file, &beside(file, &other.value))) {
        let path = beside(file, &other.value);
        files.push(path.clone());
        match fs::read_to_string(&path) {
            Ok(text) => {
                let more = raw::read(&text, &path, lookup, &mut faults);
                // Rules that nobody keeps are worse than none.
                if more.security.is_something() {
                    faults.add(
                        other.fault(format!("auth, access, audit and http are not taken from {}: they stand in this file", path.display())),
                    );
                }
                written.servers.extend(more.servers);
            }
            Err(error) => faults.add(other.fault(format!("cannot read {}: {error}", path.display()))),
        }
    }
    Ok((Settings { files, ..checked::check(written, file.parent().unwrap_or(Path::new("")), lookup, &mut faults) }, faults))
}

/// Where everything is kept that lasts, whatever else a file says: to read records nobody needs the secrets of other servers.
///
/// # Errors
/// [`SettingsError`] where the file cannot be read, is no YAML, or does not say where.
pub fn kept(file: &Path, lookup: Lookup<'_>) -> Result<Kept, SettingsError> {
    let text = load(file)?;
    let mut faults = Faults::default();
    let written = raw::read(&text, file, lookup, &mut faults);
    let kept = checked::kept(&written, file, lookup, &mut faults);
    // A document that is none has a fault without a key; a place that cannot be read must not be taken for the usual one.
    let concerns = |key: &str| key.is_empty() || key == "dataFolder" || key == "storage" || key.starts_with("storage.");
    let faults = faults.only(|fault| concerns(&fault.key));
    match kept {
        Some(kept) if faults.is_empty() => Ok(kept),
        _ => Err(SettingsError::Faulty(faults)),
    }
}

/// The settings where there is no file.
#[must_use]
pub fn without_file(lookup: Lookup<'_>) -> Settings {
    checked::check(raw::Written::default(), Path::new(""), lookup, &mut Faults::default())
}

fn load(file: &Path) -> Result<String, SettingsError> {
    fs::read_to_string(file).map_err(|source| SettingsError::Unreadable { file: file.to_owned(), source })
}

fn beside(file: &Path, other: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(other)
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests;
