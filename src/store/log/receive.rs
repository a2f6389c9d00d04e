//! A replica's way to write: bytes of its master's log, at the places they have there.
//!
//! Stretches arrive cut anywhere, so the writer's position may stand within a record. What readers see ends at the last
//! whole record, or whole end-of-file filler; only then do the queues get its entry, at the place the record names.
//!
//! Bytes that cannot be the next of this log are taken back and refused with the reason: a master with other file
//! sizes, or another log altogether, must not be mixed into this one.
//!
//! Lock order: the writer's tail, then the table of queues, then a queue's memory or the list of files.

use std::sync::Arc;

use super::Log;
use super::replay::is_possible;
use super::writer::{LastRecord, Tail, Writer, to_place};
use crate::base::{QueueId, TopicName};
use crate::message::record::{BLANK_BYTES, MAGIC_BLANK, MAGIC_V1, MAGIC_V2, MIN_BYTES, Record};
use crate::store::dispatch::{TagsCode, batch_place, light_queues, takes_queue_place};
use crate::store::error::{AppendError, ReceiveError, WriteRefusal};
use crate::store::index::feed::Filed;
use crate::store::index::format::MessageKeys;
use crate::store::layout;
use crate::store::queue::table::QueueTable;
use crate::store::queue::{BatchEntry, Entry, Queue};
use crate::store::segment::{Handle, Segment};

/// Fillers for lost messages are written out after so many.
const FILL_STEP: u64 = 100_000;

/// What a stretch did to a replica's log.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// How far the bytes reach now, whole record or not.
    pub(crate) end: u64,
    /// The queues that have new messages.
    pub(crate) touched: Vec<(TopicName, QueueId)>,
}

/// A record's place in a queue, found before the record is visible.
struct Placed {
    queue: Arc<Queue>,
    offset: u64,
    entry: Entry,
    /// In a batch queue: how many messages, and when they were stored.
    batch: Option<(u16, i64)>,
}

impl Writer {
    /// Writes the bytes of the master's log at `at`, and makes visible what they complete.
    pub(crate) fn receive(
        &self,
        at: u64,
        bytes: &[u8],
        queues: &QueueTable,
    ) -> Result<Received, ReceiveError> {
        let mut tail = self.tail.lock();
        if let Some(why) = &tail.broken {
            return Err(AppendError::from(WriteRefusal::Broken(why.clone())).into());
        }
        if at != tail.position {
            if tail.position != 0 || bytes.is_empty() {
                return Err(ReceiveError::Elsewhere {
                    expected: tail.position,
                    at,
                });
            }
            self.begin_at(&mut tail, at)?;
        }
        let result = self
            .write_stretch(&mut tail, bytes)
            .and_then(|()| self.complete(&mut tail, queues));
        if result.is_err() {
            self.drop_unfinished(&mut tail);
        }
        result
    }

    /// Forgets what was received of a record that is not whole: another connection sends it again. Returns where the
    /// log ends then.
    pub(crate) fn forget_unfinished(&self) -> u64 {
        let mut tail = self.tail.lock();
        self.drop_unfinished(&mut tail);
        tail.position
    }

    /// Lets an empty log begin where the master's last file does (`DefaultHAConnection`).
    fn begin_at(&self, tail: &mut Tail, at: u64) -> Result<(), ReceiveError> {
        if !at.is_multiple_of(self.log.file_bytes) {
            return Err(foreign(
                at,
                "the master's log files have another size: is mappedFileSizeCommitLog the same on both?",
            ));
        }
        let made = Segment::create(&self.log.dir, at, self.log.file_bytes, Handle::Keep);
        let segment = made
            .map(Arc::new)
            .map_err(|source| io_error(&self.log, source))?;
        let before = self.log.segments();
        self.log.set_segments(vec![Arc::clone(&segment)]);
        self.log.appended.reset(at);
        self.log.flushed.reset(at);
        for old in before {
            old.unlink().map_err(|source| io_error(&self.log, source))?;
        }
        self.log.forget_ahead();
        tail.segment = segment;
        tail.position = at;
        Ok(())
    }

    fn write_stretch(&self, tail: &mut Tail, mut bytes: &[u8]) -> Result<(), ReceiveError> {
        while !bytes.is_empty() {
            if tail.position >= tail.segment.end() {
                let next = self.log.next_segment(tail.segment.end());
                let next = next.map_err(|source| io_error(&self.log, source))?;
                self.log.push_segment(Arc::clone(&next));
                tail.segment = next;
            }
            let room = tail.segment.end().saturating_sub(tail.position);
            let part = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            let (now, later) = bytes.split_at(part);
            let place = to_place(tail.position, &tail.segment);
            tail.segment
                .write(place, now)
                .map_err(|source| io_error(&self.log, source))?;
            tail.position += part as u64;
            bytes = later;
        }
        Ok(())
    }

