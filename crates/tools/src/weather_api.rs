//! `weather_api`: the weather at a place now, and for five days on demand. One call: the place is found by name, too.
//!
//! Data come from a [`Provider`]; Open-Meteo (CC BY 4.0) by default. Answers are kept for some minutes, and many callers who
//! want the same at the same time cause one request.

mod open_meteo;
mod place;
mod wmo;

use crate::outside::untrusted;
use open_meteo::OpenMeteo;
use place::{Asked, Place, Resolved};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc, time::Duration};
use toolcrib_contract::{Annotations, BoxFuture, CallContext, CallError, Category, Reach, Spec, Tool, ToolOutput};
use toolcrib_egress::{Egress, Setup, Url};

const DAYS: usize = 5;
/// How long weather counts as current, and a place as known.
const WEATHER_LIFETIME: Duration = Duration::from_secs(10 * 60);
const PLACE_LIFETIME: Duration = Duration::from_secs(24 * 3600);
const MAX_LOCATION_CHARS: usize = 200;
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Where the provider is.
#[derive(Clone)]
pub struct WeatherSettings {
    /// The base URL of forecasts, e.g. `https://api.open-meteo.com`.
    pub forecast_url: Url,
    /// The base URL of the search for places, e.g. `https://geocoding-api.open-meteo.com`.
    pub geocoding_url: Url,
    /// The key of a paying customer.
    pub api_key: Option<String>,
}

impl fmt::Debug for WeatherSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { forecast_url, geocoding_url, .. } = self;
        write!(f, "WeatherSettings({forecast_url}, {geocoding_url})")
    }
}

impl Default for WeatherSettings {
    fn default() -> Self {
        let url = |text: &str| text.parse().expect("the provider's URL is one");
        Self { forecast_url: url("https://api.open-meteo.com"), geocoding_url: url("https://geocoding-api.open-meteo.com"), api_key: None }
    }
}

pub(crate) struct WeatherApi {
    provider: Box<dyn Provider>,
}

/// Who knows the weather.
trait Provider: Send + Sync {
    /// Places of a name, the likeliest first.
    fn places<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<[Place]>, Failure>>;

    /// The weather at a place.
    fn weather(&self, at: Coordinates, units: Units) -> BoxFuture<'_, Result<Arc<Weather>, Failure>>;

    /// Whom to name as the source.
    fn attribution(&self) -> &'static str;
}

/// A point on the earth, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
struct Coordinates {
    latitude: f64,
    longitude: f64,
}

/// The weather at one place, in the units that were asked for.
#[derive(Debug, Clone)]
struct Weather {
    timezone: String,
    current: Current,
    days: Vec<Day>,
}

/// Why there is no weather.
#[derive(Debug, Clone)]
struct Failure {
    class: &'static str,
    reason: String,
    choices: Vec<Place>,
}

impl Failure {
    fn new(class: &'static str, reason: impl Into<String>) -> Self {
        Self { class, reason: reason.into(), choices: Vec::new() }
    }
}

/// Where, and in which units.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The name of a place ("Paris", "Springfield, Illinois", "Paris, US"), or its latitude and longitude ("48.85,2.35").
    location: String,
    /// The units. Default metric.
    #[serde(default)]
    units: Units,
    /// Whether to give the next five days, too. Default false.
    #[serde(default)]
    include_forecast: bool,
}

/// Units of measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Units {
    /// °C, km/h, mm.
    #[default]
    Metric,
    /// °F, mph, inch.
    Imperial,
}

/// The weather, or why there is none.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Answer {
    /// The place, with region and country; as it was given if it was not found.
    location: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    coordinates: Option<Coordinates>,
    /// The weather now.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<Current>,
    /// Five days, today first; null unless asked for.
    forecast: Option<Vec<Day>>,
    /// metric or imperial.
    units: Units,
    /// What the values are measured in.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_names: Option<UnitNames>,
    /// The place's own time zone; all times are in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    timezone: Option<String>,
    /// Other places of that name, if the one above is not the one that was meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_places: Vec<String>,
    /// Where the data come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    /// Why there is no weather, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What kind of failure it is: bad_location, not_found, ambiguous, rate_limited, provider, or why it cannot be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<&'static str>,
    /// Which places could be meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    choices: Vec<Place>,
}

