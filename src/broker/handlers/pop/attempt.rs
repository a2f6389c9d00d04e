//! One try of a pop: looking into the queues, remembering what is found, putting the answer together.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;

use super::Readable;
use crate::base::ids::RETRY_PREFIX;
use crate::base::{LogOffset, QueueOffset, TopicName};
use crate::broker::Broker;
use crate::broker::clients::Subscription;
use crate::broker::handlers::pull::{EFFORT_MAX, cold_before};
use crate::broker::options::BrokerOptions;
use crate::broker::pop::Turn;
use crate::broker::pop::handle::{Handle, ORDER_REVIVE_QUEUE, OffsetLists, retry_topic};
use crate::broker::pop::order::{Place, Popped};
use crate::broker::pop::records::{CheckPoint, Key};
use crate::broker::pop::revive::for_each_record;
use crate::filter::Filter;
use crate::message::record::patch;
use crate::message::{Draft, PropertiesBuf, Record, names};
use crate::store::{Candidate, Found, GetStatus, LogSlice, Queue, ReadLimits, Verdict};

/// `initMode`: a group without an offset begins at the first message.
const INIT_MIN: i32 = 0;
/// Apache takes a queue to be in memory when it begins within this part of the machine's memory before the log's end.
const MEMORY_PERCENT: u64 = 40;

/// What is wanted.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(super) readable: Readable,
    pub(super) queue_id: i32,
    pub(super) messages_max: usize,
    pub(super) invisible_time: i64,
    pub(super) init_mode: i32,
    pub(super) order: bool,
    pub(super) attempt_id: Option<String>,
    pub(super) subscription: Arc<Subscription>,
    /// Whether what is found may have to come from the disk, and is brought into memory at once.
    pub(super) fetches: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(super) bodies: Vec<Bytes>,
    pub(super) bytes: usize,
    pub(super) count: usize,
    pub(super) lists: OffsetLists,
    /// Messages that are still there.
    pub(super) rest: i64,
    pub(super) pop_time: i64,
    pub(super) revive_queue: i32,
    /// Whether messages were passed over that the subscription does not take.
    pub(super) passed: bool,
    /// Where the last of its check points ends that were written.
    pub(super) end: Option<LogOffset>,
}

impl Taken {
    fn add(&mut self, body: Bytes) {
        self.bytes += body.len();
        self.bodies.push(body);
    }
}

impl Ask {
    fn place(&self, topic: &str, queue_id: i32) -> Place {
        Place {
            topic: topic.to_owned(),
            group: self.readable.group.as_str().to_owned(),
            queue_id,
        }
    }

    /// Takes messages from the queues this asks for, and from its retry topic.
    pub(super) fn attempt(&self, broker: &Broker) -> Taken {
        let options = broker.options.load();
        let Turn {
            revive_queue,
            percent,
        } = broker.pop.turn();
        let mut taken = Taken {
            pop_time: broker.clock.now_ms(),
            revive_queue: if self.order {
                ORDER_REVIVE_QUEUE
            } else {
                revive_queue
            },
            ..Taken::default()
        };
        // One answer can name messages of one retry topic only, so the versions take turns.
        let second = options.enable_retry_topic_v2
            && !(options.retrieve_message_from_pop_retry_topic_v1 && percent % 2 == 0);
        let (topic, group) = (&self.readable.topic, &self.readable.group);
        let retry = TopicName::stored(&retry_topic(topic.as_str(), group.as_str(), second));
        let retry_first = percent < options.pop_from_retry_probability;
        if retry_first && !self.order {
            self.take_from_topic(broker, &options, &retry, percent, &mut taken);
        }
        if self.queue_id < 0 {
            self.take_from_topic(broker, &options, topic, percent, &mut taken);
        } else {
            self.take_from_queue(broker, &options, topic, self.queue_id, &mut taken);
        }
        if !retry_first && !self.order && taken.count < self.messages_max {
            self.take_from_topic(broker, &options, &retry, percent, &mut taken);
        }
        taken
    }

