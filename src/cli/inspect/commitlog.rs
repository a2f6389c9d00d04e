//! `rmq inspect commitlog`: the records of the log, in order.

use std::path::PathBuf;

use serde_json::Value;

use super::watch::{Stop, ended};
use super::{Findings, fields, source, summary};
use crate::base::LogOffset;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Column, Format, human_bytes};
use crate::cli::times::show_time;
use crate::message::names;
use crate::message::record::Record;
use crate::store::log::{Item, Walk};

/// List the records of the commit log, with fillers, ends and damage between them
///
/// Example: rmq inspect commitlog ~/store --topic orders -n 10 -o jsonl
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A store directory, its commitlog directory, or one file of it; files packed to .gz are read as well
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Begin at this position of the log, or at the next record behind it
    #[arg(long, value_name = "POSITION")]
    from_offset: Option<u64>,
    /// Stop after this many messages
    #[arg(short = 'n', long = "count", value_name = "N")]
    count: Option<u64>,
    /// Only messages of this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only messages of queues with this number
    #[arg(long, value_name = "N")]
    queue: Option<i32>,
    /// Only messages with this key, unique key or message id
    #[arg(long)]
    key: Option<String>,
    /// Print bodies of any size, not only those up to 400 bytes
    #[arg(long)]
    body: bool,
    /// Only the totals: how many messages and bytes, from when to when, and what is damaged
    #[arg(long, conflicts_with_all = ["from_offset", "count", "topic", "queue", "key", "body"])]
    summary: bool,
    /// With --summary: do not compare bodies with their checksums
    #[arg(long, requires = "summary")]
    fast: bool,
}

const TOTALS: &[Column] = &[
    Column::new("files", "FILES").right(),
    Column::new("minOffset", "FROM").right(),
    Column::new("maxOffset", "TO").right(),
    Column::new("messages", "MESSAGES").right(),
    Column::new("topics", "TOPICS").right(),
    Column::new("messageBytes", "BYTES").right(),
    Column::new("bodyBytes", "BODY BYTES").right(),
    Column::new("damaged", "DAMAGED").right(),
    Column::new("firstStoreTimestamp", "FIRST STORED").right(),
    Column::new("lastStoreTimestamp", "LAST STORED").right(),
];

const COLUMNS: &[Column] = &[
    Column::new("kind", "KIND"),
    Column::new("physicalOffset", "OFFSET").right(),
    Column::new("storeSize", "SIZE").right(),
    Column::new("topic", "TOPIC"),
    Column::new("queueId", "QUEUE").right(),
    Column::new("queueOffset", "QUEUE OFFSET").right(),
    Column::new("storeTimestamp", "STORED").right(),
    Column::new("tags", "TAGS"),
    Column::new("keys", "KEYS"),
    Column::new("msgId", "ID").name(),
    Column::new("reason", "REASON"),
];

impl Args {
    fn is_filtered(&self) -> bool {
        self.topic.is_some() || self.queue.is_some() || self.key.is_some()
    }

    fn wants(&self, record: &Record<'_>) -> bool {
        self.topic
            .as_ref()
            .is_none_or(|topic| topic == record.topic)
            && self.queue.is_none_or(|queue| queue == record.queue_id)
            && self.key.as_ref().is_none_or(|key| has_key(record, key))
    }
}

/// Whether `key` is one of the words a message can be found by.
pub(super) fn has_key(record: &Record<'_>, key: &str) -> bool {
    let words = record.properties.get(names::KEYS).unwrap_or_default();
    record.properties.get(names::UNIQ_KEY) == Some(key)
        || words.split(' ').any(|word| word == key)
        || record.offset_message_id().eq_ignore_ascii_case(key)
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let files = source::log_files(&args.path)?;
    if args.summary {
        return totals(Findings::new(context, files), args.fast);
    }
    let stop = Stop::listen()?;
    let mut walk = Walk::over_files(&files);
    if let Some(from) = args.from_offset {
        walk = walk.starting_at(LogOffset::new(from));
    }
    let mut findings = Findings::new(context, files);
    let utc = context.global.utc;
    let line = |row: &Value| line(row, utc);
    let mut sheet = context.output.listing(COLUMNS, &line);
    let names_only = context.output.format() == Some(Format::Name);
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut found = 0_u64;
    while left > 0
        && !stop.is_asked()
        && let Some(item) = walk.next_item()
    {
        let row = match item {
            Item::Record(stored) if args.wants(&stored.record) => {
                found += 1;
                left -= 1;
                Value::Object(fields::message(&stored.record, args.body))
            }
            Item::Record(_) => continue,
            Item::Damaged(damage) => {
                findings.damage(&damage);
                if names_only {
                    continue;
                }
                fields::damage(&damage, args.body)
            }
            Item::Blank(_) | Item::End { .. } if names_only || args.is_filtered() => continue,
            Item::Blank(blank) => fields::blank(&blank),
            Item::End { at } => fields::end(at),
        };
        sheet.row(&row)?;
    }
    sheet.finish()?;
    let nothing = found == 0 && args.is_filtered() && left > 0;
    let exit = findings.exit(nothing.then_some("no such message in the log"));
    ended(stop.is_asked(), exit)
}

fn totals(mut findings: Findings<'_>, fast: bool) -> Result<Exit, CliError> {
    let (row, interrupted) = summary::of_log(&mut findings, fast)?;
    let context = findings.context;
    let utc = context.global.utc;
    let line = |row: &Value| totals_lines(row, utc);
    let mut sheet = context.output.listing(TOTALS, &line);
    sheet.row(&row)?;
    sheet.finish()?;
    ended(interrupted, findings.exit(None))
}

/// The totals for people.
fn totals_lines(row: &Value, utc: bool) -> String {
    let number = |name: &str| row[name].as_u64().unwrap_or(0);
    let time = |name: &str| {
        let ms = row[name].as_i64();
        ms.map_or_else(|| "never".to_owned(), |ms| show_time(ms, utc))
    };
    [
        format!(
            "log       {} files  {} to {}  damaged places {}",
            row["files"], row["minOffset"], row["maxOffset"], row["damaged"]
        ),
        format!(
            "messages  {} in {} topics  {}  bodies {}  compressed {}",
            row["messages"],
            row["topics"],
            human_bytes(number("messageBytes")),
            human_bytes(number("bodyBytes")),
            row["compressed"]
        ),
        format!(
            "stored    {} to {}",
            time("firstStoreTimestamp"),
            time("lastStoreTimestamp")
        ),
    ]
    .join("\n")
}

fn line(row: &Value, utc: bool) -> String {
    let at = row["physicalOffset"].to_string();
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    match text("kind") {
        "message" if row["crcMismatch"] == true => {
            format!(
                "{}  DAMAGED {}",
                fields::message_line(row, utc),
                text("reason")
            )
        }
        "message" => fields::message_line(row, utc),
        "blank" => format!(
            "{at:>12}  filler of {} B to the end of the file",
            row["size"]
        ),
        "end" => format!("{at:>12}  end of what was written"),
        _ => format!(
            "{at:>12}  DAMAGED up to {}: {}",
            row["until"],
            text("reason")
        ),
    }
}
