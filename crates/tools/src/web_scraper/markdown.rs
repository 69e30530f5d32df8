//! HTML to Markdown. A library writes it; what it would lose or garble is put into a form that it writes well first: code,
//! tables, definition lists, small marks.

mod code;
mod table;

use super::selectors::collapsed;
use dom_query::{Document, NodeRef};

/// Marks beside headings that lead to the heading itself.
const ANCHOR_MARKS: &[&str] = &["¶", "#", "§", "🔗", "edit", "[edit]", ""];

/// Writes a piece of HTML as Markdown.
pub(super) fn markdown(html: &str) -> String {
    let document = Document::fragment(html);
    remove_marks(&document);
    code::tidy(&document);
    spell_out(&document);
    define(&document);
    table::tidy(&document);
    mend(document.md(None).trim())
}

/// Takes out what leads a reader nowhere: anchors of headings, pixels that count visitors.
fn remove_marks(document: &Document) {
    for node in document.select("a[href]").nodes() {
        let text = collapsed(&node.text());
        let is_in_heading = || node.ancestors(Some(3)).iter().any(|ancestor| is_heading(ancestor));
        let says_so = || {
            node.class()
                .is_some_and(|class| ["headerlink", "anchor", "permalink", "mw-editsection"].iter().any(|name| class.contains(name)))
        };
        if ANCHOR_MARKS.contains(&text.as_str()) && node.find(&["img"]).is_empty() && (is_in_heading() || says_so()) {
            node.remove_from_parent();
        }
    }
    document.select(".mw-editsection").remove();
    for node in document.select("img").nodes() {
        let is_pixel = |name: &str| node.attr(name).is_some_and(|size| matches!(size.trim_end_matches("px"), "0" | "1"));
        if is_pixel("width") || is_pixel("height") {
            node.remove_from_parent();
        }
    }
}

fn is_heading(node: &NodeRef<'_>) -> bool {
    node.node_name().is_some_and(|name| matches!(&*name, "h1" | "h2" | "h3" | "h4" | "h5" | "h6"))
}

/// Writes out what Markdown has no element for: powers, struck text, boxes that are checked.
fn spell_out(document: &Document) {
    for node in document.select("sup").nodes() {
        let text = collapsed(&node.text());
        // A mark of a footnote stays what it is.
        let is_power = !text.is_empty() && node.find(&["a"]).is_empty() && !text.starts_with('[');
        if is_power {
            let is_short = text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '+' | '−'));
            node.set_text(if is_short { format!("^{text}") } else { format!("^({text})") });
        }
    }
    for node in document.select("del, s, strike").nodes() {
        let text = collapsed(&node.text());
        if !text.is_empty() {
            node.prepend_html("~~");
            node.append_html("~~");
        }
    }
    for node in document.select("input[type='checkbox']").nodes() {
        node.replace_with_html(if node.has_attr("checked") { "[x] " } else { "[ ] " });
    }
    for node in document.select("video[src], audio[src], iframe[src]").nodes() {
        if let (Some(name), Some(src)) = (node.node_name(), node.attr("src")) {
            node.replace_with_html(format!("<a href=\"{}\">{name}</a>", escaped(&src)));
        }
    }
}

/// Definition lists as bold terms with what they mean after them.
fn define(document: &Document) {
    for node in document.select("dt").nodes() {
        let inner = node.inner_html();
        node.set_html(format!("<strong>{inner}</strong>"));
        node.rename("p");
    }
    document.select("dd").rename("p");
    document.select("dl").rename("div");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Puts right what the library writes more carefully than a reader wants it: entities in addresses, escapes within words.
fn mend(written: &str) -> String {
    let mut mended = String::with_capacity(written.len());
    let (mut is_code, mut blank_lines) = (false, 0);
    for line in written.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        let is_blank = line.trim().is_empty();
        blank_lines = if is_blank { blank_lines + 1 } else { 0 };
        if is_code || line.trim_start().starts_with("```") {
            mended.push_str(line);
        } else if is_blank {
            if blank_lines > 1 {
                continue;
            }
        } else {
            mended.push_str(&own_marks(&plain_words(&plain_addresses(line))));
        }
        mended.push('\n');
    }
    mended.truncate(mended.trim_end().len());
    mended
}

/// The marks that we set ourselves are no text to be escaped.
fn own_marks(line: &str) -> String {
    line.replace("\\~\\~", "~~").replace("- \\[x\\] ", "- [x] ").replace("- \\[ \\] ", "- [ ] ")
}

/// `](…?a=1&amp;b=2)` is `](…?a=1&b=2)`.
fn plain_addresses(line: &str) -> String {
    let mut pieces = line.split("](");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(')').unwrap_or(piece.len());
        plain.push_str("](");
        plain.push_str(&piece[..end].replace("&amp;", "&"));
        plain.push_str(&piece[end..]);
    }
    plain
}

/// `snake\_case` is `snake_case`: within a word, an underscore is no emphasis.
fn plain_words(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut before = ' ';
    for (index, character) in line.char_indices() {
        let escapes_within_word = character == '\\' && before.is_alphanumeric() && {
            let mut rest = line[index + 1..].chars();
            rest.next() == Some('_') && rest.next().is_some_and(char::is_alphanumeric)
        };
        if !escapes_within_word {
            plain.push(character);
        }
        before = character;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(html: &str, expected: &str) {
        assert_eq!(markdown(html), expected, "{html}");
    }

    #[test]
    fn small_marks_are_kept_in_words() {
        check(
            "<p>10<sup>6</sup> km<sup>2</sup>, x<sup>n + 1</sup>, see<sup><a href=\"#1\">[1]</a></sup></p>",
            "10^6 km^2, x^(n + 1), see[\\[1\\]](#1)",
        );
        check("<p><del>old</del> new</p>", "~~old~~ new");
        check("<p><a href=\"https://x.org/?a=1&amp;b=2\">x &amp; y</a></p>", "[x & y](https://x.org/?a=1&b=2)");
        check("<p>call snake_case_name now</p>", "call snake_case_name now");
        check("<h2>Head <a class=headerlink href=\"#head\">¶</a></h2><p>x <img src=p.gif width=1 height=1></p>", "## Head\n\nx");
        check("<ul><li><input type=checkbox checked> done<li><input type=checkbox> open</ul>", "- [x] done\n- [ ] open");
        check(
            "<dl><dt>WAL<dd>Write-ahead log<dt>LSN<dd>Log sequence number</dl>",
            "**WAL**\n\nWrite-ahead log\n\n**LSN**\n\nLog sequence number",
        );
        check("<p>a</p><video src=\"https://x.org/v.mp4\"></video>", "a\n\n[video](https://x.org/v.mp4)");
    }
}
