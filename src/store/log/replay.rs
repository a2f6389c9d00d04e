//! The walk over the log that fills queues and index again: each record gets the place it had.
//!
//! A record's queue offset is covered by no checksum, so it is believed only as far as the log allows: a queue cannot
//! have more messages than fit into the log before the record, and what a queue has is taken away only by a topic that
//! was made again. A message that is not believed stays in the log, and consumers do not see it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::filing::{self, Keys};
use super::mend::Gap;
use super::recover::Setting;
use super::valid::{PLUGS_MAX, Valid, is_light, valid_queues};
use super::writer::LastRecord;
use super::{Item, Log, Walk};
use crate::base::{LogOffset, QueueId, TopicName};
use crate::message::record::{MIN_BYTES, Record};
use crate::store::dispatch::{TagsCode, batch_place, light_queues, takes_queue_place};
use crate::store::error::StoreError;
use crate::store::index::format::MessageKeys;
use crate::store::index::repair::Trust;
use crate::store::index::writer::IndexWriter;
use crate::store::layout;
use crate::store::queue::files::Files;
use crate::store::queue::places::Unit;
use crate::store::queue::table::QueueTable;
use crate::store::queue::{BatchEntry, Entry, Kind, Queue};
use crate::sys::worker;

/// Queue entries are written out after so many records, so that memory stays small.
const WRITE_OUT_EVERY: u64 = 100_000;

/// One walk over the log from a position to its end.
pub(super) struct Pass<'a> {
    setting: &'a Setting<'a>,
    log: Arc<Log>,
    queues: Arc<QueueTable>,
    /// Opened by the walk.
    pub(super) index: IndexWriter,
    /// The queue of the record before; the next record is often in the same.
    recent: Option<Arc<Queue>>,
    pub(super) start: u64,
    pub(super) log_min: u64,
    /// Whether whole records behind damage count.
    resume: bool,
    pub(super) end: u64,
    pub(super) last: LastRecord,
    pub(super) scanned: u64,
    pub(super) damaged: Vec<Gap>,
    /// The queue, and the first of its entries, that must be there and is not.
    pub(super) missing: Option<(String, QueueId, u64)>,
    /// First records of queues that have others already, until the next record tells whether the queue began anew.
    beginnings: BTreeMap<(String, QueueId), Entry>,
}

impl<'a> Pass<'a> {
    /// `valid` are the queues with what is right of them, if somebody has found that out already.
    pub(super) fn begin(
        setting: &'a Setting<'a>,
        (log, queues): (&Arc<Log>, &Arc<QueueTable>),
        mut valid: Vec<(Arc<Queue>, Valid)>,
        start: u64,
        log_min: u64,
    ) -> Result<Self, StoreError> {
        let resume = !setting.clean || start == log_min;
        if resume || valid.is_empty() {
            let below = if resume { start } else { u64::MAX };
            valid = valid_queues(log, queues, (log_min, below));
        }
        for (queue, valid) in valid {
            let cut = match queue.kind() {
                Kind::Simple(places) => cut(places.files(), &valid),
                Kind::Batch(places) => cut(places.files(), &valid),
            };
            cut.map_err(StoreError::io("cut the queue in", queue.dir()))?;
            queue.set_end(valid.end);
        }
        Ok(Self {
            index: filing::no_index(setting),
            setting,
            log: Arc::clone(log),
            queues: Arc::clone(queues),
            recent: None,
            start,
            log_min,
            resume,
            end: start,
            last: LastRecord::default(),
            scanned: 0,
            damaged: Vec::new(),
            missing: None,
            beginnings: BTreeMap::new(),
        })
    }

    /// Walks and dispatches. False when something before the start is missing, and the start was not the first record.
    pub(super) fn walk(&mut self) -> Result<bool, StoreError> {
        let (setting, log) = (self.setting, Arc::clone(&self.log));
        let trust = Trust {
            below: if self.resume { self.start } else { u64::MAX },
            clean: !self.resume,
        };
        let (whole, index) = worker::hand_over(
            filing::WAITING_MAX,
            |index| self.walk_log(&mut Keys::new(index)),
            |keys| filing::file_all(setting, &log, trust, keys),
        );
        self.index = index?;
        whole
    }

