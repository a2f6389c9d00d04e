//! How far topics and groups are: 202, 208, 317, 303, 321.

use std::collections::BTreeMap;

use crate::base::{GroupName, QueueOffset};
use crate::broker::Broker;
use crate::broker::handlers::offset::{find_queue, max_of, min_of};
use crate::broker::handlers::{Answer, Refusal, Request, json};
use crate::broker::stats::StatsName;
use crate::protocol::body::MessageQueue;
use crate::protocol::body::consume::{ConsumeQueueData, QueryConsumeQueueResponseBody};
use crate::protocol::body::stats::{
    ConsumeStats, ConsumeStatsList, OffsetWrapper, QueryConsumeTimeSpanBody, QueueTimeSpan,
    TopicOffset, TopicStatsTable,
};
use crate::protocol::codes::ResponseCode;
use crate::protocol::header::consumer::{
    GetConsumeStatsInBrokerHeader, GetConsumeStatsRequestHeader, QueryConsumeQueueRequestHeader,
    QueryConsumeTimeSpanRequestHeader,
};
use crate::protocol::header::topic::GetTopicStatsInfoRequestHeader;

fn queue_of(broker: &Broker, topic: &str, queue_id: i32) -> MessageQueue {
    MessageQueue {
        topic: topic.to_owned(),
        broker_name: broker.options.load().broker_name.clone(),
        queue_id,
    }
}

/// When the message at an offset was stored, if it is there.
fn time_of(broker: &Broker, topic: &str, queue_id: i32, offset: i64) -> Option<i64> {
    let queue = find_queue(broker, topic, queue_id)?;
    broker
        .store
        .store_time(&queue, QueueOffset::from_wire(offset)?)
}

fn no_topic(topic: &str) -> Refusal {
    Refusal::new(
        ResponseCode::TOPIC_NOT_EXIST,
        format!("topic[{topic}] not exist"),
    )
}

/// `GET_TOPIC_STATS_INFO`.
pub(super) fn topic_stats(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: GetTopicStatsInfoRequestHeader<'_> = request.header()?;
    let topic = header.topic;
    let config = broker.topic(topic).ok_or_else(|| no_topic(topic))?;
    let queues = config.read_queue_nums.max(config.write_queue_nums);
    let mut offset_table = BTreeMap::new();
    for queue_id in 0..queues {
        let max_offset = max_of(broker, topic, queue_id);
        let last = (max_offset > 0)
            .then(|| time_of(broker, topic, queue_id, max_offset - 1))
            .flatten();
        offset_table.insert(
            queue_of(broker, topic, queue_id),
            TopicOffset {
                min_offset: min_of(broker, topic, queue_id),
                max_offset,
                last_update_timestamp: last.unwrap_or(0),
            },
        );
    }
    let counter = broker.stats.find(StatsName::TopicPutNums, topic);
    json(&TopicStatsTable {
        offset_table,
        topic_put_tps: counter.map_or(0.0, |counter| counter.minute().tps),
    })
}

/// `GET_CONSUME_STATS`.
pub(super) fn stats(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: GetConsumeStatsRequestHeader<'_> = request.header()?;
    let group = header.consumer_group;
    let listed = header.topic_list.unwrap_or_default();
    let listed: Vec<String> = listed
        .split(';')
        .filter(|topic| !topic.is_empty())
        .map(str::to_owned)
        .collect();
    let topics = if listed.is_empty() {
        subscribed(broker, group, header.topic)
    } else {
        listed
    };
    let mut all = ConsumeStats::default();
    for topic in topics {
        add_topic(broker, group, &topic, &mut all);
    }
    json(&all)
}

/// The topics of a group, without those its members do not subscribe to any more.
fn subscribed(broker: &Broker, group: &str, topic: Option<&str>) -> Vec<String> {
    let mut topics = match topic.filter(|topic| !topic.trim().is_empty()) {
        Some(topic) => vec![topic.to_owned()],
        None => broker.offsets.with(|offsets| offsets.topics_of(group)),
    };
    let clients = broker.clients.lock();
    let online = clients
        .group(group)
        .is_some_and(|group| !group.subscriptions.is_empty());
    if online {
        topics.retain(|topic| clients.subscription(group, topic).is_some());
    }
    topics
}

fn add_topic(broker: &Broker, group: &str, topic: &str, all: &mut ConsumeStats) {
    let Some(config) = broker.topic(topic) else {
        return;
    };
    for queue_id in 0..config.read_queue_nums {
        let (consumed, pulled) = broker.offsets.with(|offsets| {
            (
                offsets.query(topic, group, queue_id),
                offsets.query_pull(topic, group, queue_id),
            )
        });
        let consumer_offset = consumed.unwrap_or(0).max(0);
        let last_timestamp = (consumer_offset > 0)
            .then(|| time_of(broker, topic, queue_id, consumer_offset - 1))
            .flatten();
        all.offset_table.insert(
            queue_of(broker, topic, queue_id),
            OffsetWrapper {
                broker_offset: max_of(broker, topic, queue_id),
                consumer_offset,
                pull_offset: pulled.unwrap_or(-1).max(consumer_offset),
                last_timestamp: last_timestamp.unwrap_or(0),
            },
        );
    }
    let counter = broker
        .stats
        .find(StatsName::GroupGetNums, &format!("{topic}@{group}"));
    all.consume_tps += counter.map_or(0.0, |counter| counter.minute().tps);
}

