//! Whom to tell what is measured. Where the config says nothing, the variables of OpenTelemetry do.

use super::{super::raw::telemetry::Otlp, Faults, Lookup, header_of, seconds};
use std::time::Duration;
use toolcrib_egress::Url;
use toolcrib_telemetry::otlp::{Settings, decoded, headers};

/// How often metrics are told, as OpenTelemetry has it.
const METRICS_EVERY: Duration = Duration::from_secs(60);

pub(super) fn check(written: Option<&Otlp>, lookup: Lookup<'_>, faults: &mut Faults) -> Option<Settings> {
    let of_environment = of_environment(lookup);
    let Some(written) = written else { return of_environment };
    let endpoint = match &written.endpoint {
        Some(text) => match Url::parse(&text.value) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => Some(url),
            _ => {
                faults.add(text.fault("expected the http or https URL of a collector, such as http://127.0.0.1:4318"));
                None
            }
        },
        None => {
            let found = of_environment.as_ref().map(|settings| settings.endpoint.clone());
            if found.is_none() {
                faults.add(written.place.fault("\"endpoint\" is needed: the URL of a collector, such as http://127.0.0.1:4318"));
            }
            found
        }
    };
    let sample = written.sample.as_ref();
    if let Some(sample) = sample.filter(|sample| !(0.0..=1.0).contains(&sample.value)) {
        faults.add(sample.fault(format!("expected a number from 0 to 1, found {}", sample.value)));
    }
    let is_on = |flag: &Option<_>| flag.as_ref().is_none_or(|flag: &super::Spanned<bool>| flag.value);
    let every = seconds(written.metrics_every_secs.as_ref(), faults).unwrap_or(METRICS_EVERY);
    let mut resource = resource(lookup, written.service.as_ref().map(|service| service.value.as_str()));
    resource.extend(written.attributes.iter().map(|(key, value)| (key.clone(), value.value.clone())));
    let of_config: Vec<_> = written.headers.iter().filter_map(|(name, value)| header_of(name, value, faults)).collect();
    let mut headers = of_environment.map(|settings| settings.headers).unwrap_or_default();
    headers.extend(of_config);
    Some(Settings {
        endpoint: endpoint?,
        headers,
        traces: is_on(&written.traces),
        metrics_every: is_on(&written.metrics).then_some(every),
        logs: is_on(&written.logs),
        sample: sample.map_or(1.0, |sample| sample.value),
        resource,
    })
}

/// What the environment says (OpenTelemetry, "OTLP Exporter Configuration" and "General SDK Configuration"), if it names a collector.
fn of_environment(lookup: Lookup<'_>) -> Option<Settings> {
    let text = |name: &str| lookup(name).filter(|text| !text.is_empty());
    if text("OTEL_SDK_DISABLED").is_some_and(|flag| flag.eq_ignore_ascii_case("true")) {
        return None;
    }
    let endpoint = Url::parse(&text("OTEL_EXPORTER_OTLP_ENDPOINT")?).ok()?;
    let is_on = |name: &str| text(name).is_none_or(|exporter| exporter == "otlp");
    let sample = text("OTEL_TRACES_SAMPLER_ARG").and_then(|share| share.parse().ok()).filter(|share| (0.0..=1.0).contains(share));
    Some(Settings {
        endpoint,
        headers: text("OTEL_EXPORTER_OTLP_HEADERS").map(|text| headers(&text)).unwrap_or_default(),
        traces: is_on("OTEL_TRACES_EXPORTER"),
        metrics_every: is_on("OTEL_METRICS_EXPORTER").then_some(METRICS_EVERY),
        logs: is_on("OTEL_LOGS_EXPORTER"),
        sample: sample.unwrap_or(1.0),
        resource: resource(lookup, None),
    })
}

/// What is to be known of us.
fn resource(lookup: Lookup<'_>, service: Option<&str>) -> Vec<(String, String)> {
    let name = service.map(ToOwned::to_owned).or_else(|| lookup("OTEL_SERVICE_NAME")).unwrap_or_else(|| "toolcrib".to_owned());
    let of_environment = lookup("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let pairs = of_environment.split(',').filter_map(|pair| pair.split_once('='));
    let own = [("service.name".to_owned(), name), ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
    own.into_iter().chain(pairs.map(|(key, value)| (key.trim().to_owned(), decoded(value)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_speaks_where_the_config_does_not() {
        let lookup = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://collector:4318/".to_owned()),
            "OTEL_EXPORTER_OTLP_HEADERS" => Some("authorization=Bearer%20abc, x-team = crib".to_owned()),
            "OTEL_LOGS_EXPORTER" => Some("none".to_owned()),
            "OTEL_RESOURCE_ATTRIBUTES" => Some("deployment.environment.name=test".to_owned()),
            _ => None,
        };
        let settings = check(None, &lookup, &mut Faults::default()).unwrap();
        assert_eq!((settings.traces, settings.metrics_every, settings.logs), (true, Some(METRICS_EVERY), false));
        assert_eq!(settings.headers["x-team"], "crib");
        assert!(settings.headers["authorization"].is_sensitive() && settings.headers["authorization"] == "Bearer abc");
        assert_eq!(settings.resource[0], ("service.name".into(), "toolcrib".into()));
        assert_eq!(settings.resource[2], ("deployment.environment.name".into(), "test".into()));
        assert!(check(None, &|_| None, &mut Faults::default()).is_none());
        let disabled = |name: &str| if name == "OTEL_SDK_DISABLED" { Some("true".into()) } else { lookup(name) };
        assert!(check(None, &disabled, &mut Faults::default()).is_none());
    }
}