    fn walk_log(&mut self, keys: &mut Keys) -> Result<bool, StoreError> {
        let dir = &self.log.dir;
        let files = layout::segments(dir).map_err(StoreError::io("list", dir))?;
        let mut walk = Walk::over_files(&files)
            .behind_end(self.resume)
            .starting_at(LogOffset::new(self.start));
        let mut gaps: Vec<Gap> = Vec::new();
        while let Some(item) = walk.next_item() {
            match item {
                Item::Record(stored) => {
                    let record = &stored.record;
                    if !gaps.is_empty() {
                        if record.store_timestamp < self.last.store_timestamp_ms {
                            break;
                        }
                        self.damaged.append(&mut gaps);
                    }
                    if !self.dispatch(record, keys)? {
                        return Ok(false);
                    }
                }
                Item::Blank(blank) => {
                    let next = blank.at.get() + u64::from(blank.size);
                    if gaps.is_empty() {
                        self.end = next;
                    }
                }
                Item::End { at } => {
                    if !self.resume {
                        break;
                    }
                    let segment = self.log.segment_at(at.get());
                    gaps.extend(segment.map(|segment| self.gap(at.get(), segment.end())));
                }
                Item::Damaged(damage) => {
                    tracing::warn!("the log is damaged at {}: {}", damage.at, damage.reason);
                    if !self.resume {
                        break;
                    }
                    gaps.push(self.gap(damage.at.get(), damage.until.get()));
                }
            }
        }
        for ((topic, id), first) in std::mem::take(&mut self.beginnings) {
            if let Some(queue) = self.queues.find(&topic, id) {
                begin_anew(&queue, first)?;
            }
        }
        keys.hand_over();
        self.write_out()?;
        Ok(true)
    }

    fn gap(&self, from: u64, to: u64) -> Gap {
        Gap {
            from,
            to,
            store_timestamp_ms: self.last.store_timestamp_ms,
        }
    }

    fn dispatch(&mut self, record: &Record<'_>, keys: &mut Keys) -> Result<bool, StoreError> {
        let at = u64::try_from(record.physical_offset).unwrap_or_default();
        self.end = at + u64::from(record.size);
        self.last = LastRecord {
            start: at,
            end: self.end,
            store_timestamp_ms: record.store_timestamp,
        };
        self.scanned += 1;
        let found = MessageKeys::of(record.topic, record.properties, record.sys_flag);
        let tags = TagsCode::with_tags(record.topic, record.properties, found.tags);
        let delay_levels_ms = &self.setting.options.delay_levels_ms;
        let entry = Entry {
            log_offset: record.physical_offset,
            size: record.size.cast_signed(),
            tags_code: tags.resolve(record.store_timestamp, delay_levels_ms),
        };
        if takes_queue_place(record.sys_flag) {
            let offset = u64::try_from(record.queue_offset).ok();
            if let (Some(offset), Some(id)) = (offset, QueueId::from_wire(record.queue_id)) {
                let place = (record.topic, id);
                let is_batch = match self.find(place) {
                    Some(queue) => queue.is_batch(),
                    None => self.queues.is_batch(record, id),
                };
                let placed = if is_batch {
                    self.place_batch(record, id, entry)?
                } else {
                    self.place(place, offset, entry)?
                };
                if !placed {
                    return Ok(false);
                }
            }
            let dispatches = self.queues.dispatches_to_light_queues();
            let lights = dispatches.then(|| light_queues(record));
            for (topic, offset) in lights.into_iter().flatten() {
                if !self.place((topic, QueueId::new(0)), offset, entry)? {
                    return Ok(false);
                }
            }
        }
        if self.setting.options.index_enabled {
            keys.add(at, record, found);
        }
        if self.scanned.is_multiple_of(WRITE_OUT_EVERY) {
            self.write_out()?;
        }
        Ok(true)
    }

