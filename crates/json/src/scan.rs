//! Finds its way in JSON text: what has just come is checked, once ([`checked_end`]); what was checked on its way in is passed over, and is
//! not read again.

use crate::DEFAULT_MAX_DEPTH;
use memchr::memchr2;

/// Where the value ends that begins here, if it is JSON (RFC 8259) nested no deeper than [`DEFAULT_MAX_DEPTH`], the levels that it stands
/// `within` included. Of `None` nothing else may be concluded than that this is to be asked of serde_json, which can say what is wrong. That
/// the text is UTF-8 is for the caller to know.
///
/// serde_json looks at eight bytes at a time; this looks at as many as the processor can, which for a large string is four times as fast.
pub(crate) fn checked_end(text: &[u8], at: usize, within: usize) -> Option<usize> {
    // One bit for each level: whether it is an object.
    let (mut levels, mut depth, mut next) = (0_u128, 0_usize, at);
    loop {
        // A value begins here.
        next = match *text.get(next)? {
            b'"' => checked_string(text, next)?,
            opening @ (b'{' | b'[') => {
                let (is_object, inside) = (opening == b'{', past_blanks(text, next + 1));
                if depth + within >= DEFAULT_MAX_DEPTH {
                    return None;
                }
                // What closes stands two places behind what opens, in ASCII.
                if *text.get(inside)? == opening + 2 {
                    inside + 1
                } else {
                    (levels, depth) = (levels << 1 | u128::from(is_object), depth + 1);
                    next = if is_object { checked_key(text, inside)? } else { inside };
                    continue;
                }
            }
            b't' => checked_word(text, next, b"true")?,
            b'f' => checked_word(text, next, b"false")?,
            b'n' => checked_word(text, next, b"null")?,
            _ => checked_number(text, next)?,
        };
        // A value has ended here, and with it perhaps those that it is the last of.
        loop {
            if depth == 0 {
                return Some(next);
            }
            next = past_blanks(text, next);
            let is_object = levels & 1 == 1;
            match *text.get(next)? {
                b',' => {
                    next = past_blanks(text, next + 1);
                    if is_object {
                        next = checked_key(text, next)?;
                    }
                    break;
                }
                closing if closing == if is_object { b'}' } else { b']' } => {
                    (levels, depth, next) = (levels >> 1, depth - 1, next + 1);
                }
                _ => return None,
            }
        }
    }
}

/// Where the value begins whose key begins here.
pub(crate) fn checked_key(text: &[u8], at: usize) -> Option<usize> {
    if *text.get(at)? != b'"' {
        return None;
    }
    let colon = past_blanks(text, checked_string(text, at)?);
    (*text.get(colon)? == b':').then(|| past_blanks(text, colon + 1))
}

/// Where the string ends that begins here, its quotes included.
fn checked_string(text: &[u8], at: usize) -> Option<usize> {
    let mut next = at + 1;
    loop {
        let found = next + memchr2(b'"', b'\\', text.get(next..)?)?;
        let least = text[next..found].iter().fold(u8::MAX, |least, byte| least.min(*byte));
        if least < b' ' {
            return None;
        }
        if text[found] == b'"' {
            return Some(found + 1);
        }
        next = match *text.get(found + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => found + 2,
            b'u' if text.get(found + 2..found + 6)?.iter().all(u8::is_ascii_hexdigit) => found + 6,
            _ => return None,
        };
    }
}

fn checked_word(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    text[at..].starts_with(word).then_some(at + word.len())
}

