//! Why somebody cannot be signed in.

/// Why signing in, or staying signed in, does not work. No text here holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OAuthError {
    /// Somebody who is needed does not answer as they should, this time.
    #[error("{url}: {reason}")]
    Failing {
        /// Who.
        url: String,
        /// In what way.
        reason: String,
    },
    /// The server names nobody who gives out tokens for it.
    #[error(
        "{server} names no authorization server: if it wants a token that does not change, give it as headers.Authorization in the config"
    )]
    NoAuthorizationServer {
        /// The MCP server.
        server: String,
    },
    /// The server's metadata is about another server.
    #[error("{server} says that it is {resource}, which is another server (RFC 9728, section 3.3)")]
    ForeignResource {
        /// The MCP server.
        server: String,
        /// Who it says it is.
        resource: String,
    },
    /// Who gives out tokens is somebody else than expected.
    #[error("the authorization server is {found:?}, and {expected:?} is expected")]
    ForeignIssuer {
        /// Who is expected.
        expected: String,
        /// Who it is.
        found: String,
    },
    /// An answer does not say whom it is from, though its sender promised to say so.
    #[error("the answer does not say that it is from {expected:?}, as that server promised it would (RFC 9207)")]
    MissingIssuer {
        /// Who is expected.
        expected: String,
    },
    /// The metadata names no way to do what is to be done.
    #[error("the authorization server {issuer} {lacks}")]
    Lacking {
        /// The authorization server.
        issuer: String,
        /// What it lacks, as the end of a sentence.
        lacks: &'static str,
    },
    /// Others could listen.
    #[error("{url} is not https")]
    Insecure {
        /// What is not.
        url: String,
    },
    /// The authorization server refuses: an error code of OAuth, and perhaps its words.
    #[error("the authorization server refuses: {code}{}", .description.as_ref().map(|words| format!(" ({words})")).unwrap_or_default())]
    Refused {
        /// The code.
        code: String,
        /// Its words.
        description: Option<String>,
    },
    /// Nobody began this login, or it took too long, or it is done.
    #[error("this login is not known: it was completed before, took longer than ten minutes, or was never begun; begin again")]
    UnknownLogin,
    /// The code that the page showed is another.
    #[error("this is not the code that the page showed; begin again")]
    WrongCode,
    /// There is no place for a browser to come back to.
    #[error("no login can begin: {0}")]
    NoLanding(String),
    /// What was obtained cannot be kept.
    #[error("the sign-in cannot be kept: {0}")]
    NotKept(String),
}

impl OAuthError {
    /// An error of OAuth, its words without what would move a cursor.
    pub(crate) fn refused(code: &str, description: Option<&str>) -> Self {
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(300).collect::<String>();
        Self::Refused { code: plain(code), description: description.map(plain).filter(|words| !words.is_empty()) }
    }

    /// Whether we are not taken for who we say we are.
    pub(crate) fn is_about_client(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if matches!(code.as_str(), "invalid_client" | "unauthorized_client"))
    }

    /// Whether the same may work in a while.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Failing { .. } => true,
            Self::Refused { code, .. } => matches!(code.as_str(), "temporarily_unavailable" | "server_error" | "slow_down"),
            _ => false,
        }
    }
}
