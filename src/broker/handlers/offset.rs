//! Consumer offsets (14, 15) and where things are in a queue (29, 30, 31, 32).

use std::sync::Arc;

use super::{Answer, Refusal, Request, success};
use crate::base::QueueId;
use crate::broker::Broker;
use crate::protocol::codes::ResponseCode;
use crate::protocol::command::Command;
use crate::protocol::header::pull::{
    QueryConsumerOffsetRequestHeader, QueryConsumerOffsetResponseHeader,
    UpdateConsumerOffsetRequestHeader,
};
use crate::protocol::header::queue::{
    BoundaryType, GetEarliestMsgStoretimeRequestHeader, GetEarliestMsgStoretimeResponseHeader,
    GetMaxOffsetRequestHeader, GetMaxOffsetResponseHeader, GetMinOffsetRequestHeader,
    SearchOffsetRequestHeader,
};
use crate::store::{Boundary, Queue};

/// Percent of the machine's memory that count as holding the end of the log (`accessMessageInMemoryMaxRatio`).
const MEMORY_SHARE: u64 = 40;

/// A queue of the store, if it has ever had a message.
pub(crate) fn find_queue(broker: &Broker, topic: &str, queue_id: i32) -> Option<Arc<Queue>> {
    broker
        .store
        .find_queue(topic, QueueId::from_wire(queue_id)?)
}

/// The first offset of a queue; 0 where there is none.
pub(crate) fn min_of(broker: &Broker, topic: &str, queue_id: i32) -> i64 {
    find_queue(broker, topic, queue_id).map_or(0, |queue| queue.min_offset().to_wire())
}

/// The offset a queue's next message will get; 0 where there is none.
pub(crate) fn max_of(broker: &Broker, topic: &str, queue_id: i32) -> i64 {
    find_queue(broker, topic, queue_id).map_or(0, |queue| queue.max_offset().to_wire())
}

/// `QUERY_CONSUMER_OFFSET`.
pub(crate) fn query(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: QueryConsumerOffsetRequestHeader<'_> = request.header()?;
    let (topic, queue_id) = (header.topic, header.queue_id);
    let known = broker
        .offsets
        .with(|offsets| offsets.query(topic, header.consumer_group, queue_id));
    // A negative offset can be committed, and means that there is none.
    if let Some(offset) = known.filter(|offset| *offset >= 0) {
        return Ok(with_offset(offset));
    }
    let not_found = |remark: &str| Err(Refusal::new(ResponseCode::QUERY_NOT_FOUND, remark));
    if header.set_zero_if_not_found == Some(false) {
        return not_found("Not found, do not set to zero, maybe this group boot first");
    }
    // A group that begins on a queue whose first message is still there starts with that message.
    if min_of(broker, topic, queue_id) <= 0 && first_is_in_reach(broker, topic, queue_id) {
        return Ok(with_offset(0));
    }
    not_found("Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first")
}

/// Whether offset 0 is there and so near the end of the log that Apache takes it to be in memory.
fn first_is_in_reach(broker: &Broker, topic: &str, queue_id: i32) -> bool {
    let Some(first) = find_queue(broker, topic, queue_id).and_then(|queue| queue.entry(0)) else {
        return false;
    };
    let end = broker.store.appended().get();
    let behind = u64::try_from(first.log_offset).map_or(0, |at| end.saturating_sub(at));
    behind <= broker.memory_bytes / 100 * MEMORY_SHARE
}

fn with_offset(offset: i64) -> Command {
    success().with_header(&QueryConsumerOffsetResponseHeader { offset })
}

/// `UPDATE_CONSUMER_OFFSET`.
pub(crate) fn update(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: UpdateConsumerOffsetRequestHeader<'_> = request.header()?;
    let (topic, group) = (header.topic, header.consumer_group);
    if !broker.group_map.load().groups.contains_key(group) && !broker.is_light(group) {
        return Err(Refusal::new(
            ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            format!("Group {group} not exist!"),
        ));
    }
    if broker.topic(topic).is_none() {
        return Err(Refusal::new(
            ResponseCode::TOPIC_NOT_EXIST,
            format!("Topic {topic} not exist!"),
        ));
    }
    if !may_have_queue(broker, topic, header.queue_id) {
        // Apache remembers these offsets for ever; a client could fill its memory with them.
        return Ok(success().with_remark(format!("Topic {topic} has no queue {}", header.queue_id)));
    }
    let use_resets = broker.options.load().use_server_side_reset_offset;
    broker.offsets.with(|offsets| {
        if use_resets && offsets.reset_pending(topic, group, header.queue_id) {
            return Ok(success().with_remark("Offset has been previously reset"));
        }
        let before = offsets.commit(topic, group, header.queue_id, header.commit_offset);
        if let Some(before) = before {
            tracing::debug!(
                topic,
                group,
                queue = header.queue_id,
                "offset goes back from {before} to {}",
                header.commit_offset
            );
        }
        Ok(success())
    })
}

/// Whether the topic has the queue or ever had it.
fn may_have_queue(broker: &Broker, topic: &str, queue_id: i32) -> bool {
    let queues = broker
        .topic(topic)
        .map_or(0, |topic| topic.read_queue_nums.max(topic.write_queue_nums));
    (0..queues).contains(&queue_id) || find_queue(broker, topic, queue_id).is_some()
}

/// `SEARCH_OFFSET_BY_TIMESTAMP`.
pub(crate) fn search(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: SearchOffsetRequestHeader<'_> = request.header()?;
    let boundary = match header.boundary_type {
        Some(BoundaryType::Upper) => Boundary::Upper,
        _ => Boundary::Lower,
    };
    Ok(with_offset(by_time(
        broker,
        header.topic,
        header.queue_id,
        header.timestamp,
        boundary,
    )))
}

/// The offset that stands for a time in a queue.
pub(crate) fn by_time(
    broker: &Broker,
    topic: &str,
    queue_id: i32,
    timestamp_ms: i64,
    boundary: Boundary,
) -> i64 {
    find_queue(broker, topic, queue_id).map_or(0, |queue| {
        let offset = broker.store.offset_by_time(&queue, timestamp_ms, boundary);
        offset.to_wire()
    })
}

/// `GET_MAX_OFFSET`.
pub(crate) fn max(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: GetMaxOffsetRequestHeader<'_> = request.header()?;
    let offset = max_of(broker, header.topic, header.queue_id);
    Ok(success().with_header(&GetMaxOffsetResponseHeader { offset }))
}

/// `GET_MIN_OFFSET`.
pub(crate) fn min(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: GetMinOffsetRequestHeader<'_> = request.header()?;
    Ok(with_offset(min_of(broker, header.topic, header.queue_id)))
}

/// `GET_EARLIEST_MSG_STORETIME`.
pub(crate) fn earliest_time(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: GetEarliestMsgStoretimeRequestHeader<'_> = request.header()?;
    let timestamp = find_queue(broker, header.topic, header.queue_id)
        .and_then(|queue| broker.store.store_time(&queue, queue.min_offset()))
        .unwrap_or(-1);
    Ok(success().with_header(&GetEarliestMsgStoretimeResponseHeader { timestamp }))
}