fn checked_number(text: &[u8], at: usize) -> Option<usize> {
    let digits = |from: usize| {
        let count = text.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    let whole = if text[at] == b'-' { at + 1 } else { at };
    let mut next = if *text.get(whole)? == b'0' { whole + 1 } else { digits(whole)? };
    if text.get(next) == Some(&b'.') {
        next = digits(next + 1)?;
    }
    if matches!(text.get(next), Some(b'e' | b'E')) {
        let is_signed = matches!(text.get(next + 1), Some(b'+' | b'-'));
        next = digits(next + 1 + usize::from(is_signed))?;
    }
    // What stands behind a number is no part of another.
    (!text.get(next).is_some_and(u8::is_ascii_digit)).then_some(next)
}

/// The first place from here on that is no blank.
pub(crate) fn past_blanks(text: &[u8], at: usize) -> usize {
    at + text.get(at..).unwrap_or_default().iter().take_while(|byte| is_blank(**byte)).count()
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

    /// Text that is almost JSON: some of its bytes are others.
    fn almost_json() -> impl Strategy<Value = String> {
        let sign = prop_oneof![
            Just(String::new()),
            r#"[\[\]{}",:\\0-9eE+.\-tfnu \x00-\x1f]{1,3}"#,
            Just("true".to_owned()),
            Just("null".to_owned()),
            Just(r"\u12".to_owned())
        ];
        (any_json(), any::<bool>(), prop::collection::vec((any::<prop::sample::Index>(), sign), 0..3)).prop_map(
            |(value, is_pretty, changes)| {
                let mut text: Vec<char> = if is_pretty { format!("{value:#}") } else { value.to_string() }.chars().collect();
                for (place, sign) in changes {
                    let place = place.index(text.len());
                    text.splice(place..=place, sign.chars());
                    text.extend(text.is_empty().then_some(' '));
                }
                text.into_iter().collect()
            },
        )
    }

    fn serde_takes(text: &str) -> bool {
        serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
    }

    fn is_taken(text: &str) -> bool {
        let at = past_blanks(text.as_bytes(), 0);
        checked_end(text.as_bytes(), at, 0).is_some_and(|end| past_blanks(text.as_bytes(), end) == text.len())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]
        #[test]
        fn what_is_taken_is_what_serde_json_takes(text in almost_json()) {
            prop_assert_eq!(is_taken(&text), serde_takes(&text), "{:?}", text);
        }
    }

    #[test]
    fn the_corners_of_the_grammar_are_those_of_serde_json() {
        let texts = [
            "",
            " ",
            "-",
            "-0",
            "00",
            "01",
            "-01",
            "1.",
            ".1",
            "1.e1",
            "1e",
            "1e+",
            "1E-07",
            "+1",
            "1 1",
            "1,",
            "tru",
            "truee",
            "nul",
            "NaN",
            "[",
            "]",
            "[,]",
            "[1,]",
            "[1 2]",
            "[]]",
            "{",
            "{}",
            "{ }",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a" : 1 , "b":[ ] }"#,
            "{1:2}",
            r#"[{"a":[{}]}]"#,
            "[}",
            r#"{"a":1]"#,
            r#"""#,
            r#""a"#,
            r#""\""#,
            r#""\x""#,
            r#""\u12g4""#,
            r#""\ud800""#,
            r#""\u00""#,
            "\"\u{1f}\"",
            "\"\u{7f}\"",
            "\"\t\"",
            "\u{a0}1",
            "\u{feff}1",
            "[1]x",
            "\u{c}1",
            "\u{b}1",
        ];
        for text in texts {
            assert_eq!(is_taken(text), serde_takes(text), "{text:?}");
        }
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(is_taken(&nested(DEFAULT_MAX_DEPTH)) && !is_taken(&nested(DEFAULT_MAX_DEPTH + 1)));
        let nested = |depth: usize| r#"{"a":"#.repeat(depth) + "1" + &"}".repeat(depth);
        assert!(is_taken(&nested(DEFAULT_MAX_DEPTH)) && !is_taken(&nested(DEFAULT_MAX_DEPTH + 1)));
    }

    #[test]
    fn what_looks_like_an_end_within_a_string_is_none() {
        for text in [r#""\"""#, r#""\\""#, r#""a\\\"b}""#, r#"{"}":["]",{"\\":"\\\""}]}"#, "[ ]", "{ }", "-1.5e+3", "null"] {
            assert_eq!(end_of_value(format!("{text} ,").as_bytes(), 0), text.len(), "{text}");
        }
    }
}
