//! Puts messages nobody acknowledged in time into the group's retry topic.
//!
//! One task reads the records of the revive topic as they are stored, keeps the open check points of each revive queue
//! ([`Pending`]), and sleeps until the next is due. How far all check points are finished is the offset of Apache's revive
//! group; a restart reads on from there. With the messages it revives it stores, in the same append, an acknowledgement
//! of them: after a crash they are not revived again.
//!
//! Lock order: the state is locked during a step, before everything a step asks.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::handle::{normal_topic, retry_topic};
use super::journal::{self, Batch};
use super::pending::Pending;
use super::records::{ACK_TAG, Ack, BATCH_ACK_TAG, CK_TAG, CheckPoint, REVIVE_GROUP};
use super::{RETRY_MS, order::Place};
use crate::base::ids::RETRY_PREFIX;
use crate::base::{LogOffset, QueueId, QueueOffset, TopicName};
use crate::broker::Broker;
use crate::broker::topics::{PERM_READ, PERM_WRITE};
use crate::message::{Draft, PropertiesBuf, Record, names};
use crate::store::{GetStatus, LogSlice, ReadLimits};

/// Records read at a time.
const READ: ReadLimits = ReadLimits {
    messages: 256,
    bytes: 1 << 20,
};
/// New records are read together, after this: nobody waits for them but the next deadline.
const GATHER: Duration = Duration::from_millis(10);
/// How often entries of gone topics and groups are looked for.
const CLEAN_MS: i64 = 60_000;

/// The state of the task.
#[derive(Default)]
pub(crate) struct Revival {
    queues: Mutex<Vec<Pending>>,
    rung: Notify,
}

impl Revival {
    /// Something was stored in the revive topic, or a check point was put into the buffer.
    pub(crate) fn ring(&self) {
        self.rung.notify_one();
    }

    /// How many check points are open.
    #[cfg(test)]
    pub(crate) fn open(&self) -> usize {
        self.queues.lock().iter().map(Pending::len).sum()
    }
}

/// Reads the revive topic from where the last broker on the directory finished. After a crash the check points also say
/// how far queues were handed out, in case the offsets were not saved any more.
pub(crate) fn restore(broker: &Broker, clean: bool) {
    let topic = broker.pop.revive_topic.clone();
    let mut queues = Vec::new();
    for revive_queue in 0..broker.pop.queues_to_read() {
        let finished = broker
            .offsets
            .with(|offsets| offsets.query(topic.as_str(), REVIVE_GROUP, revive_queue));
        queues.push(Pending::starting_at(
            finished.map_or(0, |finished| finished.saturating_add(1)),
        ));
    }
    let mut points: Vec<(Place, i64, i64)> = Vec::new();
    for (revive_queue, pending) in (0..).zip(&mut queues) {
        read(broker, revive_queue, pending, |point| {
            if !clean {
                let place = Place {
                    topic: point.topic.clone(),
                    group: point.group.clone(),
                    queue_id: point.queue_id,
                };
                points.push((place, point.start_offset, point.end_offset()));
            }
        });
    }
    *broker.pop.revival.queues.lock() = queues;
    // The check points of one queue are spread over all revive queues.
    points.sort_unstable();
    for (place, start, end) in points {
        move_past(broker, &place, start, end);
    }
}

/// Moves the group's offset past the messages of a check point that begins where the group is, or before.
fn move_past(broker: &Broker, place: &Place, start: i64, end: i64) {
    let at = broker.popped_to(place).unwrap_or(0);
    if (start..end).contains(&at) {
        broker.commit_popped(place, end);
    }
}

/// Revives for as long as the broker runs.
pub(crate) async fn run(broker: Arc<Broker>) {
    let mut clean_ms = broker.clock.now_ms();
    loop {
        let now_ms = broker.clock.now_ms();
        if now_ms >= clean_ms {
            broker.clean_orders(now_ms);
            clean_ms = now_ms.saturating_add(CLEAN_MS);
        }
        let next_ms = step(&broker, now_ms).unwrap_or(clean_ms).min(clean_ms);
        tokio::select! {
            biased;
            () = broker.pop.revival.rung.notified() => tokio::time::sleep(GATHER).await,
            () = broker.clock.sleep_until(next_ms) => {}
        }
    }
}

