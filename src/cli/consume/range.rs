//! `--from` and `--to`.

use crate::cli::exit::CliError;
use crate::cli::times::parse_time;
use crate::client::{ReadFrom, StartFrom};

/// Reads `--from`: a name, the last so many, an offset, or a time.
pub(crate) fn parse_from(text: &str, now_ms: i64) -> Result<ReadFrom, CliError> {
    match text {
        "earliest" | "begin" | "start" => return Ok(ReadFrom::Earliest),
        "latest" | "end" => return Ok(ReadFrom::Latest),
        _ => {}
    }
    if let Some(count) = text.strip_prefix('-')
        && let Ok(count) = count.parse::<usize>()
    {
        return Ok(ReadFrom::Last(count));
    }
    // Ten digits and more are milliseconds since 1970, as everywhere.
    if text.len() < 10
        && let Ok(offset) = text.parse::<i64>()
    {
        return Ok(ReadFrom::Offset(offset));
    }
    let ms = parse_time(text, now_ms).map_err(|error| {
        CliError::usage(format!("--from: {error}"))
            .hint("write earliest, latest, -100 (the last hundred), an offset, or a time like -10m")
    })?;
    Ok(ReadFrom::Time { ms })
}

/// Where reading ends; nothing in it: at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct To {
    /// The last wanted time, in milliseconds since 1970.
    pub(crate) ms: Option<i64>,
    /// The last wanted offset of each queue.
    pub(crate) offset: Option<i64>,
}

/// Reads `--to`: an offset, a time, or the end.
pub(crate) fn parse_to(text: &str, now_ms: i64) -> Result<To, CliError> {
    if text == "end" || text == "latest" {
        return Ok(To::default());
    }
    if text.len() < 10
        && let Ok(offset) = text.parse::<i64>()
        && offset >= 0
    {
        return Ok(To {
            offset: Some(offset),
            ..To::default()
        });
    }
    let ms = parse_time(text, now_ms).map_err(|error| CliError::usage(format!("--to: {error}")))?;
    Ok(To {
        ms: Some(ms),
        ..To::default()
    })
}

/// Where a new group begins; a group cannot begin at an offset or before the end.
pub(super) fn start_of_group(from: Option<&ReadFrom>) -> Result<StartFrom, CliError> {
    match from {
        None => Ok(StartFrom::Unspecified),
        Some(ReadFrom::Earliest) => Ok(StartFrom::Earliest),
        Some(ReadFrom::Latest) => Ok(StartFrom::Latest),
        Some(ReadFrom::Time { ms }) => Ok(StartFrom::Time { ms: *ms }),
        Some(_) => Err(
            CliError::usage("--from with --group must be earliest, latest or a time").hint(
                "a group goes on where it stopped; --from counts only for a group without offsets",
            ),
        ),
    }
}

/// `--from` for people.
pub(super) fn describe(from: &ReadFrom, show_time: impl Fn(i64) -> String) -> String {
    match from {
        ReadFrom::Earliest => "from the first message".to_owned(),
        ReadFrom::Latest => "from now on".to_owned(),
        ReadFrom::Time { ms } => format!("from {}", show_time(*ms)),
        ReadFrom::Offset(offset) => format!("from offset {offset}"),
        ReadFrom::Last(count) => format!("the last {count}"),
        ReadFrom::Group(group) => format!("from where group {group} is"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_341_600_000;

    #[test]
    fn every_spelling() {
        let from = |text| parse_from(text, NOW).unwrap();
        assert_eq!(from("earliest"), ReadFrom::Earliest);
        assert_eq!(from("latest"), ReadFrom::Latest);
        assert_eq!(from("-100"), ReadFrom::Last(100));
        assert_eq!(from("17"), ReadFrom::Offset(17));
        assert_eq!(from("-10m"), ReadFrom::Time { ms: NOW - 600_000 });
        assert_eq!(from("1795341600000"), ReadFrom::Time { ms: NOW });
        assert!(parse_from("yesterday", NOW).is_err());
        let to = |text| parse_to(text, NOW).unwrap();
        assert_eq!(to("end"), To::default());
        assert_eq!(to("now").ms, Some(NOW));
        assert_eq!(to("-1m").ms, Some(NOW - 60_000));
        assert_eq!(to("17").offset, Some(17));
    }

    #[test]
    fn groups_begin_at_times_only() {
        assert!(start_of_group(Some(&ReadFrom::Last(3))).is_err());
        assert_eq!(start_of_group(None).unwrap(), StartFrom::Unspecified);
    }
}
