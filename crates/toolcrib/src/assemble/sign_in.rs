//! Signing in at other servers, put together: accounts, what is kept of them, and logins.

use super::{Fault, Stay};
use crate::landing::{Landings, Lands};
use http::header::AUTHORIZATION;
use std::sync::Arc;
use tokio::sync::watch;
use toolcrib_contract::Vault;
use toolcrib_egress::{Egress, Url};
use toolcrib_oauth::{Accounts, InMemory, Logins};
use toolcrib_upstream::{Definition, Place, Sharing, SignIn, Transport};

/// What it takes to sign in at any server.
pub(crate) struct SignIns {
    egress: Egress,
    vault: Arc<dyn Vault>,
    pub(crate) logins: Arc<Logins>,
    pub(crate) landings: Arc<Landings>,
    /// What was put together so far.
    pub(crate) accounts: Vec<Arc<Accounts>>,
}

impl SignIns {
    /// Without a vault, sign-ins end with the process.
    pub(crate) fn new(
        ready: &toolcrib_tools::Settings,
        vault: Option<Arc<dyn Vault>>,
        shutdown: watch::Receiver<bool>,
    ) -> Result<Self, Fault> {
        let landings = Landings::new(shutdown);
        let logins = Logins::new(Arc::new(Lands(Arc::clone(&landings)))).at(ready.home.clone());
        let vault = vault.unwrap_or_else(|| Arc::new(InMemory::default()));
        Ok(Self { egress: Egress::new(ready.egress.clone())?, vault, logins: Arc::new(logins), landings, accounts: Vec::new() })
    }

    /// How to sign in at this server, if that is how it is reached. Callers may do it for themselves; for all only where there is
    /// nobody but whoever runs us.
    pub(crate) fn at(&mut self, server: &Definition, stay: Stay, authenticates: bool) -> Result<Option<SignIn>, Fault> {
        // Where the config binds what each caller shows, signing in is for listing the tools only.
        let is_bound = server.bindings.iter().any(|binding| binding.to == Place::Header(AUTHORIZATION));
        let is_each = server.sharing == Sharing::PerCaller;
        let is_allowed = stay == Stay::Long && !is_bound && (is_each || !authenticates);
        let Some(accounts) = self.accounts_at(server)? else { return Ok(None) };
        self.accounts.push(Arc::clone(&accounts));
        let logins = is_allowed.then(|| Arc::clone(&self.logins));
        Ok(Some(SignIn { accounts, logins, knows_callers: authenticates }))
    }

    pub(crate) fn accounts_at(&self, server: &Definition) -> Result<Option<Arc<Accounts>>, Fault> {
        let (Transport::Remote(endpoint, _), Some(settings)) = (&server.transport, &server.oauth) else { return Ok(None) };
        // The config was checked: what is no URL here reaches nobody.
        let Ok(url) = Url::parse(&endpoint.url) else { return Ok(None) };
        let accounts = Accounts::new(Arc::clone(&server.name), url, settings.clone(), &self.egress, Arc::clone(&self.vault))?;
        Ok(Some(Arc::new(accounts)))
    }
}
