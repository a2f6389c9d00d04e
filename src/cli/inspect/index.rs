//! `rmq inspect index`: the key index, entry by entry or for one key.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Findings, commitlog, existing, fields, store_of};
use crate::base::LogOffset;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Column, Format, Sheet};
use crate::cli::times::show_time;
use crate::message::names;
use crate::message::record::Record;
use crate::store::index::format::{Header, IndexEntry, KeyHash};
use crate::store::layout::{self, SegmentFile};
use crate::store::log::Walk;
use crate::store::log::walk::{Item, Reason};
use crate::store::view::IndexView;
use crate::store::{View, ViewError};

/// List the key index, or find the messages of a key
///
/// Example: rmq inspect index ~/store --key 42
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A store directory, its index directory, or one index file
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Find the messages with this key or unique key; the log is read to tell equal hashes apart
    #[arg(long)]
    key: Option<String>,
    /// With --key: only in this topic [default: every topic of the store]
    #[arg(long)]
    topic: Option<String>,
    /// Stop after this many entries
    #[arg(short = 'n', long = "count", value_name = "N")]
    count: Option<u64>,
    /// Add the message that each entry leads to (always done with --key)
    #[arg(long)]
    resolve: bool,
}

const COLUMNS: &[Column] = &[
    Column::new("kind", "KIND").wide(),
    Column::new("file", "FILE").name(),
    Column::new("number", "ENTRY").right(),
    Column::new("keyHash", "KEY HASH").right(),
    Column::new("physicalOffset", "LOG OFFSET").right(),
    Column::new("seconds", "SECONDS").right(),
    Column::new("previous", "PREVIOUS").right(),
    Column::new("message.topic", "TOPIC"),
    Column::new("message.msgId", "ID"),
    Column::new("reason", "REASON"),
];

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let files = files(&args.path)?;
    let resolve = args.resolve || args.key.is_some();
    let log_files = if resolve {
        log_files(&args.path)?
    } else {
        Vec::new()
    };
    let utc = context.global.utc;
    let line = |row: &Value| line(row, utc);
    let mut listing = Listing {
        sheet: context.output.listing(COLUMNS, &line),
        log: resolve.then(|| Walk::over_files(&log_files)),
        findings: Findings::new(context, log_files),
        names_only: context.output.format() == Some(Format::Name),
        left: args.count.unwrap_or(u64::MAX),
        found: 0,
    };
    match &args.key {
        Some(key) => {
            let topics = match &args.topic {
                Some(topic) => BTreeSet::from([topic.clone()]),
                None => topics(&args.path)?,
            };
            for path in files.iter().rev() {
                listing.key(&mut IndexView::open(path)?, key, &topics)?;
            }
        }
        None => {
            for path in &files {
                listing.file(&mut IndexView::open(path)?)?;
            }
        }
    }
    let Listing {
        sheet,
        findings,
        found,
        ..
    } = listing;
    sheet.finish()?;
    let nothing = args.key.is_some() && found == 0;
    findings.exit(nothing.then_some("no message with this key in the index"))
}

struct Listing<'a> {
    sheet: Sheet<'a>,
    log: Option<Walk>,
    findings: Findings<'a>,
    names_only: bool,
    left: u64,
    found: u64,
}

impl Listing<'_> {
    /// Every entry of a file, after a row for the file itself.
    fn file(&mut self, index: &mut IndexView) -> Result<(), CliError> {
        let name = file_name(index.path());
        if self.left == 0 {
            return Ok(());
        }
        self.sheet.row(&file_row(&name, index))?;
        if self.names_only {
            return Ok(());
        }
        if index.geometry().is_none() {
            let text = "no split into slots and entries explains the entries";
            self.findings
                .add(&format!("{}: {text}", index.path().display()));
            return Ok(());
        }
        let header = index.header();
        for number in 1..=header.last_entry() {
            if self.left == 0 {
                break;
            }
            let Some(entry) = index.entry(number)? else {
                let text = format!(
                    "{}: entry {number} is behind the end",
                    index.path().display()
                );
                self.findings.add(&text);
                break;
            };
            self.left -= 1;
            let mut row = entry_row(&name, number, &entry, &header);
            if let Some(log) = &mut self.log {
                match record_of(log, &entry, |record| fields::message(record, false)) {
                    Ok(message) => row["message"] = Value::Object(message),
                    Err(reason) => {
                        let place = self.findings.place(entry.log_offset.cast_unsigned());
                        self.findings
                            .add(&format!("{name} entry {number}: {place}: {reason}"));
                        row["reason"] = reason.to_string().into();
                    }
                }
            }
            self.sheet.row(&row)?;
        }
        Ok(())
    }

    /// The entries of a file that lead to messages with `key`, newest first.
    fn key(
        &mut self,
        index: &mut IndexView,
        key: &str,
        topics: &BTreeSet<String>,
    ) -> Result<(), CliError> {
        let name = file_name(index.path());
        let header = index.header();
        for topic in topics {
            for (number, entry) in index.lookup(KeyHash::of_key(topic, key))? {
                let Some(log) = self.log.as_mut().filter(|_| self.left > 0) else {
                    return Ok(());
                };
                let mut row = entry_row(&name, number, &entry, &header);
                let message = record_of(log, &entry, |record| {
                    let same = record.topic == topic && commitlog::has_key(record, key);
                    same.then(|| fields::message(record, false))
                });
                match message {
                    Ok(Some(message)) => row["message"] = Value::Object(message),
                    // Another key with the same hash.
                    Ok(None) => continue,
                    Err(reason) => {
                        let place = self.findings.place(entry.log_offset.cast_unsigned());
                        self.findings
                            .add(&format!("{name} entry {number}: {place}: {reason}"));
                        row["reason"] = reason.to_string().into();
                    }
                }
                self.left -= 1;
                self.found += 1;
                self.sheet.row(&row)?;
            }
        }
        Ok(())
    }
}

