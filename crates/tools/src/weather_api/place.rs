//! Which place is meant.

use super::{Coordinates, Failure, MAX_LOCATION_CHARS};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many choices are offered.
const MAX_CHOICES: usize = 6;
/// A place this many times larger than the next one of its name is the one that people mean.
const CLEARLY_LARGER: f64 = 5.0;

/// A place that a provider knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) country: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) country_code: Option<String>,
    /// The region: a state, a province.
    #[serde(default, rename(deserialize = "admin1"), skip_serializing_if = "Option::is_none")]
    pub(super) region: Option<String>,
    #[serde(default, rename(deserialize = "admin2"), skip_serializing_if = "Option::is_none")]
    pub(super) district: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) population: Option<f64>,
    /// What kind of place it is (GeoNames).
    #[serde(default, skip_serializing)]
    #[schemars(skip)]
    pub(super) feature_code: Option<String>,
}

/// What was asked for.
#[derive(Debug, PartialEq)]
pub(super) enum Asked {
    Point(Coordinates),
    Named(Named),
}

/// A name, and what narrows it down: "Springfield, Illinois, US".
#[derive(Debug, PartialEq)]
pub(super) struct Named {
    name: String,
    qualifiers: Vec<String>,
}

/// The place that was meant, and others that could have been.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) place: Place,
    pub(super) others: Vec<Place>,
}

impl Asked {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let bad = |reason: &str| Failure::new("bad_location", reason);
        let text = text.trim();
        if text.is_empty() {
            return Err(bad("the location is empty"));
        }
        if text.chars().count() > MAX_LOCATION_CHARS || text.chars().any(char::is_control) {
            return Err(bad("the location is too long or holds control characters"));
        }
        if let Some(point) = point(text) {
            let is_on_earth = point.latitude.abs() <= 90.0 && point.longitude.abs() <= 180.0;
            return if is_on_earth { Ok(Self::Point(point)) } else { Err(bad("a latitude lies within ±90, a longitude within ±180")) };
        }
        let mut parts = text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty());
        let name = parts.next().ok_or_else(|| bad("the location names nothing"))?;
        Ok(Self::Named(Named { name, qualifiers: parts.collect() }))
    }
}

