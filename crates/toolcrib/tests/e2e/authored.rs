//! Tools that are written in Rust: a new server builds and serves, and its tools are treated as all others are.

use crate::support::{Folder, repository, toolcrib};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use toolcrib::{CallError, Crib, GateConfig, Spec, tool, tool_fn};
use toolcrib_testkit::{OpenGate, Remembered};

/// The folder that this test was built in, with everything that a server of our library is made of.
fn target() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_toolcrib"));
    program.ancestors().nth(2).unwrap().to_owned()
}

/// Cargo, in a folder outside of our workspace, building as we were built.
fn cargo(folder: &Path, arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).args(["--offline", "--config", r#"profile.dev.package."*".opt-level=1"#]);
    cargo.args(["--config", r#"profile.dev.package."*".debug=false"#, "--config", "profile.dev.debug='line-tables-only'"]);
    cargo.env("CARGO_TARGET_DIR", target()).current_dir(folder);
    cargo
}

fn run(mut command: Command) -> String {
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

#[test]
fn a_new_server_builds_and_its_tests_pass() {
    let folder = Folder::new();
    let mut new = toolcrib();
    new.args(["new", "demo"]).current_dir(folder.path());
    run(new);
    let demo = folder.path().join("demo");
    // The versions that we were built with are at hand.
    std::fs::copy(repository().join("Cargo.lock"), demo.join("Cargo.lock")).unwrap();
    let said = run(cargo(&demo, &["test"]));
    assert!(said.contains("2 passed"), "{said}");
    run(cargo(&demo, &["build"]));
    let program = target().join("debug/demo");
    let mut call = Command::new(&program);
    call.args(["call", "greet", "name=Ann"]).current_dir(&demo);
    assert_eq!(run(call).trim(), "Hello, Ann!");
    // Its config is sound, and its commands speak in its name.
    let mut check = Command::new(&program);
    check.arg("check").current_dir(&demo);
    assert!(run(check).contains("mcp-config.yaml is sound"));
    let failed = Command::new(&program).args(["call", "greet", "name="]).current_dir(&demo).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&failed.stderr).trim(), "demo: nobody has no name");
    // Only what its author offers is there.
    let mut list = Command::new(&program);
    list.arg("list").current_dir(&demo);
    assert_eq!(run(list).trim(), "greet  Greets somebody by name.");
    assert!(demo.join("data").is_dir(), "records are kept where the config says");
}

/// Says hello.
#[tool(pure)]
async fn hello() -> Result<String, CallError> {
    Ok("hello".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_author_says_stands_where_the_config_says_nothing() {
    let folder = Folder::new();
    let keep = async |config: Value| {
        let records = Arc::new(Remembered::default());
        let bounds = GateConfig { max_argument_bytes: 10, ..GateConfig::default() };
        let builder = Crib::builder().tool(hello()).audit(records.clone()).gate_config(bounds);
        let crib = builder.config(folder.config(&config)).build().await.unwrap();
        let gate = OpenGate::new(crib.gate().clone(), records);
        let too_long = gate.text("hello", &json!({"a": "0123456789"})).await.unwrap_err();
        let recorded = (gate.records().len(), too_long);
        crib.close().await;
        recorded
    };
    let data = folder.path().join("data");
    let (kept, error) = keep(json!({"dataFolder": data})).await;
    assert!(kept == 1 && error.contains("10"), "{kept} {error}");
    // Where it does, that goes before.
    let (kept, error) = keep(json!({"dataFolder": data, "audit": {"enabled": true}, "limits": {"maxArgumentBytes": 20}})).await;
    assert!(kept == 0 && !error.contains("limit"), "{kept} {error}");
}

#[test]
fn a_new_server_takes_nobodys_place() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("demo")).unwrap();
    let said = |name: &str| {
        let output = toolcrib().args(["new", name]).current_dir(folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(said("demo").trim(), "toolcrib: demo is there already: choose another name");
    assert!(said("../elsewhere").contains("cannot be the name of a package: take lower-case letters"), "{}", said("../elsewhere"));
    assert!(said("Demo").contains("such as my-tools"));
}

#[tokio::test]
async fn what_no_client_could_use_is_told_when_the_server_is_built() {
    let fault = async |spec: Spec| {
        let taking_text = tool_fn(spec, |text: String, _| async move { Ok(text) });
        Crib::builder().tool(taking_text).build().await.unwrap_err().to_string()
    };
    assert!(fault(Spec::new("my tool!", "Says something.")).await.contains("up to 49 letters"));
    assert!(fault(Spec::new("say", " ")).await.contains("it needs a description"));
    assert!(fault(Spec::new("say", "Says something.")).await.contains("its arguments are no object: take a struct"));
    let twice = Crib::builder().tool(hello()).tool(hello()).build().await.unwrap_err().to_string();
    assert_eq!(twice, "there are two tools of the name \"hello\"");
}
