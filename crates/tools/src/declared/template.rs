//! Texts and JSON with places for values: `{{city}}`, `{{order.lines}}`.
//!
//! A text that is one place and nothing else stands for the value as it is, whatever its type; a place within other text is
//! filled with the value as text. A value that is absent or null leaves out what it alone would make up.

use serde_json::{Map, Value};

/// A text with places for values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Place(Place),
}

/// Where a value is taken from: the names that lead to it, the first of them an argument's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(Vec<String>);

impl Place {
    /// The argument that the value is, or is in.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.0[0]
    }

    /// The name that comes after that, if one does.
    pub(super) fn second(&self) -> Option<&str> {
        self.0.get(1).map(String::as_str)
    }

    /// The value; none where it is absent or null.
    pub(super) fn find<'a>(&self, scope: &'a Value) -> Option<&'a Value> {
        let found = self.0.iter().try_fold(scope, |value, name| match value {
            Value::Array(items) => items.get(name.parse::<usize>().ok()?),
            other => other.get(name),
        });
        found.filter(|value| !value.is_null())
    }

    /// Reads the names that lead to a value.
    ///
    /// # Errors
    /// What is wrong with them, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let names: Vec<String> = text.trim().split('.').map(ToOwned::to_owned).collect();
        let is_name = |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        if names.iter().all(is_name) {
            Ok(Self(names))
        } else {
            Err(format!(
                "{{{{{text}}}}} is no place for a value: between the braces stands the name of an argument, such as {{{{city}}}} or {{{{order.id}}}}"
            ))
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

impl Template {
    /// Reads a text with places for values.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let (place, after) = after.split_once("}}").ok_or_else(|| format!("{text:?} has a {{{{ without its }}}}"))?;
            if !before.is_empty() {
                parts.push(Part::Literal(before.to_owned()));
            }
            parts.push(Part::Place(Place::parse(place)?));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// A text as it stands, whatever is in it.
    pub(super) fn literal_text(text: &str) -> Self {
        Self(if text.is_empty() { Vec::new() } else { vec![Part::Literal(text.to_owned())] })
    }

    /// The value of an argument, and nothing else.
    pub(super) fn argument(name: &str) -> Self {
        Self(vec![Part::Place(Place(vec![name.to_owned()]))])
    }

    /// One after the other.
    pub(super) fn joined(parts: impl IntoIterator<Item = Self>) -> Self {
        Self(parts.into_iter().flat_map(|part| part.0).collect())
    }

    /// The value, if it is one place and nothing else, and the value is there.
    pub(super) fn given<'a>(&self, scope: &'a Value) -> Option<&'a Value> {
        self.lone()?.find(scope)
    }

    /// The places in it.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.0.iter().filter_map(|part| if let Part::Place(place) = part { Some(place) } else { None })
    }

    /// The text, if there are no places in it.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it is one place and nothing else.
    #[must_use]
    pub fn is_lone(&self) -> bool {
        self.lone().is_some()
    }

    /// The place, if it is one and nothing else.
    pub(super) fn lone(&self) -> Option<&Place> {
        if let [Part::Place(place)] = self.0.as_slice() { Some(place) } else { None }
    }

    /// Whether what it gives begins with somebody's value.
    pub(super) fn begins_with_a_value(&self) -> bool {
        matches!(self.0.first(), Some(Part::Place(_)))
    }

    /// The text with its values, each written by `write`; none where a value is missing.
    pub(super) fn fill_with(&self, scope: &Value, mut write: impl FnMut(&str) -> String) -> Option<String> {
        self.0.iter().try_fold(String::new(), |mut filled, part| {
            match part {
                Part::Literal(text) => filled.push_str(text),
                Part::Place(place) => filled.push_str(&write(&text_of(place.find(scope)?))),
            }
            Some(filled)
        })
    }

    /// The text with its values; none where a value is missing.
    pub(super) fn fill(&self, scope: &Value) -> Option<String> {
        self.fill_with(scope, ToOwned::to_owned)
    }

    /// The texts that it stands for: several where it is a list and nothing else, none where its value is missing.
    pub(super) fn fill_each(&self, scope: &Value) -> Vec<String> {
        match self.lone().map(|place| place.find(scope)) {
            Some(Some(Value::Array(items))) => items.iter().filter(|item| !item.is_null()).map(text_of).collect(),
            Some(value) => value.map(text_of).into_iter().collect(),
            None => self.fill(scope).into_iter().collect(),
        }
    }

    fn value(&self, scope: &Value) -> Option<Value> {
        match self.lone() {
            Some(place) => place.find(scope).cloned(),
            None => self.fill(scope).map(Value::String),
        }
    }
}

