//! What a client proves by HTTP, and how it is told what is missing (RFC 6750, RFC 9728; MCP, "Authorization").
//!
//! A token is taken from the `Authorization` header and from nowhere else.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use toolcrib_contract::Json;
use toolcrib_gate::{Credential, Reason, Unauthenticated};

/// What this server is to an authorization server: a resource that tokens are issued for (RFC 9728).
#[derive(Debug, Clone, Default)]
pub struct ProtectedResource {
    /// The URL that clients connect to, as they see it.
    pub url: String,
    /// Who issues tokens for it: issuer URLs.
    pub authorization_servers: Vec<String>,
    /// The scopes that clients may ask for.
    pub scopes: Vec<String>,
    /// Where people read about it.
    pub documentation: Option<String>,
}

/// The path of the metadata of the resource at the root of a host.
pub(super) const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Takes the credential out of a request.
pub(super) fn credential(headers: &HeaderMap, uri: &Uri) -> Result<Credential, Unauthenticated> {
    let in_url = uri.query().is_some_and(|query| query.split('&').any(|pair| pair.split('=').next() == Some("access_token")));
    if in_url {
        return Err("a token has no place in a URL".into());
    }
    // Whoever shows a key in the wrong place is not taken for nobody.
    if headers.contains_key("x-api-key") {
        return Err("a key stands in X-API-Key: it has its place in Authorization, after Bearer".into());
    }
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(Credential::None) };
    if values.next().is_some() {
        return Err("Authorization appears more than once".into());
    }
    let value = value.to_str().map_err(|_| "Authorization holds characters that no token has")?;
    let (scheme, token) = value.split_once(' ').ok_or("Authorization is not of the form Bearer TOKEN")?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err("the scheme of Authorization is not Bearer".into());
    }
    match token.trim_start_matches(' ') {
        token if token.is_empty() || token.contains([' ', ',']) => Err("Authorization is not of the form Bearer TOKEN".into()),
        token => Ok(Credential::Bearer(token.into())),
    }
}

/// Says that a credential is missing or proves nothing.
pub(super) fn unauthorized(error: &Unauthenticated, resource: Option<&ProtectedResource>) -> Response {
    let body = Json::object().with_str("error", &error.to_string()).finish();
    let mut response = (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, "application/json")], body.into_bytes()).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge_for(error, resource));
    response
}

/// What a client without a good credential is asked for.
pub(super) fn challenge_for(error: &Unauthenticated, resource: Option<&ProtectedResource>) -> HeaderValue {
    match error.reason {
        Reason::Invalid(_) => challenge(vec![("error", "invalid_token"), ("error_description", error.reason.in_public())], None, resource),
        // Whoever has no token yet learns what to ask for (MCP, "Scope Selection Strategy").
        Reason::Missing => {
            let scope = resource.map(|resource| resource.scopes.join(" ")).filter(|scope| !scope.is_empty());
            challenge(Vec::new(), scope.as_deref(), resource)
        }
    }
}

/// Says which scope is missing, to a caller that has proved who it is, or to one that has not.
pub(super) fn demand_scope(
    mut response: Response<Body>,
    scope: &str,
    is_anonymous: bool,
    resource: Option<&ProtectedResource>,
) -> Response {
    let parameters = if is_anonymous { Vec::new() } else { vec![("error", "insufficient_scope")] };
    *response.status_mut() = if is_anonymous { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge(parameters, Some(scope), resource));
    response
}

fn challenge(parameters: Vec<(&str, &str)>, scope: Option<&str>, resource: Option<&ProtectedResource>) -> HeaderValue {
    let metadata = resource.and_then(metadata_url);
    let more = [("scope", scope), ("resource_metadata", metadata.as_deref())];
    let more = more.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let parameters: Vec<String> = parameters.into_iter().chain(more).map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    HeaderValue::from_str(format!("Bearer {}", parameters.join(", ")).trim_end()).unwrap_or(HeaderValue::from_static("Bearer"))
}

