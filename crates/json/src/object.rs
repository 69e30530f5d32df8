//! Objects read and written one level deep, their members still as text.

use crate::{
    Json, JsonError,
    scan::{checked_end, checked_key, end_of_string, end_of_value, past_blanks},
};
use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr;
use std::{borrow::Cow, collections::HashSet, ops::Range};

/// The members of one object in their order, each value still as text.
///
/// Made by [`Json::members`], which refuses an object that names a member twice. Shares the buffer of its text, so it
/// may be kept and handed on: what was judged is then also what is acted upon.
#[derive(Debug, Clone)]
pub struct Members {
    text: Json,
    members: Vec<Member>,
}

#[derive(Debug, Clone)]
struct Member {
    key: Key,
    value: Range<usize>,
}

/// Where a key stands in the text or, if it was written with escapes, what it says.
#[derive(Debug, Clone)]
enum Key {
    Plain(Range<usize>),
    Unescaped(Box<str>),
}

impl Key {
    /// Reads what stands between these quotes.
    fn read(text: &[u8], place: Range<usize>) -> Result<Self, JsonError> {
        let within = place.start + 1..place.end - 1;
        if memchr(b'\\', &text[within.clone()]).is_none() {
            return Ok(Self::Plain(within));
        }
        Ok(Self::Unescaped(serde_json::from_slice(&text[place])?))
    }
}

impl Members {
    /// Checks a text that has just come and takes its members, in one pass, if it is an object nested no deeper than
    /// [`DEFAULT_MAX_DEPTH`](crate::DEFAULT_MAX_DEPTH) with `at_most` so many members, none of them named twice. Of `None` nothing else may be
    /// concluded than that this is to be asked of [`Json::parse`], which says what is wrong.
    ///
    /// ```
    /// use toolcrib_json::Members;
    ///
    /// let members = Members::parse(&r#"{"id": 7, "result": {"b": 1.0}}"#.into(), 8).expect("an object");
    /// assert_eq!(members.get("result").expect("a result").as_str(), r#"{"b": 1.0}"#);
    /// assert!(Members::parse(&r#"{"id": 7,}"#.into(), 8).is_none());
    /// ```
    #[must_use]
    pub fn parse(text: &Bytes, at_most: usize) -> Option<Self> {
        simdutf8::basic::from_utf8(text).ok()?;
        let text = text.slice(past_blanks(text, 0)..);
        if *text.first()? != b'{' {
            return None;
        }
        let mut members = Vec::with_capacity(8);
        let (mut at, mut is_open) = (past_blanks(&text, 1), true);
        while is_open && !(members.is_empty() && *text.get(at)? == b'}') {
            if members.len() == at_most {
                return None;
            }
            let value = checked_key(&text, at)?;
            let end = checked_end(&text, value, 1)?;
            members.push(Member { key: Key::read(&text, at..end_of_string(&text, at)).ok()?, value: value..end });
            at = past_blanks(&text, end);
            is_open = match *text.get(at)? {
                b',' => true,
                b'}' => false,
                _ => return None,
            };
            if is_open {
                at = past_blanks(&text, at + 1);
            }
        }
        if past_blanks(&text, at + 1) < text.len() {
            return None;
        }
        let members = Self { text: Json::trusted(text.slice(..=at)), members };
        members.refuse_duplicates().ok()?;
        Some(members)
    }

    pub(crate) fn of(text: &Json) -> Result<Self, JsonError> {
        if !text.is_object() {
            return Err(JsonError::NotAnObject(text.kind()));
        }
        let bytes = text.as_bytes();
        let mut members = Vec::with_capacity(8);
        let mut at = past_blanks(bytes, 1);
        while bytes[at] != b'}' {
            let behind_key = end_of_string(bytes, at);
            let key = Key::read(bytes, at..behind_key)?;
            let colon = past_blanks(bytes, behind_key);
            let begin = past_blanks(bytes, colon + 1);
            let end = end_of_value(bytes, begin);
            members.push(Member { key, value: begin..end });
            at = past_blanks(bytes, end);
            if bytes[at] == b',' {
                at = past_blanks(bytes, at + 1);
            }
        }
        let members = Self { text: text.clone(), members };
        members.refuse_duplicates()?;
        Ok(members)
    }

    /// The whole object as text.
    #[must_use]
    pub fn text(&self) -> &Json {
        &self.text
    }

