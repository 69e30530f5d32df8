//! `toolcrib install` and `uninstall`: ourselves, in the config files of agents.

use super::{Done, Failure, changes, config_file, environment, note};
use crate::agents::{self, AGENTS, Agent, Link};
use clap::Args;
use std::path::{Path, PathBuf};

/// The agent, and which of its files.
#[derive(Debug, Args)]
struct At {
    /// claude-code, claude-desktop, cursor, vscode, codex, gemini, windsurf or zed.
    #[arg(value_name = "AGENT", value_parser = agent)]
    agent: Agent,
    /// The file of the user, for all projects; without it, that of the project in this folder, where the agent has such files.
    #[arg(long)]
    user: bool,
    /// Under which name.
    #[arg(long, value_name = "NAME", default_value = "toolcrib")]
    name: String,
    /// Only show what would be different.
    #[arg(long)]
    dry_run: bool,
}

/// Add Toolcrib to the MCP servers of an agent. What was in its file before is kept beside it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  toolcrib install claude-code                                   it starts Toolcrib, in this project\n  toolcrib install cursor --user --dry-run\n  toolcrib install vscode --url http://127.0.0.1:3001/mcp        it calls a server that runs"
)]
pub(super) struct Install {
    #[command(flatten)]
    at: At,
    /// The config file that Toolcrib is started with. Without it, ./mcp-config.yaml if there is one.
    #[arg(long, short, value_name = "FILE", conflicts_with = "url")]
    config: Option<PathBuf>,
    /// A server that runs; without it, the agent starts Toolcrib itself.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// Take Toolcrib out of the MCP servers of an agent.
#[derive(Debug, Args)]
pub(super) struct Uninstall {
    #[command(flatten)]
    at: At,
}

fn agent(name: &str) -> Result<Agent, String> {
    Agent::named(name).ok_or_else(|| {
        let nearest = AGENTS
            .iter()
            .min_by_key(|agent| strsim::osa_distance(agent.name, name))
            .filter(|agent| strsim::osa_distance(agent.name, name) <= 3);
        let guess = nearest.map(|agent| format!("did you mean {}? ", agent.name)).unwrap_or_default();
        format!("{guess}known are {}", AGENTS.map(|agent| agent.name).join(", "))
    })
}

impl At {
    fn file(&self) -> Result<PathBuf, Failure> {
        let home = environment("HOME").map(PathBuf::from);
        let project = (!self.user).then_some(Path::new("."));
        self.agent.own_file(project, home.as_deref()).ok_or_else(|| Failure::usage("HOME is not set, so there is no file of the user"))
    }

    fn change(&self, file: &Path, before: &str, after: &str) -> Done {
        changes::show(file, before, after);
        if self.dry_run {
            note("nothing is written: this is what would be");
            return Ok(());
        }
        if let Some(backup) = changes::write(file, after, true)? {
            note(format_args!("what was there before is in {}", backup.display()));
        }
        note(format_args!("{} takes it up when it is started anew", self.agent.title));
        Ok(())
    }
}

impl Install {
    pub(super) fn run(self) -> Done {
        let file = self.at.file()?;
        let before = changes::text_of(&file)?;
        let link = self.link()?;
        let unfit = |reason| Failure::usage(format_args!("{}: {reason}", file.display()));
        let after = agents::install(&self.at.agent, &before, &self.at.name, &link).map_err(unfit)?;
        if after == before {
            note(format_args!("{} is there already", self.at.name));
            return Ok(());
        }
        self.at.change(&file, &before, &after)
    }

    fn link(&self) -> Result<Link, Failure> {
        if let Some(url) = &self.url {
            return Ok(Link::Url(url.clone()));
        }
        let program =
            std::env::current_exe().map_err(|error| Failure::failed(format_args!("the path of this program is not known: {error}")))?;
        let mut args = vec!["serve".to_owned(), "--stdio".to_owned()];
        if let Some(config) = config_file(self.config.as_ref()) {
            // Whoever starts us does so in a folder of its own.
            let config = config.canonicalize().map_err(|error| Failure::usage(format_args!("{}: {error}", config.display())))?;
            args.extend(["--config".to_owned(), config.display().to_string()]);
        }
        Ok(Link::Start(program.display().to_string(), args))
    }
}

impl Uninstall {
    pub(super) fn run(self) -> Done {
        let file = self.at.file()?;
        let before = changes::text_of(&file)?;
        let unfit = |reason| Failure::usage(format_args!("{}: {reason}", file.display()));
        match agents::uninstall(&self.at.agent, &before, &self.at.name).map_err(unfit)? {
            Some(after) => self.at.change(&file, &before, &after),
            None => Err(Failure::failed(format_args!("{} is not in {}", self.at.name, file.display()))),
        }
    }
}