/// Where the metadata of a resource are: the path of the resource goes behind the well-known one (RFC 9728, section 3.1).
fn metadata_url(resource: &ProtectedResource) -> Option<String> {
    let url: Uri = resource.url.parse().ok()?;
    Some(format!("{}://{}{WELL_KNOWN}{}", url.scheme_str()?, url.authority()?, url.path().trim_end_matches('/')))
}

/// The metadata of the resource (RFC 9728, section 2).
pub(super) fn metadata(resource: &ProtectedResource) -> Response {
    let list = |items: &[String]| Json::array(items.iter().map(|item| Json::string(item)));
    let scopes = (!resource.scopes.is_empty()).then(|| list(&resource.scopes));
    let body = Json::object()
        .with_str("resource", &resource.url)
        .with("authorization_servers", &list(&resource.authorization_servers))
        .with_some("scopes_supported", scopes.as_ref())
        .with("bearer_methods_supported", &Json::array([Json::string("header")]))
        .with_some("resource_documentation", resource.documentation.as_deref().map(Json::string).as_ref())
        .finish();
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body.into_bytes()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_from_its_header_and_from_nowhere_else() {
        let take = |values: &[&str], uri: &str| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            match credential(&headers, &uri.parse().unwrap()) {
                Ok(Credential::Bearer(token)) => Ok(Some(token.to_string())),
                Ok(_) => Ok(None),
                Err(error) => Err(error),
            }
        };
        assert_eq!(take(&[], "/mcp"), Ok(None));
        for good in ["Bearer abc.def", "bearer abc.def", "BEARER   abc.def"] {
            assert_eq!(take(&[good], "/mcp"), Ok(Some("abc.def".into())), "{good}");
        }
        for bad in ["abc", "Bearer", "Bearer ", "Basic YTpi", "DPoP abc", "Bearer a b", "Bearer a,b", "Bearer\tabc", "abc Bearer"] {
            assert!(take(&[bad], "/mcp").is_err(), "{bad}");
        }
        assert!(take(&["Bearer a", "Bearer a"], "/mcp").is_err());
        assert!(take(&[], "/mcp?access_token=abc").is_err());
        assert!(take(&["Bearer a"], "/mcp?x=1&access_token=abc").is_err());
        assert_eq!(take(&["Bearer a"], "/mcp?x=access_token"), Ok(Some("a".into())));
        let elsewhere = HeaderMap::from_iter([(header::HeaderName::from_static("x-api-key"), HeaderValue::from_static("tck_abc"))]);
        assert!(credential(&elsewhere, &"/mcp".parse().unwrap()).is_err(), "whoever shows a key in the wrong place is not nobody");
    }

    #[test]
    fn a_challenge_says_what_to_do_next() {
        let resource = ProtectedResource {
            url: "https://tools.example/mcp".into(),
            authorization_servers: vec!["https://login.example".into()],
            scopes: vec!["tools:read".into(), "tools:write".into()],
            documentation: None,
        };
        let said = |response: &Response| response.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().to_owned();
        let missing = unauthorized(&Unauthenticated { reason: Reason::Missing }, Some(&resource));
        assert_eq!(
            said(&missing),
            "Bearer scope=\"tools:read tools:write\", resource_metadata=\"https://tools.example/.well-known/oauth-protected-resource/mcp\""
        );
        let invalid = unauthorized(&"it has expired".into(), None);
        assert_eq!(said(&invalid), "Bearer error=\"invalid_token\", error_description=\"Invalid authentication token\"");
        let stepped = demand_scope(Response::new(Body::empty()), "tools:write", false, Some(&resource));
        assert_eq!(stepped.status(), StatusCode::FORBIDDEN);
        assert!(said(&stepped).starts_with("Bearer error=\"insufficient_scope\", scope=\"tools:write\", resource_metadata="));
        assert_eq!(demand_scope(Response::new(Body::empty()), "x", true, None).status(), StatusCode::UNAUTHORIZED);
    }
}
