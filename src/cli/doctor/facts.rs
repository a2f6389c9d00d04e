//! What was learned about a cluster and this machine. Pure: gathered by [`super::gather`], judged by [`super::judge`].

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::client::admin::{ConsumeType, MessageModel, SubscriptionGroupConfig};
use crate::message::names;

/// Everything together.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Facts {
    /// When, in milliseconds since 1970.
    pub(crate) now_ms: i64,
    /// The time between the two looks at the offsets, in milliseconds.
    pub(crate) interval_ms: i64,
    /// Each name server, asked on its own.
    pub(crate) name_servers: Vec<NameServer>,
    /// Each broker that a name server knows, masters and slaves.
    pub(crate) brokers: Vec<Broker>,
    /// The groups, without RocketMQ's own.
    pub(crate) groups: Vec<Group>,
    /// Producers, by group.
    pub(crate) producers: BTreeMap<String, Vec<Member>>,
    /// Topics that hold messages and that no group has an offset or a member for, with their messages.
    pub(crate) unread_topics: BTreeMap<String, i64>,
    /// Half messages that were given up.
    pub(crate) abandoned_transactions: i64,
    /// This machine.
    pub(crate) machine: Machine,
    /// What could not be asked, and why.
    pub(crate) unasked: Vec<String>,
}

/// A name server's view.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NameServer {
    pub(crate) address: String,
    /// Why it does not answer.
    pub(crate) error: Option<String>,
    /// `name:id` to address.
    pub(crate) brokers: BTreeMap<String, String>,
    pub(crate) topics: BTreeSet<String>,
    pub(crate) config: BTreeMap<String, String>,
}

/// One broker process.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Broker {
    pub(crate) cluster: String,
    pub(crate) name: String,
    /// 0 for the master.
    pub(crate) id: i64,
    /// As it is advertised.
    pub(crate) address: String,
    /// Why it does not answer.
    pub(crate) error: Option<String>,
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) runtime: BTreeMap<String, String>,
    /// Its clock minus ours, in milliseconds, as far as the time of the question tells: the least it can be.
    pub(crate) clock_ahead_ms: Option<i64>,
    /// Whether it is `rmq`: it knows a question of ours.
    pub(crate) is_rmq: bool,
    /// Whether its time stands still until somebody moves it.
    pub(crate) virtual_clock: bool,
    /// How far its slaves are, by their address; `None` if it cannot tell.
    pub(crate) slaves: Option<BTreeMap<String, Slave>>,
}

/// A slave as its master sees it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Slave {
    pub(crate) behind_bytes: i64,
    pub(crate) in_sync: bool,
}

impl Broker {
    /// A setting; empty if the broker did not tell.
    pub(crate) fn setting(&self, key: &str) -> &str {
        self.config.get(key).map_or("", String::as_str)
    }

    /// A setting that is a number.
    pub(crate) fn number(&self, key: &str) -> Option<i64> {
        self.setting(key).trim().parse().ok()
    }

    /// A setting that is on or off.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        self.setting(key).trim().parse().ok()
    }

    /// Whether it takes messages from producers.
    pub(crate) fn is_master(&self) -> bool {
        self.id == 0
    }

    /// Name and, for slaves, number.
    pub(crate) fn label(&self) -> String {
        match self.id {
            0 => self.name.clone(),
            id => format!("{} slave {id}", self.name),
        }
    }

    /// How full the disk of the log is, from 0 to 1.
    pub(crate) fn disk_ratio(&self) -> Option<f64> {
        let all = self.runtime.iter();
        all.filter(|(key, _)| key.starts_with("commitLogDiskRatio"))
            .filter_map(|(_, value)| value.parse::<f64>().ok())
            .filter(|ratio| (0.0..=1.0).contains(ratio))
            .max_by(f64::total_cmp)
    }
}

