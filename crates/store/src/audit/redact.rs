//! How much of a call's arguments is kept, and what of it is a secret.
//!
//! Secrets are known by the name of their key and by their shape. Either may be mistaken: what only looks like a secret is
//! redacted too, and what looks like none is kept. Where that must not be, digests are kept, or nothing.

use crate::secret::hex;
use ring::hmac;
use serde_json::{Map, Number, Value};
use std::{borrow::Cow, mem};
use toolcrib_contract::Json;

/// How much of the arguments a record keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arguments {
    /// Nothing.
    Off,
    /// A keyed digest: whether two calls had the same arguments, and no more.
    Digest,
    /// The digest, and the arguments with their secrets left out and long values cut.
    #[default]
    Redacted,
    /// The digest, and the arguments as they came.
    Full,
}

/// What stands in the place of a secret.
const REDACTED: &str = "[redacted]";
/// The largest arguments that are read to be redacted; of larger ones only the digest is kept.
const MAX_READ_BYTES: usize = 64 * 1024;
/// The most that is kept of redacted arguments.
const MAX_BYTES: usize = 4096;
const MAX_TEXT_BYTES: usize = 1024;
const MAX_ITEMS: usize = 32;
/// The shortest word that can be a secret by its look alone.
const MIN_RANDOM_CHARS: usize = 24;
/// The shortest number of a card, and shorter than what begins as the secrets of well-known services do.
const MIN_CARD_DIGITS: usize = 13;
/// The least number of so many digits.
const MIN_CARD: u64 = 1_000_000_000_000;

/// Parts of the names of keys whose values are secret, without separators.
const SECRET_PARTS: [&str; 17] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "assertion",
    "signature",
    "authorization",
    "credential",
    "cookie",
    "bearer",
    "connectionstring",
];
/// How names of keys end whose values are secret.
const SECRET_ENDS: [&str; 2] = ["key", "pass"];
/// Names of keys whose values are secret, whatever they look like.
const SECRET_NAMES: [&str; 15] =
    ["auth", "pw", "pin", "otp", "totp", "mfa", "cvv", "cvc", "ssn", "jwt", "sessionid", "sid", "sig", "card", "cardnumber"];
/// Names of headers whose whole value is secret.
const SECRET_HEADERS: [&str; 4] = ["authorization", "proxyauthorization", "cookie", "setcookie"];
/// What stands before a secret in a header: the scheme (RFC 9110, section 11.1).
const SCHEMES: [&str; 5] = ["bearer", "basic", "digest", "negotiate", "apikey"];
/// How secrets of well-known services begin.
const SECRET_BEGINNINGS: [&str; 26] = [
    "sk-",
    "sk_",
    "pk_live_",
    "rk_live_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xoxs-",
    "xapp-",
    "akia",
    "asia",
    "aiza",
    "npm_",
    "hf_",
    "eyj",
    "ya29.",
    "sg.",
    "tck_",
    "pypi-",
];
/// URLs that are secrets themselves: whoever knows one may post there.
const SECRET_URLS: [&str; 3] = ["hooks.slack.com/", "discord.com/api/webhooks/", "discordapp.com/api/webhooks/"];

/// What a record keeps of arguments: a digest, and a text.
pub(super) fn kept(arguments: &Json, policy: Arguments, digests: &hmac::Key) -> (Option<String>, Option<String>) {
    let digest = || Some(hex(hmac::sign(digests, arguments.as_bytes()).as_ref()));
    match policy {
        Arguments::Off => (None, None),
        Arguments::Digest => (digest(), None),
        Arguments::Full => (digest(), Some(arguments.as_str().to_owned())),
        Arguments::Redacted if arguments.size_bytes() > MAX_READ_BYTES => (digest(), Some(too_many(arguments.size_bytes()))),
        // What cannot be read cannot be redacted.
        Arguments::Redacted => (digest(), arguments.to_value().ok().map(redacted)),
    }
}

/// The name of what was called; the URI of a resource may hold a secret.
pub(super) fn name(name: &str, policy: Arguments) -> Cow<'_, str> {
    let without = if policy == Arguments::Full { None } else { text_without_secrets(name) };
    without.map_or(Cow::Borrowed(name), Cow::Owned)
}

/// Arguments without their secrets, and not too long.
fn redacted(mut arguments: Value) -> String {
    redact(&mut arguments);
    let text = arguments.to_string();
    if text.len() > MAX_BYTES { too_many(text.len()) } else { text }
}