    /// Whether what a queue goes on with lies so far behind the end of the log that reading it may block.
    pub(super) fn goes_far_back(&self, broker: &Broker) -> bool {
        let before = cold_before(broker);
        let is_far_back = |queue_id: i32| {
            let topic = &self.readable.topic;
            let Some(queue) = broker.popped_queue(topic, queue_id) else {
                return false;
            };
            let place = self.place(topic.as_str(), queue_id);
            let next = broker.popped_to(&place).and_then(QueueOffset::from_wire);
            let next = queue.entry(next.unwrap_or(queue.min_offset()).get());
            next.is_some_and(|next| u64::try_from(next.log_offset).is_ok_and(|at| at < before))
        };
        before > 0 && queues_of(broker, &self.readable.topic, self.queue_id).any(is_far_back)
    }

    fn take_from_topic(
        &self,
        broker: &Broker,
        options: &BrokerOptions,
        topic: &TopicName,
        percent: i32,
        taken: &mut Taken,
    ) {
        let queues = broker
            .topic(topic.as_str())
            .map_or(0, |config| config.read_queue_nums);
        for index in 0..queues {
            let queue_id = percent.saturating_add(index) % queues;
            self.take_from_queue(broker, options, topic, queue_id, taken);
        }
    }

    fn take_from_queue(
        &self,
        broker: &Broker,
        options: &BrokerOptions,
        topic: &TopicName,
        queue_id: i32,
        taken: &mut Taken,
    ) {
        let Some(queue) = broker.popped_queue(topic, queue_id) else {
            return;
        };
        let place = self.place(topic.as_str(), queue_id);
        let _gate = broker.pop.gate(&place);
        let offset = self.start(broker, options, &queue, &place);
        if self.order && self.is_blocked(broker, &place, taken.pop_time) {
            return;
        }
        if taken.count >= self.messages_max {
            let left = queue.max_offset().to_wire().saturating_sub(offset).max(0);
            taken.rest = taken.rest.saturating_add(left);
            return;
        }
        let limits = ReadLimits {
            messages: self.messages_max - taken.count,
            bytes: options.max_transfer_bytes_on_message_in_memory as usize,
        };
        let (start, found) = self.read(broker, &queue, &place, offset, limits);
        let left = found
            .max
            .to_wire()
            .saturating_sub(found.next.to_wire())
            .max(0);
        if found.count == 0 {
            if found.status == GetStatus::NoMatchedMessage
                || found.status == GetStatus::MessageWasRemoving
            {
                self.pass(broker, &place, found.next.to_wire());
                taken.passed = true;
            }
        } else if !self.remember(broker, &place, start, found, taken, options) {
            return;
        }
        taken.rest = taken.rest.saturating_add(left);
    }

    fn is_blocked(&self, broker: &Broker, place: &Place, now_ms: i64) -> bool {
        let attempt_id = self.attempt_id.as_deref();
        broker
            .pop
            .orders
            .with(|orders| orders.is_blocked(place, attempt_id, self.invisible_time, now_ms))
    }

    fn pass(&self, broker: &Broker, place: &Place, next: i64) {
        if self.order {
            broker.commit_popped(place, next);
        } else {
            broker.pass_popped(place, next);
        }
    }

    /// Where the group goes on in a queue. A group that was never there gets an offset.
    fn start(&self, broker: &Broker, options: &BrokerOptions, queue: &Queue, place: &Place) -> i64 {
        let (topic, group) = (place.topic.as_str(), place.group.as_str());
        let reset = broker
            .offsets
            .with(|offsets| offsets.take_reset(topic, group, place.queue_id));
        if let Some(offset) = reset {
            broker.pop.forget_progress(place);
            broker.commit_popped(place, offset);
            return offset;
        }
        if let Some(offset) = broker.popped_to(place) {
            return offset;
        }
        let offset = self.first_start(broker, options, queue, topic);
        broker.commit_popped(place, offset);
        offset
    }