    /// The value of a member, sharing the buffer.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Json> {
        self.find(key).map(|member| self.text.slice(member.value.clone()))
    }

    /// The text of the value of a member.
    #[must_use]
    pub fn raw(&self, key: &str) -> Option<&[u8]> {
        self.find(key).map(|member| self.value(member))
    }

    /// The value of a member, if it is a string: where it stands, unless it was written with escapes.
    #[must_use]
    pub fn str(&self, key: &str) -> Option<Cow<'_, str>> {
        let text = self.value(self.find(key)?);
        let within = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        match memchr(b'\\', within) {
            None => Some(Cow::Borrowed(std::str::from_utf8(within).expect("JSON text is UTF-8, as checked on the way in"))),
            Some(_) => serde_json::from_slice(text).ok().map(Cow::Owned),
        }
    }

    /// The value of a member, if it is a string, to keep.
    #[must_use]
    pub fn string(&self, key: &str) -> Option<String> {
        self.str(key).map(Cow::into_owned)
    }

    /// Whether there is such a member.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Every member in its order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Json)> {
        self.members.iter().map(|member| {
            let key = std::str::from_utf8(self.key(member)).expect("JSON text is UTF-8, as checked on the way in");
            (key, self.text.slice(member.value.clone()))
        })
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether the object is `{}`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Writes the object again with some members replaced, added at the end, or (with `None`) left out.
    /// What is not named stays as it was, byte for byte and in its order.
    ///
    /// ```
    /// use toolcrib_json::Json;
    ///
    /// let json = Json::parse(r#"{"name":"a","x":1.50,"y":2}"#)?;
    /// let edited = json.members()?.edit(&[("name", Some(Json::string("b"))), ("y", None), ("z", Some(Json::string("c")))]);
    /// assert_eq!(edited.as_str(), r#"{"name":"b","x":1.50,"z":"c"}"#);
    /// # Ok::<(), toolcrib_json::JsonError>(())
    /// ```
    #[must_use]
    pub fn edit(&self, edits: &[(&str, Option<Json>)]) -> Json {
        let added: usize = edits.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Json::size_bytes) + 4).sum();
        let mut object = ObjectWriter::with_capacity(self.text.size_bytes() + added);
        for member in &self.members {
            let key = self.key(member);
            match edits.iter().find(|(edited, _)| edited.as_bytes() == key) {
                None => object.put(std::str::from_utf8(key).expect("JSON text is UTF-8"), self.value(member)),
                Some((key, Some(new))) => object.put(key, new.as_bytes()),
                Some((_, None)) => {}
            }
        }
        for (key, value) in edits {
            if let Some(value) = value
                && !self.has(key)
            {
                object.put(key, value.as_bytes());
            }
        }
        object.finish()
    }

    fn refuse_duplicates(&self) -> Result<(), JsonError> {
        /// Up to here, comparing every pair is quicker than a hash table.
        const FEW: usize = 16;
        let mut seen = HashSet::new();
        for (place, member) in self.members.iter().enumerate() {
            let key = self.key(member);
            let is_double = match self.members.len() {
                ..=FEW => self.members[..place].iter().any(|earlier| self.key(earlier) == key),
                _ => !seen.insert(key),
            };
            if is_double {
                return Err(JsonError::DuplicateMember(String::from_utf8_lossy(key).into_owned()));
            }
        }
        Ok(())
    }

    fn find(&self, key: &str) -> Option<&Member> {
        self.members.iter().find(|member| self.key(member) == key.as_bytes())
    }

    fn key<'a>(&'a self, member: &'a Member) -> &'a [u8] {
        match &member.key {
            Key::Plain(place) => &self.text.as_bytes()[place.clone()],
            Key::Unescaped(key) => key.as_bytes(),
        }
    }

    fn value(&self, member: &Member) -> &[u8] {
        &self.text.as_bytes()[member.value.clone()]
    }
}

/// Writes an object member by member; [`Json::object`] starts one.
///
/// ```
/// use toolcrib_json::Json;
///
/// let json = Json::object().with("id", &Json::string("7")).with_str("note", "so\nso").finish();
/// assert_eq!(json.as_str(), r#"{"id":"7","note":"so\nso"}"#);
/// ```
#[derive(Debug)]
pub struct ObjectWriter(BytesMut);

impl ObjectWriter {
    pub(crate) fn new() -> Self {
        Self::with_capacity(128)
    }

    pub(crate) fn with_capacity(size_bytes: usize) -> Self {
        let mut buffer = BytesMut::with_capacity(size_bytes.max(2));
        buffer.put_u8(b'{');
        Self(buffer)
    }

    /// Makes room, so that a large member is copied only once.
    #[must_use]
    pub fn reserve(mut self, size_bytes: usize) -> Self {
        self.0.reserve(size_bytes);
        self
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, key: &str, value: &Json) -> Self {
        self.put(key, value.as_bytes());
        self
    }

    /// Adds a member whose value is a string.
    #[must_use]
    pub fn with_str(mut self, key: &str, value: &str) -> Self {
        self.put_key(key);
        write_string(&mut self.0, value);
        self
    }

    /// Adds a member if there is a value for it.
    #[must_use]
    pub fn with_some(self, key: &str, value: Option<&Json>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Closes the object.
    #[must_use]
    pub fn finish(mut self) -> Json {
        self.0.put_u8(b'}');
        Json::trusted(self.0.freeze())
    }

    /// Closes the object with one more member, whose value stays where it is: gives the text before it, the value, and the text after it.
    #[must_use]
    pub fn finish_around(mut self, key: &str, value: &Json) -> [Bytes; 3] {
        self.put_key(key);
        [self.0.freeze(), value.clone().into_bytes(), Bytes::from_static(b"}")]
    }

    fn put(&mut self, key: &str, value: &[u8]) {
        self.put_key(key);
        self.0.put_slice(value);
    }

    fn put_key(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.put_u8(b',');
        }
        write_string(&mut self.0, key);
        self.0.put_u8(b':');
    }
}

/// Writes a string as serde_json does.
pub(crate) fn write_string(buffer: &mut BytesMut, text: &str) {
    // Looks at every byte, which is many at a time: names and words of the protocol need no escapes.
    let is_plain = text.bytes().fold(true, |is_plain, byte| is_plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\'));
    if is_plain {
        buffer.reserve(text.len() + 2);
        buffer.put_u8(b'"');
        buffer.put_slice(text.as_bytes());
        buffer.put_u8(b'"');
    } else {
        serde_json::to_writer(buffer.writer(), text).expect("a string written to memory cannot fail");
    }
}
