//! No line is longer than the limit, and none holds a line break.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toolcrib_wire::lines::{Line, LineReader};

const LIMIT: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut lines = LineReader::new(bytes, LIMIT);
        while let Some(line) = lines.next().await.expect("memory can be read") {
            if let Line::Text(text) = line {
                assert!(text.len() <= LIMIT && !text.contains(&b'\n'));
            }
        }
    });
});
