//! Which statements pass: one, out of an allow list, parsed by a real parser. For PostgreSQL, MySQL and MariaDB; SQLite has
//! its authorizer, which knows better.
//!
//! | module | what it judges |
//! |---|---|
//! | [`lexical`] | the tokens; what is run is written anew out of them |
//! | [`names`] | functions and relations, wherever in a statement they stand |
//! | [`tree`] | what the statement does |
//! | [`masked`] | how it uses columns that nobody may see |
//! | [`unparsed`] | what the parser does not know |

mod lexical;
mod masked;
mod names;
mod tree;
mod unparsed;

use super::mask::Mask;
use lexical::Spoken;
pub(super) use masked::Proviso;
use sqlparser::{
    ast::Statement,
    dialect::{Dialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect},
    keywords::Keyword,
    parser::Parser,
    tokenizer::{Token, TokenWithSpan, Tokenizer},
};

const MAX_NESTING: usize = 64;

/// Whose SQL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grammar {
    Postgres,
    Mysql,
}

/// What a statement is, as far as the engines must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// It gives rows that a cursor can step through.
    Query,
    /// It tells of the server or of the plan of a query.
    Telling,
    /// It tells how something would be written, and does not write it.
    WritingPlan,
}

/// A statement that passed, as it is to be run.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) sql: String,
    pub(super) shape: Shape,
    /// Names that stand after a dot, where columns are masked: to PostgreSQL, `x.f` can be `f(x)`.
    pub(super) dotted: Vec<String>,
    /// What holds only if the server says that it may.
    pub(super) proviso: Option<Proviso>,
    places: Vec<(usize, usize)>,
}

impl Passed {
    /// A place in the statement that was run, in characters from 1, as a place in the caller's.
    pub(super) fn original(&self, position: usize) -> usize {
        let at = position.saturating_sub(1);
        let token = self.places.iter().take_while(|(new, _)| *new <= at).last();
        token.map_or(position, |(new, old)| old + (at - new) + 1)
    }
}

/// Lets a statement pass, or says why not.
pub(super) fn judge(sql: &str, grammar: Grammar, mask: &Mask) -> Result<Passed, String> {
    let Spoken { tokens, sql, places } = lexical::read(sql, grammar)?;
    let (shape, proviso) = judge_spoken(&tokens, grammar, mask)?;
    let dotted = if mask.is_empty() { Vec::new() } else { dotted(&tokens) };
    Ok(Passed { sql, shape, dotted, proviso, places })
}

fn dotted(tokens: &[TokenWithSpan]) -> Vec<String> {
    let after_dot = |(before, name): (&TokenWithSpan, &TokenWithSpan)| match &name.token {
        Token::Word(word) if before.token == Token::Period => Some(match word.quote_style {
            Some(_) => word.value.clone(),
            None => word.value.to_ascii_lowercase(),
        }),
        _ => None,
    };
    tokens.iter().zip(tokens.iter().skip(1)).filter_map(after_dot).collect()
}

/// Refuses joins by the names of columns, for SQLite where columns are masked: its authorizer is not asked about the columns that
/// such a join compares.
pub(super) fn refuse_joins_by_name(sql: &str) -> Result<(), String> {
    let tokens = Tokenizer::new(&SQLiteDialect {}, sql).tokenize().map_err(|error| format!("the statement cannot be read: {error}"))?;
    let joins = |token: &Token| matches!(token, Token::Word(word) if matches!(word.keyword, Keyword::NATURAL | Keyword::USING));
    if tokens.iter().any(joins) { Err("with masked columns, tables are joined with ON, not with NATURAL or USING".into()) } else { Ok(()) }
}

fn judge_spoken(tokens: &[TokenWithSpan], grammar: Grammar, mask: &Mask) -> Result<(Shape, Option<Proviso>), String> {
    names::judge(tokens, grammar, mask)?;
    match parse(tokens, grammar) {
        Parsed::One(statement) => {
            tree::judge(&statement, grammar)?;
            Ok((shape_of(&statement), masked::judge(&statement, tokens, mask)?))
        }
        Parsed::Many => Err("more than one statement".into()),
        Parsed::Nothing => Err("there is no statement".into()),
        Parsed::TooDeep => Err(format!("the statement is nested deeper than {MAX_NESTING} levels")),
        Parsed::Unknown(reason) if !mask.is_empty() => Err(format!("this syntax is not understood: {reason}")),
        Parsed::Unknown(reason) => {
            let shape = unparsed::judge(tokens).map_err(|word| format!("this syntax is not understood ({reason}), and {word}"))?;
            Ok((shape, None))
        }
    }
}

fn dialect(grammar: Grammar) -> &'static dyn Dialect {
    match grammar {
        Grammar::Postgres => &PostgreSqlDialect {},
        Grammar::Mysql => &MySqlDialect {},
    }
}

enum Parsed {
    One(Box<Statement>),
    Many,
    Nothing,
    TooDeep,
    Unknown(String),
}

fn parse(tokens: &[TokenWithSpan], grammar: Grammar) -> Parsed {
    let mut parser = Parser::new(dialect(grammar)).with_recursion_limit(MAX_NESTING).with_tokens_with_locations(tokens.to_vec());
    match parser.parse_statements() {
        Ok(mut statements) => match (statements.pop(), statements.is_empty()) {
            (Some(statement), true) => Parsed::One(Box::new(statement)),
            (Some(_), false) => Parsed::Many,
            (None, _) => Parsed::Nothing,
        },
        Err(sqlparser::parser::ParserError::RecursionLimitExceeded) => Parsed::TooDeep,
        Err(error) => Parsed::Unknown(error.to_string()),
    }
}