    /// Makes the whole records visible that end before the writer's position.
    fn complete(&self, tail: &mut Tail, queues: &QueueTable) -> Result<Received, ReceiveError> {
        let mut at = self.log.appended.get();
        let mut placed = Vec::new();
        let mut keys = Vec::new();
        let mut count = 0;
        let mut wrong = None;
        while at < tail.position {
            let Some(segment) = self.log.segment_at(at) else {
                break;
            };
            let until = tail.position.min(segment.end());
            let bytes = segment.bytes();
            let bytes = bytes
                .get(to_place(at, &segment)..to_place(until, &segment))
                .unwrap_or_default();
            let size = match next_item(bytes, at, segment.end()) {
                Ok(Some(Arrived::Filler(size))) => size,
                Ok(Some(Arrived::Record(record))) => {
                    self.find_places(&record, queues, &mut placed);
                    let found = MessageKeys::of(record.topic, record.properties, record.sys_flag);
                    keys.extend(found.hashes().map(|hash| Filed {
                        log_offset: at,
                        store_timestamp_ms: record.store_timestamp,
                        hash,
                    }));
                    count += 1;
                    tail.last = LastRecord {
                        start: at,
                        end: at + u64::from(record.size),
                        store_timestamp_ms: record.store_timestamp,
                    };
                    u64::from(record.size)
                }
                Ok(None) => break,
                Err(reason) => {
                    wrong = Some(foreign(at, reason));
                    break;
                }
            };
            at += size;
        }
        let before = self.log.appended.get();
        if at > before {
            self.feed.add((before, at), keys.into_iter());
        }
        // Before the queue entries: whoever finds an entry must find its record readable.
        self.log.appended.advance(at);
        self.count(count, at.saturating_sub(before));
        let mut touched: Vec<(TopicName, QueueId)> = Vec::new();
        for place in placed {
            let name = (place.queue.topic().clone(), place.queue.id());
            match self.take_place(place, queues) {
                Ok(()) => {
                    if !touched.contains(&name) {
                        touched.push(name);
                    }
                }
                Err(source) => return Err(io_error(&self.log, source)),
            }
        }
        wrong.map_or(
            Ok(Received {
                end: tail.position,
                touched,
            }),
            Err,
        )
    }

    /// The places a record has in queues.
    fn find_places(&self, record: &Record<'_>, queues: &QueueTable, placed: &mut Vec<Placed>) {
        if !takes_queue_place(record.sys_flag) {
            return;
        }
        let entry = Entry {
            log_offset: record.physical_offset,
            size: record.size.cast_signed(),
            tags_code: TagsCode::of(record.topic, record.properties.as_bytes())
                .resolve(record.store_timestamp, self.delay_levels_ms()),
        };
        let own = u64::try_from(record.queue_offset)
            .ok()
            .zip(QueueId::from_wire(record.queue_id))
            .map(|(offset, id)| (record.topic, id, offset));
        let light = light_queues(record).filter(|_| queues.dispatches_to_light_queues());
        let light = light.map(|(topic, offset)| (topic, QueueId::new(0), offset));
        for (number, (topic, id, offset)) in own.into_iter().chain(light).enumerate() {
            if !layout::can_be_directory(topic) {
                tracing::warn!("the record at {} has an impossible topic", entry.log_offset);
                continue;
            }
            if number == 0 && queues.is_batch(record, id) {
                let Some((base, count)) = batch_place(record) else {
                    continue;
                };
                placed.push(Placed {
                    queue: queues.batch_queue(&TopicName::stored(topic), id),
                    offset: base,
                    entry,
                    batch: Some((count, record.store_timestamp)),
                });
                continue;
            }
            let queue = queues
                .find(topic, id)
                .unwrap_or_else(|| queues.queue(&TopicName::stored(topic), id));
            placed.push(Placed {
                queue,
                offset,
                entry,
                batch: None,
            });
        }
    }

