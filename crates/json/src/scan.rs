//! Finds its way in text that is known to be well formed: what is passed over was checked on its way in, and is not read again.

use memchr::memchr2;

/// The first place from here on that is no blank.
pub(crate) fn past_blanks(text: &[u8], at: usize) -> usize {
    at + text[at..].iter().take_while(|byte| is_blank(**byte)).count()
}

/// Where the value ends that begins here.
pub(crate) fn end_of_value(text: &[u8], at: usize) -> usize {
    match text[at] {
        b'"' => end_of_string(text, at),
        b'{' | b'[' => end_of_nested(text, at),
        _ => {
            let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']') || is_blank(*byte);
            text[at..].iter().position(is_end).map_or(text.len(), |length| at + length)
        }
    }
}

/// Where the string ends that begins here, its quotes included.
pub(crate) fn end_of_string(text: &[u8], at: usize) -> usize {
    let mut next = at + 1;
    loop {
        let found = next + memchr2(b'"', b'\\', &text[next..]).expect("a string that is well formed ends");
        if text[found] == b'"' {
            return found + 1;
        }
        next = found + 2;
    }
}

/// Where the array or object ends that begins here.
fn end_of_nested(text: &[u8], at: usize) -> usize {
    let (mut next, mut depth) = (at, 0_usize);
    loop {
        match text[next] {
            b'"' => {
                next = end_of_string(text, next);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return next + 1;
                }
            }
            _ => {}
        }
        next += 1;
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// Any JSON, with strings that hold what could mislead.
    fn any_json() -> impl Strategy<Value = Value> {
        let text = r#"[a"\\\\{}\[\],: \n\u{e9}\u{1f600}]{0,8}"#;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(|number: f64| Value::from(number)),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(text, inner, 0..6)
                    .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_value_ends_where_it_ends(value in any_json(), is_pretty: bool, behind in r#"[,\]} ]{0,3}"#) {
            let text = if is_pretty { format!("{value:#}") } else { value.to_string() };
            let is_open = value.is_number() && !behind.starts_with([',', ']', '}', ' ']) && !behind.is_empty();
            prop_assume!(!is_open);
            prop_assert_eq!(end_of_value(format!("{text}{behind}").as_bytes(), 0), text.len());
        }
    }

    #[test]
    fn what_looks_like_an_end_within_a_string_is_none() {
        for text in [r#""\"""#, r#""\\""#, r#""a\\\"b}""#, r#"{"}":["]",{"\\":"\\\""}]}"#, "[ ]", "{ }", "-1.5e+3", "null"] {
            assert_eq!(end_of_value(format!("{text} ,").as_bytes(), 0), text.len(), "{text}");
        }
    }
}
