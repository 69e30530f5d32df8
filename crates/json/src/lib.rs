//! JSON text kept as it came: checked once, read lazily, edited by splicing.
//!
//! A gateway mostly carries JSON that it does not have to understand. [`Json`] is such a piece of text: known to be
//! well formed, cheap to clone (it shares one buffer), and never turned into a tree unless somebody asks. What passes
//! through untouched keeps its key order, its number text and the members nobody here has heard of.
//!
//! This crate deliberately knows nothing about JSON-RPC, MCP or tools.

mod object;
mod scan;
mod strict;

pub use object::{Members, ObjectWriter};
pub use strict::check_depth;

use bytes::{BufMut, Bytes, BytesMut};
use scan::{checked_end, past_blanks};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use std::fmt;

/// The deepest nesting that [`Json::parse`] accepts unless told otherwise.
///
/// It is serde_json's own recursion limit, so that text accepted here never fails later for its depth alone.
pub const DEFAULT_MAX_DEPTH: usize = 127;

/// A piece of JSON text, well formed and kept byte for byte.
///
/// ```
/// use toolcrib_json::Json;
///
/// let json = Json::parse(r#" {"b": 1.0, "a": [true]} "#)?;
/// assert_eq!(json.as_str(), r#"{"b": 1.0, "a": [true]}"#);
/// assert_eq!(json.members()?.get("b").unwrap().as_str(), "1.0");
/// # Ok::<(), toolcrib_json::JsonError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Bytes);

/// Why a text was not accepted as [`Json`], or could not be read as what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The text is not JSON, or not of the shape that was asked for.
    #[error("{0}")]
    Syntax(#[from] serde_json::Error),
    /// Arrays and objects are nested too deeply.
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit that was exceeded.
        limit: usize,
    },
    /// An object names one member twice, so that two readers could disagree about its meaning.
    #[error("the member {0:?} appears twice")]
    DuplicateMember(String),
    /// An object was needed.
    #[error("expected an object, found {0}")]
    NotAnObject(&'static str),
}

impl Json {
    /// Accepts `text` if it is one JSON value (surrounded by blanks at most) nested no deeper than [`DEFAULT_MAX_DEPTH`].
    ///
    /// # Errors
    /// [`JsonError::Syntax`] and [`JsonError::TooDeep`].
    pub fn parse(text: impl Into<Bytes>) -> Result<Self, JsonError> {
        Self::parse_within(text, DEFAULT_MAX_DEPTH)
    }

    /// Like [`Json::parse`], with a depth limit of the caller's.
    ///
    /// # Errors
    /// [`JsonError::Syntax`] and [`JsonError::TooDeep`].
    pub fn parse_within(text: impl Into<Bytes>, max_depth: usize) -> Result<Self, JsonError> {
        let text = text.into();
        if max_depth >= DEFAULT_MAX_DEPTH
            && simdutf8::basic::from_utf8(&text).is_ok()
            && let begin = past_blanks(&text, 0)
            && let Some(end) = checked_end(&text, begin, 0)
            && past_blanks(&text, end) == text.len()
        {
            return Ok(Self(text.slice(begin..end)));
        }
        // It is too deep, or no JSON: what is wrong is said here.
        check_depth(&text, max_depth)?;
        let raw: &RawValue = serde_json::from_slice(&text)?;
        Ok(Self(text.slice_ref(raw.get().as_bytes())))
    }

    /// Writes a value as JSON text.
    ///
    /// # Errors
    /// [`JsonError::Syntax`] where the value has no JSON form (a map with keys that are not strings).
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, JsonError> {
        Ok(Self(serde_json::to_vec(value)?.into()))
    }

    /// The JSON string that holds `text`.
    #[must_use]
    pub fn string(text: &str) -> Self {
        let mut written = BytesMut::with_capacity(text.len() + 2);
        object::write_string(&mut written, text);
        Self::trusted(written.freeze())
    }

