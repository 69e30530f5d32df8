//! Whatever is accepted as JSON can be read one level deep, and an edit that names nothing changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toolcrib_json::Json;

fuzz_target!(|bytes: &[u8]| {
    let Ok(json) = Json::parse(bytes.to_vec()) else { return };
    serde_json::from_slice::<&serde_json::value::RawValue>(json.as_bytes()).expect("what is accepted is JSON");
    if let Ok(members) = json.members() {
        let same = members.edit(&[]).members().expect("an object stays one");
        assert_eq!(same.len(), members.len());
    }
});
