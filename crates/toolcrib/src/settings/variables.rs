//! `${VAR}`, `${VAR:-default}` and `${file:PATH}` in any text of a config.

use super::Lookup;
use std::{fs, path::Path};
use toolcrib_upstream::{Piece, Template};

/// The largest file that a text is taken from.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Puts the values of variables, and the contents of files less the line feed at their end, in their places. A `$` that
/// begins no `${` stays. Paths start from `base`.
///
/// # Errors
/// A sentence that names the variable that is not set, the file that cannot be read, or the expression that is not
/// understood. Never a value.
pub(super) fn expand(text: &str, base: &Path, lookup: Lookup<'_>) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    for piece in pieces(text)? {
        match piece {
            Written::Text(text) => expanded.push_str(text),
            Written::Expression(expression) if Template::is_about_caller(expression) => {
                return Err(format!(
                    "\"${{{expression}}}\" differs from caller to caller: it has its place in env and headers of a server with \"sharing: perCaller\""
                ));
            }
            Written::Expression(expression) => expanded.push_str(&value(expression, base, lookup)?),
        }
    }
    Ok(expanded)
}

/// The values that are put into a text: secrets, as like as not.
pub(super) fn values(text: &str, base: &Path, lookup: Lookup<'_>) -> Vec<String> {
    let expressions = pieces(text).unwrap_or_default().into_iter();
    let expressions = expressions.filter_map(|piece| if let Written::Expression(expression) = piece { Some(expression) } else { None });
    expressions.filter_map(|expression| value(expression, base, lookup).ok()).collect()
}

/// The same, where what is about the caller may stand: that is left for whoever knows the caller. A value is never looked into.
pub(super) fn expand_for_callers(text: &str, base: &Path, lookup: Lookup<'_>) -> Result<Expanded, String> {
    let mut expanded = Vec::new();
    for piece in pieces(text)? {
        expanded.push(match piece {
            Written::Text(text) => Piece::Text(text.to_owned()),
            Written::Expression(expression) if Template::is_about_caller(expression) => Piece::of(expression)?,
            Written::Expression(expression) => Piece::Text(value(expression, base, lookup)?),
        });
    }
    let fixed = |piece: &Piece| if let Piece::Text(text) = piece { text.clone() } else { String::new() };
    let text = expanded.iter().map(fixed).collect();
    Ok(Template::new(expanded).map_or(Expanded::Fixed(text), Expanded::ForCaller))
}

/// A text with its values in their places.
#[derive(Debug, Clone)]
pub(super) enum Expanded {
    /// It is the same for everybody.
    Fixed(String),
    /// It differs from caller to caller.
    ForCaller(Template),
}

/// What stands in a text: as it is, or between `${` and `}`.
enum Written<'a> {
    Text(&'a str),
    Expression(&'a str),
}

fn pieces(text: &str) -> Result<Vec<Written<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (expression, after) = after.split_once('}').ok_or("\"${\" without its \"}\"")?;
        // A default that holds a variable ends at the wrong bracket: that is told where its value is asked for.
        pieces.extend([Written::Text(before), Written::Expression(expression)]);
        rest = after;
    }
    pieces.push(Written::Text(rest));
    Ok(pieces)
}

/// The value of an expression.
fn value(expression: &str, base: &Path, lookup: Lookup<'_>) -> Result<String, String> {
    if let Some(path) = expression.strip_prefix("file:") {
        return contents(&base.join(path)).map(|text| text.trim_end_matches(['\n', '\r']).to_owned());
    }
    let (name, default) = match expression.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (expression, None),
    };
    if default.is_some_and(|default| default.contains("${")) {
        return Err(format!("the default of {name} holds a variable: defaults do not nest"));
    }
    if !is_name(name) {
        return Err(format!("\"${{{expression}}}\" is no variable: write ${{NAME}}, ${{NAME:-default}} or ${{file:PATH}}"));
    }
    // As in a shell, `:-` also takes the place of an empty value.
    match (lookup(name).filter(|value| default.is_none() || !value.is_empty()), default) {
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!("the variable {name} is not set: set it, or write ${{{name}:-default}}")),
    }
}

fn contents(path: &Path) -> Result<String, String> {
    let failed = |reason: &dyn std::fmt::Display| format!("cannot read {}: {reason}", path.display());
    let size = fs::metadata(path).map_err(|error| failed(&error))?.len();
    if size > MAX_FILE_BYTES {
        return Err(failed(&format_args!("it has {size} bytes, more than {MAX_FILE_BYTES}")));
    }
    fs::read_to_string(path).map_err(|error| failed(&error))
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_take_their_places() {
        let lookup = |name: &str| match name {
            "TOKEN" => Some("s3cret".to_owned()),
            "EMPTY" => Some(String::new()),
            "ODD" => Some("ab${secret:x}${cd}ef".to_owned()),
            _ => None,
        };
        let folder = std::env::temp_dir().join(format!("toolcrib-variables-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("secret"), "from a file\n").unwrap();
        let check = |text: &str, expected: Result<&str, &str>| match (expand(text, &folder, &lookup), expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{text}"),
            (Err(got), Err(expected)) => assert!(got.contains(expected), "{text}: {got}"),
            (got, _) => panic!("{text}: {got:?}"),
        };
        check("Bearer ${TOKEN}", Ok("Bearer s3cret"));
        check("${TOKEN}${TOKEN}", Ok("s3crets3cret"));
        check("a $ b $TOKEN", Ok("a $ b $TOKEN"));
        check("${NONE:-fall}${NONE:-}", Ok("fall"));
        check("${EMPTY}|${EMPTY:-x}", Ok("|x"));
        check("${URL:-http://a:1/}", Ok("http://a:1/"));
        check("${NONE}", Err("the variable NONE is not set"));
        check("${TOKEN", Err("without its"));
        check("${NONE:-${TOKEN}}", Err("defaults do not nest"));
        check("${to ken}", Err("is no variable"));
        check("${}", Err("is no variable"));
        check("Bearer ${file:secret}!", Ok("Bearer from a file!"));
        check("${file:none}", Err("cannot read"));
        check("${ODD}", Ok("ab${secret:x}${cd}ef"));
        check("${caller.subject}", Err("differs from caller to caller"));
        let fixed = expand_for_callers("a ${ODD}", &folder, &lookup).unwrap();
        assert!(matches!(fixed, Expanded::Fixed(text) if text == "a ab${secret:x}${cd}ef"), "a value is never looked into");
        assert!(matches!(expand_for_callers("${TOKEN} of ${caller.sub}", &folder, &lookup), Ok(Expanded::ForCaller(_))));
        fs::remove_dir_all(&folder).unwrap();
    }
}
