//! A resource, declared: a file, the files of a folder, or what a program writes.

use super::{
    command::{Command, CommandSettings},
    folder::{self, FolderSettings},
};
use crate::kept::Kept;
use base64::{Engine, prelude::BASE64_STANDARD};
use std::{
    collections::BTreeMap,
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};
use tokio::task::{JoinSet, spawn_blocking};
use toolcrib_child::Guard;
use toolcrib_contract::{
    BoxFuture, CallContext, CallError, Callable, Change, Input, Kind, Output, Resource, ResourceSpec, Template, TemplateSpec, Watch,
    output::ResourceContents,
};

/// How often it is looked whether a file has changed that somebody wants to hear of.
const LOOK: Duration = Duration::from_secs(1);
/// How long a program may take that is run to see whether what it writes has changed.
const TO_RUN: Duration = Duration::from_secs(30);
/// What the URIs of declared resources begin with, unless the config says otherwise.
pub const PREFIX: &str = "toolcrib://resources/";

/// A resource as the config declares it.
#[derive(Debug, Clone)]
pub struct ResourceSettings {
    /// What is known of it; of a folder, what the URIs of its files begin with.
    pub spec: ResourceSpec,
    /// Where its contents come from.
    pub from: ReadFrom,
}

/// Where contents come from.
#[derive(Debug, Clone)]
pub enum ReadFrom {
    /// A file, and the most that is read of it, in bytes.
    File(PathBuf, usize),
    /// The files of a folder.
    Folder(FolderSettings),
    /// What a program writes; and how often it is run to see whether that has changed, while somebody wants to hear of it.
    Command(Box<CommandSettings>, Option<Duration>),
}

/// Tells clients of changes.
pub type Announce = Arc<dyn Fn(Change) + Send + Sync>;

/// The declared resources. What is in folders may change while they are offered.
#[derive(Clone, Default)]
pub struct Resources {
    members: Vec<(ResourceSpec, Arc<Source>)>,
    announce: Arc<OnceLock<Announce>>,
}

/// What a resource is read from.
struct Source {
    uri: String,
    mime_type: Option<String>,
    from: Origin,
    announce: Arc<OnceLock<Announce>>,
    /// Of a folder: whether it could be read when it was last listed, and its files.
    listed: Mutex<(bool, Vec<String>)>,
    /// Who looks for changes, by the URIs that somebody wants to hear of: one for each, however many those are.
    looking: Mutex<BTreeMap<Arc<str>, Weak<Looking>>>,
}

