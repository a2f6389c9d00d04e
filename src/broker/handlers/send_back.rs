//! `CONSUMER_SEND_MSG_BACK` (36): a consumer could not handle a message and wants it again, later.
//!
//! The message goes through the delay queues into the group's retry topic, or, when it was tried often enough, straight
//! into its dead-letter topic.

use std::sync::Arc;

use super::send::VERSION_WITH_MAX_RECONSUME_TIMES;
use super::{FAQ, Refusal, Request, success};
use crate::base::{GroupName, LogOffset, QueueId, TopicName};
use crate::broker::Broker;
use crate::broker::refusal::append_refusal;
use crate::broker::stats::StatsName;
use crate::broker::topics::{PERM_READ, PERM_WRITE, unit_sys_flag};
use crate::message::{Draft, PropertiesBuf, Record, names, sysflag};
use crate::protocol::body::subscription_group::SubscriptionGroupConfig;
use crate::protocol::codes::ResponseCode;
use crate::protocol::header::send::ConsumerSendMsgBackRequestHeader;

const BOTH: i32 = PERM_READ | PERM_WRITE;

/// Stores the message again and answers when that is safe: the consumer goes on past it then. Apache does not wait here,
/// not even where it flushes synchronously.
pub(crate) fn handle(broker: &Arc<Broker>, request: &Request<'_, '_>) {
    match take_back(broker, request) {
        Ok(end) => broker.answer_when_safe(request, end, success()),
        Err(refusal) => request.answer(refusal.into()),
    }
}

/// Stores the message again; says where its record ends, if there is one.
fn take_back(
    broker: &Arc<Broker>,
    request: &Request<'_, '_>,
) -> Result<Option<LogOffset>, Refusal> {
    let header: ConsumerSendMsgBackRequestHeader<'_> = request.header()?;
    let config = broker.find_group(header.group).ok_or_else(|| {
        Refusal::new(
            ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            format!("subscription group not exist, {} {FAQ}", header.group),
        )
    })?;
    let options = broker.options.load();
    if options.broker_permission & PERM_WRITE == 0 {
        return Err(Refusal::new(
            ResponseCode::NO_PERMISSION,
            format!(
                "the broker[{}] sending message is forbidden",
                options.broker_ip1
            ),
        ));
    }
    if config.retry_queue_nums <= 0 {
        return Ok(None);
    }
    let group = GroupName::stored(header.group);
    let retry = TopicName::retry_of(&group);
    let sys_flag = unit_sys_flag(header.unit_mode, true);
    ensure(broker, &retry, config.retry_queue_nums, sys_flag);
    if broker
        .topic(retry.as_str())
        .is_some_and(|topic| topic.perm & PERM_WRITE == 0)
    {
        return Err(Refusal::new(
            ResponseCode::NO_PERMISSION,
            format!("the topic[{retry}] sending message is forbidden"),
        ));
    }
    let not_found = || Refusal::error(format!("look message by offset failed, {}", header.offset));
    let slice = LogOffset::from_wire(header.offset)
        .and_then(|at| broker.store.record_at(at))
        .ok_or_else(not_found)?;
    let record = Record::parse(slice.as_ref()).map_err(|_| not_found())?;
    if record.sys_flag & sysflag::INNER_BATCH != 0 {
        // All of the batch would come again. Clients send the one message back by themselves then.
        return Err(Refusal::error("MESSAGE_ILLEGAL"));
    }
    let again = Again {
        header: &header,
        record: &record,
        tries_max: tries_max(&header, &config, request.head.version),
    };
    let spread = record
        .physical_offset
        .rem_euclid(i64::from(config.retry_queue_nums));
    let retry_queue = QueueId::new(u32::try_from(spread).unwrap_or(0));
    let place = again.place(broker, &group, &retry, retry_queue);
    let end = store(broker, &record, &place)
        .map_err(|error| Refusal::error(append_refusal(&error, &options).remark))?;
    let origin = record
        .properties
        .get(names::RETRY_TOPIC)
        .unwrap_or(record.topic);
    let key = format!("{origin}@{}", header.group);
    broker
        .stats
        .counter(StatsName::SendBackPutNums, &key)
        .add(1);
    Ok(Some(end))
}

