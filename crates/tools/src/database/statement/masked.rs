//! Masked columns in servers that do not hide columns themselves.
//!
//! A masked column may stand plainly in the outermost list of a query; its values are then replaced. Everywhere else
//! (conditions, functions, subqueries, whole rows) it could leak in another form, and the statement is refused.

use crate::database::mask::Mask;
use sqlparser::{
    ast::{
        Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, OrderByExpr, Select, SelectItem, SetExpr, Statement,
        TableFactor, Visit, Visitor,
    },
    keywords::Keyword,
    tokenizer::{Token, TokenWithSpan},
};
use std::{collections::BTreeSet, ops::ControlFlow};

/// What is allowed only as long as none of the relations shows masked columns of another: no view, partition or heir.
#[derive(Debug, Clone)]
pub(in crate::database) struct Proviso {
    /// Their names, in lower case, without their schemas.
    pub(in crate::database) relations: Vec<String>,
    /// What is wrong if one does.
    pub(in crate::database) reason: String,
}

/// Lets a statement pass if no masked column can leak through it, as far as its text tells.
pub(super) fn judge(statement: &Statement, tokens: &[TokenWithSpan], mask: &Mask) -> Result<Option<Proviso>, String> {
    if mask.is_empty() {
        return Ok(None);
    }
    if names_table(tokens) {
        return Err("with masked columns, tables are read by SELECT, not by TABLE, and not by ONLY".into());
    }
    if matches!(statement, Statement::ShowProcessList { .. }) {
        return Err("with masked columns, the statements of others are not shown".into());
    }
    let mut sight = Sight {
        mask,
        mentions: 0,
        is_row_named: None,
        is_renamed: false,
        is_disguised: false,
        is_ordered_by_place: false,
        aliases: Vec::new(),
        inner_wildcards: 0,
        relations: BTreeSet::new(),
        names: BTreeSet::new(),
        plain: vec![],
    };
    let outermost = outermost(statement);
    let _ = statement.visit(&mut sight);
    let plain = outermost.map_or(0, |select| plain_mentions(select, mask));
    if sight.mentions > plain {
        return Err("a masked column may be selected as it is, in the outermost list, and be used nowhere else".into());
    }
    if sight.is_disguised {
        return Err("with masked columns, names begin and end with letters, digits and signs that are read in one way".into());
    }
    let touches = sight.relations.iter().any(|relation| mask.touches(relation));
    match sight.judge_rows(outermost, tokens, plain) {
        Err(reason) if !touches => Ok(Some(Proviso { relations: sight.relations.into_iter().collect(), reason })),
        judged => judged.map(|()| None),
    }
}

/// Letters that MySQL takes for ASCII ones.
const FOLDED: [char; 3] = ['\u{130}', '\u{131}', '\u{212a}'];

/// Whether TABLE or ONLY stands before rows, at any depth. The parser takes them for other things, too.
fn names_table(tokens: &[TokenWithSpan]) -> bool {
    let is = |token: &TokenWithSpan, wanted: Keyword| matches!(&token.token, Token::Word(word) if word.keyword == wanted);
    // FETCH FIRST 1 ROW ONLY has nothing after it that could be a table.
    let is_only =
        |pair: (&TokenWithSpan, &TokenWithSpan)| is(pair.0, Keyword::ONLY) && matches!(pair.1.token, Token::Word(_) | Token::LParen);
    let is_shown = tokens.first().is_some_and(|first| is(first, Keyword::SHOW));
    (!is_shown && tokens.iter().any(|token| is(token, Keyword::TABLE))) || tokens.iter().zip(tokens.iter().skip(1)).any(is_only)
}

/// Whether `x.*` stands within parentheses: as what a function is given, or a subquery gives.
fn holds_inner_row(tokens: &[TokenWithSpan]) -> bool {
    let mut depth = 0_usize;
    tokens.iter().zip(tokens.iter().skip(1)).any(|(token, next)| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > 0 && token.token == Token::Period && next.token == Token::Mul
    })
}

/// Whether rows are sorted or grouped by the place of a column, in whatever dress.
fn is_place(expression: &Expr) -> bool {
    match expression {
        Expr::Value(_) => true,
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => is_place(inner),
        Expr::Tuple(several) => several.iter().any(is_place),
        // To the parser of MySQL's dialect, these are functions.
        Expr::Function(function) => ["rollup", "cube"].contains(&function.name.to_string().to_lowercase().as_str()),
        Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => sets.iter().flatten().any(is_place),
        _ => false,
    }
}

/// The names that the outermost list gives to masked columns.
fn masked_aliases(select: &Select, mask: &Mask) -> Vec<String> {
    let alias = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { expr, alias } if mentions(expr, mask) > 0 => Some(alias.value.to_lowercase()),
        _ => None,
    };
    select.projection.iter().filter_map(alias).collect()
}

