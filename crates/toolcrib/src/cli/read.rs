//! `toolcrib read`.

use super::{
    Done, Failure, Target,
    client::{Client, Wait},
    print,
};
use crate::Builder;
use clap::Args;
use toolcrib_contract::{Json, Members};
use toolcrib_wire::method;

/// Read a resource.
#[derive(Debug, Args)]
pub(super) struct Read {
    /// The URI of the resource.
    uri: String,
    #[command(flatten)]
    target: Target,
    /// Print the whole result as JSON.
    #[arg(long)]
    json: bool,
}

impl Read {
    pub(super) async fn run(self, builder: Builder) -> Done {
        let client = Client::connect(builder, &self.target, Wait::ForAll, "").await?;
        let done = self.read(&client).await;
        client.close(done).await
    }

    async fn read(&self, client: &Client) -> Done {
        let result = client.request(method::READ_RESOURCE, Json::object().with_str("uri", &self.uri).finish()).await?;
        if self.json {
            print(result.text());
            return Ok(());
        }
        let contents = result.get("contents").ok_or_else(|| Failure::failed("the result has no contents"))?;
        for part in contents.elements().map_err(Failure::failed)? {
            let part = part.members().map_err(Failure::failed)?;
            print(shown(&part));
        }
        Ok(())
    }
}

fn shown(part: &Members) -> String {
    part.string("text").unwrap_or_else(|| {
        let kind = part.string("mimeType").unwrap_or_else(|| "bytes".into());
        format!("({kind}, {} characters of Base64; print them with --json)", part.string("blob").unwrap_or_default().len())
    })
}
