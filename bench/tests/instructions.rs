//! How many instructions a call takes, as valgrind counts them: that depends on the compiler, but not on what else the machine does. What is
//! asserted is how much a call costs beside a bare handler in the same build. Who makes a call dearer by more than a twentieth finds out
//! here, and either makes it cheaper again or says why it is worth it, by the numbers below.
//!
//! Needs a release build: `make bench-check`.

use std::process::Command;

/// Instructions of a call, in those of the bare handler, in hundredths: the most that a build has had. Builds of the same code differ by up
/// to a twelfth, since what is inlined where depends on how a crate is cut into units.
const MODERN_CALL: u64 = 280;
const LEGACY_CALL: u64 = 230;

/// Instructions of so many calls, with all that comes before them.
fn instructions(way: &str, calls: u64) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=counted"]).arg(env!("CARGO_BIN_EXE_road")).args([way, &calls.to_string()]);
    let done = valgrind.current_dir(&folder).output().expect("valgrind is needed: install it (Debian: valgrind), or run `make peers`");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let counted = std::fs::read_to_string(folder.path().join("counted")).expect("valgrind writes what it counted");
    let total = counted.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a total");
    total.trim().parse().expect("a number")
}

/// Instructions of one call.
fn of_a_call(way: &str) -> u64 {
    const FEW: u64 = 500;
    const MANY: u64 = 2500;
    (instructions(way, MANY) - instructions(way, FEW)) / (MANY - FEW)
}

#[test]
#[cfg_attr(debug_assertions, ignore = "what is counted is a release build: make bench-check")]
fn a_call_takes_no_more_instructions_than_it_did() {
    let [bare, modern, legacy] = ["bare", "modern", "legacy"].map(of_a_call);
    let (of_modern, of_legacy) = (modern * 100 / bare, legacy * 100 / bare);
    println!("instructions: bare {bare}, modern {modern} ({of_modern} %), legacy {legacy} ({of_legacy} %)");
    let is_as_noted = |found: u64, noted: u64| found * 20 <= noted * 21;
    assert!(
        is_as_noted(of_modern, MODERN_CALL) && is_as_noted(of_legacy, LEGACY_CALL),
        "a modern call takes {of_modern} % of a bare handler's instructions ({MODERN_CALL} % are noted), one in a session {of_legacy} % ({LEGACY_CALL} %)"
    );
}
