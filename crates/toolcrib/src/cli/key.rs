//! `toolcrib key`.

use super::{Done, Failure, InStore, Target, check_caller, existing_store, note, print, printable, settings, store};
use crate::times;
use clap::{Args, Subcommand};
use serde_json::json;
use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};
use toolcrib_store::{KeyInfo, NewKey, utc};

/// Make, list and revoke API keys.
#[derive(Debug, Args)]
pub(super) struct Key {
    #[command(flatten)]
    at: InStore,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a key, and show it: this once.
    Create {
        /// Who is to hold it.
        #[arg(long, value_name = "SUBJECT")]
        sub: String,
        /// A role of theirs. May be given more than once.
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// How long it is good, such as 90d. Without it, until it is revoked.
        #[arg(long, value_name = "TIME", value_parser = times::duration)]
        ttl: Option<Duration>,
    },
    /// List the keys, but for the keys themselves.
    List,
    /// Take a key out of use.
    Revoke {
        /// The id, as it is listed.
        id: String,
    },
}

impl Key {
    pub(super) fn run(self) -> Done {
        let config = self.at.config.as_ref();
        match self.what {
            What::Create { sub, roles, ttl } => {
                check_caller(&sub, &roles)?;
                warn(config, &roles);
                if ttl == Some(Duration::ZERO) {
                    return Err(Failure::usage("--ttl is how long the key is good: more than nothing"));
                }
                let until =
                    |ttl| SystemTime::now().checked_add(ttl).ok_or_else(|| Failure::usage("--ttl is longer than time can be reckoned"));
                let expires = ttl.map(until).transpose()?;
                let store = store(config)?;
                let keys = store.api_keys().map_err(Failure::failed)?;
                let issued = keys.issue(&NewKey { subject: sub.clone(), roles: roles.clone(), expires }).map_err(Failure::failed)?;
                let roles = if roles.is_empty() { "no roles".into() } else { format!("the roles {}", roles.join(", ")) };
                note(format_args!("key {} for {sub} with {roles}, kept in {}; it is shown this once:", issued.id, store.place()));
                if self.at.json {
                    print(json!({"id": issued.id, "key": issued.key}))
                } else {
                    print(&issued.key)
                }
                Ok(())
            }
            What::List => {
                let keys = existing_store(config)?.api_keys().and_then(|keys| keys.list()).map_err(Failure::failed)?;
                if self.at.json {
                    print(json!({"keys": keys.iter().map(as_json).collect::<Vec<_>>()}))
                } else {
                    keys.iter().for_each(show)
                }
                Ok(())
            }
            What::Revoke { id } => {
                match existing_store(config)?.api_keys().and_then(|keys| keys.revoke(id_of(&id))).map_err(Failure::failed)? {
                    true => {
                        note(format_args!("{} is out of use; running servers know it within a second", id_of(&id)));
                        Ok(())
                    }
                    false => Err(Failure::failed(format_args!("there is no key {:?} in use; `toolcrib key list` shows them", id_of(&id)))),
                }
            }
        }
    }
}

/// Says what will not come of a key, as far as the config can be read.
fn warn(config: Option<&PathBuf>, roles: &[String]) {
    let Ok(settings) = settings(config) else { return };
    if !settings.security.auth.as_ref().is_some_and(|auth| auth.takes_api_keys) {
        note("toolcrib: no key is taken by this config: it needs \"auth: { apiKeys: true }\"");
    }
    let target = Target { config: None, url: None, roles: roles.to_vec() };
    target.check_roles(&settings);
}

/// The id, if the whole key was given.
fn id_of(given: &str) -> &str {
    given.strip_prefix("tck_").and_then(|rest| rest.split('_').next()).unwrap_or(given)
}

fn state(key: &KeyInfo) -> String {
    match (key.revoked, key.expires) {
        (Some(at), _) => format!("revoked {}", utc(at)),
        (None, Some(at)) if at <= SystemTime::now() => format!("expired {}", utc(at)),
        (None, Some(at)) => format!("good until {}", utc(at)),
        (None, None) => "good".into(),
    }
}

fn show(key: &KeyInfo) {
    let used = key.used.map_or_else(|| "never used".into(), |at| format!("last used {}", utc(at)));
    let roles = if key.roles.is_empty() { "no roles".into() } else { key.roles.join(",") };
    print(format_args!("{}  {}  {}  {}  {used}", key.id, printable(&key.subject), printable(&roles), state(key)));
}

fn as_json(key: &KeyInfo) -> serde_json::Value {
    json!({"id": key.id, "subject": key.subject, "roles": key.roles, "created": utc(key.created), "expires": key.expires.map(utc),
        "revoked": key.revoked.map(utc), "used": key.used.map(utc)})
}
