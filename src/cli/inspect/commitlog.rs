//! `rmq inspect commitlog`: the records of the log, in order.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Findings, existing, fields, lone_segment};
use crate::base::LogOffset;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Column, Format};
use crate::message::names;
use crate::message::record::{PHYSICAL_OFFSET_AT, Record};
use crate::store::layout::{self, SegmentFile};
use crate::store::log::{Item, Walk};
use crate::store::{View, ViewError};

/// List the records of the commit log, with fillers, ends and damage between them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A store directory, its commitlog directory, or one file of it
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
}

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
    let files = files(&args.path)?;
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
    findings.exit(nothing.then_some("no such message in the log"))
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

/// The files that `path` stands for.
fn files(path: &Path) -> Result<Vec<SegmentFile>, CliError> {
    if existing(path)?.is_file() {
        return Ok(vec![lone_segment(path, || stated_position(path))?]);
    }
    let own = layout::segments(path).map_err(|error| super::unreadable(path, error))?;
    if !own.is_empty() {
        return Ok(own);
    }
    let view = View::open(path)?;
    let files = view.log_files()?;
    if files.is_empty() && !view.layout().commit_log().exists() {
        return Err(ViewError::Absent {
            path: view.layout().commit_log(),
        }
        .into());
    }
    Ok(files)
}

/// The position the first record of a file states; a file that was renamed has no other.
fn stated_position(path: &Path) -> io::Result<u64> {
    let mut head = Vec::new();
    let len = PHYSICAL_OFFSET_AT as u64 + 8;
    File::open(path)?.take(len).read_to_end(&mut head)?;
    let stated = head.get(PHYSICAL_OFFSET_AT..).and_then(<[u8]>::first_chunk);
    Ok(stated.copied().map_or(0, u64::from_be_bytes))
}
