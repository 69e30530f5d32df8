//! `toolcrib list`.

use super::{
    Done, Failure, Target,
    client::{Client, Wait},
    note, print,
};
use crate::{Builder, Crib, about::statistics, assemble::status};
use clap::{Args, ValueEnum};
use serde_json::Value;
use std::{
    io::{self, IsTerminal},
    time::Duration,
};
use toolcrib_contract::Json;
use toolcrib_upstream::{Status, naming::ORIGINAL};
use toolcrib_wire::method;

/// List tools, resources, prompts or servers.
#[derive(Debug, Args)]
pub(super) struct List {
    /// What to list.
    #[arg(value_enum, default_value_t = What::Tools)]
    what: What,
    #[command(flatten)]
    target: Target,
    /// Only tools of this category: data_retrieval, data_processing, external_integration, utility.
    #[arg(long, value_name = "CATEGORY")]
    category: Option<String>,
    /// Only tools with this tag.
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Tell how tools have been used by clients of a running server.
    #[arg(long, requires = "url", conflicts_with_all = ["category", "tag"])]
    stats: bool,
    /// Go on, and list anew whenever something is different.
    #[arg(long, short)]
    watch: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The servers that have nothing to list now.
fn away(crib: &Crib) -> Vec<String> {
    let is_away = |status: Status| matches!(status, Status::Down(_) | Status::Quarantined(_) | Status::LoginNeeded(_));
    crib.upstreams().iter().filter(|upstream| is_away(upstream.status())).map(|upstream| upstream.name().to_owned()).collect()
}

/// How often it is looked whether something is different.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Tools,
    Resources,
    Prompts,
    Servers,
}

impl List {
    pub(super) async fn run(self, builder: Builder) -> Done {
        let client = Client::connect(builder, &self.target, Wait::ForAll, "").await?;
        let away = client.crib().map(away).unwrap_or_default();
        if !away.is_empty() && self.what != What::Servers {
            note(format_args!("not available: {}; `toolcrib doctor` says why", away.join(", ")));
        }
        let done = if self.watch { self.keep_listing(&client).await } else { self.list(&client).await };
        client.close(done).await
    }

    /// Lists whenever something is different, until somebody ends it.
    async fn keep_listing(&self, client: &Client) -> Done {
        let mut shown = String::new();
        loop {
            let now = self.state(client).await?;
            if now != shown {
                if io::stdout().is_terminal() {
                    // The screen, and the place to write at (ECMA-48).
                    print("\u{1b}[2J\u{1b}[H");
                }
                self.list(client).await?;
                shown = now;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                interrupted = tokio::signal::ctrl_c() => return interrupted.map_err(Failure::failed),
            }
        }
    }

    /// What is listed, to tell whether it is something else.
    async fn state(&self, client: &Client) -> Result<String, Failure> {
        let (method, key) = match self.what {
            What::Tools if self.stats => return resource(client, statistics::URI).await.map(|told| told.to_string()),
            What::Servers => return servers_of(client).await.map(|told| told.to_string()),
            What::Tools => (method::LIST_TOOLS, "tools"),
            What::Prompts => (method::LIST_PROMPTS, "prompts"),
            What::Resources => (method::LIST_RESOURCES, "resources"),
        };
        Ok(Json::array(client.list(method, key).await?).to_string())
    }

    async fn list(&self, client: &Client) -> Done {
        match self.what {
            What::Tools if self.stats => self.usage(&resource(client, statistics::URI).await?),
            What::Tools => {
                let mut tools = client.list(method::LIST_TOOLS, "tools").await?;
                tools.retain(|tool| self.includes(tool));
                self.show("tools", tools, "name");
            }
            What::Prompts => self.show("prompts", client.list(method::LIST_PROMPTS, "prompts").await?, "name"),
            What::Resources => {
                let resources = client.list(method::LIST_RESOURCES, "resources").await?;
                let templates = client.list(method::LIST_TEMPLATES, "resourceTemplates").await?;
                if self.json {
                    print(
                        Json::object()
                            .with("resources", &Json::array(resources))
                            .with("resourceTemplates", &Json::array(templates))
                            .finish(),
                    );
                } else {
                    rows(&resources, "uri");
                    rows(&templates, "uriTemplate");
                }
            }
            What::Servers => self.servers(&servers_of(client).await?),
        }
        Ok(())
    }

