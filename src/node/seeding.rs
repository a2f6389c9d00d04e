//! Puts the contents of a seed file into a node that has just started, through its own port as any client would.
//!
//! Topics and groups are made or changed to what the file says. Messages go only into topics that hold none, so that a
//! second start on the same data does not double them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::config::seed::{GroupSeed, MessageSeed, Seed, TopicSeed};
use super::{NodeError, ReadyInfo};
use crate::base::TopicName;
use crate::client::admin::Admin;
use crate::client::{Client, ClientError, ClientOptions, Message, Producer, ProducerOptions};
use crate::protocol::body::topic_config::TopicConfig;
use crate::sys::Clock;

/// The producer group of the messages.
const GROUP: &str = "rmq-seed";

/// What became of a seed file's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seeded {
    /// Sent now.
    pub sent: usize,
    /// Left out because their topic holds messages already.
    pub kept: usize,
}

/// Where the node can be reached, and how it counts queues and time.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) namesrv: SocketAddr,
    pub(super) broker: SocketAddr,
    pub(super) queues: u32,
    pub(super) clock: &'a Clock,
}

/// Fills the node.
pub(super) async fn sow(seed: &Seed, ground: Ground<'_>) -> Result<Seeded, NodeError> {
    let local = |address| format!("{}:{}", ReadyInfo::local_host(address), address.port());
    let broker = local(ground.broker);
    let client = Client::connect([local(ground.namesrv)], ClientOptions::default())
        .await
        .map_err(|error| failed("the name server", &error))?;
    let admin = client.admin();
    let empty = make(seed, &admin, &broker, ground.queues).await?;
    let producer = client
        .producer(GROUP, ProducerOptions::default())
        .map_err(|error| failed("the messages", &error))?;
    let mut seeded = Seeded::default();
    let mut turns: BTreeMap<&TopicName, usize> = BTreeMap::new();
    for (index, message) in seed.messages.iter().enumerate() {
        if !empty.contains(&message.topic) {
            seeded.kept += 1;
            continue;
        }
        let turn = turns.entry(&message.topic).or_default();
        let sent = send(message, *turn, &producer, ground.clock.now_ms()).await;
        sent.map_err(|error| failed(&format!("message {}", index + 1), &error))?;
        *turn += 1;
        seeded.sent += 1;
    }
    drop(producer);
    client.close().await;
    Ok(seeded)
}

/// Makes topics and groups, those that only messages name as well; says which of the topics hold no message.
async fn make(
    seed: &Seed,
    admin: &Admin,
    broker: &str,
    queues: u32,
) -> Result<BTreeSet<TopicName>, NodeError> {
    let mut named: BTreeSet<TopicName> = BTreeSet::new();
    for topic in &seed.topics {
        let put = admin.put_topic_at(broker, &config(topic, queues)).await;
        put.map_err(|error| failed(&format!("topic {}", topic.name), &error))?;
        named.insert(topic.name.clone());
    }
    for GroupSeed { config } in &seed.groups {
        let mut config = config.clone();
        config.attributes = additions(&config.attributes);
        let put = admin.put_group_at(broker, &config).await;
        put.map_err(|error| failed(&format!("group {}", config.group_name), &error))?;
    }
    let mut empty = BTreeSet::new();
    for MessageSeed { topic, .. } in &seed.messages {
        if empty.contains(topic) {
            continue;
        }
        let problem = |error| failed(&format!("topic {topic}"), &error);
        let mut stats = admin
            .topic_stats_at(broker, topic.as_str())
            .await
            .map_err(problem)?;
        if stats.is_none() && named.insert(topic.clone()) {
            let plain = TopicConfig {
                topic_name: topic.to_string(),
                ..with_queues(queues)
            };
            admin.put_topic_at(broker, &plain).await.map_err(problem)?;
            stats = admin
                .topic_stats_at(broker, topic.as_str())
                .await
                .map_err(problem)?;
        }
        let ends = stats.unwrap_or_default().offset_table;
        if ends.values().all(|end| end.max_offset == 0) {
            empty.insert(topic.clone());
        }
    }
    Ok(empty)
}

fn config(topic: &TopicSeed, queues: u32) -> TopicConfig {
    TopicConfig {
        topic_name: topic.name.to_string(),
        order: topic.order,
        attributes: additions(&topic.attributes),
        ..with_queues(topic.queues.unwrap_or(queues))
    }
}

fn with_queues(queues: u32) -> TopicConfig {
    let queues = i32::try_from(queues).unwrap_or(i32::MAX);
    TopicConfig {
        read_queue_nums: queues,
        write_queue_nums: queues,
        ..TopicConfig::default()
    }
}

/// Attributes as changes: `+name` sets one.
fn additions(attributes: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let attributes = attributes.iter();
    attributes
        .map(|(name, value)| (format!("+{name}"), value.clone()))
        .collect()
}

/// Sends one message; the queues of a topic take turns from the first, so that every start gives the same data.
async fn send(
    seed: &MessageSeed,
    turn: usize,
    producer: &Producer,
    now_ms: i64,
) -> Result<(), ClientError> {
    let mut message = Message::new(seed.topic.as_str(), seed.body.clone());
    if !seed.keys.is_empty() {
        message = message.with_keys(&seed.keys);
    }
    if let Some(tag) = &seed.tag {
        message = message.with_tag(tag);
    }
    for (name, value) in &seed.properties {
        message = message.with_property(name, value);
    }
    if let Some(level) = seed.delay_level {
        message = message.with_delay_level(level);
    }
    if let Some(delay) = seed.delay {
        let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        message = message.with_delivery_time_ms(now_ms.saturating_add(delay_ms));
    }
    if let Some(key) = &seed.order_key {
        return producer.send_ordered(message, key).await.map(drop);
    }
    let queues = producer.queues(seed.topic.as_str()).await?;
    let at = match seed.queue {
        Some(queue) => usize::try_from(queue).unwrap_or(usize::MAX),
        None => turn % queues.len().max(1),
    };
    let queue = queues.get(at).ok_or_else(|| ClientError::Message {
        reason: format!(
            "topic {} has {} queues, and none is number {at}",
            seed.topic,
            queues.len()
        ),
    })?;
    producer.send_to_queue(message, queue).await.map(drop)
}

fn failed(what: &str, error: &ClientError) -> NodeError {
    NodeError::Seed(format!("{what}: {error}"))
}
