//! One MCP server as a place to sign in at: where it is, who gives out tokens for it, what is kept of it.

use crate::{
    challenge::Challenge,
    client::{Registered, Settings},
    discovery::{Discovered, discover},
    error::OAuthError,
    out::{Out, secure},
    token::Grant,
};
use ring::digest::{SHA256, digest};
use std::{fmt::Write, sync::Arc};
use tokio::sync::{Semaphore, watch};
use toolcrib_contract::{CallerId, Vault, Version};
use toolcrib_egress::{Egress, Setup, Url};
use zeroize::Zeroizing;

/// The most tokens of one server that are renewed at once.
pub(crate) const MAX_RENEWING: u32 = 64;

/// One MCP server, and how to sign in there.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) name: Arc<str>,
    pub(crate) url: Url,
    pub(crate) settings: Settings,
    pub(crate) out: Out,
    vault: Arc<dyn Vault>,
    /// Tells servers of one name from each other: configs may share a vault.
    digest: String,
    /// Whether the server has ever asked who we are.
    pub(crate) asks: watch::Sender<bool>,
    /// A place for each renewal; closed once no other may begin.
    pub(crate) renewing: Arc<Semaphore>,
}

/// A grant as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) grant: Grant,
    pub(crate) version: Version,
}

impl Place {
    pub(crate) fn new(name: Arc<str>, url: Url, settings: Settings, egress: &Egress, vault: Arc<dyn Vault>) -> Result<Self, Setup> {
        let out = Out::new(egress, &url, settings.issuer.as_deref())?;
        let bytes = digest(&SHA256, url.as_str().as_bytes());
        let digest = bytes.as_ref()[..8].iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        Ok(Self {
            name,
            url,
            settings,
            out,
            vault,
            digest,
            asks: watch::Sender::new(false),
            renewing: Arc::new(Semaphore::new(MAX_RENEWING as usize)),
        })
    }

    /// Who gives out tokens for the server, by what it has said.
    pub(crate) async fn discover(&self, challenge: Option<&Challenge>) -> Result<Discovered, OAuthError> {
        // A token that others could read on the wire is not worth having.
        secure(self.url.as_str())?;
        discover(&self.out, &self.url, challenge, self.settings.issuer.as_deref()).await
    }

    /// What is kept for an owner, if it was got for this URL, from whom the config expects.
    pub(crate) fn load(&self, owner: &CallerId) -> Result<Option<Kept>, String> {
        let Some(stored) = self.vault.load(&self.grant_name(), owner)? else { return Ok(None) };
        let grant: Option<Grant> = serde_json::from_str(&stored.text).ok();
        let is_expected = |grant: &Grant| {
            grant.server == self.url.as_str() && self.settings.issuer.as_ref().is_none_or(|expected| *expected == grant.issuer)
        };
        Ok(grant.filter(is_expected).map(|grant| Kept { grant, version: stored.version }))
    }

    pub(crate) fn save(&self, owner: &CallerId, grant: &Grant) -> Result<(), String> {
        self.vault.save(&self.grant_name(), owner, &text_of(grant))
    }

    /// Keeps another grant, or none, in place of this version. `false` if something else is kept by now.
    pub(crate) fn replace(&self, owner: &CallerId, version: &Version, grant: Option<&Grant>) -> Result<bool, String> {
        let text = grant.map(text_of);
        self.vault.replace(&self.grant_name(), owner, version, text.as_ref().map(|text| text.as_str()))
    }

    pub(crate) fn forget(&self, owner: &CallerId) -> Result<bool, String> {
        self.vault.forget(&self.grant_name(), owner)
    }

    pub(crate) fn hold(&self, owner: &CallerId, within: std::time::Duration) -> Result<bool, String> {
        self.vault.hold(&self.grant_name(), owner, within)
    }

    pub(crate) fn release(&self, owner: &CallerId) {
        self.vault.release(&self.grant_name(), owner);
    }

    /// The client that we registered, for all owners.
    pub(crate) fn client(&self) -> Result<Option<Registered>, String> {
        let stored = self.vault.load(&self.client_name(), &CallerId::ourselves())?;
        Ok(stored.and_then(|stored| serde_json::from_str(&stored.text).ok()))
    }

    pub(crate) fn save_client(&self, client: &Registered) -> Result<(), OAuthError> {
        self.vault.save(&self.client_name(), &CallerId::ourselves(), &text_of(client)).map_err(OAuthError::NotKept)
    }

    /// The authorization server does not know us any more: the next login registers us anew.
    pub(crate) fn forget_client(&self) {
        if let Err(reason) = self.vault.forget(&self.client_name(), &CallerId::ourselves()) {
            tracing::warn!(server = %self.name, "a registration that is no longer good is still kept: {reason}");
        }
    }

    fn grant_name(&self) -> String {
        format!("grant:{}:{}", self.name, self.digest)
    }

    fn client_name(&self) -> String {
        format!("client:{}:{}", self.name, self.digest)
    }
}

fn text_of(kept: &impl serde::Serialize) -> Zeroizing<String> {
    Zeroizing::new(serde_json::to_string(kept).expect("what is kept can be written"))
}
