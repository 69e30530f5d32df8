//! Weather codes in words (WMO code table 4677, as Open-Meteo uses it).

/// What the weather is like.
pub(super) fn condition(code: Option<u8>) -> &'static str {
    match code {
        Some(0) => "clear sky",
        Some(1) => "mainly clear",
        Some(2) => "partly cloudy",
        Some(3) => "overcast",
        Some(45) => "fog",
        Some(48) => "depositing rime fog",
        Some(51) => "light drizzle",
        Some(53) => "moderate drizzle",
        Some(55) => "dense drizzle",
        Some(56) => "light freezing drizzle",
        Some(57) => "dense freezing drizzle",
        Some(61) => "slight rain",
        Some(63) => "moderate rain",
        Some(65) => "heavy rain",
        Some(66) => "light freezing rain",
        Some(67) => "heavy freezing rain",
        Some(71) => "slight snowfall",
        Some(73) => "moderate snowfall",
        Some(75) => "heavy snowfall",
        Some(77) => "snow grains",
        Some(80) => "slight rain showers",
        Some(81) => "moderate rain showers",
        Some(82) => "violent rain showers",
        Some(85) => "slight snow showers",
        Some(86) => "heavy snow showers",
        Some(95) => "thunderstorm",
        Some(96) => "thunderstorm with slight hail",
        Some(99) => "thunderstorm with heavy hail",
        _ => "unknown",
    }
}
