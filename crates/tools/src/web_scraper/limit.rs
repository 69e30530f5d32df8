//! HTML made harmless before anything else reads it: at most so deep, so many attributes, so many tags. Parsers of HTML take
//! quadratic time or overflow their stack on pages that have more, and no person's page does.
//!
//! Scripts and styles are left out here; JSON-LD stays, since it tells what the page is.

use html5ever::{
    Attribute,
    tendril::StrTendril,
    tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts, states::RawKind},
};
use std::{borrow::Cow, cell::RefCell};

/// How deep elements may nest; tags beyond are left out, their text stays.
const MAX_DEPTH: usize = 200;
/// How many attributes a tag may have; one with more is left out.
const MAX_ATTRIBUTES: usize = 128;
/// How many tags and pieces of text a page may have; it ends there.
const MAX_TOKENS: usize = 300_000;
/// The longest value of an attribute; longer ones are left out (images within the page, mostly).
const MAX_VALUE_BYTES: usize = 8 << 10;
/// The largest JSON-LD that is kept.
const MAX_JSON_LD_BYTES: usize = 64 << 10;

/// Elements without an end.
const VOID: &[&str] = &["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"];
/// Elements whose content is no text of the page.
const LEFT_OUT: &[&str] = &["script", "style", "noscript", "iframe", "noembed", "noframes", "xmp", "object", "applet", "svg", "math"];
/// Elements that end an open paragraph (HTML, "The p element").
const ENDS_PARAGRAPH: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "details",
    "div",
    "dl",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hgroup",
    "hr",
    "main",
    "menu",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "ul",
];

/// The page with its limits kept, and whether anything was left out for them.
pub(super) fn limited(html: &str) -> (String, bool) {
    let thinned = thin(html);
    let is_thinned = matches!(thinned, Cow::Owned(_));
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(&*thinned));
    let tokenizer = Tokenizer::new(Writer::default(), TokenizerOpts::default());
    // The sink never asks for a pause, so the tokenizer comes to the end of the input.
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    let written = tokenizer.sink.0.into_inner();
    (written.html, written.is_limited || is_thinned)
}

/// Leaves out tags with too many attributes, before a tokenizer compares each of them with all others.
fn thin(html: &str) -> Cow<'_, str> {
    let mut kept = String::new();
    let mut done = 0;
    let mut from = 0;
    while let Some(start) = html[from..].find('<').map(|index| from + index) {
        let (end, attributes) = scan_tag(&html[start..]);
        if attributes > MAX_ATTRIBUTES {
            kept.push_str(&html[done..start]);
            done = start + end;
        }
        from = start + end;
    }
    if done == 0 { Cow::Borrowed(html) } else { Cow::Owned(kept + &html[done..]) }
}

/// How long the tag is that begins here, and how many attributes it has, counted generously.
fn scan_tag(text: &str) -> (usize, usize) {
    let bytes = text.as_bytes();
    if !bytes.get(1).is_some_and(u8::is_ascii_alphabetic) {
        return (1, 0);
    }
    let (mut attributes, mut index, mut is_between, mut quote) = (0, 1, false, None);
    let mut previous = b' ';
    while let Some(&byte) = bytes.get(index) {
        match quote {
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None if byte == b'>' => return (index + 1, attributes),
            None if matches!(byte, b'"' | b'\'') && previous == b'=' => quote = Some(byte),
            None if byte.is_ascii_whitespace() || byte == b'/' => is_between = true,
            None if is_between => {
                attributes += 1;
                is_between = false;
            }
            None => {}
        }
        if !byte.is_ascii_whitespace() {
            previous = byte;
        }
        index += 1;
    }
    (index, attributes)
}

#[derive(Default)]
struct Writer(RefCell<Written>);

#[derive(Default)]
struct Written {
    html: String,
    open: Vec<Open>,
    tokens: usize,
    is_limited: bool,
    /// Inside of an element that is left out: how it ends, and how often it was opened.
    skipping: Option<(String, usize)>,
    /// Inside of JSON-LD.
    json_ld: Option<String>,
}

