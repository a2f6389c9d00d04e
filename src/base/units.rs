//! Sizes and durations as people write them: `16MiB`, `1GB`, `90s`, `2h`.

use std::time::Duration;

/// Why a size or a duration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what}; write {example}")]
pub struct UnitError {
    text: String,
    what: &'static str,
    example: &'static str,
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim()))
}

/// Parses a size in bytes: a plain number, or one with `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024) or
/// `kB`, `MB`, `GB`, `TB` (powers of 1000). `K`, `M`, `G`, `T` alone mean powers of 1024.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let factor = |unit: &str| -> Option<u64> {
        Some(match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            _ => return None,
        })
    };
    split_number(text)
        .and_then(|(number, unit)| number.checked_mul(factor(unit)?))
        .ok_or_else(|| UnitError {
            text: text.to_owned(),
            what: "size",
            example: "16MiB, 1GB or a number of bytes",
        })
}

/// Parses a duration: a number with `ms`, `s`, `m`, `h` or `d`.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let millis = |unit: &str| -> Option<u64> {
        Some(match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        })
    };
    split_number(text)
        .and_then(|(number, unit)| number.checked_mul(millis(unit)?))
        .map(Duration::from_millis)
        .ok_or_else(|| UnitError {
            text: text.to_owned(),
            what: "duration",
            example: "500ms, 5s, 10m, 2h or 1d",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_bytes("16MiB"), Ok(16 << 20));
        assert_eq!(parse_bytes("1GB"), Ok(1_000_000_000));
        assert_eq!(parse_bytes("4096"), Ok(4096));
        assert!(parse_bytes("many").is_err());
        assert!(parse_bytes("99999999999TiB").is_err());
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_hours(2)));
        assert!(parse_duration("5").is_err());
    }
}
