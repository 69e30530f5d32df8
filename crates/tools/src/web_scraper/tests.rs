use super::WebScraper;
use crate::{kept::Kept, outside::egress_to};
use serde_json::{Value, json};
use toolcrib_contract::typed;
use toolcrib_testkit::{Asked, OpenGate, Served, Site, TestGate};

fn gate(site: &Site) -> OpenGate {
    let (spec, callable) = typed(WebScraper::new(egress_to(site), true, Kept::default()));
    TestGate::default().entry(spec, callable).open()
}

async fn scrape(gate: &OpenGate, arguments: Value) -> Value {
    gate.tell("web_scraper", &arguments).await
}

/// A site of one page at `/`, without robots.txt.
async fn page(served: Served) -> Site {
    Site::serve(move |asked| if asked.path == "/robots.txt" { Served::new(404, "") } else { served.clone() }).await
}

async fn scrape_page(served: Served, more: Value) -> Value {
    let site = page(served).await;
    let mut arguments = json!({"url": site.url("127.0.0.1", "/")});
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    scrape(&gate(&site), arguments).await
}

const ARTICLE: &str = r#"<!doctype html><html lang="en"><head><title>On sharpening chisels</title>
<meta name="description" content="How to get an edge."><meta name="author" content="Ann Bench"><meta property="og:title" content="Sharpening">
<meta property="og:image" content="/edge.png"><meta property="article:published_time" content="2026-03-01T08:00:00Z">
<link rel="canonical" href="/chisels"><link rel="alternate" type="application/rss+xml" href="/feed.xml">
<script type="application/ld+json">{"@type": "Article", "wordCount": 1234567890123456789012}</script><script>track()</script></head>
<body><nav><a href="/">Home</a> <a href="/tools">Tools</a> <a href="/about">About us and everything else</a></nav>
<article><h1>On sharpening chisels</h1><p class="lead">A dull chisel is a dangerous chisel, because it asks for force where an edge asks for none.
Most people sharpen too seldom, and then too much, and grind away years of steel in an afternoon.</p>
<h2>The flat back</h2><p>Begin with the back. It must be flat where it meets the edge, and nowhere else; the first inch is enough. Use a coarse stone
until the scratches reach the edge in one direction, then go finer, and stop when you see your <a href="/mirror">face</a> in it.</p>
<ul><li>coarse: 400 grit</li><li>fine: 4000 grit</li></ul>
<p>The bevel comes after that. Twenty-five degrees for paring, thirty for chopping, and a strop at the end, ten strokes and no more than that,
since a strop rounds what a stone has made straight.</p><time datetime="2026-03-02">2 March</time></article>
<aside>Subscribe to our newsletter! It comes every Tuesday and is full of offers.</aside><footer>Copyright, imprint, cookies and other matters.</footer></body></html>"#;

#[tokio::test]
async fn the_main_content_is_found_and_what_surrounds_it_left_out() {
    let answer = scrape_page(Served::html(ARTICLE), json!({})).await;
    let content = answer["content"].as_str().unwrap();
    assert!(content.contains("dull chisel") && content.contains("## The flat back") && content.contains("400 grit"), "{content}");
    assert!(content.contains("/mirror)") && content.contains("[face](http://127.0.0.1"), "{content}");
    assert!(
        !content.contains("newsletter") && !content.contains("imprint") && !content.contains("track()") && !content.contains("About us"),
        "{content}"
    );
    assert_eq!((&answer["title"], &answer["status_code"], &answer["links"]), (&json!("On sharpening chisels"), &json!(200), &json!([])));
    let metadata = &answer["metadata"];
    assert_eq!(metadata["description"], "How to get an edge.");
    assert_eq!(
        (&metadata["author"], &metadata["language"], &metadata["published"]),
        (&json!("Ann Bench"), &json!("en"), &json!("2026-03-01T08:00:00Z"))
    );
    assert!(metadata["canonical"].as_str().unwrap().ends_with("/chisels") && metadata["feeds"][0].as_str().unwrap().ends_with("/feed.xml"));
    assert_eq!(metadata["open_graph"]["title"], "Sharpening");
    assert!(metadata["open_graph"]["image"].as_str().unwrap().starts_with("http://127.0.0.1"));
    assert_eq!(metadata["json_ld"][0]["@type"], "Article");
    let text = scrape_page(Served::html(ARTICLE), json!({"format": "text"})).await;
    assert!(text["content"].as_str().unwrap().contains("The flat back") && !text["content"].as_str().unwrap().contains("##"));
    let html = scrape_page(Served::html(ARTICLE), json!({"format": "html"})).await;
    assert!(html["content"].as_str().unwrap().contains("<h2>The flat back</h2>") && !html["content"].as_str().unwrap().contains("<script"));
}

