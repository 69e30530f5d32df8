//! What binds the rows of the log to one another, and what is signed.
//!
//! `hash = HMAC-SHA-256(hash of the row before ‖ the columns in their order)`, each column with its kind and length, so that
//! no two rows have one text. Whoever has the file without the key cannot change a row and compute those after it anew. A
//! checkpoint is a signature (Ed25519) over a row's number and hash, so that rows cannot be cut off behind it; another kind
//! of it stands where retention has cut off the oldest, and nowhere else may a chain begin.

use crate::{database::Value, times::millis};
use ring::hmac;
use std::time::SystemTime;
use toolcrib_contract::CallerId;

pub(super) type Hash = [u8; 32];

/// What the first row is bound to.
pub(super) const ORIGIN: Hash = [0; 32];

/// The columns of a row in the order in which they are hashed, but for the hash itself.
pub(super) const COLUMNS: [&str; 20] = [
    "seq",
    "id",
    "at_ms",
    "trace",
    "authority",
    "subject",
    "roles",
    "address",
    "door",
    "client",
    "kind",
    "name",
    "outcome",
    "code",
    "reason",
    "duration_us",
    "argument_bytes",
    "output_bytes",
    "digest",
    "arguments",
];

/// A row of the log: the values of [`COLUMNS`], then the hash.
pub(super) struct Row(Vec<Value>);

pub(super) struct Fields<'a> {
    pub(super) id: &'a str,
    pub(super) at_ms: i64,
    pub(super) trace: Option<&'a str>,
    pub(super) authority: &'a str,
    pub(super) subject: &'a str,
    pub(super) roles: &'a str,
    pub(super) address: Option<&'a str>,
    pub(super) door: &'a str,
    pub(super) client: Option<&'a str>,
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
    pub(super) outcome: &'a str,
    pub(super) code: Option<&'a str>,
    pub(super) reason: Option<&'a str>,
    pub(super) duration_us: i64,
    pub(super) argument_bytes: i64,
    pub(super) output_bytes: Option<i64>,
    pub(super) digest: Option<&'a str>,
    pub(super) arguments: Option<&'a str>,
}

impl Row {
    pub(super) fn new(fields: &Fields<'_>) -> Self {
        // PostgreSQL keeps no NUL in a text: callers choose names, and one of them is not to cost the records of others.
        let text = |text: &str| Value::Text(if text.contains('\0') { text.replace('\0', "\u{2400}") } else { text.to_owned() });
        let some = |given: Option<&str>| given.map_or(Value::Null, text);
        Self(vec![
            Value::Null,
            text(fields.id),
            Value::Integer(fields.at_ms),
            some(fields.trace),
            text(fields.authority),
            text(fields.subject),
            text(fields.roles),
            some(fields.address),
            text(fields.door),
            some(fields.client),
            text(fields.kind),
            text(fields.name),
            text(fields.outcome),
            some(fields.code),
            some(fields.reason),
            Value::Integer(fields.duration_us),
            Value::Integer(fields.argument_bytes),
            fields.output_bytes.map_or(Value::Null, Value::Integer),
            some(fields.digest),
            some(fields.arguments),
        ])
    }

    /// A row as it was read back: the values of [`COLUMNS`], then the hash.
    pub(super) fn read(values: Vec<Value>) -> Option<Self> {
        (values.len() == COLUMNS.len() + 1).then_some(Self(values))
    }

    /// The hash of the row, if it is the one of this number that was bound to the one before.
    pub(super) fn follows(&self, seq: i64, before: &Hash, key: &hmac::Key) -> Option<Hash> {
        let (columns, own) = self.0.split_at_checked(COLUMNS.len())?;
        let expected = hash(before, columns, key);
        let is_it = columns.first() == Some(&Value::Integer(seq)) && matches!(own, [Value::Blob(found)] if *found == expected);
        is_it.then_some(expected)
    }

    /// Gives the row its number in its chain, and its hash, in place of those that it had.
    pub(super) fn bind(&mut self, seq: i64, before: &Hash, key: &hmac::Key) -> Hash {
        self.0.truncate(COLUMNS.len());
        self.0[0] = Value::Integer(seq);
        let hash = hash(before, &self.0, key);
        self.0.push(Value::Blob(hash.to_vec()));
        hash
    }

    /// How much room the row takes while it waits, near enough.
    pub(super) fn size_bytes(&self) -> usize {
        let texts = self.0.iter().map(|value| if let Value::Text(text) = value { text.len() } else { 0 });
        size_of::<Value>() * self.0.len() + texts.sum::<usize>()
    }

    pub(super) fn values(&self) -> &[Value] {
        &self.0
    }
}

/// A row that tells of the log itself: that records could not be written, or were taken out.
pub(super) fn note(now: SystemTime, kind: &str, name: &str, told: &serde_json::Value) -> Row {
    Row::new(&Fields {
        id: "",
        at_ms: millis(now),
        trace: None,
        authority: CallerId::OURSELVES,
        subject: CallerId::OURSELVES,
        roles: "[]",
        address: None,
        door: "audit",
        client: None,
        kind,
        name,
        outcome: "answered",
        code: None,
        reason: None,
        duration_us: 0,
        argument_bytes: 0,
        output_bytes: None,
        digest: None,
        arguments: Some(&told.to_string()),
    })
}

/// The row that tells of what retention has taken out.
pub(super) fn taken_out(now: SystemTime, records: u64, up_to: i64) -> Row {
    note(now, "retention", "records taken out", &serde_json::json!({"records": records, "up_to": up_to}))
}

/// The hash of a row's columns, bound to the row before.
pub(super) fn hash(before: &Hash, columns: &[Value], key: &hmac::Key) -> Hash {
    let mut hashed = Vec::with_capacity(1024);
    hashed.extend_from_slice(b"toolcrib audit 1");
    hashed.extend_from_slice(before);
    let mut add = |kind: u8, bytes: &[u8]| {
        hashed.push(kind);
        hashed.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        hashed.extend_from_slice(bytes);
    };
    for column in columns {
        match column {
            Value::Null => add(0, &[]),
            Value::Integer(number) => add(1, &number.to_be_bytes()),
            Value::Text(text) => add(2, text.as_bytes()),
            Value::Blob(bytes) => add(3, bytes),
            Value::Real(number) => add(4, &number.to_be_bytes()),
        }
    }
    hmac::sign(key, &hashed).as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// What a checkpoint says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The log went at least as far as here.
    Head,
    /// Retention took out everything up to here.
    Cut,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Cut => "cut",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        [Self::Head, Self::Cut].into_iter().find(|kind| kind.name() == name)
    }
}

/// What a checkpoint's signature is over.
pub(super) fn signed(kind: Kind, seq: i64, at_ms: i64, hash: &Hash) -> Vec<u8> {
    [b"toolcrib checkpoint 1 ".as_slice(), kind.name().as_bytes(), &seq.to_be_bytes(), &at_ms.to_be_bytes(), hash].concat()
}
