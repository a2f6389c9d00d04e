//! POP: one file per request, and what they all check.

pub(crate) mod ack;
pub(crate) mod attempt;
pub(crate) mod invisible;
pub(crate) mod notice;
pub(crate) mod peek;
mod serve;

use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) use notice::Notice;
pub(crate) use serve::{Pop, expire, forget, handle, wake, wake_group};

use super::{FAQ, Refusal};
use crate::base::{GroupName, TopicName};
use crate::broker::Broker;
use crate::broker::options::BrokerOptions;
use crate::broker::pop::waiting::Limits;
use crate::broker::topics::PERM_READ;
use crate::protocol::body::topic_config::TopicConfig;
use crate::protocol::codes::ResponseCode;

/// What a request wants to read.
struct Target<'a> {
    topic: &'a str,
    group: &'a str,
    queue_id: i32,
    peer: SocketAddr,
}

/// A topic and group that exist and may be read.
#[derive(Clone)]
struct Readable {
    topic: TopicName,
    group: GroupName,
}

fn no_topic(topic: &str) -> Refusal {
    Refusal::new(
        ResponseCode::TOPIC_NOT_EXIST,
        format!("topic[{topic}] not exist, apply first please! {FAQ}"),
    )
}

fn illegal_queue(target: &Target<'_>, config: &TopicConfig, code: ResponseCode) -> Refusal {
    Refusal::new(
        code,
        format!(
            "queueId[{}] is illegal, topic:[{}] topicConfig.readQueueNums:[{}] consumer:[{}]",
            target.queue_id, target.topic, config.read_queue_nums, target.peer
        ),
    )
}

fn check_broker(options: &BrokerOptions, doing: &str) -> Result<(), Refusal> {
    if options.broker_permission & PERM_READ == 0 {
        return Err(Refusal::new(
            ResponseCode::NO_PERMISSION,
            format!(
                "the broker[{}] {doing} message is forbidden",
                options.broker_ip1
            ),
        ));
    }
    Ok(())
}

/// Checks topic, queue and group in the order of Apache's processors.
fn check(broker: &Broker, target: &Target<'_>) -> Result<Readable, Refusal> {
    let config = broker
        .topic(target.topic)
        .ok_or_else(|| no_topic(target.topic))?;
    if config.perm & PERM_READ == 0 {
        return Err(Refusal::new(
            ResponseCode::NO_PERMISSION,
            format!("the topic[{}] peeking message is forbidden", target.topic),
        ));
    }
    if target.queue_id >= config.read_queue_nums {
        let code = ResponseCode::INVALID_PARAMETER;
        return Err(illegal_queue(target, &config, code));
    }
    let group = broker.find_group(target.group).ok_or_else(|| {
        Refusal::new(
            ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            format!(
                "subscription group [{}] does not exist, {FAQ}",
                target.group
            ),
        )
    })?;
    if !group.consume_enable {
        return Err(Refusal::new(
            ResponseCode::NO_PERMISSION,
            format!("subscription group no permission, {}", target.group),
        ));
    }
    Ok(Readable {
        topic: TopicName::stored(target.topic),
        group: GroupName::stored(target.group),
    })
}

/// Checks a message that a receipt handle names: the queue exists, and `offset` is in it or, with `end_too`, at its end.
fn check_message(
    broker: &Broker,
    target: &Target<'_>,
    offset: i64,
    end_too: bool,
) -> Result<(), Refusal> {
    let config = broker
        .topic(target.topic)
        .ok_or_else(|| no_topic(target.topic))?;
    if !(0..config.read_queue_nums).contains(&target.queue_id) {
        return Err(illegal_queue(
            target,
            &config,
            ResponseCode::MESSAGE_ILLEGAL,
        ));
    }
    let (min, max) = range(broker, target.topic, target.queue_id).unwrap_or((0, 0));
    if offset < min || offset > max || (offset == max && !end_too) {
        return Err(Refusal::new(
            ResponseCode::NO_MESSAGE,
            format!(
                "offset is illegal, key:{}@{}, commit:{offset}, store:{min}~{max}",
                target.topic, target.queue_id
            ),
        ));
    }
    Ok(())
}

/// The first offset of a queue and the next it will give out; `None` if nothing was ever stored in it.
fn range(broker: &Broker, topic: &str, queue_id: i32) -> Option<(i64, i64)> {
    let queue_id = crate::base::QueueId::from_wire(queue_id)?;
    let queue = broker.store.find_queue(topic, queue_id)?;
    Some((queue.min_offset().to_wire(), queue.max_offset().to_wire()))
}

fn limits(options: &BrokerOptions) -> Limits {
    Limits {
        line: options.pop_polling_size as usize,
        total: options.max_pop_polling_size as usize,
    }
}

/// When a request that was born at `born_ms` and waits for `poll_ms` gives up. A client's clock that is ahead of this one
/// does not make it wait longer.
fn deadline(born_ms: i64, poll_ms: i64, now_ms: i64) -> i64 {
    let born_ms = if born_ms == 0 { now_ms } else { born_ms };
    born_ms.min(now_ms).saturating_add(poll_ms)
}

/// The retry topics of a pop that exist: those it looks into, the one new messages go to first.
fn retry_topics(broker: &Broker, readable: &Readable) -> Vec<(TopicName, Arc<TopicConfig>)> {
    let options = broker.options.load();
    let second = options.enable_retry_topic_v2;
    let mut versions = vec![second];
    if second && options.retrieve_message_from_pop_retry_topic_v1 {
        versions.push(false);
    }
    let topics = versions.into_iter().filter_map(|second| {
        let name = crate::broker::pop::handle::retry_topic(
            readable.topic.as_str(),
            readable.group.as_str(),
            second,
        );
        Some((TopicName::stored(&name), broker.topic(&name)?))
    });
    topics.collect()
}
