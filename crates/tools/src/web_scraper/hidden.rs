//! What a person who reads a page does not see. Text there is often written for machines, to mislead them.

use super::selectors::collapsed;
use dom_query::{Document, NodeRef};

/// Phrases that speak to a model rather than to a reader.
const SUSPICIOUS: &[&str] = &[
    "ignore previous instructions",
    "ignore all previous",
    "ignore the above",
    "disregard previous",
    "disregard all previous",
    "you are now",
    "new instructions:",
    "system prompt",
    "do not tell the user",
    "without telling the user",
    "<important>",
    "as an ai language model",
];

/// Takes the elements out that are not seen, and gives how many characters they held.
pub(super) fn remove(document: &Document) -> usize {
    let mut characters = 0;
    for node in document.select("[hidden], [aria-hidden='true'], template, [style]").nodes() {
        let is_hidden = !node.has_attr("style")
            || node.has_attr("hidden")
            || node.attr("aria-hidden").is_some()
            || node.attr("style").is_some_and(|style| hides(&style));
        // What lies within a hidden element went with it.
        if is_hidden && is_attached(node) {
            characters += collapsed(&node.text()).chars().count();
            node.remove_from_parent();
        }
    }
    characters
}

fn is_attached(node: &NodeRef<'_>) -> bool {
    node.ancestors_it(None).last().is_some_and(|root| root.is_document())
}

/// Whether a style keeps an element from being seen.
fn hides(style: &str) -> bool {
    style.split(';').filter_map(|declaration| declaration.split_once(':')).any(|(property, value)| {
        let value = value.trim().trim_end_matches("!important").trim().to_ascii_lowercase();
        let number = || value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%').trim().parse::<f32>().ok();
        match property.trim().to_ascii_lowercase().as_str() {
            "display" => value == "none",
            "visibility" => matches!(value.as_str(), "hidden" | "collapse"),
            "font-size" | "opacity" => number() == Some(0.0),
            "text-indent" | "left" | "top" | "margin-left" => number().is_some_and(|number| number <= -500.0),
            _ => false,
        }
    })
}

/// A text without characters that nobody sees, and how many they were. Joiners stay: scripts and emoji are written with them.
pub(super) fn visible(text: &str) -> (String, usize) {
    let is_unseen = |c: &char| matches!(c, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    let unseen = text.chars().filter(is_unseen).count();
    (if unseen == 0 { text.to_owned() } else { text.chars().filter(|c| !is_unseen(c)).collect() }, unseen)
}

/// The phrases in a text that speak to a model.
pub(super) fn suspicious(text: &str) -> Vec<&'static str> {
    let lower = text.to_lowercase();
    SUSPICIOUS.iter().filter(|phrase| lower.contains(**phrase)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_told_from_what_is_small() {
        for style in [
            "display: none",
            "DISPLAY:NONE !important",
            "color:red;visibility:hidden",
            "font-size:0px",
            "opacity:0",
            "position:absolute; left:-9999px",
        ] {
            assert!(hides(style), "{style}");
        }
        for style in ["display:block", "font-size:0.9em", "font-size: 05px", "opacity:0.5", "left:-5px", "content:'display:none", ""] {
            assert!(!hides(style), "{style}");
        }
        let document = Document::from(
            "<p>a</p><div hidden>one<div hidden>two<div style='display:none'>three</div></div></div><p style='font-size:0.8em'>b</p>",
        );
        assert_eq!(remove(&document), "onetwothree".len());
        assert_eq!(document.select("body").text().trim(), "ab");
    }

    #[test]
    fn scripts_and_emoji_keep_their_joiners() {
        assert_eq!(visible("a\u{200b}b\u{ad}c\u{2066}d"), ("abcd".to_owned(), 3));
        for text in ["👨\u{200d}👩\u{200d}👧", "می\u{200c}خواهم"] {
            assert_eq!(visible(text), (text.to_owned(), 0));
        }
        assert_eq!(suspicious("Please IGNORE previous instructions"), ["ignore previous instructions"]);
    }
}
