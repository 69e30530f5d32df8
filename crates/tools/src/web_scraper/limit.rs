//! HTML made harmless before anything else reads it: at most so deep, so many attributes, so many tags. Parsers of HTML take
//! quadratic time or overflow their stack on pages that have more, and no person's page does.
//!
//! Scripts and styles are left out here; JSON-LD stays, since it tells what the page is.

use html5ever::{
    Attribute,
    tendril::StrTendril,
    tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts, states::RawKind},
};
use std::{cell::RefCell, collections::HashMap};

/// How deep elements may nest; tags beyond are left out, their text stays.
const MAX_DEPTH: usize = 200;
/// How many attributes of a tag are kept.
const MAX_ATTRIBUTES: usize = 128;
/// How many elements that only format may be open at once.
const MAX_FORMATTING: usize = 20;
/// How much of a page is read at a time.
const PIECE_BYTES: usize = 8 << 10;
/// How many separators of attributes one tag may have before it counts as costly; Base64 within it has some, too.
const MAX_SEPARATORS: usize = 4000;
/// How many costly tags a page may have; it ends there.
const MAX_COSTLY_TAGS: usize = 20;
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
/// Elements that only format, which parsers open again where a page ends them in the wrong place (HTML, "formatting").
const FORMATTING: &[&str] = &["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];
/// Elements beyond which the start of another ends nothing.
const SCOPES: &[&str] = &["table", "td", "th", "caption", "button", "html", "body"];
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
///
/// What is written is well nested: every element is ended where a parser would end it, so that no parser has to open elements
/// anew or to move them, which it does as often as the page makes it.
pub(super) fn limited(html: &str) -> (String, bool) {
    let mut writer = Writer::default();
    let mut rest = html;
    let mut costly = 0;
    while !rest.is_empty() && costly <= MAX_COSTLY_TAGS {
        let (read, end) = read_some(rest, writer);
        writer = read;
        rest = match end {
            End::OfPage => "",
            // The tag that goes on and on is left out; the page goes on with the next one.
            End::InCostlyTag(at) => {
                costly += 1;
                writer.0.borrow_mut().is_limited = true;
                rest[at..].find('<').map_or("", |next| &rest[at + next..])
            }
        };
    }
    let written = writer.0.into_inner();
    (written.html, written.is_limited)
}

enum End {
    OfPage,
    /// Up to here one tag was read that has more attributes than any person's tag.
    InCostlyTag(usize),
}

/// Reads until the end of the page, or until a tag turns out to be costly: a tokenizer compares each attribute of a tag with
/// all others, so its tags are watched from outside while they grow.
fn read_some(html: &str, writer: Writer) -> (Writer, End) {
    let tokenizer = Tokenizer::new(writer, TokenizerOpts::default());
    let input = BufferQueue::default();
    let (mut fed, mut last_token_at, mut tokens) = (0, 0, tokenizer.sink.0.borrow().tokens);
    while fed < html.len() {
        let end = (fed + PIECE_BYTES..html.len()).find(|index| html.is_char_boundary(*index)).unwrap_or(html.len());
        input.push_back(StrTendril::from(&html[fed..end]));
        // The sink never asks for a pause, so the tokenizer comes to the end of the input.
        let _ = tokenizer.feed(&input);
        fed = end;
        let now = tokenizer.sink.0.borrow().tokens;
        if now > tokens {
            (tokens, last_token_at) = (now, fed);
        } else if separators(&html[last_token_at..fed]) > MAX_SEPARATORS {
            return (tokenizer.sink, End::InCostlyTag(fed));
        }
    }
    tokenizer.end();
    (tokenizer.sink, End::OfPage)
}

/// How many attributes could stand in a piece of a tag, at most.
fn separators(piece: &str) -> usize {
    piece.bytes().filter(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'=' | b'/')).count()
}

#[derive(Default)]
struct Writer(RefCell<Written>);

#[derive(Default)]
struct Written {
    html: String,
    open: Vec<Open>,
    /// How often elements are open that were left out, since they nest too deeply.
    left_out: HashMap<String, usize>,
    tokens: usize,
    is_limited: bool,
    /// Inside of an element whose content is left out: how it ends, and how often it was opened.
    skipping: Option<(String, usize)>,
    /// Inside of JSON-LD.
    json_ld: Option<String>,
}

/// An element that is open.
struct Open {
    name: String,
}

