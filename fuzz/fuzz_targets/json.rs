//! Whatever is accepted as JSON can be read one level deep, and an edit that names nothing changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toolcrib_json::{Json, Members};

fuzz_target!(|bytes: &[u8]| {
    if let Some(members) = Members::parse(&bytes.to_vec().into(), 64) {
        let parsed = Json::parse(bytes.to_vec()).expect("an object is JSON");
        let same = parsed.members().expect("an object that names no member twice");
        assert!(members.iter().map(|(key, value)| (key.to_owned(), value)).eq(same.iter().map(|(key, value)| (key.to_owned(), value))));
    }
    let Ok(json) = Json::parse(bytes.to_vec()) else { return };
    serde_json::from_slice::<&serde_json::value::RawValue>(json.as_bytes()).expect("what is accepted is JSON");
    if let Ok(members) = json.members() {
        let same = members.edit(&[]).members().expect("an object stays one");
        assert_eq!(same.len(), members.len());
    }
});