fn record_of<T>(
    log: &mut Walk,
    entry: &IndexEntry,
    make: impl FnOnce(&Record<'_>) -> T,
) -> Result<T, Reason> {
    let at = LogOffset::from_wire(entry.log_offset).ok_or(Reason::Missing)?;
    log.record_at(at).map(|stored| make(&stored.record))
}

fn file_row(name: &str, index: &IndexView) -> Value {
    let header = index.header();
    let geometry = index.geometry();
    json!({
        "kind": "file",
        "file": name,
        "fileSize": index.file_bytes(),
        "slots": geometry.map(|geometry| geometry.slots),
        "maxEntries": geometry.map(|geometry| geometry.entries),
        "header": {
            "beginTimestamp": header.begin_timestamp_ms,
            "endTimestamp": header.end_timestamp_ms,
            "beginPhyOffset": header.begin_log_offset,
            "endPhyOffset": header.end_log_offset,
            "hashSlotCount": header.slots_used,
            "indexCount": header.next_entry,
        },
    })
}

fn entry_row(name: &str, number: u32, entry: &IndexEntry, header: &Header) -> Value {
    let after_ms = i64::from(entry.seconds).saturating_mul(1000);
    json!({
        "kind": "entry",
        "file": name,
        "number": number,
        "keyHash": entry.key_hash,
        "physicalOffset": entry.log_offset,
        "seconds": entry.seconds,
        "previous": entry.previous,
        "notBefore": header.begin_timestamp_ms.saturating_add(after_ms),
    })
}

fn line(row: &Value, utc: bool) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    let time = |value: &Value| show_time(value.as_i64().unwrap_or(0), utc);
    if row["kind"] == "file" {
        let header = &row["header"];
        return format!(
            "{}  {} entries, {} slots used, log {} to {}, {} to {}",
            text("file"),
            header["indexCount"]
                .as_i64()
                .unwrap_or(0)
                .saturating_sub(1)
                .max(0),
            header["hashSlotCount"],
            header["beginPhyOffset"],
            header["endPhyOffset"],
            time(&header["beginTimestamp"]),
            time(&header["endTimestamp"]),
        );
    }
    let place = format!("{} #{}", text("file"), row["number"]);
    if let Some(reason) = row["reason"].as_str() {
        return format!("{place}  log {}  DAMAGED {reason}", row["physicalOffset"]);
    }
    if row["message"].is_object() {
        return format!("{place}  {}", fields::message_line(&row["message"], utc));
    }
    format!(
        "{place}  hash {}  log {}  {}  after #{}",
        row["keyHash"],
        row["physicalOffset"],
        time(&row["notBefore"]),
        row["previous"]
    )
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The index files that `path` stands for.
fn files(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    if existing(path)?.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let own = layout::index_files(path).map_err(|error| super::unreadable(path, error))?;
    if !own.is_empty() {
        return Ok(own);
    }
    let view = View::open(path)?;
    let files = view.index_files()?;
    if files.is_empty() && !view.layout().index().exists() {
        return Err(ViewError::Absent {
            path: view.layout().index(),
        }
        .into());
    }
    Ok(files)
}

fn log_files(path: &Path) -> Result<Vec<SegmentFile>, CliError> {
    Ok(store_of(path, "index")?.log_files()?)
}

/// The topics a key may have been filed under: those with queues, or, where the queues are gone, those in the log.
fn topics(path: &Path) -> Result<BTreeSet<String>, CliError> {
    let view = store_of(path, "index")?;
    let mut topics: BTreeSet<String> = view.queues()?.into_iter().map(|(topic, _)| topic).collect();
    if topics.is_empty() {
        let mut walk = view.log()?;
        while let Some(item) = walk.next_item() {
            if let Item::Record(stored) = item
                && stored.record.properties.get(names::UNIQ_KEY).is_some()
            {
                topics.insert(stored.record.topic.to_owned());
            }
        }
    }
    Ok(topics)
}
