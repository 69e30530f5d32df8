//! `toolcrib secret`.

use super::{Done, Failure, InStore, Voucher, existing_store, print, settings, store};
use clap::{Args, Subcommand};
use serde_json::json;
use std::io::{IsTerminal, Read};
use toolcrib_contract::CallerId;
use toolcrib_store::{CallerSecrets, utc};
use toolcrib_upstream::is_secret_name;
use zeroize::Zeroizing;

/// The largest secret.
const MAX_BYTES: u64 = 16 * 1024;

/// Store, list and remove what callers show to other servers: the values of ${secret:NAME} in the config.
#[derive(Debug, Args)]
pub(super) struct Secret {
    #[command(flatten)]
    at: InStore,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Store a secret, which is read from standard input.
    Set(Which),
    /// List the secrets, but for the secrets themselves.
    List,
    /// Forget a secret.
    Remove(Which),
}

/// One secret of one caller.
#[derive(Debug, Args)]
struct Which {
    /// The name, as in ${secret:NAME}.
    name: String,
    /// Whose it is.
    #[arg(long, value_name = "SUBJECT")]
    sub: String,
    #[command(flatten)]
    voucher: Voucher,
}

impl Secret {
    pub(super) fn run(self) -> Done {
        let config = self.at.config.as_ref();
        let kept = || existing_store(config)?.secrets().map_err(Failure::failed);
        match &self.what {
            What::Set(which) => self.set(which),
            What::List => self.list(&*kept()?),
            What::Remove(which) => {
                let is_gone = kept()?.remove(&which.name, &self.owner(which)?).map_err(Failure::failed)?;
                if is_gone { Ok(()) } else { Err(Failure::failed(format_args!("there is no secret {:?} of {}", which.name, which.sub))) }
            }
        }
    }

    fn set(&self, which: &Which) -> Done {
        if !is_secret_name(&which.name) {
            return Err(Failure::usage("a secret's name has at most 64 letters, digits, \".\", \"-\" and \"_\""));
        }
        let owner = self.owner(which)?;
        let mut input = std::io::stdin();
        if input.is_terminal() {
            return Err(Failure::usage("the secret is read from standard input, so that it is in no history: pipe it in, or use < FILE"));
        }
        let mut text = Zeroizing::new(String::new());
        input
            .by_ref()
            .take(MAX_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(|error| Failure::usage(format_args!("standard input: {error}")))?;
        let secret = text.trim_end_matches(['\n', '\r']);
        if secret.is_empty() || text.len() as u64 > MAX_BYTES {
            return Err(Failure::usage(format_args!("a secret has 1 to {MAX_BYTES} bytes")));
        }
        let secrets = store(self.at.config.as_ref())?.secrets().map_err(Failure::failed)?;
        secrets.set(&which.name, &owner, secret).map_err(Failure::failed)
    }

    fn list(&self, secrets: &CallerSecrets) -> Done {
        let secrets = secrets.list().map_err(Failure::failed)?;
        if self.at.json {
            let secrets: Vec<_> = secrets
                .iter()
                .map(|secret| json!({"name": secret.name, "owner": secret.principal, "updated": utc(secret.updated)}))
                .collect();
            print(json!({ "secrets": secrets }));
        } else {
            secrets.iter().for_each(|secret| print(format_args!("{}  {}  {}", secret.name, secret.principal, utc(secret.updated))));
        }
        Ok(())
    }

    fn owner(&self, which: &Which) -> Result<CallerId, Failure> {
        which.voucher.caller(&which.sub, &settings(self.at.config.as_ref())?)
    }
}