impl TokenSink for Writer {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut written = self.0.borrow_mut();
        // What is wrong within a tag is no sign that the tag ends.
        if matches!(token, Token::ParseError(_)) {
            return TokenSinkResult::Continue;
        }
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
            if name == "math" {
                self.write_alternative(tag);
            }
            // Elements of HTML do not end themselves, whatever their tag says.
            let ends_itself = tag.self_closing && matches!(name, "svg" | "math");
            if !ends_itself {
                self.skipping = Some((name.to_owned(), 1));
            }
            return raw(name);
        }
        self.end_implied(name);
        let formatting = self.open.iter().filter(|open| FORMATTING.contains(&open.name.as_str())).count();
        let is_too_much = self.open.len() >= MAX_DEPTH || (FORMATTING.contains(&name) && formatting >= MAX_FORMATTING);
        if is_too_much {
            self.is_limited = true;
            if !VOID.contains(&name) {
                *self.left_out.entry(name.to_owned()).or_default() += 1;
            }
            return raw(name);
        }
        self.write_start(tag);
        if !VOID.contains(&name) {
            self.open.push(Open { name: name.to_owned() });
        }
        raw(name)
    }

    /// A formula in the words that the page has for it.
    fn write_alternative(&mut self, tag: &Tag) {
        if let Some(text) = tag.attrs.iter().find(|attribute| &*attribute.name.local == "alttext") {
            self.text(&text.value);
        }
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

    /// Ends what the start of this element ends without saying so, as parsers of HTML do, and what is open within that.
    fn end_implied(&mut self, name: &str) {
        let (ends, within): (&[&str], &[&str]) = match name {
            "li" => (&["li"], &["ul", "ol", "menu"]),
            "dt" | "dd" => (&["dt", "dd"], &["dl"]),
            "td" | "th" => return self.end_down_to(&["tr", "tbody", "thead", "tfoot", "table"]),
            "tr" => return self.end_down_to(&["tbody", "thead", "tfoot", "table"]),
            "tbody" | "thead" | "tfoot" | "caption" | "colgroup" => return self.end_down_to(&["table"]),
            "option" => (&["option"], &["select", "optgroup"]),
            "optgroup" => (&["optgroup"], &["select"]),
            "a" => (&["a"], &[]),
            _ => (&[], &[]),
        };
        if ENDS_PARAGRAPH.contains(&name) || matches!(name, "li" | "dt" | "dd") {
            self.end_nearest(&["p"], &[]);
        }
        self.end_nearest(ends, within);
    }

    /// Ends the innermost of these elements that is open, unless one of those that hold it apart comes first.
    fn end_nearest(&mut self, names: &[&str], within: &[&str]) {
        let holds_apart = |open: &&Open| within.contains(&open.name.as_str()) || SCOPES.contains(&open.name.as_str());
        let reachable = self.open.iter().rev().take_while(|open| !holds_apart(open)).count();
        let index = self.open.iter().rposition(|open| names.contains(&open.name.as_str()));
        if let Some(index) = index.filter(|index| self.open.len() - index <= reachable) {
            self.close_to(index);
        }
    }

    /// Ends what is open within the innermost of these elements.
    fn end_down_to(&mut self, names: &[&str]) {
        if let Some(index) = self.open.iter().rposition(|open| names.contains(&open.name.as_str())) {
            self.close_to(index + 1);
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
        if let Some(times) = self.left_out.get_mut(name).filter(|times| **times > 0) {
            *times -= 1;
            return;
        }
        // An end without a beginning means nothing.
        if let Some(index) = self.open.iter().rposition(|open| open.name == name) {
            self.close_to(index);
        }
    }

    fn close_to(&mut self, index: usize) {
        for Open { name } in self.open.drain(index..).rev() {
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
        check("a<script/>b</script>c<style/>d</style>e<svg/>f", "acef");
        check("<p><b>x<p>y", "<p><b>x</b></p><p>y");
        check("<ul><li><b>x<li>y<ul><li>z</ul></ul>", "<ul><li><b>x</b></li><li>y<ul><li>z</li></ul></li></ul>");
        check("<table><tr><td><p>a<td>b<tr><td>c</table>d", "<table><tr><td><p>a</p></td><td>b</td></tr><tr><td>c</td></tr></table>d");
        check("<math alttext=\"x^2\"><mi>x</mi></math>.", "x^2.");
        check(
            "<script type=\"application/ld+json\">{\"a\": \"</b>\"}</script>x",
            "<script type=\"application/ld+json\">{\"a\": \"<\\/b>\"}</script>x",
        );
    }

    #[test]
    fn hostile_pages_keep_their_limits() {
        for name in ["div", "b", "span", "table", "ul", "font"] {
            let (html, is_limited) = limited(&format!("{}x", format!("<{name}>").repeat(100_000)));
            assert!(is_limited && html.matches('<').count() <= MAX_DEPTH && html.ends_with('x'), "{name}");
        }
        assert_eq!(limited(&"<a>".repeat(1000)).0, "<a></a>".repeat(999) + "<a>", "links do not nest");
        let attributes: String = (0..200_000).map(|number| format!(" a{number}=1")).collect();
        let (html, is_limited) = limited(&format!("a<p{attributes}>lost<i>b"));
        assert_eq!((html.as_str(), is_limited), ("a<i>b", true), "the tag is left out, with the text up to the next one");
        let (html, is_limited) = limited(&format!("<p x=y='><p {}'><i>b", "a ".repeat(200_000)));
        assert!(is_limited && html.len() < 20_000);
        let (html, is_limited) = limited(&"<i></i>".repeat(400_000));
        assert!(is_limited && html.len() <= MAX_TOKENS * 4);
        let value = "x".repeat(100_000);
        check(&format!("<img src='data:{value}' alt=a>b"), "<img alt=\"a\">b");
        // What a parser would have to open again and again is open no more.
        let formatted: String = (0..190).map(|number| format!("<b id={number}>")).collect();
        let (html, _) = limited(&format!("<p>{formatted}{}", "<div>x</div>".repeat(20_000)));
        assert_eq!(html.matches("<b").count(), MAX_FORMATTING);
        assert_eq!(limited(&format!("{}{}", "<i>".repeat(100_000), "</b>".repeat(100_000))).0.matches('<').count(), 20);
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
