//! How to sign in at a server behind HTTP.

use super::super::{
    document::{Faults, Spanned},
    raw::{Server, SignIn},
};
use super::{super::variables::Expanded, one_of};
use toolcrib_egress::Url;
use toolcrib_oauth::{Settings, is_private};
use zeroize::Zeroizing;

/// The words for how a token is got: because a person agrees, or as ourselves. And whether it is the latter.
const GRANTS: &[(&str, bool)] = &[("authorizationCode", false), ("clientCredentials", true)];

/// What the config says; where it says nothing, a server that asks who we are can be signed in at, unless the config already gives
/// what goes into that header.
pub(super) fn check(server: &Server, faults: &mut Faults) -> Option<Settings> {
    let header = server.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    // What is bound for each caller leaves the connection by which tools are listed without.
    let has_header = header.is_some_and(|(_, value)| matches!(value.value, Expanded::Fixed(_)));
    // What could be listened to is not worth a login.
    let is_private = server.url.as_ref().is_some_and(|url| Url::parse(&url.value).is_ok_and(|url| is_private(&url)));
    let Some(written) = &server.oauth else {
        return (is_private && !has_header).then(Settings::default);
    };
    match &written.enabled {
        Some(enabled) if !enabled.value => return None,
        _ if server.url.is_none() => {
            faults.add(written.place.fault("signing in goes with a url; a command gets what it needs by env"));
        }
        _ if !is_private => faults.add(written.place.fault("signing in needs an https URL: others could read the token on its way")),
        _ if has_header => {
            faults.add(written.place.fault("give either the header Authorization or \"oauth\": both would fill the same header"))
        }
        _ => {}
    }
    let is_machine = one_of(written.grant.as_ref(), GRANTS, faults).unwrap_or(false);
    refuse_contradictions(written, is_machine, faults);
    let text = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.value.clone());
    Some(Settings {
        client_id: text(&written.client_id),
        client_secret: text(&written.client_secret).map(Zeroizing::new),
        client_metadata_url: text(&written.client_metadata_url),
        scopes: written.scopes.as_ref().map(|scopes| scopes.iter().map(|scope| scope.value.clone()).collect()),
        issuer: text(&written.issuer),
        callback_port: written.callback_port.as_ref().map(|port| port.value),
        is_machine,
    })
}

fn refuse_contradictions(written: &SignIn, is_machine: bool, faults: &mut Faults) {
    if let (Some(secret), None) = (&written.client_secret, &written.client_id) {
        faults.add(secret.fault("a clientSecret is that of a clientId: give both"));
    }
    if let (Some(secret), None) = (&written.client_secret, &written.issuer) {
        faults.add(
            secret.fault("a clientSecret is for one authorization server only: name it as \"issuer\", or the server could name another"),
        );
    }
    if let Some(issuer) = written.issuer.as_ref().filter(|issuer| !Url::parse(&issuer.value).is_ok_and(|url| is_private(&url))) {
        faults.add(issuer.fault("expected the https URL that the authorization server calls itself"));
    }
    if is_machine && (written.client_id.is_none() || written.client_secret.is_none()) {
        faults.add(written.place.fault("with clientCredentials we prove who we are by ourselves: give clientId and clientSecret"));
    }
    if let Some(url) = &written.client_metadata_url
        && !Url::parse(&url.value).is_ok_and(|url| url.scheme() == "https" && url.path() != "/")
    {
        faults.add(url.fault("expected the https URL of a document, as in https://example.com/toolcrib.json"));
    }
    if let Some(port) = written.callback_port.as_ref().filter(|port| port.value == 0) {
        faults.add(port.fault("expected a port from 1 to 65535"));
    }
    for scope in written.scopes.iter().flatten() {
        if scope.value.is_empty() || !scope.value.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\')) {
            faults.add(scope.fault("a scope is one word (RFC 6749, section 3.3)"));
        }
    }
}
