//! What a statement does, by its syntax tree.

use super::Grammar;
use sqlparser::ast::{BinaryOperator, Expr, Ident, Query, Select, SetExpr, Statement, UtilityOption, Visit, Visitor};
use std::ops::ControlFlow;

/// Lets a statement pass that reads or tells and does nothing else at any depth, or says what it would do.
pub(super) fn judge(statement: &Statement, grammar: Grammar) -> Result<(), String> {
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
        Statement::ShowVariable { variable } if grammar == Grammar::Mysql => judge_show(variable)?,
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

/// What MySQL shows beyond what the parser knows: not its logs, and not what others do.
pub(super) const SHOWN: &[&str] = &[
    "character",
    "charset",
    "collation",
    "columns",
    "count",
    "create",
    "databases",
    "engines",
    "errors",
    "events",
    "fields",
    "full",
    "function",
    "grants",
    "index",
    "indexes",
    "keys",
    "open",
    "plugins",
    "privileges",
    "procedure",
    "schemas",
    "status",
    "storage",
    "table",
    "tables",
    "triggers",
    "variables",
    "warnings",
];

fn judge_show(words: &[Ident]) -> Result<(), String> {
    let words: Vec<String> = words.iter().map(|word| word.value.to_lowercase()).collect();
    let is_shown = words.first().is_some_and(|word| SHOWN.contains(&&**word)) && !words.iter().any(|word| word == "processlist");
    if is_shown { Ok(()) } else { Err(format!("SHOW {} is not allowed", words.join(" ").to_uppercase())) }
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
    "!~~*", "->", "->>", "#>", "#>>", "@>", "<@", "?", "?&", "#-", "@?", "@@", "&&", "<<", ">>", "&&&", "<<=", ">>=", "~<~", "~>~", "~<=~",
    "~>=~",
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
