//! Consume queues: for every queue of a topic, where its messages lie in the log.
//!
//! New entries stay in memory ([`Queue::publish`]) until the keeper writes them to the files in batches; readers see
//! memory and files as one sequence ([`places`]). Only the log's writer, under its lock, gives out offsets and publishes.
//!
//! There are two kinds. In a simple queue an entry's place is the offset of its message. In a batch queue
//! (`queue.type=BatchCQ`) an entry stands for a record of one or more messages and says which offsets those have
//! ([`batch`]).
//!
//! Lock order: a queue's memory, then its list of files; both are leaves for everyone else.

pub mod batch;
pub(crate) mod due;
pub mod entry;
pub(crate) mod files;
pub(crate) mod places;
pub(crate) mod probe;
pub(crate) mod table;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use batch::{BATCH_ENTRY_BYTES, BatchEntry};
pub use entry::{ENTRY_BYTES, Entry};

use crate::base::{QueueId, QueueOffset, TopicName};
use due::Flag;
use files::Dirty;
use places::Places;

/// One queue of one topic.
#[derive(Debug)]
pub struct Queue {
    topic: TopicName,
    id: QueueId,
    /// The next offset to give out; moved under the writer's lock only.
    next: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
    kind: Kind,
    /// Set once, when the queue is destroyed.
    gone: AtomicBool,
    /// Whether it is on the list of queues with entries in memory.
    waits: Flag,
    /// Whether it is on the list of queues with files to sync.
    unsynced: Flag,
}

/// The two kinds of queues, with their entries.
#[derive(Debug)]
pub(crate) enum Kind {
    /// One entry for each message, at the place of its offset.
    Simple(Places<Entry>),
    /// One entry for each record; places mean nothing.
    Batch(Places<BatchEntry>),
}

impl Queue {
    pub(crate) fn new(topic: TopicName, id: QueueId, kind: Kind) -> Self {
        let queue = Self {
            topic,
            id,
            next: AtomicU64::new(0),
            min: AtomicU64::new(0),
            max: AtomicU64::new(0),
            kind,
            gone: AtomicBool::new(false),
            waits: Flag::default(),
            unsynced: Flag::default(),
        };
        let end = match &queue.kind {
            Kind::Simple(places) => places.files().end(),
            Kind::Batch(_) => 0,
        };
        queue.put_end(end);
        queue
    }

