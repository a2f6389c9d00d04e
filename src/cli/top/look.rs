//! One look at a cluster, and the rates between two of them.
//!
//! Rates are differences of offsets, not what brokers say about themselves, so that they mean the same for every broker
//! and for the time between the two looks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cli::broker::rate;
use crate::cli::exit::CliError;
use crate::cli::gather::gather;
use crate::cli::group::{connections, is_system, member_ids};
use crate::cli::targets::{Target, Targets};
use crate::cli::topic::rounded;
use crate::client::admin::Admin;

/// What was there at one moment.
#[derive(Debug)]
pub(super) struct Look {
    at: Instant,
    brokers: BTreeMap<String, Broker>,
    topics: BTreeMap<String, Topic>,
    groups: BTreeMap<String, Group>,
    pub(super) producers: usize,
    pub(super) consumers: usize,
}

#[derive(Debug, Default)]
struct Broker {
    sent: Option<f64>,
    consumed: Option<f64>,
    disk: Option<f64>,
    error: Option<String>,
}

#[derive(Debug, Default)]
struct Topic {
    /// All messages there ever were.
    ends: i64,
    /// Those that are still there.
    held: i64,
    /// What all groups together have consumed.
    consumed: i64,
}

#[derive(Debug, Default)]
struct Group {
    consumed: i64,
    lag: i64,
    members: usize,
}

/// A line of the picture.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) kind: &'static str,
    pub(super) name: String,
    /// Messages a second that come in; of a group, that come into its topics is not told.
    pub(super) sent: Option<f64>,
    /// Messages a second that go out.
    pub(super) consumed: Option<f64>,
    pub(super) lag: Option<i64>,
    pub(super) members: Option<usize>,
    pub(super) messages: Option<i64>,
    /// How full the disk is, in percent.
    pub(super) disk: Option<f64>,
    pub(super) error: Option<String>,
}

impl Row {
    /// The line as an object.
    pub(super) fn value(&self) -> Value {
        json!({
            "kind": self.kind,
            "name": self.name,
            "inTps": self.sent.map(rounded),
            "outTps": self.consumed.map(rounded),
            "lag": self.lag,
            "members": self.members,
            "messages": self.messages,
            "diskPercent": self.disk.map(rounded),
            "error": self.error,
        })
    }
}

impl Look {
    /// Asks every broker. One that does not answer is a line with its error; without any it is an error.
    pub(super) async fn take(targets: &Targets, admin: &Admin) -> Result<Self, CliError> {
        let masters = targets.masters(admin).await?;
        let mut look = Self {
            at: Instant::now(),
            brokers: BTreeMap::new(),
            topics: BTreeMap::new(),
            groups: BTreeMap::new(),
            producers: 0,
            consumers: 0,
        };
        let mut first_error = None;
        let mut answered = Vec::new();
        for master in &masters {
            match look.add(master, admin).await {
                Ok(()) => answered.push(master.clone()),
                Err(error) => {
                    let broker = look.brokers.entry(master.name.clone()).or_default();
                    broker.error = Some(error.to_string());
                    first_error.get_or_insert(error);
                }
            }
        }
        if let Some(error) = first_error.filter(|_| answered.is_empty()) {
            return Err(error);
        }
        let names: Vec<String> = look.groups.keys().cloned().collect();
        for (name, found) in connections(names, &answered, admin).await? {
            let members = member_ids(&found).len();
            look.consumers += members;
            if let Some(group) = look.groups.get_mut(&name) {
                group.members = members;
            }
        }
        Ok(look)
    }

