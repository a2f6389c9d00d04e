//! Judges a store as a whole: do the log, the consume queues and the key index tell the same story?
//!
//! Readers yield what they find; this module says what is wrong with it. It looks in both directions, from
//! every queue and index entry to its record and from every record to its entries. A store that is being
//! written to lags behind itself by nature, so only a stopped one can be judged.
//!
//! Absent on purpose: repair; and the files of light features (`consumequeue_ext`, timers), whose records are only checked as records.

use std::collections::HashMap;

use super::dispatch::batch_place;
use super::layout::can_be_directory;
use super::log::{Item, Walk, walk::Reason};
use super::queue::{BatchEntry, Entry};
use super::view::{BatchQueueView, IndexView, QueueView};
use super::{View, ViewError};
use crate::base::{LogOffset, QueueOffset};
use crate::message::record::Record;
use crate::message::{names, sysflag, tags_code};
use crate::store::index::format::{IndexEntry, KeyHash, MessageKeys};

/// How many queues are kept open at a time.
const OPEN_QUEUES_MAX: usize = 256;

/// Something that is wrong with a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A stretch of the log is no whole record.
    #[error("log {at} to {until}: {reason}")]
    Log {
        /// Its first byte.
        at: LogOffset,
        /// The byte behind it.
        until: LogOffset,
        /// What is wrong.
        reason: Reason,
    },
    /// A queue entry does not lead to its record.
    #[error("queue {topic}/{queue_id} @{number}: {problem}")]
    QueueEntry {
        /// The topic.
        topic: String,
        /// The queue.
        queue_id: u32,
        /// The entry.
        number: QueueOffset,
        /// What is wrong.
        problem: Problem,
    },
    /// A record has no entry in its queue, or another one.
    #[error("log {at}: not in queue {topic}/{queue_id} @{number}")]
    NotQueued {
        /// The record.
        at: LogOffset,
        /// Its topic.
        topic: String,
        /// Its queue.
        queue_id: i32,
        /// Its number in the queue.
        number: i64,
    },
    /// An index entry does not lead to a record with such a key.
    #[error("index {file} entry {number}: {problem}")]
    IndexEntry {
        /// The file's name.
        file: String,
        /// The entry.
        number: u32,
        /// What is wrong.
        problem: Problem,
    },
    /// An index file that makes no sense.
    #[error("index {file}: no split into slots and entries explains its entries")]
    IndexFile {
        /// The file's name.
        file: String,
    },
    /// A record cannot be found by all of its keys.
    #[error("log {at}: {missing} of its keys are not in the index")]
    NotFiled {
        /// The record.
        at: LogOffset,
        /// How many keys.
        missing: usize,
    },
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no record where it leads.
    #[error("no record at log {at}: {reason}")]
    NoRecord {
        /// Where it leads.
        at: i64,
        /// What is there.
        reason: Reason,
    },
    /// There is a record, but another one.
    #[error("the record at log {at} is another one: its {part} differs")]
    OtherRecord {
        /// Where it leads.
        at: i64,
        /// What differs.
        part: &'static str,
    },
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Whole records.
    pub records: u64,
    /// Queue entries, fillers not counted.
    pub queue_entries: u64,
    /// Index entries.
    pub index_entries: u64,
}

/// Looks at everything in a stopped store and hands each finding to `found`.
pub fn verify(view: &View, found: &mut dyn FnMut(Finding)) -> Result<Looked, ViewError> {
    let mut looked = Looked::default();
    let mut indexes = Vec::new();
    for path in view.index_files()? {
        indexes.push(IndexView::open(&path)?);
    }
    // Entries for what retention has deleted are no fault.
    let log_begin = view.log_files()?.first().map_or(0, |file| file.base);
    looked.records = records(view, &mut indexes, found)?;
    looked.queue_entries = queue_entries(view, log_begin, found)?;
    looked.queue_entries += batch_entries(view, log_begin, found)?;
    let mut log = view.log()?;
    for index in &mut indexes {
        looked.index_entries += index_entries(index, &mut log, log_begin, found)?;
    }
    Ok(looked)
}

/// From every record to its entries.
fn records(
    view: &View,
    indexes: &mut [IndexView],
    found: &mut dyn FnMut(Finding),
) -> Result<u64, ViewError> {
    let mut queues = HashMap::new();
    let mut walk = view.log()?;
    let mut count = 0;
    while let Some(item) = walk.next_item() {
        match item {
            Item::Record(stored) => {
                count += 1;
                let record = &stored.record;
                if !is_queued(record, view, &mut queues)? {
                    found(Finding::NotQueued {
                        at: position(record),
                        topic: record.topic.to_owned(),
                        queue_id: record.queue_id,
                        number: record.queue_offset,
                    });
                }
                let missing = unfiled(record, indexes)?;
                if missing > 0 {
                    let at = position(record);
                    found(Finding::NotFiled { at, missing });
                }
            }
            Item::Damaged(damage) => found(Finding::Log {
                at: damage.at,
                until: damage.until,
                reason: damage.reason,
            }),
            Item::Blank(_) | Item::End { .. } => {}
        }
    }
    Ok(count)
}

