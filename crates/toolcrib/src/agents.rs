//! The config files of agents: which there are, what servers stand in them, and how we are added to them.

mod install;
mod read;

pub(crate) use install::{Link, install, uninstall};
pub(crate) use read::{Found, Hidden, read};

use std::path::{Path, PathBuf};

/// An agent, or an editor that has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agent {
    /// What it is called on our command line.
    pub(crate) name: &'static str,
    /// What people call it.
    pub(crate) title: &'static str,
    shape: Shape,
    /// Its files: in the home folder, and in that of a project. The first of each that there is, or would be.
    of_user: &'static [&'static str],
    of_project: &'static [&'static str],
}

/// How its file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// JSON, servers under this key.
    Json(&'static str),
    /// TOML, servers in tables under this one.
    Toml(&'static str),
}

/// Those that are known.
pub(crate) const AGENTS: [Agent; 8] = [
    Agent {
        name: "claude-code",
        title: "Claude Code",
        shape: Shape::Json("mcpServers"),
        of_user: &[".claude.json"],
        of_project: &[".mcp.json"],
    },
    Agent {
        name: "claude-desktop",
        title: "Claude Desktop",
        shape: Shape::Json("mcpServers"),
        of_user: &[".config/Claude/claude_desktop_config.json", "Library/Application Support/Claude/claude_desktop_config.json"],
        of_project: &[],
    },
    Agent {
        name: "cursor",
        title: "Cursor",
        shape: Shape::Json("mcpServers"),
        of_user: &[".cursor/mcp.json"],
        of_project: &[".cursor/mcp.json"],
    },
    Agent {
        name: "vscode",
        title: "VS Code",
        shape: Shape::Json("servers"),
        of_user: &[".config/Code/User/mcp.json", "Library/Application Support/Code/User/mcp.json"],
        of_project: &[".vscode/mcp.json"],
    },
    Agent {
        name: "codex",
        title: "Codex",
        shape: Shape::Toml("mcp_servers"),
        of_user: &[".codex/config.toml"],
        of_project: &[".codex/config.toml"],
    },
    Agent {
        name: "gemini",
        title: "Gemini CLI",
        shape: Shape::Json("mcpServers"),
        of_user: &[".gemini/settings.json"],
        of_project: &[".gemini/settings.json"],
    },
    Agent {
        name: "windsurf",
        title: "Windsurf",
        shape: Shape::Json("mcpServers"),
        of_user: &[".codeium/windsurf/mcp_config.json"],
        of_project: &[],
    },
    Agent {
        name: "zed",
        title: "Zed",
        shape: Shape::Json("context_servers"),
        of_user: &[".config/zed/settings.json"],
        of_project: &[".zed/settings.json"],
    },
];

impl Agent {
    /// The agent of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        AGENTS.into_iter().find(|agent| agent.name == name)
    }

    /// The agent that writes a file of this path.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        AGENTS.into_iter().find(|agent| agent.of_user.iter().chain(agent.of_project).any(|known| path.ends_with(known)))
    }

    /// Its files that there are: of the project in this folder, and of the user whose home this is.
    pub(crate) fn files(&self, project: &Path, home: Option<&Path>) -> Vec<PathBuf> {
        let of_project = self.of_project.iter().map(|file| project.join(file));
        let of_user = self.of_user.iter().filter_map(|file| Some(home?.join(file)));
        let mut files: Vec<PathBuf> = of_project.chain(of_user).filter(|file| file.is_file()).collect();
        files.dedup();
        files
    }

    /// The file that we are added to: of the project, where the agent has such a file and it is wanted, else of the user.
    pub(crate) fn own_file(&self, project: Option<&Path>, home: Option<&Path>) -> Option<PathBuf> {
        let of_project = project.and_then(|project| self.of_project.first().map(|file| project.join(file)));
        let of_user = || {
            let files = self.of_user.iter().filter_map(|file| Some(home?.join(file)));
            // Where the folder of one is there, that is the one of this system.
            let files: Vec<PathBuf> = files.collect();
            files.iter().find(|file| file.parent().is_some_and(Path::is_dir)).or(files.first()).cloned()
        };
        of_project.or_else(of_user)
    }
}
