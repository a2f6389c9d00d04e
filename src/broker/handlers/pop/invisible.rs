//! `CHANGE_MESSAGE_INVISIBLETIME` (200053): a consumer needs more time for a message, or gives it back.

use std::sync::Arc;

use super::ack::{check_revive_queue, key, refused};
use super::{Target, check_message};
use crate::base::LogOffset;
use crate::broker::Broker;
use crate::broker::handlers::{Refusal, Request};
use crate::broker::pop::handle::Handle;
use crate::broker::pop::journal;
use crate::broker::pop::order::Place;
use crate::broker::pop::records::{Ack, CheckPoint, Key};
use crate::broker::stats::StatsName;
use crate::protocol::codes::ResponseCode;
use crate::protocol::command::Command;
use crate::protocol::header::pop::{
    ChangeInvisibleTimeRequestHeader, ChangeInvisibleTimeResponseHeader,
};

/// Gives the message a check point of its own and takes it out of the old one. In order, it only changes when the queue
/// is free again.
pub(crate) fn change(broker: &Arc<Broker>, request: &Request<'_, '_>) {
    match try_change(broker, request) {
        Ok((end, answer)) => broker.answer_when_safe(request, end, answer),
        Err(refusal) => request.answer(refusal.into()),
    }
}

/// The answer, and where the log ends that it speaks of.
fn try_change(
    broker: &Broker,
    request: &Request<'_, '_>,
) -> Result<(Option<LogOffset>, Command), Refusal> {
    let header: ChangeInvisibleTimeRequestHeader<'_> = request.header()?;
    let target = Target {
        topic: header.topic,
        group: header.consumer_group,
        queue_id: header.queue_id,
        peer: request.channel.peer(),
    };
    check_message(broker, &target, header.offset, false)?;
    let handle = Handle::parse(header.extra_info)?;
    let place = Place {
        topic: header.topic.to_owned(),
        group: header.consumer_group.to_owned(),
        queue_id: header.queue_id,
    };
    let now_ms = broker.clock.now_ms();
    if handle.is_order() {
        return Ok((None, in_order(broker, &place, &header, &handle, now_ms)));
    }
    check_revive_queue(broker, handle.revive_queue)?;
    let old = key(place, &handle);
    let pop_time = later(handle.pop_time, now_ms);
    let new = Key {
        start_offset: header.offset,
        pop_time,
        ..old.clone()
    };
    let point = CheckPoint::new(new, header.invisible_time, &[header.offset], header.suspend);
    let ack = Ack::one(old, header.offset);
    let counted = format!("{}@{}", ack.topic, ack.group);
    let buffered = broker.pop.is_buffered(&ack.key());
    let mut end = journal::write(broker, |batch| {
        batch.check_point(handle.revive_queue, &point);
        if !buffered {
            batch.ack(handle.revive_queue, &ack);
        }
    })
    .map_err(|error| refused(broker, &error))?;
    if buffered {
        // Only now: until its new check point is stored, the old one is all that remembers the message.
        let acknowledged = broker.acknowledge_popped(&ack, handle.revive_queue);
        end = end.max(acknowledged.map_err(|error| refused(broker, &error))?);
    }
    for name in [StatsName::GroupCkNums, StatsName::GroupAckNums] {
        broker.stats.counter(name, &counted).add(1);
    }
    let header = ChangeInvisibleTimeResponseHeader {
        pop_time,
        invisible_time: header.invisible_time,
        revive_qid: handle.revive_queue,
    };
    Ok((end, answer(&header)))
}

/// The time of the new check point. It must not have the name of an earlier one: the first message of a check point, when
/// it is changed in the millisecond it was popped in, would take the place of all.
fn later(pop_time: i64, now_ms: i64) -> i64 {
    /// No chain of changes gets so far ahead of the clock.
    const AHEAD_MAX_MS: i64 = 60_000;
    if (now_ms..now_ms.saturating_add(AHEAD_MAX_MS)).contains(&pop_time) {
        pop_time.saturating_add(1)
    } else {
        now_ms
    }
}

fn answer(header: &ChangeInvisibleTimeResponseHeader) -> Command {
    Command::response(ResponseCode::SUCCESS).with_header(header)
}

fn in_order(
    broker: &Broker,
    place: &Place,
    header: &ChangeInvisibleTimeRequestHeader<'_>,
    handle: &Handle<'_>,
    now_ms: i64,
) -> Command {
    let _gate = broker.pop.gate(place);
    let committed = broker
        .offsets
        .with(|offsets| offsets.query(&place.topic, &place.group, place.queue_id));
    if committed.is_some_and(|committed| header.offset < committed) {
        // Apache answers such a request with an empty header.
        return answer(&ChangeInvisibleTimeResponseHeader::default());
    }
    let visible_ms = now_ms.saturating_add(header.invisible_time);
    broker.pop.orders.with(|orders| {
        orders.set_visible_at(place, header.offset, handle.pop_time, visible_ms);
    });
    broker.pop.earlier.notify_one();
    answer(&ChangeInvisibleTimeResponseHeader {
        pop_time: handle.pop_time,
        invisible_time: visible_ms.saturating_sub(handle.pop_time),
        revive_qid: handle.revive_queue,
    })
}
