//! `PEEK_MESSAGE` (200052): what a pop would get, without taking it. `POLLING_INFO` (200055): how many pops wait.

use super::{Readable, Target, check, check_broker, retry_topics};
use crate::base::{QueueId, QueueOffset, TopicName};
use crate::broker::Broker;
use crate::broker::handlers::{Answer, Refusal, Request, success};
use crate::broker::options::BrokerOptions;
use crate::broker::pop::order::Place;
use crate::broker::pop::records::MESSAGES_MAX;
use crate::broker::pop::waiting::Line;
use crate::protocol::codes::ResponseCode;
use crate::protocol::header::pop::{
    PeekMessageRequestHeader, PollingInfoRequestHeader, PollingInfoResponseHeader,
    PopMessageResponseHeader,
};
use crate::store::{Found, GetStatus, LogSlice, ReadLimits};

/// What a look into the queues shows.
#[derive(Default)]
struct Seen {
    slices: Vec<LogSlice>,
    count: usize,
    bytes: usize,
    rest: i64,
}

struct Peek<'b> {
    broker: &'b Broker,
    readable: Readable,
    messages_max: usize,
    bytes_max: usize,
    seen: Seen,
}

impl Peek<'_> {
    fn topic(&mut self, topic: &TopicName, first: i32) {
        let queues = self
            .broker
            .topic(topic.as_str())
            .map_or(0, |config| config.read_queue_nums);
        for index in 0..queues {
            self.queue(topic, first.saturating_add(index) % queues);
        }
    }

    fn queue(&mut self, topic: &TopicName, queue_id: i32) {
        let Some(queue) = QueueId::from_wire(queue_id)
            .and_then(|id| self.broker.store.find_queue(topic.as_str(), id))
        else {
            return;
        };
        let place = Place {
            topic: topic.as_str().to_owned(),
            group: self.readable.group.as_str().to_owned(),
            queue_id,
        };
        let min = queue.min_offset().to_wire();
        let offset = self.broker.popped_to(&place).unwrap_or(min);
        let left = queue.max_offset().to_wire().saturating_sub(offset);
        self.seen.rest = self.seen.rest.saturating_add(left.max(0));
        if self.seen.count >= self.messages_max {
            return;
        }
        let limits = ReadLimits {
            messages: self.messages_max - self.seen.count,
            bytes: self.bytes_max,
        };
        let get = |offset: i64| -> Found {
            let offset = QueueOffset::from_wire(offset).unwrap_or(QueueOffset::ZERO);
            self.broker.store.get(&queue, offset, limits, |_| true)
        };
        let mut found = get(offset);
        if matches!(
            found.status,
            GetStatus::OffsetTooSmall | GetStatus::OffsetOverflowBadly
        ) {
            found = get(found.next.to_wire());
        }
        self.seen.count += found.count;
        self.seen.bytes += found.bytes;
        self.seen.slices.extend(found.slices);
    }
}

/// `PEEK_MESSAGE`.
pub(crate) fn handle(broker: &Broker, request: &Request<'_, '_>) {
    match peeked(broker, request) {
        Ok(seen) => {
            let header = PopMessageResponseHeader {
                rest_num: seen.rest,
                ..PopMessageResponseHeader::default()
            };
            let (code, remark) = if seen.count > 0 {
                (ResponseCode::SUCCESS, "FOUND")
            } else {
                (ResponseCode::PULL_NOT_FOUND, "NO_MESSAGE_IN_QUEUE")
            };
            let envelope = request.head.answer(code).with_remark(remark);
            let body = seen.slices.into_iter().map(LogSlice::into_bytes);
            request
                .channel
                .send_with(|out| envelope.encode(&header, seen.bytes, out), body);
        }
        Err(refusal) => request.answer(refusal.into()),
    }
}

fn peeked(broker: &Broker, request: &Request<'_, '_>) -> Result<Seen, Refusal> {
    let header: PeekMessageRequestHeader<'_> = request.header()?;
    let target = Target {
        topic: header.topic,
        group: header.consumer_group,
        queue_id: header.queue_id,
        peer: request.channel.peer(),
    };
    let options = broker.options.load();
    let readable = checked(broker, &options, &target)?;
    let retries = retry_topics(broker, &readable);
    let percent = broker.pop.turn().percent;
    let retry_first = percent % 5 == 0;
    let topic = readable.topic.clone();
    let mut peek = Peek {
        broker,
        readable,
        // Apache knows no limit here; a pop's is what clients expect.
        messages_max: usize::try_from(header.max_msg_nums)
            .unwrap_or(0)
            .min(MESSAGES_MAX),
        bytes_max: options.max_transfer_bytes_on_message_in_memory as usize,
        seen: Seen::default(),
    };
    if retry_first {
        for (retry, _) in &retries {
            peek.topic(retry, percent);
        }
    }
    if header.queue_id < 0 {
        peek.topic(&topic, percent);
    } else {
        peek.queue(&topic, header.queue_id);
    }
    if !retry_first && peek.seen.count < peek.messages_max {
        for (retry, _) in &retries {
            peek.topic(retry, percent);
        }
    }
    Ok(peek.seen)
}

fn checked(
    broker: &Broker,
    options: &BrokerOptions,
    target: &Target<'_>,
) -> Result<Readable, Refusal> {
    check_broker(options, "peeking")?;
    check(broker, target)
}

/// `POLLING_INFO`.
pub(crate) fn polling(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: PollingInfoRequestHeader<'_> = request.header()?;
    let target = Target {
        topic: header.topic,
        group: header.consumer_group,
        queue_id: header.queue_id,
        peer: request.channel.peer(),
    };
    checked(broker, &broker.options.load(), &target)?;
    let line = Line {
        topic: header.topic.to_owned(),
        group: header.consumer_group.to_owned(),
        queue_id: header.queue_id,
    };
    let waiting = broker.pop.pops.with(|table| table.count(&line));
    Ok(success().with_header(&PollingInfoResponseHeader {
        polling_num: i32::try_from(waiting).unwrap_or(i32::MAX),
    }))
}
