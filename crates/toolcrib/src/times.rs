//! Times as people write them: `90s`, `15m`, `1h`, `30d`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A length of time.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let fault = || format!("{text:?} is no time; write it like 90s, 15m, 1h or 30d");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| fault())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(fault()),
    };
    Ok(Duration::from_secs(number.checked_mul(seconds).ok_or_else(fault)?))
}

/// A moment: so long ago, or a date or time as 2026-11-24 (UTC) or 2026-11-24T09:30:00Z.
pub(crate) fn moment(text: &str) -> Result<SystemTime, String> {
    if let Ok(ago) = duration(text) {
        return Ok(SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH));
    }
    toolcrib_store::moment(text).ok_or_else(|| format!("{text:?} is no moment; write it like 1h (ago), 2026-11-24 or 2026-11-24T09:30:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        for wrong in ["", "1", "h", "1w", "-1h", "1.5h", "99999999999999999999s"] {
            duration(wrong).unwrap_err();
        }
        assert!(moment("1h").unwrap() < SystemTime::now());
        for wrong in ["yesterday", "2026-13-01", "2026-11-24T09:00", "2026-11-24T25:00:00Z", "24.11.2026", "2026-02-31"] {
            moment(wrong).unwrap_err();
        }
    }
}
