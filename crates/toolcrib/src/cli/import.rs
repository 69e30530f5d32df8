//! `toolcrib import`: the servers that agents have, for our config.

use super::{Done, Failure, changes, config_file, environment, note};
use crate::{
    agents::{AGENTS, Agent, Found, read},
    settings::{DEFAULT_FILE, edit},
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
        let (mut after, mut secrets, mut added) = (before.clone(), Vec::new(), 0);
        for (agent, path) in sources {
            let text = changes::text_of(&path)?;
            let servers = read(&agent, &text).map_err(|reason| Failure::failed(format_args!("{}: {reason}", path.display())))?;
            note(format_args!("{} ({}): {}", agent.title, path.display(), told(&servers)));
            for Found { name, entry, secrets: own, notes } in servers {
                notes.iter().for_each(|text| note(format_args!("  {name}: {text}")));
                if entry.is_empty() {
                    continue;
                }
                match edit::add(&after, &name, &entry) {
                    Ok(edited) => {
                        after = edited;
                        added += 1;
                        secrets.extend(own.into_iter().map(|(variable, secret)| (variable, secret, path.clone())));
                    }
                    Err(reason) => note(format_args!("  {name} is left out: {reason}")),
                }
            }
        }
        if added == 0 {
            note("there is nothing to take over");
            return Ok(());
        }
        changes::make(&file, &before, &after, self.dry_run)?;
        secrets.dedup_by(|a, b| a.0 == b.0);
        self.tell_of(&secrets)
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

    /// Says which variables have to be set, and writes their values where that is wanted.
    fn tell_of(&self, secrets: &[(String, String, PathBuf)]) -> Done {
        if secrets.is_empty() {
            return Ok(());
        }
        note("\nsecrets stand as variables in the config; set them before you serve:");
        for (variable, _, path) in secrets {
            note(format_args!("  {variable}  (its value stands in {})", path.display()));
        }
        let Some(file) = self.env_file.as_ref().filter(|_| !self.dry_run) else { return Ok(()) };
        let mut text = String::new();
        for (variable, secret, _) in secrets {
            let _ = writeln!(text, "{variable}='{}'", secret.replace('\'', "'\\''"));
        }
        let written = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(file);
        written
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .map_err(|error| Failure::failed(format_args!("the secrets are not written to {}: {error}", file.display())))?;
        note(format_args!("their values are in {}, which only you can read: set -a; . {}; set +a", file.display(), file.display()));
        Ok(())
    }
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