    fn first_start(
        &self,
        broker: &Broker,
        options: &BrokerOptions,
        queue: &Queue,
        topic: &str,
    ) -> i64 {
        let min = queue.min_offset().to_wire();
        if self.init_mode == INIT_MIN || topic.starts_with(RETRY_PREFIX) {
            return min;
        }
        let in_memory = options.init_pop_offset_by_check_msg_in_mem && min <= 0 && {
            let memory_bytes = broker.memory_bytes / 100 * MEMORY_PERCENT;
            queue.entry(0).is_some_and(|entry| {
                let begin = u64::try_from(entry.log_offset).unwrap_or(0);
                broker.store.appended().get().saturating_sub(begin) <= memory_bytes
            })
        };
        if in_memory {
            0
        } else {
            queue.max_offset().to_wire().saturating_sub(1).max(0)
        }
    }

    /// Reads from `offset`; from where the queue really goes on if there is nothing any more, or not yet.
    fn read(
        &self,
        broker: &Broker,
        queue: &Arc<Queue>,
        place: &Place,
        offset: i64,
        limits: ReadLimits,
    ) -> (i64, Found) {
        let get = |offset: i64| {
            let offset = QueueOffset::from_wire(offset).unwrap_or(QueueOffset::ZERO);
            let mut effort = 0;
            broker
                .store
                .get_matching(queue, offset, limits, |candidate| {
                    judge(&self.subscription, candidate, &mut effort)
                })
        };
        let found = get(offset);
        if self.fetches {
            found.fetch();
        }
        match found.status {
            GetStatus::OffsetTooSmall
            | GetStatus::OffsetOverflowBadly
            | GetStatus::OffsetFoundNull => {
                let next = found.next.to_wire();
                tracing::info!(
                    topic = place.topic,
                    group = place.group,
                    "pop: offset {offset} is not in queue {}, going on at {next}",
                    place.queue_id
                );
                self.pass(broker, place, next);
                (next, get(next))
            }
            _ => (offset, found),
        }
    }

    /// Writes down what was popped, then adds it to the answer. `false`: it could not be written down.
    fn remember(
        &self,
        broker: &Broker,
        place: &Place,
        start: i64,
        found: Found,
        taken: &mut Taken,
        options: &BrokerOptions,
    ) -> bool {
        let mut offsets = Vec::with_capacity(found.count);
        for slice in &found.slices {
            for_each_record(slice, |record| offsets.push(record.queue_offset));
        }
        if self.order {
            let popped = Popped {
                attempt_id: self.attempt_id.as_deref(),
                pop_time: taken.pop_time,
                invisible_time: self.invisible_time,
                offsets: &offsets,
            };
            let lists = &mut taken.lists;
            broker
                .pop
                .orders
                .with(|orders| orders.popped(place, &popped, lists, taken.pop_time));
            broker.pop.earlier.notify_one();
            broker.commit_popped(place, start);
        } else {
            let key = Key {
                topic: place.topic.clone(),
                group: place.group.clone(),
                queue_id: place.queue_id,
                start_offset: start,
                pop_time: taken.pop_time,
                broker_name: options.broker_name.clone(),
            };
            let point = CheckPoint::new(key, self.invisible_time, &offsets, false);
            let next = found.next.to_wire();
            match broker.keep_check_point(place, &point, taken.revive_queue, next) {
                Ok(end) => taken.end = taken.end.max(end),
                Err(error) => {
                    tracing::warn!("nothing is popped: {error}");
                    taken.rest += i64::try_from(found.count).unwrap_or(0);
                    return false;
                }
            }
        }
        taken.count += offsets.len();
        taken
            .lists
            .add(&place.topic, place.queue_id, start, &offsets);
        let handle = Handle {
            start_offset: start,
            pop_time: taken.pop_time,
            invisible_time: self.invisible_time,
            revive_queue: taken.revive_queue,
            broker_name: &options.broker_name,
        };
        let retried = place.topic != self.readable.topic.as_str();
        let as_stored = !retried || options.pop_response_return_actual_retry_topic;
        for slice in found.slices {
            if as_stored {
                taken.add(slice.into_bytes());
            } else {
                self.add_original(&slice, &handle, taken);
            }
        }
        true
    }

    /// Adds messages of a retry topic as messages of the topic they were sent to; their receipt handles say where they
    /// lie.
    fn add_original(&self, slice: &LogSlice, handle: &Handle<'_>, taken: &mut Taken) {
        for_each_record(slice, |record| {
            let ck = handle.text(record.topic, record.queue_id, record.queue_offset);
            if let Some(body) = with_topic(record, self.readable.topic.as_str(), ck) {
                taken.add(body);
            }
        });
    }
}

