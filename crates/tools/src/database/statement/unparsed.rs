//! Statements that the parser does not know, judged by their tokens alone, more strictly.

use super::{Shape, tree::SHOWN};
use sqlparser::{
    keywords::Keyword,
    tokenizer::{Token, TokenWithSpan, Word},
};

const OPENERS: &[&str] = &["select", "with", "values", "table", "show", "explain", "describe", "desc"];

/// Words that stand in no reading statement, unless quoted, or called as functions.
const WRITERS: &[&str] = &[
    "insert",
    "update",
    "delete",
    "merge",
    "into",
    "create",
    "drop",
    "alter",
    "truncate",
    "grant",
    "revoke",
    "copy",
    "do",
    "execute",
    "prepare",
    "deallocate",
    "lock",
    "unlock",
    "handler",
    "load",
    "import",
    "vacuum",
    "reindex",
    "cluster",
    "refresh",
    "rename",
    "optimize",
    "repair",
    "flush",
    "kill",
    "purge",
    "reset",
    "begin",
    "commit",
    "rollback",
    "savepoint",
    "release",
    "declare",
    "listen",
    "notify",
    "discard",
    "checkpoint",
    "install",
    "uninstall",
    "shutdown",
    "procedure",
    "outfile",
    "dumpfile",
    "analyze",
    "share",
];

/// What the statement is, if none of its words may write; otherwise which word may.
pub(super) fn judge(tokens: &[TokenWithSpan]) -> Result<Shape, String> {
    let last = tokens.iter().rposition(|token| token.token != Token::SemiColon).unwrap_or_default();
    if tokens[..=last].iter().any(|token| token.token == Token::SemiColon) {
        return Err("it may be more than one statement".into());
    }
    let word_at = |index: usize| match tokens.get(index).map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => Some(word),
        _ => None,
    };
    let is_word = |word: &&Word, of: &[&str]| of.contains(&word.value.to_lowercase().as_str());
    let first = (0..tokens.len()).find_map(word_at);
    let Some(opener) = first.filter(|word| is_word(word, OPENERS)) else {
        return Err("it does not begin as a query does".into());
    };
    let is_show = opener.keyword == Keyword::SHOW;
    if is_show && !word_at(1).is_some_and(|word| is_word(&word, SHOWN)) {
        return Err("what it shows is not known".into());
    }
    for index in 0..tokens.len() {
        let Some(word) = word_at(index).filter(|word| is_word(word, WRITERS)) else { continue };
        let is_called = tokens.get(index + 1).is_some_and(|token| token.token == Token::LParen) && word.keyword != Keyword::INTO;
        let is_shown = is_show && index == 1 && word.keyword == Keyword::CREATE && !names_login(tokens);
        if !is_called && !is_shown {
            return Err(format!("{} may write", word.value.to_uppercase()));
        }
    }
    if tokens.iter().any(|token| matches!(token.token, Token::Assignment | Token::CustomBinaryOperator(_))) {
        return Err("it holds operators that may do anything".into());
    }
    if (1..tokens.len()).any(|index| word_at(index).is_some_and(|word| word.keyword == Keyword::OPERATOR)) {
        return Err("OPERATOR may do anything".into());
    }
    let is_query = matches!(opener.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::TABLE);
    Ok(if is_query { Shape::Query } else { Shape::Telling })
}

/// SHOW CREATE USER tells password hashes.
fn names_login(tokens: &[TokenWithSpan]) -> bool {
    tokens.get(2).is_some_and(|token| matches!(&token.token, Token::Word(word) if matches!(word.keyword, Keyword::USER | Keyword::ROLE)))
}
