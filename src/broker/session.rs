//! What the broker keeps for one connection: snapshots, resolved queues, and the buffers of its sends.
//!
//! Only the connection's own task touches a session, so nothing in it is locked. Everything cached here is checked
//! against a generation number before use: one atomic load per read of the socket.

use std::collections::HashMap;
use std::sync::Arc;

use super::Broker;
use super::groups::GroupMap;
use super::handlers::send::SendBatch;
use super::options::BrokerOptions;
use super::snapshot::Cached;
use super::stats::{Counter, StatsName};
use super::topics::TopicMap;
use crate::base::{GroupName, QueueId, TopicName};
use crate::protocol::body::subscription_group::SubscriptionGroupConfig;
use crate::protocol::body::topic_config::TopicConfig;
use crate::store::Queue;

/// More topics than this on one connection are resolved anew each time round.
const TOPICS_MAX: usize = 1024;

/// State of one connection.
pub(crate) struct Session {
    pub(crate) options: Cached<BrokerOptions>,
    pub(crate) topics: TopicCache,
    groups: Cached<GroupMap>,
    pub(crate) sends: SendBatch,
    counters: HashMap<String, HashMap<String, Arc<GroupCounters>>>,
}

impl Session {
    pub(crate) fn new(broker: &Broker) -> Self {
        Self {
            options: Cached::new(&broker.options),
            topics: TopicCache::new(broker),
            groups: Cached::new(&broker.group_map),
            sends: SendBatch::new(broker),
            counters: HashMap::new(),
        }
    }

    /// Brings the snapshots up to date; once per read of the socket.
    pub(crate) fn refresh(&mut self, broker: &Broker) {
        self.options.refresh(&broker.options);
        self.topics.refresh(broker);
        self.groups.refresh(&broker.group_map);
    }

    /// A group by name; made if it is new and that is allowed.
    pub(crate) fn group(&mut self, broker: &Broker, name: &str) -> Option<Group> {
        if !self.groups.get().groups.contains_key(name) {
            let config = broker.find_group(name)?;
            if broker.is_light(name) {
                return Some(Group {
                    name: GroupName::stored(name),
                    config,
                });
            }
            self.groups.refresh(&broker.group_map);
        }
        let (name, config) = self.groups.get().groups.get_key_value(name)?;
        Some(Group {
            name: name.clone(),
            config: Arc::clone(config),
        })
    }

    /// The counters of what a group is handed of a topic.
    pub(crate) fn group_counters(
        &mut self,
        broker: &Broker,
        topic: &str,
        group: &str,
    ) -> Arc<GroupCounters> {
        if let Some(known) = self
            .counters
            .get(topic)
            .and_then(|groups| groups.get(group))
        {
            return Arc::clone(known);
        }
        if self.counters.len() >= TOPICS_MAX {
            self.counters.clear();
        }
        let key = format!("{topic}@{group}");
        let counters = Arc::new(GroupCounters {
            nums: broker.stats.counter(StatsName::GroupGetNums, &key),
            size: broker.stats.counter(StatsName::GroupGetSize, &key),
        });
        self.counters
            .entry(topic.to_owned())
            .or_default()
            .insert(group.to_owned(), Arc::clone(&counters));
        counters
    }
}

/// A group as a connection knows it.
pub(crate) struct Group {
    pub(crate) name: GroupName,
    pub(crate) config: Arc<SubscriptionGroupConfig>,
}

/// What a group was handed of a topic.
#[derive(Debug)]
pub(crate) struct GroupCounters {
    pub(crate) nums: Arc<Counter>,
    pub(crate) size: Arc<Counter>,
}

/// A topic as a connection knows it.
pub(crate) struct Topic {
    pub(crate) name: TopicName,
    pub(crate) config: Arc<TopicConfig>,
    pub(crate) put_nums: Arc<Counter>,
    pub(crate) put_size: Arc<Counter>,
    queues: Vec<Option<Arc<Queue>>>,
}

impl Topic {
    /// A queue to append to, made in the store if it is new.
    pub(crate) fn queue(&mut self, broker: &Broker, id: QueueId) -> Arc<Queue> {
        let known = self.with_queue(broker, id);
        let known = known.map(|(_, queue)| Arc::clone(queue));
        known.unwrap_or_else(|| broker.queue(&self.name, id))
    }

    /// The same, lent beside the topic: the queue's count of references would be changed by all connections at once.
    pub(crate) fn with_queue(
        &mut self,
        broker: &Broker,
        id: QueueId,
    ) -> Option<(&Self, &Arc<Queue>)> {
        let at = id.get() as usize;
        if at >= self.queues.len() {
            self.queues.resize(at + 1, None);
        }
        if let Some(place) = self.queues.get_mut(at)
            && place.as_ref().is_none_or(|known| known.is_gone())
        {
            *place = Some(broker.queue(&self.name, id));
        }
        let known = self.queues.get(at)?.as_ref()?;
        Some((self, known))
    }
}

/// The topics a connection uses, with their queues.
pub(crate) struct TopicCache {
    map: Cached<TopicMap>,
    known: Vec<Topic>,
    places: HashMap<TopicName, usize>,
    /// The place of the topic that was asked for last: it is asked for several times for each message.
    latest: usize,
}

impl TopicCache {
    fn new(broker: &Broker) -> Self {
        Self {
            map: Cached::new(&broker.topic_map),
            known: Vec::new(),
            places: HashMap::new(),
            latest: 0,
        }
    }

    /// Drops everything cached if any topic changed since.
    pub(crate) fn refresh(&mut self, broker: &Broker) {
        if self.map.refresh(&broker.topic_map) || self.known.len() > TOPICS_MAX {
            self.known.clear();
            self.places.clear();
        }
    }

    /// A topic by name.
    pub(crate) fn get(&mut self, broker: &Broker, name: &str) -> Option<&mut Topic> {
        let latest = self.known.get(self.latest);
        if latest.is_none_or(|latest| latest.name.as_str() != name) {
            self.latest = match self.places.get(name) {
                Some(&place) => place,
                None => self.add(broker, name)?,
            };
        }
        self.known.get_mut(self.latest)
    }

    /// Looks a topic up and keeps it; returns its place.
    fn add(&mut self, broker: &Broker, name: &str) -> Option<usize> {
        let known = self.map.get().get_key_value(name);
        let (name, config) = match known {
            Some((name, config)) => (name.clone(), Arc::clone(config)),
            None => (TopicName::stored(name), broker.light_topic(name)?),
        };
        let place = self.known.len();
        self.places.insert(name.clone(), place);
        self.known.push(Topic {
            put_nums: broker.stats.counter(StatsName::TopicPutNums, name.as_str()),
            put_size: broker.stats.counter(StatsName::TopicPutSize, name.as_str()),
            name,
            config,
            queues: Vec::new(),
        });
        Some(place)
    }
}