/// How often masked columns are mentioned by an expression that is nothing but a column.
fn mentions(expression: &Expr, mask: &Mask) -> usize {
    match expression {
        Expr::Identifier(name) => hides(mask, name),
        Expr::CompoundIdentifier(path) => path.iter().map(|part| hides(mask, part)).sum(),
        _ => 0,
    }
}

/// The select whose list is the list of the result.
fn outermost(statement: &Statement) -> Option<&Select> {
    match statement {
        Statement::Query(query) => match &*query.body {
            SetExpr::Select(select) => Some(select),
            _ => None,
        },
        _ => None,
    }
}

fn wildcards(select: &Select) -> usize {
    select.projection.iter().filter(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))).count()
}

/// How often masked columns are mentioned where they may be.
fn plain_mentions(select: &Select, mask: &Mask) -> usize {
    let item = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expression) => mentions(expression, mask),
        SelectItem::ExprWithAlias { expr, alias } => mentions(expr, mask) + hides(mask, alias),
        _ => 0,
    };
    select.projection.iter().map(item).sum()
}

fn hides(mask: &Mask, name: &Ident) -> usize {
    usize::from(mask.hides_somewhere(&name.value))
}

struct Sight<'a> {
    mask: &'a Mask,
    mentions: usize,
    inner_wildcards: usize,
    /// A row as a whole, outside of the lists of queries.
    is_row_named: Option<String>,
    relations: BTreeSet<String>,
    /// Names by which rows could be meant: of tables and their aliases.
    names: BTreeSet<String>,
    /// Names that stand alone as expressions.
    plain: Vec<String>,
    /// Whether columns get other names in FROM, or are matched by their names.
    is_renamed: bool,
    /// Whether a name is one that a server takes for another: it drops blanks around it, or folds its letters to ASCII.
    is_disguised: bool,
    /// Whether something is sorted or grouped by the place of a column.
    is_ordered_by_place: bool,
    /// All names that occur.
    aliases: Vec<String>,
}

impl Sight<'_> {
    /// Whether rows, or the columns in them, can be had by other names, or compared.
    fn judge_rows(&self, outermost: Option<&Select>, tokens: &[TokenWithSpan], plain: usize) -> Result<(), String> {
        let own_wildcards = outermost.map_or(0, wildcards);
        if self.inner_wildcards > own_wildcards || holds_inner_row(tokens) {
            return Err("a table with masked columns allows * in the outermost list only; name the columns".into());
        }
        if self.is_renamed {
            return Err("a table with masked columns allows no other names for its columns, and no NATURAL join".into());
        }
        if let Some(name) = self.plain.iter().find(|name| self.names.contains(*name)).or(self.is_row_named.as_ref()) {
            return Err(format!("the whole row {name:?} may hold masked columns; name the columns"));
        }
        let shows_masked = plain > 0 || own_wildcards > 0;
        let given = outermost.map(|select| masked_aliases(select, self.mask)).unwrap_or_default();
        let is_used_by_alias = given.iter().any(|alias| self.aliases.iter().filter(|name| *name == alias).count() > 1);
        let compares = outermost.is_some_and(|select| select.distinct.is_some());
        if shows_masked && (self.is_ordered_by_place || is_used_by_alias || compares) {
            return Err("a masked column can be shown, but not be used to sort, group or compare".into());
        }
        Ok(())
    }
}