fn position(record: &Record<'_>) -> LogOffset {
    LogOffset::from_wire(record.physical_offset).unwrap_or_default()
}

fn is_queued(
    record: &Record<'_>,
    view: &View,
    queues: &mut HashMap<(String, u32), QueueView>,
) -> Result<bool, ViewError> {
    let transaction = sysflag::transaction(record.sys_flag);
    let visible = matches!(transaction, 0 | sysflag::TRANSACTION_COMMIT);
    if visible && !can_be_directory(record.topic) {
        return Ok(false);
    }
    if !visible {
        return Ok(true);
    }
    let batch_queues = view.layout().batch_consume_queues();
    if batch_queues.join(record.topic).exists() {
        return is_in_batch_queue(record, view);
    }
    let (Ok(queue_id), Some(number)) = (
        u32::try_from(record.queue_id),
        QueueOffset::from_wire(record.queue_offset),
    ) else {
        return Ok(false);
    };
    if queues.len() >= OPEN_QUEUES_MAX {
        queues.clear();
    }
    let key = (record.topic.to_owned(), queue_id);
    let queue = match queues.entry(key) {
        std::collections::hash_map::Entry::Occupied(open) => open.into_mut(),
        std::collections::hash_map::Entry::Vacant(place) => {
            place.insert(view.queue(record.topic, queue_id)?)
        }
    };
    let entry = queue.entry(number)?;
    Ok(entry.is_some_and(|entry| {
        entry.log_offset == record.physical_offset
            && i64::from(entry.size) == i64::from(record.size)
    }))
}

/// Whether a record of a topic with batch queues is in its queue.
fn is_in_batch_queue(record: &Record<'_>, view: &View) -> Result<bool, ViewError> {
    let (Ok(queue_id), Some(place)) = (u32::try_from(record.queue_id), batch_place(record)) else {
        return Ok(false);
    };
    let mut queue = view.batch_queue(record.topic, queue_id)?;
    let batch = queue.leading_to(record.physical_offset)?;
    Ok(batch.is_some_and(|batch| {
        is_place(&batch, place) && i64::from(batch.entry.size) == i64::from(record.size)
    }))
}

fn is_place(batch: &BatchEntry, (base, count): (u64, u16)) -> bool {
    batch.first() == base && batch.end() == base.saturating_add(count.into())
}

fn keys<'a>(record: &Record<'a>) -> MessageKeys<'a> {
    MessageKeys {
        topic: record.topic,
        unique: record.properties.get(names::UNIQ_KEY),
        words: record.properties.get(names::KEYS),
        tags: record.properties.get(names::TAGS),
        sys_flag: record.sys_flag,
    }
}

/// How many of a record's keys do not lead to it.
fn unfiled(record: &Record<'_>, indexes: &mut [IndexView]) -> Result<usize, ViewError> {
    let mut missing = 0;
    for hash in keys(record).hashes() {
        let mut filed = false;
        for index in indexes.iter_mut() {
            let header = index.header();
            let covered = header.begin_log_offset..=header.end_log_offset;
            if covered.contains(&record.physical_offset) {
                let entries = index.lookup(hash)?;
                filed |= entries
                    .iter()
                    .any(|(_, entry)| entry.log_offset == record.physical_offset);
            }
        }
        missing += usize::from(!filed);
    }
    Ok(missing)
}

/// From every queue entry to its record.
fn queue_entries(
    view: &View,
    log_begin: u64,
    found: &mut dyn FnMut(Finding),
) -> Result<u64, ViewError> {
    let mut log = view.log()?;
    let mut count = 0;
    for (topic, queue_id) in view.queues()? {
        let mut queue = view.queue(&topic, queue_id)?;
        while let Some(next) = queue.next_entry() {
            let (number, entry) = next?;
            if entry.is_filler() {
                continue;
            }
            count += 1;
            let deleted = u64::try_from(entry.log_offset).is_ok_and(|at| at < log_begin);
            if deleted {
                continue;
            }
            let place = Place {
                topic: &topic,
                queue_id,
                number,
            };
            if let Some(problem) = queue_problem(&mut log, &place, &entry) {
                found(Finding::QueueEntry {
                    topic: topic.clone(),
                    queue_id,
                    number,
                    problem,
                });
            }
        }
    }
    Ok(count)
}

