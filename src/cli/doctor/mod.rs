//! `rmq doctor`: what could lose a message here, link by link, and the setting that closes it.
//!
//! Gathering ([`gather`]), facts ([`facts`]) and judging ([`judge`]) are apart: the judging is pure.
#![allow(
    clippy::doc_markdown,
    reason = "comments of arguments are printed as help, where backticks would be noise"
)]

mod bundle;
pub(super) mod catalogue;
pub(super) mod facts;
pub(super) mod finding;
pub(super) mod gather;
pub(super) mod judge;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::Value;

use super::exit::{CliError, Exit};
use super::explain::wrapped;
use super::output::{Column, Paint};
use super::{Context, interrupted};
use crate::base::units::parse_duration;
use facts::Facts;
use finding::{Level, Link};
use gather::Scope;

/// The ports of a node started without any flag: name server, broker, VIP channel.
const PORTS: [u16; 3] = [9876, 10911, 10909];

/// The columns of findings, for doctor and why.
pub(super) const COLUMNS: &[Column] = &[
    Column::new("level", "LEVEL"),
    Column::new("id", "ID").name(),
    Column::new("link", "LINK"),
    Column::new("subject", "SUBJECT"),
    Column::new("message", "MESSAGE"),
    Column::new("fix", "FIX"),
    Column::new("evidence", "EVIDENCE").wide(),
    Column::new("explanation", "EXPLANATION").wide(),
];

/// Check a cluster and this machine for anything that could lose a message
///
/// Goes along the chain from the producer to the disk, the copies and the consumers, of an rmq node or of Apache's
/// servers, and says for each link that it is closed or what is open and which setting closes it. Changes nothing.
/// Ends with 7 if something of the level of --fail-on or worse is found, with 4 if there is nobody to ask.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq doctor
  rmq doctor --namesrv '10.0.0.1:9876;10.0.0.2:9876' --fail-on error
  rmq doctor -o json | jq '.[] | select(.level == \"error\")'
  rmq doctor --data-dir ~/.local/share/rmq --bundle report.tar.gz
  rmq explain RMQ-D020

Levels: note: worth knowing. warning: an acknowledged message can be lost, or messages pile up.
error: messages are lost or stuck now.")]
pub(crate) struct Args {
    /// The level from which on a finding makes the exit code 7
    #[arg(long, value_enum, default_value = "warning", value_name = "LEVEL")]
    fail_on: FailOn,
    /// Only these groups
    #[arg(long = "group", value_name = "GROUP", value_delimiter = ',')]
    groups: Vec<String>,
    /// The time between the two looks at offsets that tell whether a group falls behind
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    interval: Duration,
    /// A data directory on this machine to look into: left-over abort file, room on its disk
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Write findings, facts and settings to this file (tar.gz), with secrets blacked out
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Only this machine; ask nobody
    #[arg(long, conflicts_with = "groups")]
    local: bool,
}

/// `--fail-on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Anything that is found
    Note,
    /// Warnings and errors
    Warning,
    /// Errors only
    Error,
    /// Nothing: the exit code says only whether the audit could be made
    Never,
}

impl FailOn {
    fn includes(self, level: Level) -> bool {
        match self {
            Self::Note => true,
            Self::Warning => level >= Level::Warning,
            Self::Error => level >= Level::Error,
            Self::Never => false,
        }
    }
}

/// `--interval`, of doctor and why.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text).map_err(|error| error.to_string())?;
    if interval > Duration::from_hours(1) {
        return Err("an hour at most".to_owned());
    }
    Ok(interval)
}

