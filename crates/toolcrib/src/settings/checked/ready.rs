//! What the settings of ready tools mean.

use super::{header_of, is_plain, seconds, within};
use crate::settings::{
    Lookup,
    document::{Faults, Spanned},
    raw::ready::{self, Ready},
};
use std::{
    fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
};
use toolcrib_contract::Globs;
use toolcrib_egress::{Config, Destination, Egress, HeaderMap, Method, Policy, Proxy, Setup, Url};
use toolcrib_tools::{ConnectionSettings, ConnectionStrings, DatabaseSettings, Location, Offer, Settings, Tls, WeatherSettings};

/// What `egress.proxy` says where the environment is to be asked.
const ENVIRONMENT: &str = "environment";
/// The methods that `api_client` knows.
pub(super) const METHODS: &[Method] = &[Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
/// The largest pool that makes sense.
const MAX_POOL: usize = 100;

/// `base` is the folder of the config file, which relative paths in it start from.
pub(super) fn check(written: &Ready, base: &Path, lookup: Lookup<'_>, faults: &mut Faults) -> Settings {
    let mut settings = Settings {
        egress: egress(&written.egress, base, lookup, faults),
        connections: written.connections.iter().filter_map(|connection| self::connection(connection, faults)).collect(),
        databases: written.databases.iter().flatten().filter_map(|database| self::database(database, base, faults)).collect(),
        sample_folder: written.databases.is_none().then(|| data_folder(written, base, lookup)).flatten(),
        ..Settings::default()
    };
    for tool in &written.tools {
        self::tool(tool, base, &mut settings, faults);
    }
    refuse_equal_names(written, &settings, faults);
    settings
}

/// Where what we keep lies: as the config says, or where the system keeps the data of its users' programs.
pub(super) fn data_folder(written: &Ready, base: &Path, lookup: Lookup<'_>) -> Option<PathBuf> {
    if let Some(folder) = &written.data_folder {
        return Some(base.join(&folder.value));
    }
    let of_user = |variable: &str| lookup(variable).filter(|path| Path::new(path).is_absolute()).map(PathBuf::from);
    let shared = of_user("XDG_DATA_HOME").or_else(|| of_user("HOME").map(|home| home.join(".local/share")))?;
    Some(shared.join("toolcrib"))
}

fn egress(written: &ready::Egress, base: &Path, lookup: Lookup<'_>, faults: &mut Faults) -> Config {
    let defaults = Config::default();
    let mut destinations = |written: &[Spanned<String>]| {
        let mut parsed = Vec::new();
        for destination in written {
            match destination.value.parse::<Destination>() {
                Ok(destination) => parsed.push(destination),
                Err(reason) => faults.add(destination.fault(reason)),
            }
        }
        parsed
    };
    let policy = Policy {
        allow: written.allow.as_deref().map(&mut destinations),
        deny: destinations(&written.deny),
        exceptions: destinations(&written.exceptions),
    };
    let per_second = within(written.per_host_per_second.as_ref(), 1..=10_000, faults);
    let config = Config {
        policy,
        timeout: seconds(written.timeout_secs.as_ref(), faults).unwrap_or(defaults.timeout),
        max_redirects: within(written.max_redirects.as_ref(), 0..=20, faults).unwrap_or(defaults.max_redirects),
        max_body_bytes: within(written.max_body_bytes.as_ref(), 1024..=(100 << 20), faults).unwrap_or(defaults.max_body_bytes),
        per_host_per_second: per_second
            .and_then(|number| NonZeroU32::new(u32::try_from(number).ok()?))
            .unwrap_or(defaults.per_host_per_second),
        extra_roots: written.ca_file.as_ref().and_then(|file| ca_file(file, base, faults)).unwrap_or_default(),
        proxy: written.proxy.as_ref().and_then(|proxy| self::proxy(proxy, lookup, faults)),
        ..defaults
    };
    // Certificates and proxies are tried out here, so that what is wrong with them has its line.
    let place = written.ca_file.as_ref().or(written.proxy.as_ref());
    if let (Some(place), Err(error)) = (place, place.map_or(Ok(()), |_| Egress::new(config.clone()).map(drop))) {
        let place = if matches!(error, Setup::Proxy(_)) { written.proxy.as_ref().unwrap_or(place) } else { place };
        faults.add(place.fault(error.to_string()));
    }
    config
}

pub(super) fn ca_file(file: &Spanned<String>, base: &Path, faults: &mut Faults) -> Option<Vec<u8>> {
    let path = base.join(&file.value);
    match fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            faults.add(file.fault(format!("cannot read {}: {error}", path.display())));
            None
        }
    }
}

