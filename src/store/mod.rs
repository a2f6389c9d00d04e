//! The storage engine: files and offsets; no sockets, no roles.
//!
//! A [`Store`] owns one directory in Apache RocketMQ 5.5.0's layout. One writer appends groups of messages to the log
//! ([`log`]); queues ([`queue`]) say where each message lies; the key index follows behind. Three workers keep it: one
//! syncs, one dispatches, one writes queue entries, checkpoints and deletes what is too old.
//!
//! What it promises: an acknowledged append is in the log whole and once; what `flushed` has passed survives a power
//! cut; a directory is only ever opened by one broker, Java brokers included.
//!
//! Absent on purpose: the files of features this version does not have (`consumequeue_ext`, `compaction`): they are left as they are. `enabledAppendPropCRC` is not supported: records are written
//! without the CRC property, and read with or without it.
//!
//! Lock order: the writer's tail, then the table of queues, then a queue's memory, then lists of files. Workers' own locks come before all.

pub mod checkpoint;
pub(crate) mod cut;
pub(crate) mod dispatch;
pub(crate) mod error;
pub(crate) mod flush;
mod held;
pub mod index;
pub mod layout;
pub(crate) mod lock;
pub mod log;
pub(crate) mod options;
mod page_cache;
pub(crate) mod query;
pub mod queue;
pub(crate) mod read;
mod records;
pub mod repair;
mod replica;
pub(crate) mod retention;
pub(crate) mod segment;
pub(crate) mod shared;
#[cfg(test)]
mod tests;
pub mod timer;
pub mod verify;
pub mod view;
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;

pub use crate::base::{LogOffset, QueueOffset};
pub(crate) use dispatch::LIGHT_QUEUE_PREFIX;
pub use error::{AppendError, ReceiveError, StoreError, WriteRefusal};
pub use log::LogSlice;
pub use log::append::{AppendGroup, Appended};
pub use options::{FlushMode, StoreOptions};
pub use query::KeyMatches;
pub use queue::Queue;
pub use read::{Boundary, Candidate, Found, GetStatus, ReadLimits, Verdict};
pub use view::{View, ViewError};

use crate::base::{QueueId, TopicName, Watermark};
use crate::message::record::Record;
use crate::sys::worker::{Signal, Worker};
use crate::sys::{Clock, platform};
use checkpoint::Checkpoint;
use flush::CHECKPOINT_BYTES_MAX;
use layout::Layout;
use lock::DirLock;
use log::recover::{Setting, recover};
use log::writer::Writer;
use shared::{Asleep, Dispatcher, Gate, Reason, Shared};

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
    /// Damaged stretches between whole records: position and length. With [`StoreOptions::cut_at_damage`] the log ends
    /// at the first.
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
    shared: Arc<Shared>,
    workers: Mutex<Vec<Worker>>,
    lock: Mutex<Option<DirLock>>,
}

