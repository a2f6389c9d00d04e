//! Times as people write and read them: `-10m`, `2026-11-22T10:00`, `now`, epoch milliseconds.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::exit::CliError;
use crate::base::units::parse_duration;

/// Parses a point in time into milliseconds since 1970.
///
/// Accepts `now`, a distance back (`-10m`, `-2d`), milliseconds since 1970 (ten digits or more), RFC 3339, and a
/// local date or date and time. `earliest` and `latest` are no times; commands that know them look first.
pub(crate) fn parse_time(text: &str, now_ms: i64) -> Result<i64, CliError> {
    let text = text.trim();
    if text == "now" {
        return Ok(now_ms);
    }
    if let Some(back) = text.strip_prefix('-')
        && let Ok(distance) = parse_duration(back)
    {
        let distance_ms = i64::try_from(distance.as_millis()).unwrap_or(i64::MAX);
        return Ok(now_ms.saturating_sub(distance_ms));
    }
    if text.len() >= 10
        && text.bytes().all(|b| b.is_ascii_digit())
        && let Ok(ms) = text.parse()
    {
        return Ok(ms);
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp.as_millisecond());
    }
    text.parse::<DateTime>()
        .ok()
        .and_then(|local| local.to_zoned(TimeZone::system()).ok())
        .map(|zoned| zoned.timestamp().as_millisecond())
        .ok_or_else(|| {
            CliError::usage(format!("{text:?} is not a time")).hint(
                "write -10m, 2026-11-22T10:00, 2026-11-22T10:00:00Z, now, or milliseconds since 1970",
            )
        })
}

/// Prints milliseconds since 1970 as RFC 3339 with milliseconds and zone.
pub(crate) fn show_time(ms: i64, utc: bool) -> String {
    let Ok(timestamp) = Timestamp::from_millisecond(ms) else {
        return ms.to_string();
    };
    if utc {
        return format!("{timestamp:.3}");
    }
    timestamp
        .to_zoned(TimeZone::system())
        .strftime("%Y-%m-%dT%H:%M:%S%.3f%:z")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_341_600_000;

    #[test]
    fn all_spellings() {
        assert_eq!(parse_time("now", NOW).unwrap(), NOW);
        assert_eq!(parse_time("-10m", NOW).unwrap(), NOW - 600_000);
        assert_eq!(parse_time("1795341600000", NOW).unwrap(), NOW);
        assert_eq!(parse_time("1970-01-01T00:00:01Z", NOW).unwrap(), 1000);
        assert!(parse_time("2026-11-22T10:00", NOW).is_ok());
        assert!(parse_time("2026-11-22", NOW).is_ok());
        assert!(parse_time("yesterday", NOW).is_err());
        assert!(parse_time("12", NOW).is_err());
    }

    #[test]
    fn shown_with_milliseconds_and_zone() {
        assert_eq!(show_time(1001, true), "1970-01-01T00:00:01.001Z");
        assert_eq!(show_time(0, true), "1970-01-01T00:00:00.000Z");
    }
}
