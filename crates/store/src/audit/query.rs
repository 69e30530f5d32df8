//! Records, read back.

use super::chain::SELECT;
use crate::{
    StoreError,
    database::Database,
    times::{millis, of_millis, utc},
};
use rusqlite::{OptionalExtension, Row, types::Value};
use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use toolcrib_contract::{CallerId, Json, Kind};

/// Which records are wanted. By default all of them.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this subject.
    pub user: Option<String>,
    /// Of what is called so; `*` stands for any characters, `?` for one.
    pub tool: Option<String>,
    /// That ended so.
    pub outcome: Option<OutcomeFilter>,
    /// That arrived then or later.
    pub since: Option<SystemTime>,
    /// That arrived before.
    pub until: Option<SystemTime>,
    /// Written after the one with this number.
    pub after: Option<i64>,
    /// Written before the one with this number.
    pub before: Option<i64>,
    /// The most records; of more, the last ones.
    pub limit: Option<usize>,
}

/// How a call ended, as one asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutcomeFilter {
    /// `answered`, `tool_error`, `refused`, `abandoned`.
    Outcome(&'static str),
    /// Refused with this code.
    Code(String),
}

impl OutcomeFilter {
    /// The outcomes that there are.
    pub const OUTCOMES: [&str; 4] = ["answered", "tool_error", "refused", "abandoned"];

    /// Takes a word for an outcome if it is one, and for a code otherwise.
    #[must_use]
    pub fn of(word: &str) -> Self {
        let outcome = Self::OUTCOMES.into_iter().find(|outcome| *outcome == word);
        outcome.map_or_else(|| Self::Code(word.to_owned()), Self::Outcome)
    }
}

/// One record as it stands in the log.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "as in `toolcrib_contract::Record`")]
pub struct Entry {
    /// Its number: the order in which records were written.
    pub seq: i64,
    pub id: String,
    pub at: SystemTime,
    pub trace: Option<String>,
    pub authority: String,
    pub subject: String,
    pub roles: Vec<String>,
    pub address: Option<String>,
    pub door: String,
    pub client: Option<String>,
    pub kind: String,
    pub name: String,
    /// `answered`, `tool_error`, `refused`, `abandoned`.
    pub outcome: String,
    /// Why it was refused.
    pub code: Option<String>,
    /// Which rule refused it.
    pub reason: Option<String>,
    pub duration: Duration,
    pub argument_bytes: i64,
    pub output_bytes: Option<i64>,
    /// A keyed digest of the arguments: equal arguments have equal ones.
    pub digest: Option<String>,
    /// The arguments, as far as they are kept: JSON.
    pub arguments: Option<String>,
    /// What binds it to the one before, in hexadecimal digits.
    pub hash: String,
}

impl Entry {
    /// The record as one line of JSON. `at` is the time in UTC to the millisecond (RFC 3339).
    #[must_use]
    pub fn to_json(&self) -> Json {
        let text = |text: &Option<String>| text.as_deref().map(Json::string);
        let number = |number: i64| Json::of(&number).expect("a number has a JSON form");
        let arguments = self.arguments.clone().and_then(|arguments| Json::parse(arguments).ok());
        Json::object()
            .with("seq", &number(self.seq))
            .with_str("id", &self.id)
            .with_str("at", &utc(self.at))
            .with_some("trace", text(&self.trace).as_ref())
            .with_str("authority", &self.authority)
            .with_str("subject", &self.subject)
            .with("roles", &Json::array(self.roles.iter().map(|role| Json::string(role))))
            .with_some("address", text(&self.address).as_ref())
            .with_str("door", &self.door)
            .with_some("client", text(&self.client).as_ref())
            .with_str("kind", &self.kind)
            .with_str("name", &self.name)
            .with_str("outcome", &self.outcome)
            .with_some("code", text(&self.code).as_ref())
            .with_some("reason", text(&self.reason).as_ref())
            .with("execution_ms", &Json::of(&(self.duration.as_micros() as f64 / 1000.0)).expect("a number has a JSON form"))
            .with("argument_bytes", &number(self.argument_bytes))
            .with_some("output_bytes", self.output_bytes.map(number).as_ref())
            .with_some("digest", text(&self.digest).as_ref())
            .with_some("arguments", arguments.as_ref())
            .with_str("hash", &self.hash)
            .finish()
    }
}

pub(crate) fn read(database: &Database, filter: &Filter) -> Result<Vec<Entry>, StoreError> {
    let (conditions, values) = conditions(filter);
    let clause = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let limit = filter.limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
    let query = format!("{}{clause} ORDER BY seq DESC{limit}", *SELECT);
    let read = || -> rusqlite::Result<Vec<Entry>> {
        let mut statement = database.connection.prepare(&query)?;
        let mut entries = statement.query_map(rusqlite::params_from_iter(values), entry)?.collect::<Result<Vec<_>, _>>()?;
        entries.reverse();
        Ok(entries)
    };
    read().map_err(|error| database.failed(error))
}

pub(crate) fn one(database: &Database, seq: i64) -> Result<Option<Entry>, StoreError> {
    let found = database.connection.query_row(&format!("{} WHERE seq = ?1", *SELECT), [seq], entry).optional();
    found.map_err(|error| database.failed(error))
}

