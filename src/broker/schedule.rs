//! Delayed messages: stored in the schedule topic, one queue per delay level, and put into their own topic when due.
//!
//! A queue entry of the schedule topic holds the time of delivery where others hold the tag hash. One task reads the
//! queues in order, delivers what is due, and sleeps until the next message is, or until a new one arrives. Progress is
//! kept in `delayOffset.json`; what was delivered after the last save is delivered again after a crash, as with Apache.
//!
//! Lock order: leaf.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;

use super::Broker;
use super::kept::{self, Form, Kept};
use super::topics::next_version;
use crate::base::{LogOffset, QueueId, TopicName};
use crate::message::{Record, names};
use crate::protocol::body::offset::{DelayOffsetSerializeWrapper, QueueOffsets};
use crate::protocol::fastjson;
use crate::store::{Queue, Store};

/// Messages delivered as one append.
const BATCH_MAX: usize = 64;
/// After a refused append (a full disk, for one) the level is tried again after this.
const RETRY_MS: i64 = 1_000;

/// How far each level has been delivered.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    file: DelayOffsetSerializeWrapper,
    /// As much of it as the file may say: what was delivered so far is on the disk.
    durable: DelayOffsetSerializeWrapper,
    changes: u64,
}

impl Progress {
    fn restore(file: DelayOffsetSerializeWrapper) -> Self {
        Self {
            durable: file.clone(),
            file,
            changes: 0,
        }
    }

    fn set(&mut self, level: i32, offset: i64, now_ms: i64) {
        if self.file.offset_table.insert(level, offset) != Some(offset) {
            next_version(&mut self.file.data_version, now_ms);
        }
    }

    /// The log is on the disk as far as it was when `file` was taken from here.
    fn became_durable(&mut self, file: DelayOffsetSerializeWrapper) {
        if self.durable != file {
            self.durable = file;
            self.changes += 1;
        }
    }
}

/// The delay levels and their progress.
pub(crate) struct Schedule {
    levels_ms: Vec<i64>,
    progress: Kept<Progress>,
    arrived: Notify,
}

impl Schedule {
    pub(crate) fn new(
        path: PathBuf,
        file: DelayOffsetSerializeWrapper,
        levels_ms: Vec<i64>,
    ) -> Self {
        let form = Form {
            changes: |progress: &Progress| progress.changes,
            encode: |progress: &Progress| fastjson::to_file(&progress.durable).unwrap_or_default(),
            line_since: kept::whole,
        };
        Self {
            levels_ms,
            progress: Kept::new(path, Progress::restore(file), form),
            arrived: Notify::new(),
        }
    }

    /// The level a message gets that asks for `wanted`, which is at least 1.
    pub(crate) fn level(&self, wanted: i32) -> u32 {
        let top = u32::try_from(self.levels_ms.len()).unwrap_or(u32::MAX);
        u32::try_from(wanted).unwrap_or(1).clamp(1, top.max(1))
    }

    /// Takes over how far the master of this slave has delivered.
    pub(crate) fn follow(&self, master: DelayOffsetSerializeWrapper, now_ms: i64) {
        self.progress.with(|progress| {
            for (level, offset) in master.offset_table {
                progress.set(level, offset, now_ms);
            }
            progress.file.data_version = master.data_version;
        });
    }

    /// A message was stored in the schedule topic.
    pub(crate) fn ring(&self) {
        self.arrived.notify_one();
    }

    /// Writes the progress if it changed, as far as the messages delivered are on the disk: after a power cut a message
    /// may come twice, but none is missing. Blocks.
    pub(crate) fn keep(&self, store: &Store) {
        let reached = self.progress.with(|progress| progress.file.clone());
        if self.progress.with(|progress| progress.durable == reached) {
            return self.progress.keep();
        }
        match store.flush() {
            Ok(()) => self
                .progress
                .with(|progress| progress.became_durable(reached)),
            Err(error) => tracing::warn!("the progress of delayed messages is not saved: {error}"),
        }
        self.progress.keep();
    }

    /// The file's content as it would be written now.
    pub(crate) fn encoded(&self) -> Vec<u8> {
        self.progress
            .with(|progress| fastjson::to_file(&progress.file).unwrap_or_default())
    }

    /// How far each level has been delivered.
    pub(crate) fn offsets(&self) -> QueueOffsets {
        self.progress
            .with(|progress| progress.file.offset_table.clone())
    }
}

/// Delivers for as long as the broker runs.
pub(crate) async fn run(broker: Arc<Broker>) {
    loop {
        let now_ms = broker.clock.now_ms();
        let next_ms = step(&broker, now_ms);
        let arrived = broker.schedule.arrived.notified();
        match next_ms {
            Some(next_ms) => tokio::select! {
                biased;
                () = arrived => {}
                () = broker.clock.sleep_until(next_ms) => {}
            },
            None => arrived.await,
        }
    }
}