    /// A queue that is there.
    fn find(&mut self, (topic, id): (&str, QueueId)) -> Option<Arc<Queue>> {
        let is_it = |queue: &Queue| queue.id() == id && queue.topic().as_str() == topic;
        if !self.recent.as_ref().is_some_and(|recent| is_it(recent)) {
            self.recent = self.queues.find(topic, id);
        }
        self.recent.clone()
    }

    /// Gives a record its place in a queue. False when entries before it are missing although they must have been
    /// dispatched before the walk began.
    fn place(
        &mut self,
        (topic, id): (&str, QueueId),
        offset: u64,
        entry: Entry,
    ) -> Result<bool, StoreError> {
        if !layout::can_be_directory(topic) {
            tracing::warn!("the record at {} has an impossible topic", entry.log_offset);
            return Ok(true);
        }
        let queue = match self.find((topic, id)) {
            Some(queue) => queue,
            None => self.queues.queue(&TopicName::stored(topic), id),
        };
        if !self.beginnings.is_empty()
            && let Some(first) = self.beginnings.remove(&(topic.to_owned(), id))
        {
            match offset {
                0 => {}
                1 => begin_anew(&queue, first)?,
                _ => not_believed(&queue, 0, &first),
            }
        }
        let next = queue.max();
        if offset < next {
            match self.claim(&queue, offset, &entry) {
                Claim::Known => return Ok(true),
                Claim::Wrong => {
                    not_believed(&queue, offset, &entry);
                    return Ok(true);
                }
                Claim::Beginning => {
                    self.beginnings.insert((topic.to_owned(), id), entry);
                    return Ok(true);
                }
                Claim::Right => {}
            }
            queue
                .truncate(offset)
                .map_err(StoreError::io("cut the queue in", queue.dir()))?;
        } else if offset > next {
            if self.start > self.log_min {
                self.missing = Some((topic.to_owned(), id, next));
                return Ok(false);
            }
            if !is_possible(&queue, offset, &entry) {
                not_believed(&queue, offset, &entry);
                return Ok(true);
            }
        }
        if offset > 0 && queue.is_without_entries() {
            queue
                .begin_at(offset)
                .map_err(StoreError::io("write the queue in", queue.dir()))?;
        }
        fill(&queue, offset, entry).map_err(StoreError::io("write the queue in", queue.dir()))?;
        queue.restore(entry);
        Ok(true)
    }

    /// Like [`Pass::place`], in a batch queue. An inner batch says twice which place it has, so it is believed; whatever
    /// has the place belongs to a topic of that name that was deleted.
    fn place_batch(
        &mut self,
        record: &Record<'_>,
        id: QueueId,
        entry: Entry,
    ) -> Result<bool, StoreError> {
        let topic = record.topic;
        if !layout::can_be_directory(topic) {
            tracing::warn!("the record at {} has an impossible topic", entry.log_offset);
            return Ok(true);
        }
        let Some((base, count)) = batch_place(record) else {
            return Ok(true);
        };
        let queue = self.queues.batch_queue(&TopicName::stored(topic), id);
        let next = queue.max();
        if base < next {
            let known = queue.entry(base);
            if known.is_some_and(|known| known.log_offset >= entry.log_offset) {
                return Ok(true);
            }
            queue
                .truncate(base)
                .map_err(StoreError::io("cut the queue in", queue.dir()))?;
        } else if base > next && self.start > self.log_min {
            self.missing = Some((topic.to_owned(), id, next));
            return Ok(false);
        }
        queue.restore_batch(BatchEntry {
            entry,
            store_timestamp_ms: record.store_timestamp,
            base: i64::try_from(base).unwrap_or(i64::MAX),
            count: i16::try_from(count).unwrap_or(i16::MAX),
        });
        Ok(true)
    }

