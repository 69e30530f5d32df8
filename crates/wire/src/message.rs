//! One JSON-RPC 2.0 message, its payloads still text.
//!
//! A message is parsed once, in one pass over its envelope; what policy reads later is this value, never the bytes again.

use crate::method;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};
use toolcrib_json::{DEFAULT_MAX_DEPTH, Json, JsonError, Members, ObjectWriter, check_depth};

/// The most members of a message that is read in one pass: it knows five.
const MAX_ENVELOPE: usize = 8;
/// The most messages that one batch may hold.
pub const MAX_BATCH: usize = 64;

/// Names a request so that its answer finds back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Id {
    /// A whole number.
    Number(i64),
    /// A string.
    String(Box<str>),
}

/// A message that wants an answer.
#[derive(Debug, Clone)]
pub struct Request {
    /// Names the request.
    pub id: Id,
    /// What is asked for.
    pub method: Box<str>,
    /// An object, if there are parameters.
    pub params: Option<Json>,
}

/// A message that wants no answer.
#[derive(Debug, Clone)]
pub struct Notification {
    /// What is told.
    pub method: Box<str>,
    /// An object, if there are parameters.
    pub params: Option<Json>,
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub struct Response {
    /// The request that is answered; absent only where that could not be read.
    pub id: Option<Id>,
    /// What came of it.
    pub outcome: Result<Json, ErrorObject>,
}

/// Any message.
#[derive(Debug, Clone)]
pub enum Message {
    /// Wants an answer.
    Request(Request),
    /// Wants none.
    Notification(Notification),
    /// Is an answer.
    Response(Response),
}

/// What arrived: one message or, in the revision that has them, a batch.
#[derive(Debug, Clone)]
pub enum Incoming {
    /// One message.
    One(Message),
    /// Several messages in an array; each that could not be read has its answer already.
    Batch(Vec<Result<Message, Fault>>),
}

/// Why a request got no result, as JSON-RPC says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct ErrorObject {
    /// The kind of error; see the constants of [`code`].
    pub code: i64,
    /// One sentence for people and models.
    pub message: String,
    /// More, for programs.
    pub data: Option<Json>,
    /// The scope with which the request would have been answered: over HTTP that is said by a status and a header (RFC 6750).
    pub missing_scope: Option<Box<str>>,
}

/// A message that could not be read, with the id to answer it by where that at least was legible.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The id of the faulty request.
    pub id: Option<Id>,
    /// What is wrong with it.
    pub error: ErrorObject,
}

/// Error codes of JSON-RPC 2.0 (section 5.1) and of MCP 2026-07-28 ("Error Codes").
pub mod code {
    /// The text is not JSON.
    pub const PARSE_ERROR: i64 = -32700;
    /// The JSON is not a JSON-RPC message.
    pub const INVALID_REQUEST: i64 = -32600;
    /// Nobody knows the method.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The parameters do not fit the method.
    pub const INVALID_PARAMS: i64 = -32602;
    /// The fault is ours.
    pub const INTERNAL_ERROR: i64 = -32603;
    /// Resource not found, in revisions up to 2025-11-25.
    pub const LEGACY_RESOURCE_NOT_FOUND: i64 = -32002;
    /// HTTP headers and body say different things (2026-07-28).
    pub const HEADER_MISMATCH: i64 = -32020;
    /// The client lacks a capability that the call needs (2026-07-28).
    pub const MISSING_CAPABILITY: i64 = -32021;
    /// The server does not speak the revision (2026-07-28).
    pub const UNSUPPORTED_VERSION: i64 = -32022;
}