/// From every entry of a batch queue to its record.
fn batch_entries(
    view: &View,
    log_begin: u64,
    found: &mut dyn FnMut(Finding),
) -> Result<u64, ViewError> {
    let mut log = view.log()?;
    let mut count = 0;
    for (topic, queue_id) in view.batch_queues()? {
        let mut queue: BatchQueueView = view.batch_queue(&topic, queue_id)?;
        while let Some(next) = queue.next_entry() {
            let batch = next?;
            count += 1;
            let deleted = u64::try_from(batch.entry.log_offset).is_ok_and(|at| at < log_begin);
            if deleted {
                continue;
            }
            if let Some(problem) = batch_problem(&mut log, (&topic, queue_id), &batch) {
                found(Finding::QueueEntry {
                    topic: topic.clone(),
                    queue_id,
                    number: QueueOffset::new(batch.first()),
                    problem,
                });
            }
        }
    }
    Ok(count)
}

fn batch_problem(
    log: &mut Walk,
    (topic, queue_id): (&str, u32),
    batch: &BatchEntry,
) -> Option<Problem> {
    let at = batch.entry.log_offset;
    let record = match record_at(log, at) {
        Ok(record) => record,
        Err(problem) => return Some(problem),
    };
    let parts = [
        (
            i64::from(batch.entry.size) == i64::from(record.size),
            "length",
        ),
        (record.topic == topic, "topic"),
        (i64::from(record.queue_id) == i64::from(queue_id), "queue"),
        (
            batch_place(&record).is_some_and(|place| is_place(batch, place)),
            "queue offset",
        ),
        (
            batch.store_timestamp_ms == record.store_timestamp,
            "store time",
        ),
    ];
    let differs = parts.iter().find(|(same, _)| !same);
    differs.map(|&(_, part)| Problem::OtherRecord { at, part })
}

/// A place in a queue.
struct Place<'a> {
    topic: &'a str,
    queue_id: u32,
    number: QueueOffset,
}

fn queue_problem(log: &mut Walk, place: &Place<'_>, entry: &Entry) -> Option<Problem> {
    let at = entry.log_offset;
    let record = match record_at(log, at) {
        Ok(record) => record,
        Err(problem) => return Some(problem),
    };
    let other = |part| Some(Problem::OtherRecord { at, part });
    if i64::from(entry.size) != i64::from(record.size) {
        return other("length");
    }
    // A light queue shares its records with the topic they were sent to, under numbers of its own.
    let queues = record.properties.get(names::INNER_MULTI_DISPATCH);
    if queues.is_some_and(|queues| queues.split(',').any(|queue| queue == place.topic)) {
        return None;
    }
    if record.topic != place.topic {
        return other("topic");
    }
    if i64::from(record.queue_id) != i64::from(place.queue_id) {
        return other("queue");
    }
    if record.queue_offset != place.number.to_wire() {
        return other("queue offset");
    }
    // In the delay topic it is a time, and numbers no hash can have are addresses of extensions.
    let is_hash = place.topic != names::SCHEDULE_TOPIC && i32::try_from(entry.tags_code).is_ok();
    let tags = record.properties.get(names::TAGS);
    if is_hash && entry.tags_code != tags_code(tags) {
        return other("tags");
    }
    None
}

fn record_at(log: &mut Walk, at: i64) -> Result<Record<'_>, Problem> {
    let no_record = |reason| Problem::NoRecord { at, reason };
    let position = LogOffset::from_wire(at).ok_or_else(|| no_record(Reason::Missing))?;
    match log.record_at(position) {
        Ok(stored) => Ok(stored.record),
        Err(reason) => Err(no_record(reason)),
    }
}

/// From every index entry to its record.
fn index_entries(
    index: &mut IndexView,
    log: &mut Walk,
    log_begin: u64,
    found: &mut dyn FnMut(Finding),
) -> Result<u64, ViewError> {
    let name = index.path().file_name().unwrap_or_default();
    let file = name.to_string_lossy().into_owned();
    if index.geometry().is_none() {
        found(Finding::IndexFile { file });
        return Ok(0);
    }
    let last = index.header().last_entry();
    for number in 1..=last {
        let entry = index.entry(number)?.unwrap_or_default();
        let deleted = u64::try_from(entry.log_offset).is_ok_and(|at| at < log_begin);
        if !deleted && let Some(problem) = index_problem(log, &entry) {
            let file = file.clone();
            found(Finding::IndexEntry {
                file,
                number,
                problem,
            });
        }
    }
    Ok(last.into())
}

fn index_problem(log: &mut Walk, entry: &IndexEntry) -> Option<Problem> {
    let at = entry.log_offset;
    match record_at(log, at) {
        Err(problem) => Some(problem),
        Ok(record) => {
            let mut hashes = keys(&record).hashes().map(KeyHash::get);
            let part = "keys";
            (!hashes.any(|hash| hash == entry.key_hash))
                .then_some(Problem::OtherRecord { at, part })
        }
    }
}
