//! What is judged is what runs: a statement is written anew out of the tokens that were judged.
//!
//! A parser and a server read the same text a little differently: where a comment begins, what ends a string. Whoever knows
//! such a difference can show one statement to the one and another to the other. So the server never sees the caller's text,
//! but its tokens, one by one, with a blank between them and no comments; and tokens on whose inside the two could differ are
//! refused.

use super::{Grammar, dialect};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

const MAX_BYTES: usize = 16 << 10;
const MAX_TOKENS: usize = 4000;

/// The tokens of a statement, and the statement written anew out of them.
#[derive(Debug)]
pub(super) struct Spoken {
    pub(super) tokens: Vec<TokenWithSpan>,
    pub(super) sql: String,
    /// Where tokens begin, in characters: in the new text, and in the caller's.
    pub(super) places: Vec<(usize, usize)>,
}

/// Reads a statement as tokens.
pub(super) fn read(sql: &str, grammar: Grammar) -> Result<Spoken, String> {
    if sql.len() > MAX_BYTES {
        return Err(format!("{} bytes are more than the limit of {MAX_BYTES} for a statement", sql.len()));
    }
    if sql.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
        return Err("the statement holds control characters, a NUL character perhaps".into());
    }
    let tokens = Tokenizer::new(dialect(grammar), sql).with_unescape(false).tokenize_with_location();
    let mut tokens = tokens.map_err(|error| format!("the statement cannot be read: {error}"))?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    let tokens: Vec<TokenWithSpan> = tokens.into_iter().flat_map(without_sign).collect();
    if tokens.len() > MAX_TOKENS {
        return Err(format!("{} words and signs are more than the limit of {MAX_TOKENS}", tokens.len()));
    }
    tokens.iter().try_for_each(|token| refuse_unsure(&token.token))?;
    let lines = Lines::of(sql);
    let mut spoken = Spoken { tokens, sql: String::with_capacity(sql.len() * 2), places: Vec::new() };
    let mut before: Option<&TokenWithSpan> = None;
    let mut written_chars = 0;
    for token in &spoken.tokens {
        if let Some(before) = before
            && !stands_close(before, token)
        {
            spoken.sql.push(if goes_on(before, token) { '\n' } else { ' ' });
            written_chars += 1;
        }
        let (start, end) = (lines.offset(token.span.start), lines.offset(token.span.end));
        let (Some(start), Some(end)) = (start, end) else { return Err("the statement cannot be read".into()) };
        let slice = sql.get(start..end).ok_or("the statement cannot be read")?;
        if !is_just(slice, &token.token, grammar) {
            return Err("the statement cannot be read; comments that are executed (/*! … */) are not allowed".into());
        }
        spoken.places.push((written_chars, sql[..start].chars().count()));
        spoken.sql.push_str(slice);
        written_chars += slice.chars().count();
        before = Some(token);
    }
    Ok(spoken)
}

/// Whether a piece of the text is this token and nothing else, so that what is written anew is what was judged.
fn is_just(slice: &str, token: &Token, grammar: Grammar) -> bool {
    let read = Tokenizer::new(dialect(grammar), slice).with_unescape(false).tokenize();
    read.is_ok_and(|read| matches!(read.as_slice(), [only] if only == token))
}