fn proxy(written: &Spanned<String>, lookup: Lookup<'_>, faults: &mut Faults) -> Option<Proxy> {
    let mut url = |text: &str| {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if url.is_none() {
            faults.add(written.fault("expected \"environment\" or the URL of a proxy such as http://proxy.example.com:3128"));
        }
        url
    };
    if written.value != ENVIRONMENT {
        let url = url(&written.value)?;
        return Some(Proxy { http: Some(url.clone()), https: Some(url), except: String::new() });
    }
    let variable = |names: [&str; 2]| names.into_iter().find_map(|name| lookup(name).filter(|value| !value.is_empty()));
    let mut of = |names: [&str; 2]| variable(names).and_then(|text| url(&text));
    let (http, https) = (of(["http_proxy", "HTTP_PROXY"]), of(["https_proxy", "HTTPS_PROXY"]));
    let except = variable(["no_proxy", "NO_PROXY"]).unwrap_or_default();
    (http.is_some() || https.is_some()).then_some(Proxy { http, https, except })
}

fn connection(written: &ready::Connection, faults: &mut Faults) -> Option<ConnectionSettings> {
    let ready::Connection { name, base_url, headers, methods, paths, description } = written;
    refuse_odd_name(name, faults);
    let base_url = match base_url {
        Some(base_url) => plain_url(base_url, faults),
        None => {
            faults.add(name.fault("a connection needs a baseUrl"));
            None
        }
    };
    let mut parsed = HeaderMap::new();
    for (header, value) in headers {
        if let Some((header, value)) = header_of(header, value, faults) {
            parsed.append(header, value);
        }
    }
    Some(ConnectionSettings {
        name: name.value.clone(),
        base_url: base_url?,
        headers: parsed,
        methods: methods.iter().filter_map(|method| self::method(method, faults)).collect(),
        paths: paths.as_ref().map(|paths| Globs::new(paths.iter().map(|path| &path.value))),
        description: description.as_ref().map(|text| text.value.clone()),
    })
}

fn database(written: &ready::Database, base: &Path, faults: &mut Faults) -> Option<DatabaseSettings> {
    refuse_odd_name(&written.name, faults);
    let Some(url) = &written.url else {
        faults.add(written.name.fault("a database needs a url"));
        return None;
    };
    let location = match Location::parse(&url.value) {
        Ok(location) => beside(location, base),
        Err(error) => {
            faults.add(url.fault(error.to_string()));
            return None;
        }
    };
    if let Location::Sqlite(path) = &location
        && !path.is_file()
    {
        faults.add(url.absence(format!("there is no file {}", path.display())));
    }
    let defaults = DatabaseSettings::new(&written.name.value, location);
    Some(DatabaseSettings {
        description: written.description.as_ref().map(|text| text.value.clone()),
        mask: written.mask.iter().map(|pattern| pattern.value.clone()).collect(),
        max_rows: within(written.max_rows.as_ref(), 1..=1_000_000, faults).unwrap_or(defaults.max_rows),
        timeout: seconds(written.timeout_secs.as_ref(), faults).unwrap_or(defaults.timeout),
        pool_size: within(written.pool_size.as_ref(), 1..=MAX_POOL, faults).unwrap_or(defaults.pool_size),
        allows_privileged_role: written.allow_privileged_role.as_ref().is_some_and(|flag| flag.value),
        ..defaults
    })
}

/// Paths start from the folder of the config file.
pub(super) fn beside(location: Location, base: &Path) -> Location {
    let absolute = |mut server: toolcrib_tools::Server| {
        if let Tls::On { roots: Some(path) } = &mut server.tls {
            *path = base.join(&*path);
        }
        server
    };
    match location {
        Location::Sqlite(path) => Location::Sqlite(base.join(path)),
        Location::Postgres(server) => Location::Postgres(absolute(server)),
        Location::Mysql(server) => Location::Mysql(absolute(server)),
    }
}

