//! How much of a call's arguments is kept, and what of it is a secret.
//!
//! Secrets are known by the name of their key and by their shape. Either may be mistaken: what only looks like a secret is
//! redacted too, and what looks like none is kept. Where that must not be, digests are kept, or nothing.

use crate::secret::hex;
use ring::hmac;
use serde_json::{Map, Value};
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
/// The most that is kept of redacted arguments.
const MAX_BYTES: usize = 4096;
const MAX_TEXT_CHARS: usize = 512;
const MAX_ITEMS: usize = 32;
/// The shortest word that can be a secret by its look alone.
const MIN_RANDOM_CHARS: usize = 24;

/// Parts of the names of keys whose values are secret, without separators.
const SECRET_PARTS: [&str; 16] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "authorization",
    "credential",
    "cookie",
    "bearer",
    "connectionstring",
];
/// Names of keys whose values are secret, whatever they look like.
const SECRET_NAMES: [&str; 13] =
    ["auth", "pin", "otp", "totp", "mfa", "cvv", "cvc", "ssn", "jwt", "key", "sessionid", "sid", "pass"];
/// How secrets of well-known services begin.
const SECRET_BEGINNINGS: [&str; 26] = [
    "sk-", "sk_", "pk_live_", "rk_live_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "xoxa-",
    "xoxs-", "xapp-", "akia", "asia", "aiza", "npm_", "hf_", "eyj", "ya29.", "sg.", "tck_", "pypi-",
];

/// What a record keeps of arguments: a digest, and a text.
pub(super) fn kept(arguments: &Json, policy: Arguments, digests: &hmac::Key) -> (Option<String>, Option<String>) {
    let digest = || Some(hex(hmac::sign(digests, arguments.as_bytes()).as_ref()));
    match policy {
        Arguments::Off => (None, None),
        Arguments::Digest => (digest(), None),
        Arguments::Full => (digest(), Some(arguments.as_str().to_owned())),
        // What cannot be read cannot be redacted.
        Arguments::Redacted => (digest(), arguments.to_value().ok().map(|value| redacted(&value))),
    }
}

/// Arguments without their secrets, and not too long.
fn redacted(arguments: &Value) -> String {
    let text = without_secrets(arguments).to_string();
    if text.len() > MAX_BYTES { serde_json::json!({"…": format!("{} bytes are too many to keep", text.len())}).to_string() } else { text }
}

fn without_secrets(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(members.iter().take(MAX_ITEMS).map(member).collect::<Map<_, _>>()),
        Value::Array(items) => Value::Array(items.iter().take(MAX_ITEMS).map(without_secrets).collect()),
        Value::String(text) => Value::String(text_without_secrets(text)),
        other => other.clone(),
    }
}

fn member((key, value): (&String, &Value)) -> (String, Value) {
    let secret = Value::String(REDACTED.into());
    let value = match value {
        Value::Null | Value::Bool(_) => value.clone(),
        // A count of tokens is no token; a PIN is one even as a number.
        Value::Number(_) if !is_secret_name(&plain(key)) => value.clone(),
        _ if names_a_secret(key) => secret,
        value => without_secrets(value),
    };
    (text_without_secrets(key), value)
}

/// A name without its case and separators.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn is_secret_name(plain: &str) -> bool {
    SECRET_NAMES.contains(&plain)
}

fn names_a_secret(name: &str) -> bool {
    let plain = plain(name);
    is_secret_name(&plain) || SECRET_PARTS.iter().any(|part| plain.contains(part))
}

/// A text without the words that are, or follow the name of, a secret.
fn text_without_secrets(text: &str) -> String {
    if text.contains("PRIVATE KEY-----") {
        return REDACTED.into();
    }
    let mut kept = String::with_capacity(text.len().min(MAX_TEXT_CHARS));
    let mut is_named = false;
    let mut before = String::new();
    for word in words(text) {
        if kept.chars().count() >= MAX_TEXT_CHARS {
            kept.push('…');
            return kept;
        }
        let is_separator = !word.starts_with(is_of_word);
        if is_separator {
            // The password in `scheme://user:password@host` stands between a colon and an at sign.
            kept.push_str(word);
            is_named = is_named && word.chars().all(|c| " \t=:\"'`".contains(c)) || names_its_value(&before, word);
            continue;
        }
        let is_secret = is_named || looks_secret(word) || is_password_of_url(text, word);
        kept.push_str(if is_secret { REDACTED } else { word });
        // `Authorization: Bearer abc`: the scheme is named by the header, and names the token.
        is_named = is_named && matches!(plain(word).as_str(), "bearer" | "basic" | "token");
        before = word.to_owned();
    }
    kept
}

