//! What a file says, section by section, as far as it takes to see that it says something else.

use super::document::{Faults, Node};
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

/// The sections of a file, each as a number that is another when the section is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sections(BTreeMap<String, u64>);

impl Sections {
    pub(super) fn note(&mut self, section: &str, node: &Node<'_>) {
        let mut hasher = DefaultHasher::new();
        // As it is written: values of variables do not change while we run.
        let text = node.json(&mut |text| Some(text.value), &mut Faults::default());
        text.map(|json| json.as_str().to_owned()).hash(&mut hasher);
        self.0.insert(section.to_owned(), hasher.finish());
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is this section.
    #[must_use]
    pub fn has(&self, section: &str) -> bool {
        self.0.contains_key(section)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The sections in which the two differ.
    #[must_use]
    pub fn differing<'a>(&'a self, other: &'a Self) -> BTreeSet<&'a str> {
        let names = self.0.keys().chain(other.0.keys()).map(String::as_str);
        names.filter(|name| self.0.get(*name) != other.0.get(*name)).collect()
    }
}
