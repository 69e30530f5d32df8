//! `toolcrib new`.

use super::{Done, Failure, note, print};
use clap::Args;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Begin a server with tools of your own, in Rust.
#[derive(Debug, Args)]
pub(super) struct New {
    /// Its name, and that of the folder that is made for it here.
    #[arg(value_name = "NAME")]
    name: String,
    /// The folder with the crates of Toolcrib, if not that of the source that this program was built from.
    #[arg(long, value_name = "FOLDER")]
    crates: Option<PathBuf>,
}

/// The files of a new server, and what is in them.
const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("new/Cargo.toml.in")),
    ("src/main.rs", include_str!("new/main.rs.in")),
    ("mcp-config.yaml", include_str!("new/mcp-config.yaml.in")),
    ("README.md", include_str!("new/README.md.in")),
    (".gitignore", include_str!("new/gitignore.in")),
];

impl New {
    pub(super) fn run(self) -> Done {
        check(&self.name)?;
        let folder = Path::new(&self.name);
        let [toolcrib, testkit] = ["toolcrib", "testkit"].map(|name| self.dependency(name));
        let (toolcrib, testkit) = (toolcrib?, testkit?);
        fs::create_dir(folder).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::usage(format_args!("{} is there already: choose another name", folder.display())),
            _ => cannot_write(folder, &error),
        })?;
        let values = [("{{name}}", &self.name), ("{{toolcrib}}", &toolcrib), ("{{testkit}}", &testkit)];
        for (file, text) in FILES {
            let path = folder.join(file);
            let text = values.iter().fold((*text).to_owned(), |text, (place, value)| text.replace(place, value));
            path.parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| fs::write(&path, text))
                .map_err(|error| cannot_write(&path, &error))?;
        }
        print(format_args!("made {}/ with one tool and its tests", folder.display()));
        note(format_args!("\nNow:\n  cd {0}\n  cargo test\n  cargo run -- call greet name=Ann\n", folder.display()));
        Ok(())
    }

    /// Where a crate of ours is taken from: its source, where that is at hand, else the registry.
    fn dependency(&self, name: &str) -> Result<String, Failure> {
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).parent().filter(|crates| crates.join("toolcrib/Cargo.toml").is_file());
        let folder = match (&self.crates, built_from) {
            (Some(named), _) => std::path::absolute(named).map_err(|error| cannot_read(named, &error))?,
            (None, Some(crates)) => crates.to_owned(),
            (None, None) => return Ok(format!("{:?}", env!("CARGO_PKG_VERSION"))),
        };
        let path = folder.join(name);
        fs::metadata(path.join("Cargo.toml")).map_err(|error| cannot_read(&path, &error))?;
        Ok(format!("{{ path = {:?} }}", path))
    }
}

/// Refuses what cargo takes for no name of a package.
fn check(name: &str) -> Done {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    const TAKEN: &[&str] =
        &["alloc", "core", "proc_macro", "schemars", "serde", "serde_json", "std", "test", "tokio", "toolcrib", "toolcrib-testkit"];
    const KEYWORDS: &[&str] = &[
        "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern", "fn", "for", "gen", "if", "impl",
        "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "type",
        "unsafe", "use", "where", "while",
    ];
    let is_taken = TAKEN.contains(&name) || KEYWORDS.contains(&name);
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(is_plain) || is_taken {
        return Err(Failure::usage(format_args!(
            "{name:?} cannot be the name of a package: take lower-case letters, digits, \"-\" and \"_\", beginning with a letter, such as my-tools"
        )));
    }
    Ok(())
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format_args!("cannot write {}: {error}", path.display()))
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format_args!("there is no crate of Toolcrib in {}: {error}", path.display()))
}
