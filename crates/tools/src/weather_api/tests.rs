use super::{WeatherApi, WeatherSettings};
use serde_json::{Value, json};
use toolcrib_contract::typed;
use toolcrib_egress::{Config, Egress};
use toolcrib_testkit::{Asked, OpenGate, Served, Site, TestGate};

/// A server that speaks the provider's documented format.
async fn provider(forecast: impl Fn(&Asked) -> Served + Send + Sync + 'static) -> Site {
    Site::serve(move |asked| match asked.path.split('?').next().unwrap() {
        "/v1/search" if asked.path.contains("name=Paris") || asked.path.contains("name=paris") => Served::json(
            json!({"results": [
                {"id": 2988507, "name": "Paris", "latitude": 48.85341, "longitude": 2.3488, "elevation": 42.0, "feature_code": "PPLC",
                 "country_code": "FR", "timezone": "Europe/Paris", "population": 2138551, "country": "France", "admin1": "Île-de-France"},
                {"id": 4717560, "name": "Paris", "latitude": 33.66094, "longitude": -95.55551, "feature_code": "PPLA2", "country_code": "US",
                 "timezone": "America/Chicago", "population": 24782, "country": "United States", "admin1": "Texas"}
            ], "generationtime_ms": 0.5})
            .to_string(),
        ),
        // No hit: no results.
        "/v1/search" => Served::json(r#"{"generationtime_ms": 0.3}"#),
        "/v1/forecast" => forecast(asked),
        _ => Served::new(404, ""),
    })
    .await
}

fn forecast(asked: &Asked) -> Served {
    let is_imperial = asked.path.contains("temperature_unit=fahrenheit");
    let (temperature, unit) = if is_imperial { (51.1, "°F") } else { (10.6, "°C") };
    Served::json(
        json!({
            "latitude": 48.86, "longitude": 2.3599997, "generationtime_ms": 0.06, "utc_offset_seconds": 3600, "timezone": "Europe/Paris",
            "timezone_abbreviation": "CET", "elevation": 43.0,
            "current_units": {"time": "iso8601", "temperature_2m": unit},
            "current": {"time": "2026-11-24T11:15", "interval": 900, "temperature_2m": temperature, "apparent_temperature": 8.2,
                "relative_humidity_2m": 81, "is_day": 1, "precipitation": 0.1, "weather_code": 61, "cloud_cover": 100,
                "wind_speed_10m": 14.8, "wind_direction_10m": 230, "wind_gusts_10m": 33.1},
            "daily": {"time": ["2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27", "2026-11-28"],
                "weather_code": [61, 3, 0, 95, null], "temperature_2m_max": [11.0, 9.5, 8.0, 7.0, null],
                "temperature_2m_min": [7.0, 4.0, 1.5, 2.0, 0.0], "precipitation_sum": [2.4, 0.0, 0.0, 8.1, null],
                "precipitation_probability_max": [90, 10, 0, 75, null], "sunrise": ["2026-11-24T08:15"], "sunset": ["2026-11-24T16:59"]}
        })
        .to_string(),
    )
}

fn gate(site: &Site) -> OpenGate {
    let url = || site.url("127.0.0.1", "").parse().unwrap();
    let settings = WeatherSettings { forecast_url: url(), geocoding_url: url(), api_key: Some("key-word".into()) };
    let egress = Egress::new(Config { per_host_per_second: 1000.try_into().unwrap(), ..Config::default() }).unwrap();
    let (spec, callable) = typed(WeatherApi::new(&egress, settings).unwrap());
    TestGate::default().entry(spec, callable).open()
}

async fn weather(gate: &OpenGate, arguments: Value) -> Value {
    gate.tell("weather_api", &arguments).await
}

#[tokio::test]
async fn the_weather_of_a_place_by_name_and_by_point() {
    let site = provider(forecast).await;
    let gate = gate(&site);
    let answer = weather(&gate, json!({"location": "Paris"})).await;
    assert_eq!(
        (&answer["location"], &answer["units"], &answer["forecast"]),
        (&json!("Paris, Île-de-France, France"), &json!("metric"), &Value::Null)
    );
    let current = &answer["current"];
    assert_eq!(
        (&current["temperature"], &current["humidity"], &current["condition"], &current["wind_speed"]),
        (&json!(10.6), &json!(81.0), &json!("slight rain"), &json!(14.8))
    );
    assert_eq!((&answer["timezone"], &answer["unit_names"]["temperature"]), (&json!("Europe/Paris"), &json!("°C")));
    assert_eq!(answer["other_places"], json!(["Paris, Texas, United States"]));
    assert!(answer["source"].as_str().unwrap().contains("CC BY 4.0") && !answer.to_string().contains("key-word"));
    let imperial = weather(&gate, json!({"location": "48.8534,2.3488", "units": "imperial", "include_forecast": true})).await;
    assert_eq!((&imperial["current"]["temperature"], &imperial["unit_names"]["wind_speed"]), (&json!(51.1), &json!("mph")));
    let days = imperial["forecast"].as_array().unwrap();
    assert_eq!(days.len(), 5);
    assert_eq!(
        days[0],
        json!({"date": "2026-11-24", "temp": 9.0, "min": 7.0, "max": 11.0, "condition": "slight rain", "precipitation": 2.4,
        "precipitation_probability": 90.0, "wind_speed_max": null, "sunrise": "2026-11-24T08:15", "sunset": "2026-11-24T16:59"})
    );
    assert_eq!((&days[3]["condition"], &days[4]["temp"], &days[4]["condition"]), (&json!("thunderstorm"), &Value::Null, &json!("unknown")));
    let asked = site.asked();
    assert!(
        asked[1].path.contains("latitude=48.8534&longitude=2.3488") && asked[1].path.contains("forecast_days=5&apikey=key-word"),
        "{}",
        asked[1].path
    );
}

#[tokio::test]
async fn many_callers_cause_one_request() {
    let site = provider(|asked| forecast(asked).after(std::time::Duration::from_millis(100))).await;
    let gate = gate(&site);
    let all = (0..50).map(|_| weather(&gate, json!({"location": "paris"})));
    let answers = futures_util::future::join_all(all).await;
    assert!(answers.iter().all(|answer| answer["current"]["temperature"] == 10.6));
    assert_eq!(site.asked().len(), 2, "one for the place, one for its weather");
}

#[tokio::test]
async fn the_providers_errors_are_told_and_not_kept() {
    let error = async |served: Served| {
        let site = provider(move |_| served.clone()).await;
        let answer = weather(&gate(&site), json!({"location": "1,1"})).await;
        (answer["error_class"].as_str().unwrap().to_owned(), answer["error"].as_str().unwrap().to_owned())
    };
    let (class, words) = error(Served::new(400, r#"{"error": true, "reason": "Latitude must be in range"}"#)).await;
    assert_eq!((class.as_str(), words.as_str()), ("provider", "the weather provider answered 400: Latitude must be in range"));
    assert_eq!(
        error(Served::new(429, r#"{"error": true, "reason": "Minutely API request limit exceeded."}"#).header("retry-after", "30")).await,
        ("rate_limited".into(), "the weather provider wants fewer requests; try again in 30 s".into())
    );
    assert_eq!(error(Served::new(500, "<html>broken")).await.1, "the weather provider answered 500");
    assert_eq!(error(Served::html("<html>a portal")).await.0, "provider");
    assert_eq!(error(Served::json(r#"{"timezone": "GMT"}"#)).await.0, "provider");
    assert_eq!(error(Served::json(r#"{"timezone": "GMT", "current": {"temper"#)).await.0, "provider");
    assert_eq!(error(Served::redirect(302, "http://127.0.0.1:1/")).await.0, "redirects");
    assert!(
        error(Served::json(r#"{"timezone": "GMT", "current": {}, "current_units": {"temperature_2m": "°F"}}"#))
            .await
            .1
            .contains("instead of °C")
    );
    // Null and missing values are no error.
    let bare = provider(|_| Served::json(r#"{"timezone": "GMT", "current": {"temperature_2m": null}}"#)).await;
    let answer = weather(&gate(&bare), json!({"location": "1,1", "include_forecast": true})).await;
    assert_eq!((&answer["current"]["condition"], &answer["forecast"]), (&json!("unknown"), &json!([])));
    // What failed once is asked for again.
    let failing = std::sync::atomic::AtomicBool::new(true);
    let site = provider(
        move |asked| if failing.swap(false, std::sync::atomic::Ordering::Relaxed) { Served::new(500, "") } else { forecast(asked) },
    )
    .await;
    let gate = gate(&site);
    assert_eq!(weather(&gate, json!({"location": "1,1"})).await["error_class"], "provider");
    assert_eq!(weather(&gate, json!({"location": "1,1"})).await["current"]["temperature"], 10.6);
}

#[tokio::test]
async fn a_place_that_is_not_found_or_not_clear_is_told() {
    let site = provider(forecast).await;
    let gate = gate(&site);
    assert_eq!(weather(&gate, json!({"location": "Atlantis"})).await["error_class"], "not_found");
    let elsewhere = weather(&gate, json!({"location": "Paris, Japan"})).await;
    assert_eq!((&elsewhere["error_class"], &elsewhere["choices"][1]["region"]), (&json!("not_found"), &json!("Texas")));
    assert_eq!(weather(&gate, json!({"location": "95,0"})).await["error_class"], "bad_location");
}

#[test]
fn the_tool_says_what_it_is() {
    let egress = Egress::new(Config::default()).unwrap();
    let (spec, _) = typed(WeatherApi::new(&egress, WeatherSettings::default()).unwrap());
    assert_eq!((spec.version.as_str(), spec.tags.as_slice()), ("2.1.0", ["weather", "api", "forecast"].map(String::from).as_slice()));
    assert_eq!(spec.category, toolcrib_contract::Category::ExternalIntegration);
}
