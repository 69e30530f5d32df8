//! Who we are to an authorization server: registered beforehand, by a document of our own, or by registering ourselves
//! (MCP authorization, "Client Registration Approaches"; RFC 7591).

use crate::{
    discovery::ServerMetadata,
    error::OAuthError,
    out::{Form, Out, Sent, form_encoded, is_loopback, shown},
    token::now,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use std::fmt;
use toolcrib_egress::{HeaderValue, Url};
use zeroize::Zeroizing;

/// The name that people read when they are asked whether they agree.
const NAME: &str = "Toolcrib";

/// What the config says about how to sign in at one server.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The client that was registered beforehand.
    pub client_id: Option<String>,
    /// Its secret, if it has one.
    pub client_secret: Option<Zeroizing<String>>,
    /// Where a document says who we are: an https URL, which then is our identifier (Client ID Metadata Documents).
    pub client_metadata_url: Option<String>,
    /// The scopes to ask for, instead of those that the server names.
    pub scopes: Option<Vec<String>>,
    /// The authorization server that is expected, if not any that the server names.
    pub issuer: Option<String>,
    /// The port of this machine that browsers come back to, if it has to be a certain one.
    pub callback_port: Option<u16>,
    /// Whether we sign in as ourselves, without a person.
    pub is_machine: bool,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("client_id", &self.client_id).field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Settings {
    /// Whether this is the client that was registered beforehand.
    pub(crate) fn is_ours(&self, client: &Client) -> bool {
        self.client_id.as_ref().is_some_and(|id| *id == client.id)
    }

    /// A client as it was kept, with the secret that the config has for it now.
    pub(crate) fn filled(&self, client: &Client) -> Client {
        let secret = if self.is_ours(client) { self.client_secret.clone() } else { client.secret.clone() };
        Client { secret, ..client.clone() }
    }
}

/// How we prove who we are at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Proof {
    /// Not at all: we are a public client, and PKCE binds what we ask.
    None,
    /// By the header of HTTP.
    ClientSecretBasic,
    /// In the form.
    ClientSecretPost,
}

/// What an authorization server knows us as.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) secret: Option<Zeroizing<String>>,
    pub(crate) proof: Proof,
    /// Whether the secret stands in the config, which is where it stays.
    is_configured: bool,
}

/// A client that we registered, as it is kept.
#[derive(Serialize, Deserialize)]
pub(crate) struct Registered {
    pub(crate) issuer: String,
    pub(crate) redirect_uri: String,
    pub(crate) client: Client,
    /// When its secret is no longer good, in seconds since 1970.
    expires_at: Option<u64>,
}

#[derive(Deserialize)]
struct Registration {
    client_id: String,
    client_secret: Option<Zeroizing<String>>,
    client_secret_expires_at: Option<u64>,
    token_endpoint_auth_method: Option<String>,
}

impl Client {
    /// The client that the config names, or that needs no registration.
    pub(crate) fn beforehand(settings: &Settings, server: &ServerMetadata) -> Option<Self> {
        if let Some(id) = &settings.client_id {
            let secret = settings.client_secret.clone();
            let proof = if secret.is_some() { proof_with_secret(server) } else { Proof::None };
            return Some(Self { id: id.clone(), secret, proof, is_configured: true });
        }
        let url = settings.client_metadata_url.as_ref().filter(|_| server.client_id_metadata_document_supported == Some(true))?;
        Some(Self { id: url.clone(), secret: None, proof: Proof::None, is_configured: true })
    }

    /// The client as it is kept beside a grant.
    pub(crate) fn as_kept(&self) -> Self {
        Self { secret: self.secret.clone().filter(|_| !self.is_configured), ..self.clone() }
    }

    /// Puts into a form, or into a header, what proves who we are.
    pub(crate) fn prove(&self, form: &mut Form) -> Option<HeaderValue> {
        match (self.proof, &self.secret) {
            (Proof::ClientSecretBasic, Some(secret)) => {
                let pair = Zeroizing::new(format!("{}:{}", form_encoded(&self.id), form_encoded(secret)));
                let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes()))).ok()?;
                value.set_sensitive(true);
                Some(value)
            }
            (proof, secret) => {
                form.with("client_id", &self.id);
                if let (Proof::ClientSecretPost, Some(secret)) = (proof, secret) {
                    form.with("client_secret", secret);
                }
                None
            }
        }
    }
}

