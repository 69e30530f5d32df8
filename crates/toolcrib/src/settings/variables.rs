//! `${VAR}` and `${VAR:-default}` in any text of a config.

use super::Lookup;

/// Puts the values of variables in their places. A `$` that begins no `${` stays.
///
/// # Errors
/// A sentence that names the variable that is not set, or the expression that is not understood. Never a value.
pub(super) fn expand(text: &str, lookup: Lookup<'_>) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let (expression, after) = after.split_once('}').ok_or("\"${\" without its \"}\"")?;
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
        let check = |text: &str, expected: Result<&str, &str>| match (expand(text, &lookup), expected) {
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
    }
}
