use super::*;
use proptest::prelude::*;

fn refused(text: &str) -> String {
    Json::parse(text.to_owned()).expect_err(text).to_string()
}

#[test]
fn text_stays_as_it_came() {
    for text in [r#"{"z":1,"a":2.50,"n":1e400,"z2":"\u00e9"}"#, "[ 1 , 2 ]", "-0.0", "\"\"", "123456789012345678901234567890"] {
        assert_eq!(Json::parse(text.to_owned()).unwrap().as_str(), text);
    }
}

#[test]
fn what_is_not_json_is_refused() {
    for text in ["", " ", "{", "[1,]", "{\"a\":1}x", "nul", "'a'", "{\"a\" 1}", "\"\u{1}\""] {
        refused(text);
    }
    Json::parse(&b"\"\xff\""[..]).expect_err("bytes that are not UTF-8");
}

#[test]
fn depth_counts_brackets_outside_strings() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(Json::parse(nested(DEFAULT_MAX_DEPTH)).is_ok());
    assert_eq!(refused(&nested(DEFAULT_MAX_DEPTH + 1)), "nested deeper than 127 levels");
    assert!(Json::parse(format!("\"{}\"", "[\\\"".repeat(1000))).is_ok());
    refused(&"[".repeat(1_000_000));
}

#[test]
fn a_member_named_twice_is_refused() {
    let double = |text: &str| Json::parse(text.to_owned()).unwrap().members().map(|_| ()).unwrap_err().to_string();
    assert_eq!(double(r#"{"a":1,"a":2}"#), "the member \"a\" appears twice");
    assert_eq!(double(r#"{"a":1,"\u0061":2}"#), "the member \"a\" appears twice");
    let many: String = (0..40).map(|i| format!("\"k{i}\":0,")).collect();
    assert_eq!(double(&format!("{{{many}\"k7\":1}}")), "the member \"k7\" appears twice");
    assert_eq!(double("[1]"), "expected an object, found an array");

    let deep = Json::parse(r#"{"a":[{"b":1,"b":2}]}"#).unwrap();
    assert!(deep.members().is_ok(), "only the level that is read is judged");
    assert!(deep.to_value().unwrap_err().to_string().starts_with("the member \"b\" appears twice"));
}

#[test]
fn a_piece_shares_the_buffer() {
    let json = Json::parse(r#"{"a":{"b":[1,2]}}"#).unwrap();
    let piece = json.members().unwrap().get("a").unwrap();
    assert_eq!(piece.as_str(), r#"{"b":[1,2]}"#);
    assert!(json.as_bytes().as_ptr_range().contains(&piece.as_bytes().as_ptr()));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn strict_reading_agrees_with_serde_json(value in any_value()) {
        let json = Json::from(&value);
        prop_assert_eq!(json.to_value().unwrap(), json.read::<Value>().unwrap());
    }

    #[test]
    fn an_edit_that_names_nothing_changes_nothing(map in prop::collection::btree_map(".*", any_value(), 0..8)) {
        let value = Value::Object(map.into_iter().collect());
        let json = Json::from(&value);
        prop_assert_eq!(json.members().unwrap().edit(&[]), json.clone());
    }

    #[test]
    fn strings_are_written_as_serde_json_writes_them(text in prop_oneof![".*", "[ -~\u{7f}-\u{ff}]*", r#"[a\\"\t\x00-\x20]*"#]) {
        let written = serde_json::to_string(&text).unwrap();
        let object = Json::object().with_str(&text, &text).finish();
        prop_assert_eq!(object.as_str(), format!("{{{written}:{written}}}"));
        let (alone, members) = (Json::string(&text), object.members().unwrap());
        prop_assert_eq!(alone.as_str(), &written);
        prop_assert_eq!(members.string(&text), Some(text));
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(json) = Json::parse(bytes) {
            let _ = json.members();
            let _ = json.to_value();
        }
    }
}

#[test]
fn a_number_beyond_all_range_is_no_reason_to_refuse_a_text() {
    let check = |text: &'static str, expected: Value| assert_eq!(Json::parse(text).unwrap().to_value().unwrap(), expected);
    check(r#"{"a":1e400,"b":"1e400","c":[-1e999, 2]}"#, serde_json::json!({"a": f64::MAX, "b": "1e400", "c": [f64::MIN, 2]}));
    check(r#"["\\\"1e400",1E+400]"#, serde_json::json!(["\\\"1e400", f64::MAX]));
    assert!(Json::parse(r#"{"a":1e400,"a":1}"#).unwrap().to_value().is_err(), "a member named twice still is");
}

proptest! {
    /// Long enough for what looks at many bytes at a time.
    #[test]
    fn what_is_no_utf_8_is_refused(text in "[a\u{e9}\u{1f600}]{0,200}", place: prop::sample::Index, byte: u8) {
        let mut bytes = serde_json::to_vec(&text).unwrap();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let is_json = serde_json::from_slice::<&RawValue>(&bytes).is_ok();
        prop_assert_eq!(Json::parse(bytes.clone()).is_ok(), is_json, "{:?}", bytes);
        let object = Bytes::from([b"{\"member\":", bytes.as_slice(), b"}"].concat());
        prop_assert_eq!(Members::parse(&object, 1).is_some(), is_json, "{:?}", object);
    }
}
