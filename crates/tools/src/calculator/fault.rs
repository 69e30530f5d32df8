//! What can be wrong with an expression.

use std::fmt;

/// The kinds of faults. A caller can act on each in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    /// There is no expression.
    Empty,
    /// The expression cannot be read.
    Syntax,
    /// A name that nothing has.
    UnknownIdentifier,
    /// Too few or too many arguments.
    Arity,
    /// Nothing is defined there, such as the logarithm of zero.
    Domain,
    /// A division by zero.
    DivisionByZero,
    /// Quantities of different kinds.
    UnitMismatch,
    /// More work than one call may do.
    Limit,
}

/// One fault, with the column where it shows (from 1), if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) class: Class,
    pub(crate) message: String,
    pub(crate) column: Option<usize>,
}

impl Fault {
    pub(crate) fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), column: None }
    }

    pub(crate) fn at(mut self, column: usize) -> Self {
        self.column.get_or_insert(column);
        self
    }

    pub(crate) fn syntax(message: impl Into<String>) -> Self {
        Self::new(Class::Syntax, message)
    }

    pub(crate) fn domain(message: impl Into<String>) -> Self {
        Self::new(Class::Domain, message)
    }

    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self::new(Class::Limit, message)
    }

    pub(crate) fn division_by_zero() -> Self {
        Self::new(Class::DivisionByZero, "division by zero")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.column {
            Some(column) => write!(f, " (at column {column})"),
            None => Ok(()),
        }
    }
}
