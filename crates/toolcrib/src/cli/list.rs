//! `toolcrib list`.

use super::{
    Done, Failure, Target,
    client::{Client, Wait},
    print,
};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
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
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Tools,
    Resources,
    Prompts,
    Servers,
}

impl List {
    pub(super) async fn run(self) -> Done {
        if self.what == What::Servers && self.target.url.is_some() {
            return Err(Failure::usage("MCP does not tell which servers are behind one; list the servers of a config instead"));
        }
        let client = Client::connect(&self.target, Wait::ForAll, "").await?;
        let done = self.list(&client).await;
        client.close(done).await
    }

    async fn list(&self, client: &Client) -> Done {
        match self.what {
            What::Tools => self.show("tools", client.list(method::LIST_TOOLS, "tools").await?, "name"),
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
            What::Servers => self.servers(client),
        }
        Ok(())
    }

    fn show(&self, list: &str, items: Vec<Json>, key: &str) {
        if self.json {
            print(Json::object().with(list, &Json::array(items)).finish());
        } else {
            rows(&items, key);
        }
    }

    fn servers(&self, client: &Client) {
        let upstreams = client.assembled().map(|assembled| assembled.fleet.upstreams()).unwrap_or_default();
        let states = upstreams.iter().map(|upstream| match upstream.status() {
            Status::Ready(connection) => (upstream.name(), "ready", connection.greeting().revision.to_string()),
            Status::Connecting => (upstream.name(), "connecting", String::new()),
            Status::LoginNeeded(how) => (upstream.name(), "login needed", how),
            Status::Down(reason) => (upstream.name(), "down", reason),
        });
        if self.json {
            let servers: Vec<Value> = states.map(|(name, state, detail)| json!({"name": name, "state": state, "detail": detail})).collect();
            print(json!({"servers": servers}));
        } else {
            states.for_each(|(name, state, detail)| print(format_args!("{name}  {state}  {detail}")));
        }
    }
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