struct Open {
    name: String,
    is_written: bool,
}

impl TokenSink for Writer {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut written = self.0.borrow_mut();
        written.tokens += 1;
        if written.tokens > MAX_TOKENS {
            written.is_limited = true;
            return TokenSinkResult::Continue;
        }
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => return written.start(&tag),
            Token::TagToken(tag) => written.end(&tag.name),
            Token::CharacterTokens(text) => written.text(&text),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl Written {
    fn start(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name = &*tag.name;
        if let Some((skipped, times)) = &mut self.skipping {
            *times += usize::from(skipped == name && !tag.self_closing);
            return raw(name);
        }
        if name == "script" && is_json_ld(tag) {
            self.json_ld = Some(String::new());
            return TokenSinkResult::RawData(RawKind::ScriptData);
        }
        if LEFT_OUT.contains(&name) {
            if !tag.self_closing {
                self.skipping = Some((name.to_owned(), 1));
            }
            return raw(name);
        }
        self.end_implied(name);
        let is_written = self.open.len() < MAX_DEPTH;
        self.is_limited |= !is_written;
        if is_written {
            self.write_start(tag);
        }
        if !VOID.contains(&name) {
            self.open.push(Open { name: name.to_owned(), is_written });
        }
        raw(name)
    }

    fn write_start(&mut self, tag: &Tag) {
        self.html.push('<');
        self.html.push_str(&tag.name);
        for Attribute { name, value } in tag.attrs.iter().take(MAX_ATTRIBUTES) {
            // Handlers do nothing here, and what is too long is no attribute that tells anything.
            if value.len() <= MAX_VALUE_BYTES && !name.local.starts_with("on") && is_plain(&name.local) {
                self.html.push(' ');
                self.html.push_str(&name.local);
                self.html.push_str("=\"");
                self.html.push_str(&value.replace('&', "&amp;").replace('"', "&quot;"));
                self.html.push('"');
            }
        }
        self.html.push('>');
    }

    /// Ends what the start of this element ends without saying so, as parsers of HTML do.
    fn end_implied(&mut self, name: &str) {
        let ends: &[&str] = match name {
            "li" => &["p", "li"],
            "dt" | "dd" => &["p", "dt", "dd"],
            "tr" => &["p", "td", "th", "tr"],
            "td" | "th" => &["p", "td", "th"],
            "tbody" | "thead" | "tfoot" => &["p", "td", "th", "tr", "tbody", "thead", "tfoot", "caption", "colgroup"],
            "option" => &["option"],
            "optgroup" => &["option", "optgroup"],
            "rt" | "rp" => &["rt", "rp"],
            name if ENDS_PARAGRAPH.contains(&name) => &["p"],
            _ => &[],
        };
        while self.open.last().is_some_and(|open| ends.contains(&open.name.as_str())) {
            self.close_last();
        }
    }

    fn end(&mut self, name: &str) {
        if let Some((skipped, times)) = &mut self.skipping {
            if skipped == name {
                *times -= 1;
                if *times == 0 {
                    self.skipping = None;
                }
            }
            return;
        }
        if name == "script" {
            if let Some(json) = self.json_ld.take().filter(|json| json.len() <= MAX_JSON_LD_BYTES) {
                self.html.push_str("<script type=\"application/ld+json\">");
                self.html.push_str(&json.replace("</", "<\\/"));
                self.html.push_str("</script>");
            }
            return;
        }
        // An end without a beginning means nothing.
        if let Some(index) = self.open.iter().rposition(|open| open.name == name) {
            while self.open.len() > index {
                self.close_last();
            }
        }
    }

    fn close_last(&mut self) {
        if let Some(Open { name, is_written: true }) = self.open.pop() {
            self.html.push_str("</");
            self.html.push_str(&name);
            self.html.push('>');
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(json) = &mut self.json_ld {
            json.push_str(text);
        } else if self.skipping.is_none() {
            self.html.push_str(&text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"));
        }
    }
}

fn is_json_ld(tag: &Tag) -> bool {
    tag.attrs.iter().any(|attribute| &*attribute.name.local == "type" && attribute.value.trim().eq_ignore_ascii_case("application/ld+json"))
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.'))
}

/// How the tokenizer must read what follows the start of this element (HTML, "Parsing elements that contain only text").
fn raw(name: &str) -> TokenSinkResult<()> {
    match name {
        "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
        "style" | "xmp" | "iframe" | "noembed" | "noframes" => TokenSinkResult::RawData(RawKind::Rawtext),
        "script" => TokenSinkResult::RawData(RawKind::ScriptData),
        "plaintext" => TokenSinkResult::Plaintext,
        _ => TokenSinkResult::Continue,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(html: &str, expected: &str) {
        assert_eq!(limited(html).0, expected, "{html}");
    }

    #[test]
    fn ordinary_pages_stay_what_they_are() {
        check("<p class=a>x &amp; <b>y</b><br>z", "<p class=\"a\">x &amp; <b>y</b><br>z");
        check("<ul><li>a<li>b</ul>c", "<ul><li>a</li><li>b</li></ul>c");
        check("<p>a<p>b<div>c</div>", "<p>a</p><p>b</p><div>c</div>");
        check("a<script>if (1 < 2) '<p>'</script>b<style>p{}</style>c<svg><text>d</text></svg>e", "abce");
        check("<title>a <b> c</title>d", "<title>a &lt;b&gt; c</title>d");
        check("<a href=\"?a=1&b=2\" onclick=x()>y</a></div>", "<a href=\"?a=1&amp;b=2\">y</a>");
        check("<!-- <p>no</p> --><p>yes", "<p>yes");
        check("<noscript><p>a</p></noscript>b<iframe><p>c</iframe>d", "bd");
        check(
            "<script type=\"application/ld+json\">{\"a\": \"</b>\"}</script>x",
            "<script type=\"application/ld+json\">{\"a\": \"<\\/b>\"}</script>x",
        );
    }

    #[test]
    fn hostile_pages_keep_their_limits() {
        for name in ["div", "b", "span", "table", "ul", "a", "font"] {
            let (html, is_limited) = limited(&format!("{}x", format!("<{name}>").repeat(100_000)));
            assert!(is_limited && html.matches('<').count() <= MAX_DEPTH && html.ends_with('x'), "{name}");
        }
        let attributes: String = (0..200_000).map(|number| format!(" a{number}=1")).collect();
        let (html, is_limited) = limited(&format!("a<p{attributes}>b"));
        assert_eq!((html.as_str(), is_limited), ("ab", true));
        let (html, is_limited) = limited(&"<i></i>".repeat(400_000));
        assert!(is_limited && html.len() <= MAX_TOKENS * 4);
        let value = "x".repeat(100_000);
        check(&format!("<img src='data:{value}' alt=a>"), "<img alt=\"a\">");
        // Nobody's paragraphs are lost because nobody closed them.
        let (html, is_limited) = limited(&"<p>x".repeat(5000));
        assert!(!is_limited && html.matches("<p>").count() == 5000);
        for broken in
            ["<", "<a", "<a b", "<a b=", "<a b='", "</", "<!", "<!--", "<p/ / / /", "<script>", "<title>", "&#x110000;&", "<a b='>'c>"]
        {
            let _ = limited(broken);
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_in_comes_out_within_limits(html in "(<[/!]?[a-z]{0,6}[ =\"'/>]?|[a-z &;#<>\"'=-]{0,8}|<(p|li|td|b|script|style|title|svg|a b=')>?){0,200}") {
            let (limited, _) = limited(&html);
            let document = dom_query::Document::from(limited.as_str());
            let depth = |node: &dom_query::NodeRef<'_>| node.ancestors(None).len();
            let deepest = document.select("*").nodes().iter().map(depth).max().unwrap_or_default();
            // The parser adds html, head, body and what tables need.
            proptest::prop_assert!(deepest <= MAX_DEPTH + 8, "{deepest}");
            proptest::prop_assert!(document.select("script, style, svg").is_empty());
        }
    }
}
