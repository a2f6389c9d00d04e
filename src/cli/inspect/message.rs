//! `rmq inspect message`: one message whole, by any of its ids, and everything in the store that leads to it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::watch::{Passed, Watch, ended};
use super::{Findings, commitlog, fields, source};
use crate::base::{LogOffset, QueueOffset};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Column, Format};
use crate::cli::times::show_time;
use crate::message::record::Record;
use crate::message::{names, parse_offset_message_id};
use crate::store::View;
use crate::store::index::format::KeyHash;
use crate::store::log::{Item, Walk};
use crate::store::view::{IndexView, Survey, survey};

/// Show one message whole, and everything in the store that leads to it
///
/// ID is any id: the broker's (32 or 56 digits, a place in the log), the producer's, or a key. Every record of the
/// message is shown: a delayed or retried one has several. The key index is asked first, the log is read when it
/// knows nothing.
///
/// Example: rmq inspect message ~/store 7F00000100002A9F0000000000000D3B
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true)))]
pub(crate) struct Args {
    /// A store directory, its commitlog directory, or one file of it
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// A message id, a unique key, or a key
    #[arg(value_name = "ID", group = "which")]
    id: Option<String>,
    /// The messages with this key
    #[arg(long, group = "which")]
    key: Option<String>,
    /// The message at this position of the log
    #[arg(long, value_name = "OFFSET", group = "which")]
    at: Option<u64>,
    /// Only in this topic
    #[arg(long)]
    topic: Option<String>,
    /// Read the log even where the index knows the key
    #[arg(long)]
    scan: bool,
    /// Print bodies of any size, not only those up to 400 bytes
    #[arg(long)]
    body: bool,
}

const COLUMNS: &[Column] = &[
    Column::new("physicalOffset", "OFFSET").right(),
    Column::new("topic", "TOPIC"),
    Column::new("queueId", "QUEUE").right(),
    Column::new("queueOffset", "QUEUE OFFSET").right(),
    Column::new("storeTimestamp", "STORED").right(),
    Column::new("keys", "KEYS"),
    Column::new("uniqKey", "UNIQUE KEY"),
    Column::new("msgId", "ID").name(),
    Column::new("references", "REFERENCES").wide(),
];

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let files = source::log_files(&args.path)?;
    let view = source::store_with_log(&args.path);
    let mut findings = Findings::new(context, files.clone());
    let mut interrupted = false;
    let wanted = args.key.as_deref().or(args.id.as_deref());
    let at = match (args.at, &args.id) {
        (Some(at), _) => Some(at),
        (None, Some(id)) => parse_offset_message_id(id).map(|(_, offset)| offset.get()),
        _ => None,
    };
    let mut log = Walk::over_files(&files);
    let mut places = BTreeSet::new();
    if let Some(at) = at {
        match log.record_at(LogOffset::new(at)) {
            Ok(_) => {
                places.insert(at);
            }
            // An id of digits alone may be a key as well.
            Err(reason) if args.at.is_some() => {
                findings.add(&format!("{}: {reason}", findings.place(at)));
            }
            Err(_) => {}
        }
    }
    if let Some(wanted) = wanted.filter(|_| places.is_empty()) {
        if let Some(view) = view.as_ref().filter(|_| !args.scan) {
            places = by_index(view, &mut log, wanted, args)?;
        }
        if places.is_empty() {
            (places, interrupted) = by_log(&mut findings, wanted, args)?;
        }
    }
    let utc = context.global.utc;
    let line = |row: &Value| lines(row, utc);
    let mut sheet = context.output.listing(COLUMNS, &line);
    let names_only = context.output.format() == Some(Format::Name);
    for &at in &places {
        let row = match log.record_at(LogOffset::new(at)) {
            Ok(stored) => fields::message(&stored.record, args.body),
            Err(reason) => {
                findings.add(&format!("{}: {reason}", findings.place(at)));
                continue;
            }
        };
        let references = match (&view, names_only) {
            (Some(view), false) => match log.record_at(LogOffset::new(at)) {
                Ok(stored) => references(view, &stored.record)?,
                Err(_) => Vec::new(),
            },
            _ => Vec::new(),
        };
        let mut row: Map<String, Value> = row;
        row.insert("references".to_owned(), references.into());
        sheet.row(&Value::Object(row))?;
    }
    sheet.finish()?;
    let missing = places.is_empty().then_some("no such message in the store");
    ended(interrupted, findings.exit(missing))
}

