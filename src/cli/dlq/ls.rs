//! `rmq dlq ls`: which groups have given up messages.
#![allow(
    clippy::doc_markdown,
    reason = "these comments are printed as help, where backticks would be noise"
)]

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::letters::Survey;
use super::{Kind, Place};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Column;
use crate::cli::times::show_time;
use crate::client::{Client, ReadFrom, ReadOptions};

const COLUMNS: &[Column] = &[
    Column::new("group", "GROUP").name(),
    Column::new("count", "DEAD").right(),
    Column::new("oldestAge", "OLDEST"),
    Column::new("newestAge", "NEWEST"),
    Column::new("top", "TOP ORIGIN"),
    Column::new("topic", "TOPIC").wide(),
    Column::new("readable", "READABLE").wide(),
];

const RETRY_COLUMNS: &[Column] = &[
    Column::new("group", "GROUP").name(),
    Column::new("count", "WAITING").right(),
    Column::new("oldestAge", "OLDEST"),
    Column::new("newestAge", "NEWEST"),
    Column::new("top", "TOP ORIGIN"),
    Column::new("topic", "TOPIC").wide(),
    Column::new("readable", "READABLE").wide(),
];

/// Groups with dead letters
///
/// With --retry: groups with messages that wait for their next try. Those that still wait out their delay are not there
/// yet: brokers keep them elsewhere.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only these groups
    #[arg(value_name = "GROUP")]
    groups: Vec<String>,
    /// Also groups whose topic is there and empty
    #[arg(long)]
    all: bool,
    /// How many of the newest messages are looked at to find the top origin
    #[arg(long, value_name = "N", default_value_t = 1000)]
    scan: usize,
}

/// Runs the command.
pub(super) fn run(args: &Args, kind: Kind, context: &Context) -> Result<Exit, CliError> {
    context.block_on(async {
        let client = context.connect().await?;
        let rows = rows(&client, args, kind, context).await;
        client.close().await;
        let columns = match kind {
            Kind::Dead => COLUMNS,
            Kind::Retry => RETRY_COLUMNS,
        };
        context.output.rows(columns, rows?)?;
        Ok(Exit::Ok)
    })
}

async fn rows(
    client: &Client,
    args: &Args,
    kind: Kind,
    context: &Context,
) -> Result<Vec<Value>, CliError> {
    let mut places = Vec::new();
    if args.groups.is_empty() {
        let topics = client.admin().topics().await?;
        for topic in topics {
            if topic.starts_with(kind.prefix()) {
                places.push(Place::new(kind, &topic)?);
            }
        }
    } else {
        for group in &args.groups {
            places.push(Place::new(kind, group)?);
        }
    }
    let mut rows = Vec::new();
    for place in &places {
        let found = Survey::of(client, &place.topic).await;
        let survey = match found {
            Ok(survey) => survey,
            // One that is being deleted must not hide the others.
            Err(error) if args.groups.is_empty() => {
                context.output.warn(&format!("{}: {error}", place.topic));
                continue;
            }
            Err(error) => return Err(super::letters::absent(place, error)),
        };
        let count = count(client, place, &survey).await?;
        if count > 0 || args.all || !args.groups.is_empty() {
            rows.push(row(client, args, place, &survey, count, context).await?);
        }
    }
    // The worst first.
    rows.sort_by_key(|row| std::cmp::Reverse(row["count"].as_u64()));
    Ok(rows)
}

/// Dead letters are all that is there; what waits for a retry is what the group has not got to.
async fn count(client: &Client, place: &Place, survey: &Survey) -> Result<u64, CliError> {
    if place.kind == Kind::Dead {
        return Ok(survey.count());
    }
    let mut waiting = 0;
    for (queue, (start, end)) in &survey.queues {
        let offset = client
            .admin()
            .group_offset(place.group.as_str(), queue)
            .await?;
        let from = offset.unwrap_or(*start).max(*start);
        waiting += u64::try_from(end - from).unwrap_or_default();
    }
    Ok(waiting)
}

async fn row(
    client: &Client,
    args: &Args,
    place: &Place,
    survey: &Survey,
    count: u64,
    context: &Context,
) -> Result<Value, CliError> {
    let mut seen = Seen::default();
    if count > 0 && survey.readable {
        let first = match place.kind {
            Kind::Dead => ReadFrom::Earliest,
            Kind::Retry => ReadFrom::Group(place.group.clone()),
        };
        // The first of all, then the newest.
        seen.read(client, place, first, 1).await?;
        let newest = usize::try_from(count)
            .unwrap_or(usize::MAX)
            .min(args.scan.max(1));
        seen.origins.clear();
        seen.read(client, place, ReadFrom::Last(newest), newest)
            .await?;
    } else if count > 0 {
        context.output.warn(&format!(
            "{} cannot be read: rmq dlq show {} --open changes that",
            place.topic, place.group
        ));
    }
    let now_ms = context.clock.now_ms();
    let utc = context.global.utc;
    let time = |ms: Option<i64>| ms.map(|ms| show_time(ms, utc));
    let age = |ms: Option<i64>| ms.map(|ms| age(now_ms - ms));
    let top = seen.top();
    Ok(json!({
        "group": place.group.as_str(),
        "topic": place.topic,
        "count": count,
        "oldestMs": seen.oldest_ms,
        "oldest": time(seen.oldest_ms),
        "oldestAge": age(seen.oldest_ms),
        "newestMs": seen.newest_ms,
        "newest": time(seen.newest_ms),
        "newestAge": age(seen.newest_ms),
        "top": top.map(|(origin, times)| format!("{origin} ({times})")),
        "topOrigin": top.map(|(origin, _)| origin),
        "topOriginCount": top.map(|(_, times)| times),
        "scanned": seen.scanned(),
        "readable": survey.readable,
    }))
}

/// What was seen of a topic's messages.
#[derive(Debug, Default)]
struct Seen {
    oldest_ms: Option<i64>,
    newest_ms: Option<i64>,
    origins: BTreeMap<String, u64>,
}

impl Seen {
    async fn read(
        &mut self,
        client: &Client,
        place: &Place,
        from: ReadFrom,
        count_max: usize,
    ) -> Result<(), CliError> {
        let options = ReadOptions {
            from,
            ..ReadOptions::default()
        };
        let mut reader = client.reader(&place.topic, options).await?;
        for _ in 0..count_max {
            let Some(message) = reader.next().await? else {
                break;
            };
            let at = message.store_timestamp;
            self.oldest_ms = Some(self.oldest_ms.unwrap_or(at).min(at));
            self.newest_ms = Some(self.newest_ms.unwrap_or(at).max(at));
            let origin = message.origin_topic().unwrap_or("?").to_owned();
            *self.origins.entry(origin).or_default() += 1;
        }
        Ok(())
    }

    fn top(&self) -> Option<(&str, u64)> {
        let most = self.origins.iter().max_by_key(|(_, times)| **times)?;
        Some((most.0, *most.1))
    }

    fn scanned(&self) -> u64 {
        self.origins.values().sum()
    }
}

/// A distance in time, roughly: `2d 4h`, `3m`.
fn age(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, 0) => format!("{hours}h"),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, 0, _) => format!("{days}d"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn ages_are_rough() {
        for (seconds, expected) in [
            (-5, "0s"),
            (59, "59s"),
            (180, "3m"),
            (3600, "1h"),
            (3725, "1h 2m"),
            (187_200, "2d 4h"),
            (172_801, "2d"),
        ] {
            assert_eq!(age(seconds * 1000), expected);
        }
    }
}