fn too_many(bytes: usize) -> String {
    serde_json::json!({"…": format!("{bytes} bytes are too many to keep")}).to_string()
}

/// Takes the secrets out, and what is too much.
fn redact(value: &mut Value) {
    match value {
        Value::Object(members) => redact_members(members),
        Value::Array(items) => redact_items(items),
        Value::String(text) => {
            if let Some(kept) = text_without_secrets(text) {
                *text = kept;
            }
        }
        Value::Number(number) if is_card_number(number) => hide(value),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn hide(value: &mut Value) {
    *value = Value::String(REDACTED.into());
}

fn redact_members(members: &mut Map<String, Value>) {
    // `{"name": "X-Api-Key", "value": "…"}`: one member names what the other is.
    let is = |key: &str, names: &[&str]| names.iter().any(|name| key.eq_ignore_ascii_case(name));
    let names = |(key, value): (&String, &Value)| is(key, &["name", "key", "header"]) && value.as_str().is_some_and(names_a_secret);
    let (is_named, has_value) = (members.iter().any(names), members.keys().any(|key| is(key, &["value"])));
    let left = members.len().saturating_sub(MAX_ITEMS);
    if left > 0 {
        *members = mem::take(members).into_iter().take(MAX_ITEMS).collect();
    }
    for (key, value) in members.iter_mut() {
        if is_named && is(key, &["value"]) {
            hide(value);
        } else if has_value && is(key, &["key"]) {
            // What is called a key here is the name of something.
            redact(value);
        } else {
            redact_member(key, value);
        }
    }
    if members.keys().any(|key| text_without_secrets(key).is_some()) {
        *members = mem::take(members).into_iter().map(|(key, value)| (text_without_secrets(&key).unwrap_or(key), value)).collect();
    }
    if left > 0 {
        members.insert("…".into(), Value::String(format!("and {left} more")));
    }
}

fn redact_member(key: &str, value: &mut Value) {
    let plain = plain(key);
    // A count of tokens is no token.
    let is_count = value.is_number() && (plain.ends_with("tokens") || plain.starts_with("max") || plain.ends_with("count"));
    match value {
        Value::Null | Value::Bool(_) => {}
        value if is_secret_name(&plain) && !is_count => hide(value),
        value => redact(value),
    }
}

fn redact_items(items: &mut Vec<Value>) {
    // `["--password", "…"]`: an option names what comes next; `["X-Api-Key", "…"]`: the first of two the second.
    let is_pair = items.len() == 2;
    let names_next = |item: &str| ((item.starts_with('-') && !item.contains('=')) || is_pair) && names_a_secret(item);
    let is_user = |item: &str| matches!(item, "-u" | "--user");
    let left = items.len().saturating_sub(MAX_ITEMS);
    items.truncate(MAX_ITEMS);
    // From the end, since each is judged by what stood before it.
    for at in (0..items.len()).rev() {
        let (before, rest) = items.split_at_mut(at);
        let (before, item) = (before.last().and_then(Value::as_str).unwrap_or_default(), &mut rest[0]);
        match item {
            Value::String(_) | Value::Number(_) if names_next(before) => hide(item),
            Value::String(text) if is_user(before) && text.contains(':') => hide(item),
            item => redact(item),
        }
    }
    if left > 0 {
        items.push(Value::String(format!("… and {left} more")));
    }
}

/// A name without its case and separators.
fn plain(name: &str) -> String {
    if name.is_ascii() {
        return name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| char::from(byte.to_ascii_lowercase())).collect();
    }
    letters(name).collect()
}

fn letters(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase)
}

/// Whether a name is one of these, but for its case and separators.
fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|one| one.len() <= name.len() && letters(name).eq(one.chars()))
}

fn is_secret_name(plain: &str) -> bool {
    plain == "key"
        || SECRET_NAMES.contains(&plain)
        || SECRET_ENDS.iter().any(|end| plain.ends_with(end))
        // Names are short: to prepare a search for each part would take longer than this.
        || (0..plain.len()).any(|at| SECRET_PARTS.iter().any(|part| plain.as_bytes()[at..].starts_with(part.as_bytes())))
}

/// Whether what has this name is most likely a secret: a password, a token, a key.
#[must_use]
pub fn names_a_secret(name: &str) -> bool {
    name.len() <= 128 && is_secret_name(&plain(name))
}