/// Delivers what is due in every level. Returns when the next message is.
fn step(broker: &Arc<Broker>, now_ms: i64) -> Option<i64> {
    let mut next_ms: Option<i64> = None;
    for (level, delay_ms) in (1_i32..).zip(&broker.schedule.levels_ms) {
        let queue_id = QueueId::from_wire(level - 1).unwrap_or_default();
        let Some(queue) = broker.store.find_queue(names::SCHEDULE_TOPIC, queue_id) else {
            continue;
        };
        let due = deliver_level(broker, &queue, level, *delay_ms, now_ms);
        next_ms = match (next_ms, due) {
            (Some(next), Some(due)) => Some(next.min(due)),
            (next, due) => next.or(due),
        };
    }
    next_ms
}

fn deliver_level(
    broker: &Arc<Broker>,
    queue: &Arc<Queue>,
    level: i32,
    delay_ms: i64,
    now_ms: i64,
) -> Option<i64> {
    let (min, max) = (queue.min_offset().to_wire(), queue.max_offset().to_wire());
    let saved = broker
        .schedule
        .progress
        .with(|progress| progress.file.offset_table.get(&level).copied());
    let mut at = saved.unwrap_or(0).clamp(min, max.max(min));
    let mut next_due = None;
    while at < max {
        let mut batch = Vec::new();
        while at < max && batch.len() < BATCH_MAX {
            let entry = u64::try_from(at).ok().and_then(|at| queue.entry(at));
            if let Some(entry) = entry {
                // A clock that was set back must not hold messages longer than their delay.
                let due_ms = entry.tags_code.min(now_ms.saturating_add(delay_ms));
                if due_ms > now_ms {
                    next_due = Some(due_ms);
                    break;
                }
                batch.extend(LogOffset::from_wire(entry.log_offset));
            }
            at += 1;
        }
        if batch.is_empty() {
            break;
        }
        if !deliver(broker, &batch) {
            return Some(now_ms + RETRY_MS);
        }
        note_progress(broker, level, at, now_ms);
        if next_due.is_some() {
            break;
        }
    }
    note_progress(broker, level, at, now_ms);
    next_due
}

fn note_progress(broker: &Broker, level: i32, offset: i64, now_ms: i64) {
    broker
        .schedule
        .progress
        .with(|progress| progress.set(level, offset, now_ms));
}

/// Puts messages into their own topics; `false` if the store takes nothing now.
fn deliver(broker: &Arc<Broker>, records: &[LogOffset]) -> bool {
    let mut group = broker.store.append_group();
    let mut touched: Vec<(TopicName, QueueId)> = Vec::new();
    for at in records {
        let Some(slice) = broker.store.record_at(*at) else {
            continue;
        };
        let Ok(record) = Record::parse(slice.as_ref()) else {
            tracing::warn!(%at, "a delayed message cannot be read and is left out");
            continue;
        };
        let Some((topic, queue_id)) = destination(&record) else {
            tracing::warn!(%at, "a delayed message does not say where it belongs and is left out");
            continue;
        };
        let queue = broker.queue(&topic, queue_id);
        let draft = record.draft_for(
            topic.as_str(),
            queue_id.to_wire(),
            record.properties.as_bytes(),
        );
        match group.push(&draft, &queue) {
            Ok(_) => touched.push((topic, queue_id)),
            Err(error) => tracing::warn!(%at, "a delayed message cannot be stored: {error}"),
        }
    }
    if group.is_empty() {
        return true;
    }
    if let Err(error) = broker.store.append(&mut group) {
        tracing::warn!("delayed messages wait: {error}");
        return false;
    }
    touched.sort_unstable();
    touched.dedup();
    for (topic, queue_id) in touched {
        if topic.is_retry() {
            broker.invite(&topic, queue_id);
        }
        broker.wake(&topic, queue_id);
    }
    true
}

fn destination(record: &Record<'_>) -> Option<(TopicName, QueueId)> {
    let topic = record.properties.get(names::REAL_TOPIC)?;
    let queue: i32 = record.properties.get(names::REAL_QID)?.parse().ok()?;
    Some((TopicName::stored(topic), QueueId::from_wire(queue)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_beyond_the_last_are_the_last() {
        let schedule = Schedule::new(
            PathBuf::new(),
            DelayOffsetSerializeWrapper::default(),
            vec![1_000; 18],
        );
        assert_eq!(schedule.level(1), 1);
        assert_eq!(schedule.level(18), 18);
        assert_eq!(schedule.level(99), 18);
    }

    #[test]
    fn progress_moves_the_version() {
        let mut progress = Progress::default();
        progress.set(3, 1, 10);
        progress.set(3, 1, 11);
        assert_eq!(progress.file.data_version.counter, 1);
        assert_eq!(progress.file.offset_table[&3], 1);
    }

    #[test]
    fn the_file_says_what_is_durable_and_no_more() {
        let mut progress = Progress::default();
        progress.set(3, 5, 10);
        assert_eq!(progress.changes, 0);
        let reached = progress.file.clone();
        progress.set(3, 9, 11);
        progress.became_durable(reached);
        assert_eq!(progress.changes, 1);
        assert_eq!(progress.durable.offset_table[&3], 5);
        assert_eq!(progress.file.offset_table[&3], 9);
    }
}