fn conditions(filter: &Filter) -> (Vec<String>, Vec<Value>) {
    let (mut conditions, mut values) = (Vec::new(), Vec::new());
    let mut add = |condition: &str, value: Value| {
        values.push(value);
        conditions.push(condition.replace("?", &format!("?{}", values.len())));
    };
    if let Some(user) = &filter.user {
        // Either the subject, or the authority and the subject.
        add("(subject = ? OR authority || ':' || subject = ?)", Value::Text(user.clone()));
    }
    if let Some(tool) = &filter.tool {
        // GLOB also knows classes of characters, which names are not written with.
        add("name GLOB ?", Value::Text(tool.replace('[', "[[]")));
    }
    match &filter.outcome {
        Some(OutcomeFilter::Outcome(outcome)) => add("outcome = ?", Value::Text((*outcome).to_owned())),
        Some(OutcomeFilter::Code(code)) => add("code = ?", Value::Text(code.clone())),
        None => {}
    }
    if let Some(since) = filter.since {
        add("at_ms >= ?", Value::Integer(millis(since)));
    }
    if let Some(until) = filter.until {
        add("at_ms < ?", Value::Integer(millis(until)));
    }
    if let Some(after) = filter.after {
        add("seq > ?", Value::Integer(after));
    }
    if let Some(before) = filter.before {
        add("seq < ?", Value::Integer(before));
    }
    (conditions, values)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        seq: row.get(0)?,
        id: row.get(1)?,
        at: of_millis(row.get(2)?),
        trace: row.get(3)?,
        authority: row.get(4)?,
        subject: row.get(5)?,
        roles: serde_json::from_str(&row.get::<_, String>(6)?).unwrap_or_default(),
        address: row.get(7)?,
        door: row.get(8)?,
        client: row.get(9)?,
        kind: row.get(10)?,
        name: row.get(11)?,
        outcome: row.get(12)?,
        code: row.get(13)?,
        reason: row.get(14)?,
        duration: Duration::from_micros(row.get::<_, i64>(15)?.max(0).unsigned_abs()),
        argument_bytes: row.get(16)?,
        output_bytes: row.get(17)?,
        digest: row.get(18)?,
        arguments: row.get(19)?,
        hash: crate::secret::hex(&row.get::<_, Vec<u8>>(20)?),
    })
}

/// What one caller has called, of whatever kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    /// Who: `login:ann`.
    pub principal: String,
    /// How often.
    pub calls: u64,
    /// How many of these ended with an error, or with an output that tells of one.
    pub errors: u64,
    /// How long they took together.
    pub spent: Duration,
    /// When the last of them arrived.
    pub last: SystemTime,
}

/// Who has called since then, the busiest first, and no more than so many.
pub(crate) fn activity_since(database: &Database, since: SystemTime, limit: usize) -> Result<Vec<Activity>, StoreError> {
    let query = "SELECT authority || ':' || subject, count(*), sum(outcome IN ('tool_error', 'refused') AND code IS NOT 'needs_input'), sum(duration_us), max(at_ms)
        FROM audit WHERE at_ms >= ?1 AND id <> '' GROUP BY 1 ORDER BY 2 DESC LIMIT ?2";
    let read = || -> rusqlite::Result<Vec<Activity>> {
        let mut statement = database.connection.prepare(query)?;
        let positive = |number: i64| number.max(0).unsigned_abs();
        let rows = statement.query_map(rusqlite::params![millis(since), limit as i64], |row| {
            Ok(Activity {
                principal: row.get(0)?,
                calls: positive(row.get(1)?),
                errors: positive(row.get(2)?),
                spent: Duration::from_micros(positive(row.get(3)?)),
                last: of_millis(row.get(4)?),
            })
        })?;
        rows.collect()
    };
    read().map_err(|error| database.failed(error))
}

/// What one caller called in one minute.
#[derive(Debug, Clone, PartialEq)]
pub struct Spent {
    /// Who.
    pub caller: CallerId,
    /// From where, for those who are nobody.
    pub address: Option<IpAddr>,
    /// What kind of thing.
    pub kind: Kind,
    /// Which one.
    pub name: String,
    /// When the minute began.
    pub at: SystemTime,
    /// How often.
    pub calls: u64,
}

/// Calls that were let pass; those that were refused at the gate use up nothing.
pub(crate) fn spent_since(database: &Database, since: SystemTime) -> Result<Vec<Spent>, StoreError> {
    let query = "SELECT authority, subject, roles, kind, name, at_ms / 60000, count(*), iif(authority = 'anonymous', address, NULL) FROM audit
        WHERE at_ms >= ?1 AND (code IS NULL OR code NOT IN ('not_found', 'forbidden', 'invalid_arguments', 'limit_reached', 'not_recordable', 'unauthenticated'))
        GROUP BY 1, 2, 3, 4, 5, 6, 8";
    let read = || -> rusqlite::Result<Vec<Spent>> {
        let mut statement = database.connection.prepare(query)?;
        let rows = statement.query_map([millis(since)], |row| {
            let roles: Vec<String> = serde_json::from_str(&row.get::<_, String>(2)?).unwrap_or_default();
            let caller = CallerId::new(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?, roles);
            let kind = kind_of(&row.get::<_, String>(3)?);
            let at = UNIX_EPOCH + Duration::from_secs(row.get::<_, i64>(5)?.max(0).unsigned_abs() * 60);
            let (name, calls) = (row.get(4)?, row.get::<_, i64>(6)?.max(0).unsigned_abs());
            let address = row.get::<_, Option<String>>(7)?.and_then(|address| address.parse().ok());
            Ok(kind.map(|kind| Spent { caller, address, kind, name, at, calls }))
        })?;
        rows.filter_map(Result::transpose).collect()
    };
    read().map_err(|error| database.failed(error))
}

const KINDS: [(Kind, &str); 5] = [
    (Kind::Tool, "tool"),
    (Kind::Resource, "resource"),
    (Kind::Prompt, "prompt"),
    (Kind::PromptCompletion, "prompt_completion"),
    (Kind::TemplateCompletion, "template_completion"),
];

pub(super) fn kind_name(kind: Kind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("", |(_, name)| name)
}

fn kind_of(name: &str) -> Option<Kind> {
    KINDS.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
}
