//! The way out against URLs of every disguise, names that move, redirects that lead inside, and servers that never end.

#![expect(clippy::unwrap_used, reason = "in a test, what goes wrong ends it")]

use std::{
    collections::HashMap,
    io::{self, Write},
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use toolcrib_contract::BoxFuture;
use toolcrib_egress::{
    Config, Destination, Egress, EgressError, HeaderName, HeaderValue, Method, Policy, Proxy, Refusal, Request, Resolve,
};
use toolcrib_testkit::{Served, Site};

/// Names and their addresses; a name with several answers gives the next one at each look-up.
#[derive(Debug, Default)]
struct Names {
    answers: HashMap<&'static str, Vec<Vec<IpAddr>>>,
    lookups: AtomicUsize,
}

impl Names {
    fn new(names: &[(&'static str, &[&[&str]])]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self {
            answers: names.iter().map(|(name, answers)| (*name, answers.iter().map(parse).collect())).collect(),
            ..Self::default()
        })
    }
}

impl Resolve for Names {
    fn addresses(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let turn = self.lookups.fetch_add(1, Ordering::Relaxed);
        let answer = self.answers.get(name).map(|answers| answers[turn.min(answers.len() - 1)].clone());
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no such name")) })
    }
}

fn config(exceptions: &[String]) -> Config {
    let exceptions: Vec<Destination> = exceptions.iter().map(|text| text.parse().unwrap()).collect();
    Config {
        policy: Policy { exceptions, ..Policy::default() },
        timeout: Duration::from_secs(10),
        per_host_per_second: NonZeroU32::new(1000).unwrap(),
        ..Config::default()
    }
}

/// A way out for which `public.test` is a host like any other, although it is this one.
fn egress(site: &Site) -> Egress {
    egress_with(site, |config| config)
}

fn egress_with(site: &Site, change: impl FnOnce(Config) -> Config) -> Egress {
    let port = site.address().port();
    let config = config(&[format!("public.test:{port}"), format!("other.test:{port}")]);
    let names = Names::new(&[("public.test", &[&["127.0.0.1"]]), ("other.test", &[&["127.0.0.1"]])]);
    Egress::with_resolver(change(config), names).unwrap()
}

async fn get(egress: &Egress, url: &str) -> Result<toolcrib_egress::Fetched, EgressError> {
    egress.send(Request::get(url)).await
}

fn unescape(text: &str) -> String {
    if let Some((before, rest)) = text.split_once("{{REPEAT:") {
        let (count, rest) = rest.split_once(':').unwrap();
        let (piece, after) = rest.split_once("}}").unwrap();
        return format!("{before}{}{after}", piece.repeat(count.parse().unwrap()));
    }
    text.replace("\\\\", "\u{1}").replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t").replace('\u{1}', "\\")
}

#[tokio::test]
async fn every_url_of_the_table_gets_its_verdict() {
    let egress = Egress::with_resolver(config(&[]), Names::new(&[])).unwrap();
    let (mut denied, mut allowed, mut wrong) = (0, 0, Vec::new());
    for line in include_str!("data/ssrf.tsv").lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('\t');
        let (verdict, url) = (fields.next().unwrap(), unescape(fields.next().unwrap()));
        let judged = egress.judge(&url);
        match verdict {
            "deny" => denied += 1,
            "allow" => allowed += 1,
            _ => panic!("no verdict: {line}"),
        }
        if judged.is_ok() != (verdict == "allow") {
            wrong.push(format!("{line}: {judged:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(denied >= 150 && allowed >= 45, "{denied} denied, {allowed} allowed");
}

#[tokio::test]
async fn a_name_is_judged_by_all_of_its_addresses() {
    let names = Names::new(&[
        ("good.test", &[&["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]]),
        ("mixed.test", &[&["93.184.215.14", "10.0.0.5"]]),
        ("inside.test", &[&["10.0.0.5"]]),
        ("zero.test", &[&["0.0.0.0"]]),
        ("six.test", &[&["::1"]]),
        ("mapped.test", &[&["::ffff:10.0.0.1"]]),
        ("metadata.test", &[&["169.254.169.254"]]),
        ("none.test", &[&[]]),
        ("127.0.0.1.nip.test", &[&["127.0.0.1"]]),
    ]);
    let egress = Egress::with_resolver(config(&[]), names).unwrap();
    assert_eq!(egress.addresses("good.test", 443).await.unwrap().len(), 2);
    for name in ["mixed.test", "inside.test", "zero.test", "six.test", "mapped.test", "metadata.test", "127.0.0.1.nip.test"] {
        let error = egress.addresses(name, 443).await.unwrap_err();
        assert!(matches!(error, EgressError::Refused(Refusal::SpecialAddress { .. })), "{name}: {error}");
        // The same on the way of a request: none is sent.
        let error = get(&egress, &format!("http://{name}/")).await.unwrap_err();
        assert!(matches!(error, EgressError::Refused(Refusal::SpecialAddress { .. })), "{name}: {error}");
    }
    for name in ["none.test", "unknown.test"] {
        assert_eq!(get(&egress, &format!("http://{name}/")).await.unwrap_err().class(), "dns", "{name}");
    }
    let error = egress.addresses("mixed.test", 443).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "refused: mixed.test leads to 10.0.0.5, a private address (RFC 1918); the config can make an exception (egress.exceptions)"
    );
}

#[tokio::test]
async fn a_name_that_moves_inside_between_requests_is_refused() {
    let site = Site::serve(|_| Served::new(200, "outside")).await;
    let port = site.address().port();
    let inside = Site::serve_at("127.0.0.2".parse().unwrap(), port, |_| Served::new(200, "inside")).await;
    let names = Names::new(&[("moving.test", &[&["127.0.0.1"], &["127.0.0.2"]])]);
    let egress = Egress::with_resolver(config(&[format!("127.0.0.1:{port}")]), Arc::clone(&names) as Arc<dyn Resolve>).unwrap();
    let first = get(&egress, &site.url("moving.test", "/")).await.unwrap();
    assert_eq!(&*first.body.bytes, b"outside");
    assert_eq!(names.lookups.load(Ordering::Relaxed), 1, "what was vetted is what was dialled");
    let error = get(&egress, &site.url("moving.test", "/")).await.unwrap_err();
    assert!(matches!(error, EgressError::Refused(Refusal::SpecialAddress { .. })), "{error}");
    assert!(inside.asked().is_empty());
}

#[tokio::test]
async fn an_exception_for_one_port_opens_no_other() {
    let site = Site::serve(|_| Served::new(200, "")).await;
    let names = Names::new(&[("inside.test", &[&["127.0.0.1"]])]);
    let egress = Egress::with_resolver(config(&["127.0.0.1:9".into()]), names).unwrap();
    let error = get(&egress, &site.url("inside.test", "/")).await.unwrap_err();
    assert!(matches!(error, EgressError::Refused(Refusal::SpecialAddress { .. })), "{error}");
    assert!(get(&egress, &site.url("127.0.0.1", "/")).await.is_err());
    assert!(site.asked().is_empty());
}

#[tokio::test]
async fn redirects_are_judged_anew() {
    let check = |location: &'static str, class: &'static str| async move {
        let site = Site::serve(move |asked| match asked.path.as_str() {
            "/" => Served::redirect(302, location),
            _ => Served::new(200, "reached"),
        })
        .await;
        let error = get(&egress(&site), &site.url("public.test", "/")).await.unwrap_err();
        assert_eq!(error.class(), class, "{location}: {error}");
        assert_eq!(site.asked().len(), 1, "{location}");
    };
    check("http://127.0.0.1/", "blocked").await;
    check("http://[::1]/", "blocked").await;
    check("//127.0.0.1/", "blocked").await;
    check("http://localhost/", "blocked").await;
    check("http://2130706433/", "blocked").await;
    check("http://169.254.169.254/latest/meta-data/", "blocked").await;
    check("gopher://127.0.0.1:6379/_INFO", "blocked").await;
    check("file:///etc/passwd", "blocked").await;
    check("http://user:password@public.test/", "blocked").await;
    check("http://unknown.test/", "dns").await;
}

#[tokio::test]
async fn redirects_end() {
    let site = Site::serve(|_| Served::redirect(302, "/again")).await;
    let error = get(&egress(&site), &site.url("public.test", "/")).await.unwrap_err();
    assert!(matches!(error, EgressError::TooManyRedirects(5)), "{error}");
    assert_eq!(site.asked().len(), 6);
}

#[tokio::test]
async fn secrets_and_bodies_stay_with_their_origin() {
    let site = Site::serve(|asked| match asked.path.as_str() {
        "/same" => Served::redirect(307, "/end"),
        "/other" => Served::redirect(302, &format!("http://other.test:{}/end", asked.header("host").unwrap().rsplit(':').next().unwrap())),
        "/post-other" => {
            Served::redirect(307, &format!("http://other.test:{}/end", asked.header("host").unwrap().rsplit(':').next().unwrap()))
        }
        "/see-other" => Served::redirect(303, "/end"),
        _ => Served::new(200, "end"),
    })
    .await;
    let egress = egress(&site);
    let request = |method: Method, path: &str| {
        let mut request = Request { method, ..Request::get(site.url("public.test", path)) };
        request.secrets.insert("authorization", HeaderValue::from_static("Bearer secret"));
        request.headers.insert("x-api-key", HeaderValue::from_static("key"));
        request.headers.insert("accept", HeaderValue::from_static("text/plain"));
        request
    };
    let last = || site.asked().last().unwrap().clone();
    assert_eq!(egress.send(request(Method::GET, "/same")).await.unwrap().redirects, 1);
    assert_eq!((last().header("authorization"), last().header("x-api-key")), (Some("Bearer secret"), Some("key")));
    egress.send(request(Method::GET, "/other")).await.unwrap();
    let crossed = last();
    assert_eq!((crossed.header("authorization"), crossed.header("x-api-key")), (None, None));
    assert_eq!(crossed.header("accept"), Some("text/plain"));
    let post = |path| Request { body: Some("body".into()), ..request(Method::POST, path) };
    let answer = egress.send(post("/post-other")).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.redirects), (307, 0), "a body does not cross: the caller gets the redirect itself");
    egress.send(post("/same")).await.unwrap();
    assert_eq!((last().method.as_str(), last().body.as_str()), ("POST", "body"));
    egress.send(post("/see-other")).await.unwrap();
    assert_eq!((last().method.as_str(), last().body.as_str()), ("GET", ""));
}

#[tokio::test]
async fn headers_of_the_connection_are_not_for_callers() {
    let site = Site::serve(|_| Served::new(200, "")).await;
    let egress = egress(&site);
    for name in [
        "host",
        "connection",
        "transfer-encoding",
        "content-length",
        "upgrade",
        "te",
        "proxy-authorization",
        "metadata",
        "metadata-flavor",
        "x-aws-ec2-metadata-token",
    ] {
        let mut request = Request::get(site.url("public.test", "/"));
        request.headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
        assert!(matches!(egress.send(request).await, Err(EgressError::ForbiddenHeader(_))), "{name}");
    }
    assert!(site.asked().is_empty());
    get(&egress, &site.url("public.test", "/")).await.unwrap();
    assert!(site.asked()[0].header("user-agent").unwrap().starts_with("toolcrib/"));
}

fn packed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest),
        _ => panic!("{encoding}"),
    }
}

#[tokio::test]
async fn bodies_are_unpacked_within_bounds() {
    let text = "All work and no play makes Jack a dull boy. ".repeat(100);
    for encoding in ["gzip", "deflate", "zstd"] {
        let body = packed(encoding, text.as_bytes());
        let site = Site::serve(move |_| Served::new(200, body.clone()).header("content-encoding", encoding)).await;
        let answer = get(&egress(&site), &site.url("public.test", "/")).await.unwrap();
        assert_eq!((&*answer.body.bytes, answer.body.is_cut), (text.as_bytes(), false), "{encoding}");
    }
    // Frames one after the other, one of them to be skipped; padding after gzip.
    let frames = [packed("zstd", b"one "), vec![0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9], packed("zstd", b"two")].concat();
    let padded = [packed("gzip", b"one two"), vec![0; 16]].concat();
    for (encoding, body) in [("zstd", frames), ("gzip", padded)] {
        let site = Site::serve(move |_| Served::new(200, body.clone()).header("content-encoding", encoding)).await;
        let answer = get(&egress(&site), &site.url("public.test", "/")).await.unwrap();
        assert_eq!((&*answer.body.bytes, answer.body.is_cut), (&b"one two"[..], false), "{encoding}");
    }
    // "hello" by a Brotli encoder, and gzip within gzip.
    let brotli = [0x0b, 0x02, 0x80, b'h', b'e', b'l', b'l', b'o', 0x03];
    let site = Site::serve(move |_| Served::new(200, brotli).header("content-encoding", "br")).await;
    assert_eq!(&*get(&egress(&site), &site.url("public.test", "/")).await.unwrap().body.bytes, b"hello");
    let twice = packed("gzip", &packed("gzip", b"hello"));
    let site = Site::serve(move |_| Served::new(200, twice.clone()).header("content-encoding", "gzip, gzip")).await;
    assert_eq!(&*get(&egress(&site), &site.url("public.test", "/")).await.unwrap().body.bytes, b"hello");
}

#[tokio::test]
async fn bombs_and_endless_bodies_are_cut() {
    for encoding in ["gzip", "deflate", "zstd"] {
        let bomb = packed(encoding, &vec![0; 64 << 20]);
        assert!(bomb.len() < 1 << 20);
        let site = Site::serve(move |_| Served::new(200, bomb.clone()).header("content-encoding", encoding)).await;
        let answer = get(&egress(&site), &site.url("public.test", "/")).await.unwrap();
        assert_eq!((answer.body.bytes.len(), answer.body.is_cut), (10 << 20, true), "{encoding}");
    }
    let bomb = packed("gzip", &packed("gzip", &vec![0; 256 << 20]));
    let site = Site::serve(move |_| Served::new(200, bomb.clone()).header("content-encoding", "gzip, gzip")).await;
    assert_eq!(get(&egress(&site), &site.url("public.test", "/")).await.unwrap().body.bytes.len(), 10 << 20);
    let site = Site::serve(|_| Served::new(200, "").then_repeat("x".repeat(4096))).await;
    let answer = get(&egress(&site), &site.url("public.test", "/")).await.unwrap();
    assert_eq!((answer.body.bytes.len(), answer.body.is_cut), (10 << 20, true));
}

#[tokio::test]
async fn answers_that_lie_or_stall_are_errors() {
    let check = |served: Served, class: &'static str| async move {
        let site = Site::serve(move |_| served.clone()).await;
        let egress = egress_with(&site, |config| Config { timeout: Duration::from_millis(500), ..config });
        let error = get(&egress, &site.url("public.test", "/")).await.unwrap_err();
        assert_eq!(error.class(), class, "{error}");
    };
    check(Served::new(200, "no gzip at all").header("content-encoding", "gzip"), "bad_answer").await;
    check(Served::new(200, "x").header("content-encoding", "lzma"), "bad_answer").await;
    check(Served::new(200, "x").header("content-encoding", "gzip, gzip, gzip"), "bad_answer").await;
    check(Served::new(200, "short").header("content-length", "100"), "bad_answer").await;
    check(Served::new(200, "x").then_stall(), "timeout").await;
    check(Served::new(200, "x").after(Duration::from_secs(60)), "timeout").await;
    check(Served::new(200, "x").header("x-large", &"a".repeat(40 << 10)), "too_large").await;
    let egress = Egress::with_resolver(config(&["127.0.0.1".into()]), Names::new(&[])).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_eq!(get(&egress, &format!("http://127.0.0.1:{port}/")).await.unwrap_err().class(), "connect");
}

