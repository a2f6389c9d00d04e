//! Names of index files: the local time of their creation, to the millisecond.

use std::path::Path;

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// The name for a file made at `now_ms`. Names always grow: Apache's can be given twice within a millisecond, and
/// then the second file replaces the first.
pub(crate) fn after(last: Option<&str>, now_ms: i64) -> String {
    let now = Timestamp::from_millisecond(now_ms)
        .unwrap_or_default()
        .to_zoned(TimeZone::system())
        .datetime();
    let name = text(now);
    match last {
        Some(last) if *name <= *last => text(
            parse(last)
                .and_then(|last| last.checked_add(SignedDuration::from_millis(1)).ok())
                .unwrap_or(now),
        ),
        _ => name,
    }
}

fn text(at: DateTime) -> String {
    format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}{:03}",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    )
}

fn parse(name: &str) -> Option<DateTime> {
    let part = |from: usize, to: usize| name.get(from..to)?.parse::<i16>().ok();
    let small = |from, to| part(from, to).and_then(|n| i8::try_from(n).ok());
    let nanoseconds = i32::from(part(14, 17)?).checked_mul(1_000_000)?;
    DateTime::new(
        part(0, 4)?,
        small(4, 6)?,
        small(6, 8)?,
        small(8, 10)?,
        small(10, 12)?,
        small(12, 14)?,
        nanoseconds,
    )
    .ok()
}

/// The file name of a path, as text.
pub(crate) fn of(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_grow_even_within_a_millisecond() {
        let first = after(None, 1_700_000_000_123);
        assert_eq!(first.len(), 17);
        assert!(first.ends_with("123"));
        let second = after(Some(&first), 1_700_000_000_123);
        assert!(second.ends_with("124"));
        assert_eq!(
            after(Some("20991231235959999"), 1_700_000_000_123),
            "21000101000000000"
        );
    }
}
