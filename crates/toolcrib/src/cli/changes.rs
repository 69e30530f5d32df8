//! Files that a command changes: what would be different is shown, what was there is kept, and the file is never half written.

use super::{Done, Failure, environment, note};
use similar::TextDiff;
use std::{
    fs, io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
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

/// Writes a file in one piece. What was there is kept beside it, as the path that this gives; what was kept before that stays.
pub(super) fn write(file: &Path, text: &str, keeps_before: bool) -> Result<Option<PathBuf>, Failure> {
    let failed = |error: io::Error| Failure::failed(format_args!("cannot write {}: {error}", file.display()));
    // What a link leads to is written, and the link stays one.
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let before = fs::metadata(&target).ok();
    let backup = if keeps_before && before.is_some() { Some(backup(&target).map_err(failed)?) } else { None };
    // Nobody else can read it until it has the place, and the permissions, of the file.
    let fresh = tempfile::Builder::new().prefix(".toolcrib-").tempfile_in(folder).map_err(failed)?;
    let written = fs::write(fresh.path(), text).and_then(|()| match &before {
        Some(before) => fresh.as_file().set_permissions(before.permissions()),
        None => fresh.as_file().set_permissions(fs::Permissions::from_mode(0o644)),
    });
    written.and_then(|()| fresh.as_file().sync_all()).map_err(failed)?;
    fresh.persist(&target).map_err(|error| failed(error.error))?;
    Ok(backup)
}

/// Copies a file to a name of its own beside it.
fn backup(file: &Path) -> io::Result<PathBuf> {
    let numbers = std::iter::once(String::new()).chain((2..).map(|number| format!(".{number}")));
    for number in numbers {
        let mut name = file.as_os_str().to_owned();
        name.push(".before-toolcrib");
        name.push(number);
        let copy = PathBuf::from(name);
        // One that is there is of another time.
        match fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&copy) {
            Ok(mut written) => {
                io::copy(&mut fs::File::open(file)?, &mut written)?;
                written.set_permissions(fs::metadata(file)?.permissions())?;
                return Ok(copy);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("there are too many backups"))
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
