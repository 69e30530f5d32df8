//! Columns that nobody may see.

use toolcrib_contract::Globs;

#[derive(Debug, Clone)]
struct Pattern {
    written: String,
    table: Globs,
    column: Globs,
}

/// Patterns of `table.column`, compared in lower case.
#[derive(Debug, Clone, Default)]
pub(super) struct Mask {
    patterns: Vec<Pattern>,
}

impl Mask {
    /// Patterns such as `users.email` and `*.password*`; one without a dot stands for a column of any table.
    pub(super) fn new(patterns: &[String]) -> Self {
        let patterns = patterns.iter().map(|pattern| {
            let lower = pattern.to_lowercase();
            let (table, column) = lower.rsplit_once('.').unwrap_or(("*", &lower));
            // A schema before the table makes no difference: names without one must not get around it.
            let table = table.rsplit('.').next().unwrap_or(table);
            Pattern { written: pattern.clone(), table: Globs::new([table]), column: Globs::new([column]) }
        });
        Self { patterns: patterns.collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether this column of this table is masked.
    pub(super) fn hides(&self, table: &str, column: &str) -> bool {
        let (table, column) = (table.to_lowercase(), column.to_lowercase());
        self.patterns.iter().any(|pattern| pattern.table.include(&table) && pattern.column.include(&column))
    }

    /// Whether a column of this name is masked in any table.
    pub(super) fn hides_somewhere(&self, column: &str) -> bool {
        let column = column.to_lowercase();
        self.patterns.iter().any(|pattern| pattern.column.include(&column))
    }

    /// Whether some column of this table may be masked.
    pub(super) fn touches(&self, table: &str) -> bool {
        let table = table.to_lowercase();
        self.patterns.iter().any(|pattern| pattern.table.include(&table))
    }

    /// The patterns that hide none of these columns, as the config has them.
    pub(super) fn idle<'a>(&'a self, columns: &[(String, String)]) -> Vec<&'a str> {
        let hides_any = |pattern: &&Pattern| {
            columns
                .iter()
                .any(|(table, column)| pattern.table.include(&table.to_lowercase()) && pattern.column.include(&column.to_lowercase()))
        };
        self.patterns.iter().filter(|pattern| !hides_any(pattern)).map(|pattern| &*pattern.written).collect()
    }
}