    /// What is to be made of a record that claims a place which its queue has already.
    ///
    /// Its topic may have been deleted and made again; then the queue began anew, at 0. Or it heals what a damaged
    /// number has put there. But a record whose number is damaged must not cost its queue what others have.
    fn claim(&self, queue: &Queue, offset: u64, entry: &Entry) -> Claim {
        let Some(known) = queue.entry(offset) else {
            return Claim::Right;
        };
        if known.is_filler() {
            return Claim::Right;
        }
        if known.log_offset >= entry.log_offset {
            return Claim::Known;
        }
        if is_light(queue) {
            return Claim::Right;
        }
        let position = |entry: &Entry| u64::try_from(entry.log_offset).unwrap_or_default();
        let owner = self.log.record_at(position(&known)).and_then(|owner| {
            let owner = Record::parse(owner.as_ref()).ok()?;
            u64::try_from(owner.queue_offset).ok()
        });
        let newest = queue.entry(queue.max().saturating_sub(1)).unwrap_or(known);
        // The first messages of the new topic may be among what was lost.
        let lost = self.damaged.iter().any(|gap| gap.from > position(&newest));
        // The owner may be the one whose number is damaged: it has left a gap.
        let jumped = || {
            let before = queue.entry(offset - 1);
            before.is_none_or(|e| e.is_filler() || e.log_offset == known.log_offset)
        };
        match offset {
            _ if owner != Some(offset) => Claim::Right,
            0 => Claim::Beginning,
            _ if lost || jumped() => Claim::Right,
            _ => Claim::Wrong,
        }
    }

    fn write_out(&mut self) -> Result<(), StoreError> {
        for queue in self.queues.all() {
            let dir = self.setting.layout.consume_queues();
            queue
                .write_out()
                .map_err(StoreError::io("write queues in", &dir))?;
        }
        Ok(())
    }
}

/// Cuts what is behind the right entries off the files, if anything was written there.
fn cut<U: Unit>(files: &Files<U>, valid: &Valid) -> io::Result<()> {
    let end = valid.end;
    let is_dirty = end < files.capacity() && (valid.is_followed || end == files.start());
    if is_dirty {
        files.truncate(end)
    } else {
        Ok(())
    }
}

/// Lets a queue begin with `first`; what it had is of a topic that was deleted.
fn begin_anew(queue: &Queue, first: Entry) -> Result<(), StoreError> {
    queue
        .truncate(0)
        .map_err(StoreError::io("cut the queue in", queue.dir()))?;
    queue.restore(first);
    Ok(())
}

/// A record's claim on a place in its queue.
enum Claim {
    /// The place is the record's, whatever is there.
    Right,
    /// It has the place already, or a later record has.
    Known,
    /// The place is another's.
    Wrong,
    /// The place is another's, but it is the first one: the record behind tells.
    Beginning,
}

fn not_believed(queue: &Queue, offset: u64, entry: &Entry) {
    tracing::warn!(
        "the record at {} claims place {offset} in {}/{}, which ends at {}: not believed, the message stays in the \
         log but gets no place in a queue",
        entry.log_offset,
        queue.topic(),
        queue.id(),
        queue.max()
    );
}

/// Whether the log can have held all the messages that must have been before a record in its queue: each has taken its
/// room there, also those that are deleted or lost by now.
pub(super) fn is_possible(queue: &Queue, offset: u64, entry: &Entry) -> bool {
    let position = u64::try_from(entry.log_offset).unwrap_or_default();
    let next = queue.max();
    let behind_last = next
        .checked_sub(1)
        .and_then(|last| queue.entry(last))
        .filter(Entry::is_plausible)
        .and_then(|last| u64::try_from(last.log_offset.saturating_add(last.size.into())).ok());
    let room = position.saturating_sub(behind_last.unwrap_or(0));
    let records = |bytes: u64| bytes / MIN_BYTES as u64;
    offset <= records(position) && offset.saturating_sub(next) <= records(room)
}

/// Takes the places of the messages lost before `offset`.
fn fill(queue: &Queue, offset: u64, entry: Entry) -> io::Result<()> {
    let next = queue.max();
    let lost = offset.saturating_sub(next);
    let plug = if lost <= PLUGS_MAX {
        entry
    } else {
        Entry::FILLER
    };
    for at in next..offset {
        queue.restore(plug);
        if at.is_multiple_of(WRITE_OUT_EVERY) {
            queue.write_out()?;
        }
    }
    Ok(())
}
