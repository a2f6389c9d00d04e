//! `ACK_MESSAGE` (200051) and `BATCH_ACK_MESSAGE` (200151).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{Target, check_message, range, wake_group};
use crate::base::LogOffset;
use crate::broker::Broker;
use crate::broker::handlers::{Refusal, Request, success};
use crate::broker::pop::handle::{Handle, HandleError, ORDER_REVIVE_QUEUE, retry_topic};
use crate::broker::pop::order::{Commit, Place};
use crate::broker::pop::records::{Ack, Key, MESSAGES_MAX};
use crate::broker::refusal::append_refusal;
use crate::broker::stats::StatsName;
use crate::protocol::codes::ResponseCode;
use crate::protocol::header::pop::AckMessageRequestHeader;
use crate::store::AppendError;

/// The body of 200151.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct BatchAckBody {
    broker_name: String,
    acks: Vec<BatchAck>,
}

/// Acknowledged messages of one check point.
#[derive(Debug, Deserialize)]
struct BatchAck {
    #[serde(rename = "c", alias = "consumerGroup")]
    group: String,
    #[serde(rename = "t", alias = "topic")]
    topic: String,
    /// 0: the topic itself, 1 or 2: its retry topic.
    #[serde(rename = "r", alias = "retry")]
    retry: String,
    #[serde(rename = "so", alias = "startOffset")]
    start_offset: i64,
    #[serde(rename = "q", alias = "queueId")]
    queue_id: i32,
    #[serde(rename = "rq", alias = "reviveQueueId")]
    revive_queue: i32,
    #[serde(rename = "pt", alias = "popTime")]
    pop_time: i64,
    #[serde(rename = "it", alias = "invisibleTime")]
    invisible_time: i64,
    /// The distances from the start, as a Java `BitSet` in base64.
    #[serde(rename = "b", alias = "bitSet")]
    bits: String,
}

impl From<HandleError> for Refusal {
    fn from(error: HandleError) -> Self {
        Self::error(error.to_string())
    }
}

/// A handle that names a revive queue that is not there was not made by this broker.
pub(super) fn check_revive_queue(broker: &Broker, revive_queue: i32) -> Result<(), Refusal> {
    if broker.pop.has_revive_queue(revive_queue) {
        return Ok(());
    }
    Err(Refusal::new(
        ResponseCode::MESSAGE_ILLEGAL,
        format!("the receipt handle is illegal: there is no revive queue {revive_queue}"),
    ))
}

pub(super) fn refused(broker: &Broker, error: &AppendError) -> Refusal {
    append_refusal(error, &broker.options.load())
}

/// Answers when the records of it are safe: the consumer will not come back to the message then.
fn answer(
    broker: &Arc<Broker>,
    request: &Request<'_, '_>,
    acknowledged: Result<Option<LogOffset>, Refusal>,
) {
    match acknowledged {
        Ok(end) => broker.answer_when_safe(request, end, success()),
        Err(refusal) => request.answer(refusal.into()),
    }
}

/// `ACK_MESSAGE`.
pub(crate) fn one(broker: &Arc<Broker>, request: &Request<'_, '_>) {
    answer(broker, request, try_one(broker, request));
}

fn try_one(broker: &Arc<Broker>, request: &Request<'_, '_>) -> Result<Option<LogOffset>, Refusal> {
    let header: AckMessageRequestHeader<'_> = request.header()?;
    let target = Target {
        topic: header.topic,
        group: header.consumer_group,
        queue_id: header.queue_id,
        peer: request.channel.peer(),
    };
    check_message(broker, &target, header.offset, true)?;
    let handle = Handle::parse(header.extra_info)?;
    let place = Place {
        topic: header.topic.to_owned(),
        group: header.consumer_group.to_owned(),
        queue_id: header.queue_id,
    };
    if handle.is_order() {
        let popped = InOrder {
            place,
            pop_time: handle.pop_time,
            invisible_time: handle.invisible_time,
        };
        popped.acknowledge(broker, header.offset)?;
        return Ok(None);
    }
    check_revive_queue(broker, handle.revive_queue)?;
    let ack = Ack::one(key(place, &handle), header.offset);
    store(broker, &ack, handle.revive_queue)
}

/// Names the check point a handle belongs to.
pub(super) fn key(place: Place, handle: &Handle<'_>) -> Key {
    Key {
        topic: place.topic,
        group: place.group,
        queue_id: place.queue_id,
        start_offset: handle.start_offset,
        pop_time: handle.pop_time,
        broker_name: handle.broker_name.to_owned(),
    }
}

fn store(broker: &Broker, ack: &Ack, revive_queue: i32) -> Result<Option<LogOffset>, Refusal> {
    let end = broker
        .acknowledge_popped(ack, revive_queue)
        .map_err(|error| refused(broker, &error))?;
    let key = format!("{}@{}", ack.topic, ack.group);
    broker
        .stats
        .counter(StatsName::GroupAckNums, &key)
        .add(ack.offsets().len() as u64);
    Ok(end)
}

