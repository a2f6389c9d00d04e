//! Judges a store as a whole: do the log, the consume queues and the key index tell the same story?
//!
//! Readers yield what they find; this module says what is wrong with it. It looks in both directions, from every
//! queue and index entry to its record and from every record to its entries. A sound store is read once, front to back:
//! entries come in the order of the log, so walking log, queues and index side by side settles almost all of them. Only
//! what does not fit is looked up one by one.
//!
//! Memory does not grow with the store, but for a few numbers a queue.
//!
//! A store that is being written to lags behind itself by nature; told so ([`Verify::live`]), it is not called damaged
//! for it. Messages of a topic that was deleted, or deleted and made again, stay in the log without a place in a queue;
//! they are counted, and nothing is wrong with them.
//!
//! Absent on purpose: repair ([`super::repair`]), and the files of light features (`consumequeue_ext`, compaction).

mod batches;
mod index;
mod queues;
mod timer;
mod twice;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::log::{Item, Walk, walk::Reason};
use super::view::{IndexView, QueueView};
use super::{View, ViewError};
use crate::base::{LogOffset, QueueOffset};
use crate::message::record::Record;
use crate::store::checkpoint::Checkpoint;
use crate::store::index::format::MessageKeys;
use index::Filed;
use queues::Queued;
use twice::Twice;

/// How often the caller hears how far the walk has got.
const REPORT_BYTES: u64 = 1 << 20;

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
        /// Whether nothing whole follows in the same file.
        is_tail: bool,
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
    #[error("index {file}: {problem}")]
    IndexFile {
        /// The file's name.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// A record cannot be found by all of its keys.
    #[error("log {at}: {missing} of its keys are not in the index")]
    NotFiled {
        /// The record.
        at: LogOffset,
        /// How many keys.
        missing: usize,
    },
    /// There are messages with keys, and no index at all.
    #[error("there is no index: {records} messages are not found by their keys")]
    NoIndex {
        /// How many messages.
        records: u64,
    },
    /// The checkpoint vouches for more than there is.
    #[error("checkpoint {field} is {value}, the log ends at {limit}")]
    Checkpoint {
        /// Apache's name of the number.
        field: &'static str,
        /// What it says.
        value: i64,
        /// What it may say at most.
        limit: i64,
    },
    /// A slot of the timer does not lead to as many messages as it counts.
    #[error("timer slot of {slot_ms}: {problem}")]
    Timer {
        /// The slot's time, ms since 1970.
        slot_ms: i64,
        /// What is wrong.
        problem: String,
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
    /// It leads to where the log has not got yet.
    #[error("points past the log, to {at}")]
    PastLog {
        /// Where it leads.
        at: i64,
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
    /// Bytes of the log.
    pub bytes: u64,
    /// Queues with a directory.
    pub queues: u64,
    /// Queue entries, fillers not counted.
    pub queue_entries: u64,
    /// Index entries.
    pub index_entries: u64,
    /// Slots of the timer with messages.
    pub timer_slots: u64,
    /// The first position of the log.
    pub log_begin: u64,
    /// Behind the last whole record or filler.
    pub log_end: u64,
    /// Messages without a place because their topic was deleted, or deleted and made again.
    pub of_deleted_topics: u64,
    /// Places of messages that a repair found lost, taken by what readers pass over.
    pub places_of_lost: u64,
    /// Messages that a running broker has not given their place yet.
    pub behind: u64,
    /// Messages stored more than once under one unique key, in topics where that means that they were sent twice.
    pub stored_twice: u64,
    /// Where the first of these lies.
    pub first_twice_at: Option<u64>,
    /// The caller has ended it.
    pub stopped: bool,
}

/// What a caller hears while a store is looked at.
#[derive(Debug)]
pub enum Event {
    /// Something is wrong.
    Found(Finding),
    /// The walk got on by so many bytes of the log.
    Passed(u64),
}

/// How closely a store is looked at.
#[derive(Clone, Debug, Default)]
pub struct Verify {
    /// Bodies are not compared with their checksums, and of the index only the heads of its files are read.
    pub fast: bool,
    /// A broker is writing to it.
    pub live: bool,
    /// The topics that are configured; `None` when nobody knows. A topic that is not among them was deleted.
    pub topics: Option<BTreeSet<String>>,
}

/// Looks at everything in a stopped store and hands each finding to `found`.
pub fn verify(view: &View, found: &mut dyn FnMut(Finding)) -> Result<Looked, ViewError> {
    Verify::default().run(view, &mut |event| {
        if let Event::Found(finding) = event {
            found(finding);
        }
        ControlFlow::Continue(())
    })
}

/// Passes findings on, and remembers whether the caller has had enough.
struct Sink<'a> {
    each: &'a mut dyn FnMut(Event) -> ControlFlow<()>,
    stopped: bool,
}

impl Sink<'_> {
    fn found(&mut self, finding: Finding) {
        self.stopped |= (self.each)(Event::Found(finding)).is_break();
    }

    fn passed(&mut self, bytes: u64) {
        self.stopped |= (self.each)(Event::Passed(bytes)).is_break();
    }
}