    /// Whether its topic was deleted. Messages for a queue that is gone belong to the one that took its place.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// The topic it belongs to.
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Its number within the topic.
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// Whether its entries stand for batches.
    pub fn is_batch(&self) -> bool {
        matches!(self.kind, Kind::Batch(_))
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The directory of its files; it may not be there yet.
    pub(crate) fn dir(&self) -> &Path {
        match &self.kind {
            Kind::Simple(places) => places.files().dir(),
            Kind::Batch(places) => places.files().dir(),
        }
    }

    /// The first offset that can be read.
    pub fn min_offset(&self) -> QueueOffset {
        QueueOffset::new(self.min.load(Ordering::Acquire).min(self.max()))
    }

    /// The offset the next message will get.
    pub fn max_offset(&self) -> QueueOffset {
        QueueOffset::new(self.max())
    }

    pub(crate) fn max(&self) -> u64 {
        self.max.load(Ordering::Acquire)
    }

    /// Gives out the offsets of a record with so many messages; returns the first.
    pub(crate) fn reserve(&self, messages: u16) -> u64 {
        self.next.fetch_add(messages.into(), Ordering::Relaxed)
    }

    pub(crate) fn give_back(&self, messages: u16) {
        self.next.fetch_sub(messages.into(), Ordering::Relaxed);
    }

    /// Makes a record with so many messages visible. `at` follows what was published last. Recovery only.
    fn publish(&self, at: u64, messages: u16, entry: Entry, store_timestamp_ms: i64) {
        self.stage(at, messages, entry, store_timestamp_ms);
        self.reveal(at + u64::from(messages));
    }

    /// The offset that the next record gets, whether what is before can be seen or not.
    pub(crate) fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Moves the end that readers see forward to `max`.
    pub(crate) fn reveal(&self, max: u64) {
        self.max.fetch_max(max, Ordering::AcqRel);
    }

    /// Puts a record's entry in its place, behind the end that readers see. `at` follows what was staged last. Whoever
    /// does not write it out at once uses [`due::Due::stage`].
    pub(crate) fn stage(&self, at: u64, messages: u16, entry: Entry, store_timestamp_ms: i64) {
        match &self.kind {
            Kind::Simple(places) => places.push(entry),
            Kind::Batch(places) => places.push(BatchEntry {
                entry,
                store_timestamp_ms,
                base: i64::try_from(at).unwrap_or(i64::MAX),
                count: i16::try_from(messages).unwrap_or(i16::MAX),
            }),
        }
    }

    /// Copies up to `count` entries from `from` on into `out` (cleared first). Of a simple queue; a batch queue has
    /// none of these.
    pub(crate) fn read(&self, from: u64, count: usize, out: &mut Vec<Entry>) {
        match &self.kind {
            Kind::Simple(places) => places.read(from, count, out),
            Kind::Batch(_) => out.clear(),
        }
    }

    /// Copies up to `count` entries into `out` (cleared first), from the one that holds `offset` on. Of a batch queue.
    pub(crate) fn read_batches(&self, offset: u64, count: usize, out: &mut Vec<BatchEntry>) {
        match &self.kind {
            Kind::Simple(_) => out.clear(),
            Kind::Batch(places) => places.read(place_of(places, offset), count, out),
        }
    }

    /// The entry of the message at one offset.
    pub(crate) fn entry(&self, at: u64) -> Option<Entry> {
        match &self.kind {
            Kind::Simple(places) => places.entry(at),
            Kind::Batch(places) => {
                let batch = places.entry(place_of(places, at))?;
                (batch.first()..batch.end())
                    .contains(&at)
                    .then_some(batch.entry)
            }
        }
    }

    /// The offset of the first message of the record that holds `at`; `at` itself in a simple queue.
    pub(crate) fn base_of(&self, at: u64) -> u64 {
        match &self.kind {
            Kind::Simple(_) => at,
            Kind::Batch(places) => {
                let batch = places.entry(place_of(places, at));
                batch.map_or(at, |batch| batch.first().min(at))
            }
        }
    }

    /// Writes what waits in memory to the files.
    pub(crate) fn write_out(&self) -> io::Result<()> {
        // Before looking: what is published from now on puts the queue on the list again.
        self.waits.lower();
        match &self.kind {
            Kind::Simple(places) => places.write_out(&self.gone),
            Kind::Batch(places) => places.write_out(&self.gone),
        }
    }

    /// Makes what was written out durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match &self.kind {
            Kind::Simple(places) => places.files().sync(),
            Kind::Batch(places) => places.files().sync(),
        }
    }

    /// Whether something that was written out is not durable yet.
    pub(crate) fn is_dirty(&self) -> bool {
        match &self.kind {
            Kind::Simple(places) => places.files().is_dirty(),
            Kind::Batch(places) => places.files().is_dirty(),
        }
    }

    /// Takes what is not durable yet, for a caller who syncs it by other means.
    pub(crate) fn take_dirty(&self) -> Dirty {
        match &self.kind {
            Kind::Simple(places) => places.files().take_dirty(),
            Kind::Batch(places) => places.files().take_dirty(),
        }
    }

    /// Gives back what could not be synced.
    pub(crate) fn give_back_dirty(&self, dirty: Dirty) {
        match &self.kind {
            Kind::Simple(places) => places.files().give_back(dirty),
            Kind::Batch(places) => places.files().give_back(dirty),
        }
    }

    /// Unmaps the files that nobody has read since this was called last.
    pub(crate) fn let_go_idle(&self) {
        match &self.kind {
            Kind::Simple(places) => places.files().let_go_idle(),
            Kind::Batch(places) => places.files().let_go_idle(),
        }
    }

    /// Whether it has not a single entry, neither in memory nor in files.
    pub(crate) fn is_without_entries(&self) -> bool {
        match &self.kind {
            Kind::Simple(places) => places.is_empty(),
            Kind::Batch(places) => places.is_empty(),
        }
    }

    /// Says where the queue ends: behind the valid entries of its files, `places` of them. Nothing is in memory then.
    /// Recovery only.
    pub(crate) fn set_end(&self, end: u64) {
        match &self.kind {
            Kind::Simple(places) => {
                places.files().set_end(end);
                places.set_end(end);
                self.put_end(end);
            }
            Kind::Batch(places) => {
                places.files().set_end(end);
                places.set_end(end);
                let last = end.checked_sub(1).and_then(|last| places.entry(last));
                self.put_end(last.map_or(0, |last| last.end()));
            }
        }
    }

    fn put_end(&self, end: u64) {
        self.next.store(end, Ordering::Release);
        self.max.store(end, Ordering::Release);
    }

    /// Cuts everything at and behind the offset `end` off. Recovery only.
    pub(crate) fn truncate(&self, end: u64) -> io::Result<()> {
        self.write_out()?;
        if end >= self.max() {
            return Ok(());
        }
        match &self.kind {
            Kind::Simple(places) => {
                places.truncate(end)?;
                self.put_end(end);
            }
            Kind::Batch(places) => {
                let bounds = (places.files().start(), places.end());
                let place = places.first_where(bounds, |batch| batch.end() > end);
                places.truncate(place)?;
                self.set_end(place);
            }
        }
        Ok(())
    }

    /// Appends in recovery: offset and visibility in one.
    pub(crate) fn restore(&self, entry: Entry) {
        let at = self.reserve(1);
        self.publish(at, 1, entry, 0);
    }

    /// Appends to a batch queue in recovery. There may be a gap in front of it, where messages were lost.
    pub(crate) fn restore_batch(&self, batch: BatchEntry) {
        self.stage_batch(batch);
        self.put_end(self.next());
    }

    /// The same behind the end that readers see.
    pub(crate) fn stage_batch(&self, batch: BatchEntry) {
        if let Kind::Batch(places) = &self.kind {
            places.push(batch);
            self.next.store(batch.end(), Ordering::Release);
        }
    }

    /// Lets an empty queue begin at `start`: fillers stand before it in its first file. Recovery only.
    pub(crate) fn begin_at(&self, start: u64) -> io::Result<()> {
        if let Kind::Simple(places) = &self.kind {
            places.files().begin_at(start)?;
            self.set_end(start);
        }
        Ok(())
    }

    /// Finds the first entry whose record is still in the log and makes it the queue's min offset.
    pub(crate) fn raise_min(&self, log_min: u64) {
        let readable = |entry: &Entry| {
            entry.is_plausible() && u64::try_from(entry.log_offset).is_ok_and(|at| at >= log_min)
        };
        let start = match &self.kind {
            Kind::Simple(places) => places.files().start(),
            Kind::Batch(_) => 0,
        };
        // Mostly nothing was deleted, and the first entry tells so.
        let is_all = self.entry(start).as_ref().is_some_and(readable);
        let min = if is_all {
            start
        } else {
            self.first_where(start, readable)
        };
        self.min.store(min, Ordering::Release);
    }

    /// The first offset from `low` on for whose entry `past` holds, if it holds for all behind that one; else the end.
    /// Fillers are not asked: they stand for nothing, wherever they are.
    pub(crate) fn first_where(&self, mut low: u64, past: impl Fn(&Entry) -> bool) -> u64 {
        let mut high = self.max();
        let places = match &self.kind {
            Kind::Simple(places) => places,
            Kind::Batch(places) => {
                let bounds = (places.files().start(), places.end());
                let place = places.first_where(bounds, |batch| past(&batch.entry));
                let first = places.entry(place).map_or(high, |batch| batch.first());
                return first.clamp(low.min(high), high);
            }
        };
        while low < high {
            let middle = low + (high - low) / 2;
            let asked = (low..=middle).rev().find_map(|at| {
                Some((at, places.entry(at)?)).filter(|(_, entry)| !entry.is_filler())
            });
            match asked {
                Some((at, entry)) if past(&entry) => high = at,
                _ => low = middle + 1,
            }
        }
        low
    }

    /// Deletes the files that hold only entries below the min offset. Returns how many.
    pub(crate) fn remove_old_files(&self) -> io::Result<usize> {
        let min = self.min_offset().get();
        match &self.kind {
            Kind::Simple(places) => places.files().remove_before(min),
            Kind::Batch(places) => {
                let bounds = (places.files().start(), places.end());
                let first = places.first_where(bounds, |batch| batch.end() > min);
                places.files().remove_before(first)
            }
        }
    }

    /// Forgets and deletes all files. For good: whoever still holds the queue finds it empty and [gone](Self::is_gone).
    pub(crate) fn destroy(&self) -> io::Result<()> {
        self.put_end(0);
        self.min.store(0, Ordering::Release);
        match &self.kind {
            Kind::Simple(places) => places.destroy(&self.gone),
            Kind::Batch(places) => places.destroy(&self.gone),
        }
    }
}

/// The place of the entry that holds `offset`, or of the one before it.
fn place_of(places: &Places<BatchEntry>, offset: u64) -> u64 {
    let bounds = (places.files().start(), places.end());
    let behind = places.first_where(bounds, |batch| batch.first() > offset);
    behind.saturating_sub(1).max(bounds.0)
}
