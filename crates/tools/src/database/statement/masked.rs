//! Masked columns in servers that do not hide columns themselves.
//!
//! A masked column may stand plainly in the outermost list of a query; its values are then replaced. Everywhere else
//! (conditions, functions, subqueries, whole rows) it could leak in another form, and the statement is refused.

use crate::database::mask::Mask;
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, Select, SelectItem, SetExpr, Statement,
    TableFactor, Visit, Visitor,
};
use std::{collections::BTreeSet, ops::ControlFlow};

/// Lets a statement pass if no masked column can leak through it.
pub(super) fn judge(statement: &Statement, mask: &Mask) -> Result<(), String> {
    if mask.is_empty() {
        return Ok(());
    }
    let mut sight = Sight {
        mask,
        mentions: 0,
        is_row_named: None,
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
    if !sight.relations.iter().any(|relation| mask.touches(relation)) {
        return Ok(());
    }
    let own_wildcards = outermost.map_or(0, wildcards);
    if sight.inner_wildcards > own_wildcards {
        return Err("a table with masked columns allows * in the outermost list only; name the columns".into());
    }
    if let Some(name) = sight.plain.iter().find(|name| sight.names.contains(*name)).or(sight.is_row_named.as_ref()) {
        return Err(format!("the whole row {name:?} may hold masked columns; name the columns"));
    }
    Ok(())
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
    let of = |expression: &Expr| match expression {
        Expr::Identifier(name) => hides(mask, name),
        Expr::CompoundIdentifier(path) => path.iter().filter(|part| hides(mask, part) == 1).count(),
        _ => 0,
    };
    let item = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expression) => of(expression),
        SelectItem::ExprWithAlias { expr, alias } => of(expr) + hides(mask, alias),
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
    /// A row as a whole, given to a function.
    is_row_named: Option<String>,
    relations: BTreeSet<String>,
    /// Names by which rows could be meant: of tables and their aliases.
    names: BTreeSet<String>,
    /// Names that stand alone as expressions.
    plain: Vec<String>,
}

impl Visitor for Sight<'_> {
    type Break = ();

    fn pre_visit_ident(&mut self, name: &Ident) -> ControlFlow<()> {
        self.mentions += hides(self.mask, name);
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let SetExpr::Table(table) = &*query.body {
            self.inner_wildcards += 1;
            self.relations.extend(table.table_name.as_ref().map(|name| name.to_lowercase()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.inner_wildcards += wildcards(select);
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
            _ => None,
        };
        self.names.extend(alias.map(|alias| alias.name.value.to_lowercase()));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        match expression {
            Expr::Identifier(name) => self.plain.push(name.value.to_lowercase()),
            Expr::CompoundIdentifier(path) => self.plain.extend(path.last().map(|name| name.value.to_lowercase())),
            Expr::QualifiedWildcard(name, _) => self.is_row_named = Some(name.to_string()),
            Expr::Function(function) => self.is_row_named = self.is_row_named.take().or_else(|| row_in(function)),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn row_in(function: &Function) -> Option<String> {
    let FunctionArguments::List(list) = &function.args else { return None };
    list.args.iter().find_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name)) => Some(name.to_string()),
        _ => None,
    })
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
    }
}
