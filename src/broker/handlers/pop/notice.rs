//! `NOTIFICATION` (200054): is there anything to pop? With long polling.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::attempt::has_messages;
use super::{Readable, Target, check, check_broker, deadline, limits};
use crate::base::{QueueId, TopicName};
use crate::broker::Broker;
use crate::broker::handlers::{Refusal, Request};
use crate::broker::pop::order::Place;
use crate::broker::pop::waiting::Line;
use crate::protocol::codes::ResponseCode;
use crate::protocol::command::{Envelope, Serialization};
use crate::protocol::header::pop::{NotificationRequestHeader, NotificationResponseHeader};
use crate::remoting::{Channel, InFlight};
use crate::sys::Clock;

/// Where to look.
#[derive(Clone)]
struct Look {
    readable: Readable,
    queue_id: i32,
    order: bool,
    attempt_id: Option<String>,
}

impl Look {
    fn finds(&self, broker: &Broker) -> bool {
        let order = (self.attempt_id.as_deref(), 0);
        let order = self.order.then_some(order);
        has_messages(broker, &self.readable, self.queue_id, order)
    }
}

/// Somebody who wants to know.
pub(crate) struct Notice {
    channel: Arc<Channel>,
    opaque: i32,
    serialization: Serialization,
    look: Look,
    deadline_ms: i64,
    /// Held while it waits.
    admitted: Option<InFlight>,
}

impl Notice {
    pub(super) fn channel_id(&self) -> u64 {
        self.channel.id()
    }

    fn line(&self) -> Line {
        Line {
            topic: self.look.readable.topic.as_str().to_owned(),
            group: self.look.readable.group.as_str().to_owned(),
            queue_id: self.look.queue_id,
        }
    }

    fn answer(&self, has_msg: bool, polling_full: bool) {
        let header = NotificationResponseHeader {
            has_msg,
            polling_full,
        };
        let code = ResponseCode::SUCCESS;
        let envelope = Envelope::response(self.serialization, self.opaque, code);
        self.channel
            .send_with(|out| envelope.encode(&header, 0, out), []);
    }

    /// Its time is up, or something changed.
    pub(super) fn answer_now(&self, broker: &Broker) {
        self.answer(self.look.finds(broker), false);
    }
}

/// Answers a request or lets it wait.
pub(crate) fn handle(broker: &Broker, request: &Request<'_, '_>) {
    match checked(broker, request) {
        Ok((notice, true)) if !notice.look.finds(broker) => park(broker, notice),
        Ok((notice, _)) => notice.answer_now(broker),
        Err(refusal) => request.answer(refusal.into()),
    }
}

fn checked(broker: &Broker, request: &Request<'_, '_>) -> Result<(Notice, bool), Refusal> {
    let header: NotificationRequestHeader<'_> = request.header()?;
    check_broker(&broker.options.load(), "peeking")?;
    let target = Target {
        topic: header.topic,
        group: header.consumer_group,
        queue_id: header.queue_id,
        peer: request.channel.peer(),
    };
    let readable = check(broker, &target)?;
    let now_ms = Clock::machine_ms();
    let deadline_ms = deadline(header.born_time, header.poll_time, now_ms);
    let notice = Notice {
        channel: Arc::clone(request.channel),
        opaque: request.head.opaque,
        serialization: request.head.serialization,
        look: Look {
            readable,
            queue_id: header.queue_id.max(-1),
            order: header.order,
            attempt_id: header.attempt_id.map(str::to_owned),
        },
        deadline_ms,
        admitted: None,
    };
    Ok((notice, header.poll_time > 0 && now_ms < deadline_ms))
}

fn park(broker: &Broker, mut notice: Notice) {
    notice.admitted = notice.channel.admit();
    if notice.admitted.is_none() {
        notice.answer(false, true);
        return;
    }
    let limits = limits(&broker.options.load());
    let (line, deadline_ms, look) = (notice.line(), notice.deadline_ms, notice.look.clone());
    let parked = broker
        .pop
        .notices
        .with(|table| table.park(&line, deadline_ms, notice, limits));
    if let Err(notice) = parked {
        notice.answer(false, true);
        return;
    }
    // As with pops: a message may have come before this one was seen to wait.
    fence(Ordering::SeqCst);
    if look.finds(broker)
        && let Some(first) = broker.pop.notices.with(|table| table.take(&line))
    {
        first.answer(true, false);
    }
}

/// A message was stored.
pub(super) fn wake(broker: &Broker, topic: &TopicName, queue_id: QueueId, retried: bool) {
    let notices = broker.pop.notices.with(|table| {
        let mut taken = table.take_for(topic.as_str(), queue_id.to_wire());
        if retried {
            taken.extend(table.take_for_retry(topic.as_str()));
        }
        taken
    });
    for notice in notices {
        notice.answer_now(broker);
    }
}

/// A queue that one group consumes in order is free again.
pub(super) fn wake_group(broker: &Broker, place: &Place) {
    let notices = broker
        .pop
        .notices
        .with(|table| table.take_for_group(&place.topic, &place.group, place.queue_id));
    for notice in notices {
        notice.answer_now(broker);
    }
}