/// Asks, judges, prints.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let mut unreachable = None;
    let mut facts = if args.local {
        Facts::default()
    } else {
        let asked = context.block_on(async {
            tokio::select! {
                biased;
                () = interrupted() => Err(CliError::new(Exit::Interrupted, "")),
                facts = ask(args, context) => facts,
            }
        });
        match asked {
            Ok(facts) => facts,
            Err(error) if error.exit() == Exit::Unreachable => {
                unreachable = Some(error);
                Facts::default()
            }
            Err(error) => return Err(error),
        }
    };
    let nobody = args.local || unreachable.is_some();
    let ports: &[u16] = if unreachable.is_some() { &PORTS } else { &[] };
    facts.now_ms = context.clock.now_ms();
    facts.machine = gather::machine(args.data_dir.as_deref(), ports);
    let links = if nobody {
        judge::judge_machine(&facts)
    } else {
        judge::judge(&facts)
    };
    print(&links, context)?;
    if let Some(path) = &args.bundle {
        bundle::write(path, &facts, &links, context)?;
        context.output.note(&format!(
            "wrote {} (secrets blacked out; look through it before you send it)",
            path.display()
        ));
    }
    if let Some(error) = unreachable {
        return Err(error);
    }
    summarise(&links, context);
    let failed = links
        .iter()
        .flat_map(|link| &link.findings)
        .any(|finding| args.fail_on.includes(finding.level));
    Ok(if failed { Exit::CheckFailed } else { Exit::Ok })
}

async fn ask(args: &Args, context: &Context) -> Result<Facts, CliError> {
    let client = gather::connect(context).await?;
    let scope = Scope {
        groups: args.groups.clone(),
        interval: args.interval,
        topics: args.groups.is_empty(),
    };
    let facts = gather::cluster(&client, context, &scope).await;
    client.close().await;
    let known = |name: &String| facts.groups.iter().any(|group| group.name == *name);
    if let Some(missing) = args.groups.iter().find(|name| !known(name)) {
        return Err(CliError::not_found(format!("there is no group {missing}"))
            .hint("rmq group ls shows which there are"));
    }
    Ok(facts)
}

/// Prints the links, for doctor and why.
pub(super) fn print(links: &[Link], context: &Context) -> Result<(), CliError> {
    let paint = context.output.paint();
    let line = |row: &Value| prose(row, paint);
    let mut sheet = context.output.listing(COLUMNS, &line);
    for row in links.iter().flat_map(Link::rows) {
        sheet.row(&row)?;
    }
    sheet.finish()
}

fn prose(row: &Value, paint: Paint) -> String {
    let text = |field: &str| row[field].as_str().unwrap_or_default();
    let mark = match text("level") {
        "ok" => paint.green("✓"),
        "note" => paint.dim("·"),
        "warning" => paint.yellow("!"),
        _ => paint.red("✗"),
    };
    let head = format!("{mark} {:<13} ", text("link"));
    if text("level") == "ok" {
        return format!("{head}{}", text("message"));
    }
    let indent = " ".repeat(16);
    let message = format!("{} {}", text("subject"), text("message"));
    let body = wrapped(&message, &indent, &indent);
    let body = body.trim_start();
    let about = format!("{} {}", text("id"), text("level"));
    let mut lines = format!("{head}{body}\n{indent}{}", paint.dim(&about));
    if !text("fix").is_empty() {
        lines.push_str(&wrapped(
            text("fix"),
            &format!("{indent}→ "),
            &format!("{indent}  "),
        ));
    }
    lines
}

fn summarise(links: &[Link], context: &Context) {
    let all: Vec<Level> = links
        .iter()
        .flat_map(|link| &link.findings)
        .map(|finding| finding.level)
        .collect();
    let count = |level: Level| all.iter().filter(|found| **found == level).count();
    let many = |number: usize, what: &str| {
        let s = if number == 1 { "" } else { "s" };
        format!("{number} {what}{s}")
    };
    // A note alone opens no link: nothing is lost by it.
    let is_closed = |link: &&Link| {
        let mut findings = link.findings.iter();
        findings.all(|finding| finding.level == Level::Note)
    };
    let closed = links.iter().filter(is_closed).count();
    context.output.note(&format!(
        "{} · {} · {} · {closed} of {} links closed{}",
        many(count(Level::Error), "error"),
        many(count(Level::Warning), "warning"),
        many(count(Level::Note), "note"),
        links.len(),
        if all.is_empty() {
            ""
        } else {
            " · rmq explain ID says more"
        },
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_chosen() {
        let failing = |on: FailOn| {
            [Level::Note, Level::Warning, Level::Error].map(|level| on.includes(level))
        };
        assert_eq!(failing(FailOn::Note), [true, true, true]);
        assert_eq!(failing(FailOn::Warning), [false, true, true]);
        assert_eq!(failing(FailOn::Error), [false, false, true]);
        assert_eq!(failing(FailOn::Never), [false, false, false]);
    }
}
