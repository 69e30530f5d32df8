//! How a token is got, and the next one in time.
//!
//! A token endpoint that fails ends nothing: the old token serves for as long as it is good, and the next one is asked for
//! again, at growing intervals. Only the authorization server's own "no" ends a sign-in. What is renewed is renewed once,
//! by whichever of several processes came first, and brought to its end.

use super::{Account, Current, LOOK, Occasion, Problem, State, Work, unite};
use crate::{
    client::Client,
    error::OAuthError,
    out::shown,
    place::Kept,
    token::{Endpoint, Grant, GrantType, now},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::Instant;
use toolcrib_egress::HeaderValue;

/// The wait after a token endpoint failed; it doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// How long one renewal may keep other processes waiting.
const HELD: Duration = Duration::from_secs(20);
/// How often a process that waits looks whether the other is done.
const POLL: Duration = Duration::from_millis(100);

impl Account {
    /// A token for the occasion; none if there is nothing to show. The work is done to its end, whoever waits for it.
    pub(super) async fn provide(self: &Arc<Self>, occasion: Occasion) -> Result<Option<HeaderValue>, Problem> {
        let ending = || Problem::Failing("Toolcrib is ending".into());
        let renewing = Arc::clone(&self.place.renewing).acquire_owned().await.map_err(|_| ending())?;
        let this = Arc::clone(self);
        let work = tokio::spawn(async move {
            let _renewing = renewing;
            this.provide_alone(&occasion).await
        });
        work.await.unwrap_or_else(|_| Err(ending()))
    }

    async fn provide_alone(&self, occasion: &Occasion) -> Result<Option<HeaderValue>, Problem> {
        let mut work = self.work.lock().await;
        // Somebody may have been quicker.
        if let Some(current) = &*self.current.load()
            && current.is_fresh()
            && occasion.is_met_by(current.header.as_ref())
        {
            return Ok(current.header.clone());
        }
        if self.place.settings.is_machine {
            // Until it is asked for, nobody knows where to get one.
            if !self.is_asked.load(Ordering::Relaxed) {
                return Ok(self.show_nothing(None));
            }
            let wanted = work.ours.as_ref().map(|ours| ours.wanted_scopes.clone()).unwrap_or_default();
            return self.obtain(&mut work, &wanted).await.map(Some);
        }
        let kept = self.kept(&mut work).map_err(Problem::Failing)?;
        let Some(kept) = kept.filter(|kept| !work.spurns(&kept.grant.header())) else {
            return Ok(self.show_nothing(Some(LOOK)));
        };
        if self.is_fresh(&kept.grant, occasion) {
            return Ok(Some(self.adopt(&kept.grant)));
        }
        self.renew(&mut work, kept, occasion).await
    }

    /// Whether the token is worth showing, and need not be renewed yet.
    fn is_fresh(&self, grant: &Grant, occasion: &Occasion) -> bool {
        !occasion.is_about(&grant.header()) && self.fresh_until(grant).is_none_or(|until| now() < until)
    }

    /// What is kept; what could not be is tried to be kept again.
    pub(super) fn kept(&self, work: &mut Work) -> Result<Option<Kept>, String> {
        if let Some(unsaved) = work.unsaved.take() {
            match self.place.replace(&self.owner, &unsaved.version, Some(&unsaved.grant)) {
                Ok(_) => {}
                Err(_) => {
                    work.unsaved = Some(unsaved.clone());
                    return Ok(Some(unsaved));
                }
            }
        }
        self.place.load(&self.owner)
    }

    async fn renew(&self, work: &mut Work, kept: Kept, occasion: &Occasion) -> Result<Option<HeaderValue>, Problem> {
        let is_good = |grant: &Grant| !occasion.is_about(&grant.header()) && !grant.is_expired();
        if let Some((again_at, reason)) = work.failed.as_ref().filter(|(again_at, _)| Instant::now() < *again_at) {
            return self.go_on(&kept.grant, is_good(&kept.grant), *again_at, reason).map(Some);
        }
        if kept.grant.refresh_token.is_none() {
            return Err(self.signed_out(&kept, "its token is no longer good, and it gave none to renew it with"));
        }
        let Some(kept) = self.take_turn(kept, occasion).await? else { return Ok(self.show_nothing(Some(LOOK))) };
        if self.is_fresh(&kept.grant, occasion) {
            self.place.release(&self.owner);
            return Ok(Some(self.adopt(&kept.grant)));
        }
        let done = match kept.grant.refreshed(&self.place.out, &self.place.settings).await {
            Ok(next) => Ok(Some(self.keep(work, &kept, next))),
            Err(error) if error.is_passing() => {
                let (again_at, reason) = self.fail(work, &error);
                self.go_on(&kept.grant, is_good(&kept.grant), again_at, &reason).map(Some)
            }
            Err(error) => Err(self.renewal_refused(&kept, &error)),
        };
        self.place.release(&self.owner);
        done
    }

    /// Waits until no other process renews the same: what is kept then, which need not be renewed any more if another has done so.
    async fn take_turn(&self, kept: Kept, occasion: &Occasion) -> Result<Option<Kept>, Problem> {
        let until = Instant::now() + HELD;
        loop {
            let is_ours = self.place.hold(&self.owner, HELD).map_err(Problem::Failing)?;
            let Some(now) = self.place.load(&self.owner).map_err(Problem::Failing)? else { return Ok(None) };
            // What could not be kept is newer than what is.
            let latest = if now.version == kept.version { kept.clone() } else { now };
            if is_ours || self.is_fresh(&latest.grant, occasion) || Instant::now() > until {
                return Ok(Some(latest));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Keeps what was renewed, unless somebody has signed in or out meanwhile.
    fn keep(&self, work: &mut Work, before: &Kept, next: Grant) -> HeaderValue {
        tracing::debug!(server = self.server(), "the token was renewed");
        (work.failures, work.failed) = (0, None);
        match self.place.replace(&self.owner, &before.version, Some(&next)) {
            Ok(true) => {}
            Ok(false) => {
                // Whoever was quicker knows better; who signed out has had this one last request.
                let newer = self.place.load(&self.owner).ok().flatten();
                return newer.map_or_else(|| next.header(), |newer| self.adopt(&newer.grant));
            }
            Err(reason) => {
                tracing::error!(server = self.server(), "a sign-in will not outlast this process unless this ends: {reason}");
                work.unsaved = Some(Kept { grant: next.clone(), version: before.version.clone() });
            }
        }
        self.adopt(&next)
    }

    fn renewal_refused(&self, kept: &Kept, error: &OAuthError) -> Problem {
        let is_about_us = error.is_about_client();
        if is_about_us && self.place.settings.is_ours(&kept.grant.client) {
            // The sign-in may be as good as ever.
            let advice = "check oauth.clientId and oauth.clientSecret in the config";
            return Problem::Unauthorized(format!("its token cannot be renewed: {error}; {advice}"));
        }
        if is_about_us {
            self.forget_client();
        }
        self.signed_out(kept, &format!("the sign-in is no longer good: {error}"))
    }

    /// A token that we get as ourselves.
    pub(super) async fn obtain(&self, work: &mut Work, wanted: &[String]) -> Result<HeaderValue, Problem> {
        let good = work.ours.clone().filter(|ours| !ours.is_expired() && self.is_current(&ours.header()));
        if let Some((again_at, reason)) = work.failed.as_ref().filter(|(again_at, _)| Instant::now() < *again_at) {
            return match &good {
                Some(ours) => self.go_on(ours, true, *again_at, reason),
                None => Err(Problem::Failing(reason.clone())),
            };
        }
        match self.as_ourselves(wanted).await {
            Ok(grant) => {
                (work.failures, work.failed) = (0, None);
                let header = self.adopt(&grant);
                work.ours = Some(grant);
                Ok(header)
            }
            Err(error) if error.is_passing() => {
                let (again_at, reason) = self.fail(work, &error);
                match &good {
                    Some(ours) => self.go_on(ours, true, again_at, &reason),
                    None => Err(Problem::Failing(reason)),
                }
            }
            Err(error) => Err(Problem::Unauthorized(format!("it gives us no token: {error}"))),
        }
    }

    async fn as_ourselves(&self, wanted: &[String]) -> Result<Grant, OAuthError> {
        let found = self.place.discover(self.known_challenge(None).as_ref()).await?;
        if found.is_assumed {
            return Err(OAuthError::NoAuthorizationServer { server: shown(self.place.url.as_str()) });
        }
        let issuer = shown(&found.server.issuer);
        let lacking = |lacks| OAuthError::Lacking { issuer: issuer.clone(), lacks };
        let client = Client::beforehand(&self.place.settings, &found.server).ok_or_else(|| lacking("knows no client of ours"))?;
        let url = found.server.token_endpoint.as_deref().ok_or_else(|| lacking("has no token endpoint"))?;
        let mut scopes = self.scopes(&found, None);
        unite(&mut scopes, wanted.iter().map(String::as_str));
        let (server, issuer, resource) = (self.place.url.as_str(), found.server.issuer.as_str(), found.resource.as_str());
        let endpoint = Endpoint { server, issuer, url, resource, client: &client };
        let mut grant = endpoint.ask(&self.place.out, GrantType::ClientCredentials, &scopes).await?;
        grant.wanted_scopes = wanted.to_vec();
        Ok(grant)
    }

    pub(super) fn adopt(&self, grant: &Grant) -> HeaderValue {
        let look_at = (!self.place.settings.is_machine).then(|| Instant::now() + LOOK);
        self.show(grant, self.fresh_until(grant), look_at)
    }

    /// From when on the next token is to be had: before this one ends, if there is a way to get one.
    fn fresh_until(&self, grant: &Grant) -> Option<u64> {
        let can_renew = grant.refresh_token.is_some() || self.place.settings.is_machine;
        if can_renew { grant.renewed_from() } else { grant.expires_at }
    }

    /// Goes on with a token that is still good, until the next may be asked for again.
    fn go_on(&self, grant: &Grant, is_good: bool, again_at: Instant, reason: &str) -> Result<HeaderValue, Problem> {
        if !is_good {
            return Err(Problem::Failing(reason.to_owned()));
        }
        let soon = now() + again_at.saturating_duration_since(Instant::now()).as_secs() + 1;
        Ok(self.show(grant, Some(grant.expires_at.map_or(soon, |expires| expires.min(soon))), Some(again_at)))
    }

    fn show(&self, grant: &Grant, fresh_until: Option<u64>, look_at: Option<Instant>) -> HeaderValue {
        let header = grant.header();
        self.current.store(Some(Arc::new(Current { header: Some(header.clone()), fresh_until, look_at })));
        self.state.send_if_modified(|state| {
            // What was wanted stays so until somebody agrees to it.
            let is_still_wanted = grant.wants_more() && matches!(state, State::MoreWanted(_));
            !is_still_wanted && std::mem::replace(state, State::SignedIn) != State::SignedIn
        });
        self.place.asks.send_if_modified(|asks| !std::mem::replace(asks, true));
        header
    }

    pub(super) fn show_nothing(&self, again_in: Option<Duration>) -> Option<HeaderValue> {
        let look_at = again_in.map(|again_in| Instant::now() + again_in);
        self.current.store(Some(Arc::new(Current { header: None, fresh_until: None, look_at })));
        None
    }

    fn fail(&self, work: &mut Work, error: &OAuthError) -> (Instant, String) {
        let wait = MIN_BACKOFF.saturating_mul(1 << work.failures.min(16)).min(MAX_BACKOFF);
        work.failures += 1;
        let reason = format!("its token cannot be renewed just now, which is tried again: {error}");
        tracing::warn!(server = self.server(), again_in_ms = wait.as_millis(), "{reason}");
        let again_at = Instant::now() + wait;
        work.failed = Some((again_at, reason.clone()));
        (again_at, reason)
    }
}