    /// Whether a tool is of the category and has the tag that are asked for, as its metadata tells.
    fn includes(&self, tool: &Json) -> bool {
        let meta = tool.members().ok().and_then(|tool| tool.get("_meta")?.members().ok());
        let category = meta.as_ref().and_then(|meta| meta.string("dev.toolcrib/category"));
        let tags = meta.as_ref().and_then(|meta| meta.get("dev.toolcrib/tags")?.read::<Vec<String>>().ok()).unwrap_or_default();
        self.category.as_ref().is_none_or(|wanted| category.as_ref() == Some(wanted))
            && self.tag.as_ref().is_none_or(|wanted| tags.contains(wanted))
    }

    fn usage(&self, statistics: &Json) {
        if self.json {
            return print(statistics);
        }
        let told = statistics.to_value().unwrap_or_default();
        let number = |value: &Value, unit: &str| value.as_f64().map_or_else(|| "-".to_owned(), |number| format!("{number}{unit}"));
        let rate = |value: &Value| value.as_f64().map_or_else(|| "-".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
        print(format_args!("{:<40} {:>8} {:>8} {:>8} {:>10} {:>10}  last used", "tool", "calls", "errors", "well", "p50", "p95"));
        for tool in told["tools"].as_array().into_iter().flatten() {
            let latency = &tool["latency_ms"];
            print(format_args!(
                "{:<40} {:>8} {:>8} {:>8} {:>10} {:>10}  {}",
                tool["name"].as_str().unwrap_or_default(),
                tool["calls"].to_string(),
                tool["errors"].to_string(),
                rate(&tool["success_rate"]),
                number(&latency["p50"], " ms"),
                number(&latency["p95"], " ms"),
                tool["last_used"].as_str().unwrap_or("never")
            ));
        }
        let most = told["most_used"].as_str().unwrap_or("none");
        print(format_args!(
            "{} tools, {} calls, {} errors; most used: {most}",
            told["total_tools"], told["total_calls"], told["total_errors"]
        ));
    }

    fn show(&self, list: &str, items: Vec<Json>, key: &str) {
        if self.json {
            print(Json::object().with(list, &Json::array(items)).finish());
        } else {
            rows(&items, key);
        }
    }

    fn servers(&self, status: &Json) {
        if self.json {
            return print(status);
        }
        let servers = status.members().ok().and_then(|status| status.get("servers")?.elements().ok()).unwrap_or_default();
        for server in servers.iter().filter_map(|server| server.members().ok()) {
            let [name, state, detail] = ["name", "state", "detail"].map(|key| server.string(key).unwrap_or_default());
            print(format_args!("{name}  {state}  {detail}"));
        }
    }
}

/// How the servers are: those that this command started, or those of a server that runs.
async fn servers_of(client: &Client) -> Result<Json, Failure> {
    if let Some(crib) = client.crib() {
        return Ok(status::of(&crib.upstreams()));
    }
    resource(client, status::URI).await
}

/// A resource that holds JSON.
async fn resource(client: &Client, uri: &str) -> Result<Json, Failure> {
    let result = client.request(method::READ_RESOURCE, Json::object().with_str("uri", uri).finish()).await?;
    let contents = result.get("contents").and_then(|contents| contents.elements().ok()?.first()?.members().ok()?.string("text"));
    let text = contents.ok_or_else(|| Failure::failed("the answer has no text"))?;
    Json::parse(text).map_err(Failure::failed)
}

/// One line for each item: what it is called by, what its server calls it where that is not plain to see, and the first line
/// of what is said about it.
fn rows(items: &[Json], key: &str) {
    let described: Vec<(String, String)> = items
        .iter()
        .filter_map(|item| item.members().ok())
        .map(|members| {
            let about =
                members.string("description").or_else(|| members.string("title")).or_else(|| members.string("name")).unwrap_or_default();
            let original = members.get("_meta").and_then(|meta| meta.members().ok()?.string(ORIGINAL));
            let original = original.map(|original| format!("({original}) ")).unwrap_or_default();
            (members.string(key).unwrap_or_default(), original + about.lines().next().unwrap_or_default())
        })
        .collect();
    let width = described.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    for (name, about) in described {
        print(format_args!("{name:<width$}  {about}").to_string().trim_end());
    }
}
