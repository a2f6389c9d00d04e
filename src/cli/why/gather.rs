//! What only this question needs: each topic's route, permissions and what the group's filter makes of what waits.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{BrokerName, QueueId, TopicName};
use crate::cli::doctor::facts::{Facts, Group};
use crate::client::admin::SubscriptionData;
use crate::client::{Admin, ClientError, MessageQueue};

/// Messages that are put before the group's filter, in each queue.
const SAMPLE: i32 = 32;

/// One topic the group wants, or has offsets in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Topic {
    /// Whether a name server knows it.
    pub(super) exists: bool,
    /// Broker to permission bits.
    pub(super) perms: BTreeMap<String, i32>,
    /// The queues that can be read, as (broker, queue).
    pub(super) queues: BTreeSet<(String, i32)>,
    /// Brokers at which the group is forbidden to read it.
    pub(super) forbidden: BTreeSet<String>,
    /// How many messages were looked at, and how many of them the filter lets pass.
    pub(super) looked: i64,
    pub(super) passing: i64,
    /// Whether they wait; otherwise they are the last ones that the group is past.
    pub(super) waiting: bool,
    /// Why something about it is not known.
    pub(super) error: Option<String>,
}

/// The topics that matter: the one named, or all the group has to do with.
pub(super) async fn topics(
    admin: &Admin,
    facts: &Facts,
    group: &Group,
    only: Option<&str>,
) -> BTreeMap<String, Topic> {
    let said = group
        .members
        .iter()
        .filter_map(|member| member.subscriptions.as_ref())
        .flat_map(BTreeMap::keys);
    let names: BTreeSet<String> = match only {
        Some(topic) => BTreeSet::from([topic.to_owned()]),
        None => group
            .subscriptions
            .keys()
            .chain(said)
            .chain(group.own_queues().map(|queue| &queue.topic))
            .filter(|topic| !topic.starts_with("%RETRY%"))
            .cloned()
            .collect(),
    };
    let mut topics = BTreeMap::new();
    for name in names {
        let mut topic = Topic::default();
        if let Err(error) = ask(admin, facts, group, &name, &mut topic).await {
            topic.error = Some(error.to_string());
        }
        topics.insert(name, topic);
    }
    topics
}

async fn ask(
    admin: &Admin,
    facts: &Facts,
    group: &Group,
    name: &str,
    topic: &mut Topic,
) -> Result<(), ClientError> {
    let route = match admin.topic_route(name).await {
        Ok(route) => route,
        Err(ClientError::NoRoute { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    topic.exists = true;
    for queues in &route.queues {
        topic.perms.insert(queues.broker.to_string(), queues.perm);
    }
    topic.queues = route
        .read_queues()
        .into_iter()
        .map(|queue| (queue.broker.to_string(), queue.queue.to_wire()))
        .collect();
    for broker in facts.brokers.iter().filter(|broker| broker.is_master()) {
        if !topic.perms.contains_key(&broker.name) || broker.error.is_some() {
            continue;
        }
        // Old brokers do not know the question; they forbid nothing either.
        let readable = admin
            .group_readable_at(&broker.address, &group.name, name, None)
            .await;
        if readable.is_ok_and(|readable| !readable) {
            topic.forbidden.insert(broker.name.clone());
        }
    }
    filter(admin, group, name, topic).await
}

/// Queues hold the hash of a tag; what an SQL92 filter goes by is in the messages only.
fn is_by_tag(data: &SubscriptionData) -> bool {
    data.expression_type.is_empty() || data.expression_type == "TAG"
}

fn passes(wanted: &SubscriptionData, tags_code: i64) -> bool {
    let all = wanted.sub_string == "*" || wanted.code_set.is_empty();
    let mut codes = wanted.code_set.iter();
    all || codes.any(|code| i64::from(*code) == tags_code)
}

async fn filter(
    admin: &Admin,
    group: &Group,
    name: &str,
    topic: &mut Topic,
) -> Result<(), ClientError> {
    if group.members.is_empty() {
        return Ok(());
    }
    let queues = || group.own_queues().filter(|queue| queue.topic == name);
    topic.waiting = queues().any(|queue| queue.behind() > 0);
    let waiting = topic.waiting;
    for queue in queues().filter(|queue| queue.behind() > 0 || !waiting) {
        let place = MessageQueue {
            topic: TopicName::stored(name),
            broker: BrokerName::stored(&queue.broker),
            queue: match QueueId::from_wire(queue.number) {
                Some(id) => id,
                None => continue,
            },
        };
        let from = if waiting {
            queue.committed_later
        } else {
            queue.max_later - i64::from(SAMPLE)
        };
        let from = from.max(queue.min).max(0);
        let seen = admin
            .consume_queue(&place, from, SAMPLE, Some(&group.name))
            .await;
        // Not every broker can look through the eyes of a group.
        let Ok(seen) = seen else { continue };
        let Some(wanted) = seen.subscription_data.filter(is_by_tag) else {
            continue;
        };
        for entry in seen.queue_data {
            topic.looked += 1;
            topic.passing += i64::from(passes(&wanted, entry.tags_code));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_pass_by_their_hash() {
        let wanted = |text: &str, codes: &[i32]| SubscriptionData {
            sub_string: text.to_owned(),
            code_set: codes.to_vec(),
            ..SubscriptionData::default()
        };
        assert!(passes(&wanted("*", &[]), 0));
        assert!(passes(&wanted("paid", &[3_433_164]), 3_433_164));
        assert!(!passes(&wanted("paid", &[3_433_164]), 0));
        assert!(passes(&wanted("x", &[-5]), -5), "hashes may be negative");
    }
}
