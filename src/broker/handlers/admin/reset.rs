//! Moving a group's offsets: reset (222), clone (314), and the smallest offset of all groups (308).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{QueueId, TopicName};
use crate::broker::Broker;
use crate::broker::handlers::offset::{by_time, max_of, min_of};
use crate::broker::handlers::pull;
use crate::broker::handlers::{Answer, Refusal, Request, json, success};
use crate::protocol::body::MessageQueue;
use crate::protocol::body::offset::{
    MessageQueueForC, QueryCorrectionOffsetBody, QueueOffsets, ResetOffsetBody, ResetOffsetBodyForC,
};
use crate::protocol::codes::{LanguageCode, RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::fastjson;
use crate::protocol::header::consumer::{
    CloneGroupOffsetRequestHeader, QueryCorrectionOffsetHeader, ResetOffsetRequestHeader,
};
use crate::remoting::Channel;
use crate::store::Boundary;

/// `INVOKE_BROKER_TO_RESET_OFFSET`.
pub(super) fn reset(broker: &Arc<Broker>, request: &Request<'_, '_>) -> Answer {
    let header: ResetOffsetRequestHeader<'_> = request.header()?;
    let (topic, group) = (header.topic, header.group);
    let config = broker.topic(topic).ok_or_else(|| {
        Refusal::new(
            ResponseCode::TOPIC_NOT_EXIST,
            format!("Topic {topic} does not exist"),
        )
    })?;
    if !broker.group_map.load().groups.contains_key(group) {
        return Err(Refusal::new(
            ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            format!("Group {group} does not exist"),
        ));
    }
    if !broker.options.load().use_server_side_reset_offset {
        let targets = for_members(broker, &header, config.write_queue_nums)?;
        push_to_members(broker, &header, &targets)?;
        return json(&for_java(broker, topic, &targets));
    }
    let mut targets = QueueOffsets::new();
    if header.queue_id >= 0 {
        let target = one_queue(broker, &header)?;
        targets.insert(header.queue_id, target);
    } else {
        for queue_id in 0..config.read_queue_nums {
            targets.insert(queue_id, at_time(broker, topic, queue_id, header.timestamp));
        }
    }
    if targets.is_empty() {
        return Err(Refusal::error("No queues to reset."));
    }
    broker.offsets.with(|offsets| {
        for (queue_id, offset) in &targets {
            offsets.reset(topic, group, *queue_id, *offset);
        }
        offsets.clear_pull(topic, group);
    });
    broker.offsets.save();
    // Whoever waits for messages hears of it now, not with the next message.
    let name = TopicName::stored(topic);
    for queue_id in targets.keys().filter_map(|id| QueueId::from_wire(*id)) {
        pull::wake(broker, &name, queue_id);
    }
    json(&for_java(broker, topic, &targets))
}

/// Where members are sent that move their offsets themselves: to the time asked for, and never ahead without force.
fn for_members(
    broker: &Broker,
    header: &ResetOffsetRequestHeader<'_>,
    queues: i32,
) -> Result<QueueOffsets, Refusal> {
    let (topic, group) = (header.topic, header.group);
    let mut targets = QueueOffsets::new();
    for queue_id in 0..queues {
        let consumed = broker
            .offsets
            .with(|offsets| offsets.query(topic, group, queue_id));
        let consumed = consumed
            .filter(|offset| *offset >= 0)
            .ok_or_else(|| Refusal::error(format!("THe consumer group <{group}> not exist")))?;
        let asked = at_time(broker, topic, queue_id, header.timestamp).max(0);
        let target = if header.is_force || asked < consumed {
            asked
        } else {
            consumed
        };
        targets.insert(queue_id, target);
    }
    Ok(targets)
}

fn one_queue(broker: &Broker, header: &ResetOffsetRequestHeader<'_>) -> Result<i64, Refusal> {
    let (topic, queue_id) = (header.topic, header.queue_id);
    let Some(offset) = header.offset.filter(|offset| *offset != -1) else {
        return Ok(at_time(broker, topic, queue_id, header.timestamp));
    };
    let (min, max) = (
        min_of(broker, topic, queue_id),
        max_of(broker, topic, queue_id),
    );
    if offset < min || offset > max.saturating_add(1) {
        return Err(Refusal::error(format!(
            "Target offset {offset} not in consume queue range [{min}-{max}]"
        )));
    }
    Ok(offset)
}

/// A time before 1970 means the end of the queue.
fn at_time(broker: &Broker, topic: &str, queue_id: i32, timestamp_ms: i64) -> i64 {
    if timestamp_ms < 0 {
        return max_of(broker, topic, queue_id);
    }
    by_time(broker, topic, queue_id, timestamp_ms, Boundary::Lower)
}

fn for_java(broker: &Broker, topic: &str, targets: &QueueOffsets) -> ResetOffsetBody {
    let broker_name = &broker.options.load().broker_name;
    let queue = |queue_id: i32| MessageQueue {
        topic: topic.to_owned(),
        broker_name: broker_name.clone(),
        queue_id,
    };
    ResetOffsetBody {
        offset_table: targets
            .iter()
            .map(|(queue_id, offset)| (queue(*queue_id), *offset))
            .collect(),
    }
}

fn for_cpp(broker: &Broker, topic: &str, targets: &QueueOffsets) -> ResetOffsetBodyForC {
    let broker_name = &broker.options.load().broker_name;
    let targets = targets.iter();
    ResetOffsetBodyForC {
        offset_table: targets
            .map(|(queue_id, offset)| MessageQueueForC {
                topic: topic.to_owned(),
                broker_name: broker_name.clone(),
                queue_id: *queue_id,
                offset: *offset,
            })
            .collect(),
    }
}

/// The old way: the members move their offsets themselves.
fn push_to_members(
    broker: &Broker,
    header: &ResetOffsetRequestHeader<'_>,
    targets: &QueueOffsets,
) -> Result<(), Refusal> {
    let members: Vec<(Arc<Channel>, LanguageCode)> = {
        let clients = broker.clients.lock();
        let members = clients
            .group(header.group)
            .map(|group| group.members.values());
        let members = members.into_iter().flatten();
        members
            .map(|member| (Arc::clone(&member.handle), member.language))
            .collect()
    };
    if members.is_empty() {
        return Err(Refusal::new(
            ResponseCode::CONSUMER_NOT_ONLINE,
            format!(
                "Consumer not online, so can not reset offset, Group: {} Topic: {} Timestamp: {}",
                header.group, header.topic, header.timestamp
            ),
        ));
    }
    let written = |error: fastjson::BodyError| Refusal::error(error.to_string());
    let java = fastjson::to_wire(&for_java(broker, header.topic, targets)).map_err(written)?;
    let cpp = fastjson::to_wire(&for_cpp(broker, header.topic, targets)).map_err(written)?;
    for (channel, language) in members {
        let body = if language == LanguageCode::CPP {
            cpp.clone()
        } else {
            java.clone()
        };
        let request = Command::request(RequestCode::RESET_CONSUMER_CLIENT_OFFSET, header);
        channel.send_oneway(request.with_body(body));
    }
    Ok(())
}

/// `CLONE_GROUP_OFFSET`.
pub(super) fn clone(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: CloneGroupOffsetRequestHeader<'_> = request.header()?;
    let topics = match header.topic.filter(|topic| !topic.trim().is_empty()) {
        Some(topic) => vec![topic.to_owned()],
        None => broker
            .offsets
            .with(|offsets| offsets.topics_of(header.src_group)),
    };
    for topic in topics {
        if broker.topic(&topic).is_none() {
            continue;
        }
        let left = {
            let clients = broker.clients.lock();
            let online = clients
                .group(header.src_group)
                .is_some_and(|group| !group.subscriptions.is_empty());
            online && clients.subscription(header.src_group, &topic).is_none()
        };
        if !header.offline && left {
            continue;
        }
        broker.offsets.with(|offsets| {
            offsets.clone_offsets(&topic, header.src_group, header.dest_group);
        });
    }
    broker.offsets.save();
    Ok(success())
}

/// `QUERY_CORRECTION_OFFSET`: where the slowest group of a topic is, seen from one group.
pub(super) fn correction(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: QueryCorrectionOffsetHeader<'_> = request.header()?;
    let left_out: Vec<&str> = header
        .filter_groups
        .unwrap_or_default()
        .split(',')
        .filter(|group| !group.is_empty())
        .collect();
    let topic = header.topic;
    let (all, compared): (Vec<(i32, i64)>, QueueOffsets) = broker.offsets.with(|offsets| {
        let others = offsets.of_topic(topic);
        let all = others
            .filter(|(group, _)| !left_out.contains(group))
            .flat_map(|(_, queues)| queues.iter().map(|(queue, offset)| (*queue, *offset)))
            .collect();
        let compared = offsets.queues(topic, header.compare_group);
        (all, compared.cloned().unwrap_or_default())
    });
    let mut slowest = BTreeMap::<i32, i64>::new();
    for (queue_id, offset) in all {
        if offset >= min_of(broker, topic, queue_id) {
            let least = slowest.entry(queue_id).or_insert(offset);
            *least = (*least).min(offset);
        }
    }
    for (queue_id, offset) in compared {
        // Apache marks a queue where the compared group is the slowest with the largest number.
        if slowest.get(&queue_id) == Some(&offset) {
            slowest.insert(queue_id, i64::MAX);
        }
    }
    json(&QueryCorrectionOffsetBody {
        correction_offsets: slowest,
    })
}
