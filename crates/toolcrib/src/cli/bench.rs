//! `toolcrib bench`: how quick a tool is.

use super::{
    Done, Failure, Target,
    call::{Given, content, is_error},
    client::{Client, Wait},
    note, print,
    progress::Progress,
};
use crate::{Builder, exit};
use clap::Args;
use serde_json::json;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use toolcrib_contract::Json;
use toolcrib_edge::statistics::millis;
use toolcrib_wire::method;

/// Call a tool again and again, and tell how quick it is. Every call is a real one: it is judged, recorded, and does what it does.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  toolcrib bench calculator 'expression=6*7'\n  toolcrib bench git__log --url http://127.0.0.1:3001/mcp --calls 500 --at-once 8"
)]
pub(super) struct Bench {
    /// The tool.
    tool: String,
    /// Arguments as key=value.
    #[arg(value_name = "KEY=VALUE")]
    pairs: Vec<String>,
    /// The arguments as one JSON object.
    #[arg(long, value_name = "JSON", conflicts_with = "pairs")]
    args: Option<String>,
    /// How many calls.
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    calls: u32,
    /// How many of them at once.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    at_once: u16,
    #[command(flatten)]
    target: Target,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How the calls went.
struct Measured {
    /// How long each took that was answered well, the quickest first.
    took: Vec<Duration>,
    /// What the others said, the first of them.
    failures: usize,
    first_failure: Option<String>,
    all: Duration,
}

impl Bench {
    pub(super) async fn run(self, builder: Builder) -> Done {
        let given = Given::read(&self.tool, &self.pairs, self.args.as_deref())?;
        let client = Client::connect(builder, &self.target, Wait::ForOwner, &self.tool).await?;
        let done = match given.arguments(&client).await {
            Ok(arguments) => match self.try_once(&client, &arguments).await {
                Ok(()) => self.report(&self.measure(&client, &arguments).await),
                failed => failed,
            },
            Err(failure) => Err(failure),
        };
        client.close(done).await
    }

    /// Whether the call works at all; what does not is not timed.
    async fn try_once(&self, client: &Client, arguments: &Json) -> Done {
        let params = Json::object().with_str("name", &self.tool).with("arguments", arguments).finish();
        match client.request(method::CALL_TOOL, params).await {
            Ok(result) if is_error(&result) => Err(Failure::failed(content(&result)?)),
            Ok(_) => Ok(()),
            Err(failure) => Err(client.with_suggestion(failure, &self.tool).await),
        }
    }

    async fn measure(&self, client: &Client, arguments: &Json) -> Measured {
        let params = Json::object().with_str("name", &self.tool).with("arguments", arguments).finish();
        let calls = self.calls as usize;
        let next = AtomicUsize::new(0);
        let progress = Progress::of(calls, self.tool.clone());
        let began = Instant::now();
        let worker = || async {
            let mut results = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < calls {
                let began = Instant::now();
                let result = client.request(method::CALL_TOOL, params.clone()).await;
                let failure = match result {
                    Ok(result) if is_error(&result) => content(&result).ok(),
                    Ok(_) => None,
                    Err(failure) => Some(failure.message),
                };
                results.push((began.elapsed(), failure));
                progress.advance();
            }
            results
        };
        let workers: Vec<_> = (0..self.at_once).map(|_| worker()).collect();
        let results: Vec<_> = futures_util::future::join_all(workers).await.into_iter().flatten().collect();
        let all = began.elapsed();
        let mut took: Vec<Duration> = results.iter().filter(|(_, failure)| failure.is_none()).map(|(took, _)| *took).collect();
        took.sort_unstable();
        let mut failures = results.into_iter().filter_map(|(_, failure)| failure);
        let first_failure = failures.next();
        Measured { took, failures: failures.count() + usize::from(first_failure.is_some()), first_failure, all }
    }

    fn report(&self, measured: &Measured) -> Done {
        let Measured { took, failures, first_failure, all } = measured;
        let at = |share: f64| took.get(((took.len() as f64 * share).ceil() as usize).clamp(1, took.len().max(1)) - 1).copied();
        let [fastest, half, p95, p99, slowest] = [0.0, 0.5, 0.95, 0.99, 1.0].map(|share| at(share).map(millis));
        let per_second = (took.len() + failures) as f64 / all.as_secs_f64().max(1e-9);
        if self.json {
            print(json!({
                "tool": self.tool, "calls": took.len() + failures, "failures": failures, "at_once": self.at_once,
                "seconds": all.as_secs_f64(), "calls_per_second": per_second,
                "latency_ms": {"min": fastest, "p50": half, "p95": p95, "p99": p99, "max": slowest},
            }));
        } else {
            let shown = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.3} ms"));
            print(format_args!("{}: {} calls, {} at once, {per_second:.0} a second", self.tool, took.len() + failures, self.at_once));
            print(format_args!(
                "min {}  p50 {}  p95 {}  p99 {}  max {}",
                shown(fastest),
                shown(half),
                shown(p95),
                shown(p99),
                shown(slowest)
            ));
        }
        match first_failure {
            Some(reason) => Err(Failure::new(exit::FAILED, format_args!("{failures} calls failed, the first: {reason}"))),
            None => {
                if self.target.url.is_none() && !self.json {
                    note("in this process, without HTTP; --url asks a server that runs");
                }
                Ok(())
            }
        }
    }
}
