//! `${VAR}`, `${VAR:-default}` and `${file:PATH}` in any text of a config.

use super::Lookup;
use std::{fs, path::Path};
use toolcrib_upstream::Template;

/// The largest file that a text is taken from.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Puts the values of variables, and the contents of files less the line feed at their end, in their places. A `$` that
/// begins no `${` stays. Paths start from `base`.
///
/// # Errors
/// A sentence that names the variable that is not set, the file that cannot be read, or the expression that is not
/// understood. Never a value.
pub(super) fn expand(text: &str, base: &Path, lookup: Lookup<'_>) -> Result<String, String> {
    expand_around(text, base, lookup, Callers::Refused)
}

/// The same, but that what is about the caller stays as it is.
pub(super) fn expand_for_callers(text: &str, base: &Path, lookup: Lookup<'_>) -> Result<String, String> {
    expand_around(text, base, lookup, Callers::Kept)
}

/// What becomes of expressions that only a caller gives a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Callers {
    Kept,
    Refused,
}

fn expand_around(text: &str, base: &Path, lookup: Lookup<'_>, callers: Callers) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let (expression, after) = after.split_once('}').ok_or("\"${\" without its \"}\"")?;
        if Template::is_about_caller(expression) {
            if callers == Callers::Kept {
                expanded.push_str(&format!("${{{expression}}}"));
                rest = after;
                continue;
            }
            return Err(format!(
                "\"${{{expression}}}\" differs from caller to caller: it has its place in env and headers of a server with \"sharing: perCaller\""
            ));
        }
        if let Some(path) = expression.strip_prefix("file:") {
            expanded.push_str(contents(&base.join(path))?.trim_end_matches(['\n', '\r']));
            rest = after;
            continue;
        }
        let (name, default) = match expression.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (expression, None),
        };
        if default.is_some_and(|default| default.contains("${")) {
            return Err(format!("the default of {name} holds a variable: defaults do not nest"));
        }
        if !is_name(name) {
            return Err(format!("\"${{{expression}}}\" is no variable: write ${{NAME}} or ${{NAME:-default}}"));
        }
        // As in a shell, `:-` also takes the place of an empty value.
        match (lookup(name).filter(|value| default.is_none() || !value.is_empty()), default) {
            (Some(value), _) => expanded.push_str(&value),
            (None, Some(default)) => expanded.push_str(default),
            (None, None) => return Err(format!("the variable {name} is not set: set it, or write ${{{name}:-default}}")),
        }
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
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
        fs::remove_dir_all(&folder).unwrap();
    }
}
