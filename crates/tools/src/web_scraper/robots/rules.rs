//! The rules of a robots.txt for one robot (RFC 9309, section 2.2). Matched in time that grows with the path alone; nothing is
//! compiled.

use std::time::Duration;
use toolcrib_egress::Url;

/// The most rules that count.
const MAX_RULES: usize = 2000;
/// The longest pattern that counts, and the longest path that is compared.
const MAX_PATTERN_BYTES: usize = 500;
const MAX_PATH_BYTES: usize = 2000;

/// What a site wants of us. By default, nothing is forbidden.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    delay_secs: Option<f32>,
}

#[derive(Debug, PartialEq)]
struct Rule {
    is_allowing: bool,
    pattern: String,
}

impl Rules {
    /// Reads the group of this robot, or, if there is none, that of all robots.
    pub(super) fn parse(text: &str, agent: &str) -> Self {
        let (mut ours, mut everybodys) = (None, Self::default());
        // For whom the lines of the group count that is being read.
        let (mut is_for_us, mut is_for_all, mut is_naming) = (false, false, false);
        for line in text.trim_start_matches('\u{feff}').lines() {
            let line = line.split('#').next().unwrap_or_default();
            let Some((key, value)) = line.split_once(':') else { continue };
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
            if key == "user-agent" {
                if !is_naming {
                    (is_for_us, is_for_all) = (false, false);
                }
                is_naming = true;
                is_for_all |= value == "*";
                if names(value, agent) {
                    is_for_us = true;
                    ours.get_or_insert_with(Self::default);
                }
                continue;
            }
            is_naming = false;
            if is_for_us && let Some(ours) = &mut ours {
                ours.take(&key, value);
            }
            if is_for_all {
                everybodys.take(&key, value);
            }
        }
        ours.unwrap_or(everybodys)
    }

    fn take(&mut self, key: &str, value: &str) {
        match key {
            "allow" | "disallow" if !value.is_empty() && value.len() <= MAX_PATTERN_BYTES && self.rules.len() < MAX_RULES => {
                self.rules.push(Rule { is_allowing: key == "allow", pattern: decoded(value) });
            }
            "crawl-delay" => self.delay_secs = value.parse().ok().filter(|delay: &f32| *delay >= 0.0).or(self.delay_secs),
            _ => {}
        }
    }

    /// Whether the page may be fetched: the longest pattern that matches decides, and of two equally long ones the one that allows.
    pub(super) fn allow(&self, url: &Url) -> bool {
        let path = decoded(&url[url::Position::BeforePath..url::Position::AfterQuery]);
        let path: String = path.chars().take(MAX_PATH_BYTES).collect();
        let matching = self.rules.iter().filter(|rule| fits(&rule.pattern, &path));
        matching.max_by_key(|rule| (rule.pattern.len(), rule.is_allowing)).is_none_or(|rule| rule.is_allowing)
    }

    pub(super) fn delay(&self) -> Option<Duration> {
        self.delay_secs.and_then(|delay| Duration::try_from_secs_f32(delay).ok())
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.rules.iter().map(|rule| rule.pattern.len() + size_of::<Rule>()).sum()
    }
}

/// Whether a group's name is ours: its product token, whatever version follows.
fn names(value: &str, agent: &str) -> bool {
    let token: String = value.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    token.eq_ignore_ascii_case(agent)
}

/// Paths and patterns are compared by what their escapes mean.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Whether a pattern matches the beginning of a path; `*` stands for anything, `$` at the end for the end.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, is_anchored) = pattern.strip_suffix('$').map_or((pattern, false), |pattern| (pattern, true));
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return !is_anchored || rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() && is_anchored {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(index) => rest = &rest[index + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(robots: &str, path: &str, is_allowed: bool) {
        let url = Url::parse(&format!("https://example.com{path}")).unwrap();
        assert_eq!(Rules::parse(robots, "toolcrib").allow(&url), is_allowed, "{robots:?} {path}");
    }

    #[test]
    fn the_longest_rule_of_our_group_decides() {
        check("", "/a", true);
        check("<html>not a robots.txt: at all</html>", "/a", true);
        check("User-agent: *\nDisallow: /", "/a", false);
        check("User-agent: *\nDisallow:", "/a", true);
        check("User-agent: *\nDisallow: /a\nAllow: /a/b", "/a/b/c", true);
        check("User-agent: *\nAllow: /a\nDisallow: /a", "/a", true);
        check("User-agent: *\nDisallow: /a", "/b", true);
        check("User-agent: other\nDisallow: /", "/a", true);
        check("User-agent: *\nDisallow: /\n\nUser-agent: ToolCrib/1.0\nDisallow: /private", "/a", true);
        check("User-agent: *\nDisallow: /\n\nUser-agent: toolcrib\nDisallow: /private", "/private/x", false);
        check("User-agent: other\nUser-agent: toolcrib\nDisallow: /x", "/x", false);
        check("User-agent: toolcrib\nDisallow: /x\nUser-agent: other\nDisallow: /y", "/y", true);
        check("User-agent: toolcrib\nDisallow: /x # why\n\nUser-agent: toolcrib\nDisallow: /y", "/y", false);
        check("user-agent:*\ndisallow:/a", "/a", false);
        check("\u{feff}User-agent: *\r\nDisallow: /a\r\n", "/a", false);
    }

    #[test]
    fn patterns_stand_for_what_they_say() {
        check("User-agent: *\nDisallow: /*.pdf$", "/a/b.pdf", false);
        check("User-agent: *\nDisallow: /*.pdf$", "/a/b.pdf?x", true);
        check("User-agent: *\nDisallow: /a*/b", "/aXX/bc", false);
        check("User-agent: *\nDisallow: /a$", "/ab", true);
        check("User-agent: *\nDisallow: /*?q=", "/search?q=x", false);
        check("User-agent: *\nDisallow: /a%C3%A4", "/a%c3%a4", false);
        check("User-agent: *\nDisallow: /ü", "/%C3%BC", false);
        check(&format!("User-agent: *\nDisallow: /{}b$", "*a".repeat(200)), &format!("/{}", "a".repeat(5000)), true);
        assert_eq!(Rules::parse("User-agent: *\nCrawl-delay: 2.5", "toolcrib").delay(), Some(Duration::from_millis(2500)));
        assert_eq!(Rules::parse("User-agent: *\nCrawl-delay: -1", "toolcrib").delay(), None);
    }
}
