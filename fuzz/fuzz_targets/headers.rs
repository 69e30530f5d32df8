//! Every string survives a header; a schema's annotations are found or refused, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toolcrib_wire::headers::{decode, encode, header_params};

fuzz_target!(|text: &str| {
    assert_eq!(decode(&encode(text)).expect("what we write we can read"), text);
    if let Ok(schema) = serde_json::from_str(text) {
        let _ = header_params(&schema);
    }
});
