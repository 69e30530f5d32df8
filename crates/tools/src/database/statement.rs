//! Which statements pass: one, out of an allow list, parsed by a real parser. For PostgreSQL, MySQL and MariaDB; SQLite has
//! its authorizer, which knows better.
//!
//! Names are judged as tokens, so that it makes no difference where in a statement a function or a table stands; what the
//! statement does is judged by its syntax tree. What the parser does not know is judged by its tokens alone, more strictly.

mod lexical;
mod masked;

use super::mask::Mask;
use lexical::Spoken;
use sqlparser::{
    ast::{BinaryOperator, Expr, Query, Select, SetExpr, Statement, UtilityOption, Visit, Visitor},
    dialect::{Dialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect},
    keywords::Keyword,
    parser::Parser,
    tokenizer::{Token, TokenWithSpan, Tokenizer, Word},
};
use std::ops::ControlFlow;

const MAX_NESTING: usize = 64;
/// How many queries may be named by WITH: some servers take twice as long for each one within another.
const MAX_NAMED_QUERIES: usize = 16;

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
    let shape = judge_spoken(&tokens, grammar, mask)?;
    Ok(Passed { sql, shape, places })
}

/// Refuses joins by the names of columns, for SQLite where columns are masked: its authorizer is not asked about the columns that
/// such a join compares.
pub(super) fn refuse_joins_by_name(sql: &str) -> Result<(), String> {
    let tokens = Tokenizer::new(&SQLiteDialect {}, sql).tokenize().map_err(|error| format!("the statement cannot be read: {error}"))?;
    let joins = |token: &Token| matches!(token, Token::Word(word) if matches!(word.keyword, Keyword::NATURAL | Keyword::USING));
    if tokens.iter().any(joins) { Err("with masked columns, tables are joined with ON, not with NATURAL or USING".into()) } else { Ok(()) }
}