fn tool(written: &ready::Tool, base: &Path, settings: &mut Settings, faults: &mut Faults) {
    let name = &written.name;
    if !toolcrib_tools::NAMES.contains(&name.value.as_str()) {
        faults.add(name.fault(format!(
            "there is no ready tool {:?}; known are {}; one of your own says what it does: http, command, sql or pipeline",
            name.value,
            toolcrib_tools::NAMES.join(", ")
        )));
        return;
    }
    if let Some(rename) = &written.rename {
        refuse_odd_name(rename, faults);
    }
    let offer = Offer {
        is_off: written.enabled.as_ref().is_some_and(|flag| !flag.value),
        rename: written.rename.as_ref().map(|name| name.value.clone()),
        description: written.description.as_ref().map(|text| text.value.clone()),
        timeout: seconds(written.timeout_secs.as_ref(), faults),
    };
    settings.offers.insert(name.value.clone(), offer);
    match name.value.as_str() {
        "web_scraper" => settings.keeps_to_robots = written.robots.as_ref().is_none_or(|flag| flag.value),
        "api_client" => {
            let methods = written.methods.as_ref();
            settings.api_methods = methods.map(|methods| methods.iter().filter_map(|method| self::method(method, faults)).collect());
        }
        "database_query" => {
            settings.connection_strings = ConnectionStrings {
                are_allowed: written.connection_strings.as_ref().is_some_and(|flag| flag.value),
                folders: written.folders.iter().filter_map(|folder| self::folder(folder, base, faults)).collect(),
            };
        }
        "weather_api" => {
            let defaults = WeatherSettings::default();
            let mut of =
                |written: &Option<Spanned<String>>, default| written.as_ref().and_then(|text| url(text, faults)).unwrap_or(default);
            settings.weather = WeatherSettings {
                forecast_url: of(&written.forecast_url, defaults.forecast_url),
                geocoding_url: of(&written.geocoding_url, defaults.geocoding_url),
                api_key: written.api_key.as_ref().map(|key| key.value.clone()),
            };
        }
        _ => {}
    }
}

fn folder(written: &Spanned<String>, base: &Path, faults: &mut Faults) -> Option<PathBuf> {
    let path = base.join(&written.value);
    if path.is_dir() {
        return Some(path);
    }
    // What is in it may not be opened then.
    faults.add(written.absence(format!("there is no directory {}", path.display())));
    None
}

fn method(written: &Spanned<String>, faults: &mut Faults) -> Option<Method> {
    let found = METHODS.iter().find(|method| method.as_str().eq_ignore_ascii_case(&written.value));
    if found.is_none() {
        let known: Vec<&str> = METHODS.iter().map(Method::as_str).collect();
        faults.add(written.fault(format!("expected one of {}, found {:?}", known.join(", "), written.value)));
    }
    found.cloned()
}

pub(super) fn url(written: &Spanned<String>, faults: &mut Faults) -> Option<Url> {
    let url = Url::parse(&written.value).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match url {
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            faults.add(written.fault("a URL must not hold a user name or password; put secrets into headers"));
            None
        }
        Some(url) => Some(url),
        None => {
            faults.add(written.fault("expected an absolute URL that begins with http:// or https://"));
            None
        }
    }
}

/// A URL that others can be put together from: nothing comes after its path.
pub(super) fn plain_url(written: &Spanned<String>, faults: &mut Faults) -> Option<Url> {
    let url = url(written, faults)?;
    if url.query().is_some() || url.fragment().is_some() {
        faults.add(written.fault("a base URL ends with its path; put keys into headers"));
        return None;
    }
    Some(url)
}

pub(super) fn refuse_odd_name(name: &Spanned<String>, faults: &mut Faults) {
    if name.value.is_empty() || name.value.len() > 40 || !name.value.chars().all(is_plain) {
        faults.add(name.fault("a name has up to 40 letters, digits, \"-\" and \"_\""));
    }
}

/// Two tools of one name: the second could not be called.
fn refuse_equal_names(written: &Ready, settings: &Settings, faults: &mut Faults) {
    let name_now = |name: &&str| settings.offers.get(*name).and_then(|offer| offer.rename.clone()).unwrap_or_else(|| (*name).to_owned());
    for tool in &written.tools {
        let Some(rename) = &tool.rename else { continue };
        let others = toolcrib_tools::NAMES.iter().filter(|name| **name != tool.name.value);
        if others.map(&name_now).any(|name| name == rename.value) {
            faults.add(rename.fault(format!("another ready tool is called {:?}", rename.value)));
        }
    }
    for tool in &written.declared {
        if toolcrib_tools::NAMES.iter().map(&name_now).any(|name| name == tool.name.value) {
            faults.add(tool.name.fault(format!("a ready tool is called {:?}", tool.name.value)));
        }
    }
}
