//! Groups of messages on their way into the log.
//!
//! A group belongs to one connection and is used again and again: its buffer keeps its room, so that in steady state
//! no message allocates. Everything that needs no knowledge of the log's tail happens in [`AppendGroup::push`], before
//! the log is locked: encoding, the body's checksum, the hash of the tags.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::{LogOffset, QueueOffset, TopicName};
use crate::message::properties::write_pair;
use crate::message::record::{Draft, RecordError};
use crate::message::{Properties, names, sysflag};
use crate::store::dispatch::{
    LIGHT_QUEUE_PREFIX, MESSAGES_MAX, OFFSET_DIGITS, TagsCode, allows_light_queues,
    takes_queue_place,
};
use crate::store::index::format::{KeyHash, MessageKeys};
use crate::store::layout;
use crate::store::queue::Queue;
use crate::store::queue::table::QueueTable;

/// Where a message came to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where its record begins.
    pub log_offset: LogOffset,
    /// Its number in its queue.
    pub queue_offset: QueueOffset,
    /// When it was stored, ms since 1970.
    pub store_timestamp_ms: i64,
    /// The length of its record.
    pub size: u32,
}

/// One encoded record that waits for its place.
#[derive(Debug)]
pub(crate) struct Pending {
    /// The place of its queue among the group's.
    pub(crate) queue: usize,
    pub(crate) start: usize,
    pub(crate) size: u32,
    pub(crate) sys_flag: i32,
    /// How many queue offsets the record takes.
    pub(crate) messages: u16,
    pub(crate) tags: TagsCode,
    /// What the key index files it under.
    pub(crate) keys: SmallVec<[KeyHash; 2]>,
    pub(crate) queue_offset: u64,
    pub(crate) log_offset: u64,
    /// The light queues that the record is in as well.
    pub(crate) lights: Vec<Light>,
}

/// A record's place in a light queue.
#[derive(Debug)]
pub(crate) struct Light {
    pub(crate) queue: Arc<Queue>,
    pub(crate) offset: u64,
}

/// Messages that are appended together, in one write. Made by `Store::append_group`.
#[derive(Debug)]
pub struct AppendGroup {
    pub(crate) buffer: Vec<u8>,
    pub(crate) pending: Vec<Pending>,
    /// The queues of the records, each once: a count of references that many threads change for every message would be
    /// what they all wait for.
    pub(crate) queues: Vec<Arc<Queue>>,
    pub(crate) store_timestamp_ms: Option<i64>,
    pub(crate) end: LogOffset,
    /// Where light queues are found, if messages go to those.
    lights: Option<Arc<QueueTable>>,
    /// The properties of a record with places that are known only under the log's lock.
    properties: Vec<u8>,
    body_max: usize,
    record_max: usize,
    /// Whether there is a key index.
    indexed: bool,
}

/// A buffer that grew for one big message is given back when it is larger than this.
const BUFFER_KEPT_BYTES: usize = 1 << 20;

impl AppendGroup {
    pub(crate) fn new(
        body_max: usize,
        record_max: usize,
        indexed: bool,
        lights: Option<Arc<QueueTable>>,
    ) -> Self {
        Self {
            buffer: Vec::new(),
            pending: Vec::new(),
            queues: Vec::new(),
            store_timestamp_ms: None,
            end: LogOffset::ZERO,
            lights,
            properties: Vec::new(),
            body_max,
            record_max,
            indexed,
        }
    }

    /// Encodes a message for `queue` and returns its number in the group. On an error the group is as it was.
    pub fn push(&mut self, draft: &Draft<'_>, queue: &Arc<Queue>) -> Result<usize, RecordError> {
        if draft.body.len() > self.body_max {
            return Err(RecordError::TooLarge {
                part: "body",
                size: draft.body.len(),
                max: self.body_max,
            });
        }
        let start = self.buffer.len();
        let mut messages = 1;
        let mut lights = Vec::new();
        let encoded = if queue.is_batch() && draft.sys_flag & sysflag::INNER_BATCH != 0 {
            self.properties.clear();
            messages = write_batch_properties(draft.properties, &mut self.properties);
            let batch = Draft {
                properties: &self.properties,
                ..*draft
            };
            batch.encode_into(&mut self.buffer)?
        } else if let Some(names) = self.light_names(draft) {
            self.properties.clear();
            lights = self.write_light_properties(draft.properties, names)?;
            let draft = Draft {
                properties: &self.properties,
                ..*draft
            };
            draft.encode_into(&mut self.buffer)?
        } else {
            draft.encode_into(&mut self.buffer)?
        };
        if encoded.size as usize > self.record_max {
            self.buffer.truncate(start);
            return Err(RecordError::TooLarge {
                part: "record",
                size: encoded.size as usize,
                max: self.record_max,
            });
        }
        let properties = Properties::new(draft.properties);
        let keys = MessageKeys::of(draft.topic, properties, encoded.sys_flag);
        let tags = TagsCode::with_tags(draft.topic, properties, keys.tags);
        let hashes = self.indexed.then(|| keys.hashes());
        let known = self.queues.iter().position(|one| Arc::ptr_eq(one, queue));
        let queue = known.unwrap_or_else(|| {
            self.queues.push(Arc::clone(queue));
            self.queues.len().saturating_sub(1)
        });
        self.pending.push(Pending {
            queue,
            start,
            size: encoded.size,
            sys_flag: encoded.sys_flag,
            messages,
            tags,
            keys: hashes.into_iter().flatten().collect(),
            queue_offset: 0,
            log_offset: 0,
            lights,
        });
        Ok(self.pending.len().saturating_sub(1))
    }

