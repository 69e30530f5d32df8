//! `toolcrib list`.

use super::{
    Done, Failure, Target,
    client::{Client, Wait},
    print,
};
use crate::assemble::status;
use clap::{Args, ValueEnum};
use toolcrib_contract::Json;
use toolcrib_upstream::naming::ORIGINAL;
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
            What::Servers => self.servers(&servers_of(client).await?),
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
    if let Some(assembled) = client.assembled() {
        return Ok(status::of(&assembled.fleet.upstreams()));
    }
    let result = client.request(method::READ_RESOURCE, Json::object().with_str("uri", status::URI).finish()).await?;
    let contents = result.get("contents").and_then(|contents| contents.elements().ok()?.first()?.members().ok()?.string("text"));
    let text = contents.ok_or_else(|| Failure::failed("the answer does not say how its servers are"))?;
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
