//! Ready tools: one file (or one folder) each, named as clients name the tool.
//!
//! A tool sees nothing but `toolcrib-contract`, the one way out (`toolcrib-egress`), and what tools of its kind share here; it
//! never reaches back for the list of them.
//!
//! | tool | reaches |
//! |---|---|
//! | `calculator`, `analyze_text` | nothing |
//! | `web_scraper`, `api_client`, `weather_api` | other hosts |
//! | `database_query`, `describe_database` | the databases of the config |

mod analyze_text;
mod api;
mod api_client;
mod big_stack;
mod calculator;
mod charset;
mod database;
mod database_query;
pub mod declared;
mod describe_database;
mod kept;
mod outside;
mod weather_api;
mod web_scraper;

pub use api::ConnectionSettings;
pub use database::{ConnectionStrings, DatabaseSettings, Finding, Location, LocationError, SAMPLE, Server, Tls};
pub use weather_api::WeatherSettings;

use declared::{Declared, OpenApiSettings, PromptSettings, ResourceSettings, Resources};
use kept::Kept;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};
use toolcrib_contract::{Callable, Home, Prompt, Spec, Template, typed};
use toolcrib_egress::{Config, Egress, Method, Setup, Url};

/// The names of all ready tools.
pub const NAMES: &[&str] =
    &["analyze_text", "api_client", "calculator", "database_query", "describe_database", "weather_api", "web_scraper"];

/// What the config says of ready tools. The default offers all of them, with the public internet as what they reach.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The way out.
    pub egress: Config,
    /// Named connections of `api_client`.
    pub connections: Vec<ConnectionSettings>,
    /// The methods that `api_client` may use, if not all.
    pub api_methods: Option<Vec<Method>>,
    /// The databases.
    pub databases: Vec<DatabaseSettings>,
    /// Whether callers may name databases of their own.
    pub connection_strings: ConnectionStrings,
    /// The folder in which the sample database lies, where it is offered.
    pub sample_folder: Option<PathBuf>,
    /// Whether `web_scraper` does what sites ask of robots. Default yes.
    pub keeps_to_robots: bool,
    /// Where the weather comes from.
    pub weather: WeatherSettings,
    /// How single tools are offered, by their names.
    pub offers: BTreeMap<String, Offer>,
    /// Tools that the config declares.
    pub declared: Vec<Declared>,
    /// OpenAPI documents that are elsewhere; whoever has brought one adds its tools to those that are declared.
    pub documents: Vec<RemoteDocument>,
    /// Prompts that the config declares.
    pub prompts: Vec<PromptSettings>,
    /// Resources that the config declares.
    pub resources: Vec<ResourceSettings>,
    /// The process in which large results are kept.
    pub home: Home,
}

/// An OpenAPI document that is elsewhere.
#[derive(Debug, Clone)]
pub struct RemoteDocument {
    /// Where it is.
    pub url: Url,
    /// What is made of it.
    pub settings: OpenApiSettings,
    /// How long a call of its tools may take.
    pub timeout: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            egress: Config::default(),
            connections: Vec::new(),
            api_methods: None,
            databases: Vec::new(),
            connection_strings: ConnectionStrings::default(),
            sample_folder: None,
            keeps_to_robots: true,
            weather: WeatherSettings::default(),
            offers: BTreeMap::new(),
            declared: Vec::new(),
            documents: Vec::new(),
            prompts: Vec::new(),
            resources: Vec::new(),
            home: Home::default(),
        }
    }
}

/// How a tool is offered, where that differs from how it is.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// Whether it is not.
    pub is_off: bool,
    /// Under another name.
    pub rename: Option<String>,
    /// With another description.
    pub description: Option<String>,
    /// With another time limit.
    pub timeout: Option<Duration>,
}

/// What ready tools bring into the catalogue.
pub struct Ready {
    /// The tools.
    pub tools: Vec<(Spec, Arc<dyn Callable>)>,
    /// Those that the config declares.
    pub declared: Vec<(Spec, Arc<dyn Callable>)>,
    /// Families of resources that their results are read from.
    pub templates: Vec<Template>,
    /// Prompts that the config declares.
    pub prompts: Vec<Prompt>,
    /// Resources that the config declares.
    pub resources: Resources,
}