impl Named {
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Place {
    pub(super) fn point(at: Coordinates) -> Self {
        let Coordinates { latitude, longitude } = at;
        Self {
            name: format!("{latitude}, {longitude}"),
            latitude,
            longitude,
            country: None,
            country_code: None,
            region: None,
            district: None,
            population: None,
            feature_code: None,
        }
    }

    /// How people write it.
    pub(super) fn label(&self) -> String {
        let region = self.region.as_ref().filter(|region| **region != self.name);
        let parts = [Some(&self.name), region, self.country.as_ref()];
        parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    fn fits(&self, qualifier: &str) -> bool {
        let wanted = folded(qualifier);
        let names = [&self.country, &self.country_code, &self.region, &self.district];
        let is_named = names.into_iter().flatten().any(|name| folded(name) == wanted);
        is_named
            || self.country_code.as_deref().is_some_and(|code| other_name_of(code, &wanted))
            || self.region.as_deref().is_some_and(|region| initials_of(region, &wanted))
    }

    fn size(&self) -> f64 {
        // Of a capital without a number, more is known than of a hamlet without one.
        let least = match self.feature_code.as_deref() {
            Some("PPLC") => 500_000.0,
            Some("PPLA") => 50_000.0,
            _ => 1.0,
        };
        self.population.unwrap_or(0.0).max(least)
    }
}

/// The place that people mean by that: it bears the name exactly, fits what narrows it down, and is clearly the largest.
pub(super) fn choose(named: &Named, places: &[Place]) -> Result<Resolved, Failure> {
    if places.is_empty() {
        return Err(Failure::new("not_found", format!("no place is called {:?}", named.name)));
    }
    let fitting: Vec<&Place> = places.iter().filter(|place| named.qualifiers.iter().all(|qualifier| place.fits(qualifier))).collect();
    if fitting.is_empty() {
        let reason = format!("no {} lies in {}; known are the choices", named.name, named.qualifiers.join(", "));
        return Err(Failure { choices: places.iter().take(MAX_CHOICES).cloned().collect(), ..Failure::new("not_found", reason) });
    }
    let wanted = folded(&named.name);
    let exact: Vec<&Place> = fitting.iter().filter(|place| folded(&place.name) == wanted).copied().collect();
    let mut candidates = if exact.is_empty() { fitting } else { exact };
    candidates.sort_by(|one, other| other.size().total_cmp(&one.size()));
    let is_clear = |first: &Place, second: &Place| first.size() >= second.size() * CLEARLY_LARGER;
    match candidates.as_slice() {
        [only] => Ok(Resolved { place: (*only).clone(), others: Vec::new() }),
        [first, second, ..] if is_clear(first, second) || is_same(first, second) => {
            let others = candidates[1..].iter().filter(|other| !is_same(first, other)).take(MAX_CHOICES - 1);
            Ok(Resolved { place: (*first).clone(), others: others.map(|place| (*place).clone()).collect() })
        }
        several => {
            let reason = format!("{:?} could be several places: name one of the choices, with its region or country", named.name);
            Err(Failure {
                choices: several.iter().take(MAX_CHOICES).map(|place| (*place).clone()).collect(),
                ..Failure::new("ambiguous", reason)
            })
        }
    }
}

/// Whether both stand for one place, as providers list it twice (a city and its district).
fn is_same(one: &Place, other: &Place) -> bool {
    (one.latitude - other.latitude).abs() < 0.2 && (one.longitude - other.longitude).abs() < 0.2
}

/// "48.85,2.35", "48.85 N, 2.35 E", "geo:48.85,2.35".
fn point(text: &str) -> Option<Coordinates> {
    let text = text.strip_prefix("geo:").map_or(text, |geo| geo.split(';').next().unwrap_or(geo));
    let (latitude, longitude) = text.split_once(',').or_else(|| text.split_once(' '))?;
    Some(Coordinates { latitude: degrees(latitude, 'N', 'S')?, longitude: degrees(longitude, 'E', 'W')? })
}

fn degrees(text: &str, positive: char, negative: char) -> Option<f64> {
    let text = text.trim();
    let direction = text.chars().last()?.to_ascii_uppercase();
    let (number, sign) = match direction {
        _ if direction == positive => (&text[..text.len() - 1], 1.0),
        _ if direction == negative => (&text[..text.len() - 1], -1.0),
        _ => (text, 1.0),
    };
    let number: f64 = number.trim().trim_end_matches('°').trim().parse().ok()?;
    number.is_finite().then_some(number * sign)
}

/// A name as it is compared: letters only, in lower case, the commonest accents taken off.
fn folded(name: &str) -> String {
    let plain = |c: char| match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'è'..='ë' | 'ē' | 'ę' | 'ě' => 'e',
        'ì'..='ï' | 'ī' | 'ı' => 'i',
        'ñ' | 'ń' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ő' => 'o',
        'ù'..='ü' | 'ū' | 'ů' | 'ű' => 'u',
        'ý' | 'ÿ' => 'y',
        'š' | 'ś' | 'ş' | 'ș' => 's',
        'ž' | 'ź' | 'ż' => 'z',
        'ł' => 'l',
        'ř' => 'r',
        'ť' | 'ţ' | 'ț' => 't',
        'ď' | 'đ' => 'd',
        'ğ' => 'g',
        c => c,
    };
    name.to_lowercase().chars().map(plain).filter(|c| c.is_alphanumeric()).collect()
}

/// Names of countries that are not those of the list.
fn other_name_of(country_code: &str, folded: &str) -> bool {
    matches!(
        (country_code.to_ascii_uppercase().as_str(), folded),
        ("US", "usa" | "unitedstatesofamerica" | "america")
            | ("GB", "uk" | "england" | "scotland" | "wales" | "greatbritain" | "northernireland")
            | ("DE", "deutschland")
            | ("NL", "holland")
            | ("AE", "uae")
            | ("CZ", "czechrepublic")
            | ("KR", "korea" | "southkorea")
            | ("RU", "russia")
            | ("CN", "prc")
            | ("ES", "espana")
            | ("IT", "italia")
            | ("CH", "schweiz" | "suisse")
    )
}

/// Whether these are the letters by which a state of the United States is known.
fn initials_of(region: &str, folded_wanted: &str) -> bool {
    const STATES: &[(&str, &str)] = &[
        ("al", "Alabama"),
        ("ak", "Alaska"),
        ("az", "Arizona"),
        ("ar", "Arkansas"),
        ("ca", "California"),
        ("co", "Colorado"),
        ("ct", "Connecticut"),
        ("de", "Delaware"),
        ("fl", "Florida"),
        ("ga", "Georgia"),
        ("hi", "Hawaii"),
        ("id", "Idaho"),
        ("il", "Illinois"),
        ("in", "Indiana"),
        ("ia", "Iowa"),
        ("ks", "Kansas"),
        ("ky", "Kentucky"),
        ("la", "Louisiana"),
        ("me", "Maine"),
        ("md", "Maryland"),
        ("ma", "Massachusetts"),
        ("mi", "Michigan"),
        ("mn", "Minnesota"),
        ("ms", "Mississippi"),
        ("mo", "Missouri"),
        ("mt", "Montana"),
        ("ne", "Nebraska"),
        ("nv", "Nevada"),
        ("nh", "New Hampshire"),
        ("nj", "New Jersey"),
        ("nm", "New Mexico"),
        ("ny", "New York"),
        ("nc", "North Carolina"),
        ("nd", "North Dakota"),
        ("oh", "Ohio"),
        ("ok", "Oklahoma"),
        ("or", "Oregon"),
        ("pa", "Pennsylvania"),
        ("ri", "Rhode Island"),
        ("sc", "South Carolina"),
        ("sd", "South Dakota"),
        ("tn", "Tennessee"),
        ("tx", "Texas"),
        ("ut", "Utah"),
        ("vt", "Vermont"),
        ("va", "Virginia"),
        ("wa", "Washington"),
        ("wv", "West Virginia"),
        ("wi", "Wisconsin"),
        ("wy", "Wyoming"),
        ("dc", "District of Columbia"),
    ];
    STATES.iter().any(|(letters, state)| *letters == folded_wanted && *state == region)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str, region: &str, code: &str, population: f64, at: (f64, f64)) -> Place {
        let (latitude, longitude) = at;
        let country = match code {
            "US" => "United States",
            "FR" => "France",
            "GB" => "United Kingdom",
            "RU" => "Russia",
            other => other,
        };
        Place {
            country: Some(country.into()),
            country_code: Some(code.into()),
            region: Some(region.into()),
            population: (population > 0.0).then_some(population),
            name: name.into(),
            ..Place::point(Coordinates { latitude, longitude })
        }
    }

