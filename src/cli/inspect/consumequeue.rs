//! `rmq inspect consumequeue`: the entries of queues, and on request the records they lead to.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Findings, existing, fields, lone_segment, store_of};
use crate::base::{LogOffset, QueueOffset};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Column, Format};
use crate::store::layout::{self, SegmentFile};
use crate::store::log::Walk;
use crate::store::queue::Entry;
use crate::store::view::QueueView;
use crate::store::{View, ViewError};

/// List the entries of consume queues
///
/// Example: rmq inspect consumequeue ~/store --topic orders --queue 2 --from 10 -n 5 --resolve
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A store directory, or the directory of a topic or queue in it, or one file of a queue
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Only queues of this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only queues with this number
    #[arg(long, value_name = "N")]
    queue: Option<u32>,
    /// Begin at this entry of each queue
    #[arg(
        long,
        value_name = "OFFSET",
        default_value_t = 0,
        hide_default_value = true
    )]
    from: u64,
    /// Stop after this many entries
    #[arg(short = 'n', long = "count", value_name = "N")]
    count: Option<u64>,
    /// Add the message that each entry leads to
    #[arg(long)]
    resolve: bool,
}

const COLUMNS: &[Column] = &[
    Column::new("topic", "TOPIC").name(),
    Column::new("queueId", "QUEUE").right(),
    Column::new("cqOffset", "OFFSET").right(),
    Column::new("physicalOffset", "LOG OFFSET").right(),
    Column::new("size", "SIZE").right(),
    Column::new("tagsCode", "TAGS CODE").right(),
    Column::new("message.msgId", "ID"),
    Column::new("reason", "REASON"),
];

/// A queue to list.
struct Listed {
    topic: String,
    queue_id: u32,
    files: Vec<SegmentFile>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let queues = queues(&args.path)?
        .into_iter()
        .filter(|queue| {
            args.topic
                .as_ref()
                .is_none_or(|topic| *topic == queue.topic)
        })
        .filter(|queue| args.queue.is_none_or(|id| id == queue.queue_id))
        .collect::<Vec<_>>();
    if queues.is_empty() && (args.topic.is_some() || args.queue.is_some()) {
        return Err(CliError::not_found("no such queue in the store")
            .hint("a queue has a directory only once it holds a message"));
    }
    let log_files = if args.resolve {
        log_files(&args.path)?
    } else {
        Vec::new()
    };
    let mut log = args.resolve.then(|| Walk::over_files(&log_files));
    let mut findings = Findings::new(context, log_files);
    let utc = context.global.utc;
    let line = |row: &Value| line(row, utc);
    let mut sheet = context.output.listing(COLUMNS, &line);
    let mut left = args.count.unwrap_or(u64::MAX);
    for Listed {
        topic,
        queue_id,
        files,
    } in queues
    {
        if context.output.format() == Some(Format::Name) {
            // The name of a queue is that of its directory; its entries have none.
            sheet.row(&json!({"topic": format!("{topic}/{queue_id}")}))?;
            continue;
        }
        let mut queue = QueueView::over(files).starting_at(QueueOffset::new(args.from));
        while left > 0
            && let Some(next) = queue.next_entry()
        {
            let (number, entry) = match next {
                Ok(next) => next,
                Err(error) => {
                    findings.add(&error.to_string());
                    continue;
                }
            };
            left -= 1;
            let mut row = fields::object(json!({
                "kind": if entry.is_filler() { "filler" } else { "entry" },
                "topic": topic,
                "queueId": queue_id,
                "cqOffset": number.get(),
                "physicalOffset": entry.log_offset,
                "size": entry.size,
                "tagsCode": entry.tags_code,
            }));
            if let Some(log) = log.as_mut().filter(|_| !entry.is_filler()) {
                match resolve(log, &topic, &entry) {
                    Ok(message) => row.insert("message".into(), message),
                    Err(reason) => {
                        let place = findings.place(entry.log_offset.cast_unsigned());
                        findings.add(&format!("{topic}/{queue_id} @{number}: {place}: {reason}"));
                        row.insert("reason".into(), reason.into())
                    }
                };
            }
            sheet.row(&Value::Object(row))?;
        }
    }
    sheet.finish()?;
    findings.exit(None)
}