/// A consumer group over all brokers.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Group {
    pub(crate) name: String,
    /// By broker name.
    pub(crate) configs: BTreeMap<String, SubscriptionGroupConfig>,
    pub(crate) members: Vec<Member>,
    pub(crate) consume_type: Option<ConsumeType>,
    pub(crate) message_model: Option<MessageModel>,
    /// What the brokers think the group subscribes to.
    pub(crate) subscriptions: BTreeMap<String, Filter>,
    pub(crate) queues: Vec<Queue>,
    /// Messages in its dead-letter topic.
    pub(crate) dead: i64,
}

/// One client.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Member {
    pub(crate) client_id: String,
    pub(crate) address: String,
    pub(crate) language: String,
    /// `MQVersion`'s ordinal.
    pub(crate) version: i32,
    /// The brokers it is connected to, by name.
    pub(crate) brokers: BTreeSet<String>,
    /// What it says it subscribes to; `None` if it did not say.
    pub(crate) subscriptions: Option<BTreeMap<String, Filter>>,
    /// The queues it says it owns, as (topic, broker, queue), with the time it last asked for messages.
    pub(crate) owns: Vec<Owned>,
    /// Why it did not answer.
    pub(crate) error: Option<String>,
}

/// A queue as its owner sees it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Owned {
    pub(crate) topic: String,
    pub(crate) broker: String,
    pub(crate) queue: i32,
    /// 0: never.
    pub(crate) last_pull_ms: i64,
    /// 0: never.
    pub(crate) last_consume_ms: i64,
    /// Pulled and not consumed.
    pub(crate) cached: i64,
}

/// What somebody wants of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Filter {
    /// `TAG` or `SQL92`.
    pub(crate) kind: String,
    /// Normalised: tags sorted, blanks gone.
    pub(crate) expression: String,
}

impl Filter {
    /// Two ways to write the same filter become equal.
    pub(crate) fn new(kind: &str, expression: &str) -> Self {
        let kind = if kind.is_empty() { "TAG" } else { kind };
        let expression = expression.trim();
        let expression = if kind != "TAG" {
            expression.to_owned()
        } else if expression.is_empty() || expression == "*" {
            "*".to_owned()
        } else {
            let tags: BTreeSet<&str> = expression.split("||").map(str::trim).collect();
            tags.into_iter().collect::<Vec<_>>().join(" || ")
        };
        Self {
            kind: kind.to_owned(),
            expression,
        }
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.kind == "TAG" {
            write!(f, "{:?}", self.expression)
        } else {
            write!(f, "{} {:?}", self.kind, self.expression)
        }
    }
}

/// A group's place in a queue, looked at twice.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Queue {
    pub(crate) topic: String,
    pub(crate) broker: String,
    pub(crate) number: i32,
    /// The first message that is still there.
    pub(crate) min: i64,
    pub(crate) max: i64,
    /// -1 if the group has not begun there.
    pub(crate) committed: i64,
    pub(crate) max_later: i64,
    pub(crate) committed_later: i64,
    /// For how long the next message has been waiting, in milliseconds; `None` if nothing waits or it is not known.
    pub(crate) waits_ms: Option<i64>,
}

impl Queue {
    /// Messages not consumed, at the second look.
    pub(crate) fn behind(&self) -> i64 {
        (self.max_later - self.committed_later.max(self.min)).max(0)
    }

    /// How much that grew between the two looks.
    pub(crate) fn growth(&self) -> i64 {
        self.behind() - (self.max - self.committed.max(self.min)).max(0)
    }

    /// `broker/queue`.
    pub(crate) fn label(&self) -> String {
        format!("{}/{}", self.broker, self.number)
    }
}

impl Group {
    /// Its queues of ordinary topics.
    pub(crate) fn own_queues(&self) -> impl Iterator<Item = &Queue> {
        self.queues
            .iter()
            .filter(|queue| !queue.topic.starts_with("%RETRY%"))
    }

    /// Messages that wait in its retry topics.
    pub(crate) fn retrying(&self) -> i64 {
        let retry = self.queues.iter();
        retry
            .filter(|queue| queue.topic.starts_with("%RETRY%"))
            .map(Queue::behind)
            .sum()
    }

    /// Whether every member gets every message.
    pub(crate) fn broadcasts(&self) -> bool {
        self.message_model == Some(MessageModel::Broadcasting)
    }
}

