//! `toolcrib token`.

use super::{Done, Failure, check_caller, print, settings};
use crate::{
    settings::checked::security::{Issuer, KeysAt},
    times,
};
use clap::Args;
use serde_json::{Map, Value, json};
use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use toolcrib_contract::Json;

/// Mint a token with the secret of the config, for tests and first steps.
#[derive(Debug, Args)]
pub(super) struct Token {
    /// The config file. Without it, ./mcp-config.yaml.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Whom the token names.
    #[arg(long, value_name = "SUBJECT")]
    sub: String,
    /// A role of theirs. May be given more than once.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// How long it is good, such as 15m, 1h or 30d.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = times::duration)]
    ttl: Duration,
    /// Another claim, as JSON or text. May be given more than once.
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    claims: Vec<String>,
    /// Which entry of auth.jwt mints it, where there are several with a secret.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
}

impl Token {
    pub(super) fn run(self) -> Done {
        let settings = settings(self.config.as_ref())?;
        let issuers = settings.security.auth.map(|auth| auth.issuers).unwrap_or_default();
        let named = |issuer: &&Issuer| self.issuer.as_ref().is_none_or(|name| *name == issuer.name);
        let mints = |issuer: &Issuer| matches!(&issuer.keys, KeysAt::Here(toolcrib_gate::Keys::Secret(_)));
        let issuer = issuers.iter().filter(named).find(|issuer| mints(issuer)).ok_or_else(|| {
            Failure::usage("no entry of auth.jwt in the config has a \"secret\" to mint tokens with: whoever issues yours has to make one")
        })?;
        if self.ttl > issuer.demands.max_lifetime {
            let most = issuer.demands.max_lifetime.as_secs();
            return Err(Failure::usage(format_args!("tokens may be good for {most} s at most (maxLifetime)")));
        }
        check_caller(&self.sub, &self.roles)?;
        let claims = self.claims_for(issuer)?;
        let token = match &issuer.keys {
            KeysAt::Here(keys) => {
                let kind = if issuer.only_access_tokens { "at+jwt" } else { "JWT" };
                keys.mint(kind, &Json::of(&claims).map_err(Failure::failed)?)
            }
            _ => None,
        };
        print(token.ok_or_else(|| Failure::failed("this issuer cannot mint tokens"))?);
        Ok(())
    }

    fn claims_for(&self, issuer: &Issuer) -> Result<Value, Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = Map::new();
        claims.insert(issuer.demands.subject.clone(), json!(self.sub));
        claims.insert("iat".into(), json!(now));
        claims.insert("exp".into(), json!(now + self.ttl.as_secs().max(1)));
        claims.extend(issuer.demands.issuer.iter().map(|issuer| ("iss".to_owned(), json!(issuer))));
        claims.extend(issuer.demands.audiences.first().map(|audience| ("aud".to_owned(), json!(audience))));
        let roles = if issuer.demands.roles == "scope" { json!(self.roles.join(" ")) } else { json!(self.roles) };
        nest(&mut claims, &issuer.demands.roles, roles);
        for claim in &self.claims {
            let (name, value) =
                claim.split_once('=').ok_or_else(|| Failure::usage(format_args!("{claim:?} is not of the form NAME=VALUE")))?;
            claims.insert(name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| json!(value)));
        }
        Ok(Value::Object(claims))
    }
}

/// Puts a value where a path of claims within claims says.
fn nest(claims: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.').filter(|_| !path.contains("://")) {
        None => drop(claims.insert(path.to_owned(), value)),
        Some((first, rest)) => {
            if let Value::Object(inner) = claims.entry(first).or_insert_with(|| json!({})) {
                nest(inner, rest, value);
            }
        }
    }
}