fn judge_spoken(tokens: &[TokenWithSpan], grammar: Grammar, mask: &Mask) -> Result<Shape, String> {
    judge_names(tokens, grammar, mask)?;
    match parse(tokens, grammar) {
        Parsed::One(statement) => {
            judge_statement(&statement, grammar)?;
            masked::judge(&statement, mask)?;
            Ok(shape_of(&statement))
        }
        Parsed::Many => Err("more than one statement".into()),
        Parsed::Nothing => Err("there is no statement".into()),
        Parsed::TooDeep => Err(format!("the statement is nested deeper than {MAX_NESTING} levels")),
        Parsed::Unknown(reason) if !mask.is_empty() => Err(format!("this syntax is not understood: {reason}")),
        Parsed::Unknown(reason) => judge_tokens(tokens).map_err(|word| format!("this syntax is not understood ({reason}), and {word}")),
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

// ---- names -----------------------------------------------------------------------------------------------------------

/// Functions that reach outside of the database, run SQL out of a text, hold locks, change settings, or only burn time. A
/// final `*` stands for any ending.
const POSTGRES_FUNCTIONS: &[&str] = &[
    "pg_read_*",
    "pg_ls_*",
    "pg_stat_file",
    "pg_file_*",
    "pg_logdir_ls",
    "pg_write_*",
    "lo_close",
    "lo_creat",
    "lo_create",
    "lo_export",
    "lo_from_bytea",
    "lo_get",
    "lo_import",
    "lo_lseek*",
    "lo_open",
    "lo_put",
    "lo_tell*",
    "lo_truncate*",
    "lo_unlink",
    "loread",
    "lowrite",
    "pg_sleep*",
    "dblink*",
    "pg_advisory_*",
    "pg_try_advisory_*",
    "pg_terminate_backend",
    "pg_cancel_backend",
    "pg_reload_conf",
    "pg_rotate_logfile*",
    "pg_switch_*",
    "pg_create_*",
    "pg_drop_*",
    "pg_logical_*",
    "pg_replication_*",
    "pg_copy_*",
    "pg_sync_*",
    "pg_backup_*",
    "pg_start_*",
    "pg_stop_*",
    "pg_promote",
    "pg_wal_replay_*",
    "pg_stat_reset*",
    "pg_stat_statements_reset",
    "pg_stat_clear_*",
    "pg_stat_force_*",
    "pg_notify",
    "pg_import_*",
    "pg_export_snapshot",
    "pg_log_*",
    "pg_current_logfile",
    "pg_hba_*",
    "pg_ident_*",
    "pg_show_all_file_settings",
    "set_config",
    "setval",
    "nextval",
    "query_to_xml*",
    "table_to_xml*",
    "schema_to_xml*",
    "database_to_xml*",
    "cursor_to_xml*",
    "ts_stat",
    "ts_rewrite",
    "crosstab*",
    "connectby*",
    "xpath*",
    "xslt*",
    "setseed",
    "xslt_process",
    "xml_is_well_formed_file",
    "pg_prewarm",
    "autoprewarm_*",
    "pgstat*",
    "pg_execute_*",
    "brin_summarize_*",
    "brin_desummarize_*",
    "gin_clean_*",
    "pg_extension_config_dump",
    "currtid*",
    "binary_upgrade_*",
    "pg_nextoid",
    "pg_stat_get_backend_*",
    "pg_get_wal_*",
    "pg_walfile_*",
    "txid_current",
    "pg_current_xact_id",
    "http*",
    "plpy*",
    "plperl*",
    "amcheck*",
    "bt_index_*",
    "heap_page_*",
    "get_raw_page*",
    "page_*",
    "pg_truncate_*",
    "pg_visibility*",
    "pg_buffercache_evict*",
    "pg_reset_*",
    "pg_clear_*",
    "pg_restore_*",
    "pg_set_*",
    "pg_config",
];
const POSTGRES_RELATIONS: &[&str] = &[
    "pg_authid",
    "pg_shadow",
    "pg_user_mapping",
    "pg_user_mappings",
    "pg_largeobject",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_file_settings",
    "pg_subscription",
    "pg_statistic",
    "pg_foreign_server",
    "pg_backend_memory_contexts",
];
/// What the server remembers of the values of columns: denied where some are masked.
const POSTGRES_STATISTICS: &[&str] = &["pg_stats", "pg_stats_ext", "pg_stats_ext_exprs", "pg_statistic_ext_data"];
/// Patterns of functions that are common words, too: after a dot they name columns.
const COMMON_WORDS: &[&str] = &["http*", "page_*", "plpy*", "plperl*", "amcheck*", "get_raw_page*", "connectby*", "crosstab*"];
const MYSQL_FUNCTIONS: &[&str] = &[
    "load_file",
    "sleep",
    "benchmark",
    "get_lock",
    "release_lock",
    "release_all_locks",
    "master_pos_wait",
    "source_pos_wait",
    "master_gtid_wait",
    "wait_for_executed_gtid_set",
    "wait_until_sql_thread_after_gtids",
    "nextval",
    "setval",
    "sys_exec",
    "sys_eval",
    "sys_get",
    "sys_set",
    "lib_mysqludf_*",
    "des_encrypt",
    "des_decrypt",
    "name_const",
    "extractvalue",
    "updatexml",
    "service_*",
    "asynchronous_connection_*",
    "group_replication_*",
    "keyring_*",
    "audit_log_*",
    "mysql_firewall_*",
    "version_tokens_*",
    "ps_*",
];
const MYSQL_RELATIONS: &[&str] = &["mysql", "global_priv", "innodb_table_stats", "user_password_history"];

fn judge_names(tokens: &[TokenWithSpan], grammar: Grammar, mask: &Mask) -> Result<(), String> {
    let (functions, relations) = match grammar {
        Grammar::Postgres => (POSTGRES_FUNCTIONS, POSTGRES_RELATIONS),
        Grammar::Mysql => (MYSQL_FUNCTIONS, MYSQL_RELATIONS),
    };
    let at = |index: Option<usize>| index.and_then(|index| tokens.get(index)).map(|token| &token.token);
    let mut named_queries = 0;
    for (index, token) in tokens.iter().enumerate() {
        let Token::Word(word) = &token.token else { continue };
        let name = word.value.to_lowercase();
        let (before, next) = (at(index.checked_sub(1)), at(Some(index + 1)));
        // In PostgreSQL, `x.f` can be `f(x)`.
        let may_be_called = |pattern: &&&str| {
            let is_attribute = grammar == Grammar::Postgres && before == Some(&Token::Period) && !COMMON_WORDS.contains(pattern);
            next == Some(&Token::LParen) || is_attribute
        };
        if functions.iter().filter(|pattern| fits(pattern, &name)).any(|pattern| may_be_called(&pattern)) {
            return Err(format!("the function {name} is not allowed"));
        }
        // A schema is named before its dot, a relation anywhere.
        let is_statistic = grammar == Grammar::Postgres && !mask.is_empty() && POSTGRES_STATISTICS.contains(&name.as_str());
        let is_relation = relations.contains(&name.as_str()) && (name != "mysql" || next == Some(&Token::Period));
        if is_relation || is_statistic {
            return Err(format!("the relation {name} is not allowed"));
        }
        named_queries += usize::from(word.quote_style.is_none() && name == "with");
        if named_queries > MAX_NAMED_QUERIES {
            return Err(format!("more than {MAX_NAMED_QUERIES} WITH"));
        }
        if grammar == Grammar::Postgres && word.quote_style.is_none() && name == "u" && next == Some(&Token::Ampersand) {
            return Err("texts and names with U& escapes are not allowed".into());
        }
    }
    refuse_grants_of_others(tokens)
}

/// SHOW GRANTS tells password hashes, too, where it is asked about others.
fn refuse_grants_of_others(tokens: &[TokenWithSpan]) -> Result<(), String> {
    let words: Vec<String> = tokens.iter().take(4).map(|token| token.token.to_string().to_lowercase()).collect();
    let is_of_others = words.len() == 4 && words[..3] == ["show", "grants", "for"] && words[3] != "current_user";
    if is_of_others { Err("SHOW GRANTS is for the login itself".into()) } else { Ok(()) }
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

// ---- the syntax tree -------------------------------------------------------------------------------------------------

fn judge_statement(statement: &Statement, grammar: Grammar) -> Result<(), String> {
    let mut is_plan_of_writing = false;
    match statement {
        Statement::Query(_) | Statement::ExplainTable { .. } => {}
        Statement::Explain { statement: inner, analyze, options, .. } => {
            let runs = *analyze || options.as_deref().is_some_and(analyzes);
            match &**inner {
                Statement::Query(_) => {}
                // A plan of what would be written changes nothing, as long as it is only a plan.
                Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) if !runs && grammar == Grammar::Postgres => {
                    is_plan_of_writing = true;
                }
                _ => return Err("only the plans of queries can be explained".into()),
            }
        }
        other if is_show(other) => {}
        _ => {
            return Err(format!(
                "{} is not among the statements that are allowed: SELECT, WITH, VALUES, TABLE, EXPLAIN, SHOW, DESCRIBE",
                first_word(statement)
            ));
        }
    }
    match statement.visit(&mut Tree { grammar, is_plan_of_writing }) {
        ControlFlow::Break(reason) => Err(reason),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn analyzes(options: &[UtilityOption]) -> bool {
    options.iter().any(|option| option.name.value.eq_ignore_ascii_case("analyze"))
}

fn is_show(statement: &Statement) -> bool {
    use Statement as S;
    matches!(
        statement,
        S::ShowFunctions { .. }
            | S::ShowVariable { .. }
            | S::ShowStatus { .. }
            | S::ShowVariables { .. }
            | S::ShowCreate { .. }
            | S::ShowColumns { .. }
            | S::ShowDatabases { .. }
            | S::ShowProcessList { .. }
            | S::ShowSchemas { .. }
            | S::ShowCharset(_)
            | S::ShowTables { .. }
            | S::ShowViews { .. }
            | S::ShowCollation { .. }
    )
}

fn first_word(statement: &Statement) -> String {
    statement.to_string().split_whitespace().next().unwrap_or("this").to_uppercase()
}

/// Looks for what writes, locks or calls by operator, at any depth.
struct Tree {
    grammar: Grammar,
    /// Whether what writes is only planned.
    is_plan_of_writing: bool,
}

/// Operators of PostgreSQL's own that the parser has no name for, and those of its common extensions.
const KNOWN_OPERATORS: &[&str] = &[
    "<->", "<#>", "<=>", "<+>", "<~>", "<%>", "&<", "&>", "<<|", "|>>", "&<|", "|&>", "~=", "-|-", "@@@", "<%", "%>", "<<%", "%>>", "<->>",
    "<<->", "<<->>", "<->>>", "<<<->", "?-", "?|", "?-|", "?||", "##", "@-@", "!!", "^@", "<^", ">^", "|/", "||/", "!~~", "~~", "~~*",
    "!~~*", "->", "->>", "#>", "#>>", "@>", "<@", "?", "?&", "#-", "@?", "@@", "&&", "<<", ">>", "&&&", "<<=", ">>=",
];

impl Visitor for Tree {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        if !query.locks.is_empty() {
            return ControlFlow::Break("locking rows (FOR UPDATE, FOR SHARE) is not allowed".into());
        }
        if writes(&query.body) {
            return ControlFlow::Break("the query writes".into());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<String> {
        match select.into {
            Some(_) => ControlFlow::Break("SELECT INTO is not allowed".into()),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<String> {
        match statement {
            Statement::Query(_) | Statement::Explain { .. } | Statement::ExplainTable { .. } => ControlFlow::Continue(()),
            Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) if self.is_plan_of_writing => ControlFlow::Continue(()),
            other if is_show(other) => ControlFlow::Continue(()),
            other => ControlFlow::Break(format!("{} within the statement is not allowed", first_word(other))),
        }
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<String> {
        let Expr::BinaryOp { op, .. } = expression else { return ControlFlow::Continue(()) };
        match op {
            BinaryOperator::Assignment => ControlFlow::Break("assignments (:=) are not allowed".into()),
            BinaryOperator::PGCustomBinaryOperator(path) if path.first().is_none_or(|schema| schema != "pg_catalog") => {
                ControlFlow::Break("OPERATOR() is allowed for pg_catalog only".into())
            }
            BinaryOperator::Custom(name) if self.grammar == Grammar::Postgres && !KNOWN_OPERATORS.contains(&name.as_str()) => {
                ControlFlow::Break(format!("the operator {name} is not known"))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

fn writes(body: &SetExpr) -> bool {
    match body {
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => true,
        SetExpr::SetOperation { left, right, .. } => writes(left) || writes(right),
        // Queries within are visited themselves.
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) | SetExpr::Table(_) => false,
    }
}

// ---- tokens, where the parser gives up -------------------------------------------------------------------------------

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

fn judge_tokens(tokens: &[TokenWithSpan]) -> Result<Shape, String> {
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
    for index in 0..tokens.len() {
        let Some(word) = word_at(index).filter(|word| is_word(word, WRITERS)) else { continue };
        let is_called = tokens.get(index + 1).is_some_and(|token| token.token == Token::LParen) && word.keyword != Keyword::INTO;
        let is_shown = is_show && index == 1 && word.keyword == Keyword::CREATE;
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