impl Visitor for Sight<'_> {
    type Break = ();

    fn pre_visit_ident(&mut self, name: &Ident) -> ControlFlow<()> {
        self.mentions += hides(self.mask, name);
        self.is_disguised |= name.value.trim() != name.value || name.value.contains(FOLDED);
        self.aliases.push(name.value.to_lowercase());
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.inner_wildcards += wildcards(select);
        let joins = select.from.iter().flat_map(|from| &from.joins);
        self.is_renamed |= joins.clone().any(is_natural);
        if let GroupByExpr::Expressions(expressions, _) = &select.group_by {
            self.is_ordered_by_place |= expressions.iter().any(is_place);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        if let Some(name) = relation.0.last().and_then(|part| part.as_ident()) {
            self.relations.insert(name.value.to_lowercase());
            self.names.insert(name.value.to_lowercase());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let alias = match factor {
            TableFactor::Table { alias, .. } | TableFactor::Derived { alias, .. } => alias.as_ref(),
            // A joined group with a name is a row of all its tables.
            TableFactor::NestedJoin { alias, table_with_joins } => {
                self.is_renamed |= alias.is_some() || table_with_joins.joins.iter().any(is_natural);
                alias.as_ref()
            }
            _ => None,
        };
        self.is_renamed |= alias.is_some_and(|alias| !alias.columns.is_empty());
        self.names.extend(alias.map(|alias| alias.name.value.to_lowercase()));
        ControlFlow::Continue(())
    }

    fn pre_visit_order_by_expr(&mut self, order: &OrderByExpr) -> ControlFlow<()> {
        self.is_ordered_by_place |= is_place(&order.expr);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        match expression {
            Expr::Identifier(name) => self.plain.push(name.value.to_lowercase()),
            Expr::CompoundIdentifier(path) => self.plain.extend(path.last().map(|name| name.value.to_lowercase())),
            Expr::QualifiedWildcard(name, _) => self.is_row_named = Some(name.to_string()),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn is_natural(join: &Join) -> bool {
    use JoinOperator as J;
    let constraint = match &join.join_operator {
        J::Join(constraint) | J::Inner(constraint) | J::Left(constraint) | J::LeftOuter(constraint) | J::Right(constraint) => constraint,
        J::RightOuter(constraint) | J::FullOuter(constraint) => constraint,
        _ => return false,
    };
    matches!(constraint, JoinConstraint::Natural)
}

#[cfg(test)]
mod tests {
    use crate::database::{
        mask::Mask,
        statement::{Grammar, judge},
    };

    #[test]
    fn a_masked_column_leaks_by_no_detour() {
        let mask = Mask::new(&["users.email".into(), "*.token".into()]);
        let check = |sql: &str, passes: bool| {
            for grammar in [Grammar::Postgres, Grammar::Mysql] {
                assert_eq!(judge(sql, grammar, &mask).is_ok(), passes, "{sql}: {:?}", judge(sql, grammar, &mask));
            }
        };
        check("SELECT id, email FROM users", true);
        check("SELECT u.email AS address FROM users u WHERE id = 1", true);
        check("SELECT * FROM users", true);
        check("SELECT u.*, o.id FROM users u JOIN orders o ON o.user_id = u.id", true);
        check("SELECT count(*) FROM users", true);
        check("SELECT upper(email) FROM users", false);
        check("SELECT id FROM users WHERE email LIKE 'a%'", false);
        check("SELECT id FROM users ORDER BY email", false);
        check("SELECT x FROM (SELECT email AS x FROM users) q", false);
        check("WITH q AS (SELECT * FROM users) SELECT * FROM q", false);
        check("SELECT * FROM users UNION ALL SELECT * FROM users", false);
        check("SELECT email FROM users UNION SELECT name FROM users", false);
        check("SELECT u FROM users u", false);
        check("SELECT users FROM users", false);
        check("SELECT row_to_json(u) FROM users u", false);
        check("SELECT row_to_json(u.*) FROM users u", false);
        check("SELECT id FROM users JOIN other USING (email)", false);
        check("SELECT id FROM users NATURAL JOIN (SELECT 'a@x.org' AS email) x", false);
        check("EXPLAIN SELECT id FROM users WHERE email = 'a'", false);
        check("TABLE users", false);
        for sql in [
            "SELECT upper(c) FROM users AS u(a,b,c)",
            "SELECT a FROM users u(a,b,c) WHERE c LIKE 'a@%'",
            "SELECT row_to_json(j) FROM (users u JOIN orders o ON true) AS j",
            "SELECT u.id FROM users u NATURAL JOIN (SELECT 'b@x.org' AS x) q",
            "SELECT email AS x, (SELECT UPPER(x)) AS y FROM users",
            "SELECT id, email AS x FROM users HAVING x LIKE 'b@%'",
            "SELECT id, email AS x FROM users ORDER BY x",
            "SELECT id, email FROM users ORDER BY 2",
            "SELECT email, count(*) FROM users GROUP BY 1",
            "SELECT DISTINCT email FROM users",
            "SELECT id, email FROM users ORDER BY (2)",
            "SELECT id, email FROM users ORDER BY +2",
            "SELECT email, count(*) FROM users GROUP BY (1)",
            "SELECT email, count(*) FROM users GROUP BY ROLLUP(1)",
            "SELECT 1 AS id, 'a' AS x UNION ALL TABLE users",
            "SELECT ARRAY(TABLE \"onecol\") AS y",
            "SELECT (TABLE \"onecol\") AS y",
            "SELECT x FROM users u, LATERAL to_jsonb(u.*) x",
            "SELECT json_populate_record(base => u.*, from_json => '{}') FROM users u",
            "SHOW PROCESSLIST",
            "SELECT row_to_json(users) FROM ONLY users",
            "SELECT d FROM ONLY (users) AS u(a,b,c,d)",
            "SELECT email AS ' x', (SELECT UPPER(x)) AS y FROM users",
            "SELECT email AS \"\tx\" FROM users ORDER BY x",
        ] {
            check(sql, false);
        }
        check("SELECT id, email AS x FROM users ORDER BY id", true);
    }
}
