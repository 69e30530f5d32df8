//! Whatever arrives is a message, a batch or a fault with an answer; what is written is read back.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use toolcrib_wire::message::{Incoming, Message};

fuzz_target!(|bytes: &[u8]| {
    match Incoming::parse(&Bytes::copy_from_slice(bytes)) {
        Ok(Incoming::One(message)) => {
            Message::parse(&message.to_json().into_bytes()).expect("what we write we can read");
        }
        Ok(Incoming::Batch(items)) => assert!(!items.is_empty()),
        Err(fault) => {
            Message::parse(&fault.into_response().to_json().into_bytes()).expect("an answer is a message");
        }
    }
});