impl Verify {
    /// Looks at everything and tells `each` about it; a break ends it.
    pub fn run(
        &self,
        view: &View,
        each: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Looked, ViewError> {
        let mut sink = Sink {
            each,
            stopped: false,
        };
        let mut looked = Looked::default();
        let files = view.log_files()?;
        // Entries for what retention has deleted are no fault.
        looked.log_begin = files.first().map_or(0, |file| file.base);
        looked.log_end = looked.log_begin;
        let mut in_queues = Queued::new(view, self, looked.log_begin);
        let mut in_index = Filed::open(view, self, looked.log_begin)?;
        let mut twice = (!self.fast).then(Twice::default);
        let mut probe = Walk::over_files(&files).trusting_bodies(self.fast);
        let mut walk = Walk::over_files(&files).trusting_bodies(self.fast);
        let mut newest_ms = 0;
        let mut unreported = 0;
        let mut after_damage = false;
        while !sink.stopped
            && let Some(item) = walk.next_item()
        {
            match item {
                Item::Record(stored) => {
                    let record = &stored.record;
                    // What a recovery of Apache's cut off stays in the file behind the new end.
                    if after_damage && record.store_timestamp < newest_ms {
                        break;
                    }
                    after_damage = false;
                    newest_ms = newest_ms.max(record.store_timestamp);
                    looked.records += 1;
                    looked.log_end = position(record).get() + u64::from(record.size);
                    unreported += u64::from(record.size);
                    in_queues.record(record, &mut probe, &mut looked, &mut sink)?;
                    in_index.record(record, &mut probe, &mut sink)?;
                    if let Some(twice) = &mut twice
                        && twice.is_again(record, &mut in_index, &mut probe)?
                    {
                        looked.stored_twice += 1;
                        looked.first_twice_at.get_or_insert(position(record).get());
                    }
                }
                Item::Damaged(damage) => {
                    after_damage = true;
                    // A running broker is just writing there, or has deleted the file since it was listed.
                    let live_tail = self.live && damage.last_in_file;
                    if !live_tail {
                        sink.found(Finding::Log {
                            at: damage.at,
                            until: damage.until,
                            is_tail: damage.last_in_file,
                            reason: damage.reason,
                        });
                    }
                }
                Item::Blank(blank) => {
                    looked.log_end = blank.at.get() + u64::from(blank.size);
                    unreported += u64::from(blank.size);
                }
                Item::End { .. } => {}
            }
            if unreported >= REPORT_BYTES {
                looked.bytes += unreported;
                sink.passed(std::mem::take(&mut unreported));
            }
        }
        looked.bytes += unreported;
        sink.passed(unreported);
        in_queues.finish(&mut probe, &mut looked, &mut sink)?;
        let known_end = (!self.live).then_some(looked.log_end);
        batches::follow_all(view, &mut probe, &mut looked, known_end, &mut sink)?;
        in_index.finish(&mut probe, &mut looked, &mut sink)?;
        if !sink.stopped && !self.live {
            checkpoint(view.checkpoint()?, &looked, newest_ms, &mut sink);
            timer::check(view, &mut looked, &mut sink)?;
        }
        looked.stopped = sink.stopped;
        Ok(looked)
    }
}

/// The checkpoint may say less than there is, never more: recovery would not look where it must.
fn checkpoint(
    checkpoint: Option<Checkpoint>,
    looked: &Looked,
    newest_ms: i64,
    sink: &mut Sink<'_>,
) {
    let Some(checkpoint) = checkpoint else { return };
    let end = i64::try_from(looked.log_end).unwrap_or(i64::MAX);
    let positions = [
        ("logicsPhysicalOffset", checkpoint.queue_log_offset),
        ("confirmPhyOffset", checkpoint.confirm_offset),
    ];
    let times = [
        ("physicMsgTimestamp", checkpoint.log_timestamp_ms),
        ("logicsMsgTimestamp", checkpoint.queue_timestamp_ms),
        ("indexMsgTimestamp", checkpoint.index_timestamp_ms),
    ];
    let bounded = positions
        .map(|(field, value)| (field, value, end))
        .into_iter()
        .chain(times.map(|(field, value)| (field, value, newest_ms)));
    for (field, value, limit) in bounded {
        if value > limit {
            sink.found(Finding::Checkpoint {
                field,
                value,
                limit,
            });
        }
    }
}

fn position(record: &Record<'_>) -> LogOffset {
    LogOffset::from_wire(record.physical_offset).unwrap_or_default()
}

fn keys<'a>(record: &Record<'a>) -> MessageKeys<'a> {
    MessageKeys::of(record.topic, record.properties, record.sys_flag)
}

fn record_at(log: &mut Walk, at: i64, log_end: Option<u64>) -> Result<Record<'_>, Problem> {
    let no_record = |reason| Problem::NoRecord { at, reason };
    let position = LogOffset::from_wire(at).ok_or_else(|| no_record(Reason::Missing))?;
    if log_end.is_some_and(|end| position.get() >= end) {
        return Err(Problem::PastLog { at });
    }
    match log.record_at(position) {
        Ok(stored) => Ok(stored.record),
        Err(reason) => Err(no_record(reason)),
    }
}

/// The file name of an index file.
fn name_of(index: &IndexView) -> String {
    let name = index.path().file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The next entry of a queue, if the number is that of a place with an entry at all.
fn entry_at(
    queue: &mut QueueView,
    number: u64,
) -> Result<Option<crate::store::queue::Entry>, ViewError> {
    queue.entry(QueueOffset::new(number))
}
