//! Open-Meteo (open-meteo.com, CC BY 4.0): forecasts and the search for places, without a key for non-commercial use.

use super::{
    Coordinates, Current, DAYS, Day, Failure, PLACE_LIFETIME, Place, Provider, Units, WEATHER_LIFETIME, Weather, WeatherSettings, wmo,
};
use crate::outside::retry_after;
use moka::future::Cache;
use serde::{Deserialize, de::DeserializeOwned};
use std::sync::Arc;
use toolcrib_contract::BoxFuture;
use toolcrib_egress::{Egress, Request, StatusCode, Url};

const CURRENT: &str = "temperature_2m,apparent_temperature,relative_humidity_2m,is_day,precipitation,weather_code,cloud_cover,wind_speed_10m,\
    wind_direction_10m,wind_gusts_10m";
const DAILY: &str =
    "weather_code,temperature_2m_max,temperature_2m_min,precipitation_sum,precipitation_probability_max,wind_speed_10m_max,sunrise,sunset";
/// How many places of a name are asked for.
const MAX_PLACES: &str = "20";
const MAX_KEPT: u64 = 10_000;

pub(super) struct OpenMeteo {
    egress: Egress,
    settings: WeatherSettings,
    places: Cache<String, Arc<[Place]>>,
    weather: Cache<Key, Arc<Weather>>,
}

/// Where, to a hundredth of a degree (some kilometre), and in which units.
type Key = (i32, i32, Units);

impl OpenMeteo {
    pub(super) fn new(egress: Egress, settings: WeatherSettings) -> Self {
        Self {
            egress,
            settings,
            places: Cache::builder().max_capacity(MAX_KEPT).time_to_live(PLACE_LIFETIME).build(),
            weather: Cache::builder().max_capacity(MAX_KEPT).time_to_live(WEATHER_LIFETIME).build(),
        }
    }

    async fn fetch<T: DeserializeOwned>(&self, base: &Url, path: &str, parameters: &[(&str, &str)]) -> Result<T, Failure> {
        let mut url = base.clone();
        url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
        url.query_pairs_mut().extend_pairs(parameters).extend_pairs(self.settings.api_key.iter().map(|key| ("apikey", key)));
        let answer = self.egress.send(Request::get(url)).await.map_err(|error| Failure::new(error.class(), error.to_string()))?;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            let when = retry_after(&answer.headers).unwrap_or_else(|| "in a minute".to_owned());
            return Err(Failure::new("rate_limited", format!("the weather provider wants fewer requests; try again {when}")));
        }
        if !answer.status.is_success() {
            let told = serde_json::from_slice::<Refusal>(&answer.body.bytes).ok().map(|refusal| refusal.reason);
            let told = told.map_or_else(String::new, |reason| format!(": {}", reason.chars().take(200).collect::<String>()));
            return Err(Failure::new("provider", format!("the weather provider answered {}{told}", answer.status.as_u16())));
        }
        serde_json::from_slice(&answer.body.bytes)
            .map_err(|error| Failure::new("provider", format!("the weather provider's answer cannot be read: {error}")))
    }

    async fn fetch_places(&self, name: &str) -> Result<Arc<[Place]>, Failure> {
        let parameters = [("name", name), ("count", MAX_PLACES), ("language", "en"), ("format", "json")];
        let found: Found = self.fetch(&self.settings.geocoding_url, "/v1/search", &parameters).await?;
        Ok(found.results.into())
    }

    async fn fetch_weather(&self, at: Coordinates, units: Units) -> Result<Arc<Weather>, Failure> {
        let (latitude, longitude, days) = (format!("{:.4}", at.latitude), format!("{:.4}", at.longitude), DAYS.to_string());
        let mut parameters = vec![
            ("latitude", latitude.as_str()),
            ("longitude", longitude.as_str()),
            ("current", CURRENT),
            ("daily", DAILY),
            ("timezone", "auto"),
            ("forecast_days", days.as_str()),
        ];
        if units == Units::Imperial {
            parameters.extend([("temperature_unit", "fahrenheit"), ("wind_speed_unit", "mph"), ("precipitation_unit", "inch")]);
        }
        let told: Told = self.fetch(&self.settings.forecast_url, "/v1/forecast", &parameters).await?;
        told.into_weather(units).map(Arc::new)
    }
}

