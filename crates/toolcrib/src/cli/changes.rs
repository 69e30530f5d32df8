//! Files that a command changes: what would be different is shown, what was there is kept, and the file is never half written.

use super::{Done, Failure, environment, note};
use similar::TextDiff;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The text of a file; nothing where there is none.
pub(super) fn text_of(file: &Path) -> Result<String, Failure> {
    match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|error| Failure::usage(format_args!("cannot read {}: {error}", file.display()))),
    }
}

/// Shows what would be different, line by line; in colour on a terminal.
pub(super) fn show(file: &Path, before: &str, after: &str) {
    use std::io::IsTerminal;
    let is_coloured = io::stderr().is_terminal() && environment("NO_COLOR").is_none_or(|text| text.is_empty());
    let name = file.display().to_string();
    let diff = TextDiff::from_lines(before, after).unified_diff().context_radius(2).header(&name, &name).to_string();
    for line in diff.lines() {
        let colour = match line.as_bytes().first() {
            Some(b'+') => "32",
            Some(b'-') => "31",
            Some(b'@') => "36",
            _ => "",
        };
        if is_coloured && !colour.is_empty() { note(format_args!("\u{1b}[{colour}m{line}\u{1b}[0m")) } else { note(line) }
    }
}

/// Writes a file in one piece. What was there is kept beside it, as the path that this gives.
pub(super) fn write(file: &Path, text: &str, keeps_before: bool) -> Result<Option<PathBuf>, Failure> {
    let failed = |error: io::Error| Failure::failed(format_args!("cannot write {}: {error}", file.display()));
    // What a link leads to is written, and the link stays one.
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    if let Some(folder) = target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let beside = |end: &str| {
        let mut name = target.clone().into_os_string();
        name.push(end);
        PathBuf::from(name)
    };
    let backup = (keeps_before && target.exists()).then(|| beside(".before-toolcrib"));
    if let Some(backup) = &backup {
        fs::copy(&target, backup).map_err(failed)?;
    }
    let fresh = beside(".new-from-toolcrib");
    let written = fs::write(&fresh, text).and_then(|()| match fs::metadata(&target) {
        Ok(before) => fs::set_permissions(&fresh, before.permissions()),
        Err(_) => Ok(()),
    });
    written.and_then(|()| fs::rename(&fresh, &target)).map_err(failed)?;
    Ok(backup)
}

/// Shows a change, and makes it unless it is only to be shown.
pub(super) fn make(file: &Path, before: &str, after: &str, is_dry: bool) -> Done {
    show(file, before, after);
    if is_dry {
        note("nothing is written: this is what would be");
        return Ok(());
    }
    write(file, after, false).map(drop)
}