    /// Gives a record the place it names. What a damaged number claims is not believed: the message stays in the log and
    /// consumers do not see it, as in recovery.
    fn take_place(&self, place: Placed, queues: &QueueTable) -> std::io::Result<()> {
        let Placed {
            mut queue,
            offset,
            entry,
            batch,
        } = place;
        if queue.is_gone() {
            queue = queues.successor(&queue);
        }
        let end = u64::try_from(entry.log_offset.saturating_add(entry.size.into()));
        let end = end.unwrap_or(u64::MAX);
        let next = queue.next();
        if offset < next {
            let known = queue.entry(offset);
            if known.is_some_and(|known| known.log_offset >= entry.log_offset) {
                return Ok(());
            }
            if offset > 0 && !known.is_some_and(|known| known.is_filler()) {
                tracing::warn!(
                    "the record at {} claims place {offset} in {}/{}, which another has: it gets no place",
                    entry.log_offset,
                    queue.topic(),
                    queue.id()
                );
                return Ok(());
            }
            // The master deleted the topic and made it again. Readers of the old queue keep its bytes.
            queue = queues.begin_anew(&queue)?;
        }
        if let Some((count, store_timestamp_ms)) = batch {
            let batch = BatchEntry {
                entry,
                store_timestamp_ms,
                base: i64::try_from(offset).unwrap_or(i64::MAX),
                count: i16::try_from(count).unwrap_or(i16::MAX),
            };
            queue.stage_batch(batch);
            self.held.show(&queue, batch.end(), end);
            queues.due().note(&queue);
            return Ok(());
        }
        let next = queue.next();
        if offset > next {
            if !is_possible(&queue, offset, &entry) {
                tracing::warn!(
                    "the record at {} claims place {offset} in {}/{}, which ends at {next}: not believed",
                    entry.log_offset,
                    queue.topic(),
                    queue.id()
                );
                return Ok(());
            }
            if queue.is_without_entries() {
                queue.begin_at(offset)?;
            }
            for lost in queue.next()..offset {
                let place = (queue.reserve(1), 1);
                queues.due().stage(&queue, place, Entry::FILLER, 0);
                if lost.is_multiple_of(FILL_STEP) {
                    queue.write_out()?;
                }
            }
        }
        let first = queue.is_without_entries() || offset > next;
        let at = queue.reserve(1);
        queues.due().stage(&queue, (at, 1), entry, 0);
        self.held.show(&queue, at + 1, end);
        if first && offset > 0 {
            queue.raise_min(self.log.min());
        }
        Ok(())
    }

    fn drop_unfinished(&self, tail: &mut Tail) {
        let appended = self.log.appended.get();
        if tail.position > appended {
            let mut kept = self.log.segments();
            // A file that only just began holds nothing that counts.
            while let Some(last) = kept.pop_if(|last| last.base() > appended) {
                self.log.remove_last(&last);
            }
            if let Some(segment) = kept.last().cloned()
                && segment.end() > appended
                && let Err(error) = segment.clear_from(to_place(appended, &segment))
            {
                tail.broken = Some(format!(
                    "half a record could not be taken back from {}: {error}",
                    segment.path().display()
                ));
            }
            tail.segment = kept
                .last()
                .map_or_else(|| Arc::clone(&tail.segment), Arc::clone);
            tail.position = appended;
        }
    }
}

/// What begins at a place.
enum Arrived<'a> {
    Record(Record<'a>),
    /// The filler at the end of a file, with all the bytes it stands for.
    Filler(u64),
}

/// What begins at `at`, if all of it is there; an error if it can be neither record nor filler of this log.
fn next_item(bytes: &[u8], at: u64, file_end: u64) -> Result<Option<Arrived<'_>>, &'static str> {
    let left = file_end.saturating_sub(at);
    let Some(head) = bytes.first_chunk::<BLANK_BYTES>() else {
        let room = left >= BLANK_BYTES as u64;
        return room.then_some(None).ok_or("a file ends within a record");
    };
    let [s0, s1, s2, s3, m0, m1, m2, m3] = *head;
    let size = u32::from_be_bytes([s0, s1, s2, s3]);
    match u32::from_be_bytes([m0, m1, m2, m3]) {
        MAGIC_BLANK if u64::from(size) == left => {
            Ok((bytes.len() as u64 == left).then_some(Arrived::Filler(left)))
        }
        MAGIC_BLANK => {
            Err("the master's file ends elsewhere: is mappedFileSizeCommitLog the same on both?")
        }
        MAGIC_V1 | MAGIC_V2 => {
            let room = u64::from(size) <= left && size as usize >= MIN_BYTES;
            if !room {
                return Err("a record has an impossible length");
            }
            let Some(bytes) = bytes.get(..size as usize) else {
                return Ok(None);
            };
            let record = Record::parse(bytes).map_err(|_| "a record cannot be read")?;
            if u64::try_from(record.physical_offset) != Ok(at) {
                return Err("a record says that it lies elsewhere");
            }
            Ok(Some(Arrived::Record(record)))
        }
        _ => Err("the bytes are no record"),
    }
}

fn foreign(at: u64, reason: &'static str) -> ReceiveError {
    ReceiveError::Foreign { at, reason }
}

fn io_error(log: &Log, source: std::io::Error) -> ReceiveError {
    AppendError::Io {
        path: log.dir.clone(),
        source,
    }
    .into()
}
