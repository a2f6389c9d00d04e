//! `rmq top`: groups, topics and brokers on one screen.
#![allow(
    clippy::doc_markdown,
    reason = "comments of arguments are printed as help, where backticks would be noise"
)]

mod look;
mod screen;

use std::time::Duration;

use clap::ValueEnum;
use tokio::time::sleep;

use super::exit::{CliError, Exit};
use super::output::Column;
use super::targets::Targets;
use super::topic::fits;
use super::{Context, interrupted};
use crate::base::units::parse_duration;
use look::{Look, Row};

const COLUMNS: &[Column] = &[
    Column::new("kind", "KIND"),
    Column::new("name", "NAME").name(),
    Column::new("inTps", "IN/S").right(),
    Column::new("outTps", "OUT/S").right(),
    Column::new("lag", "LAG").right(),
    Column::new("members", "MEMBERS").right(),
    Column::new("messages", "MESSAGES").right(),
    Column::new("diskPercent", "DISK %").right(),
    Column::new("error", "ERROR").optional(),
];

/// Watch groups, topics and brokers
///
/// Groups by lag, topics with what comes in and goes out, brokers with their disks. Rates are what happened between two looks.
/// Keys: q quits, s sorts by something else, / filters by name, p pauses. With --once it looks twice and prints one line for
/// each, for scripts.
///
/// Fields of --once: kind (group, topic, broker), name, inTps, outTps, lag, members, messages, diskPercent.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq top
  rmq top --sort rate --filter 'bill*'
  rmq top --once -o json | jq '.[] | select(.kind == \"group\" and .lag > 1000)'")]
pub(crate) struct Args {
    /// Print what there is once, and end
    #[arg(long)]
    once: bool,
    /// Time between two looks
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_duration)]
    interval: Duration,
    /// What comes first
    #[arg(long, value_enum, default_value = "lag", value_name = "BY")]
    sort: Sort,
    /// Only groups and topics with such names; * stands for anything
    #[arg(long, value_name = "PATTERN")]
    filter: Option<String>,
    #[command(flatten)]
    targets: Targets,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The largest lag
    Lag,
    /// The most messages a second, in and out
    Rate,
    /// The name
    Name,
}

impl Sort {
    fn next(self) -> Self {
        match self {
            Self::Lag => Self::Rate,
            Self::Rate => Self::Name,
            Self::Name => Self::Lag,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Lag => "lag",
            Self::Rate => "rate",
            Self::Name => "name",
        }
    }

    /// Sorts lines of one kind.
    fn sort(self, rows: &mut [Row]) {
        let rate = |row: &Row| row.sent.unwrap_or(0.0) + row.consumed.unwrap_or(0.0);
        rows.sort_by(|a, b| {
            let first = match self {
                Self::Lag => b.lag.cmp(&a.lag),
                Self::Rate => rate(b).total_cmp(&rate(a)),
                Self::Name => std::cmp::Ordering::Equal,
            };
            first.then_with(|| a.name.cmp(&b.name))
        });
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    if !args.once && !context.output.stdout_is_terminal() {
        return Err(CliError::usage("top needs a terminal").hint("--once prints the figures once"));
    }
    context.block_on(async {
        let client = context.connect().await?;
        let admin = client.admin();
        let ended = if args.once {
            once(args, &admin, context).await
        } else {
            screen::run(args, &admin).await
        };
        client.close().await;
        ended
    })
}

async fn once(
    args: &Args,
    admin: &crate::client::Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let first = Look::take(&args.targets, admin).await?;
    tokio::select! {
        biased;
        () = interrupted() => return Ok(Exit::Interrupted),
        () = sleep(args.interval) => {}
    }
    let second = Look::take(&args.targets, admin).await?;
    let wanted = |name: &str| args.filter.as_ref().is_none_or(|filter| fits(filter, name));
    let rows = arranged(&second.rows(Some(&first)), args.sort, wanted);
    let silent = rows.iter().any(|row| row.error.is_some());
    context.output.rows(COLUMNS, rows.iter().map(Row::value))?;
    Ok(if silent { Exit::Partial } else { Exit::Ok })
}

/// Groups first, then topics, then brokers, each sorted.
fn arranged(rows: &[Row], sort: Sort, wanted: impl Fn(&str) -> bool) -> Vec<Row> {
    let mut arranged = Vec::with_capacity(rows.len());
    for kind in ["group", "topic", "broker"] {
        let chosen = rows.iter();
        let chosen =
            chosen.filter(|row| row.kind == kind && (kind == "broker" || wanted(&row.name)));
        let mut chosen: Vec<Row> = chosen.cloned().collect();
        sort.sort(&mut chosen);
        arranged.extend(chosen);
    }
    arranged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sorted_within_their_kind() {
        let row = |kind, name: &str, lag, sent| Row {
            kind,
            name: name.to_owned(),
            lag,
            sent,
            ..Row::default()
        };
        let rows = vec![
            row("topic", "t1", None, Some(1.0)),
            row("group", "a", Some(1), None),
            row("group", "b", Some(9), None),
            row("broker", "x", None, None),
            row("topic", "t2", None, Some(5.0)),
        ];
        let names = |sort, filter: &str| -> Vec<String> {
            let rows = arranged(&rows, sort, |name| name.contains(filter));
            rows.into_iter().map(|row| row.name).collect()
        };
        assert_eq!(names(Sort::Lag, ""), ["b", "a", "t1", "t2", "x"]);
        assert_eq!(names(Sort::Rate, ""), ["a", "b", "t2", "t1", "x"]);
        assert_eq!(names(Sort::Name, "a"), ["a", "x"]);
    }
}
