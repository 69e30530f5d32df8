//! `toolcrib add`, `edit` and `remove`: servers of the config, whose comments stay.

use super::{Done, Failure, changes, config_file, environment, note};
use crate::settings::{self, DEFAULT_FILE, edit};
use clap::Args;
use serde_json::{Map, Value, json};
use std::{
    fs,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// The config that is changed.
#[derive(Debug, Args)]
struct Changed {
    /// The config file. Without it, ./mcp-config.yaml.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only show what would be different.
    #[arg(long)]
    dry_run: bool,
}

/// Add an MCP server to the config.
///
/// A server is started by a command, or reached at a URL. Secrets belong into variables: --env 'TOKEN=${TOKEN}'.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  toolcrib add everything -- npx -y @modelcontextprotocol/server-everything\n  toolcrib add tickets --url https://tickets.example.com/mcp --header 'Authorization=Bearer ${TICKETS_TOKEN}'\n  toolcrib add git --env 'HOME=${HOME}' -- uvx mcp-server-git"
)]
pub(super) struct Add {
    /// What it is to be called: its tools are offered as NAME__tool.
    name: String,
    #[command(flatten)]
    says: Says,
    #[command(flatten)]
    changed: Changed,
}

/// What is said of a server.
#[derive(Debug, Args)]
struct Says {
    /// Where it is reached.
    #[arg(long, value_name = "URL", conflicts_with = "command")]
    url: Option<String>,
    /// A header that goes with each request. May be given more than once.
    #[arg(long = "header", value_name = "NAME=VALUE", requires = "url")]
    headers: Vec<String>,
    /// A variable that it gets. May be given more than once.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Anything else that the config says of a server, such as timeout=10 or sharing=perCaller. May be given more than once.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The command that starts it, and its arguments, after --.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Change what the config says of a server; without any change to make, open the whole file in the editor of the environment, and take
/// it up once it has no faults.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  toolcrib edit tickets --set timeout=10 --unset headers\n  toolcrib edit git -- uvx mcp-server-git --repository .\n  EDITOR=vi toolcrib edit"
)]
pub(super) struct Edit {
    /// The server.
    name: Option<String>,
    /// Something that is not to be said of it any more. May be given more than once.
    #[arg(long = "unset", value_name = "KEY", requires = "name")]
    unset: Vec<String>,
    #[command(flatten)]
    says: Says,
    #[command(flatten)]
    changed: Changed,
}

/// Remove an MCP server from the config.
#[derive(Debug, Args)]
pub(super) struct Remove {
    /// The server.
    name: String,
    #[command(flatten)]
    changed: Changed,
}

impl Changed {
    fn file(&self) -> PathBuf {
        config_file(self.config.as_ref()).unwrap_or_else(|| DEFAULT_FILE.into())
    }

    /// Makes of the file what this makes of its text.
    fn make(&self, edit: impl FnOnce(&str) -> Result<String, String>) -> Done {
        let file = self.file();
        let before = changes::text_of(&file)?;
        let after = edit(&before).map_err(|reason| Failure::usage(format_args!("{}: {reason}", file.display())))?;
        let (old, new) = (faults_of(&file, &before)?, faults_of(&file, &after)?);
        // A variable may be given when it is served; what is wrong in itself is not written.
        let (later, wrong): (Vec<_>, Vec<_>) =
            new.into_iter().filter(|fault| !old.contains(fault)).partition(|fault| fault.contains("is not set"));
        if !wrong.is_empty() {
            return Err(Failure::usage(format_args!("nothing is changed, since this would be wrong:\n{}", wrong.join("\n"))));
        }
        changes::make(&file, &before, &after, self.dry_run)?;
        later.iter().for_each(|fault| note(format_args!("before it is served: {fault}")));
        Ok(())
    }
}

/// What is wrong with a config that says this, without the lines, which an edit moves.
fn faults_of(file: &Path, text: &str) -> Result<Vec<String>, Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error: std::io::Error| cannot_write(file, &error);
    if !folder.is_dir() {
        return Err(Failure::usage(format_args!("there is no folder {}", folder.display())));
    }
    // Beside it, so that what it names by relative paths is found.
    let draft = tempfile::Builder::new().prefix(".toolcrib-").suffix(".yaml").tempfile_in(folder).map_err(failed)?;
    fs::write(draft.path(), text).map_err(failed)?;
    Ok(match settings::faults_of(draft.path(), &environment) {
        Ok(faults) => faults.iter().map(|fault| format!("{}: {}", fault.key, fault.message)).collect(),
        Err(error) => vec![error.to_string()],
    })
}

