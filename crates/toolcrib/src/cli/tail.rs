//! `toolcrib tail`: calls as they happen.

use super::{
    Done, Failure,
    audit::{self, Which},
    credential_of_environment, existing_store, print,
};
use clap::Args;
use std::{path::PathBuf, time::Duration};
use toolcrib_contract::Json;
use toolcrib_egress::{Config, Egress, HeaderValue, Request, Url, header};
use toolcrib_gate::Credential;
use toolcrib_store::Filter;

/// How often it is looked for new calls.
const LOOK: Duration = Duration::from_millis(500);

/// Show calls as they happen: those that are recorded in the store of the config, or those of a server that runs.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  toolcrib tail --outcome refused\n  TOOLCRIB_TOKEN=… toolcrib tail --url https://tools.example.com --tool 'git__*'"
)]
pub(super) struct Tail {
    /// The config file. Without it, ./mcp-config.yaml if there is one.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A running server to ask instead, such as http://127.0.0.1:3001. Rules have to give audit://server/calls.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    url: Option<Url>,
    #[command(flatten)]
    which: Which,
    /// How many earlier calls are shown first.
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 10)]
    last: usize,
    /// Print JSON: lines, one for each call.
    #[arg(long)]
    json: bool,
}

impl Tail {
    pub(super) async fn run(self) -> Done {
        match self.url.clone() {
            Some(url) => self.remote(&url).await,
            None => self.local().await,
        }
    }

    async fn local(self) -> Done {
        let store = existing_store(self.config.as_ref())?;
        let latest = || {
            let newest = store.records(&Filter { limit: Some(1), ..Filter::default() }).map_err(Failure::failed)?;
            Ok(newest.last().map_or(0, |entry| entry.seq))
        };
        // Where nothing is to be shown first, what is there already is not.
        let after = if self.last == 0 { Some(latest()?) } else { None };
        let mut filter = Filter { limit: Some(self.last), after, ..self.which.filter() };
        loop {
            // Asked first: what comes meanwhile is looked at the next time.
            let until_now = if filter.after.is_none() { Some(latest()?) } else { None };
            let entries = store.records(&filter).map_err(Failure::failed)?;
            for entry in &entries {
                if self.json { print(entry.to_json()) } else { print(audit::line(entry)) }
            }
            // What does not match need not be looked through again.
            filter.after = entries.last().map(|entry| entry.seq).or(until_now).or(filter.after);
            filter.limit = None;
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn remote(self, url: &Url) -> Done {
        let egress = Egress::new(Config::default()).and_then(|egress| egress.also_reaching(&[url], |_| {})).map_err(Failure::failed)?;
        let mut after: Option<i64> = None;
        loop {
            let mut asked = url.clone();
            asked.set_path("/api/v1/calls");
            let limit = if after.is_none() { self.last.max(1) } else { 1000 };
            {
                let mut query = asked.query_pairs_mut();
                query.append_pair("limit", &limit.to_string());
                let of_caller = [("user", &self.which.user), ("tool", &self.which.tool), ("outcome", &self.which.outcome)];
                of_caller.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))).for_each(|(name, value)| {
                    query.append_pair(name, value);
                });
                after.iter().for_each(|after| {
                    query.append_pair("after", &after.to_string());
                });
            }
            let answer = ask(&egress, &asked).await?;
            let calls = answer.members().ok().and_then(|answer| answer.get("calls")?.elements().ok()).unwrap_or_default();
            // The latest stands first there.
            for call in calls.iter().rev().filter(|_| after.is_some() || self.last > 0) {
                if self.json { print(call) } else { print(audit::line_of_json(call)) }
            }
            let latest = calls.first().and_then(|call| call.members().ok()?.get("seq")?.read().ok());
            after = latest.or(after).or(Some(0));
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What a running server answers at this URL.
async fn ask(egress: &Egress, url: &Url) -> Result<Json, Failure> {
    let mut request = Request::get(url.as_str());
    if let Credential::Bearer(token) = credential_of_environment() {
        let value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| Failure::usage("the token holds characters that no token has"))?;
        request.secrets.insert(header::AUTHORIZATION, value);
    }
    let answer = egress
        .send(request)
        .await
        .map_err(|error| Failure::unreachable(format_args!("{}: {error}", url.origin().ascii_serialization())))?;
    let body = Json::parse(answer.body.bytes)
        .map_err(|error| Failure::unreachable(format_args!("the answer is no JSON ({}): {error}", answer.status)))?;
    if answer.status.is_success() {
        return Ok(body);
    }
    let said = body.members().ok().and_then(|body| body.string("error")).unwrap_or_else(|| answer.status.to_string());
    Err(Failure::failed(said))
}
