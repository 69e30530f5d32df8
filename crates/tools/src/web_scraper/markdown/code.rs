//! Blocks of code: their lines as lines, their language where the page tells it.

use super::escaped;
use dom_query::{Document, NodeRef};

/// Elements that are lines of their own.
const LINES: &[&str] = &["div", "p", "li", "tr"];

/// Puts every block of code into the one form that is written well.
pub(super) fn tidy(document: &Document) {
    unwrap_tables(document);
    for pre in document.select("pre").nodes() {
        let mut text = String::new();
        gather(pre, &mut text);
        let class = language(pre).map(|language| format!(" class=\"language-{}\"", escaped(&language))).unwrap_or_default();
        pre.set_html(format!("<code{class}>{}</code>", escaped(text.trim_matches('\n'))));
        pre.remove_all_attrs();
    }
}

/// A table that holds line numbers in one cell and code in the next is a block of code.
fn unwrap_tables(document: &Document) {
    for table in document.select("table:has(pre)").nodes() {
        let blocks: Vec<NodeRef<'_>> = table.descendants().into_iter().filter(|node| node.has_name("pre")).collect();
        let rows = table.descendants_it().filter(|node| node.has_name("tr")).count();
        if let Some(last) = blocks.last().filter(|_| rows <= 1) {
            table.insert_before(last);
            table.remove_from_parent();
        }
    }
}

/// The text of code with the ends of lines that its elements stand for.
fn gather(node: &NodeRef<'_>, text: &mut String) {
    for child in node.children() {
        if child.is_text() {
            text.push_str(&child.text());
        } else if child.has_name("br") {
            text.push('\n');
        } else if child.is_element() {
            let is_line = is_line(&child);
            if is_line && !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            gather(&child, text);
            if is_line && !text.ends_with('\n') {
                text.push('\n');
            }
        }
    }
}

fn is_line(node: &NodeRef<'_>) -> bool {
    let name = node.node_name().unwrap_or_default();
    let style = node.attr("style").unwrap_or_default();
    let is_shown_as_line = ["display:flex", "display: flex", "display:block", "display: block"].iter().any(|shown| style.contains(shown));
    LINES.contains(&&*name) || is_shown_as_line
}

/// The language that the block, its code, or what stands closely around it names.
fn language(pre: &NodeRef<'_>) -> Option<String> {
    let around = pre.ancestors(Some(2));
    let code = pre.find(&["code"]);
    let places = code.iter().chain([pre]).chain(around.iter());
    places.filter_map(named_language).next()
}

fn named_language(node: &NodeRef<'_>) -> Option<String> {
    if let Some(named) = ["data-lang", "data-language"].iter().find_map(|name| node.attr(name)) {
        return tame(&named);
    }
    let class = node.class()?;
    let words: Vec<&str> = class.split_ascii_whitespace().collect();
    let prefixed = |word: &&str| {
        let prefixes = ["language-", "lang-", "highlight-source-", "highlight-text-", "highlight-", "brush:"];
        prefixes.iter().find_map(|prefix| word.strip_prefix(prefix)).and_then(tame)
    };
    let after = |mark: &str| words.iter().position(|word| *word == mark).and_then(|index| words.get(index + 1)).and_then(|word| tame(word));
    words.iter().find_map(prefixed).or_else(|| ["hljs", "brush:", "sourceCode"].iter().find_map(|mark| after(mark)))
}

fn tame(language: &str) -> Option<String> {
    let language = language.trim_end_matches(';').to_ascii_lowercase();
    let is_language = !language.is_empty()
        && language.len() <= 20
        && language.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '#' | '.'));
    is_language.then_some(language)
}

#[cfg(test)]
mod tests {
    use super::super::markdown;

    fn check(html: &str, expected: &str) {
        assert_eq!(markdown(html), expected, "{html}");
    }

    #[test]
    fn code_keeps_its_lines_and_its_language() {
        check("<pre><code>a<br>b<br>c</code></pre>", "```\na\nb\nc\n```");
        check("<pre><code><div>l1</div><div>l2</div></code></pre>", "```\nl1\nl2\n```");
        check(
            "<pre><code><span style=\"display:flex\">package x\n</span><span style=\"display:flex\">func y</span></code></pre>",
            "```\npackage x\nfunc y\n```",
        );
        check("<pre>  indented\n\n\nline &lt;b&gt;\n</pre>", "```\n  indented\n\n\nline <b>\n```");
        for (html, language) in [
            ("<pre><code class=language-rust>x</code></pre>", "rust"),
            ("<pre><code class=lang-py>x</code></pre>", "py"),
            ("<pre class=\"hljs rust\">x</pre>", "rust"),
            ("<div class=\"highlight highlight-source-shell\"><pre>x</pre></div>", "shell"),
            ("<pre class=\"brush: js\">x</pre>", "js"),
            ("<pre data-lang=sql>x</pre>", "sql"),
        ] {
            check(html, &format!("```{language}\nx\n```"));
        }
        check(
            "<table class=highlighttable><tr><td><pre>1\n2</pre></td><td><pre><span>a</span>\n<span>b</span></pre></td></tr></table>",
            "```\na\nb\n```",
        );
    }
}