#[tokio::test]
async fn selectors_name_the_parts() {
    let selectors = json!({"title": "h1", "content": ["main", ".lead"], "metadata": ["meta[name=author]"], "grits": "li", "none": ".nothing", "icon": "img::attr(src)", "next": "a[href='/mirror']::attr(href)"});
    let answer = scrape_page(Served::html(ARTICLE), json!({"selectors": selectors})).await;
    assert_eq!(answer["title"], "On sharpening chisels");
    assert!(answer["content"].as_str().unwrap().starts_with("A dull chisel") && !answer["content"].as_str().unwrap().contains("flat back"));
    assert_eq!(answer["metadata"]["selected"], json!(["Ann Bench"]));
    let fields = &answer["fields"];
    assert_eq!((&fields["grits"], &fields["none"]), (&json!(["coarse: 400 grit", "fine: 4000 grit"]), &json!([])));
    assert!(fields["next"][0].as_str().unwrap().starts_with("http://127.0.0.1"), "addresses are whole");
    assert!(answer["notes"].as_array().unwrap().contains(&json!("the selector for \"none\" matches nothing")), "{}", answer["notes"]);
    let missing = scrape_page(Served::html(ARTICLE), json!({"selectors": {"content": "#nope"}})).await;
    assert_eq!((&missing["content"], &missing["notes"][0]), (&json!(""), &json!("the selector for the content matches nothing")));
    let only_fields = scrape_page(Served::html(ARTICLE), json!({"selectors": {"grits": "ul"}})).await;
    assert_eq!((&only_fields["content"], &only_fields["fields"]["grits"]), (&json!(""), &json!(["- coarse: 400 grit\n- fine: 4000 grit"])));
    for bad in ["p[", ":not(", "a >> b", ""] {
        let answer = scrape_page(Served::html(ARTICLE), json!({"selectors": {"title": bad}})).await;
        assert_eq!(answer["error_class"], "bad_selector", "{bad:?}: {answer}");
    }
    let long = scrape_page(Served::html(ARTICLE), json!({"selectors": {"x": "a,".repeat(400) + "a"}})).await;
    assert_eq!(long["error_class"], "bad_selector");
}

