//! Groups of messages on their way into the log.
//!
//! A group belongs to one connection and is used again and again: its buffer keeps its room, so that in steady state
//! no message allocates. Everything that needs no knowledge of the log's tail happens in [`AppendGroup::push`], before
//! the log is locked: encoding, the body's checksum, the hash of the tags.

use std::sync::Arc;

use crate::base::{LogOffset, QueueOffset};
use crate::message::record::{Draft, RecordError};
use crate::store::dispatch::TagsCode;
use crate::store::queue::Queue;

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
    pub(crate) queue: Arc<Queue>,
    pub(crate) start: usize,
    pub(crate) size: u32,
    pub(crate) sys_flag: i32,
    pub(crate) tags: TagsCode,
    pub(crate) queue_offset: u64,
    pub(crate) log_offset: u64,
}

/// Messages that are appended together, in one write. Made by `Store::append_group`.
#[derive(Debug)]
pub struct AppendGroup {
    pub(crate) buffer: Vec<u8>,
    pub(crate) pending: Vec<Pending>,
    pub(crate) store_timestamp_ms: Option<i64>,
    pub(crate) end: LogOffset,
    body_max: usize,
    record_max: usize,
}

/// A buffer that grew for one big message is given back when it is larger than this.
const BUFFER_KEPT_BYTES: usize = 1 << 20;

impl AppendGroup {
    pub(crate) fn new(body_max: usize, record_max: usize) -> Self {
        Self {
            buffer: Vec::new(),
            pending: Vec::new(),
            store_timestamp_ms: None,
            end: LogOffset::ZERO,
            body_max,
            record_max,
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
        let encoded = draft.encode_into(&mut self.buffer)?;
        if encoded.size as usize > self.record_max {
            self.buffer.truncate(start);
            return Err(RecordError::TooLarge {
                part: "record",
                size: encoded.size as usize,
                max: self.record_max,
            });
        }
        self.pending.push(Pending {
            queue: Arc::clone(queue),
            start,
            size: encoded.size,
            sys_flag: encoded.sys_flag,
            tags: TagsCode::of(draft.topic, draft.properties),
            queue_offset: 0,
            log_offset: 0,
        });
        Ok(self.pending.len().saturating_sub(1))
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

    /// The position behind the group's last record: what `Store::flushed` must reach before it is durable.
    pub fn end(&self) -> LogOffset {
        self.end
    }

    /// Empties the group for the next use.
    pub fn clear(&mut self) {
        self.pending.clear();
        self.buffer.clear();
        if self.buffer.capacity() > BUFFER_KEPT_BYTES {
            self.buffer.shrink_to(BUFFER_KEPT_BYTES);
        }
        self.store_timestamp_ms = None;
        self.end = LogOffset::ZERO;
    }
}
