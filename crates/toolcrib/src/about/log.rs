//! What was logged lately, as a resource: so many lines, none of them long. Nothing secret is logged in the first place.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use toolcrib_contract::ResourceSpec;
use toolcrib_gate::{Gate, Source};

/// The resource.
pub(crate) const URI: &str = "logs://server/recent";
/// How many lines are kept.
const MAX_LINES: usize = 500;
/// How long one may be.
const MAX_LINE_BYTES: usize = 2000;
/// How often it is looked whether there are others.
const LOOK: Duration = Duration::from_secs(2);

/// The lines of this process: there is one log of it.
static LINES: LazyLock<Mutex<VecDeque<String>>> = LazyLock::new(Mutex::default);

/// Takes what is logged.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Recent;

impl io::Write for Recent {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(written);
        let mut lines = lines();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if lines.len() == MAX_LINES {
                lines.pop_front();
            }
            let whole = line.len() <= MAX_LINE_BYTES;
            lines.push_back(if whole { line.to_owned() } else { format!("{}…", &line[..line.floor_char_boundary(MAX_LINE_BYTES)]) });
        }
        Ok(written.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that are kept, the latest last.
pub(crate) fn recent() -> Vec<String> {
    lines().iter().cloned().collect()
}

fn lines() -> MutexGuard<'static, VecDeque<String>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The resource, as a source of the catalogue of this gate.
pub(crate) fn source(gate: &Arc<Gate>) -> Source {
    let description = "What this server has logged lately, a line for each event, the latest last.";
    let spec = ResourceSpec::new(URI, "log").description(description).mime_type("text/plain");
    super::source(gate, spec, LOOK, || lines().iter().map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn it_is_bounded() {
        for number in 0..MAX_LINES + 10 {
            Recent.write_all(format!("line {number} {}\n", "x".repeat(3 * MAX_LINE_BYTES)).as_bytes()).unwrap();
        }
        let lines = lines();
        assert_eq!(lines.len(), MAX_LINES);
        assert!(lines.front().unwrap().starts_with("line 10 ") && lines.iter().all(|line| line.len() <= MAX_LINE_BYTES + 3));
    }
}