/// `BATCH_ACK_MESSAGE`. What cannot belong to a message is passed over, as Apache does.
pub(crate) fn batch(broker: &Arc<Broker>, request: &Request<'_, '_>) {
    answer(broker, request, try_batch(broker, request));
}

fn try_batch(
    broker: &Arc<Broker>,
    request: &Request<'_, '_>,
) -> Result<Option<LogOffset>, Refusal> {
    let nothing = || Refusal::new(ResponseCode::NO_MESSAGE, "there is nothing to acknowledge");
    if request.body.is_empty() {
        return Err(nothing());
    }
    let body: BatchAckBody = request.json()?;
    if body.acks.is_empty() {
        return Err(nothing());
    }
    let mut end = None;
    for ack in &body.acks {
        end = end.max(several(broker, ack, &body.broker_name)?);
    }
    Ok(end)
}

fn several(
    broker: &Arc<Broker>,
    batch: &BatchAck,
    broker_name: &str,
) -> Result<Option<LogOffset>, Refusal> {
    let topic = match batch.retry.as_str() {
        "0" => batch.topic.clone(),
        "1" => retry_topic(&batch.topic, &batch.group, false),
        "2" => retry_topic(&batch.topic, &batch.group, true),
        other => {
            return Err(Refusal::error(format!(
                "there is no kind of topic {other:?}"
            )));
        }
    };
    let bits = STANDARD
        .decode(&batch.bits)
        .map_err(|error| Refusal::error(format!("the bits of a batch: {error}")))?;
    let Some((min, max)) = range(broker, &topic, batch.queue_id) else {
        tracing::info!(
            topic,
            batch.queue_id,
            "a batch acknowledges unknown messages"
        );
        return Ok(None);
    };
    let offsets = set_bits(&bits)
        .map(|distance| batch.start_offset.saturating_add(distance))
        .filter(|offset| (min..=max).contains(offset));
    let place = Place {
        topic,
        group: batch.group.clone(),
        queue_id: batch.queue_id,
    };
    if batch.revive_queue == ORDER_REVIVE_QUEUE {
        let popped = InOrder {
            place,
            pop_time: batch.pop_time,
            invisible_time: batch.invisible_time,
        };
        for offset in offsets {
            popped.acknowledge(broker, offset)?;
        }
        return Ok(None);
    }
    check_revive_queue(broker, batch.revive_queue)?;
    // A check point has no more messages than this; more offsets name nothing.
    let offsets: Vec<i64> = offsets.take(MESSAGES_MAX).collect();
    if offsets.is_empty() {
        return Ok(None);
    }
    let key = Key {
        topic: place.topic,
        group: place.group,
        queue_id: place.queue_id,
        start_offset: batch.start_offset,
        pop_time: batch.pop_time,
        broker_name: broker_name.to_owned(),
    };
    store(broker, &Ack::several(key, offsets), batch.revive_queue)
}

/// The positions of the bits that are set, as `BitSet.valueOf(byte[])` reads them: the lowest bit first.
fn set_bits(bytes: &[u8]) -> impl Iterator<Item = i64> + '_ {
    (0_i64..).zip(bytes).flat_map(|(at, byte)| {
        (0..8)
            .filter(move |bit| byte & (1 << bit) != 0)
            .map(move |bit| at * 8 + bit)
    })
}

/// A delivery in order.
struct InOrder {
    place: Place,
    pop_time: i64,
    invisible_time: i64,
}

impl InOrder {
    /// Acknowledges a message; the group's offset moves with it, and the queue may be free again.
    fn acknowledge(&self, broker: &Arc<Broker>, offset: i64) -> Result<(), Refusal> {
        let place = &self.place;
        let gate = broker.pop.gate(place);
        let committed = broker
            .offsets
            .with(|offsets| offsets.query(&place.topic, &place.group, place.queue_id))
            .unwrap_or(-1);
        if offset < committed {
            return Ok(());
        }
        let commit = broker
            .pop
            .orders
            .with(|orders| orders.acknowledge(place, offset, self.pop_time));
        match commit {
            Commit::Offset(next) => {
                broker.commit_popped(place, next);
                let key = format!("{}@{}", place.topic, place.group);
                broker.stats.counter(StatsName::GroupAckNums, &key).add(1);
                let now_ms = broker.clock.now_ms();
                let blocked = broker
                    .pop
                    .orders
                    .with(|orders| orders.is_blocked(place, None, self.invisible_time, now_ms));
                drop(gate);
                if !blocked {
                    wake_group(broker, place);
                }
                Ok(())
            }
            Commit::Outdated => Ok(()),
            Commit::Illegal => Err(Refusal::new(
                ResponseCode::MESSAGE_ILLEGAL,
                format!(
                    "offset is illegal, key:{}@{}@{}, old:{committed}, commit:{offset}, next:-1",
                    place.topic, place.group, place.queue_id
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_as_java_does() {
        let bits: Vec<i64> = set_bits(&[0b1000_0001, 0, 0b10]).collect();
        assert_eq!(bits, [0, 7, 17]);
        assert_eq!(set_bits(&[]).count(), 0);
    }
}
