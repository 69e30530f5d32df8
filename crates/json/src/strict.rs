//! Checks that serde_json leaves to its user: nesting of text that is only skipped, and members named twice in a tree.

use crate::JsonError;
use memchr::memchr2;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Refuses text whose brackets nest deeper than `limit`. Text that is not JSON may pass: syntax is checked elsewhere.
///
/// # Errors
/// [`JsonError::TooDeep`].
pub fn check_depth(text: &[u8], limit: usize) -> Result<(), JsonError> {
    let (mut depth, mut next) = (0_usize, 0);
    while let Some(byte) = text.get(next) {
        next += 1;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return Err(JsonError::TooDeep { limit });
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => next = past_string(text, next),
            _ => {}
        }
    }
    Ok(())
}

/// Behind the string whose first quote was passed; behind the text, where it does not end.
fn past_string(text: &[u8], mut next: usize) -> usize {
    while let Some(found) = text.get(next..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        if text[next + found] == b'"' {
            return next + found + 1;
        }
        next += found + 2;
    }
    text.len()
}

pub(crate) fn to_value(text: &[u8]) -> Result<Value, JsonError> {
    let refused = match serde_json::from_slice(text) {
        Ok(Strict(value)) => return Ok(value),
        Err(refused) => refused,
    };
    // JSON knows no largest number; a tree does. That is no reason to refuse a text that is otherwise sound.
    let Strict(value) = serde_json::from_str(&within_range(text).ok_or(refused)?)?;
    Ok(value)
}

/// The text with the largest numbers there are in place of larger ones. `None` where there are no such.
fn within_range(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
    let mut mended = String::new();
    let (mut kept, mut place) = (0, 0);
    while let Some(byte) = text.as_bytes().get(place) {
        let rest = &text.as_bytes()[place..];
        place += match byte {
            b'"' => past_string(rest, 1),
            b'-' | b'0'..=b'9' => {
                let length = rest.iter().take_while(|byte| is_part(byte)).count();
                if let Ok(number) = text[place..place + length].parse::<f64>()
                    && number.is_infinite()
                {
                    mended.push_str(&text[kept..place]);
                    mended.push_str(&f64::MAX.copysign(number).to_string());
                    kept = place + length;
                }
                length
            }
            _ => 1,
        };
    }
    (kept > 0).then(|| mended + &text[kept..])
}

/// A [`Value`] none of whose objects names a member twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tree;
        impl<'de> Visitor<'de> for Tree {
            type Value = Strict;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }

            fn visit_unit<E>(self) -> Result<Strict, E> {
                Ok(Strict(Value::Null))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
                Ok(Strict(Value::Bool(value)))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Strict, E> {
                Number::from_f64(value).map(|number| Strict(Value::Number(number))).ok_or_else(|| E::custom("number out of range"))
            }

            fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }

            fn visit_string<E>(self, value: String) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Strict, A::Error> {
                let mut items = Vec::new();
                while let Some(Strict(item)) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Strict(items.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
                let mut object = Map::new();
                while let Some(key) = map.next_key::<String>()? {
                    if object.contains_key(&key) {
                        return Err(A::Error::custom(format_args!("the member {key:?} appears twice")));
                    }
                    let Strict(value) = map.next_value()?;
                    object.insert(key, value);
                }
                Ok(Strict(object.into()))
            }
        }
        deserializer.deserialize_any(Tree)
    }
}
