//! Which brokers there are, and which of their queues carry which topic.
//!
//! A plain table: the caller brings the time and the lock. What Apache's `RouteInfoManager` does, it does, with these
//! differences: a registration that is refused leaves nothing behind, one channel may carry several brokers, and
//! lists are in order of name instead of hash.
//!
//! [`RouteTable::generation`] changes with every change that a route answer could show, so answers can be kept.

mod live;
mod minimum;
mod pickup;
mod register;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

pub(super) use live::Gone;
pub(super) use minimum::Minimum;
pub(super) use pickup::keep_zone;
pub(super) use register::Registration;

use crate::protocol::body::route::{BrokerData, ClusterInfo, QueueData};

/// The broker id of a master.
pub(super) const MASTER_ID: i64 = 0;

/// `PermName.PERM_READ`.
const PERM_READ: i32 = 4;
/// `PermName.PERM_WRITE`.
const PERM_WRITE: i32 = 2;
/// `TopicSysFlag`: the topic belongs to a unit.
const FLAG_UNIT: i32 = 1;
/// `TopicSysFlag`: consumers of a unit subscribe to the topic.
const FLAG_UNIT_SUB: i32 = 2;

/// What decides how the table behaves; Apache's settings of the same names.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    /// Present the slave with the smallest id as master where there is none.
    pub(super) support_acting_master: bool,
    /// Drop topics that a broker's registration does not name any more.
    pub(super) delete_topic_with_broker_registration: bool,
}

/// Cluster and address of one broker process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct BrokerAddr {
    pub(super) cluster: String,
    pub(super) addr: String,
}

/// The table. See the module's page.
#[derive(Debug, Default)]
pub(super) struct RouteTable {
    rules: Rules,
    /// Topic, broker name, queues.
    topics: BTreeMap<String, BTreeMap<String, QueueData>>,
    /// Broker name, addresses.
    brokers: BTreeMap<String, BrokerData>,
    /// Cluster, broker names.
    clusters: BTreeMap<String, BTreeSet<String>>,
    live: HashMap<BrokerAddr, live::Live>,
    filter_servers: HashMap<BrokerAddr, Vec<String>>,
    /// Topic, broker name, Apache's `TopicQueueMappingInfo` as it came.
    static_topics: BTreeMap<String, BTreeMap<String, Value>>,
    /// Changes of smallest ids nobody was told of yet.
    minimums: Vec<Minimum>,
    generation: u64,
}