impl Store {
    /// Opens a directory, makes it when absent, and repairs what a crash left behind.
    pub(crate) fn open(
        mut options: StoreOptions,
        clock: Clock,
    ) -> Result<(Arc<Self>, RecoveryReport), StoreError> {
        options.check()?;
        let dir = options.dir.clone();
        std::fs::create_dir_all(&dir).map_err(StoreError::io("make", &dir))?;
        // So that a change of the working directory means nothing.
        options.dir = dir.canonicalize().map_err(StoreError::io("open", &dir))?;
        let layout = Layout::new(&options.dir);
        let lock = DirLock::take(&layout)?;
        let clean = lock::begin_running(&layout)?;
        let checkpoint = read_checkpoint(&layout)?;
        let recovered = recover(&Setting {
            options: &options,
            layout: &layout,
            clock: &clock,
            clean,
            checkpoint,
        });
        if let Err(StoreError::LogFileSize { .. } | StoreError::LogFileName { .. }) = &recovered
            && clean
        {
            // Nothing was touched, so the next start, with the right settings, need not look for a crash.
            lock::end_running(&layout)?;
        }
        let recovered = recovered?;
        let report = recovered.report;
        let shared = Arc::new(Shared {
            writer: Writer::new(
                Arc::clone(&recovered.log),
                clock.clone(),
                &options,
                recovered.tail,
                recovered.last,
            ),
            retention: Mutex::new(options.clone()),
            options,
            layout,
            clock,
            log: recovered.log,
            queues: recovered.queues,
            dispatcher: Mutex::new(Dispatcher {
                index: recovered.index,
                at: report.log_end,
                fed: Vec::new(),
                written_ms: 0,
            }),
            checkpoint: Mutex::new(checkpoint),
            gate: Gate::default(),
            flushing: Mutex::new(()),
            sweeping: Mutex::new(()),
            flush_signal: Signal::default(),
            dispatch_signal: Signal::default(),
            keeper_signal: Signal::default(),
            asleep: Asleep::default(),
            checkpoint_at: AtomicU64::new(report.log_end.saturating_add(CHECKPOINT_BYTES_MAX)),
            cached_from: AtomicU64::new(report.log_end),
            queues_written_ms: AtomicI64::new(0),
            swept_below: AtomicU64::new(u64::MAX),
            topic_gone: AtomicBool::new(false),
        });
        // Recovery writes queues without syncing them.
        shared.queues.for_each(|queue| {
            if queue.is_dirty() {
                shared.queues.due().written(Arc::clone(queue));
            }
        });
        // What recovery read may be in the page cache only. After a crash it may be much, and the worker's first turn syncs
        // it; but where messages are acknowledged only when they are durable, the store opens durable.
        shared.log.flushed.reset(recovered.start);
        if report.clean || matches!(shared.options.flush, FlushMode::Sync { .. }) {
            shared.flush_log()?;
            shared.log.flushed.advance(report.log_end);
        }
        let workers = flush::start(&shared)
            .map_err(StoreError::io("start workers for", shared.layout.dir()))?;
        let store = Self {
            shared,
            workers: Mutex::new(workers),
            lock: Mutex::new(Some(lock)),
        };
        Ok((Arc::new(store), report))
    }

    /// A group for one connection.
    pub fn append_group(&self) -> AppendGroup {
        let shared = &*self.shared;
        let dispatches = shared.options.dispatches_to_light_queues();
        AppendGroup::new(
            shared.options.message_max,
            shared.writer.record_max(),
            shared.options.index_enabled,
            dispatches.then(|| Arc::clone(&shared.queues)),
        )
    }

    /// Appends the whole group, or nothing of it.
    pub fn append(&self, group: &mut AppendGroup) -> Result<(), AppendError> {
        let shared = &*self.shared;
        if let Some(refusal) = shared.gate.refusal() {
            return Err(refusal.into());
        }
        if group.is_empty() {
            return Ok(());
        }
        shared.writer.append(group, &shared.queues)?;
        if self.must_wait_for_flush() {
            shared.flush_signal.notify();
        }
        shared.rouse();
        Ok(())
    }

    /// Why no messages are taken at the moment, if so.
    pub fn write_refusal(&self) -> Option<WriteRefusal> {
        self.shared.gate.refusal()
    }

    /// Whether an acknowledgement has to wait until [`Store::flushed`] has passed the group's end.
    pub fn must_wait_for_flush(&self) -> bool {
        matches!(self.shared.options.flush, FlushMode::Sync { .. })
    }

    /// How the store was opened.
    pub fn options(&self) -> &StoreOptions {
        &self.shared.options
    }

    /// How far the log is written.
    pub fn appended(&self) -> &Watermark {
        &self.shared.log.appended
    }

    /// How far the log is on the disk.
    pub fn flushed(&self) -> &Watermark {
        &self.shared.log.flushed
    }

    /// A queue, made when it is not there yet.
    pub fn queue(&self, topic: &TopicName, id: QueueId) -> Arc<Queue> {
        self.shared.queues.queue(topic, id)
    }

