//! Who gives out tokens for a server: protected resource metadata (RFC 9728), then authorization server metadata (RFC 8414)
//! or OpenID Connect Discovery; for servers of 2025-03-26, what that revision assumed.

use crate::{
    challenge::Challenge,
    error::OAuthError,
    out::{Out, secure, shown},
};
use serde::Deserialize;
use toolcrib_egress::Url;

/// What a server says about itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ResourceMetadata {
    resource: Option<String>,
    authorization_servers: Option<Vec<String>>,
    scopes_supported: Option<Vec<String>>,
}

/// What an authorization server says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct ServerMetadata {
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: Option<String>,
    pub(crate) token_endpoint: Option<String>,
    pub(crate) registration_endpoint: Option<String>,
    pub(crate) scopes_supported: Option<Vec<String>>,
    pub(crate) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    pub(crate) code_challenge_methods_supported: Option<Vec<String>>,
    pub(crate) authorization_response_iss_parameter_supported: Option<bool>,
    pub(crate) client_id_metadata_document_supported: Option<bool>,
}

impl ServerMetadata {
    /// Whether there is such a scope.
    pub(crate) fn offers_scope(&self, scope: &str) -> bool {
        self.scopes_supported.iter().flatten().any(|offered| offered == scope)
    }
}

/// Whom to ask for tokens, and for what.
#[derive(Debug, Clone)]
pub(crate) struct Discovered {
    /// What tokens are for (RFC 8707).
    pub(crate) resource: String,
    /// The scopes that there are, as the server says.
    pub(crate) scopes: Vec<String>,
    pub(crate) server: ServerMetadata,
    /// Whether nobody said any of this: it is what 2025-03-26 assumed.
    pub(crate) is_assumed: bool,
}

/// Finds out who gives out tokens for the server at this URL. Of several, the one that the config expects, or the first.
pub(crate) async fn discover(
    out: &Out,
    server: &Url,
    challenge: Option<&Challenge>,
    expected: Option<&str>,
) -> Result<Discovered, OAuthError> {
    let Some(about) = resource_metadata(out, server, challenge).await? else {
        return before_resource_metadata(out, server, expected).await;
    };
    let resource = about.resource.unwrap_or_else(|| canonical(server));
    if !is_part_of(server, &resource) {
        return Err(OAuthError::ForeignResource { server: shown(server.as_str()), resource: shown(&resource) });
    }
    let issuers = about.authorization_servers.unwrap_or_default();
    let none = || OAuthError::NoAuthorizationServer { server: shown(server.as_str()) };
    let issuer = match expected {
        Some(expected) => issuers.iter().find(|issuer| *issuer == expected).ok_or_else(|| {
            issuers.first().map_or_else(none, |found| OAuthError::ForeignIssuer { expected: expected.to_owned(), found: shown(found) })
        })?,
        None => issuers.first().ok_or_else(none)?,
    };
    let found = server_metadata(out, issuer).await?;
    let server = found.ok_or_else(|| OAuthError::Lacking { issuer: shown(issuer), lacks: "has no metadata that can be read" })?;
    Ok(Discovered { resource, scopes: about.scopes_supported.unwrap_or_default(), server, is_assumed: false })
}

/// The document that the challenge names; else the one at the well-known place for the path, or for the host.
async fn resource_metadata(out: &Out, server: &Url, challenge: Option<&Challenge>) -> Result<Option<ResourceMetadata>, OAuthError> {
    let named = challenge.and_then(|challenge| challenge.resource_metadata.as_deref()).and_then(|url| server.join(url).ok());
    let mut places: Vec<Url> = named.into_iter().collect();
    if server.path() != "/" {
        places.push(at(server, &format!("/.well-known/oauth-protected-resource{}", server.path().trim_end_matches('/'))));
    }
    places.push(at(server, "/.well-known/oauth-protected-resource"));
    for place in places {
        let found: Option<ResourceMetadata> = out.get(place.as_str()).await?;
        if let Some(found) = found.filter(|found| found.resource.is_some() || found.authorization_servers.is_some()) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

async fn server_metadata(out: &Out, issuer: &str) -> Result<Option<ServerMetadata>, OAuthError> {
    let url = secure(issuer)?;
    let path = url.path().trim_end_matches('/');
    let mut places = vec![
        at(&url, &format!("/.well-known/oauth-authorization-server{path}")),
        at(&url, &format!("/.well-known/openid-configuration{path}")),
    ];
    if !path.is_empty() {
        places.push(at(&url, &format!("{path}/.well-known/openid-configuration")));
    }
    for place in places {
        let found: Option<ServerMetadata> = out.get(place.as_str()).await?;
        if let Some(found) = found.filter(|found| found.token_endpoint.is_some()) {
            // As it is written: whoever is not named exactly so is somebody else (RFC 8414, section 3.3).
            if found.issuer != issuer {
                return Err(OAuthError::ForeignIssuer { expected: issuer.to_owned(), found: shown(&found.issuer) });
            }
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// In 2025-03-26 the host of the server was its authorization server, with its endpoints at fixed places if it had no metadata.
async fn before_resource_metadata(out: &Out, server: &Url, expected: Option<&str>) -> Result<Discovered, OAuthError> {
    let issuer = server.origin().ascii_serialization();
    if let Some(expected) = expected.filter(|expected| *expected != issuer) {
        return Err(OAuthError::ForeignIssuer { expected: expected.to_owned(), found: issuer });
    }
    let endpoint = |path: &str| Some(at(server, path).to_string());
    let assumed = || ServerMetadata {
        issuer: issuer.clone(),
        authorization_endpoint: endpoint("/authorize"),
        token_endpoint: endpoint("/token"),
        registration_endpoint: endpoint("/register"),
        token_endpoint_auth_methods_supported: Some(vec!["none".into()]),
        code_challenge_methods_supported: Some(vec!["S256".into()]),
        ..ServerMetadata::default()
    };
    let found = server_metadata(out, &issuer).await?;
    let is_assumed = found.is_none();
    Ok(Discovered { resource: canonical(server), scopes: Vec::new(), server: found.unwrap_or_else(assumed), is_assumed })
}

fn at(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    url.set_path(path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// The server's URL as tokens name it: without a fragment, and without a slash that stands for nothing.
fn canonical(server: &Url) -> String {
    let mut url = server.clone();
    url.set_fragment(None);
    let text = url.to_string();
    if url.path() == "/" && url.query().is_none() { text.trim_end_matches('/').to_owned() } else { text }
}

/// Whether the server is the resource, or stands below it on the same origin.
fn is_part_of(server: &Url, resource: &str) -> bool {
    let Ok(resource) = Url::parse(resource) else { return false };
    let (below, above) = (server.path().trim_end_matches('/'), resource.path().trim_end_matches('/'));
    let is_below = below.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    resource.fragment().is_none() && resource.origin() == server.origin() && is_below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_the_server_or_what_it_stands_below() {
        let server = Url::parse("https://host/api/mcp").unwrap();
        for resource in ["https://host/api/mcp", "https://host/api/mcp/", "https://host/api", "https://HOST", "https://host:443/"] {
            assert!(is_part_of(&server, resource), "{resource}");
        }
        for resource in ["https://host/ap", "https://host/api/mcp/x", "http://host/api", "https://evil/api/mcp", "https://host/#x", "host"]
        {
            assert!(!is_part_of(&server, resource), "{resource}");
        }
    }
}