impl RouteTable {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    pub(super) fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
        self.touch();
    }

    /// A number that changes whenever a route may look different.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Says that a route may look different from now on.
    pub(super) fn touch(&mut self) {
        self.generation += 1;
    }

    /// Takes over the queues somebody gives a topic (`REGISTER_TOPIC_IN_NAMESRV`). One unknown broker ends it; what
    /// came before it stays, unless the topic is new.
    pub(super) fn register_topic(&mut self, topic: &str, queues: Vec<QueueData>) {
        let mut table = self.topics.get(topic).cloned().unwrap_or_default();
        let known_topic = self.topics.contains_key(topic);
        let mut complete = true;
        for queues in queues {
            let broker = &queues.broker_name;
            if !self.brokers.contains_key(broker) {
                tracing::warn!(
                    topic,
                    broker,
                    "a topic was registered for an unknown broker"
                );
                complete = false;
                break;
            }
            table.insert(broker.clone(), queues);
        }
        if !table.is_empty() && (complete || known_topic) {
            self.topics.insert(topic.to_owned(), table);
            self.touch();
        }
    }

    /// Forgets a topic, everywhere or on the brokers of one cluster.
    pub(super) fn delete_topic(&mut self, topic: &str, cluster: Option<&str>) {
        let Some(queues) = self.topics.get_mut(topic) else {
            return;
        };
        if let Some(cluster) = cluster {
            let Some(names) = self.clusters.get(cluster) else {
                return;
            };
            queues.retain(|broker, _| !names.contains(broker));
        } else {
            queues.clear();
        }
        if queues.is_empty() {
            self.topics.remove(topic);
        }
        self.touch();
    }

    /// Takes the write permission from all queues of a broker name, and says from how many topics.
    pub(super) fn wipe_write_perm(&mut self, broker: &str) -> i32 {
        self.change_perm(broker, |perm| perm & !PERM_WRITE)
    }

    /// Makes all queues of a broker name readable and writable, and says for how many topics.
    pub(super) fn add_write_perm(&mut self, broker: &str) -> i32 {
        self.change_perm(broker, |_| PERM_READ | PERM_WRITE)
    }

    fn change_perm(&mut self, broker: &str, changed: impl Fn(i32) -> i32) -> i32 {
        self.touch();
        let mut topics = 0;
        for queues in self.topics.values_mut() {
            if let Some(queues) = queues.get_mut(broker) {
                queues.perm = changed(queues.perm);
                topics += 1;
            }
        }
        topics
    }

    /// Every broker and every cluster.
    pub(super) fn cluster_info(&self) -> ClusterInfo {
        let clusters = self.clusters.iter();
        ClusterInfo {
            broker_addr_table: self.brokers.clone(),
            cluster_addr_table: clusters
                .map(|(cluster, names)| (cluster.clone(), names.iter().cloned().collect()))
                .collect(),
        }
    }

    /// The addresses of one broker name; none if it is unknown.
    pub(super) fn members(&self, broker: &str) -> BTreeMap<i64, String> {
        let broker = self.brokers.get(broker);
        broker
            .map(|broker| broker.broker_addrs.clone())
            .unwrap_or_default()
    }

    /// Every topic.
    pub(super) fn topic_names(&self) -> Vec<String> {
        self.topics.keys().cloned().collect()
    }

    /// Every topic that a broker of the cluster has; once for each such broker, as in Apache's answer.
    pub(super) fn topics_of_cluster(&self, cluster: &str) -> Vec<String> {
        let brokers = self.clusters.get(cluster).into_iter().flatten();
        brokers
            .flat_map(|broker| {
                let topics = self.topics.iter();
                topics.filter(move |(_, queues)| queues.contains_key(broker))
            })
            .map(|(topic, _)| topic.clone())
            .collect()
    }

    /// The topics every broker makes for itself: names of clusters and brokers; and one broker's address.
    pub(super) fn system_topics(&self) -> (Vec<String>, Option<String>) {
        let mut names = Vec::new();
        for (cluster, brokers) in &self.clusters {
            names.push(cluster.clone());
            names.extend(brokers.iter().cloned());
        }
        let mut brokers = self.brokers.values();
        let addr = brokers.find_map(|broker| broker.broker_addrs.values().next().cloned());
        (names, addr)
    }

    /// The topics of a unit.
    pub(super) fn unit_topics(&self) -> Vec<String> {
        self.topics_with(|flag| flag & FLAG_UNIT != 0)
    }

    /// The topics that consumers of a unit subscribe to.
    pub(super) fn unit_sub_topics(&self) -> Vec<String> {
        self.topics_with(|flag| flag & FLAG_UNIT_SUB != 0)
    }

    /// The same without the topics of a unit.
    pub(super) fn unit_sub_ununit_topics(&self) -> Vec<String> {
        self.topics_with(|flag| flag & FLAG_UNIT_SUB != 0 && flag & FLAG_UNIT == 0)
    }

    /// The flag of the first broker speaks for the topic.
    fn topics_with(&self, wanted: impl Fn(i32) -> bool) -> Vec<String> {
        let wanted = |queues: &BTreeMap<String, QueueData>| {
            let first = queues.values().next();
            first.is_some_and(|queues| wanted(queues.topic_sys_flag))
        };
        let topics = self.topics.iter().filter(|(_, queues)| wanted(queues));
        topics.map(|(topic, _)| topic.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