fn destinations(texts: &[&str]) -> Vec<Destination> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn hosts_are_allowed_and_denied() {
    let policy = Policy {
        deny: destinations(&["*.ads.test", "böse.test", "10.0.0.5", "93.184.0.0/16"]),
        allow: Some(destinations(&["*.test"])),
        exceptions: destinations(&["10.0.0.0/8", "inside.test"]),
    };
    let names = Names::new(&[
        ("inside.test", &[&["10.0.0.5"]]),
        ("other.test", &[&["10.0.0.6"]]),
        ("metadata.inside.test", &[&["10.0.0.6"]]),
        ("denied.test", &[&["93.184.215.14"]]),
    ]);
    let egress = Egress::with_resolver(Config { policy, ..config(&[]) }, names).unwrap();
    assert!(egress.judge("https://good.test/").is_ok());
    assert_eq!(egress.judge("https://x.ads.test/").unwrap_err().to_string(), r#"the config denies "x.ads.test" (egress.deny)"#);
    assert_eq!(egress.judge("https://example.com/").unwrap_err().to_string(), r#"the config does not allow "example.com" (egress.allow)"#);
    for url in ["https://X.ADS.test./", "https://BÖSE.test/", "https://xn--bse-sna.test/"] {
        assert!(egress.judge(url).is_err(), "no spelling gets around it: {url}");
    }
    // What is denied by its address is denied whatever it is called, and whatever is excepted.
    assert_eq!(
        egress.addresses("inside.test", 80).await.unwrap_err().to_string(),
        r#"refused: the config denies "inside.test" (egress.deny)"#
    );
    assert!(egress.addresses("denied.test", 80).await.is_err());
    assert!(egress.addresses("other.test", 80).await.is_ok());
}

#[tokio::test]
async fn an_exception_for_a_name_does_not_open_the_metadata_of_the_machine() {
    let names = Names::new(&[("partner.test", &[&["169.254.169.254"], &["10.0.0.1"]])]);
    let egress = Egress::with_resolver(config(&["partner.test".into()]), names).unwrap();
    let error = egress.addresses("partner.test", 80).await.unwrap_err().to_string();
    assert!(error.contains("a cloud metadata address"), "{error}");
    assert!(egress.addresses("partner.test", 80).await.is_ok(), "a private one it does");
}

#[tokio::test]
async fn a_certificate_must_be_trusted_and_fit_the_name() {
    let made = rcgen::generate_simple_self_signed(vec!["secure.test".to_owned()]).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    toolcrib_testkit::site::converse(stream, &|_| Served::new(200, "secure"), &Mutex::default()).await;
                }
            });
        }
    });
    let names = || Names::new(&[("secure.test", &[&["127.0.0.1"]]), ("other.test", &[&["127.0.0.1"]])]);
    let strict = Egress::with_resolver(config(&[format!("*.test:{port}")]), names()).unwrap();
    let error = get(&strict, &format!("https://secure.test:{port}/")).await.unwrap_err();
    assert_eq!(error.class(), "tls", "{error}");
    let trusting = Config { extra_roots: made.cert.pem().into_bytes(), ..config(&[format!("*.test:{port}")]) };
    let trusting = Egress::with_resolver(trusting, names()).unwrap();
    assert_eq!(&*get(&trusting, &format!("https://secure.test:{port}/")).await.unwrap().body.bytes, b"secure");
    let error = get(&trusting, &format!("https://other.test:{port}/")).await.unwrap_err();
    assert_eq!(error.class(), "tls", "{error}");
    assert!(Egress::new(Config { extra_roots: b"no PEM".to_vec(), ..Config::default() }).is_err());
}