#[tokio::test]
async fn other_bodies_are_answered_sensibly() {
    let json = scrape_page(Served::json(r#"{"a": 1}"#), json!({})).await;
    assert_eq!(json["content"], "```json\n{\"a\": 1}\n```");
    let rss = r#"<?xml version="1.0"?><rss version="2.0"><channel><title>News</title><description>All of it</description><language>en</language>
        <item><title>First &amp; best</title><link>https://example.com/1</link><pubDate>Tue, 24 Nov 2026 10:00:00 GMT</pubDate><description>&lt;p&gt;It &lt;b&gt;happened&lt;/b&gt;.&lt;/p&gt;</description></item>
        <item><title>Second</title></item></channel></rss>"#;
    let feed = scrape_page(Served::new(200, rss).header("content-type", "application/rss+xml"), json!({})).await;
    assert_eq!(feed["title"], "News");
    assert_eq!(feed["content"], "## [First & best](https://example.com/1)\n\n2026-11-24T10:00:00+00:00\n\nIt **happened**.\n\n## Second");
    let text = scrape_page(Served::new(200, "plain # text").header("content-type", "text/plain"), json!({})).await;
    assert_eq!(text["content"], "plain # text");
    let latin = scrape_page(
        Served::new(200, b"<title>Stra\xdfe</title><p>Gr\xfc\xdfe".to_vec()).header("content-type", "text/html; charset=iso-8859-1"),
        json!({}),
    )
    .await;
    assert_eq!((&latin["title"], &latin["content"]), (&json!("Straße"), &json!("Grüße")));
    let untyped = scrape_page(Served::new(200, "<!DOCTYPE html><title>T</title><p>x"), json!({})).await;
    assert_eq!(untyped["content"], "x");
    let pdf = scrape_page(Served::new(200, "%PDF-1.7").header("content-type", "application/pdf"), json!({})).await;
    assert_eq!(
        (&pdf["error_class"], &pdf["error"]),
        (&json!("unsupported_type"), &json!("not a page but application/pdf, 8 bytes; the resource holds it as it is"))
    );
    assert!(pdf["resource"].is_string());
    let empty = scrape_page(Served::new(204, ""), json!({})).await;
    assert_eq!((&empty["status_code"], &empty["notes"]), (&json!(204), &json!(["the answer is empty"])));
    let missing = scrape_page(Served::html("<h1>Not here</h1>").header("x", "y"), json!({})).await;
    assert_eq!(missing["title"], "Not here");
    let busy = scrape_page(Served::new(429, "slow down").header("retry-after", "30").header("content-type", "text/plain"), json!({})).await;
    assert_eq!((&busy["status_code"], &busy["notes"][0]), (&json!(429), &json!("the site wants fewer requests; try again in 30 s")));
}

#[tokio::test]
async fn a_long_page_comes_piece_by_piece_for_one_request() {
    let body: String =
        (0..400).map(|number| format!("<p>Paragraph number {number} says something about chisels and stones.</p>")).collect();
    let site = page(Served::html(format!("<title>Long</title><article>{body}</article>"))).await;
    let gate = gate(&site);
    let url = site.url("127.0.0.1", "/long");
    let (mut whole, mut offset, mut pieces) = (String::new(), json!(0), 0);
    while !offset.is_null() {
        let answer = scrape(&gate, json!({"url": url, "offset": offset, "max_chars": 5000})).await;
        assert!(answer["content"].as_str().unwrap().chars().count() <= 5000);
        whole.push_str(answer["content"].as_str().unwrap());
        offset = answer.get("next_offset").cloned().unwrap_or_default();
        pieces += 1;
    }
    assert!(pieces > 4 && whole.contains("number 0 ") && whole.contains("number 399 ") && whole.matches("Paragraph").count() == 400);
    assert_eq!(site.asked().iter().filter(|asked| asked.path == "/long").count(), 1);
}

#[tokio::test]
async fn a_page_that_is_known_is_asked_for_conditionally() {
    let answer = |asked: &Asked| match asked.header("if-none-match") {
        _ if asked.path == "/robots.txt" => Served::new(404, ""),
        Some("\"v1\"") => Served::new(304, ""),
        _ => Served::html("<p>version one").header("etag", "\"v1\""),
    };
    let site = Site::serve(answer).await;
    let gate = gate(&site);
    let url = site.url("127.0.0.1", "/");
    assert!(scrape(&gate, json!({"url": url})).await.get("cache").is_none());
    let again = scrape(&gate, json!({"url": url})).await;
    assert_eq!((&again["cache"], &again["content"]), (&json!("not_modified"), &json!("version one")));
    assert_eq!(site.asked().iter().filter(|asked| asked.path == "/").count(), 2);
}

/// A site of pages that link to each other; each says which it is.
async fn linked_site(robots: &'static str) -> Site {
    Site::serve(move |asked| {
        let linking = |name: &str, links: &[&str]| {
            let links: String = links.iter().map(|link| format!("<a href='{link}'>{link}</a> ")).collect();
            Served::html(format!("<title>{name}</title><p>This is {name}.</p>{links}"))
        };
        match asked.path.as_str() {
            "/robots.txt" => Served::new(if robots.is_empty() { 404 } else { 200 }, robots),
            "/" => linking(
                "start",
                &["/a", "b", "/a#x", "/c?utm_source=y", "/private/x", "https://example.com/", "/file.zip", "/away", "/gone"],
            ),
            "/a" => linking("a", &["/", "/a/deep"]),
            "/b" => linking("b", &["/a"]),
            "/away" => Served::redirect(302, "http://169.254.169.254/"),
            "/gone" => Served::new(404, "gone").header("content-type", "text/plain"),
            path => linking(path, &[]),
        }
    })
    .await
}

#[tokio::test]
async fn links_are_followed_as_far_as_wanted() {
    let site = linked_site("").await;
    let start = site.url("127.0.0.1", "/");
    let paths = |answer: &Value| -> Vec<String> {
        answer["pages"]
            .as_array()
            .map_or(vec![], |pages| pages.iter().map(|page| page["url"].as_str().unwrap().replace(&start, "/")).collect())
    };
    let answer = scrape(&gate(&site), json!({"url": start, "follow_links": true})).await;
    let links: Vec<String> = answer["links"].as_array().unwrap().iter().map(|link| link.as_str().unwrap().replace(&start, "/")).collect();
    assert_eq!(links, ["/a", "/b", "/c", "/private/x", "/file.zip", "/away", "/gone"]);
    assert_eq!(paths(&answer), ["/a", "/b", "/c", "/private/x", "/away", "/gone"]);
    assert!(answer["pages"][0]["content"].as_str().unwrap().contains("This is a.") && answer["pages"][0]["depth"] == 1);
    assert!(answer["pages"][4]["error"].as_str().unwrap().contains("a cloud metadata address"), "{answer}");
    assert_eq!(answer["pages"][5]["status_code"], 404);
    let deep = scrape(&gate(&site), json!({"url": start, "follow_links": true, "depth": 2})).await;
    assert_eq!(paths(&deep).last().unwrap(), "/a/deep");
    let few = scrape(&gate(&site), json!({"url": start, "follow_links": true, "max_pages": 3})).await;
    assert_eq!(paths(&few), ["/a", "/b"]);
    let none = scrape(&gate(&site), json!({"url": start, "follow_links": true, "depth": 0})).await;
    assert_eq!((paths(&none).len(), none["links"].as_array().unwrap().len()), (0, 7));
}

#[tokio::test]
async fn what_a_site_does_not_want_robots_to_see_is_not_fetched() {
    let site = linked_site("User-agent: *\nDisallow: /private/\nDisallow: /b\n").await;
    let gate_of_site = gate(&site);
    let refused = scrape(&gate_of_site, json!({"url": site.url("127.0.0.1", "/private/x")})).await;
    assert_eq!(refused["error_class"], "robots");
    let answer = scrape(&gate_of_site, json!({"url": site.url("127.0.0.1", "/"), "follow_links": true})).await;
    let errors: Vec<&Value> = answer["pages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|page| page["error"].as_str().is_some_and(|error| error.contains("robots.txt")))
        .collect();
    assert_eq!(errors.len(), 2);
    let asked = site.asked();
    assert!(!asked.iter().any(|asked| asked.path.starts_with("/private") || asked.path == "/b"));
    assert_eq!(asked.iter().filter(|asked| asked.path == "/robots.txt").count(), 1, "robots.txt is asked for once");
    for (robots, class) in [(Served::new(503, ""), "robots"), (Served::redirect(302, "http://127.0.0.2/robots.txt"), "robots")] {
        let site = Site::serve(move |asked| if asked.path == "/robots.txt" { robots.clone() } else { Served::html("x") }).await;
        assert_eq!(scrape(&gate(&site), json!({"url": site.url("127.0.0.1", "/")})).await["error_class"], class);
    }
}

#[tokio::test]
async fn a_site_that_wants_time_gets_it() {
    let site = linked_site("User-agent: toolcrib\nCrawl-delay: 0.3\n").await;
    let started = std::time::Instant::now();
    let answer = scrape(&gate(&site), json!({"url": site.url("127.0.0.1", "/"), "follow_links": true, "max_pages": 4})).await;
    assert_eq!(answer["pages"].as_array().unwrap().len(), 3);
    assert!(started.elapsed() >= std::time::Duration::from_millis(900), "three waits of 0.3 s at least");
}

#[tokio::test]
async fn what_may_not_be_reached_is_an_error_with_its_rule() {
    let site = page(Served::redirect(302, "http://127.0.0.1:1/")).await;
    let gate = gate(&site);
    let error = async |url: &str| {
        let answer = scrape(&gate, json!({"url": url})).await;
        (answer["error_class"].as_str().unwrap().to_owned(), answer["error"].as_str().unwrap().to_owned())
    };
    let (class, words) = error("http://169.254.169.254/latest/meta-data/").await;
    assert!(class == "blocked" && words.contains("a cloud metadata address (AWS, Azure, Google Cloud, OpenStack)"), "{words}");
    assert_eq!(error("file:///etc/passwd").await.0, "bad_url");
    assert_eq!(error("no url").await.0, "bad_url");
    let empty = page(Served::html("<div id=root></div><noscript>Use scripts.</noscript>")).await;
    let answer = scrape(&self::gate(&empty), json!({"url": empty.url("127.0.0.1", "/")})).await;
    assert_eq!(answer["notes"], json!(["there is no text on the page; it may need scripts, which are not run"]));
    let (class, words) = error(&site.url("127.0.0.1", "/")).await;
    assert!(class == "blocked" && words.contains("the redirect to http://127.0.0.1:1/"), "{words}");
    let endless = page(Served::html("<p>start").then_repeat("<p>and so on ".repeat(100))).await;
    let answer = scrape(&self::gate(&endless), json!({"url": endless.url("127.0.0.1", "/"), "max_chars": 100})).await;
    assert!(answer["notes"][0].as_str().unwrap().starts_with("the page is larger than what is read"), "{answer}");
}