/// This machine.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Machine {
    /// Open files a process may have.
    pub(crate) open_files_max: Option<u64>,
    /// What kind of container this is, if it is one.
    pub(crate) container: Option<String>,
    /// The data directory asked about.
    pub(crate) data_dir: Option<DataDir>,
    /// Ports a node would take that are taken, when there is no node to ask.
    pub(crate) ports_taken: Vec<u16>,
}

/// A store on this machine.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DataDir {
    pub(crate) path: String,
    /// Why it cannot be read.
    pub(crate) error: Option<String>,
    pub(crate) abort_file: bool,
    /// Whether a process holds it.
    pub(crate) in_use: bool,
    pub(crate) free_bytes: Option<u64>,
    pub(crate) total_bytes: Option<u64>,
}

/// Whether a topic is RocketMQ's own.
pub(crate) fn is_system_topic(topic: &str) -> bool {
    const NAMES: [&str; 7] = [
        names::AUTO_CREATE_TOPIC,
        names::SELF_TEST_TOPIC,
        names::BENCHMARK_TOPIC,
        names::OFFSET_MOVED_EVENT,
        names::SCHEDULE_TOPIC,
        names::TRANS_CHECK_MAX_TIME_TOPIC,
        "DefaultHeartBeatSyncerTopic",
    ];
    let lower = topic.to_ascii_lowercase();
    NAMES.contains(&topic)
        || lower.starts_with("rmq_sys_")
        || topic.starts_with('%')
        || topic.ends_with("_REPLY_TOPIC")
}

/// Whether a group is RocketMQ's own: one that nobody lists, or one that a broker or proxy consumes with.
pub(crate) fn is_system_group(group: &str) -> bool {
    crate::cli::group::is_system(group)
        || group == "SCHEDULE_CONSUMER"
        || group.starts_with("CID_ONS")
        || group.starts_with("CID_SYS_RMQ")
        || group.starts_with("CID_DefaultHeartBeatSyncerTopic")
}

/// `MQVersion`'s ordinal as a release; a snapshot counts as its release.
pub(crate) fn version_name(ordinal: i32) -> String {
    match ordinal {
        ..122 => "3.4 or older".to_owned(),
        122..212 => {
            let at = ordinal - 122;
            format!("3.{}.{}", 5 + at / 18, 1 + at % 18 / 2)
        }
        212.. => {
            let at = ordinal - 212;
            format!("{}.{}.{}", 4 + at / 200, at / 20 % 10, at % 20 / 2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_by_their_ordinals() {
        for (ordinal, name) in [
            (0, "3.4 or older"),
            (122, "3.5.1"),
            (139, "3.5.9"),
            (212, "4.0.0"),
            (253, "4.2.0"),
            (411, "4.9.9"),
            (413, "5.0.0"),
            (513, "5.5.0"),
        ] {
            assert_eq!(version_name(ordinal), name, "{ordinal}");
        }
    }

    #[test]
    fn filters_written_differently_are_the_same() {
        let tags = |text| Filter::new("TAG", text);
        assert_eq!(tags("a||b"), tags(" b || a "));
        assert_eq!(tags(""), Filter::new("", "*"));
        assert_ne!(tags("a"), tags("*"));
        assert_ne!(Filter::new("SQL92", "a"), tags("a"));
    }

    #[test]
    fn lag_counts_from_the_first_message_that_is_there() {
        let queue = Queue {
            min: 10,
            max: 20,
            committed: 5,
            max_later: 30,
            committed_later: 5,
            ..Queue::default()
        };
        assert_eq!((queue.behind(), queue.growth()), (20, 10));
    }

    #[test]
    fn rocketmqs_own_names() {
        for topic in [
            "%RETRY%g",
            "rmq_sys_wheel_timer",
            "RMQ_SYS_TRACE_TOPIC",
            "DefaultCluster_REPLY_TOPIC",
        ] {
            assert!(is_system_topic(topic), "{topic}");
        }
        assert!(!is_system_topic("orders"));
        assert!(is_system_group("CID_RMQ_SYS_TRANS"));
        assert!(!is_system_group("billing"));
    }
}