#[tokio::test]
async fn a_proxy_is_used_only_when_it_is_configured() {
    let proxy = Site::serve(|_| Served::new(200, "by proxy")).await;
    let url = format!("http://proxy.corp:{}", proxy.address().port()).parse().unwrap();
    let names = Names::new(&[("proxy.corp", &[&["127.0.0.1"]])]);
    let with = Config { proxy: Some(Proxy { http: Some(url), ..Proxy::default() }), ..config(&[]) };
    let egress = Egress::with_resolver(with, names).unwrap();
    let answer = get(&egress, "http://example.com/page").await.unwrap();
    assert_eq!(&*answer.body.bytes, b"by proxy");
    assert_eq!(proxy.asked()[0].path, "http://example.com/page");
    for url in ["http://127.0.0.1/", "http://metadata.google.internal/"] {
        assert_eq!(get(&egress, url).await.unwrap_err().class(), "blocked", "the text is judged all the same");
    }
    let proxy_itself = format!("http://proxy.corp:{}/", proxy.address().port());
    assert_eq!(get(&egress, &proxy_itself).await.unwrap_err().class(), "blocked", "a proxy is no target");
    assert!(!format!("{:?}", Proxy { http: "http://u:secret@p/".parse().ok(), ..Proxy::default() }).contains("secret"));
    let without = Egress::with_resolver(config(&[]), Names::new(&[])).unwrap();
    assert_eq!(get(&without, "http://example.test/").await.unwrap_err().class(), "dns");
    assert_eq!(proxy.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_to_one_host_keep_a_pace() {
    let names = Names::new(&[]);
    let slow = Config { per_host_per_second: NonZeroU32::new(2).unwrap(), timeout: Duration::from_secs(3600), ..config(&[]) };
    let egress = Egress::with_resolver(slow, Arc::clone(&names) as Arc<dyn Resolve>).unwrap();
    // Who has to wait has not yet looked up its name.
    let all = futures_util::future::join_all((0..4).map(|_| get(&egress, "http://one.test/")));
    let other = get(&egress, "http://two.test/");
    tokio::pin!(all);
    tokio::select! {
        biased;
        _ = &mut all => panic!("four requests at once, at two a second"),
        _ = other => {}
    }
    assert_eq!(names.lookups.load(Ordering::Relaxed), 3, "two to the one host, one to the other");
    assert!(all.await.iter().all(Result::is_err));
    assert_eq!(names.lookups.load(Ordering::Relaxed), 5);
}
