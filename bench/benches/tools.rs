//! Each ready tool through the gate. What reaches outside meets a server on loopback, so that the network is no part of it.

use criterion::{Criterion, criterion_group, criterion_main};
use std::{hint::black_box, path::PathBuf};
use tokio::runtime::Runtime;
use toolcrib_egress::{Config, Egress, Policy};
use toolcrib_testkit::{OpenGate, Served, Site, TestGate};
use toolcrib_tools::{Settings, WeatherSettings, ready};

const PARAGRAPH: &str = "<p>A chisel that is dull asks for force where an edge asks for none, and force is what slips. Begin with the back, which must \
    be flat where it meets the edge and nowhere else; the bevel comes after that, and the strop at the end.</p>";

fn answer(path: &str) -> Served {
    match path.split('?').next().unwrap_or_default() {
        "/page" => {
            Served::html(format!("<title>Chisels</title><nav>Home</nav><article><h1>Chisels</h1>{}</article>", PARAGRAPH.repeat(50)))
        }
        "/items" => Served::json(format!("[{}]", vec![r#"{"id": 1, "name": "chisel", "price": 12.50}"#; 500].join(","))),
        "/v1/search" => {
            Served::json(r#"{"results":[{"name":"Oslo","latitude":59.91,"longitude":10.74,"country":"Norway","country_code":"NO"}]}"#)
        }
        "/v1/forecast" => Served::json(r#"{"timezone":"Europe/Oslo","current":{"temperature_2m":3.5,"weather_code":71}}"#),
        _ => Served::new(404, ""),
    }
}

/// All ready tools behind a gate, and the folder of their sample database.
fn tools(site: &Site) -> (OpenGate, PathBuf) {
    let folder = std::env::temp_dir().join(format!("toolcrib-bench-{}", std::process::id()));
    let exceptions = vec![format!("127.0.0.1:{}", site.address().port()).parse().expect("an address is an exception")];
    let egress = Config {
        policy: Policy { exceptions, ..Policy::default() },
        per_host_per_second: 10_000.try_into().expect("not zero"),
        ..Config::default()
    };
    let url = || site.url("127.0.0.1", "").parse().expect("a URL");
    let weather = WeatherSettings { forecast_url: url(), geocoding_url: url(), api_key: None };
    let settings = Settings { egress, weather, sample_folder: Some(folder.clone()), ..Settings::default() };
    let tools = ready(settings).expect("the settings are sound").tools;
    let gate = tools.into_iter().fold(TestGate::default(), |gate, (spec, callable)| gate.entry(spec, callable)).open();
    (gate, folder)
}

fn tools_through_the_gate(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let site = runtime.block_on(Site::serve(|asked| answer(&asked.path)));
    let (gate, folder) = tools(&site);
    let url = |path: &str| site.url("127.0.0.1", path);
    let calls = [
        ("calculator", "calculator", r#"{"expression": "200 + 10%"}"#.to_owned()),
        ("analyze_text", "analyze_text", r#"{"text": "It was not bad at all, rather good.", "analysis_type": "sentiment"}"#.to_owned()),
        ("web_scraper, a page of 12 kB", "web_scraper", format!(r#"{{"url": "{}"}}"#, url("/page"))),
        ("api_client, 23 kB of JSON", "api_client", format!(r#"{{"url": "{}"}}"#, url("/items"))),
        ("api_client, one value of it", "api_client", format!(r#"{{"url": "{}", "select": "$[499].price"}}"#, url("/items"))),
        ("database_query, one row", "database_query", r#"{"query": "SELECT name FROM users WHERE id = 7"}"#.to_owned()),
        ("database_query, 1000 rows", "database_query", r#"{"query": "SELECT id, name FROM users", "max_rows": 1000}"#.to_owned()),
        ("describe_database", "describe_database", "{}".to_owned()),
        ("weather_api, known", "weather_api", r#"{"location": "Oslo"}"#.to_owned()),
    ];
    let mut group = c.benchmark_group("tools");
    for (name, tool, arguments) in &calls {
        let first = runtime.block_on(gate.call(tool, arguments));
        assert!(first.is_ok(), "{tool}: {first:?}");
        group.bench_function(*name, |b| b.to_async(&runtime).iter(|| gate.pass(tool, arguments)));
    }
    group.finish();
    let _ = std::fs::remove_dir_all(folder);
}

fn rules(c: &mut Criterion) {
    let egress = Egress::new(Config::default()).expect("the defaults are sound");
    c.bench_function("egress, a URL judged", |b| b.iter(|| egress.judge(black_box("https://api.example.com/v1/items?page=2"))));
}

criterion_group!(benches, tools_through_the_gate, rules);
criterion_main!(benches);