/// Looks for changes until it is dropped.
struct Looking(#[expect(dead_code, reason = "held for the task that ends with it")] JoinSet<()>);

enum Origin {
    File(PathBuf, usize),
    Folder(FolderSettings),
    Command(Box<Command>, Option<Duration>),
}

/// What is in a resource.
#[derive(Debug)]
pub(super) enum Contents {
    Text(String),
    Bytes(Vec<u8>),
}

impl Contents {
    /// Reads it to the end.
    pub(super) fn read(file: impl Read, max_bytes: usize) -> io::Result<Self> {
        let mut bytes = Vec::new();
        file.take(max_bytes as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > max_bytes {
            return Err(io::Error::other(format!("it is more than {max_bytes} bytes long")));
        }
        Ok(String::from_utf8(bytes).map_or_else(|error| Self::Bytes(error.into_bytes()), Self::Text))
    }
}

impl Resources {
    pub(crate) fn new(settings: Vec<ResourceSettings>, guard: &Arc<OnceLock<Guard>>, kept: &Kept) -> Self {
        let announce: Arc<OnceLock<Announce>> = Arc::default();
        let member = |ResourceSettings { spec, from }| {
            let from = match from {
                ReadFrom::File(path, max_bytes) => Origin::File(path, max_bytes),
                ReadFrom::Folder(folder) => Origin::Folder(folder),
                ReadFrom::Command(command, every) => {
                    Origin::Command(Box::new(Command::new(*command, Arc::clone(guard), kept.clone())), every)
                }
            };
            let source = Source {
                uri: spec.uri.clone(),
                mime_type: spec.mime_type.clone(),
                from,
                announce: Arc::clone(&announce),
                listed: Mutex::new((true, Vec::new())),
                looking: Mutex::default(),
            };
            (spec, Arc::new(source))
        };
        Self { members: settings.into_iter().map(member).collect(), announce }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether what is offered depends on what lies in folders.
    #[must_use]
    pub fn has_folders(&self) -> bool {
        self.members.iter().any(|(_, source)| matches!(source.from, Origin::Folder(_)))
    }

    /// From now on tells of changes by this.
    pub fn announce_by(&self, announce: Announce) {
        // Who came first is the one whose clients listen.
        let _ = self.announce.set(announce);
    }

    /// What there is at this moment. Reads folders, so it takes the time that the disk takes.
    #[must_use]
    pub fn offered(&self) -> (Vec<Resource>, Vec<Template>) {
        let (mut resources, mut templates) = (Vec::new(), Vec::new());
        for (spec, source) in &self.members {
            let callable = || Arc::new(Reads(Arc::clone(source))) as Arc<dyn Callable>;
            let Origin::Folder(folder) = &source.from else {
                resources.push(Resource::of(spec.clone(), callable()));
                continue;
            };
            let files = source.files(folder, &spec.name);
            resources.extend(files.iter().map(|path| Resource::of(of_file(spec, path), callable())));
            let template = TemplateSpec {
                uri_template: format!("{}{{+path}}", spec.uri),
                name: spec.name.clone(),
                description: spec.description.clone(),
                mime_type: spec.mime_type.clone(),
                foreign: None,
            };
            let folder = folder.clone();
            templates.push(Template::of(template, callable()).completing(move |_, typed| {
                let folder = folder.clone();
                async move {
                    let files = spawn_blocking(move || folder.list()).await.map_err(CallError::failed)?.map_err(CallError::failed)?;
                    Ok(files.iter().map(|path| folder::to_uri(path)).filter(|path| path.starts_with(&typed)).collect())
                }
            }));
        }
        (resources, templates)
    }
}

fn of_file(folder: &ResourceSpec, path: &str) -> ResourceSpec {
    let mime_type = folder.mime_type.clone().or_else(|| media_type(Path::new(path)).map(ToOwned::to_owned));
    ResourceSpec { uri: format!("{}{}", folder.uri, folder::to_uri(path)), name: path.to_owned(), mime_type, ..ResourceSpec::default() }
}

/// What a file of this name most likely holds.
#[must_use]
pub fn media_type(path: &Path) -> Option<&'static str> {
    Some(match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "md" | "markdown" => "text/markdown",
        "txt" | "log" => "text/plain",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "json" => "application/json",
        "yaml" | "yml" => "application/yaml",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

impl Source {
    /// The contents of what has this URI.
    async fn read(&self, uri: &str) -> Result<Contents, CallError> {
        match &self.from {
            Origin::File(path, max_bytes) => {
                let (path, max_bytes) = (path.clone(), *max_bytes);
                off_the_runtime(move || Contents::read(opened(&path)?, max_bytes)).await?.map_err(|error| self.unreadable(uri, &error))
            }
            Origin::Folder(folder) => {
                let (folder, path) = (folder.clone(), self.path_of(uri)?);
                off_the_runtime(move || folder.read(&path)).await?.map_err(|error| self.unreadable(uri, &error))
            }
            Origin::Command(command, _) => command.text().await.map(Contents::Text),
        }
    }

    /// The files of its folder; while that cannot be read, those that there were.
    fn files(&self, folder: &FolderSettings, name: &str) -> Vec<String> {
        let mut last = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        match folder.list() {
            Ok(files) => *last = (true, files),
            Err(error) => {
                if std::mem::replace(&mut last.0, false) {
                    tracing::warn!("the folder {} of the resource {name:?} cannot be read: {error}", folder.path.display());
                }
            }
        }
        last.1.clone()
    }

    fn path_of(&self, uri: &str) -> Result<String, CallError> {
        uri.strip_prefix(&self.uri).and_then(folder::from_uri).ok_or_else(|| not_found(uri))
    }

    /// What of a failure clients are told: not where it lies, and of what is not there as of what is not offered.
    fn unreadable(&self, uri: &str, error: &io::Error) -> CallError {
        use io::ErrorKind as Kind;
        let is_hidden = matches!(error.kind(), Kind::NotFound | Kind::PermissionDenied | Kind::NotADirectory | Kind::IsADirectory);
        if matches!(self.from, Origin::Folder(_)) && is_hidden {
            tracing::debug!("{uri} cannot be read: {error}");
            return not_found(uri);
        }
        CallError::failed(format_args!("{uri} cannot be read: {error}"))
    }

    /// What tells its state from another.
    async fn state(&self, uri: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        match &self.from {
            Origin::File(path, _) => {
                let path = path.clone();
                let found = off_the_runtime(move || std::fs::metadata(path).ok()).await.ok().flatten();
                found.map(|found| (found.len(), found.modified().ok())).hash(&mut hasher);
            }
            Origin::Folder(folder) => {
                let (folder, path) = (folder.clone(), self.path_of(uri));
                let found = off_the_runtime(move || folder.state(&path.ok()?)).await.ok().flatten();
                found.hash(&mut hasher);
            }
            // One that does not end has written nothing.
            Origin::Command(command, _) => {
                let written = tokio::time::timeout(TO_RUN, command.text()).await;
                written.ok().and_then(Result::ok).hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    /// Whoever looks for changes of this URI: the one who does already, or a new one.
    async fn looked_at(self: &Arc<Self>, uri: &Arc<str>, every: Duration) -> Arc<Looking> {
        let known = || self.looking.lock().unwrap_or_else(PoisonError::into_inner).get(uri).and_then(Weak::upgrade);
        if let Some(looking) = known() {
            return looking;
        }
        // From this state on, changes are told.
        let mut last = self.state(uri).await;
        let mut looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        looking.retain(|_, looking| looking.strong_count() > 0);
        if let Some(meanwhile) = looking.get(uri).and_then(Weak::upgrade) {
            return meanwhile;
        }
        let (source, told) = (Arc::clone(self), Arc::clone(uri));
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let now = source.state(&told).await;
                if let Some(announce) = source.announce.get().filter(|_| now != last) {
                    announce(Change::Resource(Arc::clone(&told)));
                }
                last = now;
            }
        });
        let new = Arc::new(Looking(task));
        looking.insert(Arc::clone(uri), Arc::downgrade(&new));
        new
    }

    fn every(&self) -> Option<Duration> {
        match &self.from {
            Origin::Command(_, every) => *every,
            Origin::File(..) | Origin::Folder(_) => Some(LOOK),
        }
    }
}

fn not_found(uri: &str) -> CallError {
    CallError::NotFound { kind: Kind::Resource, name: uri.into() }
}

async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, CallError> {
    spawn_blocking(work).await.map_err(CallError::failed)
}

fn opened(path: &Path) -> io::Result<File> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

/// What the gate runs: whoever watches holds the source, too.
struct Reads(Arc<Source>);

impl Callable for Reads {
    fn call(&self, input: Input, _: CallContext) -> BoxFuture<'_, Result<Output, CallError>> {
        Box::pin(async move {
            let uri = &*input.name;
            let guessed = || media_type(Path::new(uri)).map(ToOwned::to_owned);
            let mut contents = ResourceContents {
                uri: uri.to_owned(),
                mime_type: self.0.mime_type.clone().or_else(guessed),
                ..ResourceContents::default()
            };
            match self.0.read(uri).await? {
                Contents::Text(text) => contents.text = Some(text),
                Contents::Bytes(bytes) => contents.blob = Some(BASE64_STANDARD.encode(bytes)),
            }
            Ok(Output::Resource(vec![contents]))
        })
    }

    fn watch(&self, uri: &str) -> Option<BoxFuture<'_, Result<Watch, CallError>>> {
        let (every, uri) = (self.0.every()?, Arc::<str>::from(uri));
        Some(Box::pin(async move { Ok(Watch::holding(self.0.looked_at(&uri, every).await)) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toolcrib_contract::Globs;

    fn resources(folder: &Path) -> Resources {
        let of = |from: ReadFrom, uri: &str| ResourceSettings { spec: ResourceSpec::new(uri, "r"), from };
        let files = FolderSettings { path: folder.to_owned(), include: Globs::new(["*"]), exclude: Globs::default(), max_bytes: 100 };
        let settings = vec![of(ReadFrom::File(folder.join("one.txt"), 100), "r://one"), of(ReadFrom::Folder(files), "r://all/")];
        Resources::new(settings, &Arc::default(), &Kept::default())
    }

    #[tokio::test]
    async fn one_looks_for_all_who_want_to_hear() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("one.txt"), "one").unwrap();
        let resources = resources(folder.path());
        let source = &resources.members[0].1;
        let uri: Arc<str> = "r://one".into();
        let first = source.looked_at(&uri, LOOK).await;
        assert!(Arc::ptr_eq(&first, &source.looked_at(&uri, LOOK).await));
        // Once nobody does any more, nobody looks.
        let gone = Arc::downgrade(&first);
        drop(first);
        assert!(gone.upgrade().is_none());
        source.looked_at(&"r://two".into(), LOOK).await;
        assert_eq!(source.looking.lock().unwrap().len(), 1);
    }

    #[test]
    fn while_a_folder_cannot_be_read_its_files_stay_listed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("one.txt"), "one").unwrap();
        let resources = resources(folder.path());
        let uris = || resources.offered().0.iter().map(|resource| resource.spec.uri.clone()).collect::<Vec<_>>();
        assert_eq!(uris(), ["r://one", "r://all/one.txt"]);
        let elsewhere = folder.path().with_extension("moved");
        std::fs::rename(folder.path(), &elsewhere).unwrap();
        assert_eq!(uris(), ["r://one", "r://all/one.txt"]);
        std::fs::rename(&elsewhere, folder.path()).unwrap();
        std::fs::remove_file(folder.path().join("one.txt")).unwrap();
        assert_eq!(uris(), ["r://one"]);
    }
}
