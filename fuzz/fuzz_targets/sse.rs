//! A stream of events cut anywhere gives the same events, and never more than the limit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toolcrib_wire::sse::Decoder;

const LIMIT: usize = 512;

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, bytes) = input;
    let whole = Decoder::new(LIMIT).push(bytes);
    let mut decoder = Decoder::new(LIMIT);
    let mut events = Vec::new();
    for piece in bytes.chunks(usize::from(cut).max(1)) {
        match decoder.push(piece) {
            Ok(more) => events.extend(more),
            Err(_) => return,
        }
    }
    assert!(events.iter().all(|event| event.data.len() <= LIMIT));
    if let Ok(whole) = whole {
        assert_eq!(whole, events);
    }
});
