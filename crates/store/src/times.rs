//! Times as they are written and read: UTC, RFC 3339.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use time::{Date, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339, macros::format_description};

/// A time in UTC to the millisecond.
///
/// ```
/// let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(951_827_696_789);
/// assert_eq!(toolcrib_store::utc(at), "2000-02-29T12:34:56.789Z");
/// ```
#[must_use]
pub fn utc(at: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let at = OffsetDateTime::from(at).to_offset(UtcOffset::UTC);
    // A year beyond 9999 has no such form; no clock shows one.
    at.format(&format).unwrap_or_default()
}

/// The moment that a date (`2026-11-24`, in UTC) or a time with its offset (`2026-11-24T09:30:00+01:00`) names.
///
/// ```
/// use toolcrib_store::{moment, utc};
///
/// assert_eq!(utc(moment("2026-11-24T09:30:00+01:00").unwrap()), "2026-11-24T08:30:00.000Z");
/// assert_eq!(utc(moment("2026-11-24").unwrap()), "2026-11-24T00:00:00.000Z");
/// assert!(moment("2026-02-31").is_none() && moment("yesterday").is_none());
/// ```
#[must_use]
pub fn moment(text: &str) -> Option<SystemTime> {
    let date = || Date::parse(text, format_description!("[year]-[month]-[day]")).ok().map(|date| date.midnight().assume_utc());
    OffsetDateTime::parse(text, &Rfc3339).ok().or_else(date).map(SystemTime::from)
}

/// Milliseconds since 1970, as times stand in the database.
pub(crate) fn millis(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The time that so many milliseconds since 1970 are.
pub(crate) fn of_millis(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis.max(0).unsigned_abs())
}
