//! `toolcrib import`: the servers that agents have, for our config.

use super::{Done, Failure, changes, config_file, environment, note};
use crate::{
    agents::{AGENTS, Agent, Found, Hidden, read},
    settings::{self, DEFAULT_FILE, edit},
};
use clap::Args;
use std::{
    fmt::Write,
    fs,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Take over the MCP servers that agents have in their config files. Secrets become variables.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  toolcrib import                      of every agent whose files are found\n  toolcrib import cursor --dry-run     only shows what would be added\n  toolcrib import ~/.codex/config.toml --env-file .env"
)]
pub(super) struct Import {
    /// An agent (claude-code, claude-desktop, cursor, vscode, codex, gemini, windsurf, zed), or a config file of one. Without any, all that
    /// are found.
    #[arg(value_name = "AGENT|FILE")]
    from: Vec<String>,
    /// Our config file. Without it, ./mcp-config.yaml.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write the secrets there as NAME=VALUE, for your eyes only; without it, they stay where they are.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Only show what would be different.
    #[arg(long)]
    dry_run: bool,
}

impl Import {
    pub(super) fn run(self) -> Done {
        let sources = self.sources()?;
        let file = config_file(self.config.as_ref()).unwrap_or_else(|| DEFAULT_FILE.into());
        let before = changes::text_of(&file)?;
        let (mut after, mut hidden, mut added) = (before.clone(), Hidden::default(), 0);
        for (agent, path) in sources {
            let text = changes::text_of(&path)?;
            let servers =
                read(&agent, &text, &mut hidden).map_err(|reason| Failure::failed(format_args!("{}: {reason}", path.display())))?;
            note(format_args!("{} ({}): {}", agent.title, path.display(), told(&servers)));
            for Found { name, entry, notes } in servers {
                notes.iter().for_each(|text| note(format_args!("  {name}: {text}")));
                if entry.is_empty() {
                    continue;
                }
                match edit::add(&after, &name, &entry) {
                    Ok(edited) => {
                        after = edited;
                        added += 1;
                    }
                    Err(reason) => note(format_args!("  {name} is left out: {reason}")),
                }
            }
        }
        if added == 0 {
            note("there is nothing to take over");
            return Ok(());
        }
        // What stands in no server that was added has no place.
        hidden.0.retain(|(variable, _)| after.contains(&format!("${{{variable}}}")));
        let kept = self.env_file.as_ref().filter(|_| !self.dry_run && !hidden.0.is_empty());
        kept.map(|file| keep(file, &hidden)).transpose()?;
        changes::make(&file, &before, &after, self.dry_run)?;
        self.tell_of(&hidden);
        if !self.dry_run
            && let Err(faults) = settings::read(&file, &environment)
        {
            note(format_args!("\nwhat is still to be done before it can be served (toolcrib check):\n{faults}"));
        }
        Ok(())
    }

    fn sources(&self) -> Result<Vec<(Agent, PathBuf)>, Failure> {
        let (here, home) = (Path::new("."), environment("HOME").map(PathBuf::from));
        let files = |agent: Agent| agent.files(here, home.as_deref()).into_iter().map(move |file| (agent, file));
        if self.from.is_empty() {
            let found: Vec<_> = AGENTS.into_iter().flat_map(files).collect();
            return if found.is_empty() {
                Err(Failure::failed(format_args!("no config file of an agent is found; known are {}", names())))
            } else {
                Ok(found)
            };
        }
        let mut sources = Vec::new();
        for from in &self.from {
            if let Some(agent) = Agent::named(from) {
                let found: Vec<_> = files(agent).collect();
                if found.is_empty() {
                    return Err(Failure::failed(format_args!(
                        "no config file of {} is found here or in the home folder: name it",
                        agent.title
                    )));
                }
                sources.extend(found);
                continue;
            }
            let path = PathBuf::from(from);
            if !path.is_file() {
                return Err(Failure::usage(format_args!("{from:?} is neither a file nor an agent; known are {}", names())));
            }
            // What is not known by its path is most likely written as most are.
            let is_toml = path.extension().is_some_and(|extension| extension == "toml");
            let usual = Agent::named(if is_toml { "codex" } else { "claude-code" });
            sources.extend(Agent::of_file(&path).or(usual).map(|agent| (agent, path)));
        }
        Ok(sources)
    }

    /// Says which variables have to be set.
    fn tell_of(&self, hidden: &Hidden) {
        if hidden.0.is_empty() {
            return;
        }
        note("\nsecrets stand as variables in the config; set them before you serve:");
        for (variable, _) in &hidden.0 {
            note(format_args!("  {variable}"));
        }
        match self.env_file.as_ref().filter(|_| !self.dry_run) {
            Some(file) => {
                note(format_args!("their values are in {}, which only you can read: set -a; . {}; set +a", file.display(), file.display()));
            }
            None => note("their values stand where they were; --env-file FILE writes them where a shell can read them"),
        }
    }
}

/// Writes secrets where only their owner can read them.
fn keep(file: &Path, Hidden(secrets): &Hidden) -> Done {
    let mut text = String::new();
    for (variable, secret) in secrets {
        let _ = writeln!(text, "{variable}='{}'", secret.replace('\'', "'\\''"));
    }
    let written = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(file);
    written.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes())).map_err(|error| {
        Failure::failed(format_args!("nothing is taken over, since the secrets cannot be written to {}: {error}", file.display()))
    })
}

fn names() -> String {
    AGENTS.map(|agent| agent.name).join(", ")
}

fn told(servers: &[Found]) -> String {
    if servers.is_empty() {
        "no servers".to_owned()
    } else {
        servers.iter().map(|found| found.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}