fn ensure(broker: &Broker, topic: &TopicName, queues: i32, sys_flag: i32) {
    if broker.topic(topic.as_str()).is_none() {
        broker.ensure_topic(topic, queues, BOTH, false, sys_flag);
    }
}

fn tries_max(
    header: &ConsumerSendMsgBackRequestHeader<'_>,
    config: &SubscriptionGroupConfig,
    version: i32,
) -> i32 {
    header
        .max_reconsume_times
        .filter(|_| version >= VERSION_WITH_MAX_RECONSUME_TIMES)
        .unwrap_or(config.retry_max_times)
}

struct Again<'a, 'r> {
    header: &'a ConsumerSendMsgBackRequestHeader<'r>,
    record: &'a Record<'a>,
    tries_max: i32,
}

/// Where a message goes next, and what it carries.
struct Place {
    topic: TopicName,
    queue_id: QueueId,
    properties: Vec<u8>,
}

impl Again<'_, '_> {
    fn place(
        &self,
        broker: &Broker,
        group: &GroupName,
        retry: &TopicName,
        retry_queue: QueueId,
    ) -> Place {
        let record = self.record;
        let mut properties = PropertiesBuf::from(record.properties);
        if properties.get(names::RETRY_TOPIC).is_none() {
            properties.set(names::RETRY_TOPIC, record.topic);
        }
        if properties.get(names::ORIGIN_MESSAGE_ID).is_none() {
            properties.set(names::ORIGIN_MESSAGE_ID, record.offset_message_id());
        }
        properties.set(names::WAIT, "false");
        if record.reconsume_times >= self.tries_max || self.header.delay_level < 0 {
            let dead = TopicName::dlq_of(group);
            ensure(broker, &dead, 1, 0);
            properties.set(names::DELAY, "0");
            return Place {
                topic: dead,
                queue_id: QueueId::new(0),
                properties: properties.to_wire(),
            };
        }
        let asked = match self.header.delay_level {
            0 => record.reconsume_times.saturating_add(3),
            level => level,
        };
        let level = broker.schedule.level(asked);
        properties.set(names::DELAY, level.to_string());
        properties.set(names::REAL_TOPIC, retry.as_str());
        properties.set(names::REAL_QID, retry_queue.to_string());
        Place {
            topic: TopicName::stored(names::SCHEDULE_TOPIC),
            queue_id: QueueId::new(level.saturating_sub(1)),
            properties: properties.to_wire(),
        }
    }
}

fn store(
    broker: &Arc<Broker>,
    record: &Record<'_>,
    place: &Place,
) -> Result<LogOffset, crate::store::AppendError> {
    let queue = broker.queue(&place.topic, place.queue_id);
    let draft = Draft {
        topic: place.topic.as_str(),
        queue_id: place.queue_id.to_wire(),
        flag: record.flag,
        sys_flag: record.sys_flag,
        born_timestamp: record.born_timestamp,
        born_host: record.born_host,
        store_host: broker.store_host,
        reconsume_times: record.reconsume_times.saturating_add(1),
        prepared_transaction_offset: 0,
        body: record.body,
        properties: &place.properties,
    };
    let mut group = broker.store.append_group();
    if let Err(error) = group.push(&draft, &queue) {
        // Only the properties can have outgrown a record that was stored before.
        tracing::warn!("a message cannot be retried: {error}");
        return Err(crate::store::AppendError::TooLarge {
            size: place.properties.len(),
            max: crate::message::properties::MAX_BYTES,
        });
    }
    broker.store.append(&mut group)?;
    broker.stats.put.add(1);
    broker.wake(&place.topic, place.queue_id);
    Ok(group.end())
}