/// A text without what is a secret by its shape, or follows the name of one; `None` where all of it may be kept. Reads its beginning only,
/// once.
fn text_without_secrets(text: &str) -> Option<String> {
    if text.contains("PRIVATE KEY") {
        return Some(REDACTED.into());
    }
    let head = beginning(text);
    let mut kept = String::new();
    // What stands before the one is in what is kept, or hidden. A run is judged once, where it begins: what stands before the other was.
    let (mut taken_until, mut judged_until) = (0, 0);
    let mut at = 0;
    while let Some(&byte) = head.as_bytes().get(at) {
        // A character of several bytes is of no run.
        if !is_of_run(byte) && byte != b':' {
            at += 1;
            continue;
        }
        let rest = &head[at..];
        let run = if at >= judged_until { length_while(rest, is_of_run) } else { 0 };
        judged_until = judged_until.max(at + run);
        let (shown, hides, length) = if is_random(&rest[..run]) { (0, true, run) } else { piece(rest).unwrap_or((1, false, 1)) };
        if hides {
            kept.push_str(&head[taken_until..at + shown]);
            kept.push_str(REDACTED);
            taken_until = at + length;
        }
        at += length;
    }
    let is_cut = head.len() < text.len();
    if taken_until == 0 && !is_cut {
        return None;
    }
    kept.push_str(&head[taken_until..]);
    kept.push_str(if is_cut { "…" } else { "" });
    Some(kept)
}

/// How many characters of ASCII a text begins with that are such.
fn length_while(text: &str, is_such: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(|byte| !byte.is_ascii() || !is_such(byte)).unwrap_or(text.len())
}

/// What is read of a text: whole words of its beginning, since half a secret looks like none.
fn beginning(text: &str) -> &str {
    let head = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
    if head.len() == text.len() { head } else { &head[..head.rfind(char::is_whitespace).unwrap_or(0)] }
}

/// What a text begins with, if it is more than one character that means nothing: how much of it is shown, whether what comes
/// then is a secret, and how long all of it is.
fn piece(rest: &str) -> Option<(usize, bool, usize)> {
    if let Some((shown, length)) = password_of_url(rest) {
        return Some((shown, true, length));
    }
    if let Some(url) = SECRET_URLS.iter().find(|url| rest.starts_with(**url)) {
        return Some((url.len(), true, rest.find(char::is_whitespace).unwrap_or(rest.len())));
    }
    if let Some(length) = spaced_card(rest) {
        return Some((0, true, length));
    }
    let word = &rest[..length_while(rest, is_of_word)];
    if word.is_empty() {
        return None;
    }
    if let Some((gap, length)) = named_value(word, &rest[word.len()..]) {
        return Some((word.len() + gap, true, word.len() + gap + length));
    }
    let is_secret = looks_secret(word);
    Some((if is_secret { 0 } else { word.len() }, is_secret, word.len()))
}

/// `://user:password@host` and `://token@host`: up to where it is shown, and how long it is. A password may hold a slash.
fn password_of_url(rest: &str) -> Option<(usize, usize)> {
    let after = rest.strip_prefix("://")?;
    let after = &after[..after.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>')).unwrap_or(after.len())];
    let (user, _) = after.rsplit_once('@')?;
    let colon = user.find(':').filter(|colon| !user[..*colon].contains(['/', '?', '#']));
    let shown = match colon {
        Some(colon) => colon + 1,
        // Without a password there is at most a token, before any path.
        None if user.contains(['/', '?', '#']) => return None,
        None => 0,
    };
    (user.len() > shown).then_some(("://".len() + shown, "://".len() + user.len()))
}

/// The number of a card in groups: `4111 1111 1111 1111`.
fn spaced_card(rest: &str) -> Option<usize> {
    if !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let length = rest.bytes().take(24).take_while(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'-')).count();
    let group = rest[..length].trim_end_matches([' ', '-']);
    let digits: String = group.chars().filter(char::is_ascii_digit).collect();
    (group.len() > digits.len() && is_card(&digits)).then_some(group.len())
}

