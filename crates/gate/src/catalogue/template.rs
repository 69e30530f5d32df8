//! Whether a URI comes out of a URI template (RFC 6570), without saying what its variables are.

/// The literal parts of a template and what may stand between them.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// `{x}`: anything but the characters that RFC 6570 would have encoded.
    Simple,
    /// `{+x}`, `{/x}`, `{?x}` and their like: anything at all, or nothing.
    Reserved,
}

impl Pattern {
    pub(super) fn parse(template: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((literal, after)) = rest.split_once('{') {
            let Some((expression, after)) = after.split_once('}') else { break };
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            let is_reserved = expression.starts_with(['+', '#', '.', '/', ';', '?', '&']);
            parts.push(if is_reserved { Part::Reserved } else { Part::Simple });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Self(parts)
    }

    /// Whether the URI fits. The set of reachable places in the pattern moves along the URI, so that no template,
    /// however hostile, takes more than the product of the two lengths.
    pub(super) fn matches(&self, uri: &str) -> bool {
        let mut ends = vec![0_usize];
        for part in &self.0 {
            ends = match part {
                Part::Literal(text) => {
                    ends.into_iter().filter(|end| uri[*end..].starts_with(text.as_str())).map(|end| end + text.len()).collect()
                }
                Part::Simple => reach(uri, &ends, |c| !matches!(c, '/' | '?' | '#' | '&' | '='), 1),
                Part::Reserved => reach(uri, &ends, |_| true, 0),
            };
        }
        ends.contains(&uri.len())
    }
}

/// All places that can be reached from `starts` (sorted) over at least `least` characters that are allowed, in order.
fn reach(uri: &str, starts: &[usize], is_allowed: impl Fn(char) -> bool, least: usize) -> Vec<usize> {
    let mut reached = Vec::new();
    let mut starts = starts.iter().copied().peekable();
    // How many characters the longest run up to here has.
    let mut run: Option<usize> = None;
    for (place, character) in uri.char_indices().map(|(place, c)| (place, Some(c))).chain([(uri.len(), None)]) {
        let is_start = starts.next_if_eq(&place).is_some();
        if run.is_some_and(|steps| steps >= least) || (least == 0 && is_start) {
            reached.push(place);
        }
        run = match character {
            Some(c) if (run.is_some() || is_start) && is_allowed(c) => Some(run.map_or(1, |steps| steps + 1)),
            _ => None,
        };
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_fit_their_templates() {
        let check = |template: &str, uri: &str, fits: bool| assert_eq!(Pattern::parse(template).matches(uri), fits, "{template} {uri}");
        check("test://template/{id}/data", "test://template/123/data", true);
        check("test://template/{id}/data", "test://template//data", false);
        check("test://template/{id}/data", "test://template/1/2/data", false);
        check("file:///{+path}", "file:///a/b/c", true);
        check("demo://r/{a}-{b}", "demo://r/1-2-3", true);
        check("x://{id}{?q}", "x://7?q=1", true);
        check("x://{id}{?q}", "x://7", true);
        check("x://plain", "x://plain", true);
        check("x://plain", "x://plainer", false);
        check("x://{id", "x://{id", true);
        check("x://{ä}/é", "x://ö/é", true);
    }

    #[test]
    fn a_hostile_template_ends_soon() {
        let pattern = Pattern::parse(&"{+a}b".repeat(50));
        assert!(!pattern.matches(&"b".repeat(49)));
        assert!(pattern.matches(&"b".repeat(2000)));
    }
}