impl Incoming {
    /// Reads what arrived.
    ///
    /// # Errors
    /// A [`Fault`] with -32700 for text that is not JSON and -32600 for JSON that is not a message.
    pub fn parse(text: &Bytes) -> Result<Self, Fault> {
        if text.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') {
            return Message::parse(text).map(Self::One);
        }
        check_depth(text, DEFAULT_MAX_DEPTH).map_err(|error| Fault::invalid_request(None, error.to_string()))?;
        let items: Vec<&RawValue> = serde_json::from_slice(text).map_err(|error| Fault::parse_error(&error))?;
        match items.len() {
            0 => Err(Fault::invalid_request(None, "a batch needs at least one message")),
            1..=MAX_BATCH => Ok(Self::Batch(items.into_iter().map(|item| Message::read(text, item.get().as_bytes())).collect())),
            more => Err(Fault::invalid_request(None, format!("a batch holds at most {MAX_BATCH} messages, this one holds {more}"))),
        }
    }
}

impl Message {
    /// Reads exactly one message; an array is refused.
    ///
    /// # Errors
    /// As [`Incoming::parse`].
    pub fn parse(text: &Bytes) -> Result<Self, Fault> {
        if let Some(message) = Self::at_once(text) {
            return Ok(message);
        }
        check_depth(text, DEFAULT_MAX_DEPTH).map_err(|error| Fault::invalid_request(None, error.to_string()))?;
        Self::read(text, text)
    }

    /// A message as most are, read in one pass. Of the others [`Message::read`] finds out what they are, or what is wrong with them.
    fn at_once(text: &Bytes) -> Option<Self> {
        let members = Members::parse(text, MAX_ENVELOPE)?;
        if members.raw("jsonrpc") != Some(br#""2.0""#) || members.has("error") {
            return None;
        }
        let id = match members.raw("id") {
            Some(id) => Some(Id::read(id)?),
            None => None,
        };
        let (params, result) = (members.get("params"), members.get("result"));
        match (members.has("method"), id, result) {
            (true, id, None) if params.as_ref().is_none_or(Json::is_object) => {
                let method = members.str("method")?.into();
                Some(match id {
                    Some(id) => Self::Request(Request { id, method, params }),
                    None => Self::Notification(Notification { method, params }),
                })
            }
            (false, Some(id), Some(result)) if params.is_none() => Some(Self::Response(Response { id: Some(id), outcome: Ok(result) })),
            _ => None,
        }
    }

    fn read(buffer: &Bytes, text: &[u8]) -> Result<Self, Fault> {
        let envelope: Envelope<'_> = serde_json::from_slice(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Fault::invalid_request(None, format!("not a JSON-RPC message: {error}")),
            _ => Fault::parse_error(&error),
        })?;
        envelope.into_message(buffer)
    }

    /// The message as one line of JSON text.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Request(Request { id, method, params }) => {
                start().with("id", &id.to_json()).with_str("method", method).with_some("params", params.as_ref()).finish()
            }
            Self::Notification(Notification { method, params }) => {
                start().with_str("method", method).with_some("params", params.as_ref()).finish()
            }
            Self::Response(response) => response.to_json(),
        }
    }
}

impl Response {
    /// The response as one line of JSON text. The result is copied once, nothing is parsed.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match &self.outcome {
            Ok(result) => self.head().reserve(result.size_bytes() + 16).with("result", result).finish(),
            Err(error) => self.head().with("error", &error.to_json()).finish(),
        }
    }

    /// The same text in pieces, in which a large result stays where it is.
    pub(crate) fn to_pieces(&self) -> Pieces {
        match &self.outcome {
            Ok(result) if result.size_bytes() >= WORTH_A_PIECE => Pieces(self.head().finish_around("result", result)),
            _ => self.to_json().into(),
        }
    }

    fn head(&self) -> ObjectWriter {
        start().with_some("id", self.id.as_ref().map(Id::to_json).as_ref())
    }
}

/// From which size on a result is written from where it is: to copy less than that costs less than another piece.
const WORTH_A_PIECE: usize = 8 * 1024;

/// A text that is written in pieces, one after another.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pieces([Bytes; 3]);