/// A value as it stands within a text.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// JSON whose texts have places for values.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A text.
    Text(Template),
    /// Anything without texts: a number, a flag, null.
    Plain(Value),
    /// A list.
    List(Vec<Shape>),
    /// An object.
    Object(Vec<(String, Shape)>),
}

impl Shape {
    /// Reads JSON whose texts have places for values.
    ///
    /// # Errors
    /// What is wrong with one of them, in a sentence.
    pub fn parse(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => Self::Text(Template::parse(text)?),
            Value::Array(items) => Self::List(items.iter().map(Self::parse).collect::<Result<_, _>>()?),
            Value::Object(members) => {
                let parsed = members.iter().map(|(key, value)| Ok((key.clone(), Self::parse(value)?)));
                Self::Object(parsed.collect::<Result<_, String>>()?)
            }
            other => Self::Plain(other.clone()),
        })
    }

    /// The places in it.
    #[must_use]
    pub fn places(&self) -> Vec<&Place> {
        match self {
            Self::Text(text) => text.places().collect(),
            Self::Plain(_) => Vec::new(),
            Self::List(items) => items.iter().flat_map(Self::places).collect(),
            Self::Object(members) => members.iter().flat_map(|(_, shape)| shape.places()).collect(),
        }
    }

    /// The value; none where it is one that is missing. Members and items that are missing are left out.
    pub(super) fn fill(&self, scope: &Value) -> Option<Value> {
        match self {
            Self::Text(text) => text.value(scope),
            Self::Plain(value) => Some(value.clone()),
            Self::List(items) => Some(Value::Array(items.iter().filter_map(|item| item.fill(scope)).collect())),
            Self::Object(members) => {
                let filled = members.iter().filter_map(|(key, shape)| Some((key.clone(), shape.fill(scope)?)));
                Some(Value::Object(filled.collect::<Map<_, _>>()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_go_where_their_places_are() {
        let scope = json!({"city": "Bern", "days": 3, "tags": ["a", null, "b"], "order": {"lines": [{"id": 7}]}, "none": null});
        let fill = |text: &str| Template::parse(text).unwrap().fill(&scope);
        assert_eq!(fill("in {{city}} for {{ days }} days").as_deref(), Some("in Bern for 3 days"));
        assert_eq!(fill("{{order.lines.0.id}}").as_deref(), Some("7"));
        assert_eq!(fill("{{tags}}").as_deref(), Some(r#"["a",null,"b"]"#));
        assert_eq!(fill("x{{none}}"), None);
        assert_eq!(fill("x{{absent.deep}}"), None);
        assert_eq!(fill("").as_deref(), Some(""));
        assert_eq!(Template::parse("{{tags}}").unwrap().fill_each(&scope), ["a", "b"]);
        assert!(Template::parse("{{none}}").unwrap().fill_each(&scope).is_empty());
        // What a value holds is no place.
        let sly = json!({"a": "{{b}}", "b": "secret"});
        assert_eq!(Template::parse("<{{a}}>").unwrap().fill(&sly).as_deref(), Some("<{{b}}>"));
    }

    #[test]
    fn json_keeps_the_types_of_its_values() {
        let shape = json!({"a": "{{n}}", "b": ["{{list}}", "{{gone}}", 1.5], "c": {"d": "n is {{n}}", "e": "{{gone}}"}, "f": true});
        let filled = Shape::parse(&shape).unwrap().fill(&json!({"n": 18_446_744_073_709_551_615_u64, "list": [1]})).unwrap();
        let expected = json!({"a": 18_446_744_073_709_551_615_u64, "b": [[1], 1.5], "c": {"d": "n is 18446744073709551615"}, "f": true});
        assert_eq!(filled, expected);
        let roots: Vec<String> = Shape::parse(&shape).unwrap().places().into_iter().map(|place| place.root().to_owned()).collect();
        assert_eq!(roots, ["n", "list", "gone", "n", "gone"]);
    }

    #[test]
    fn what_is_no_place_is_said() {
        assert!(Template::parse("{{city").unwrap_err().contains("without its }}"));
        for odd in ["{{}}", "{{a b}}", "{{a..b}}", "{{$x}}"] {
            assert!(Template::parse(odd).unwrap_err().contains("no place for a value"), "{odd}");
        }
        assert_eq!(Template::parse("a } b { c").unwrap().literal(), Some("a } b { c"));
    }
}