/// Does everything that is due. Returns when there is more to do.
pub(crate) fn step(broker: &Arc<Broker>, now_ms: i64) -> Option<i64> {
    let buffered_ms = broker.store_check_points(now_ms);
    let mut next_ms = buffered_ms;
    let mut queues = broker.pop.revival.queues.lock();
    for (revive_queue, pending) in (0..).zip(queues.iter_mut()) {
        let due_ms = step_queue(broker, revive_queue, pending, now_ms);
        next_ms = match (next_ms, due_ms) {
            (Some(next), Some(due)) => Some(next.min(due)),
            (next, due) => next.or(due),
        };
    }
    next_ms
}

fn step_queue(
    broker: &Arc<Broker>,
    revive_queue: i32,
    pending: &mut Pending,
    now_ms: i64,
) -> Option<i64> {
    read(broker, revive_queue, pending, |_| {});
    let mut next_ms = None;
    while let Some((at, point)) = pending.due(now_ms) {
        if !revive(broker, revive_queue, point) {
            next_ms = Some(now_ms.saturating_add(RETRY_MS));
            break;
        }
        pending.remove(at);
    }
    while let Some((at, point)) = pending.held_back() {
        let Some(to) = write_again(broker, revive_queue, point) else {
            break;
        };
        pending.moved(at, to);
    }
    let topic = broker.pop.revive_topic.as_str();
    let finished = pending.finished();
    broker.offsets.with(|offsets| {
        let known = offsets.query(topic, REVIVE_GROUP, revive_queue);
        if finished > known.unwrap_or(-1) {
            offsets.commit(topic, REVIVE_GROUP, revive_queue, finished);
        }
    });
    next_ms.or_else(|| pending.next_due_ms())
}

/// Reads the records that were not read yet.
fn read(
    broker: &Broker,
    revive_queue: i32,
    pending: &mut Pending,
    mut seen: impl FnMut(&CheckPoint),
) {
    let topic = broker.pop.revive_topic.as_str();
    let queue_id = QueueId::from_wire(revive_queue).unwrap_or_default();
    let Some(queue) = broker.store.find_queue(topic, queue_id) else {
        return;
    };
    loop {
        let from = QueueOffset::from_wire(pending.next()).unwrap_or(QueueOffset::ZERO);
        let found = broker.store.get(&queue, from, READ, |_| true);
        match found.status {
            GetStatus::OffsetOverflowOne | GetStatus::NoMessageInQueue => return,
            GetStatus::OffsetOverflowBadly => {
                // A crash took records that were counted already; the next one is stored at the end.
                *pending = Pending::starting_at(found.max.to_wire());
                return;
            }
            _ => {}
        }
        for slice in &found.slices {
            for_each_record(slice, |record| {
                if let Some(ack) = apply(pending, record, &mut seen) {
                    note_again(broker, revive_queue, &ack);
                }
            });
        }
        if found.next.to_wire() <= pending.next() {
            return;
        }
        pending.read_to(found.next.to_wire());
    }
}

/// Writes down what a check point that was written again does not know.
fn note_again(broker: &Broker, revive_queue: i32, ack: &Ack) {
    if let Err(error) = journal::write(broker, |batch| batch.ack(revive_queue, ack)) {
        tracing::warn!("acknowledged messages may come again: {error}");
    }
}