/// Whether what follows a word is secret: `password=…`, `--token …`, `Bearer …`, `IDENTIFIED BY '…'`.
fn names_its_value(word: &str, separator: &str) -> bool {
    let begins_value = separator.contains(['=', ':']) || separator.chars().all(|c| c == ' ');
    let plain = plain(word);
    match plain.as_str() {
        "bearer" | "basic" | "identifiedby" => begins_value,
        // In prose, words follow words: only an option, an assignment or a header names a value.
        _ if separator.contains(['=', ':']) => names_a_secret(word),
        _ => word.starts_with('-') && begins_value && names_a_secret(word),
    }
}

/// Whether the word is what stands between `user:` and `@` of a URL.
fn is_password_of_url(text: &str, word: &str) -> bool {
    let Some(start) = (word.as_ptr() as usize).checked_sub(text.as_ptr() as usize) else { return false };
    let (before, after) = (&text[..start], &text[start + word.len()..]);
    let authority = before.rsplit_once("://").map(|(_, authority)| authority);
    authority.is_some_and(|authority| authority.contains(':') && !authority.contains(['/', ' ', '@'])) && {
        let rest = after.split(['/', ' ', '?', '#']).next().unwrap_or_default();
        rest.contains('@')
    }
}

/// Words and what separates them, in turn.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = rest.find(|c| is_of_word(c) != is_of_word(first)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '~' | '!' | '$' | '%' | '^' | '*' | '\\')
}

/// Whether a word looks like a secret, whoever named it: as those of well-known services, or as if made by chance.
fn looks_secret(word: &str) -> bool {
    let lowercase = word.to_ascii_lowercase();
    let begins_so = |beginning: &&str| lowercase.starts_with(*beginning) && word.len() >= beginning.len() + 12;
    if SECRET_BEGINNINGS.iter().any(|beginning| begins_so(&beginning)) {
        return true;
    }
    let has = |of: fn(&char) -> bool| word.chars().any(|c| of(&c));
    let is_mixed = has(char::is_ascii_digit) && has(char::is_ascii_alphabetic);
    let is_one_word = word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+'));
    word.len() >= MIN_RANDOM_CHARS && is_mixed && is_one_word && !is_uuid(word) && longest_run(word) >= MIN_RANDOM_CHARS - 4
}

/// Ids are not secrets by themselves.
fn is_uuid(word: &str) -> bool {
    word.len() == 36 && word.char_indices().all(|(at, c)| if [8, 13, 18, 23].contains(&at) { c == '-' } else { c.is_ascii_hexdigit() })
}

/// How many characters stand together without a separator: names of things have separators, secrets mostly none.
fn longest_run(word: &str) -> usize {
    word.split(['-', '_', '+']).map(str::len).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn redact(arguments: &Value) -> Value {
        serde_json::from_str(&redacted(arguments)).unwrap()
    }

    #[test]
    fn secrets_are_known_by_the_name_of_their_key() {
        let told = json!({"user": "ann", "password": "hunter2", "apiKey": "abc", "X-Api-Key": "abc", "access_token": ["a", "b"],
            "nested": {"client-secret": {"a": 1}}, "max_tokens": 100, "pin": 1234, "dry_run": true, "Authorization": "x", "token": null});
        let kept = json!({"user": "ann", "password": REDACTED, "apiKey": REDACTED, "X-Api-Key": REDACTED, "access_token": REDACTED,
            "nested": {"client-secret": REDACTED}, "max_tokens": 100, "pin": REDACTED, "dry_run": true, "Authorization": REDACTED, "token": null});
        assert_eq!(redact(&told), kept);
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
                let kept = redact(&json!({ "text": text })).to_string();
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
        ] {
            let kept = redact(&json!({ "text": text })).to_string();
            assert!(!kept.contains(secret), "{text}: {kept}");
        }
    }

    #[test]
    fn what_is_no_secret_is_kept() {
        for text in [
            "SELECT id, updated_at FROM orders WHERE id = 'f47ac10b-58cc-4372-a567-0e02b2c3d479'",
            "the password of the wifi was changed, says the token of our esteem",
            "https://example.com/articles/how-to-build-a-2026-rust-gateway-in-a-day",
            "2 * (3 + 4)",
            "com.example.internal.DatabaseConnectionPool2",
        ] {
            assert_eq!(redact(&json!({ "text": text })), json!({ "text": text }));
        }
    }

    #[test]
    fn a_record_does_not_grow_with_its_arguments() {
        let long = redacted(&json!({"text": "a ".repeat(10_000)}));
        assert!(long.len() < 1200, "{}", long.len());
        let many: Vec<String> = (0..1000).map(|number| format!("{number} {}", "b ".repeat(200))).collect();
        assert!(redacted(&json!({ "many": many })).contains("too many to keep"));
        let wide: Map<String, Value> = (0..1000).map(|number| (format!("k{number}"), json!(number))).collect();
        assert!(redacted(&Value::Object(wide)).len() < 1000);
    }
}