/// The value that follows its name: how far away it begins, and how long it is.
fn named_value(word: &str, after: &str) -> Option<(usize, usize)> {
    let mut begin = length_while(after, is_between);
    let gap = &after.as_bytes()[..begin];
    if gap.is_empty() {
        return None;
    }
    let has = |signs: &[u8]| gap.iter().any(|byte| signs.contains(byte));
    let is_of = |signs: &[u8]| gap.iter().all(|byte| signs.contains(byte));
    let named = if matches!(word, "-u" | "--user") {
        is_of(b" \t\"'") && after[begin..].split(char::is_whitespace).next()?.contains(':')
    } else if (word.starts_with("-u") && gap == b":") || (is_of(b" ") && is_one_of(word, &SCHEMES)) {
        true
    } else if word.starts_with('-') || has(b"=:>(") || (has(b"\"'") && is_of(b" \t\"'")) {
        names_a_secret(word)
    } else {
        let value = &after[begin..];
        // Most words are no verb.
        value.bytes().next().filter(|first| b"iwb".contains(&first.to_ascii_lowercase()))?;
        let verb = ["is ", "was ", "by ", "is: "]
            .into_iter()
            .find(|verb| value.get(..verb.len()).is_some_and(|start| start.eq_ignore_ascii_case(verb)))?;
        begin += verb.len() + length_while(&value[verb.len()..], is_between);
        names_a_secret(word) || is_one_of(word, &["identified"])
    };
    if !named {
        return None;
    }
    let quote = after[..begin].chars().last().filter(|c| matches!(c, '"' | '\'' | '`'));
    let length = length_of_value(&after[begin..], quote, is_one_of(word, &SECRET_HEADERS));
    (length > 0).then_some((begin, length))
}

/// Where a value ends: at its quote, at the end of a header's line, or where the word ends, with the one after a scheme.
fn length_of_value(value: &str, quote: Option<char>, is_header: bool) -> usize {
    if let Some(quote) = quote {
        let mut escaped = false;
        let end = value.char_indices().find(|(_, c)| {
            let ends = *c == quote && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        return end.map_or(value.len(), |(at, _)| at);
    }
    if is_header {
        return value.find(['\n', '\r', '"', '\'']).unwrap_or(value.len());
    }
    let ends = |c: char| c.is_whitespace() || matches!(c, '&' | '<' | '"' | '\'' | ')');
    let word = value.find(ends).unwrap_or(value.len());
    let after_scheme = value[word..].strip_prefix(' ').filter(|_| is_one_of(&value[..word], &SCHEMES));
    after_scheme.map_or(word, |token| word + 1 + token.find(ends).unwrap_or(token.len()))
}

/// What may stand between a name and its value.
fn is_between(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'"' | b'\'' | b'`' | b'\\' | b'=' | b':' | b'>' | b'|' | b'(' | b')' | b']' | b',')
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'~')
}

/// What a random word may be made of.
fn is_of_run(byte: u8) -> bool {
    is_of_word(byte) || matches!(byte, b'/' | b'=')
}

/// Whether a word looks like a secret, whoever named it: as those of well-known services, as the number of a card, or as if
/// made by chance.
#[must_use]
pub fn looks_secret(word: &str) -> bool {
    let begins_so = |beginning: &str| {
        word.len() >= beginning.len() + 12 && word.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning))
    };
    // Most words are too short to be one.
    word.len() >= MIN_CARD_DIGITS && (SECRET_BEGINNINGS.iter().any(|beginning| begins_so(beginning)) || is_card(word) || is_random(word))
}

/// Whether a word looks as if made by chance: long, of letters and digits, with few separators. Ids (UUIDs) are no secrets.
fn is_random(word: &str) -> bool {
    if word.len() < MIN_RANDOM_CHARS {
        return false;
    }
    let has = |of: fn(&char) -> bool| word.chars().any(|c| of(&c));
    let longest = word.split(['-', '_', '+', '/', '=', '.', '~']).map(str::len).max().unwrap_or_default();
    let is_mixed = has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase);
    let enough = match word {
        // Names of things hold dots: what is made by chance is longer than they are.
        word if word.contains(['.', '~']) => MIN_RANDOM_CHARS,
        // What stands between slashes is shorter; in a path it is a name, in Base64 letters of both cases with digits.
        word if word.contains(['/', '+']) && is_mixed => 12,
        _ => MIN_RANDOM_CHARS - 4,
    };
    let is_ascii = word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '/' | '=' | '.' | '~'));
    is_ascii && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic) && longest >= enough && !is_uuid(word)
}

fn is_uuid(word: &str) -> bool {
    word.len() == 36 && word.char_indices().all(|(at, c)| if [8, 13, 18, 23].contains(&at) { c == '-' } else { c.is_ascii_hexdigit() })
}

