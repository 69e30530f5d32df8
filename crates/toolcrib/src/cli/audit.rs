//! `toolcrib audit`.

use super::{Done, Failure, existing_store, note, print, printable};
use crate::{exit, times};
use clap::{Args, Subcommand};
use serde_json::json;
use std::{path::PathBuf, time::SystemTime};
use toolcrib_contract::Json;
use toolcrib_store::{Entry, Filter, OutcomeFilter, Store, utc};

/// How often `--follow` looks for new records.
const FOLLOW: std::time::Duration = std::time::Duration::from_millis(500);
/// How many records are shown where nothing says how many.
const SHOWN: usize = 50;

/// Show what was called, by whom, and what came of it.
#[derive(Debug, Args)]
pub(super) struct Audit {
    /// The config file. Without it, ./mcp-config.yaml if there is one.
    #[arg(long, short, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print JSON: lines, one for each call.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    show: Show,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Check that the log is what was written: name the first record that is not.
    Verify {
        /// A record that must be there, as an earlier `verify` showed it last: then nothing was cut off behind it since. May be given more
        /// than once: replicas that share a server have a chain each.
        #[arg(long, value_name = "NUMBER:HASH")]
        expect: Vec<String>,
    },
}

/// Which calls are shown.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Only calls of this caller: ann, or jwt:ann.
    #[arg(long, value_name = "SUBJECT")]
    pub(super) user: Option<String>,
    /// Only calls of what is named so; * stands for any characters.
    #[arg(long, value_name = "NAME")]
    pub(super) tool: Option<String>,
    /// Only calls that ended so: answered, tool_error, refused, abandoned, or a code such as forbidden.
    #[arg(long, value_name = "OUTCOME")]
    pub(super) outcome: Option<String>,
}

impl Which {
    pub(super) fn filter(&self) -> Filter {
        let Self { user, tool, outcome } = self;
        Filter { user: user.clone(), tool: tool.clone(), outcome: outcome.as_deref().map(OutcomeFilter::of), ..Filter::default() }
    }
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    which: Which,
    /// Only calls since then: 1h (ago), 2026-11-24, 2026-11-24T09:30:00Z.
    #[arg(long, value_name = "TIME", value_parser = times::moment)]
    since: Option<SystemTime>,
    /// Only calls before then.
    #[arg(long, value_name = "TIME", value_parser = times::moment)]
    until: Option<SystemTime>,
    /// The most calls, the last ones; 0 for all of them.
    #[arg(long, value_name = "NUMBER", default_value_t = SHOWN)]
    limit: usize,
    /// Go on as new ones come.
    #[arg(long, short)]
    follow: bool,
}

impl Audit {
    pub(super) async fn run(self) -> Done {
        let store = existing_store(self.config.as_ref())?;
        match self.what {
            Some(What::Verify { expect }) => verify(&store, &expect, self.json),
            None => self.show.run(&store, self.json).await,
        }
    }
}

impl Show {
    async fn run(self, store: &Store, as_json: bool) -> Done {
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            return Err(Failure::usage("--since is not before --until"));
        }
        let mut filter =
            Filter { since: self.since, until: self.until, limit: (self.limit > 0).then_some(self.limit), ..self.which.filter() };
        loop {
            let entries = store.records(&filter).map_err(Failure::failed)?;
            for entry in &entries {
                if as_json { print(entry.to_json()) } else { print(line(entry)) }
            }
            if !self.follow {
                if entries.is_empty() {
                    note("no calls match");
                }
                return Ok(());
            }
            filter.after = entries.last().map(|entry| entry.seq).or(filter.after);
            filter.limit = None;
            tokio::time::sleep(FOLLOW).await;
        }
    }
}

/// A record as a person reads it, as a server tells of it.
pub(super) fn line_of_json(call: &Json) -> String {
    let Ok(call) = call.members() else { return String::new() };
    let text = |key: &str| call.string(key).unwrap_or_default();
    let number = |key: &str| call.get(key).and_then(|number| number.read::<f64>().ok()).unwrap_or_default();
    told(&Told {
        at: &text("at"),
        authority: &text("authority"),
        subject: &text("subject"),
        door: &text("door"),
        name: &text("name"),
        outcome: &text("outcome"),
        code: call.string("code").as_deref(),
        reason: call.string("reason").as_deref(),
        millis: number("execution_ms"),
        arguments: &call.get("arguments").map(|arguments| arguments.to_string()).unwrap_or_default(),
    })
}