/// The weather at one time.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct Current {
    temperature: Option<f64>,
    feels_like: Option<f64>,
    /// Relative, in percent.
    humidity: Option<f64>,
    /// In words.
    condition: &'static str,
    wind_speed: Option<f64>,
    wind_gusts: Option<f64>,
    /// Where the wind comes from, in degrees.
    wind_direction: Option<f64>,
    precipitation: Option<f64>,
    /// In percent.
    cloud_cover: Option<f64>,
    is_day: Option<bool>,
    /// When this was so, in the place's time.
    observed_at: Option<String>,
}

/// The weather of one day.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct Day {
    /// The day at the place.
    date: String,
    /// The middle between the highest and the lowest temperature.
    temp: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    /// In words.
    condition: &'static str,
    precipitation: Option<f64>,
    /// In percent.
    precipitation_probability: Option<f64>,
    wind_speed_max: Option<f64>,
    sunrise: Option<String>,
    sunset: Option<String>,
}

/// What values are measured in.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
struct UnitNames {
    temperature: &'static str,
    wind_speed: &'static str,
    precipitation: &'static str,
}

impl Units {
    fn names(self) -> UnitNames {
        match self {
            Self::Metric => UnitNames { temperature: "°C", wind_speed: "km/h", precipitation: "mm" },
            Self::Imperial => UnitNames { temperature: "°F", wind_speed: "mph", precipitation: "inch" },
        }
    }
}

impl WeatherApi {
    /// The tool. The provider's hosts may be reached whatever the rules say, since the config names them.
    pub(crate) fn new(egress: &Egress, settings: WeatherSettings) -> Result<Self, Setup> {
        let egress = egress.also_reaching(&[&settings.forecast_url, &settings.geocoding_url], |config| {
            config.max_redirects = 0;
            (config.max_body_bytes, config.max_wire_bytes) = (MAX_ANSWER_BYTES, MAX_ANSWER_BYTES);
        })?;
        Ok(Self { provider: Box::new(OpenMeteo::new(egress, settings)) })
    }

    async fn look_up(&self, args: &Args) -> Result<Answer, Failure> {
        let asked = Asked::parse(&args.location)?;
        let Resolved { place, others } = match asked {
            Asked::Point(at) => Resolved { place: Place::point(at), others: Vec::new() },
            Asked::Named(named) => place::choose(&named, &self.provider.places(named.name()).await?)?,
        };
        let at = Coordinates { latitude: place.latitude, longitude: place.longitude };
        let weather = self.provider.weather(at, args.units).await?;
        Ok(Answer {
            location: place.label(),
            coordinates: Some(at),
            current: Some(weather.current.clone()),
            forecast: args.include_forecast.then(|| weather.days.clone()),
            units: args.units,
            unit_names: Some(args.units.names()),
            timezone: Some(weather.timezone.clone()),
            other_places: others.iter().map(Place::label).collect(),
            source: Some(self.provider.attribution()),
            ..Answer::default()
        })
    }
}

impl Tool for WeatherApi {
    type Args = Args;
    type Output = Answer;

    fn spec(&self) -> Spec {
        Spec::new(
            "weather_api",
            "Tells the weather at a place, given by name or by latitude and longitude: temperature, humidity, condition, wind; with \
             include_forecast the next five days. If a name could mean several places, they are listed.",
        )
        .title("Weather")
        .category(Category::ExternalIntegration)
        .version("2.1.0")
        .tags(&["weather", "api", "forecast"])
        .author("Toolcrib")
        .annotations(Annotations::LOOKS_OUTSIDE)
        .reaches(&[Reach::Network])
    }

    async fn run(&self, args: Args, _: &CallContext) -> Result<Answer, CallError> {
        Ok(self.look_up(&args).await.unwrap_or_else(|Failure { class, reason, choices }| Answer {
            location: args.location.clone(),
            units: args.units,
            error: Some(reason),
            error_class: Some(class),
            choices,
            ..Answer::default()
        }))
    }

    fn present(&self, answer: &Answer, written: &mut ToolOutput) {
        written.is_error = answer.error.is_some();
        // Names of places are the provider's.
        written.meta = Some(untrusted(if written.is_error { &["choices"] } else { &["location", "other_places"] }));
    }
}

#[cfg(test)]
mod tests;