impl Provider for OpenMeteo {
    fn places<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<[Place]>, Failure>> {
        let found = self.places.try_get_with(name.to_lowercase(), self.fetch_places(name));
        Box::pin(async move { found.await.map_err(|failure| (*failure).clone()) })
    }

    fn weather(&self, at: Coordinates, units: Units) -> BoxFuture<'_, Result<Arc<Weather>, Failure>> {
        #[expect(clippy::cast_possible_truncation, reason = "degrees have few digits")]
        let hundredth = |degrees: f64| (degrees * 100.0).round() as i32;
        let key = (hundredth(at.latitude), hundredth(at.longitude), units);
        let found = self.weather.try_get_with(key, self.fetch_weather(at, units));
        Box::pin(async move { found.await.map_err(|failure| (*failure).clone()) })
    }

    fn attribution(&self) -> &'static str {
        "Weather data by Open-Meteo.com (CC BY 4.0)"
    }
}

#[derive(Deserialize)]
struct Refusal {
    reason: String,
}

/// An answer of the search. Without a hit, it has no `results`.
#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    results: Vec<Place>,
}

/// An answer of the forecast. Every value may be null, and days may be missing.
#[derive(Deserialize)]
struct Told {
    timezone: String,
    current: ToldCurrent,
    #[serde(default)]
    current_units: ToldUnits,
    #[serde(default)]
    daily: ToldDays,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ToldUnits {
    temperature_2m: Option<String>,
}

#[derive(Deserialize)]
struct ToldCurrent {
    time: Option<String>,
    temperature_2m: Option<f64>,
    apparent_temperature: Option<f64>,
    relative_humidity_2m: Option<f64>,
    is_day: Option<u8>,
    precipitation: Option<f64>,
    weather_code: Option<u8>,
    cloud_cover: Option<f64>,
    wind_speed_10m: Option<f64>,
    wind_direction_10m: Option<f64>,
    wind_gusts_10m: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ToldDays {
    time: Vec<String>,
    weather_code: Vec<Option<u8>>,
    temperature_2m_max: Vec<Option<f64>>,
    temperature_2m_min: Vec<Option<f64>>,
    precipitation_sum: Vec<Option<f64>>,
    precipitation_probability_max: Vec<Option<f64>>,
    wind_speed_10m_max: Vec<Option<f64>>,
    sunrise: Vec<Option<String>>,
    sunset: Vec<Option<String>>,
}

impl Told {
    fn into_weather(self, units: Units) -> Result<Weather, Failure> {
        // A provider that answers in other units than it was asked for would mislead everybody.
        if let Some(told) = self.current_units.temperature_2m.filter(|told| told != units.names().temperature) {
            return Err(Failure::new(
                "provider",
                format!("the weather provider answered in {told:?} instead of {}", units.names().temperature),
            ));
        }
        let days = self.daily.days();
        let told = self.current;
        let current = Current {
            temperature: told.temperature_2m,
            feels_like: told.apparent_temperature,
            humidity: told.relative_humidity_2m,
            condition: wmo::condition(told.weather_code),
            wind_speed: told.wind_speed_10m,
            wind_gusts: told.wind_gusts_10m,
            wind_direction: told.wind_direction_10m,
            precipitation: told.precipitation,
            cloud_cover: told.cloud_cover,
            is_day: told.is_day.map(|is_day| is_day != 0),
            observed_at: told.time,
        };
        Ok(Weather { timezone: self.timezone, current, days })
    }
}

impl ToldDays {
    fn days(self) -> Vec<Day> {
        fn at<T: Clone>(values: &[Option<T>], index: usize) -> Option<T> {
            values.get(index).cloned().flatten()
        }
        let day = |(index, date): (usize, &String)| {
            let (min, max) = (at(&self.temperature_2m_min, index), at(&self.temperature_2m_max, index));
            Day {
                date: date.clone(),
                temp: min.zip(max).map(|(min, max)| ((min + max) * 5.0).round() / 10.0),
                min,
                max,
                condition: wmo::condition(at(&self.weather_code, index)),
                precipitation: at(&self.precipitation_sum, index),
                precipitation_probability: at(&self.precipitation_probability_max, index),
                wind_speed_max: at(&self.wind_speed_10m_max, index),
                sunrise: at(&self.sunrise, index),
                sunset: at(&self.sunset, index),
            }
        };
        self.time.iter().enumerate().take(DAYS).map(day).collect()
    }
}