    #[test]
    fn locations_are_read_as_people_write_them() {
        let check = |text: &str, latitude: f64, longitude: f64| {
            assert_eq!(Asked::parse(text).unwrap(), Asked::Point(Coordinates { latitude, longitude }), "{text}")
        };
        check("48.85,2.35", 48.85, 2.35);
        check(" -33.9 , 151.2 ", -33.9, 151.2);
        check("52.52 N, 13.40 E", 52.52, 13.40);
        check("33.9°S, 18.4°W", -33.9, -18.4);
        check("geo:48.2,16.3;u=35", 48.2, 16.3);
        check("0,0", 0.0, 0.0);
        for bad in ["", "   ", ",", "91,0", "0,181", "a\nb", &"x".repeat(201)] {
            assert_eq!(Asked::parse(bad).unwrap_err().class, "bad_location", "{bad:?}");
        }
        assert_eq!(
            Asked::parse("Paris, TX ,US").unwrap(),
            Asked::Named(Named { name: "Paris".into(), qualifiers: vec!["TX".into(), "US".into()] })
        );
    }

    #[test]
    fn the_place_that_people_mean_is_chosen_or_the_choices_are_given() {
        let paris = [
            place("Paris", "Île-de-France", "FR", 2_138_551.0, (48.85, 2.35)),
            place("Paris", "Texas", "US", 24_782.0, (33.66, -95.55)),
            place("Paris", "Kentucky", "US", 9_870.0, (38.2, -84.25)),
            place("Parisville", "Quebec", "CA", 0.0, (46.5, -72.0)),
        ];
        let springfield = [
            place("Springfield", "Missouri", "US", 167_000.0, (37.2, -93.3)),
            place("Springfield", "Massachusetts", "US", 153_000.0, (42.1, -72.6)),
            place("Springfield", "Illinois", "US", 114_000.0, (39.8, -89.6)),
        ];
        let chosen = |text: &str, places: &[Place]| match Asked::parse(text).unwrap() {
            Asked::Named(named) => choose(&named, places).map(|resolved| resolved.place.label()),
            Asked::Point(_) => panic!("{text}"),
        };
        assert_eq!(chosen("Paris", &paris).unwrap(), "Paris, Île-de-France, France");
        assert_eq!(chosen("paris, us", &paris).unwrap_err().class, "ambiguous");
        assert_eq!(chosen("Paris, Texas", &paris).unwrap(), "Paris, Texas, United States");
        assert_eq!(chosen("Paris, TX, USA", &paris).unwrap(), "Paris, Texas, United States");
        assert_eq!(chosen("Paris, ile de france", &paris).unwrap(), "Paris, Île-de-France, France");
        let ambiguous = chosen("Springfield", &springfield).unwrap_err();
        assert_eq!((ambiguous.class, ambiguous.choices.len()), ("ambiguous", 3));
        assert_eq!(chosen("Springfield, IL", &springfield).unwrap(), "Springfield, Illinois, United States");
        let elsewhere = chosen("Springfield, Japan", &springfield).unwrap_err();
        assert_eq!((elsewhere.class, elsewhere.choices.len()), ("not_found", 3));
        assert_eq!(chosen("Atlantis", &[]).unwrap_err().class, "not_found");
        let twice =
            [place("Berlin", "Berlin", "DE", 3_400_000.0, (52.52, 13.41)), place("Berlin", "Land Berlin", "DE", 3_300_000.0, (52.5, 13.4))];
        assert_eq!(chosen("Berlin", &twice).unwrap(), "Berlin, DE");
    }
}