    /// The empty object, `{}`.
    #[must_use]
    pub fn empty_object() -> Self {
        Self(Bytes::from_static(b"{}"))
    }

    /// The array of these items.
    ///
    /// ```
    /// # use toolcrib_json::Json;
    /// assert_eq!(Json::array([Json::string("a"), Json::empty_object()]).as_str(), r#"["a",{}]"#);
    /// ```
    #[must_use]
    pub fn array(items: impl IntoIterator<Item = Self>) -> Self {
        let mut text = BytesMut::from(&b"["[..]);
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                text.put_u8(b',');
            }
            text.put_slice(&item.0);
        }
        text.put_u8(b']');
        Self(text.freeze())
    }

    /// Starts an object to be written member by member.
    #[must_use]
    pub fn object() -> ObjectWriter {
        ObjectWriter::new()
    }

    /// Reads the text into a type of the caller's.
    ///
    /// # Errors
    /// [`JsonError::Syntax`] where the text has another shape. Types made with `derive(Deserialize)` refuse members
    /// named twice; to read a [`Value`] use [`Json::to_value`], which does so too.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, JsonError> {
        Ok(serde_json::from_slice(&self.0)?)
    }

    /// Reads the text into a type that borrows from it.
    ///
    /// # Errors
    /// As [`Json::read`].
    pub fn view<'a, T: Deserialize<'a>>(&'a self) -> Result<T, JsonError> {
        Ok(serde_json::from_slice(&self.0)?)
    }

    /// Parses the whole text into a tree and refuses an object that names a member twice, at any depth. A number beyond the
    /// range of a tree becomes the largest there is; the text keeps it as it was written.
    ///
    /// # Errors
    /// [`JsonError::Syntax`] naming the doubled member.
    pub fn to_value(&self) -> Result<Value, JsonError> {
        strict::to_value(&self.0)
    }

    /// The members of an object, each still as text.
    ///
    /// # Errors
    /// [`JsonError::NotAnObject`] and [`JsonError::DuplicateMember`].
    pub fn members(&self) -> Result<Members, JsonError> {
        Members::of(self)
    }

    /// The elements of an array, each still as text.
    ///
    /// # Errors
    /// [`JsonError::Syntax`] where this is no array.
    pub fn elements(&self) -> Result<Vec<Self>, JsonError> {
        let elements: Vec<&RawValue> = serde_json::from_slice(&self.0)?;
        Ok(elements.into_iter().map(|raw| Self::shared(&self.0, raw)).collect())
    }

    /// Whether the text is an object. Looks at one byte.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.0.first() == Some(&b'{')
    }

    /// Names the kind of the value, for error messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.0.first() {
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            _ => "a number",
        }
    }

    /// The piece of a larger `buffer` that `raw` borrows, sharing the buffer. That it is JSON, `raw` proves.
    ///
    /// # Panics
    /// If `raw` does not borrow from `buffer`.
    #[must_use]
    pub fn shared(buffer: &Bytes, raw: &RawValue) -> Self {
        Self(buffer.slice_ref(raw.get().as_bytes()))
    }

    fn slice(&self, place: std::ops::Range<usize>) -> Self {
        Self(self.0.slice(place))
    }

    /// Takes text that is known to be JSON by the way it was written.
    fn trusted(text: Bytes) -> Self {
        Self(text)
    }

    /// The same text in a buffer of its own, for a small piece that is kept while the large text around it goes.
    #[must_use]
    pub fn unshared(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("JSON text is UTF-8, as checked on the way in")
    }

    /// The text as bytes, without a copy.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The buffer itself.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The length of the text in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.0.len()
    }
}

impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
    }
}

impl From<Box<RawValue>> for Json {
    fn from(raw: Box<RawValue>) -> Self {
        Self(Box::<str>::from(raw).into_string().into())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Payloads may hold secrets and may be huge: a debug line tells only how large this one is.
        write!(f, "Json({} bytes)", self.0.len())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_slice(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests;
