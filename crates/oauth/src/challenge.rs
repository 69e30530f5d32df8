//! What a server says when it refuses us: the `Bearer` challenge of `WWW-Authenticate` (RFC 9110, section 11.6.1; RFC 6750,
//! section 3; RFC 9728, section 5.1).

/// The longest challenge that is read.
const MAX_BYTES: usize = 8 * 1024;

/// A challenge to show a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Where the server says more about itself.
    pub resource_metadata: Option<String>,
    /// The scopes that the request needs.
    pub scope: Option<String>,
    /// What was wrong with the token, in a word.
    pub error: Option<String>,
}

impl Challenge {
    /// The first challenge among the values of the header that asks for a bearer token.
    ///
    /// ```
    /// use toolcrib_oauth::Challenge;
    ///
    /// let challenge = Challenge::parse([r#"Basic realm="x, y", Bearer error="invalid_token", scope="read write""#]).unwrap();
    /// assert_eq!(challenge.scope.as_deref(), Some("read write"));
    /// assert_eq!(Challenge::parse(["Basic realm=\"Bearer\""]), None);
    /// ```
    #[must_use]
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        values.into_iter().filter(|value| value.len() <= MAX_BYTES).find_map(Self::in_value)
    }

    /// Whether the token is good but does not reach far enough.
    #[must_use]
    pub fn wants_more_scope(&self) -> bool {
        self.error.as_deref() == Some("insufficient_scope")
    }

    /// The scopes, one by one.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope.iter().flat_map(|scope| scope.split_ascii_whitespace())
    }

    fn in_value(value: &str) -> Option<Self> {
        let mut challenge = None;
        for piece in pieces(value) {
            // A piece begins a challenge where it begins with a scheme, a word with a space behind it.
            let (scheme, parameter) = match piece.split_once([' ', '\t']) {
                Some((scheme, rest)) if is_token(scheme) && !rest.trim_start().starts_with('=') => (Some(scheme), rest.trim()),
                _ if is_token(&piece) => (Some(piece.as_str()), ""),
                _ => (None, piece.as_str()),
            };
            if let Some(scheme) = scheme {
                if challenge.is_some() {
                    break;
                }
                challenge = scheme.eq_ignore_ascii_case("bearer").then(Self::default);
            }
            if let (Some(challenge), Some((name, value))) = (&mut challenge, parameter.split_once('=')) {
                challenge.note(name.trim(), unquoted(value.trim()));
            }
        }
        challenge
    }

    fn note(&mut self, name: &str, value: String) {
        let place = match name.to_ascii_lowercase().as_str() {
            "resource_metadata" => &mut self.resource_metadata,
            "scope" => &mut self.scope,
            "error" => &mut self.error,
            _ => return,
        };
        // The first counts: what comes again is not to change it.
        place.get_or_insert(value);
    }
}

/// The parts between commas that stand in no quotes.
fn pieces(value: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let (mut is_quoted, mut is_escaped) = (false, false);
    for c in value.chars() {
        if c == ',' && !is_quoted {
            pieces.push(String::new());
            continue;
        }
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        if let Some(last) = pieces.last_mut() {
            last.push(c);
        }
    }
    pieces.into_iter().map(|piece| piece.trim().to_owned()).filter(|piece| !piece.is_empty()).collect()
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else { return value.to_owned() };
    let mut is_escaped = false;
    inner
        .chars()
        .filter(|&c| {
            if c == '\\' && !is_escaped {
                is_escaped = true;
                false
            } else {
                is_escaped = false;
                true
            }
        })
        .collect()
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_found_however_they_are_written() {
        let parsed = |value: &str| Challenge::parse([value]);
        assert_eq!(parsed("Bearer"), Some(Challenge::default()));
        assert_eq!(parsed("bearer realm=\"a\"").unwrap(), Challenge::default());
        let full = parsed(r#"Bearer error="insufficient_scope",scope="a b" , resource_metadata="https://h/x?a=1,2""#).unwrap();
        assert!(full.wants_more_scope());
        assert_eq!(full.scopes().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(full.resource_metadata.as_deref(), Some("https://h/x?a=1,2"));
        assert_eq!(parsed(r#"Bearer scope=one, Basic scope="two""#).unwrap().scope.as_deref(), Some("one"));
        assert_eq!(parsed(r#"Bearer scope="q\"uo\\ted", scope="again""#).unwrap().scope.as_deref(), Some(r#"q"uo\ted"#));
        assert_eq!(parsed(r#"Bearer error="x", scope = "a b""#).unwrap().scope.as_deref(), Some("a b"));
        let two = Challenge::parse(["Negotiate abc==", r#"Bearer error="invalid_token""#]).unwrap();
        assert_eq!(two.error.as_deref(), Some("invalid_token"));
        for none in ["", ",,", "Basic realm=\"Bearer\"", "Digest a=Bearer", "Bearerish x=1", "\"Bearer x=1"] {
            assert_eq!(parsed(none), None, "{none}");
        }
    }
}