impl Pieces {
    pub(crate) fn size_bytes(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Takes out what is to be written next.
    pub(crate) fn take_next(&mut self) -> Option<Bytes> {
        self.0.iter_mut().find(|piece| !piece.is_empty()).map(std::mem::take)
    }
}

impl From<Bytes> for Pieces {
    fn from(text: Bytes) -> Self {
        Self([text, Bytes::new(), Bytes::new()])
    }
}

impl From<Json> for Pieces {
    fn from(text: Json) -> Self {
        text.into_bytes().into()
    }
}

impl ErrorObject {
    /// An error without further data.
    #[must_use]
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None, missing_scope: None }
    }

    /// -32602, with what is wrong.
    #[must_use]
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_PARAMS, message)
    }

    /// -32601, naming the method.
    #[must_use]
    pub fn method_not_found(method: &str) -> Self {
        Self::new(code::METHOD_NOT_FOUND, format!("method not found: {method}"))
    }

    /// Adds data for programs.
    #[must_use]
    pub fn with_data(mut self, data: Json) -> Self {
        self.data = Some(data);
        self
    }

    /// Says which scope is missing.
    #[must_use]
    pub fn with_missing_scope(mut self, scope: impl Into<Box<str>>) -> Self {
        self.missing_scope = Some(scope.into());
        self
    }

    /// The error object as JSON text.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Json::object()
            .with("code", &Json::of(&self.code).expect("a number has a JSON form"))
            .with_str("message", &self.message)
            .with_some("data", self.data.as_ref())
            .finish()
    }
}

impl Notification {
    /// The request that is no longer wanted, if this is `notifications/cancelled`.
    #[must_use]
    pub fn cancelled_id(&self) -> Option<Id> {
        let params = self.params.as_ref().filter(|_| self.method.as_ref() == method::CANCELLED)?;
        Id::from_json(&params.members().ok()?.get("requestId")?)
    }
}

impl Fault {
    fn parse_error(error: &serde_json::Error) -> Self {
        Self { id: None, error: ErrorObject::new(code::PARSE_ERROR, format!("not valid JSON: {error}")) }
    }

    pub(crate) fn invalid_request(id: Option<Id>, message: impl Into<String>) -> Self {
        Self { id, error: ErrorObject::new(code::INVALID_REQUEST, message) }
    }

    /// The answer to give.
    #[must_use]
    pub fn into_response(self) -> Response {
        Response { id: self.id, outcome: Err(self.error) }
    }
}

impl Id {
    /// The id as JSON text.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Number(number) => Json::of(number).expect("a number has a JSON form"),
            Self::String(text) => Json::string(text),
        }
    }

    /// Reads an id: a string or a whole number within 64 bits. Null and fractions are none (MCP, "Requests").
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        Self::read(json.as_bytes())
    }

    fn read(text: &[u8]) -> Option<Self> {
        match text.first()? {
            b'"' => serde_json::from_slice(text).ok().map(Self::String),
            _ => serde_json::from_slice(text).ok().map(Self::Number),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::String(text) => text.fmt(f),
        }
    }
}

impl From<i64> for Id {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

fn start() -> ObjectWriter {
    Json::object().with_str("jsonrpc", "2.0")
}

/// The members of a message that JSON-RPC knows. A member named twice is refused by `derive(Deserialize)`.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

/// Keeps a null apart from an absent member.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Envelope<'_> {
    fn into_message(self, buffer: &Bytes) -> Result<Message, Fault> {
        let id = self.id.and_then(|raw| Id::read(raw.get().as_bytes()));
        let fault = |message: &str| Err(Fault::invalid_request(id.clone(), message));
        if self.jsonrpc.as_deref() != Some("2.0") {
            return fault("the member \"jsonrpc\" must be \"2.0\"");
        }
        if self.id.is_some_and(|raw| raw.get() != "null") && id.is_none() {
            return fault("the member \"id\" must be a string or a whole number of at most 64 bits");
        }
        let params = match self.params {
            Some(raw) if raw.get().starts_with('{') => Some(Json::shared(buffer, raw)),
            Some(_) => return fault("the member \"params\" must be an object"),
            None => None,
        };
        // Some servers write both members and null for the one that is none.
        let error = self.error.filter(|error| self.result.is_none() || error.get() != "null");
        match (self.method, self.result, error) {
            (Some(method), None, None) => match (self.id, id) {
                (None, _) => Ok(Message::Notification(Notification { method: method.into(), params })),
                (Some(_), Some(id)) => Ok(Message::Request(Request { id, method: method.into(), params })),
                (Some(_), None) => Err(Fault::invalid_request(None, "the member \"id\" must not be null")),
            },
            (None, Some(result), None) if self.id.is_some() => {
                Ok(Message::Response(Response { id, outcome: Ok(Json::shared(buffer, result)) }))
            }
            (None, None, Some(error)) => match read_error(buffer, error) {
                Ok(error) => Ok(Message::Response(Response { id, outcome: Err(error) })),
                Err(_) => fault("the member \"error\" must be an object with \"code\" and \"message\""),
            },
            _ => fault("a message has either \"method\", or \"id\" and one of \"result\" and \"error\""),
        }
    }
}