/// All ready tools that are offered.
///
/// # Errors
/// [`Setup`] where there is no way out with these settings.
pub fn ready(settings: Settings) -> Result<Ready, Setup> {
    let Settings {
        egress,
        connections,
        api_methods,
        databases,
        connection_strings,
        sample_folder,
        keeps_to_robots,
        weather,
        offers,
        declared,
        prompts,
        resources,
        home,
        documents: _,
    } = settings;
    let (egress, kept) = (Egress::new(egress)?, Kept::at(home));
    let databases = Arc::new(database::Databases::new(databases, sample_folder, connection_strings, egress.clone()));
    let shared = declared::Shared::new(egress.clone(), Arc::clone(&databases), kept.clone());
    let declared = declared.into_iter().map(|tool| shared.make(tool)).collect::<Result<Vec<_>, Setup>>()?;
    let (prompts, resources) = (prompts.into_iter().map(declared::prompt).collect(), shared.resources(resources));
    let tools = vec![
        typed(analyze_text::AnalyzeText),
        typed(api_client::ApiClient::new(egress.clone(), connections, api_methods, kept.clone())?),
        typed(calculator::Calculator),
        typed(database_query::DatabaseQuery { databases: Arc::clone(&databases), kept: kept.clone() }),
        typed(describe_database::DescribeDatabase { databases }),
        typed(weather_api::WeatherApi::new(&egress, weather)?),
        typed(web_scraper::WebScraper::new(egress, keeps_to_robots, kept.clone())),
    ];
    let tools: Vec<(Spec, Arc<dyn Callable>)> =
        tools.into_iter().filter_map(|(spec, callable)| Some((offered(spec, &offers)?, callable))).collect();
    // Only what reaches outside has results to be kept.
    let may_keep = tools.iter().any(|(spec, _)| !spec.reaches.is_empty()) || !declared.is_empty();
    let templates = may_keep.then(|| Template::of(Kept::template(), Arc::new(kept))).into_iter().collect();
    Ok(Ready { tools, declared, templates, prompts, resources })
}

/// Asks every database of the settings whether it is well.
///
/// # Errors
/// [`Setup`] where there is no way out with these settings.
pub async fn examine(settings: &Settings) -> Result<Vec<Finding>, Setup> {
    let Settings { egress, databases, connection_strings, sample_folder, .. } = settings.clone();
    Ok(database::Databases::new(databases, sample_folder, connection_strings, Egress::new(egress)?).examine().await)
}

fn offered(mut spec: Spec, offers: &BTreeMap<String, Offer>) -> Option<Spec> {
    let Some(Offer { is_off, rename, description, timeout }) = offers.get(&spec.name) else { return Some(spec) };
    spec.timeout = timeout.or(spec.timeout);
    rename.iter().for_each(|name| spec.name.clone_from(name));
    description.iter().for_each(|text| spec.description.clone_from(text));
    (!is_off).then_some(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_offered_as_the_config_says() {
        let names = |settings: Settings| ready(settings).unwrap().tools.into_iter().map(|(spec, _)| spec.name).collect::<Vec<_>>();
        assert_eq!(names(Settings::default()), NAMES);
        let off = Offer { is_off: true, ..Offer::default() };
        let renamed = Offer { rename: Some("read_page".into()), timeout: Some(Duration::from_secs(9)), ..Offer::default() };
        let offers = BTreeMap::from([("weather_api".to_owned(), off), ("web_scraper".to_owned(), renamed)]);
        let settings = Settings { offers, ..Settings::default() };
        assert_eq!(names(settings.clone()).iter().map(String::as_str).collect::<Vec<_>>()[4..], ["describe_database", "read_page"]);
        assert_eq!(ready(settings).unwrap().tools[5].0.timeout, Some(Duration::from_secs(9)));
    }
}
