//! `toolcrib reload`.

use super::{Done, Failure, config_file, print, settings};
use clap::Args;
use std::{fs::File, path::PathBuf, time::SystemTime};

/// Check a config, and have the servers that run by it read it anew.
#[derive(Debug, Args)]
pub(super) struct Reload {
    /// The config file. Without it, ./mcp-config.yaml if there is one.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Reload {
    /// Servers look at the time at which their files were changed last: that is how all of them are reached, wherever they run.
    pub(super) fn run(self) -> Done {
        let file = config_file(self.config.as_ref()).ok_or_else(|| Failure::usage("there is no config here: name one with --config"))?;
        // One that makes no sense changes nothing.
        settings(Some(&file))?;
        let touched = File::options().append(true).open(&file).and_then(|open| open.set_modified(SystemTime::now()));
        touched.map_err(|error| Failure::failed(format_args!("{}: {error}", file.display())))?;
        print(format_args!("{} is sound; servers that run by it read it anew within a few seconds", file.display()));
        Ok(())
    }
}
