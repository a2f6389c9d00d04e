//! What a replica that becomes master has messages of and was not told: topics and groups made just before its master
//! died.
//!
//! Tables are copied a little later than the log. A topic may be so new that the replica has its messages, acknowledged
//! and committed, and not its configuration; nobody could read them. So whoever takes a master's place looks through what
//! its log got since the tables were copied last, and makes what it does not know: topics with as many queues as are
//! needed, at least `defaultTopicQueueNums`, and the groups that popped messages. Topics deleted in these last seconds
//! come back with them.

use std::collections::BTreeMap;

use crate::base::{GroupName, LogOffset, TopicName};
use crate::broker::Broker;
use crate::broker::pop::records::{CK_TAG, CheckPoint};
use crate::broker::topics::{PERM_READ, PERM_WRITE};
use crate::message::{Record, names};

/// Looks no further back than this, also when nobody knows how new the tables are.
pub(super) const LOOK_BACK: u64 = 512 << 20;

/// Makes the topics and groups of the log from `from` on that are not known. Blocks.
pub(crate) fn unknown(broker: &Broker, from: u64) {
    let mut topics: BTreeMap<String, i32> = BTreeMap::new();
    let mut groups: Vec<GroupName> = Vec::new();
    broker.store.walk_records(LogOffset::new(from), |record| {
        let mut has = |topic: &str, queue: i32| {
            if broker.topic(topic).is_none() {
                let queues = topics.entry(topic.to_owned()).or_default();
                *queues = (*queues).max(queue.saturating_add(1));
            }
        };
        has(record.topic, record.queue_id);
        let real = |name| record.properties.get(name);
        if let Some(topic) = real(names::REAL_TOPIC) {
            let queue = real(names::REAL_QID).and_then(|queue| queue.parse().ok());
            has(topic, queue.unwrap_or(0));
        }
        groups.extend(group_of(broker, record));
    });
    let default = broker.options.load().default_topic_queue_nums;
    for (name, queues) in topics {
        let Ok(topic) = TopicName::parse(&name) else {
            continue;
        };
        let queues = if topic.is_retry() {
            queues
        } else {
            queues.max(default)
        };
        tracing::warn!(
            topic = name,
            queues,
            "this broker has messages of a topic that its master had just made, and makes it"
        );
        broker.ensure_topic(&topic, queues.max(1), PERM_READ | PERM_WRITE, false, 0);
    }
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        tracing::warn!(%group, "this broker has messages of a group that its master had just made, and makes it");
        broker.create_group(&group);
    }
}

/// The group that popped or retries a message, if this broker does not know it.
fn group_of(broker: &Broker, record: &Record<'_>) -> Option<GroupName> {
    let name = if record.topic == broker.pop.revive_topic.as_str() {
        let is_point = record.properties.get(names::TAGS) == Some(CK_TAG);
        let point = is_point.then(|| serde_json::from_slice::<CheckPoint>(record.body).ok());
        point.flatten()?.group
    } else if let Some(group) = record.properties.get(names::ORIGIN_GROUP) {
        // A retry topic of POP has the group's name and the topic's in one.
        group.to_owned()
    } else {
        let real = record.properties.get(names::REAL_TOPIC);
        let topic = real.unwrap_or(record.topic);
        topic
            .strip_prefix(crate::base::ids::RETRY_PREFIX)?
            .to_owned()
    };
    if broker.group_map.load().groups.contains_key(name.as_str()) {
        return None;
    }
    GroupName::parse(&name).ok()
}