fn is_wanted(record: &Record<'_>, wanted: &str, args: &Args) -> bool {
    args.topic
        .as_ref()
        .is_none_or(|topic| topic == record.topic)
        && commitlog::has_key(record, wanted)
}

/// Where the index says that messages with the key lie.
fn by_index(
    view: &View,
    log: &mut Walk,
    wanted: &str,
    args: &Args,
) -> Result<BTreeSet<u64>, CliError> {
    let topics: BTreeSet<String> = if let Some(topic) = &args.topic {
        BTreeSet::from([topic.clone()])
    } else {
        let queues = view.queues()?.into_iter().chain(view.batch_queues()?);
        let named = queues.map(|(topic, _)| topic);
        named.chain([names::HALF_TOPIC.to_owned()]).collect()
    };
    let mut places = BTreeSet::new();
    for path in view.index_files()? {
        let mut index = IndexView::open(&path)?;
        for topic in &topics {
            for (_, entry) in index.lookup(KeyHash::of_key(topic, wanted))? {
                if let Some(at) = LogOffset::from_wire(entry.log_offset)
                    && let Ok(stored) = log.record_at(at)
                    && is_wanted(&stored.record, wanted, args)
                {
                    places.insert(at.get());
                }
            }
        }
    }
    Ok(places)
}

/// Where the log has messages with the key, and whether Ctrl-C has ended the search.
fn by_log(
    findings: &mut Findings<'_>,
    wanted: &str,
    args: &Args,
) -> Result<(BTreeSet<u64>, bool), CliError> {
    let context = findings.context;
    let watch = Watch::over(&findings.files, &context.output)?;
    let how = Survey {
        trust_bodies: true,
        in_order: false,
    };
    let new = || (BTreeSet::new(), Passed::default());
    let parts = survey(&findings.files, how, new, |(places, passed), item| {
        let bytes = match item {
            Item::Record(stored) => {
                if is_wanted(&stored.record, wanted, args) {
                    places.insert(stored.record.physical_offset.cast_unsigned());
                }
                u64::from(stored.record.size)
            }
            Item::Blank(blank) => u64::from(blank.size),
            Item::Damaged(damage) => damage.until.since(damage.at),
            Item::End { .. } => 0,
        };
        watch.pass(passed, bytes)
    });
    let interrupted = watch.finish(context);
    let places = parts.into_iter().flat_map(|(places, _)| places).collect();
    Ok((places, interrupted))
}

/// What leads to a record: queue entries, index entries, the timer.
fn references(view: &View, record: &Record<'_>) -> Result<Vec<Value>, CliError> {
    let mut found = queue_references(view, record)?;
    index_references(view, record, &mut found)?;
    if record.topic == names::TIMER_TOPIC {
        timer_references(view, record, &mut found)?;
    }
    Ok(found)
}

fn queue_references(view: &View, record: &Record<'_>) -> Result<Vec<Value>, CliError> {
    let mut found = Vec::new();
    let Ok(queue_id) = u32::try_from(record.queue_id) else {
        return Ok(found);
    };
    if let Some(batch) = view
        .batch_queue(record.topic, queue_id)?
        .leading_to(record.physical_offset)?
    {
        found.push(json!({
            "in": "batchconsumequeue",
            "topic": record.topic,
            "queueId": queue_id,
            "cqOffset": batch.first(),
            "until": batch.end(),
        }));
    }
    let property = |name| record.properties.get(name).unwrap_or_default();
    let light = property(names::INNER_MULTI_DISPATCH).split(',').zip(
        property(names::INNER_MULTI_QUEUE_OFFSET)
            .split(',')
            .filter_map(|number| number.parse().ok()),
    );
    let own = (record.topic, queue_id, record.queue_offset);
    let places =
        std::iter::once(own).chain(light.map(|(queue, number): (&str, i64)| (queue, 0, number)));
    for (topic, queue_id, number) in places {
        let Some(offset) = QueueOffset::from_wire(number) else {
            continue;
        };
        if !crate::store::layout::can_be_directory(topic) {
            continue;
        }
        let entry = view.queue(topic, queue_id)?.entry(offset)?;
        if let Some(entry) = entry.filter(|entry| entry.log_offset == record.physical_offset) {
            found.push(json!({
                "in": "consumequeue",
                "topic": topic,
                "queueId": queue_id,
                "cqOffset": number,
                "size": entry.size,
                "tagsCode": entry.tags_code,
            }));
        }
    }
    Ok(found)
}

