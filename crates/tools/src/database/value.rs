//! Values as JSON, exactly: what a number of JSON would bend is a text.

use base64::{Engine, prelude::BASE64_STANDARD};
use toolcrib_contract::Json;

/// The largest whole number that every reader of JSON keeps exactly (RFC 8259, section 6).
const MAX_SAFE: u64 = (1 << 53) - 1;

pub(super) fn null() -> Json {
    Json::parse("null").expect("null is JSON")
}

pub(super) fn boolean(flag: bool) -> Json {
    Json::of(&flag).expect("a boolean has a JSON form")
}

/// A whole number; as a text beyond ±(2^53 − 1).
pub(super) fn integer(number: i64) -> Json {
    if number.unsigned_abs() <= MAX_SAFE { Json::of(&number).expect("a number has a JSON form") } else { text(&number.to_string()) }
}

pub(super) fn unsigned(number: u64) -> Json {
    if number <= MAX_SAFE { Json::of(&number).expect("a number has a JSON form") } else { text(&number.to_string()) }
}

/// A floating-point number; as a text where it is none.
pub(super) fn float(number: f64) -> Json {
    if number.is_finite() { Json::of(&number).expect("a finite number has a JSON form") } else { text(named(number)) }
}

/// A number that is none, or has no end, as databases write it.
fn named(number: f64) -> &'static str {
    match number {
        _ if number.is_nan() => "NaN",
        _ if number > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

/// A float of single precision, with the digits that it has and no others.
pub(super) fn single(number: f32) -> Json {
    if number.is_finite() { Json::of(&number).expect("a finite number has a JSON form") } else { text(named(number.into())) }
}

pub(super) fn text(text: &str) -> Json {
    Json::string(text)
}

pub(super) fn bytes(bytes: &[u8]) -> Json {
    text(&BASE64_STANDARD.encode(bytes))
}

/// A value that is JSON already; as a text where it is too deep for us.
pub(super) fn json(written: &str) -> Json {
    Json::parse(written.to_owned()).unwrap_or_else(|_| text(written))
}

/// Instead of a value that nobody may see.
pub(super) fn masked() -> Json {
    text("***")
}

/// The text form of a PostgreSQL value as JSON. `kind` is the type's name, `int4[]` that of an array.
pub(super) fn postgres(written: &str, kind: &str) -> Json {
    match kind {
        "bool" => boolean(written == "t"),
        "int2" | "int4" | "int8" | "oid" | "xid" => written.parse().map_or_else(|_| text(written), integer),
        "float4" => written.parse().map_or_else(|_| text(written), single),
        "float8" => written.parse().map_or_else(|_| text(written), float),
        "json" | "jsonb" => json(written),
        "bytea" => written.strip_prefix("\\x").and_then(unhex).map_or_else(|| text(written), |raw| bytes(&raw)),
        "timestamp" => text(&written.replacen(' ', "T", 1)),
        "timestamptz" => text(&with_full_offset(written)),
        kind => kind.strip_suffix("[]").and_then(|element| array_of(written, element)).unwrap_or_else(|| text(written)),
    }
}

/// `2026-11-24 10:00:00+00` is written `2026-11-24T10:00:00Z` (RFC 3339). The session's time zone is UTC.
fn with_full_offset(written: &str) -> String {
    match written.strip_suffix("+00") {
        Some(local) => format!("{}Z", local.replacen(' ', "T", 1)),
        None => written.to_owned(),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pairs = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    digits.len().is_multiple_of(2).then(|| pairs.collect())?
}

/// An array literal such as `{1,NULL,"a b",{2,3}}` (PostgreSQL, "Array Input and Output Syntax"). One with odd bounds
/// (`[2:3]={…}`) stays a text, since JSON has no place for them.
fn array_of(written: &str, element: &str) -> Option<Json> {
    let mut reader = ArrayReader { rest: written, delimiter: if element == "box" { ';' } else { ',' }, element };
    let array = reader.array(0)?;
    reader.rest.is_empty().then_some(array)
}

struct ArrayReader<'a> {
    rest: &'a str,
    delimiter: char,
    element: &'a str,
}

impl ArrayReader<'_> {
    fn array(&mut self, depth: usize) -> Option<Json> {
        self.rest = self.rest.strip_prefix('{').filter(|_| depth < 6)?;
        let mut items = Vec::new();
        if let Some(rest) = self.rest.strip_prefix('}') {
            self.rest = rest;
            return Some(Json::array(items));
        }
        loop {
            items.push(self.item(depth)?);
            if let Some(rest) = self.rest.strip_prefix(self.delimiter) {
                self.rest = rest;
            } else {
                self.rest = self.rest.strip_prefix('}')?;
                return Some(Json::array(items));
            }
        }
    }

    fn item(&mut self, depth: usize) -> Option<Json> {
        if self.rest.starts_with('{') {
            return self.array(depth + 1);
        }
        if let Some(quoted) = self.rest.strip_prefix('"') {
            let mut value = String::new();
            let mut characters = quoted.char_indices();
            while let Some((index, character)) = characters.next() {
                match character {
                    '"' => {
                        self.rest = &quoted[index + 1..];
                        return Some(postgres(&value, self.element));
                    }
                    '\\' => value.push(characters.next()?.1),
                    _ => value.push(character),
                }
            }
            return None;
        }
        let end = self.rest.find([self.delimiter, '}'])?;
        let (plain, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(if plain == "NULL" { null() } else { postgres(plain, self.element) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_postgres_stay_what_they_are() {
        let check = |written: &str, kind: &str, expected: &str| assert_eq!(postgres(written, kind).as_str(), expected, "{written} {kind}");
        check("t", "bool", "true");
        check("9007199254740991", "int8", "9007199254740991");
        check("9007199254740992", "int8", r#""9007199254740992""#);
        check("-9223372036854775808", "int8", r#""-9223372036854775808""#);
        check("1.10", "numeric", r#""1.10""#);
        check("0.1", "float4", "0.1");
        check("NaN", "float8", r#""NaN""#);
        check("-Infinity", "float8", r#""-Infinity""#);
        check(r#"{"a": 1e400}"#, "jsonb", r#"{"a": 1e400}"#);
        check("\\x00ff", "bytea", r#""AP8=""#);
        check("2026-11-24 10:00:00.5", "timestamp", r#""2026-11-24T10:00:00.5""#);
        check("2026-11-24 10:00:00+00", "timestamptz", r#""2026-11-24T10:00:00Z""#);
        check("infinity", "timestamptz", r#""infinity""#);
        check("{1,NULL,3}", "int4[]", "[1,null,3]");
        check(r#"{"a b","\"q\"",NULL,"NULL",x}"#, "text[]", r#"["a b","\"q\"",null,"NULL","x"]"#);
        check("{{1,2},{3,4}}", "int4[]", "[[1,2],[3,4]]");
        check("{}", "int4[]", "[]");
        check("[0:1]={1,2}", "int4[]", r#""[0:1]={1,2}""#);
        check("{(1,1),(0,0);(2,2),(1,1)}", "box[]", r#"["(1,1),(0,0)","(2,2),(1,1)"]"#);
        check("[1,5)", "int4range", r#""[1,5)""#);
    }
}
