//! Columns that nobody may see.

use toolcrib_contract::Globs;

/// Patterns of `table.column`, compared in lower case.
#[derive(Debug, Clone, Default)]
pub(super) struct Mask {
    patterns: Vec<(Globs, Globs)>,
}

impl Mask {
    /// Patterns such as `users.email` and `*.password*`; one without a dot stands for a column of any table.
    pub(super) fn new(patterns: &[String]) -> Self {
        let patterns = patterns.iter().map(|pattern| {
            let lower = pattern.to_lowercase();
            let (table, column) = lower.rsplit_once('.').unwrap_or(("*", &lower));
            // A schema before the table makes no difference: names without one must not get around it.
            let table = table.rsplit('.').next().unwrap_or(table);
            (Globs::new([table]), Globs::new([column]))
        });
        Self { patterns: patterns.collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether this column of this table is masked.
    pub(super) fn hides(&self, table: &str, column: &str) -> bool {
        let (table, column) = (table.to_lowercase(), column.to_lowercase());
        self.patterns.iter().any(|(tables, columns)| tables.include(&table) && columns.include(&column))
    }

    /// Whether a column of this name is masked in any table.
    pub(super) fn hides_somewhere(&self, column: &str) -> bool {
        let column = column.to_lowercase();
        self.patterns.iter().any(|(_, columns)| columns.include(&column))
    }

    /// Whether some column of this table may be masked.
    pub(super) fn touches(&self, table: &str) -> bool {
        let table = table.to_lowercase();
        self.patterns.iter().any(|(tables, _)| tables.include(&table))
    }
}
