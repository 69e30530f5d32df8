//! The files of a folder, as far as they are offered. Nothing outside of it can be reached: not by `..`, not by a link; links are not followed at all.

use super::{http::PIECE, resource::Contents};
use cap_std::{
    ambient_authority,
    fs::{Dir, Metadata, OpenOptions, OpenOptionsExt},
};
use percent_encoding::{percent_decode_str, utf8_percent_encode};
use std::{
    io,
    path::{Path, PathBuf},
};
use toolcrib_contract::Globs;

/// How many files are listed.
const MAX_LISTED: usize = 1000;
/// How many entries of folders are looked at.
const MAX_SEEN: usize = 20_000;
/// How deep folders may lie in each other.
const MAX_DEPTH: usize = 16;

/// A folder whose files are resources.
#[derive(Debug, Clone)]
pub struct FolderSettings {
    /// The folder.
    pub path: PathBuf,
    /// Which files are offered, by their paths in it. Hidden ones are none.
    pub include: Globs,
    /// Which of these are not.
    pub exclude: Globs,
    /// The most that is read of a file, in bytes.
    pub max_bytes: usize,
}

impl FolderSettings {
    /// The paths of the files that are offered, in their order. What cannot be looked into has nothing to offer.
    ///
    /// # Errors
    /// Those of the folder itself.
    pub(super) fn list(&self) -> io::Result<Vec<String>> {
        let root = self.open()?;
        let (mut found, mut seen, mut ahead) = (Vec::new(), 0, vec![(String::new(), 0)]);
        while let Some((folder, depth)) = ahead.pop() {
            let entries = match root.read_dir(if folder.is_empty() { "." } else { &folder }) {
                Ok(entries) => entries,
                Err(error) if folder.is_empty() => return Err(error),
                Err(error) => {
                    tracing::debug!("{folder} in {} is not looked into: {error}", self.path.display());
                    continue;
                }
            };
            for entry in entries.flatten() {
                seen += 1;
                let (Ok(name), Ok(kind)) = (entry.file_name().into_string(), entry.file_type()) else { continue };
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                if kind.is_dir() && !is_hidden(&path) && depth < MAX_DEPTH {
                    ahead.push((path, depth + 1));
                } else if kind.is_file() && self.offers(&path) {
                    found.push(path);
                }
            }
            if seen > MAX_SEEN || found.len() > MAX_LISTED {
                tracing::debug!("{} holds more than is listed", self.path.display());
                break;
            }
        }
        found.sort_unstable();
        found.truncate(MAX_LISTED);
        Ok(found)
    }

    /// What is in the file at this path.
    pub(super) fn read(&self, path: &str) -> io::Result<Contents> {
        let mut options = OpenOptions::new();
        // A pipe would be waited for without end.
        options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        let root = self.open()?;
        // A link would lead past what patterns and rules say of paths.
        if !self.offers(path) || root.canonicalize(path)? != Path::new(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = root.open_with(path, &options)?;
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Contents::read(file, self.max_bytes)
    }

    /// What tells one state of a file from another.
    pub(super) fn state(&self, path: &str) -> Option<(u64, Option<std::time::SystemTime>)> {
        let found: Metadata = self.open().ok()?.metadata(path).ok()?;
        Some((found.len(), found.modified().ok().map(cap_std::time::SystemTime::into_std)))
    }

    fn open(&self) -> io::Result<Dir> {
        Dir::open_ambient_dir(&self.path, ambient_authority())
    }

    fn offers(&self, path: &str) -> bool {
        !is_hidden(path) && self.include.include(path) && !self.exclude.include(path)
    }
}

/// Whether a part of the path begins with a dot, `..` among them.
fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.is_empty() || part.starts_with('.'))
}

/// A path, as it stands in a URI.
pub(super) fn to_uri(path: &str) -> String {
    path.split('/').map(|part| utf8_percent_encode(part, PIECE).to_string()).collect::<Vec<_>>().join("/")
}

/// The path that stands in a URI; none that no list would give.
pub(super) fn from_uri(text: &str) -> Option<String> {
    let path = percent_decode_str(text).decode_utf8().ok()?.into_owned();
    (to_uri(&path) == text).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder() -> (tempfile::TempDir, FolderSettings) {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("notes");
        fs::create_dir_all(path.join("deep/er")).unwrap();
        fs::write(outer.path().join("secret.md"), "outside").unwrap();
        for (file, text) in
            [("a.md", "one"), ("deep/er/b c.md", "two"), ("c.txt", "three"), (".hidden.md", "four"), ("big.md", "1234567890")]
        {
            fs::write(path.join(file), text).unwrap();
        }
        std::os::unix::fs::symlink("../secret.md", path.join("link.md")).unwrap();
        std::os::unix::fs::symlink(outer.path(), path.join("up")).unwrap();
        std::os::unix::fs::symlink("a.md", path.join("inside.md")).unwrap();
        std::os::unix::fs::symlink("deep/er", path.join("around")).unwrap();
        // One that nobody may look into takes nothing from the others.
        fs::create_dir(path.join("locked")).unwrap();
        fs::set_permissions(path.join("locked"), std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
        let settings = FolderSettings { path, include: Globs::new(["*.md"]), exclude: Globs::new(["*draft*"]), max_bytes: 9 };
        (outer, settings)
    }

    #[test]
    fn what_is_offered_is_listed() {
        let (_outer, folder) = folder();
        assert_eq!(folder.list().unwrap(), ["a.md", "big.md", "deep/er/b c.md"]);
        assert_eq!(to_uri("deep/er/b c.md"), "deep/er/b%20c.md");
        assert_eq!(from_uri("deep/er/b%20c.md").as_deref(), Some("deep/er/b c.md"));
        // One path has one URI.
        assert_eq!(from_uri("deep%2Fer/b%20c.md"), None);
        assert_eq!(from_uri("%61.md"), None);
    }

    #[test]
    fn nothing_else_can_be_read() {
        let (outer, folder) = folder();
        assert!(matches!(folder.read("a.md").unwrap(), Contents::Text(text) if text == "one"));
        let absolute = outer.path().join("secret.md");
        for path in [
            "../secret.md",
            "deep/../../secret.md",
            "link.md",
            "inside.md",
            "around/b c.md",
            "up/secret.md",
            ".hidden.md",
            "c.txt",
            "deep",
            absolute.to_str().unwrap(),
        ] {
            assert!(folder.read(path).is_err(), "{path}");
        }
        assert!(folder.read("big.md").unwrap_err().to_string().contains("more than 9 bytes"));
    }
}
