//! Records, read back.

use super::{chain::COLUMNS, chains};
use crate::{
    StoreError,
    database::{Database, Failed, Row, Value, values},
    times::{millis, of_millis, utc},
};
use std::{
    net::IpAddr,
    sync::LazyLock,
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
    /// Which replica wrote it, where the log is on a server.
    pub replica: Option<String>,
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
            .with_some("replica", text(&self.replica).as_ref())
            .finish()
    }
}

/// Reads rows: the columns, the hash, and who wrote them.
static SELECT_OF_FILE: LazyLock<String> = LazyLock::new(|| select("NULL"));
static SELECT_OF_SERVER: LazyLock<String> = LazyLock::new(|| select("(SELECT replica FROM chain WHERE number = audit.chain)"));

fn select(replica: &str) -> String {
    format!("SELECT {}, hash, {replica} FROM audit", COLUMNS.join(", "))
}

fn select_of(database: &Database) -> &'static str {
    match database {
        Database::File(_) => &SELECT_OF_FILE,
        Database::Server(_) => &SELECT_OF_SERVER,
    }
}

pub(crate) fn read(database: &mut Database, filter: &Filter) -> Result<Vec<Entry>, StoreError> {
    let (conditions, values) = conditions(filter, matches!(database, Database::Server(_)));
    let clause = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let limit = filter.limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
    let query = format!("{}{clause} ORDER BY seq DESC{limit}", select_of(database));
    database.read(|it| it.query(&query, &values)?.iter().rev().map(entry).collect())
}

pub(crate) fn one(database: &mut Database, seq: i64) -> Result<Option<Entry>, StoreError> {
    let query = format!("{} WHERE seq = $1", select_of(database));
    database.read(|it| it.first(&query, &values![seq])?.as_ref().map(entry).transpose())
}

fn conditions(filter: &Filter, is_of_server: bool) -> (Vec<String>, Vec<Value>) {
    let (mut conditions, mut values) = (Vec::new(), Vec::new());
    let mut add = |condition: &str, value: Value| {
        values.push(value);
        conditions.push(condition.replace('?', &format!("${}", values.len())));
    };
    if let Some(user) = &filter.user {
        // Either the subject, or the authority and the subject.
        add("(subject = ? OR authority || ':' || subject = ?)", Value::Text(user.clone()));
    }
    if let Some(tool) = &filter.tool {
        if is_of_server {
            add("name LIKE ?", Value::Text(like(tool)));
        } else {
            // GLOB also knows classes of characters, which names are not written with.
            add("name GLOB ?", Value::Text(tool.replace('[', "[[]")));
        }
    }
    match &filter.outcome {
        Some(OutcomeFilter::Outcome(outcome)) => add("outcome = ?", Value::Text((*outcome).to_owned())),
        Some(OutcomeFilter::Code(code)) => add("code = ?", Value::Text(code.clone())),
        None => {}
    }
    if let Some(since) = filter.since {
        add("at_ms >= ?", Value::Integer(millis(since)));
        if is_of_server {
            // Nothing is kept before it arrives: what lies in older partitions need not be looked at.
            add("day >= ?", Value::Integer(chains::day(since)));
        }
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

/// The pattern as LIKE has it.
fn like(pattern: &str) -> String {
    let mut like = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        match c {
            '*' => like.push('%'),
            '?' => like.push('_'),
            '%' | '_' | '\\' => like.extend(['\\', c]),
            c => like.push(c),
        }
    }
    like
}

fn entry(row: &Row) -> Result<Entry, Failed> {
    let some = |column| row.some_text(column).map(|text| text.map(str::to_owned));
    Ok(Entry {
        seq: row.integer(0)?,
        id: row.text(1)?.into(),
        at: of_millis(row.integer(2)?),
        trace: some(3)?,
        authority: row.text(4)?.into(),
        subject: row.text(5)?.into(),
        roles: serde_json::from_str(row.text(6)?).unwrap_or_default(),
        address: some(7)?,
        door: row.text(8)?.into(),
        client: some(9)?,
        kind: row.text(10)?.into(),
        name: row.text(11)?.into(),
        outcome: row.text(12)?.into(),
        code: some(13)?,
        reason: some(14)?,
        duration: Duration::from_micros(positive(row.integer(15)?)),
        argument_bytes: row.integer(16)?,
        output_bytes: row.some_integer(17)?,
        digest: some(18)?,
        arguments: some(19)?,
        hash: crate::secret::hex(row.blob(20)?),
        replica: some(21)?,
    })
}

fn positive(number: i64) -> u64 {
    number.max(0).unsigned_abs()
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
pub(crate) fn activity_since(database: &mut Database, since: SystemTime, limit: usize) -> Result<Vec<Activity>, StoreError> {
    let query = "SELECT authority || ':' || subject, count(*),
            count(*) FILTER (WHERE outcome IN ('tool_error', 'refused') AND code IS DISTINCT FROM 'needs_input'),
            CAST(sum(duration_us) AS BIGINT), max(at_ms)
        FROM audit WHERE at_ms >= $1 AND id <> '' GROUP BY 1 ORDER BY 2 DESC LIMIT $2";
    let activity = |row: &Row| {
        Ok(Activity {
            principal: row.text(0)?.into(),
            calls: positive(row.integer(1)?),
            errors: positive(row.integer(2)?),
            spent: Duration::from_micros(positive(row.integer(3)?)),
            last: of_millis(row.integer(4)?),
        })
    };
    database.read(|it| it.query(query, &values![millis(since), limit as i64])?.iter().map(activity).collect())
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
pub(crate) fn spent_since(database: &mut Database, since: SystemTime) -> Result<Vec<Spent>, StoreError> {
    let query = "SELECT authority, subject, roles, kind, name, at_ms / 60000, count(*), CASE WHEN authority = 'anonymous' THEN address END FROM audit
        WHERE at_ms >= $1 AND (code IS NULL OR code NOT IN ('not_found', 'forbidden', 'invalid_arguments', 'limit_reached', 'not_countable', 'not_recordable', 'unauthenticated'))
        GROUP BY 1, 2, 3, 4, 5, 6, 8";
    let spent = |row: &Row| {
        let roles: Vec<String> = serde_json::from_str(row.text(2)?).unwrap_or_default();
        let caller = CallerId::new(row.text(0)?, row.text(1)?, roles);
        let at = UNIX_EPOCH + Duration::from_secs(positive(row.integer(5)?) * 60);
        let (name, calls) = (row.text(4)?.to_owned(), positive(row.integer(6)?));
        let address = row.some_text(7)?.and_then(|address| address.parse().ok());
        Ok(kind_of(row.text(3)?).map(|kind| Spent { caller, address, kind, name, at, calls }))
    };
    database.read(|it| it.query(query, &values![millis(since)])?.iter().map(spent).filter_map(Result::transpose).collect())
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