impl Registered {
    /// Whether this is still what that server knows us as, for that redirect.
    pub(crate) fn is_for(&self, server: &ServerMetadata, redirect_uri: &str) -> bool {
        // As it is written: a client of one server is nobody at another.
        self.issuer == server.issuer && self.redirect_uri == redirect_uri && self.expires_at.is_none_or(|expires| now() < expires)
    }

    /// Registers us.
    pub(crate) async fn register(out: &Out, server: &ServerMetadata, redirect_uri: &str, scopes: &[String]) -> Result<Self, OAuthError> {
        let lacks = "takes no registrations: register Toolcrib there, and set oauth.clientId in the config";
        let endpoint =
            server.registration_endpoint.as_deref().ok_or_else(|| OAuthError::Lacking { issuer: shown(&server.issuer), lacks })?;
        let is_native = Url::parse(redirect_uri).is_ok_and(|url| is_loopback(&url));
        let wanted = wanted_proof(server);
        let mut body = serde_json::json!({
            "client_name": NAME,
            "redirect_uris": [redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": wanted,
            "application_type": if is_native { "native" } else { "web" },
        });
        if !scopes.is_empty() {
            body["scope"] = scopes.join(" ").into();
        }
        let answer: Registration = out.post(endpoint, Sent::json(&body)).await?;
        // Some give an empty secret to clients that have none.
        let secret = answer.client_secret.filter(|secret| !secret.is_empty());
        let given = answer.token_endpoint_auth_method.as_deref().and_then(proof_of);
        let proof = match (&secret, given.unwrap_or(wanted)) {
            (None, _) => Proof::None,
            (Some(_), proof) => proof,
        };
        let expires_at = answer.client_secret_expires_at.filter(|&at| at != 0 && secret.is_some());
        let client = Client { id: answer.client_id, secret, proof, is_configured: false };
        Ok(Self { issuer: server.issuer.clone(), redirect_uri: redirect_uri.to_owned(), client, expires_at })
    }
}

/// The proof to ask for: none where that is taken, since what we do not have cannot be stolen.
fn wanted_proof(server: &ServerMetadata) -> Proof {
    let supported = server.token_endpoint_auth_methods_supported.as_deref();
    if supported.is_some_and(|methods| methods.iter().any(|method| method == "none")) { Proof::None } else { proof_with_secret(server) }
}

/// Where a server does not say, RFC 8414 has it that the header is taken.
fn proof_with_secret(server: &ServerMetadata) -> Proof {
    let supported = server.token_endpoint_auth_methods_supported.as_deref();
    let takes = |method: &str| supported.is_none_or(|methods| methods.iter().any(|supported| supported == method));
    if !takes("client_secret_basic") && takes("client_secret_post") { Proof::ClientSecretPost } else { Proof::ClientSecretBasic }
}

fn proof_of(method: &str) -> Option<Proof> {
    serde_json::from_value(method.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supporting(methods: &[&str]) -> ServerMetadata {
        let methods = Some(methods.iter().map(|&method| method.to_owned()).collect());
        ServerMetadata { token_endpoint_auth_methods_supported: methods, ..ServerMetadata::default() }
    }

    #[test]
    fn a_secret_is_proved_the_way_the_server_takes() {
        let cases = [
            (&["client_secret_post"][..], Proof::ClientSecretPost),
            (&["client_secret_post", "client_secret_basic"], Proof::ClientSecretBasic),
        ];
        for (methods, proof) in cases {
            assert_eq!(proof_with_secret(&supporting(methods)), proof);
        }
        assert_eq!(wanted_proof(&supporting(&["client_secret_basic", "none"])), Proof::None);
        assert_eq!(wanted_proof(&ServerMetadata::default()), Proof::ClientSecretBasic);
    }

    #[test]
    fn the_header_holds_what_a_form_would() {
        let secret = Some(Zeroizing::new("é%=".into()));
        let client = Client { id: "a b:c".into(), secret, proof: Proof::ClientSecretBasic, is_configured: true };
        let mut form = Form::default();
        let header = client.prove(&mut form).unwrap();
        assert!(form.as_str().is_empty() && header.is_sensitive());
        assert!(client.as_kept().secret.is_none(), "what stands in the config is kept nowhere else");
        let encoded = header.to_str().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(BASE64_STANDARD.decode(encoded).unwrap(), b"a+b%3Ac:%C3%A9%25%3D");
    }
}