/// Tokens on whose inside the parser and a server could differ.
fn refuse_unsure(token: &Token) -> Result<(), String> {
    let is_sure = match token {
        Token::Char(_)
        | Token::DoubleQuotedByteStringLiteral(_)
        | Token::TripleSingleQuotedString(_)
        | Token::TripleDoubleQuotedString(_)
        | Token::TripleSingleQuotedByteStringLiteral(_)
        | Token::TripleDoubleQuotedByteStringLiteral(_)
        | Token::SingleQuotedRawStringLiteral(_)
        | Token::DoubleQuotedRawStringLiteral(_)
        | Token::TripleSingleQuotedRawStringLiteral(_)
        | Token::TripleDoubleQuotedRawStringLiteral(_)
        | Token::QuoteDelimitedStringLiteral(_)
        | Token::NationalQuoteDelimitedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::Backslash => false,
        Token::HexStringLiteral(text) => text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        Token::SingleQuotedByteStringLiteral(text) => text.bytes().all(|byte| matches!(byte, b'0' | b'1')),
        Token::DollarQuotedString(quoted) => quoted.tag.as_ref().is_none_or(|tag| is_tag(tag)),
        Token::Placeholder(text) => text == "?" || text.strip_prefix('$').is_some_and(is_number),
        _ => true,
    };
    is_sure.then_some(()).ok_or_else(|| format!("{token} can be read in more than one way"))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_tag(tag: &str) -> bool {
    tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !tag.starts_with(|c: char| c.is_ascii_digit())
}

/// Whether two tokens must stay without a blank between them, as they were written: a function and its parenthesis (to MySQL
/// a blank makes another function of it), the parts of a name, a variable and its sign.
fn stands_close(before: &TokenWithSpan, after: &TokenWithSpan) -> bool {
    let is_close = before.span.end == after.span.start;
    let belongs = matches!(
        (&before.token, &after.token),
        (Token::Word(_), Token::LParen | Token::Period)
            | (Token::Period, Token::Word(_))
            | (Token::AtSign, Token::Word(_) | Token::AtSign | Token::SingleQuotedString(_))
    );
    is_close && belongs
}

/// Whether a text goes on in the next line: then the two are one (PostgreSQL, section 4.1.2.1).
fn goes_on(before: &TokenWithSpan, after: &TokenWithSpan) -> bool {
    let is_text = |token: &Token| matches!(token, Token::SingleQuotedString(_));
    is_text(&before.token) && is_text(&after.token) && before.span.end.line < after.span.start.line
}

/// The operator and the sign that follows it: `>-1` is `> -1`, since an operator of PostgreSQL ends with a sign only if it holds
/// certain characters (PostgreSQL, section 4.1.3).
fn without_sign(token: TokenWithSpan) -> Vec<TokenWithSpan> {
    let Token::CustomBinaryOperator(text) = &token.token else { return vec![token] };
    let Some((sign, operator)) =
        [('-', Token::Minus), ('+', Token::Plus)].into_iter().find_map(|(written, sign)| Some((sign, text.strip_suffix(written)?)))
    else {
        return vec![token];
    };
    let operator = match operator {
        ">" => Token::Gt,
        "<" => Token::Lt,
        "=" => Token::Eq,
        ">=" => Token::GtEq,
        "<=" => Token::LtEq,
        "<>" => Token::Neq,
        "*" => Token::Mul,
        "/" => Token::Div,
        "+" => Token::Plus,
        _ => return vec![token],
    };
    let Span { start, end } = token.span;
    let middle = Location::new(end.line, end.column - 1);
    vec![TokenWithSpan::new(operator, Span::new(start, middle)), TokenWithSpan::new(sign, Span::new(middle, end))]
}

/// Where the lines of a text begin.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(index, _)| index + 1)).collect();
        Self { text, starts }
    }

    /// The byte at a line and column, both counted from 1, columns in characters.
    fn offset(&self, at: Location) -> Option<usize> {
        let start = *self.starts.get(usize::try_from(at.line).ok()?.checked_sub(1)?)?;
        let column = usize::try_from(at.column).ok()?.checked_sub(1)?;
        let line = &self.text[start..];
        line.char_indices().map(|(index, _)| index).chain([line.len()]).nth(column).map(|index| start + index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_written_anew_token_by_token() {
        let check =
            |grammar, sql: &str, expected: &str| assert_eq!(read(sql, grammar).map(|spoken| spoken.sql), Ok(expected.to_owned()), "{sql}");
        let (postgres, mysql) = (Grammar::Postgres, Grammar::Mysql);
        check(
            postgres,
            "SELECT a.b,count( * )  -- why\nFROM \"T\" /* x */ WHERE 'it''s'=$$a ' b$$",
            "SELECT a.b , count( * ) FROM \"T\" WHERE 'it''s' = $$a ' b$$",
        );
        check(postgres, "SELECT E'a\\'b', x::int, -1 ->> 'ä'", "SELECT E'a\\'b' , x :: int , - 1 ->> 'ä'");
        check(mysql, "SELECT COUNT(*),5--3,`a``b`,'a\\'b',@@session.x # c", "SELECT COUNT( * ) , 5 - - 3 , `a``b` , 'a\\'b' , @@session.x");
        check(postgres, "SELECT 1>-1, 2<>-a, 3%-1", "SELECT 1 > - 1 , 2 <> - a , 3 %- 1");
        check(postgres, "SELECT 'a'\n 'b' 'c'", "SELECT 'a'\n'b' 'c'");
        let spoken = read("SELECT  1,\n /* ä */ é", postgres).unwrap();
        assert_eq!(spoken.places, [(0, 0), (7, 8), (9, 9), (11, 20)]);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read_at_all() {
        for sql in ["SELECT $☃$,'$☃$ x -- '", "SELECT 1 --\u{1}'", "SELECT x'zz'", "SELECT $1$ ' $1$", "SELECT U&'\\0041'", "SELECT 1\0"]
        {
            assert!(read(sql, Grammar::Postgres).is_err(), "{sql}");
        }
        for sql in ["SELECT b\"\\\" \", LOAD_FILE('x') -- \"", "SELECT 1 --\u{7f}'", "SELECT \\N"] {
            assert!(read(sql, Grammar::Mysql).is_err(), "{sql}");
        }
        for sql in ["SELECT 1 /*!50000 + 1 */", "/*! DROP TABLE x */"] {
            assert!(read(sql, Grammar::Mysql).unwrap_err().contains("comments that are executed"), "{sql}");
        }
        // What only the parser takes for the end of a comment, or for its beginning, does not reach the server.
        assert_eq!(read("SELECT 1 --\u{a0} , LOAD_FILE('x')", Grammar::Mysql).map(|spoken| spoken.sql).ok().as_deref(), Some("SELECT 1"));
    }
}