    /// A queue, made as a batch queue when it is not there yet.
    pub(crate) fn batch_queue(&self, topic: &TopicName, id: QueueId) -> Arc<Queue> {
        self.shared.queues.batch_queue(topic, id)
    }

    /// A queue that is there.
    pub fn find_queue(&self, topic: &str, id: QueueId) -> Option<Arc<Queue>> {
        self.shared.queues.find(topic, id)
    }

    /// All queues, ordered by topic and number.
    pub fn queues(&self) -> Vec<Arc<Queue>> {
        self.shared.queues.all()
    }

    /// Follows the retention settings of `options` from now on; the others stay as they were opened with.
    pub(crate) fn set_retention(&self, options: &StoreOptions) {
        *self.shared.retention.lock() = options.clone();
    }

    /// Deletes log files past their time, whatever the hour, and what points to them.
    pub(crate) fn delete_expired(&self) {
        self.shared.delete_expired();
    }

    /// Deletes queue and index files that point only to messages that are gone.
    pub(crate) fn delete_pointless_files(&self) {
        self.shared.delete_pointless_files();
    }

    /// Deletes a topic's queues. Its messages stay in the log until retention gets to them. Appends wait meanwhile; what
    /// is appended to the topic after that goes to new queues.
    pub fn delete_topic(&self, topic: &TopicName) -> Result<(), StoreError> {
        let shared = &*self.shared;
        shared.writer.pause(|| {
            let mut result = Ok(());
            for queue in shared.queues.remove_topic(topic.as_str()) {
                // All of them are out of the table, so all of them must go.
                let destroyed = queue
                    .destroy()
                    .map_err(StoreError::io("delete the queue in", queue.dir()));
                result = result.and(destroyed);
            }
            shared.topic_gone.store(true, Ordering::SeqCst);
            shared.keeper_signal.notify();
            result
        })
    }

    /// The store's directory.
    pub fn layout(&self) -> &Layout {
        &self.shared.layout
    }

    /// Figures for the broker's runtime information.
    pub fn runtime_figures(&self) -> RuntimeFigures {
        let shared = &*self.shared;
        let (messages_appended, bytes_appended) = shared.writer.counted();
        let log_min = shared.log.min();
        RuntimeFigures {
            messages_appended,
            bytes_appended,
            log_min,
            log_end: shared.log.appended.get(),
            log_flushed: shared.log.flushed.get(),
            dispatched: shared.dispatcher.lock().at,
            disk_used_ratio: platform::disk_space(shared.layout.dir())
                .map_or(0.0, platform::DiskSpace::used_ratio),
            earliest_timestamp_ms: shared
                .log
                .record_at(log_min)
                .and_then(|first| Some(Record::parse(first.as_ref()).ok()?.store_timestamp))
                .unwrap_or(0),
        }
    }

    /// Stops the workers, makes everything durable and leaves the directory as after a clean stop. Blocks. A store
    /// that is dropped without this looks like one after a crash.
    pub fn shutdown(&self) -> Result<(), StoreError> {
        let Some(lock) = self.lock.lock().take() else {
            return Ok(());
        };
        let shared = &*self.shared;
        shared.gate.close(Reason::ShuttingDown, String::new());
        for mut worker in self.workers.lock().drain(..) {
            worker.stop();
        }
        let kept = shared.checkpoint();
        let flushed = shared.log.flushed.get() >= shared.log.appended.get();
        if kept.is_ok() && flushed && !shared.gate.is_closed_for(Reason::Broken) {
            lock::end_running(&shared.layout)?;
        }
        drop(lock);
        kept
    }
}

fn read_checkpoint(layout: &Layout) -> Result<Checkpoint, StoreError> {
    let path = layout.checkpoint();
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Checkpoint::decode(&bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Checkpoint::default()),
        Err(error) => Err(StoreError::io("read", &path)(error)),
    }
}