/// The same, as it stands in the store.
pub(super) fn line(entry: &Entry) -> String {
    told(&Told {
        at: &utc(entry.at),
        authority: &entry.authority,
        subject: &entry.subject,
        door: &entry.door,
        name: &entry.name,
        outcome: &entry.outcome,
        code: entry.code.as_deref(),
        reason: entry.reason.as_deref(),
        millis: entry.duration.as_secs_f64() * 1000.0,
        arguments: entry.arguments.as_deref().unwrap_or_default(),
    })
}

/// What is told of a record on one line.
struct Told<'a> {
    at: &'a str,
    authority: &'a str,
    subject: &'a str,
    door: &'a str,
    name: &'a str,
    outcome: &'a str,
    code: Option<&'a str>,
    reason: Option<&'a str>,
    millis: f64,
    arguments: &'a str,
}

fn told(Told { at, authority, subject, door, name, outcome, code, reason, millis, arguments }: &Told<'_>) -> String {
    let outcome = match (code, reason) {
        (Some(code), Some(rule)) => format!("{outcome} ({code}, by {rule})"),
        (Some(code), None) => format!("{outcome} ({code})"),
        (None, _) => (*outcome).to_owned(),
    };
    let caller = if authority == subject { (*subject).to_owned() } else { format!("{authority}:{subject}") };
    let told = format!("{at}  {caller}  {door}  {name}  {outcome}  {millis:.1} ms  {arguments}");
    // Names and arguments are what callers wrote.
    printable(told.trim_end())
}

fn verify(store: &Store, expect: &[String], as_json: bool) -> Done {
    let verdict = store.verify().map_err(Failure::failed)?;
    let missing = expect.iter().find_map(|expected| is_missing(store, expected).transpose()).transpose()?;
    let fault = verdict.broken.as_ref().map(ToString::to_string).or(missing);
    if as_json {
        let heads: Vec<_> = verdict.heads.iter().map(|(seq, hash)| json!({"seq": seq, "hash": hash})).collect();
        print(json!({"ok": fault.is_none(), "records": verdict.records, "checkpoints": verdict.checkpoints, "first": verdict.first,
            "head": heads.last(), "heads": heads, "publicKey": verdict.public_key, "fault": fault}));
    }
    if let Some(fault) = fault {
        return Err(Failure::new(exit::FAILED, format_args!("the audit log is not what was written: {fault}")));
    }
    let Some((first, (last, _))) = verdict.first.zip(verdict.heads.last()).filter(|_| !as_json) else {
        if !as_json {
            print("there are no records");
        }
        return Ok(());
    };
    print(format_args!("{} records, {first} to {last}, are what was written; {} signed checkpoints", verdict.records, verdict.checkpoints));
    if verdict.is_cut {
        print(format_args!("retention took out what was before {first}, as a signed checkpoint says"));
    }
    let heads: Vec<String> = verdict.heads.iter().map(|(seq, hash)| format!("{seq}:{hash}")).collect();
    print(format_args!(
        "the last: {}\nnote it elsewhere: with --expect nobody can cut the log short unnoticed",
        heads.join("\nand, of another chain: ")
    ));
    Ok(())
}

/// Whether the record that must be there is not, and what is there instead.
fn is_missing(store: &Store, expected: &str) -> Result<Option<String>, Failure> {
    let fault = || Failure::usage("--expect is of the form NUMBER:HASH, as `toolcrib audit verify` prints the last record");
    let (seq, hash) = expected.split_once(':').ok_or_else(fault)?;
    let seq: i64 = seq.parse().map_err(|_| fault())?;
    Ok(match store.record(seq).map_err(Failure::failed)? {
        Some(entry) if entry.hash == hash => None,
        Some(_) => Some(format!("record {seq} is another than the one that is expected")),
        None => Some(format!("record {seq}, which is expected, is not there")),
    })
}