fn shape_of(statement: &Statement) -> Shape {
    match statement {
        Statement::Query(_) => Shape::Query,
        Statement::Explain { statement: inner, .. } if !matches!(**inner, Statement::Query(_)) => Shape::WritingPlan,
        _ => Shape::Telling,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(grammar: Grammar, sql: &str, expected: Result<Shape, &str>) {
        match (judge(sql, grammar, &Mask::default()).map(|passed| passed.shape), expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{sql}"),
            (Err(got), Err(expected)) => assert!(got.contains(expected), "{sql}: {got}"),
            (got, expected) => panic!("{sql}: {got:?}, not {expected:?}"),
        }
    }

    #[test]
    fn what_reads_passes_and_what_may_write_does_not() {
        use Grammar::{Mysql, Postgres};
        check(Postgres, "SELECT id FROM users -- drop me", Ok(Shape::Query));
        check(Postgres, "SELECT count(*) FROM users ;  ", Ok(Shape::Query));
        check(Postgres, "EXPLAIN DELETE FROM orders", Ok(Shape::WritingPlan));
        check(Postgres, "EXPLAIN (ANALYZE false) DELETE FROM orders", Err("only the plans of queries"));
        check(Postgres, "SELECT 1; DROP TABLE canary", Err("more than one statement"));
        check(Postgres, "", Err("there is no statement"));
        check(Postgres, ";", Err("there is no statement"));
        check(Postgres, "DELETE FROM canary", Err("DELETE is not among the statements"));
        check(Postgres, "WITH d AS (DELETE FROM canary RETURNING *) SELECT * FROM d", Err("writes"));
        check(Postgres, "SELECT * INTO x FROM canary", Err("SELECT INTO"));
        check(Postgres, "SELECT pg_catalog . /**/ \"pg_read_file\" ('/etc/passwd')", Err("pg_read_file is not allowed"));
        check(Postgres, "SELECT * FROM ROWS FROM (pg_ls_dir('/')) AS t", Err("pg_ls_dir"));
        check(Postgres, "SELECT * FROM canary FOR SHARE", Err("locking"));
        check(Postgres, "SELECT 1 <!> 2", Err("the operator <!>"));
        check(Postgres, "SELECT 1 OPERATOR(public.<!>) 2", Err("OPERATOR"));
        check(Postgres, "SELECT 1 OPERATOR(pg_catalog.+) 2", Ok(Shape::Query));
        check(Postgres, "EXPLAIN DELETE FROM canary WHERE id OPERATOR(public.<!>) 1 = 1", Err("OPERATOR"));
        check(Postgres, "SELECT ('select 1'::text).ts_stat", Err("ts_stat is not allowed"));
        check(Postgres, "SELECT q.pg_advisory_lock FROM abs(4243::bigint) AS q", Err("pg_advisory_lock"));
        check(Postgres, "SELECT f.lo_flag, t.page_count FROM flags f, t", Ok(Shape::Query));
        check(Postgres, &format!("{}1{}", "WITH a AS (SELECT ".repeat(20), ") SELECT 1".repeat(20)), Err("WITH"));
        check(Postgres, r#"SELECT U&"pg\005fread_file"('x')"#, Err("U&"));
        check(Postgres, &format!("SELECT {}1{}", "(".repeat(1500), ")".repeat(1500)), Err("nested deeper"));
        check(Postgres, &format!("SELECT 1{}", "+1".repeat(7000)), Err("limit"));
        check(Mysql, "/*!50000 DROP TABLE canary */", Err("comments that are executed"));
        check(Mysql, "/*M!100000 DELETE FROM canary */", Err("there is no statement"));
        check(Mysql, "SELECT @a := 1", Err("assignments"));
        check(Mysql, "SELECT Priv FROM mysql.global_priv", Err("mysql"));
        check(Mysql, "SELECT SLEEP(20)", Err("sleep is not allowed"));
        check(Mysql, "SHOW GRANTS FOR root@localhost", Err("SHOW GRANTS"));
        check(Mysql, "SHOW GRANTS", Ok(Shape::Telling));
        check(Mysql, "SHOW CREATE DATABASE shop", Ok(Shape::Telling));
        check(Mysql, "SELECT '/*!' AS s", Ok(Shape::Query));
        check(Mysql, "SELECT sleep FROM flags", Ok(Shape::Query));
        check(Mysql, "SHOW COLUMNS FROM users", Ok(Shape::Telling));
    }

    #[test]
    fn where_the_parser_gives_up_tokens_decide() {
        // None of these is parsed.
        check(Grammar::Postgres, "SELECT frobnicate FROM x WITH WITH y", Ok(Shape::Query));
        check(Grammar::Postgres, "SELECT frobnicate WITH WITH DELETE", Err("DELETE may write"));
        check(Grammar::Postgres, "SELECT frobnicate WITH WITH; SELECT 1", Err("more than one statement"));
        check(Grammar::Postgres, "FROBNICATE WITH WITH", Err("does not begin as a query"));
    }
}
