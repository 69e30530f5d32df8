//! Times as people write them: `90s`, `15m`, `1h`, `30d`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A length of time.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
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

/// A moment: so long ago, or a date in UTC such as 2026-11-24 or 2026-11-24T09:30:00Z.
pub(super) fn moment(text: &str) -> Result<SystemTime, String> {
    if let Ok(ago) = duration(text) {
        return Ok(SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH));
    }
    let fault = || format!("{text:?} is no moment; write it like 1h (ago), 2026-11-24 or 2026-11-24T09:30:00Z");
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let numbers = |text: &str, separator: char| {
        let numbers = text.split(separator).map(|part| part.parse::<i64>().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit())));
        <[i64; 3]>::try_from(numbers.collect::<Option<Vec<_>>>()?).ok()
    };
    let [year, month, day] = numbers(date, '-').ok_or_else(fault)?;
    let [hour, minute, second] = time.strip_suffix('Z').and_then(|time| numbers(time, ':')).ok_or_else(fault)?;
    let is_fine = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_fine || hour > 23 || minute > 59 || second > 60 {
        return Err(fault());
    }
    // Days since 1970 in the proleptic Gregorian calendar, with years that begin in March.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted_year.div_euclid(400), shifted_year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    Ok(UNIX_EPOCH + Duration::from_secs(seconds.max(0).unsigned_abs()))
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
        let at = |text: &str| moment(text).unwrap().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(at("1970-01-01"), 0);
        assert_eq!(at("2000-02-29T12:34:56Z"), 951_827_696);
        assert_eq!(at("2026-11-24T09:00:00Z"), 1_795_510_800);
        assert!(moment("1h").unwrap() < SystemTime::now());
        for wrong in ["yesterday", "2026-13-01", "2026-11-24T09:00", "2026-11-24T25:00:00Z", "24.11.2026"] {
            moment(wrong).unwrap_err();
        }
    }
}