/// Hands out the records of a stretch of the log.
pub(crate) fn for_each_record(slice: &LogSlice, mut each: impl FnMut(&Record<'_>)) {
    let mut rest = slice.as_ref();
    while let Ok(record) = Record::parse(rest) {
        each(&record);
        rest = rest.get(record.size as usize..).unwrap_or_default();
    }
}

fn apply(
    pending: &mut Pending,
    record: &Record<'_>,
    seen: &mut impl FnMut(&CheckPoint),
) -> Option<Ack> {
    let ignored = |error: serde_json::Error| {
        tracing::warn!(
            offset = record.queue_offset,
            "a record of the revive topic makes no sense: {error}"
        );
    };
    match record.properties.get(names::TAGS) {
        Some(CK_TAG) => {
            let point: CheckPoint = serde_json::from_slice(record.body).map_err(ignored).ok()?;
            seen(&point);
            let key = point.key();
            let unwritten = pending.check_point(record.queue_offset, point);
            (!unwritten.is_empty()).then(|| Ack::several(key, unwritten))
        }
        Some(ACK_TAG | BATCH_ACK_TAG) => {
            let ack: Ack = serde_json::from_slice(record.body).map_err(ignored).ok()?;
            pending.acknowledge(&ack);
            None
        }
        _ => None,
    }
}

fn write_again(broker: &Broker, revive_queue: i32, point: &CheckPoint) -> Option<i64> {
    let mut batch = Batch::new(broker);
    batch.check_point(revive_queue, point);
    let group = batch.store().ok()?;
    Some(group.appended(0)?.queue_offset.to_wire())
}

/// Puts the messages of a check point that nobody acknowledged into the retry topic. `false`: the store takes nothing
/// now, and it has to be tried again.
fn revive(broker: &Arc<Broker>, revive_queue: i32, point: &CheckPoint) -> bool {
    let group_known = broker
        .group_map
        .load()
        .groups
        .contains_key(point.group.as_str());
    if !group_known
        || broker
            .topic(normal_topic(&point.topic, &point.group))
            .is_none()
    {
        tracing::info!(
            topic = point.topic,
            group = point.group,
            "gone: nothing is revived"
        );
        return true;
    }
    let retry = if point.topic.starts_with(RETRY_PREFIX) {
        TopicName::stored(&point.topic)
    } else {
        let second = broker.options.load().enable_retry_topic_v2;
        TopicName::stored(&retry_topic(&point.topic, &point.group, second))
    };
    let mut batch = Batch::new(broker);
    let mut revived = Vec::new();
    for offset in point.open_offsets() {
        // What retention removed meanwhile is gone.
        let Some(slice) = stored_at(broker, point, offset) else {
            continue;
        };
        let Ok(record) = Record::parse(slice.as_ref()) else {
            tracing::warn!(
                topic = point.topic,
                offset,
                "a popped message cannot be read"
            );
            continue;
        };
        if again(broker, &mut batch, point, &record, &retry) {
            revived.push(offset);
        }
    }
    if revived.is_empty() {
        return true;
    }
    ensure_retry_topic(broker, &retry, &point.group);
    let count = revived.len() as u64;
    batch.ack(revive_queue, &Ack::several(point.key(), revived));
    if let Err(error) = batch.store() {
        tracing::warn!("popped messages wait to be revived: {error}");
        return false;
    }
    broker.stats.put.add(count);
    broker.wake(&retry, QueueId::new(0));
    true
}

fn ensure_retry_topic(broker: &Broker, retry: &TopicName, group: &str) {
    if broker.topic(retry.as_str()).is_some() {
        return;
    }
    broker.ensure_topic(retry, 1, PERM_READ | PERM_WRITE, false, 0);
    broker.offsets.with(|offsets| {
        if offsets.query(retry.as_str(), group, 0).is_none() {
            offsets.commit(retry.as_str(), group, 0, 0);
        }
    });
}

fn stored_at(broker: &Broker, point: &CheckPoint, offset: i64) -> Option<LogSlice> {
    let queue_id = QueueId::from_wire(point.queue_id)?;
    let queue = broker.store.find_queue(&point.topic, queue_id)?;
    let entry = queue.entry(u64::try_from(offset).ok()?)?;
    broker
        .store
        .record_at(LogOffset::from_wire(entry.log_offset)?)
}

/// Adds a message's next delivery to the batch.
fn again(
    broker: &Broker,
    batch: &mut Batch<'_>,
    point: &CheckPoint,
    record: &Record<'_>,
    retry: &TopicName,
) -> bool {
    let mut properties = PropertiesBuf::from(record.properties);
    // The place it had in a batch queue; the retry topic's queues are simple ones.
    properties.remove(names::INNER_NUM);
    properties.remove(names::INNER_BASE);
    if record.reconsume_times == 0 || properties.get(names::FIRST_POP_TIME).is_none() {
        properties.set(names::FIRST_POP_TIME, point.pop_time.to_string());
    }
    properties.set(names::ORIGIN_GROUP, point.group.as_str());
    let properties = properties.to_wire();
    let attempt = i32::from(!point.suspend);
    let draft = Draft {
        topic: retry.as_str(),
        queue_id: 0,
        flag: record.flag,
        sys_flag: record.sys_flag,
        born_timestamp: record.born_timestamp,
        born_host: broker.store_host,
        store_host: broker.store_host,
        reconsume_times: record.reconsume_times.saturating_add(attempt),
        prepared_transaction_offset: 0,
        body: record.body,
        properties: &properties,
    };
    let queue_id = QueueId::new(0);
    // The two properties may be what makes them too many; the message matters more.
    let plain = Draft {
        properties: record.properties.as_bytes(),
        ..draft
    };
    batch.message(retry, queue_id, &draft) || batch.message(retry, queue_id, &plain)
}