impl Says {
    /// The members of an entry.
    fn entry(&self) -> Result<edit::Entry, Failure> {
        let mut entry = edit::Entry::new();
        if let Some((program, args)) = self.command.split_first() {
            entry.insert("command".into(), json!(program));
            if !args.is_empty() {
                entry.insert("args".into(), json!(args));
            }
        }
        if let Some(url) = &self.url {
            entry.insert("url".into(), json!(url));
        }
        for (key, pairs) in [("env", &self.env), ("headers", &self.headers)] {
            if !pairs.is_empty() {
                let members = pairs.iter().map(|pair| pair_of(pair).map(|(name, value)| (name, Value::from(value))));
                entry.insert(key.into(), Value::Object(members.collect::<Result<Map<_, _>, _>>()?));
            }
        }
        for pair in &self.set {
            let (key, text) = pair_of(pair)?;
            entry.insert(key, serde_json::from_str(&text).unwrap_or(Value::String(text)));
        }
        Ok(entry)
    }
}

fn pair_of(pair: &str) -> Result<(String, String), Failure> {
    let named =
        |split: Option<(&str, &str)>| split.filter(|(name, _)| !name.is_empty()).map(|(name, value)| (name.to_owned(), value.to_owned()));
    // Headers are written with a colon elsewhere.
    let header = || named(pair.split_once(": ")).filter(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
    header().or_else(|| named(pair.split_once('='))).ok_or_else(|| Failure::usage(format_args!("{pair:?} is no NAME=VALUE")))
}

impl Add {
    pub(super) fn run(self) -> Done {
        if self.says.command.is_empty() && self.says.url.is_none() {
            return Err(Failure::usage("a server needs a command, after --, or --url"));
        }
        let entry = self.says.entry()?;
        self.changed.make(|text| edit::add(text, &self.name, &entry))?;
        if !self.changed.dry_run {
            note(format_args!("{} is added; `toolcrib doctor` tries it, and a server that runs takes it up by itself", self.name));
        }
        Ok(())
    }
}

impl Edit {
    pub(super) fn run(self) -> Done {
        let entry = self.says.entry()?;
        let Some(name) = &self.name else {
            return if entry.is_empty() { self.in_editor() } else { Err(Failure::usage("of which server? give its name first")) };
        };
        let set = entry.into_iter().map(|(key, value)| (key, Some(value)));
        let changes: Vec<(String, Option<Value>)> = set.chain(self.unset.iter().map(|key| (key.clone(), None))).collect();
        if changes.is_empty() {
            return self.in_editor();
        }
        self.changed.make(|text| edit::change(text, name, &changes))
    }

    /// Has a copy edited until it has no faults, and then puts it in the place of the file.
    fn in_editor(&self) -> Done {
        let file = self.changed.file();
        let before = changes::text_of(&file)?;
        let editor = ["VISUAL", "EDITOR"].into_iter().find_map(environment).filter(|editor| !editor.trim().is_empty());
        let editor = editor.ok_or_else(|| Failure::usage("neither VISUAL nor EDITOR says which editor is to be used"))?;
        // Beside it, so that what it names by relative paths is found; for its owner's eyes only, as what stands in it may be.
        let draft = file.with_file_name(format!(".{}.draft", file.file_name().unwrap_or_default().to_string_lossy()));
        match fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft) {
            Ok(mut written) => std::io::Write::write_all(&mut written, before.as_bytes()).map_err(|error| cannot_write(&draft, &error))?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                note(format_args!("going on with what was kept in {}; remove it to begin anew", draft.display()));
            }
            Err(error) => return Err(cannot_write(&draft, &error)),
        }
        edit_draft(&editor, &draft)?;
        let after = changes::text_of(&draft)?;
        if let Err(faults) = settings::read(&draft, &environment) {
            let shown = faults.to_string().replace(&draft.display().to_string(), &file.display().to_string());
            return Err(Failure::usage(format_args!("{shown}\nnothing is changed; what you wrote is kept in {}", draft.display())));
        }
        if changes::text_of(&file)? != before {
            return Err(Failure::failed(format_args!(
                "{} was changed by somebody else meanwhile; what you wrote is kept in {}",
                file.display(),
                draft.display()
            )));
        }
        if after == before {
            note("nothing is changed");
        } else {
            changes::make(&file, &before, &after, self.changed.dry_run)?;
        }
        fs::remove_file(&draft).map_err(|error| cannot_write(&draft, &error))
    }
}

fn cannot_write(file: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format_args!("cannot write {}: {error}", file.display()))
}

/// Runs the editor, which may be a command with arguments of its own.
fn edit_draft(editor: &str, draft: &Path) -> Done {
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or_default();
    let status = Command::new(program).args(words).arg(draft).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::failed(format_args!("{program} ended with {status}; nothing is changed"))),
        Err(error) => Err(Failure::failed(format_args!("{program} cannot be started: {error}"))),
    }
}

impl Remove {
    pub(super) fn run(self) -> Done {
        self.changed.make(|text| edit::remove(text, &self.name))
    }
}