/// `GET_BROKER_CONSUME_STATS`: every group and topic, ordered topics only if asked for.
pub(super) fn all_stats(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: GetConsumeStatsInBrokerHeader = request.header()?;
    let groups: Vec<GroupName> = broker
        .groups
        .with(|groups| groups.iter().map(|(name, _)| name.clone()).collect());
    let mut list = ConsumeStatsList {
        broker_addr: Some(broker.options.load().address()),
        ..ConsumeStatsList::default()
    };
    for group in groups {
        let mut of_group = Vec::new();
        for topic in subscribed(broker, group.as_str(), None) {
            let ordered = broker.topic(&topic).is_some_and(|config| config.order);
            if header.is_order && !ordered {
                continue;
            }
            let mut stats = ConsumeStats::default();
            add_topic(broker, group.as_str(), &topic, &mut stats);
            for offsets in stats.offset_table.values() {
                let behind = offsets.broker_offset.wrapping_sub(offsets.consumer_offset);
                list.total_diff = list.total_diff.wrapping_add(behind);
                let in_flight = offsets.pull_offset.wrapping_sub(offsets.consumer_offset);
                list.total_inflight_diff = list.total_inflight_diff.wrapping_add(in_flight);
            }
            of_group.push(stats);
        }
        list.consume_stats_list
            .push(BTreeMap::from([(group.to_string(), of_group)]));
    }
    json(&list)
}

/// `QUERY_CONSUME_TIME_SPAN`.
pub(super) fn time_span(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: QueryConsumeTimeSpanRequestHeader<'_> = request.header()?;
    let topic = header.topic;
    let config = broker.topic(topic).ok_or_else(|| no_topic(topic))?;
    let now_ms = broker.clock.now_ms();
    let mut spans = Vec::new();
    for queue_id in 0..config.write_queue_nums {
        let (min, max) = (
            min_of(broker, topic, queue_id),
            max_of(broker, topic, queue_id),
        );
        let at = |offset: i64| time_of(broker, topic, queue_id, offset).unwrap_or(-1);
        let min_time_stamp = at(min);
        let consumed = broker
            .offsets
            .with(|offsets| offsets.query(topic, header.group, queue_id))
            .unwrap_or(-1);
        let next = time_of(broker, topic, queue_id, consumed).filter(|_| consumed < max);
        spans.push(QueueTimeSpan {
            message_queue: queue_of(broker, topic, queue_id),
            min_time_stamp,
            max_time_stamp: at(max - 1),
            consume_time_stamp: if consumed > 0 {
                at(consumed - 1)
            } else {
                min_time_stamp
            },
            delay_time: next.map_or(0, |stored| now_ms - stored),
        });
    }
    json(&QueryConsumeTimeSpanBody {
        consume_time_span_set: spans,
    })
}

/// More entries than this are never shown at once.
const ENTRIES_MAX: i64 = 1_000;

/// `QUERY_CONSUME_QUEUE`: the entries of a queue as they are.
pub(super) fn queue(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: QueryConsumeQueueRequestHeader<'_> = request.header()?;
    let topic = header.topic.unwrap_or_default();
    let queue = find_queue(broker, topic, header.queue_id)
        .ok_or_else(|| Refusal::error(format!("{}@{topic} is not exist!", header.queue_id)))?;
    let (min, max) = (queue.min_offset().to_wire(), queue.max_offset().to_wire());
    let mut body = QueryConsumeQueueResponseBody {
        min_queue_index: min,
        max_queue_index: max,
        ..QueryConsumeQueueResponseBody::default()
    };
    if let Some(group) = header.consumer_group {
        let found = broker.clients.lock().subscription(group, topic);
        match found {
            Some(found) => body.subscription_data = Some(found.data.clone()),
            None => body.filter_data = Some(format!("{group}@{topic} is not online!")),
        }
    }
    let count = i64::from(header.count).clamp(0, ENTRIES_MAX);
    let first = header.index.max(min);
    for at in first..max.min(first.saturating_add(count)) {
        let entry = u64::try_from(at).ok().and_then(|at| queue.entry(at));
        if let Some(entry) = entry {
            body.queue_data.push(ConsumeQueueData {
                physic_offset: entry.log_offset,
                physic_size: entry.size,
                tags_code: entry.tags_code,
                ..ConsumeQueueData::default()
            });
        }
    }
    json(&body)
}
