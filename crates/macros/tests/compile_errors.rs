//! What the compiler says to an author who is wrong. Each file of `ui/` is compiled and must fail; its lines `// says: …` are
//! what must be said. Whole messages differ from compiler to compiler, so only our own words, and what they are about, are compared.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const PRELUDE: &str = "\
#![allow(unused)]
extern crate toolcrib_contract as toolcrib;
use toolcrib::{CallContext, CallError, Spec, Tool};
use toolcrib_macros::tool;
fn main() {}
";

#[test]
fn compile_errors_say_what_to_do() {
    let cases = cases();
    assert!(cases.len() >= 10, "the cases are not found");
    let said = compile(&cases);
    let mut missing = String::new();
    for (name, source) in &cases {
        let said = said.get(name).map(String::as_str).unwrap_or_default();
        let plain: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for wanted in source.lines().filter_map(|line| line.strip_prefix("// says: ")) {
            if !plain.contains(wanted) {
                let _ = writeln!(missing, "{name}: {wanted:?} is not in:\n{said}");
            }
        }
    }
    assert!(missing.is_empty(), "{missing}");
}

fn cases() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| (file.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&file).unwrap())).collect()
}

/// Compiles every case as a program of one package, and gives what was said about each.
fn compile(cases: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let package = tempfile::tempdir().unwrap();
    let manifest = format!(
        "[package]\nname = \"ui\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
         toolcrib-contract = {{ path = {:?} }}\ntoolcrib-macros = {{ path = {:?} }}\n",
        crates.join("contract"),
        crates.join("macros"),
    );
    fs::write(package.path().join("Cargo.toml"), manifest).unwrap();
    // The versions that we are built with are at hand.
    fs::copy(crates.parent().unwrap().join("Cargo.lock"), package.path().join("Cargo.lock")).unwrap();
    fs::create_dir_all(package.path().join("src/bin")).unwrap();
    for (name, source) in cases {
        fs::write(package.path().join(format!("src/bin/{name}.rs")), format!("{PRELUDE}{source}")).unwrap();
    }
    let check = Command::new(env!("CARGO"))
        .args(["check", "--bins", "--keep-going", "--offline", "--message-format=json"])
        .env("CARGO_TARGET_DIR", PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("ui"))
        .current_dir(package.path())
        .output()
        .unwrap();
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    for message in String::from_utf8(check.stdout).unwrap().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let (target, text) = (&message["target"]["name"], &message["message"]["rendered"]);
        if let (Some(target), Some(text), "error") =
            (target.as_str(), text.as_str(), message["message"]["level"].as_str().unwrap_or_default())
        {
            said.entry(target.to_owned()).or_default().push_str(text);
        }
    }
    assert!(!said.is_empty(), "cargo did not compile the cases:\n{}", String::from_utf8_lossy(&check.stderr));
    said
}
