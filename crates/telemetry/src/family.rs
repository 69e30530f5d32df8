//! Metrics as they are read at one moment. Names, units and attributes are those of OpenTelemetry's semantic conventions, where these
//! have any; what else there is has a name of ours.

use std::borrow::Cow;

/// An attribute of a point, and its value.
pub type Label = (&'static str, Cow<'static, str>);

/// One metric with all its points.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Its name, in lower case, with dots: `mcp.server.operation.duration`.
    pub name: &'static str,
    /// In which unit it is measured, in the words of UCUM: `s`, `By`, `1` for shares, `{call}` for what is counted.
    pub unit: &'static str,
    /// What it tells, in a sentence.
    pub help: &'static str,
    /// What was read. All of one kind.
    pub points: Vec<Point>,
}

/// What was read of one thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Which thing.
    pub labels: Vec<Label>,
    /// What was read.
    pub value: Value,
}

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// What only grows, until the process ends.
    Count(f64),
    /// What is so now.
    Gauge(f64),
    /// What is spread.
    Histogram(Histogram),
}

/// How values are spread.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Upper bounds, growing, and how many values lie at or below each.
    pub within: Vec<(f64, u64)>,
    /// How many values there are.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

impl Family {
    /// A metric without points yet.
    #[must_use]
    pub fn new(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, unit, help, points: Vec::new() }
    }

    /// Adds a point.
    #[must_use]
    pub fn with(mut self, labels: impl IntoIterator<Item = Label>, value: Value) -> Self {
        self.points.push(Point { labels: labels.into_iter().collect(), value });
        self
    }
}