fn index_references(
    view: &View,
    record: &Record<'_>,
    found: &mut Vec<Value>,
) -> Result<(), CliError> {
    let property = |name| record.properties.get(name);
    let words = property(names::KEYS).unwrap_or_default().split(' ');
    let keys = property(names::UNIQ_KEY).into_iter().chain(words);
    let hashes = keys
        .filter(|key| !key.is_empty())
        .map(|key| (key.to_owned(), KeyHash::of_key(record.topic, key)))
        .chain(
            property(names::TAGS)
                .map(|tags| (format!("T#{tags}"), KeyHash::of_tags(record.topic, tags))),
        );
    let hashes: Vec<(String, KeyHash)> = hashes.collect();
    for path in view.index_files()? {
        let mut index = IndexView::open(&path)?;
        let header = index.header();
        if !(header.begin_log_offset..=header.end_log_offset).contains(&record.physical_offset) {
            continue;
        }
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        for (key, hash) in &hashes {
            for (number, entry) in index.lookup(*hash)? {
                if entry.log_offset == record.physical_offset {
                    found.push(json!({
                        "in": "index",
                        "file": file,
                        "number": number,
                        "key": key,
                    }));
                }
            }
        }
    }
    Ok(())
}

fn timer_references(
    view: &View,
    record: &Record<'_>,
    found: &mut Vec<Value>,
) -> Result<(), CliError> {
    let mut timer = view.timer()?;
    let read_ms = timer.check().map(|check| check.read_ms);
    timer.walk(|at, item| {
        if let crate::store::view::TimerItem::Unit(unit) = item
            && unit.log_offset == record.physical_offset
        {
            found.push(json!({
                "in": "timerlog",
                "pos": at,
                "dueTimestamp": unit.slot_ms(),
                "waits": read_ms.is_none_or(|read| unit.slot_ms() >= read),
            }));
        }
    })?;
    Ok(())
}

/// The message for people: its line, then its fields, then what leads to it.
fn lines(row: &Value, utc: bool) -> String {
    let mut out = vec![fields::message_line(row, utc)];
    let time = |name: &str| show_time(row[name].as_i64().unwrap_or(0), utc);
    let text = |value: &Value| match value {
        Value::String(text) => fields::printable(text),
        other => other.to_string(),
    };
    out.push(format!(
        "  ids         {}  {}",
        text(&row["msgId"]),
        row["uniqKey"].as_str().unwrap_or_default()
    ));
    out.push(format!(
        "  born        {}  {}",
        time("bornTimestamp"),
        text(&row["bornHost"])
    ));
    out.push(format!(
        "  stored      {}  {}",
        time("storeTimestamp"),
        text(&row["storeHost"])
    ));
    out.push(format!(
        "  body        {} B  checksum {}{}",
        row["bodyLength"],
        row["bodyCRC"],
        row["compression"]
            .as_str()
            .map(|name| format!("  {name}"))
            .unwrap_or_default()
    ));
    if let Some(properties) = row["properties"].as_object() {
        for (name, value) in properties {
            out.push(format!(
                "  property    {}={}",
                fields::printable(name),
                text(value)
            ));
        }
    }
    for reference in row["references"].as_array().into_iter().flatten() {
        let place = match reference["in"].as_str().unwrap_or_default() {
            "index" => format!(
                "index {} #{} as {}",
                text(&reference["file"]),
                reference["number"],
                text(&reference["key"])
            ),
            "timerlog" => format!(
                "timerlog {}, {} {}",
                reference["pos"],
                if reference["waits"] == true {
                    "due"
                } else {
                    "was due"
                },
                show_time(reference["dueTimestamp"].as_i64().unwrap_or(0), utc)
            ),
            queue => format!(
                "{queue} {}/{} @{}",
                text(&reference["topic"]),
                reference["queueId"],
                reference["cqOffset"]
            ),
        };
        out.push(format!("  found by    {place}"));
    }
    out.join("\n")
}
