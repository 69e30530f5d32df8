//! `toolcrib init`: a config to begin with.

use super::{Done, Failure, changes, note};
use crate::{agents::AGENTS, settings::DEFAULT_FILE};
use clap::Args;
use std::path::{Path, PathBuf};

/// The config, and where its editor finds what may stand in it.
const CONFIG: &str = include_str!("init/mcp-config.yaml");
const SCHEMA_FILE: &str = "mcp-config.schema.json";

/// Write a config to begin with, with comments, and a JSON Schema by which editors check and complete it.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The file.
    #[arg(value_name = "FILE", default_value = DEFAULT_FILE)]
    file: PathBuf,
    /// Write over a file that is there; what it says is kept beside it.
    #[arg(long)]
    force: bool,
}

impl Init {
    pub(super) fn run(self) -> Done {
        if self.file.exists() && !self.force {
            return Err(Failure::usage(format_args!("{} is there already: --force writes over it", self.file.display())));
        }
        let backup = changes::write(&self.file, CONFIG, true)?;
        changes::write(&self.file.with_file_name(SCHEMA_FILE), super::schema::SCHEMA, false)?;
        note(format_args!("written: {} and, for editors, {SCHEMA_FILE} beside it", self.file.display()));
        if let Some(backup) = backup {
            note(format_args!("what was there before is in {}", backup.display()));
        }
        let here = Path::new(".");
        let home = super::environment("HOME").map(PathBuf::from);
        let found: Vec<&str> =
            AGENTS.iter().filter(|agent| !agent.files(here, home.as_deref()).is_empty()).map(|agent| agent.name).collect();
        note("\nnext:");
        if !found.is_empty() {
            note(format_args!("  toolcrib import --dry-run        the servers of {} could be taken over", found.join(", ")));
        }
        note(
            "  toolcrib add NAME -- COMMAND      adds a server\n  toolcrib check                    finds every fault\n  toolcrib serve                    serves MCP at http://127.0.0.1:3001/mcp, and the dashboard at /\n  toolcrib install claude-code      lets an agent start it",
        );
        Ok(())
    }
}
