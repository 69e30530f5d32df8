//! Values that differ from caller to caller: part of the environment of a child, or of the headers to a remote.

use http::{HeaderName, HeaderValue};
use std::{ffi::OsString, fmt};
use toolcrib_contract::{CallerId, Secrets};
use zeroize::Zeroizing;

/// Where a value goes that differs from caller to caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Where it goes.
    pub to: Place,
    /// What it is made of.
    pub template: Template,
}

/// Where a value goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Into a variable of a child's environment.
    Variable(String),
    /// Into a header of every request.
    Header(HeaderName),
}

/// A text with places for what is known of a caller: `${caller.subject}`, `${caller.authority}`, `${caller.token}`,
/// `${secret:NAME}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// A piece of such a text.
#[derive(Clone, PartialEq, Eq)]
pub enum Piece {
    /// The same for everybody; it may be a secret of the config.
    Text(String),
    /// Whom the caller's credential names.
    Subject,
    /// What vouches for that.
    Authority,
    /// The token that the caller has shown to us.
    Token,
    /// A secret of the caller's, by its name.
    Secret(String),
}

impl Piece {
    /// What an expression between `${` and `}` means.
    ///
    /// # Errors
    /// What is not known of a caller, in a sentence.
    pub fn of(expression: &str) -> Result<Self, String> {
        match (expression, expression.strip_prefix("secret:")) {
            ("caller.subject" | "caller.sub", _) => Ok(Self::Subject),
            ("caller.authority", _) => Ok(Self::Authority),
            ("caller.token", _) => Ok(Self::Token),
            (_, Some(name)) if is_secret_name(name) => Ok(Self::Secret(name.to_owned())),
            _ => Err(format!(
                "\"${{{expression}}}\" is not known of a caller; known are ${{caller.subject}}, ${{caller.authority}}, ${{caller.token}} and ${{secret:NAME}}"
            )),
        }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.0.iter().filter_map(|piece| match piece {
            // What stands around may be a secret of the config.
            Piece::Text(_) => None,
            Piece::Subject => Some("caller.subject".to_owned()),
            Piece::Authority => Some("caller.authority".to_owned()),
            Piece::Token => Some("caller.token".to_owned()),
            Piece::Secret(name) => Some(format!("secret:{name}")),
        });
        f.debug_list().entries(named).finish()
    }
}

impl Template {
    /// Whether an expression between `${` and `}` speaks of the caller.
    #[must_use]
    pub fn is_about_caller(expression: &str) -> bool {
        expression.starts_with("caller.") || expression.starts_with("secret:")
    }

    /// A text out of its pieces. `None` if there is nothing of the caller's among them.
    #[must_use]
    pub fn new(pieces: Vec<Piece>) -> Option<Self> {
        pieces.iter().any(|piece| !matches!(piece, Piece::Text(_))).then_some(Self(pieces))
    }

    pub(crate) fn takes_token(&self) -> bool {
        self.0.contains(&Piece::Token)
    }

    /// The text for this caller.
    fn fill(&self, Known { caller, token, secrets }: Known<'_>) -> Result<Zeroizing<String>, String> {
        let mut text = Zeroizing::new(String::new());
        for piece in &self.0 {
            match piece {
                Piece::Text(fixed) => text.push_str(fixed),
                Piece::Subject => text.push_str(&caller.subject),
                Piece::Authority => text.push_str(&caller.authority),
                Piece::Token => text.push_str(token.ok_or("this server is shown your own token, and you have shown none to Toolcrib")?),
                Piece::Secret(name) => {
                    let secret = secrets.and_then(|secrets| secrets.secret(name, caller)).ok_or_else(|| missing(name, caller))?;
                    text.push_str(&secret);
                }
            }
        }
        Ok(text)
    }
}

/// What is known of a caller.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) caller: &'a CallerId,
    /// What the caller has shown to us.
    pub(crate) token: Option<&'a str>,
    /// Who knows the caller's secrets.
    pub(crate) secrets: Option<&'a dyn Secrets>,
}

fn missing(name: &str, caller: &CallerId) -> String {
    let CallerId { subject, authority, .. } = caller;
    tracing::warn!("a secret is missing: `toolcrib secret set {name} --sub {subject} --authority {authority}` stores one");
    format!("there is no secret {name:?} of yours: whoever runs Toolcrib can store one")
}

/// Whether something can be the name of a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// The values of bindings for one caller.
#[derive(Default)]
pub(crate) struct Bound {
    pub(crate) variables: Vec<(OsString, OsString)>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bound({} values)", self.variables.len() + self.headers.len())
    }
}

/// Fills every binding for a caller.
///
/// # Errors
/// What is missing, in a sentence that names no secret.
pub(crate) fn bind(bindings: &[Binding], known: Known<'_>) -> Result<Bound, String> {
    let mut bound = Bound::default();
    for Binding { to, template } in bindings {
        let value = template.fill(known)?;
        match to {
            Place::Variable(name) if value.contains('\0') => return Err(format!("the value for the variable {name} holds a NUL")),
            Place::Variable(name) => bound.variables.push((name.into(), value.as_str().into())),
            Place::Header(name) => {
                let header = HeaderValue::from_str(&value);
                let mut header = header.map_err(|_| format!("the value for the header {name} holds characters that none may"))?;
                header.set_sensitive(true);
                bound.headers.push((name.clone(), header));
            }
        }
    }
    Ok(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Git;

    impl Secrets for Git {
        fn secret(&self, name: &str, caller: &CallerId) -> Option<Zeroizing<String>> {
            (name == "git" && &*caller.subject == "ann").then(|| Zeroizing::new("s3cret".into()))
        }
    }

    #[test]
    fn values_are_filled_for_each_caller() {
        let [ann, bob] = ["ann", "bob"].map(|name| CallerId::new("login", name, [""; 0]));
        let text = |text: &str| Piece::Text(text.into());
        let (secret, subject) = (Piece::of("secret:git").unwrap(), Piece::of("caller.sub").unwrap());
        let pieces = vec![text("Bearer "), secret, text(" as "), subject, text("@"), Piece::Authority, text("!")];
        let template = Template::new(pieces).unwrap();
        let known = Known { caller: &ann, token: Some("t0ken"), secrets: Some(&Git) };
        assert_eq!(*template.fill(known).unwrap(), "Bearer s3cret as ann@login!");
        assert!(template.fill(Known { caller: &bob, ..known }).unwrap_err().contains("no secret \"git\" of yours"));
        assert!(template.fill(Known { secrets: None, ..known }).is_err());
        let token = Template::new(vec![Piece::of("caller.token").unwrap()]).unwrap();
        assert_eq!(*token.fill(known).unwrap(), "t0ken");
        assert!(token.fill(Known { token: None, ..known }).unwrap_err().contains("you have shown none"));
        assert_eq!(format!("{template:?}"), r#"["secret:git", "caller.subject", "caller.authority"]"#);
        assert_eq!(Template::new(vec![text("nothing here")]), None);
        for unknown in ["caller.name", "secret:", "secret:a b"] {
            assert!(Piece::of(unknown).is_err_and(|fault| fault.contains("is not known of a caller")), "{unknown}");
        }
        let to = Place::Header(HeaderName::from_static("x-user"));
        let header = Binding { to, template: Template::new(vec![Piece::Subject]).unwrap() };
        let evil = CallerId::new("login", "ann\r\nx-admin: 1", [""; 0]);
        assert!(bind(&[header], Known { caller: &evil, token: None, secrets: None }).is_err(), "nobody smuggles a header in by a name");
    }
}