/// Whether a subscription takes a message, as far as the store shows it. A filter that cannot be compiled was refused
/// before.
fn judge(subscription: &Subscription, candidate: Candidate<'_>, effort: &mut u64) -> Verdict {
    let record = match (&subscription.filter, candidate) {
        (Err(_), _) => return Verdict::Pass,
        (Ok(filter), Candidate::Entry(tags_code)) => return filter.takes_code(tags_code).into(),
        (Ok(Filter::Tags(_)), Candidate::Record(_)) => return Verdict::Take,
        (Ok(filter), Candidate::Record(record)) => Record::parse(record).map(|it| (filter, it)),
    };
    let Ok((filter, record)) = record else {
        return Verdict::Pass;
    };
    if *effort > EFFORT_MAX {
        return Verdict::Stop;
    }
    *effort = effort.saturating_add(filter.effort(record.properties));
    filter.takes_properties(record.properties).into()
}

/// A record with another topic and a receipt handle.
fn with_topic(record: &Record<'_>, topic: &str, ck: String) -> Option<Bytes> {
    let mut properties = PropertiesBuf::from(record.properties);
    if properties.get(names::POP_CK).is_none() {
        properties.set(names::POP_CK, ck);
    }
    let properties = properties.to_wire();
    let draft = Draft {
        topic,
        queue_id: record.queue_id,
        flag: record.flag,
        sys_flag: record.sys_flag,
        born_timestamp: record.born_timestamp,
        born_host: record.born_host,
        store_host: record.store_host,
        reconsume_times: record.reconsume_times,
        prepared_transaction_offset: record.prepared_transaction_offset,
        body: record.body,
        properties: &properties,
    };
    let plain = Draft {
        properties: record.properties.as_bytes(),
        ..draft
    };
    let mut bytes = Vec::with_capacity(record.size as usize + 128);
    let encoded = draft
        .encode_into(&mut bytes)
        .or_else(|_| plain.encode_into(&mut bytes))
        .ok()?;
    patch(
        &mut bytes,
        encoded.sys_flag,
        record.queue_offset,
        record.physical_offset,
        record.store_timestamp,
    );
    Some(Bytes::from(bytes))
}

/// The queue that is asked for; with -1 all of the topic.
fn queues_of(broker: &Broker, topic: &TopicName, queue_id: i32) -> RangeInclusive<i32> {
    if queue_id >= 0 {
        return queue_id..=queue_id;
    }
    let config = broker.topic(topic.as_str());
    let count = config.map_or(0, |config| config.read_queue_nums);
    0..=count.saturating_sub(1)
}

/// Whether a group could get anything: of a queue, of all with -1, or of its retry topics.
pub(super) fn has_messages(
    broker: &Broker,
    readable: &Readable,
    queue_id: i32,
    order: Option<(Option<&str>, i64)>,
) -> bool {
    let (topic, group) = (&readable.topic, &readable.group);
    let has = |topic: &TopicName, queue_id: i32| {
        let place = Place {
            topic: topic.as_str().to_owned(),
            group: group.as_str().to_owned(),
            queue_id,
        };
        if let Some((attempt_id, invisible_ms)) = order {
            let now_ms = broker.clock.now_ms();
            let blocked = broker
                .pop
                .orders
                .with(|orders| orders.is_blocked(&place, attempt_id, invisible_ms, now_ms));
            if blocked {
                return false;
            }
        }
        super::range(broker, topic.as_str(), queue_id).is_some_and(|(min, max)| {
            let at = broker.popped_to(&place).unwrap_or(min);
            at < max
        })
    };
    let own = queues_of(broker, topic, queue_id).any(|queue_id| has(topic, queue_id));
    // Order is kept within the queues themselves; retries in order come from there as well.
    own || (order.is_none()
        && super::retry_topics(broker, readable)
            .iter()
            .any(|(retry, config)| {
                (0..config.read_queue_nums).any(|queue_id| has(retry, queue_id))
            }))
}
