//! `toolcrib audit`.

use super::{Done, Failure, print, store, times};
use crate::exit;
use clap::{Args, Subcommand};
use serde_json::json;
use std::{path::PathBuf, time::SystemTime};
use toolcrib_store::{Entry, Filter, OutcomeFilter, Store, utc};

/// How often `--follow` looks for new records.
const FOLLOW: std::time::Duration = std::time::Duration::from_millis(500);
/// How many records are shown where nothing says how many.
const SHOWN: usize = 50;

/// Show what was called, by whom, and what came of it.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Audit {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    show: Show,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Check that the log is what was written: name the first record that is not.
    Verify {
        /// The config file. Without it, ./mcp-config.yaml if there is one.
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Show {
    /// The config file. Without it, ./mcp-config.yaml if there is one.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only calls of this caller.
    #[arg(long, value_name = "SUBJECT")]
    user: Option<String>,
    /// Only calls of what is named so; * stands for any characters.
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// Only calls that ended so: answered, tool_error, refused, abandoned, or a code such as forbidden.
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
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
    /// Print JSON lines, one for each call.
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(super) async fn run(self) -> Done {
        match self.what {
            Some(What::Verify { config, json }) => verify(&store(config.as_ref())?, json),
            None => self.show.run().await,
        }
    }
}

impl Show {
    async fn run(self) -> Done {
        let store = store(self.config.as_ref())?;
        let mut filter = Filter {
            user: self.user.clone(),
            tool: self.tool.clone(),
            outcome: self.outcome.as_deref().map(OutcomeFilter::of),
            since: self.since,
            until: self.until,
            after: None,
            limit: (self.limit > 0).then_some(self.limit),
        };
        loop {
            let entries = store.records(&filter).map_err(Failure::failed)?;
            for entry in &entries {
                if self.json { print(entry.to_json()) } else { print(line(entry)) }
            }
            if !self.follow {
                return Ok(());
            }
            filter.after = entries.last().map(|entry| entry.seq).or(filter.after);
            filter.limit = None;
            tokio::time::sleep(FOLLOW).await;
        }
    }
}

/// A record as a person reads it.
fn line(entry: &Entry) -> String {
    let outcome = match &entry.code {
        Some(code) => format!("{} ({code})", entry.outcome),
        None => entry.outcome.clone(),
    };
    let took = entry.duration.as_secs_f64() * 1000.0;
    let arguments = entry.arguments.as_deref().unwrap_or_default();
    format!("{}  {}  {}  {}  {outcome}  {took:.1} ms  {arguments}", utc(entry.at), entry.subject, entry.door, entry.name)
}

fn verify(store: &Store, as_json: bool) -> Done {
    let verdict = store.verify().map_err(Failure::failed)?;
    if as_json {
        let head = verdict.head.as_ref().map(|(seq, hash)| json!({"seq": seq, "hash": hash}));
        let fault = verdict.broken.as_ref().map(ToString::to_string);
        print(json!({"ok": verdict.broken.is_none(), "records": verdict.records, "checkpoints": verdict.checkpoints, "first": verdict.first,
            "head": head, "publicKey": verdict.public_key, "fault": fault}));
    }
    if let Some(broken) = &verdict.broken {
        return Err(Failure::new(exit::FAILED, format_args!("the audit log is not what was written: {broken}; {} before it are", verdict.records)));
    }
    if !as_json {
        print(format_args!("{} records are what was written, {} signed checkpoints among them", verdict.records, verdict.checkpoints));
        if let Some((seq, hash)) = &verdict.head {
            print(format_args!("last: record {seq}, hash {hash}"));
        }
        print(format_args!("signed with the key {}", verdict.public_key));
    }
    Ok(())
}