fn is_card_number(number: &Number) -> bool {
    // Most numbers are shorter, and are not made a text to be looked at.
    number.as_u64().is_some_and(|number| number >= MIN_CARD && is_card(&number.to_string()))
}

/// Whether a word is the number of a card, by its length and check digit (ISO/IEC 7812-1, annex B).
fn is_card(word: &str) -> bool {
    if !(MIN_CARD_DIGITS..=19).contains(&word.len()) || !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let digits = word.bytes().rev().map(|byte| u32::from(byte - b'0')).enumerate();
    let sum: u32 = digits.map(|(place, digit)| if place % 2 == 1 { digit * 2 / 10 + digit * 2 % 10 } else { digit }).sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kept_of(arguments: &Value) -> Value {
        serde_json::from_str(&redacted(arguments.clone())).unwrap()
    }

    #[test]
    fn secrets_are_known_by_the_name_of_their_key() {
        let told = json!({"user": "ann", "password": "hunter2", "apiKey": "abc", "X-Api-Key": "abc", "access_token": ["a", "b"],
            "nested": {"client-secret": {"a": 1}}, "max_tokens": 100, "pin": 1234, "dry_run": true, "Authorization": "x", "token": null});
        let kept = json!({"user": "ann", "password": REDACTED, "apiKey": REDACTED, "X-Api-Key": REDACTED, "access_token": REDACTED,
            "nested": {"client-secret": REDACTED}, "max_tokens": 100, "pin": REDACTED, "dry_run": true, "Authorization": REDACTED, "token": null});
        assert_eq!(kept_of(&told), kept);
    }

    #[test]
    fn secrets_are_known_by_their_shape() {
        for secret in [
            "sk-proj-abcdefghijklmnop1234",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "AKIAIOSFODNN7EXAMPLE",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
            "xoxb-123456789012-abcdefabcdef",
            "9f86d081884c7d659a2feaa0c55ad015",
            "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY1",
        ] {
            for text in [secret.to_owned(), format!("use {secret} please"), format!("https://x.example/?a=1&t={secret}")] {
                let kept = kept_of(&json!({ "text": text })).to_string();
                assert!(!kept.contains(secret) && kept.contains(REDACTED), "{text}: {kept}");
            }
        }
        for (text, secret) in [
            ("curl -H 'Authorization: Bearer s3cr3t' https://x.example", "s3cr3t"),
            ("mysql --password=hunter2 -u root", "hunter2"),
            ("psql --token hunter2", "hunter2"),
            ("PGPASSWORD=hunter2 psql", "hunter2"),
            ("postgres://ann:hunter2@db.example/shop", "hunter2"),
            ("{\"password\": \"hunter2\"}", "hunter2"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA", "MIIEpAIBAAKCAQEA"),
            ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQOYBF", "lQOYBF"),
            ("Authorization: Bearer abc/def+ghi=", "ghi"),
            ("Authorization: ApiKey s3cr3t", "s3cr3t"),
            ("Cookie: JSESSIONID=ABC123; other=DEF456", "DEF456"),
            ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "bPxRfi"),
            ("it is wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "K7MDENG"),
            ("password=abc#def@ghi", "ghi"),
            ("password=\"correct horse battery\" and more", "horse"),
            ("Server=x;Pwd=hun;ter2", "ter2"),
            ("my password is hunter2", "hunter2"),
            ("CREATE USER a IDENTIFIED BY 'hunter2'", "hunter2"),
            ("ALTER ROLE a PASSWORD 'hunter2'", "hunter2"),
            ("<password>hunter2</password>", "hunter2"),
            ("curl -u ann:hunter2 https://x.example", "hunter2"),
            ("https://hunter2@github.com/a/b", "hunter2"),
            ("https://hooks.slack.com/services/T000/B000/XXXX", "XXXX"),
            ("https://x.example/?a=1&sig=abc%2Fdef&b=2", "abc%2Fdef"),
            ("pay with 4111111111111111", "4111111111111111"),
            ("pay with 4111 1111 1111 1111 now", "1111 1111"),
            ("pay with 4111-1111-1111-1111", "1111-1111"),
            ("use 9f86d081884c7d659a2feaa0c55ad015.", "9f86d081"),
            ("密钥sk-proj-abcdefghijklmnop1234", "abcdefghij"),
            ("curl -u \"ann:hunter2\" https://x.example", "hunter2"),
            ("curl -uann:hunter2 https://x.example", "hunter2"),
            ("X-Auth-Token: Bearer hunter2", "hunter2"),
            ("password := \"hunter2\"", "hunter2"),
            ("'password' => 'hunter2'", "hunter2"),
            ("os.environ[\"DB_PASSWORD\"] = \"hunter2\"", "hunter2"),
            ("setPassword(\"hunter2\")", "hunter2"),
            ("password:\n  hunter2", "hunter2"),
            ("password: |\n  hunter2", "hunter2"),
            ("\"password\": \"a\\\"hunter2\"", "hunter2"),
            ("postgres://ann:hun/ter2@db.example/x", "ter2"),
            ("the password is: hunter2", "hunter2"),
            ("{\\\"token\\\": \\\"hunter2\\\"}", "hunter2"),
        ] {
            let kept = kept_of(&json!({ "text": text })).to_string();
            assert!(!kept.contains(secret), "{text}: {kept}");
        }
    }

    #[test]
    fn names_and_values_that_stand_apart_belong_together() {
        let told = json!({"args": ["--password", "hunter2", "--name", "x"], "headers": [{"name": "X-Api-Key", "value": "hunter2"}],
            "pairs": [["X-Api-Key", "hunter2"]], "curl": ["-u", "ann:hunter2"], "aws": [{"Name": "DB_PASSWORD", "Value": "hunter2"}],
            "number": 4111111111111111_u64, "password": 12345678, "max_tokens": 5, "DB_PASS": "hunter2", "AccountKey": "hunter2"});
        assert!(!kept_of(&told).to_string().contains("hunter2"), "{}", kept_of(&told));
        assert_eq!(kept_of(&told)["password"], REDACTED);
        assert_eq!(kept_of(&told)["number"], REDACTED);
        let options = json!({"args": ["--token", "--password", "hunter2"], "numbers": [["--pin", 12345678], ["--pin", null]]});
        let kept = json!({"args": ["--token", REDACTED, REDACTED], "numbers": [["--pin", REDACTED], ["--pin", null]]});
        assert_eq!(kept_of(&options), kept);
        let cut = format!("{} postgres://ann:hunter2hunter2@db", "a ".repeat(MAX_TEXT_BYTES / 2 - 12));
        assert!(!text_without_secrets(&cut).unwrap().contains("hunter"), "half a secret is one too");
        assert_eq!(name("žluť password=hunter2 kůň €", Arguments::Redacted), "žluť password=[redacted] kůň €");
        assert_eq!(name("https://x.example/?token=hunter2", Arguments::Redacted), "https://x.example/?token=[redacted]");
    }

    #[test]
    fn a_text_is_read_once_however_it_is_made() {
        let hostile =
            [format!("x://{}", "a:".repeat(2_000_000)), "password ".repeat(400_000), "a@".repeat(2_000_000), "\\\"".repeat(2_000_000)];
        for text in hostile {
            assert!(text_without_secrets(&text).unwrap().len() < 2 * MAX_TEXT_BYTES);
        }
        let arguments = Json::of(&json!({"text": "a".repeat(MAX_READ_BYTES)})).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"test");
        assert!(kept(&arguments, Arguments::Redacted, &key).1.unwrap().contains("too many to keep"));
    }

    #[test]
    fn what_is_no_secret_is_kept() {
        for text in [
            "SELECT id, updated_at FROM orders WHERE id = 'f47ac10b-58cc-4372-a567-0e02b2c3d479'",
            "the password of the wifi was changed, says the token of our esteem",
            "https://example.com/articles/how-to-build-a-2026-rust-gateway-in-a-day",
            "2 * (3 + 4)",
            "com.example.internal.DatabaseConnectionPool2",
            "kůň, 你好",
        ] {
            assert_eq!(kept_of(&json!({ "text": text })), json!({ "text": text }));
        }
    }

    #[test]
    fn a_record_does_not_grow_with_its_arguments() {
        let long = redacted(json!({"text": "a ".repeat(10_000)}));
        assert!(long.len() < 1200, "{}", long.len());
        let many: Vec<String> = (0..1000).map(|number| format!("{number} {}", "b ".repeat(200))).collect();
        assert!(redacted(json!({ "many": many })).contains("too many to keep"));
        let wide: Map<String, Value> = (0..1000).map(|number| (format!("k{number}"), json!(number))).collect();
        assert!(redacted(Value::Object(wide)).len() < 1000);
    }
}