    /// One broker's part.
    async fn add(&mut self, master: &Target, admin: &Admin) -> Result<(), CliError> {
        let address = &master.address;
        let runtime = admin.broker_runtime(address).await?;
        let broker = Broker {
            sent: rate(&runtime, "putTps"),
            consumed: rate(&runtime, "getTransferredTps"),
            disk: rate(&runtime, "commitLogDiskRatio").map(|share| share * 100.0),
            error: None,
        };
        self.brokers.insert(master.name.clone(), broker);
        let system = admin.system_topics_at(address).await?;
        let topics = admin.topic_configs_at(address).await?.into_keys();
        let topics: Vec<String> = topics
            .filter(|topic| !system.contains(topic) && !topic.starts_with('%'))
            .collect();
        let answers = gather(topics, |topic| {
            let (admin, address) = (admin.clone(), address.clone());
            async move {
                let stats = admin.topic_stats_at(&address, &topic).await;
                (topic, stats)
            }
        })
        .await;
        for (name, stats) in answers {
            // Deleted in between.
            let Ok(Some(stats)) = stats else { continue };
            let topic = self.topics.entry(name).or_default();
            for queue in stats.offset_table.values() {
                topic.ends += queue.max_offset;
                topic.held += (queue.max_offset - queue.min_offset).max(0);
            }
        }
        for name in admin.groups_at(address).await?.configs.into_keys() {
            if !is_system(&name) {
                self.groups.entry(name).or_default();
            }
        }
        for (name, stats) in admin.all_consume_stats_at(address, false).await? {
            if is_system(&name) {
                continue;
            }
            let group = self.groups.entry(name).or_default();
            for (queue, offsets) in stats.into_iter().flat_map(|stats| stats.offset_table) {
                group.lag += (offsets.broker_offset - offsets.consumer_offset).max(0);
                group.consumed += offsets.consumer_offset;
                if let Some(topic) = self.topics.get_mut(&queue.topic) {
                    topic.consumed += offsets.consumer_offset;
                }
            }
        }
        for (group, producers) in admin.producers_at(address).await? {
            if group != "CLIENT_INNER_PRODUCER" {
                self.producers += producers.len();
            }
        }
        Ok(())
    }

    /// The picture, with rates since another look.
    pub(super) fn rows(&self, before: Option<&Self>) -> Vec<Row> {
        let since = before.map(|before| self.at.saturating_duration_since(before.at));
        let mut rows = Vec::new();
        for (name, group) in &self.groups {
            let earlier = before.and_then(|before| before.groups.get(name));
            rows.push(Row {
                kind: "group",
                name: name.clone(),
                consumed: per_second(group.consumed, earlier.map(|group| group.consumed), since),
                lag: Some(group.lag),
                members: Some(group.members),
                ..Row::default()
            });
        }
        for (name, topic) in &self.topics {
            let earlier = before.and_then(|before| before.topics.get(name));
            rows.push(Row {
                kind: "topic",
                name: name.clone(),
                sent: per_second(topic.ends, earlier.map(|topic| topic.ends), since),
                consumed: per_second(topic.consumed, earlier.map(|topic| topic.consumed), since),
                messages: Some(topic.held),
                ..Row::default()
            });
        }
        for (name, broker) in &self.brokers {
            rows.push(Row {
                kind: "broker",
                name: name.clone(),
                sent: broker.sent,
                consumed: broker.consumed,
                disk: broker.disk,
                error: broker.error.clone(),
                ..Row::default()
            });
        }
        rows
    }
}

fn per_second(now: i64, before: Option<i64>, since: Option<Duration>) -> Option<f64> {
    let seconds = since?.as_secs_f64();
    #[allow(
        clippy::cast_precision_loss,
        reason = "differences of offsets within seconds are far below 2^53"
    )]
    let count = (now - before?).max(0) as f64;
    (seconds > 0.0).then(|| count / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_what_happened_between_two_looks() {
        let second = Some(Duration::from_secs(2));
        assert_eq!(per_second(30, Some(10), second), Some(10.0));
        assert_eq!(per_second(5, Some(10), second), Some(0.0), "made anew");
        assert_eq!(per_second(5, None, second), None);
        assert_eq!(per_second(5, Some(1), Some(Duration::ZERO)), None);
    }
}