fn read_error(buffer: &Bytes, raw: &RawValue) -> Result<ErrorObject, JsonError> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        code: i64,
        #[serde(default)]
        message: String,
        #[serde(borrow, default)]
        data: Option<&'a RawValue>,
    }
    let Wire { code, message, data } = serde_json::from_str(raw.get())?;
    Ok(ErrorObject { code, message, data: data.map(|data| Json::shared(buffer, data)), missing_scope: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Incoming, Fault> {
        Incoming::parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    fn check_fault(text: &str, code: i64, id: Option<Id>) {
        let fault = parse(text).expect_err(text);
        assert_eq!((fault.error.code, fault.id), (code, id), "{text}: {}", fault.error.message);
    }

    #[test]
    fn no_message_nests_deeper_than_json_may() {
        let answer = |depth: usize| {
            let nested = "[".repeat(depth) + &"]".repeat(depth);
            Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{nested}}}"#))
        };
        for text in [answer(DEFAULT_MAX_DEPTH), answer(10 * DEFAULT_MAX_DEPTH)] {
            assert!(Message::parse(&text).is_err() && Incoming::parse(&text).is_err());
        }
        let deepest = answer(DEFAULT_MAX_DEPTH - 1);
        assert!(Message::parse(&deepest).is_ok() && Incoming::parse(&deepest).is_ok());
    }

    #[test]
    fn the_four_kinds_are_told_apart() {
        let kind = |text: &str| match parse(text).unwrap() {
            Incoming::One(Message::Request(request)) => format!("request {} {}", request.id, request.method),
            Incoming::One(Message::Notification(notification)) => format!("notification {}", notification.method),
            Incoming::One(Message::Response(Response { id: Some(id), outcome: Ok(result) })) => format!("result {id} {result}"),
            Incoming::One(Message::Response(Response { id, outcome: Err(error) })) => format!("error {id:?} {}", error.code),
            other => panic!("{other:?}"),
        };
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), "request 1 ping");
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":"a","method":"\u0070ing","params":{}}"#), "request a ping");
        assert_eq!(kind(r#"{"jsonrpc":"2.0","method":"n","x":1}"#), "notification n");
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":7,"result":{"a": 1.0}}"#), r#"result 7 {"a": 1.0}"#);
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}"#), "error None -32700");
    }

    #[test]
    fn malformed_json_is_32700_and_a_wrong_shape_is_32600() {
        for text in ["", "{", "nonsense", "{\"jsonrpc\":\"2.0\",}", "[1,"] {
            check_fault(text, code::PARSE_ERROR, None);
        }
        for text in [
            "1",
            "\"ping\"",
            "[]",
            "null",
            "{}",
            r#"{"jsonrpc":"2.0"}"#,
            r#"{"jsonrpc":"2.0","method":5}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":92233720368547758070,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","method":"a","method":"b"}"#,
            r#"{"jsonrpc":"2.0","result":{}}"#,
        ] {
            check_fault(text, code::INVALID_REQUEST, None);
        }
        for text in [
            r#"{"jsonrpc":"1.0","id":3,"method":"ping"}"#,
            r#"{"id":3,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":3,"method":"ping","params":[1]}"#,
            r#"{"jsonrpc":"2.0","id":3,"method":"ping","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":3,"result":{},"error":{"code":1,"message":""}}"#,
            r#"{"jsonrpc":"2.0","id":3,"error":"no"}"#,
        ] {
            check_fault(text, code::INVALID_REQUEST, Some(Id::Number(3)));
        }
        check_fault(
            &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"a":{}1{}}}}}"#, "[".repeat(200), "]".repeat(200)),
            code::INVALID_REQUEST,
            None,
        );
    }

    #[test]
    fn a_batch_answers_for_each_of_its_messages() {
        let Incoming::Batch(items) = parse(r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}, 5, {"jsonrpc":"2.0","method":"n"}]"#).unwrap()
        else {
            panic!()
        };
        assert!(matches!(&items[0], Ok(Message::Request(_))));
        assert_eq!(items[1].as_ref().unwrap_err().error.code, code::INVALID_REQUEST);
        assert!(matches!(&items[2], Ok(Message::Notification(_))));
        check_fault(&format!("[{}]", vec!["1"; MAX_BATCH + 1].join(",")), code::INVALID_REQUEST, None);
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Incoming::parse(&bytes.into());
        }

        #[test]
        fn what_is_written_is_read_back(id in prop_oneof![any::<i64>().prop_map(Id::Number), ".*".prop_map(|s| Id::String(s.into()))], method in ".*") {
            let request = Message::Request(Request { id: id.clone(), method: method.clone().into(), params: Some(Json::empty_object()) });
            let Ok(Message::Request(read)) = Message::parse(&request.to_json().into_bytes()) else { panic!() };
            prop_assert_eq!(read.id, id);
            prop_assert_eq!(&*read.method, method);
        }

        #[test]
        fn read_at_once_or_step_by_step_it_is_the_same_message(
            id in prop_oneof![Just(""), Just(r#""id":7,"#), Just(r#""id":"7\u0041","#), Just(r#""id":null,"#), Just(r#""id":1.5,"#), Just(r#""id":1,"id":2,"#)],
            version in prop_oneof![4 => Just("2.0"), 1 => Just("1.0"), 1 => Just(r"2\u002e0")],
            members in prop::sample::subsequence(
                vec![r#","method":"a\nb""#, r#","params":{"a":[1]}"#, r#","params":[1]"#, r#","result":{"a":{}}"#, r#","result":null"#, r#","error":null"#,
                     r#","error":{"code":1,"message":"no"}"#, r#","other":1"#, r#","other":2"#, ","], 0..5),
            blanks in "[ \n]{0,2}",
        ) {
            let text = Bytes::from(format!("{blanks}{{{id}{blanks}\"jsonrpc\":\"{version}\"{}}}{blanks}", members.concat()));
            let shown = |message: &Message| format!("{message:?} {}", message.to_json());
            if let Some(at_once) = Message::at_once(&text) {
                let step_by_step = Message::read(&text, &text);
                prop_assert!(step_by_step.is_ok(), "{text:?}");
                prop_assert_eq!(shown(&at_once), shown(&step_by_step.unwrap()));
            }
        }

        #[test]
        fn in_pieces_or_whole_it_is_the_same_text(id in ".*", size in prop_oneof![0..64usize, WORTH_A_PIECE - 8..WORTH_A_PIECE + 8, Just(1 << 20)]) {
            let response = Response { id: Some(Id::String(id.into())), outcome: Ok(Json::string(&"x".repeat(size))) };
            let mut pieces = response.to_pieces();
            let (size_bytes, mut read) = (pieces.size_bytes(), Vec::new());
            while let Some(piece) = pieces.take_next() {
                read.extend_from_slice(&piece);
            }
            let whole = response.to_json();
            prop_assert_eq!(&read[..], whole.as_bytes());
            prop_assert_eq!((size_bytes, pieces.size_bytes()), (read.len(), 0));
        }
    }
}