/// The message an entry leads to, or why it leads to none.
fn resolve(log: &mut Walk, topic: &str, entry: &Entry) -> Result<Value, String> {
    let at = LogOffset::from_wire(entry.log_offset).ok_or("leads to a negative position")?;
    let found = log.record_at(at).map_err(|reason| reason.to_string())?;
    let record = &found.record;
    if i64::from(record.size) != i64::from(entry.size) {
        return Err(format!("the record there has {} bytes", record.size));
    }
    let real = record.topic == topic;
    // A light queue shares its records with the topic they were sent to.
    let shared = record
        .properties
        .get(crate::message::names::INNER_MULTI_DISPATCH)
        .is_some_and(|queues| queues.split(',').any(|queue| queue == topic));
    if !real && !shared {
        return Err(format!("the record there is of topic {}", record.topic));
    }
    Ok(Value::Object(fields::message(record, false)))
}

fn line(row: &Value, utc: bool) -> String {
    let topic = row["topic"].as_str().unwrap_or_default();
    let place = format!("{topic}/{} @{}", row["queueId"], row["cqOffset"]);
    if row["kind"] == "filler" {
        return format!("{place}  filler");
    }
    if let Some(reason) = row["reason"].as_str() {
        return format!("{place}  log {}  DAMAGED {reason}", row["physicalOffset"]);
    }
    if row["message"].is_object() {
        return format!("{place}  {}", fields::message_line(&row["message"], utc));
    }
    format!(
        "{place}  log {}  {} B  tags code {}",
        row["physicalOffset"], row["size"], row["tagsCode"]
    )
}

/// The queues that `path` stands for.
fn queues(path: &Path) -> Result<Vec<Listed>, CliError> {
    let refused = |error| super::unreadable(path, error);
    if existing(path)?.is_file() {
        let file = lone_segment(path, || Ok(0))?;
        return Ok(vec![named_by(path.parent().unwrap_or(path), vec![file])]);
    }
    let files = layout::segments(path).map_err(refused)?;
    if !files.is_empty() {
        return Ok(vec![named_by(path, files)]);
    }
    // The directory of a topic has numbers in it, the one above has topics, and the store one of those.
    let whole = std::fs::canonicalize(path).map_err(refused)?;
    let is_topic = whole
        .parent()
        .is_some_and(|dir| dir.file_name().is_some_and(|name| name == "consumequeue"));
    let (root, only) = if is_topic {
        (whole.parent().map(Path::to_owned), whole.file_name())
    } else if whole.file_name().is_some_and(|name| name == "consumequeue") {
        (Some(whole.clone()), None)
    } else {
        let root = View::open(path)?.layout().consume_queues();
        if !root.exists() {
            return Err(ViewError::Absent { path: root }.into());
        }
        (Some(root), None)
    };
    let root = root.unwrap_or(whole.clone());
    let mut found = Vec::new();
    for (topic, queue_id) in layout::queues(&root).map_err(refused)? {
        if only.is_none_or(|only| only == topic.as_str()) {
            let dir = root.join(&topic).join(queue_id.to_string());
            let files = layout::segments(&dir).map_err(|error| super::unreadable(&dir, error))?;
            found.push(Listed {
                topic,
                queue_id,
                files,
            });
        }
    }
    Ok(found)
}

/// A queue whose topic and number are the last two names of its directory.
fn named_by(dir: &Path, files: Vec<SegmentFile>) -> Listed {
    let dir = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let name = |dir: Option<&Path>| {
        dir.and_then(Path::file_name)
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    Listed {
        topic: name(dir.parent()),
        queue_id: name(Some(&dir)).parse().unwrap_or(0),
        files,
    }
}

fn log_files(path: &Path) -> Result<Vec<SegmentFile>, CliError> {
    Ok(store_of(path, "consumequeue")?.log_files()?)
}
