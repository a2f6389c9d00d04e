//! The storage engine: files and offsets; no sockets, no roles.
//!
//! A [`Store`] owns one directory in Apache RocketMQ 5.5.0's layout. One writer appends groups of messages to the log
//! ([`log`]); queues ([`queue`]) say where each message lies; the key index follows behind. Three workers keep it: one
//! syncs, one dispatches, one writes queue entries, checkpoints and deletes what is too old.
//!
//! What it promises: an acknowledged append is in the log whole and once; what `flushed` has passed survives a power
//! cut; a directory is only ever opened by one broker, Java brokers included.
//!
//! Absent on purpose: the files of features this version does not have (`batchconsumequeue`, `consumequeue_ext`,
//! `timerlog`, `compaction`): they are left as they are. `enabledAppendPropCRC` is not supported: records are written
//! without the CRC property, and read with or without it.
//!
//! Lock order: the writer's tail, then a queue's memory, then lists of files. Workers' own locks come before all.

pub mod checkpoint;
pub(crate) mod dispatch;
pub(crate) mod error;
pub mod index;
pub mod layout;
pub mod log;
pub(crate) mod options;
pub mod queue;
pub(crate) mod read;
pub(crate) mod segment;
pub mod view;
mod window;

use std::sync::Arc;

pub use crate::base::{LogOffset, QueueOffset};
pub use error::{AppendError, StoreError, WriteRefusal};
pub use log::LogSlice;
pub use log::append::{AppendGroup, Appended};
pub use options::{FlushMode, StoreOptions};
pub use queue::Queue;
pub use read::{Boundary, Found, GetStatus, ReadLimits};
pub use view::{View, ViewError};

use crate::base::{QueueId, TopicName, Watermark};
use crate::sys::Clock;
use log::Log;
use log::writer::Writer;
use queue::table::QueueTable;

/// The records of a key.
#[derive(Debug, Default)]
pub struct KeyMatches {
    /// The records, each a slice of its own.
    pub slices: Vec<LogSlice>,
    /// When the index was last added to, ms since 1970.
    pub last_update_timestamp: i64,
    /// The log position of the record it was added for.
    pub last_update_offset: i64,
}

/// What opening a directory found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Whether the last broker on the directory was stopped in order.
    pub clean: bool,
    /// The first readable position of the log.
    pub log_min: u64,
    /// The end of the log.
    pub log_end: u64,
    /// How many records were looked at.
    pub scanned: u64,
    /// Whether queues and index were rebuilt from the first record on.
    pub rebuilt: bool,
    /// Damaged stretches between whole records: position and length.
    pub damaged: Vec<(u64, u64)>,
    /// Bytes taken off the end of the log: position and length.
    pub cut: Option<(u64, u64)>,
}

/// Figures for the broker's runtime information.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RuntimeFigures {
    /// Messages appended since the store was opened.
    pub messages_appended: u64,
    /// Bytes appended since the store was opened.
    pub bytes_appended: u64,
    /// The first readable position of the log.
    pub log_min: u64,
    /// The end of the log.
    pub log_end: u64,
    /// How far the log is on the disk.
    pub log_flushed: u64,
    /// How far the key index has followed.
    pub dispatched: u64,
    /// The used share of the partition, 0.0 to 1.0.
    pub disk_used_ratio: f64,
    /// When the oldest readable message was stored, ms since 1970; 0 without one.
    pub earliest_timestamp_ms: i64,
}

/// A store directory, opened for reading and writing.
#[derive(Debug)]
pub struct Store {
    options: StoreOptions,
    pub(crate) log: Arc<Log>,
    queues: Arc<QueueTable>,
    writer: Arc<Writer>,
}

impl Store {
    /// Opens a directory, makes it when absent, and repairs what a crash left behind.
    pub fn open(
        _options: StoreOptions,
        _clock: Clock,
    ) -> Result<(Arc<Self>, RecoveryReport), StoreError> {
        Err(StoreError::Setting {
            setting: "storePathRootDir",
            value: String::new(),
            reason: "opening is not written yet",
        })
    }

    /// A group for one connection.
    pub fn append_group(&self) -> AppendGroup {
        AppendGroup::new(self.options.message_max)
    }

    /// Appends the whole group, or nothing of it.
    pub fn append(&self, group: &mut AppendGroup) -> Result<(), AppendError> {
        if let Some(refusal) = self.write_refusal() {
            return Err(refusal.into());
        }
        self.writer.append(group)
    }

    /// Why no messages are taken at the moment, if so.
    pub fn write_refusal(&self) -> Option<WriteRefusal> {
        None
    }

    /// Whether an acknowledgement has to wait until [`Store::flushed`] has passed the group's end.
    pub fn must_wait_for_flush(&self) -> bool {
        matches!(self.options.flush, FlushMode::Sync { .. })
    }

    /// How far the log is written.
    pub fn appended(&self) -> &Watermark {
        &self.log.appended
    }

    /// How far the log is on the disk.
    pub fn flushed(&self) -> &Watermark {
        &self.log.flushed
    }

    /// A queue, made when it is not there yet.
    pub fn queue(&self, topic: &TopicName, id: QueueId) -> Arc<Queue> {
        self.queues.queue(topic, id)
    }

    /// A queue that is there.
    pub fn find_queue(&self, topic: &str, id: QueueId) -> Option<Arc<Queue>> {
        self.queues.find(topic, id)
    }

    /// All queues, ordered by topic and number.
    pub fn queues(&self) -> Vec<Arc<Queue>> {
        self.queues.all()
    }

    /// Deletes a topic's queues. Its messages stay in the log until retention gets to them.
    pub fn delete_topic(&self, topic: &TopicName) -> Result<(), StoreError> {
        for queue in self.queues.remove_topic(topic.as_str()) {
            queue.destroy().map_err(StoreError::io(
                "delete the queue files of",
                std::path::Path::new(topic.as_str()),
            ))?;
        }
        Ok(())
    }

    /// Messages with a key, newest first, stored between two times (ms since 1970).
    pub fn query(
        &self,
        _topic: &str,
        _key: &str,
        _max: usize,
        _begin_ms: i64,
        _end_ms: i64,
    ) -> KeyMatches {
        KeyMatches::default()
    }

    /// Figures for the broker's runtime information.
    pub fn runtime_figures(&self) -> RuntimeFigures {
        RuntimeFigures::default()
    }

    /// Stops the workers, makes everything durable and leaves the directory as after a clean stop. Blocks.
    pub fn shutdown(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
