//! Where a topic's queues are and how to reach them: a name server's answer in the form the client uses. Pure.

use std::collections::BTreeMap;

use crate::base::{BrokerName, QueueId, TopicName};
use crate::protocol::body::route::TopicRouteData;

use super::queue::MessageQueue;

/// The id of a broker group's master; slaves have larger ones.
const MASTER: i64 = 0;
const READ: i32 = 4;
const WRITE: i32 = 2;

/// A broker group: one name, one master, any number of slaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteBroker {
    /// The cluster it belongs to.
    pub cluster: String,
    /// Its name.
    pub name: BrokerName,
    /// Addresses by broker id; 0 is the master.
    pub addresses: BTreeMap<i64, String>,
}

impl RouteBroker {
    /// The master's address; `None` while the group has lost it.
    pub fn master(&self) -> Option<&str> {
        self.addresses.get(&MASTER).map(String::as_str)
    }

    /// The address to read from: broker `id` if it is there, else any other of the group.
    pub fn readable_at(&self, id: i64) -> Option<&str> {
        self.addresses
            .get(&id)
            .or_else(|| self.addresses.values().next())
            .map(String::as_str)
    }
}

/// A topic's queues on one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteQueues {
    /// The broker.
    pub broker: BrokerName,
    /// Queues consumers read, counted from 0.
    pub read_count: u32,
    /// Queues producers write, counted from 0.
    pub write_count: u32,
    /// Permission bits: 4 read, 2 write, 1 inherit.
    pub perm: i32,
}

/// The route of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The topic.
    pub topic: TopicName,
    /// The broker groups, ordered by name.
    pub brokers: Vec<RouteBroker>,
    /// The queues, ordered by broker name.
    pub queues: Vec<RouteQueues>,
    /// `broker:count;broker:count` for topics with a fixed order of queues.
    pub order_conf: Option<String>,
}

impl Route {
    pub(crate) fn new(topic: TopicName, data: TopicRouteData) -> Self {
        let mut brokers: Vec<RouteBroker> = data
            .broker_datas
            .into_iter()
            .map(|broker| RouteBroker {
                cluster: broker.cluster,
                name: BrokerName::stored(&broker.broker_name),
                addresses: broker.broker_addrs.into_iter().collect(),
            })
            .collect();
        brokers.sort_by(|a, b| a.name.cmp(&b.name));
        let count = |wire: i32| u32::try_from(wire).unwrap_or_default();
        let mut queues: Vec<RouteQueues> = data
            .queue_datas
            .into_iter()
            .map(|queues| RouteQueues {
                broker: BrokerName::stored(&queues.broker_name),
                read_count: count(queues.read_queue_nums),
                write_count: count(queues.write_queue_nums),
                perm: queues.perm,
            })
            .collect();
        queues.sort_by(|a, b| a.broker.cmp(&b.broker));
        Self {
            topic,
            brokers,
            queues,
            order_conf: data.order_topic_conf.filter(|conf| !conf.is_empty()),
        }
    }

    /// The route a not yet existing `topic` will have, made from that of the template topic: the broker creates the
    /// topic with at most `queues_max` queues on the first send.
    pub(crate) fn for_new_topic(&self, topic: TopicName, queues_max: u32) -> Self {
        let mut route = self.clone();
        route.topic = topic;
        route.order_conf = None;
        for queues in &mut route.queues {
            let count = queues.read_count.min(queues_max);
            queues.read_count = count;
            queues.write_count = count;
        }
        route
    }

    /// The broker group with this name.
    pub fn broker(&self, name: &BrokerName) -> Option<&RouteBroker> {
        self.brokers.iter().find(|broker| broker.name == *name)
    }

    /// The queues that can be written now, in order: permission given and a master known. A fixed order of queues,
    /// where the topic has one, decides instead.
    pub fn write_queues(&self) -> Vec<MessageQueue> {
        if let Some(conf) = &self.order_conf {
            return self.fixed_queues(conf);
        }
        self.queues
            .iter()
            .filter(|queues| queues.perm & WRITE != 0)
            .filter(|queues| {
                self.broker(&queues.broker)
                    .is_some_and(|broker| broker.master().is_some())
            })
            .flat_map(|queues| self.numbered(&queues.broker, queues.write_count))
            .collect()
    }

    /// Whether a broker group on it has lost its master.
    pub(crate) fn lacks_master(&self) -> bool {
        self.brokers.iter().any(|broker| broker.master().is_none())
    }

    /// The queues that can be read, in order.
    pub fn read_queues(&self) -> Vec<MessageQueue> {
        self.queues
            .iter()
            .filter(|queues| queues.perm & READ != 0)
            .flat_map(|queues| self.numbered(&queues.broker, queues.read_count))
            .collect()
    }

    fn fixed_queues(&self, conf: &str) -> Vec<MessageQueue> {
        conf.split(';')
            .filter_map(|part| part.split_once(':'))
            .filter_map(|(broker, count)| Some((broker, count.trim().parse::<u32>().ok()?)))
            .flat_map(|(broker, count)| {
                self.numbered(&BrokerName::stored(broker), count.min(65536))
            })
            .collect()
    }

    fn numbered(&self, broker: &BrokerName, count: u32) -> Vec<MessageQueue> {
        (0..count)
            .map(|queue| MessageQueue {
                topic: self.topic.clone(),
                broker: broker.clone(),
                queue: QueueId::new(queue),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(json: &str) -> Route {
        Route::new(
            TopicName::stored("T"),
            serde_json::from_str(json).expect("a route"),
        )
    }

    const TWO: &str = r#"{"brokerDatas":[
        {"brokerAddrs":{"0":"h2:1"},"brokerName":"b","cluster":"c"},
        {"brokerAddrs":{"1":"h1:2"},"brokerName":"a","cluster":"c"}],
      "queueDatas":[
        {"brokerName":"b","perm":6,"readQueueNums":2,"topicSysFlag":0,"writeQueueNums":1},
        {"brokerName":"a","perm":6,"readQueueNums":2,"topicSysFlag":0,"writeQueueNums":2}]}"#;

    fn names(queues: &[MessageQueue]) -> Vec<String> {
        queues
            .iter()
            .map(|queue| format!("{}{}", queue.broker, queue.queue))
            .collect()
    }

    #[test]
    fn only_masters_are_written_but_slaves_are_read() {
        let route = route(TWO);
        assert_eq!(names(&route.write_queues()), ["b0"]);
        assert_eq!(names(&route.read_queues()), ["a0", "a1", "b0", "b1"]);
        let a = route.broker(&BrokerName::stored("a")).unwrap();
        assert_eq!(a.master(), None);
        assert_eq!(a.readable_at(0), Some("h1:2"));
    }

    #[test]
    fn permissions_count() {
        let text = TWO.replace("\"perm\":6", "\"perm\":4");
        assert!(route(&text).write_queues().is_empty());
        let text = TWO.replace("\"perm\":6", "\"perm\":2");
        assert!(route(&text).read_queues().is_empty());
    }

    #[test]
    fn a_fixed_order_decides() {
        let text = TWO.replacen('{', r#"{"orderTopicConf":"b:2;a:1","#, 1);
        assert_eq!(names(&route(&text).write_queues()), ["b0", "b1", "a0"]);
    }

    #[test]
    fn a_new_topic_gets_the_smaller_number_of_queues() {
        let text = TWO.replace("QueueNums\":2", "QueueNums\":8");
        let new = route(&text).for_new_topic(TopicName::stored("new"), 4);
        assert_eq!(new.read_queues().len(), 4 + 4);
        assert_eq!(new.read_queues()[0].topic.as_str(), "new");
    }
}
