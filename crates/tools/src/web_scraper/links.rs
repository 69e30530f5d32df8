//! The links of a page that stay on its site.

use dom_query::Document;
use std::collections::HashSet;
use toolcrib_egress::Url;

/// The most links of one page.
const MAX_LINKS: usize = 500;
/// Endings of files that are no pages.
const NO_PAGES: &[&str] = &[
    ".7z", ".avi", ".bmp", ".bz2", ".css", ".dmg", ".doc", ".docx", ".eot", ".epub", ".exe", ".gif", ".gz", ".ico", ".iso", ".jpeg",
    ".jpg", ".js", ".mov", ".mp3", ".mp4", ".ogg", ".otf", ".png", ".ppt", ".pptx", ".rar", ".svg", ".tar", ".tgz", ".tif", ".tiff",
    ".ttf", ".wav", ".webm", ".webp", ".woff", ".woff2", ".xls", ".xlsx", ".xz", ".zip",
];

/// What a page links to on its own site, in the order of the page, each once, without fragments and without the page itself.
pub(super) fn internal(document: &Document, page: &Url, base: &Url) -> Vec<Url> {
    let own = normalised(page.clone());
    let mut seen = HashSet::from([own.to_string()]);
    let mut links = Vec::new();
    // What the content links to comes before what the frame of the page does.
    let (content, all) = (document.select("main a[href], article a[href], [role='main'] a[href]"), document.select("a[href], area[href]"));
    for node in content.nodes().iter().chain(all.nodes()) {
        let is_unwanted =
            node.attr("rel").is_some_and(|rel| rel.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("nofollow")));
        let Some(url) = node.attr("href").and_then(|href| base.join(href.trim()).ok()) else { continue };
        if is_unwanted || !is_same_site(&url, page) {
            continue;
        }
        let url = normalised(url);
        if seen.insert(url.to_string()) {
            links.push(url);
        }
        if links.len() == MAX_LINKS {
            break;
        }
    }
    links
}

/// Whether both are pages of one site: the same host, with or without `www.`, on the same port.
pub(super) fn is_same_site(one: &Url, other: &Url) -> bool {
    let host = |url: &Url| url.host_str().map(|host| host.strip_prefix("www.").unwrap_or(host).to_owned());
    let port = |url: &Url| {
        url.port().or(match url.scheme() {
            // Both default ports are one site.
            "http" | "https" => None,
            _ => Some(0),
        })
    };
    matches!(one.scheme(), "http" | "https") && host(one) == host(other) && port(one) == port(other)
}

/// Whether a page may be behind the link.
pub(super) fn may_be_page(url: &Url) -> bool {
    let path = url.path().to_ascii_lowercase();
    !NO_PAGES.iter().any(|ending| path.ends_with(ending))
}

/// The URL in the form by which it is known: no fragment, no marks of campaigns.
pub(super) fn normalised(mut url: Url) -> Url {
    const CAMPAIGNS: &[&str] = &["fbclid", "gclid", "mc_cid", "mc_eid", "msclkid", "ref_src"];
    url.set_fragment(None);
    let is_campaign = |name: &str| name.starts_with("utm_") || CAMPAIGNS.contains(&name);
    if url.query_pairs().any(|(name, _)| is_campaign(&name)) {
        let kept: Vec<(String, String)> =
            url.query_pairs().filter(|(name, _)| !is_campaign(name)).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        url.set_query(None);
        if !kept.is_empty() {
            url.query_pairs_mut().extend_pairs(kept);
        }
    }
    if url.query() == Some("") {
        url.set_query(None);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_of_the_site_and_each_is_given_once() {
        let html = r##"
            <a href="/a">1</a> <a href="a#part">again</a> <a href="/b/../a?">again</a> <a href="/c?utm_source=x&id=1">2</a>
            <a href="https://www.example.com/d">3</a> <a href="https://other.com/">no</a> <a href="mailto:x@example.com">no</a>
            <a href="javascript:x()">no</a> <a href="/e" rel="external nofollow">no</a> <a href="http://example.com:8080/">no</a>
            <a href="">itself</a> <a href="#top">itself</a> <a>none</a> <a href="http://[">broken</a> <a href="http://10.0.0.1/">no</a>
        "##;
        let page: Url = "https://example.com/".parse().unwrap();
        let links = internal(&Document::from(html), &page, &page);
        let links: Vec<&str> = links.iter().map(Url::as_str).collect();
        assert_eq!(links, ["https://example.com/a", "https://example.com/c?id=1", "https://www.example.com/d"]);
        // A base that leads elsewhere makes strangers of all links.
        let base: Url = "http://10.0.0.1/".parse().unwrap();
        assert!(internal(&Document::from(r#"<a href="x">x</a>"#), &page, &base).is_empty());
        assert!(may_be_page(&"https://a.com/x.html".parse().unwrap()) && !may_be_page(&"https://a.com/x.PNG".parse().unwrap()));
    }
}