    /// The light queues that a message names, if it may be in some.
    fn light_names<'d>(&self, draft: &Draft<'d>) -> Option<&'d str> {
        self.lights.as_ref()?;
        let may = allows_light_queues(draft.topic) && takes_queue_place(draft.sys_flag);
        let properties = Properties::new(draft.properties);
        let names = properties.get(names::INNER_MULTI_DISPATCH);
        names.filter(|_| may)
    }

    /// Copies properties, with room at the end for the record's places in its light queues ([`patch_lights`]). Names that
    /// are no light queue's, or are there twice, are left out.
    fn write_light_properties(
        &mut self,
        sent: &[u8],
        wanted: &str,
    ) -> Result<Vec<Light>, RecordError> {
        let mut lights: Vec<Light> = Vec::new();
        for name in wanted.split(',') {
            let usable = name.starts_with(LIGHT_QUEUE_PREFIX) && layout::can_be_directory(name);
            let known = lights.iter().any(|one| one.queue.topic().as_str() == name);
            if !usable || known {
                continue;
            }
            let table = self.lights.as_ref();
            let queue = table.and_then(|table| table.light_queue(name));
            let queue = queue.ok_or(RecordError::TooLarge {
                part: "number of light queues",
                size: lights.len(),
                max: lights.len(),
            })?;
            lights.push(Light { queue, offset: 0 });
        }
        for (name, value) in Properties::new(sent).iter() {
            if !matches!(
                name,
                names::INNER_MULTI_DISPATCH | names::INNER_MULTI_QUEUE_OFFSET
            ) {
                write_pair(&mut self.properties, name, value);
            }
        }
        if !lights.is_empty() {
            let names: Vec<_> = lights
                .iter()
                .map(|one| one.queue.topic().as_str())
                .collect();
            let zeros = vec!["0".repeat(OFFSET_DIGITS); lights.len()];
            let out = &mut self.properties;
            write_pair(out, names::INNER_MULTI_DISPATCH, &names.join(","));
            write_pair(out, names::INNER_MULTI_QUEUE_OFFSET, &zeros.join(","));
        }
        Ok(lights)
    }

    /// The light queues that record `index` is in.
    pub(crate) fn light_topics(&self, index: usize) -> impl Iterator<Item = &TopicName> {
        let pending = self.pending.get(index);
        let lights = pending.map_or([].as_slice(), |pending| pending.lights.as_slice());
        lights.iter().map(|light| light.queue.topic())
    }

    /// Takes back what was pushed after the first `len` messages.
    pub fn truncate(&mut self, len: usize) {
        if let Some(first) = self.pending.get(len) {
            self.buffer.truncate(first.start);
            self.pending.truncate(len);
        }
    }

    /// How many messages are in the group.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether there is nothing to append.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// How many bytes the group will take in the log.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Where message `index` came to lie; `None` before the group was appended.
    pub fn appended(&self, index: usize) -> Option<Appended> {
        let store_timestamp_ms = self.store_timestamp_ms?;
        let pending = self.pending.get(index)?;
        Some(Appended {
            log_offset: LogOffset::new(pending.log_offset),
            queue_offset: QueueOffset::new(pending.queue_offset),
            store_timestamp_ms,
            size: pending.size,
        })
    }

    /// How many messages record `index` holds; 0 if there is no such record.
    pub fn messages(&self, index: usize) -> u64 {
        let pending = self.pending.get(index);
        pending.map_or(0, |pending| pending.messages.into())
    }

    /// The position behind the group's last record: what `Store::flushed` must reach before it is durable.
    pub fn end(&self) -> LogOffset {
        self.end
    }

    /// Empties the group for the next use.
    pub fn clear(&mut self) {
        self.pending.clear();
        self.queues.clear();
        self.buffer.clear();
        if self.buffer.capacity() > BUFFER_KEPT_BYTES {
            self.buffer.shrink_to(BUFFER_KEPT_BYTES);
        }
        self.store_timestamp_ms = None;
        self.end = LogOffset::ZERO;
    }
}

/// Copies the properties of an inner batch, with room at the end for the offset of its first message ([`patch_base`]).
/// Returns how many messages it has.
fn write_batch_properties(sent: &[u8], out: &mut Vec<u8>) -> u16 {
    let mut messages = 1;
    for (name, value) in Properties::new(sent).iter() {
        match name {
            names::INNER_BASE => continue,
            names::INNER_NUM => messages = value.parse().unwrap_or(1),
            _ => {}
        }
        write_pair(out, name, value);
    }
    write_pair(out, names::INNER_BASE, &"0".repeat(OFFSET_DIGITS));
    messages.clamp(1, MESSAGES_MAX)
}

/// Writes the offset of a record's first message into the room left for it, which is in front of the record's last byte.
pub(crate) fn patch_base(record: &mut [u8], base: u64) {
    let Some(end) = record.len().checked_sub(1) else {
        return;
    };
    let digits = end.checked_sub(OFFSET_DIGITS).map(|start| start..end);
    if let Some(place) = digits.and_then(|digits| record.get_mut(digits)) {
        patch_digits(place, base);
    }
}

/// Writes the record's offsets in its light queues into the room left for them, which is in front of its last byte.
pub(crate) fn patch_lights(record: &mut [u8], lights: &[Light]) {
    const STEP: usize = OFFSET_DIGITS + 1;
    let Some(start) = record.len().checked_sub(lights.len() * STEP) else {
        return;
    };
    let places = record.get_mut(start..).unwrap_or_default();
    for (place, light) in places.chunks_exact_mut(STEP).zip(lights) {
        if let Some((_, digits)) = place.split_last_mut() {
            patch_digits(digits, light.offset);
        }
    }
}

/// Writes a number in decimal, with zeros in front.
fn patch_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}
