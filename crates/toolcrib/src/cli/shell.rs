//! `toolcrib completions` and `toolcrib man`: for shells, and for `man`.

use super::{Done, Failure};
use clap::Args;
use clap_complete::Shell;
use std::{io, path::PathBuf};

/// Print what completes the command line in a shell.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  toolcrib completions bash > ~/.local/share/bash-completion/completions/toolcrib\n  toolcrib completions zsh > \"${fpath[1]}/_toolcrib\"\n  toolcrib completions fish > ~/.config/fish/completions/toolcrib.fish"
)]
pub(super) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Write the manual pages into a folder.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The folder, such as ~/.local/share/man/man1.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

impl Completions {
    pub(super) fn run(self, mut command: clap::Command) -> Done {
        let name = command.get_name().to_owned();
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut text);
        // A reader that has gone away has seen enough.
        let _ = io::Write::write_all(&mut io::stdout(), &text);
        Ok(())
    }
}

impl Man {
    pub(super) fn run(self, command: clap::Command) -> Done {
        let failed = |error: io::Error| Failure::failed(format_args!("the manual cannot be written to {}: {error}", self.folder.display()));
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        clap_mangen::generate_to(command, &self.folder).map_err(failed)
    }
}
