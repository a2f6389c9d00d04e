//! Questions about, and changes to, topics, offsets and clusters.
//!
//! Absent on purpose so far: groups, broker settings, permissions, access control.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::{BrokerName, GroupName, TopicName};
use crate::protocol::body::lists::TopicList;
use crate::protocol::body::route::ClusterInfo;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::{Command, Reply};
use crate::protocol::fastjson;
use crate::protocol::header::broker::{ClockRequestHeader, ClockResponseHeader};
use crate::protocol::header::pull::{
    QueryConsumerOffsetRequestHeader, QueryConsumerOffsetResponseHeader,
    UpdateConsumerOffsetRequestHeader,
};
use crate::protocol::header::queue::{
    BoundaryType, GetMaxOffsetRequestHeader, GetMaxOffsetResponseHeader, GetMinOffsetRequestHeader,
    GetMinOffsetResponseHeader, SearchOffsetRequestHeader, SearchOffsetResponseHeader,
};
use crate::protocol::header::topic::CreateTopicRequestHeader;
use crate::protocol::header::{Header, NoHeader};

use super::error::ClientError;
use super::net::{refused, unreadable};
use super::queue::MessageQueue;
use super::route::{Route, RouteBroker};
use super::shared::Shared;

/// Which message a time means when several were stored at or around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Boundary {
    /// The first one at or after the time.
    #[default]
    Lower,
    /// The last one at or before the time.
    Upper,
}

/// A topic to be created or changed.
#[derive(Clone, Debug)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// Queues consumers read, on each broker.
    pub read_queues: u32,
    /// Queues producers write, on each broker.
    pub write_queues: u32,
    /// Permission bits: 4 read, 2 write.
    pub perm: i32,
    /// Whether the order of its queues is fixed.
    pub order: bool,
    /// Attributes as `name=value`.
    pub attributes: Vec<(String, String)>,
}

impl TopicSpec {
    /// A topic that can be read and written, with as many queues of both kinds.
    pub fn new(name: impl Into<String>, queues: u32) -> Self {
        Self {
            name: name.into(),
            read_queues: queues,
            write_queues: queues,
            perm: 6,
            order: false,
            attributes: Vec::new(),
        }
    }
}

/// The clock a broker goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerClock {
    /// Milliseconds since 1970.
    pub now_ms: i64,
    /// Whether it stands still until somebody moves it.
    pub is_virtual: bool,
}

/// The brokers of all clusters a name server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    /// The broker groups, ordered by name; each names its cluster.
    pub brokers: Vec<RouteBroker>,
}

/// Administration through one client. Cheap to clone.
///
/// ```no_run
/// # async fn example() -> Result<(), rmq::client::ClientError> {
/// use rmq::client::{Client, ClientOptions, TopicSpec};
///
/// let client = Client::connect(["127.0.0.1:9876"], ClientOptions::default()).await?;
/// let admin = client.admin();
/// admin.create_topic(&TopicSpec::new("orders", 4)).await?;
/// for queue in admin.topic_route("orders").await?.read_queues() {
///     println!("{queue}: {} to {}", admin.min_offset(&queue).await?, admin.max_offset(&queue).await?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Admin {
    shared: Arc<Shared>,
}

impl Admin {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Where a topic's queues are, as a name server says now.
    pub async fn topic_route(&self, topic: &str) -> Result<Arc<Route>, ClientError> {
        self.shared.routes.refresh(&TopicName::parse(topic)?).await
    }

    /// The names of all topics, system topics included.
    pub async fn topics(&self) -> Result<Vec<String>, ClientError> {
        let code = RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER;
        let (address, reply) = self.ask_name_server(code).await?;
        let list: TopicList =
            fastjson::from_slice(&reply.body).map_err(|error| unreadable(&address, code, error))?;
        let mut topics: Vec<String> = list.topic_list.into_iter().collect();
        topics.sort();
        Ok(topics)
    }

    /// All broker groups.
    pub async fn clusters(&self) -> Result<Clusters, ClientError> {
        let code = RequestCode::GET_BROKER_CLUSTER_INFO;
        let (address, reply) = self.ask_name_server(code).await?;
        let info: ClusterInfo =
            fastjson::from_slice(&reply.body).map_err(|error| unreadable(&address, code, error))?;
        let mut brokers: Vec<RouteBroker> = info
            .broker_addr_table
            .into_values()
            .map(RouteBroker::from)
            .collect();
        brokers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Clusters { brokers })
    }

    /// Creates a topic, or changes it, on every master. Fails with the first broker that refuses.
    pub async fn create_topic(&self, topic: &TopicSpec) -> Result<(), ClientError> {
        let name = TopicName::parse(&topic.name)?;
        let count = |queues: u32| i32::try_from(queues).unwrap_or(i32::MAX);
        let attributes: Vec<String> = topic
            .attributes
            .iter()
            .map(|(name, value)| format!("+{name}={value}"))
            .collect();
        let attributes = attributes.join(",");
        let header = CreateTopicRequestHeader {
            topic: name.as_str(),
            default_topic: crate::message::names::AUTO_CREATE_TOPIC,
            read_queue_nums: count(topic.read_queues),
            write_queue_nums: count(topic.write_queues),
            perm: topic.perm,
            topic_filter_type: "SINGLE_TAG",
            topic_sys_flag: Some(0),
            order: topic.order,
            attributes: Some(attributes.as_str()).filter(|text| !text.is_empty()),
            force: false,
        };
        let brokers = self.clusters().await?.brokers;
        if brokers.is_empty() {
            return Err(ClientError::NoRoute {
                topic: name.to_string(),
                reason: "the name server knows no broker",
            });
        }
        for master in brokers.iter().filter_map(RouteBroker::master) {
            let request = Command::request(RequestCode::UPDATE_AND_CREATE_TOPIC, &header);
            let timeout = self.shared.timeout();
            self.shared.net.call_ok(master, request, timeout).await?;
        }
        Ok(())
    }

    /// The offset of the first message that is still in a queue.
    pub async fn min_offset(&self, queue: &MessageQueue) -> Result<i64, ClientError> {
        queue_start(&self.shared, queue).await
    }

    /// The offset the next message of a queue will get.
    pub async fn max_offset(&self, queue: &MessageQueue) -> Result<i64, ClientError> {
        queue_end(&self.shared, queue).await
    }

    /// The offset of the message stored at a time, in milliseconds since 1970.
    pub async fn offset_at(
        &self,
        queue: &MessageQueue,
        time_ms: i64,
        boundary: Boundary,
    ) -> Result<i64, ClientError> {
        queue_offset_at(&self.shared, queue, time_ms, boundary).await
    }

    /// How far a group has got in a queue; `None` if it has not begun.
    pub async fn group_offset(
        &self,
        group: &str,
        queue: &MessageQueue,
    ) -> Result<Option<i64>, ClientError> {
        committed_offset(&self.shared, &GroupName::parse(group)?, queue).await
    }

    /// Sets how far a group has got in a queue. Members that are running overwrite it.
    pub async fn set_group_offset(
        &self,
        group: &str,
        queue: &MessageQueue,
        offset: i64,
    ) -> Result<(), ClientError> {
        let group = GroupName::parse(group)?;
        let header = UpdateConsumerOffsetRequestHeader {
            consumer_group: group.as_str(),
            topic: queue.topic.as_str(),
            queue_id: queue.queue.to_wire(),
            commit_offset: offset,
            broker_name: Some(queue.broker.as_str()),
        };
        ask_broker(
            &self.shared,
            queue,
            RequestCode::UPDATE_CONSUMER_OFFSET,
            &header,
        )
        .await
        .map(drop)
    }

    /// How far a group has got in every queue of a topic.
    pub async fn group_offsets(
        &self,
        group: &str,
        topic: &str,
    ) -> Result<BTreeMap<MessageQueue, Option<i64>>, ClientError> {
        let mut offsets = BTreeMap::new();
        for queue in self.topic_route(topic).await?.read_queues() {
            let offset = self.group_offset(group, &queue).await?;
            offsets.insert(queue, offset);
        }
        Ok(offsets)
    }

    /// What time it is for a broker. Moves the clock of an `rmq` broker with a virtual clock first, if `advance` says so;
    /// other brokers refuse.
    pub async fn clock(
        &self,
        broker: &str,
        advance: Option<Duration>,
    ) -> Result<BrokerClock, ClientError> {
        let header = ClockRequestHeader {
            advance_ms: advance.map(|by| i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
        };
        let code = RequestCode::RMQ_CLOCK;
        let request = Command::request(code, &header);
        let timeout = self.shared.timeout();
        let reply = self.shared.net.call_ok(broker, request, timeout).await?;
        let answer: ClockResponseHeader = reply
            .header()
            .map_err(|error| unreadable(broker, code, error))?;
        Ok(BrokerClock {
            now_ms: answer.now_ms,
            is_virtual: answer.is_virtual,
        })
    }

    async fn ask_name_server(&self, code: RequestCode) -> Result<(String, Reply), ClientError> {
        let request = Command::request(code, &NoHeader);
        let (address, reply) = self.shared.routes.ask(&request).await?;
        if reply.code == ResponseCode::SUCCESS {
            Ok((address, reply))
        } else {
            let what = code.name().unwrap_or("a request");
            Err(refused(&address, what, &reply))
        }
    }
}

impl From<crate::protocol::body::route::BrokerData> for RouteBroker {
    fn from(data: crate::protocol::body::route::BrokerData) -> Self {
        Self {
            cluster: data.cluster,
            name: BrokerName::stored(&data.broker_name),
            addresses: data.broker_addrs.into_iter().collect(),
        }
    }
}

/// Asks the master that holds a queue.
async fn ask_broker(
    shared: &Shared,
    queue: &MessageQueue,
    code: RequestCode,
    header: &(impl Header + Sync),
) -> Result<(String, Reply), ClientError> {
    let address = shared.read_address(queue, 0).await?;
    let request = Command::request(code, header);
    let reply = shared
        .net
        .call_ok(&address, request, shared.timeout())
        .await?;
    Ok((address, reply))
}

pub(crate) async fn queue_end(shared: &Shared, queue: &MessageQueue) -> Result<i64, ClientError> {
    let code = RequestCode::GET_MAX_OFFSET;
    let header = GetMaxOffsetRequestHeader {
        topic: queue.topic.as_str(),
        queue_id: queue.queue.to_wire(),
        committed: true,
        broker_name: Some(queue.broker.as_str()),
    };
    let (address, reply) = ask_broker(shared, queue, code, &header).await?;
    let header: GetMaxOffsetResponseHeader = reply
        .header()
        .map_err(|error| unreadable(&address, code, error))?;
    Ok(header.offset)
}

pub(crate) async fn queue_start(shared: &Shared, queue: &MessageQueue) -> Result<i64, ClientError> {
    let code = RequestCode::GET_MIN_OFFSET;
    let header = GetMinOffsetRequestHeader {
        topic: queue.topic.as_str(),
        queue_id: queue.queue.to_wire(),
        broker_name: Some(queue.broker.as_str()),
    };
    let (address, reply) = ask_broker(shared, queue, code, &header).await?;
    let header: GetMinOffsetResponseHeader = reply
        .header()
        .map_err(|error| unreadable(&address, code, error))?;
    // A queue that never held anything has no first message; brokers say -1.
    Ok(header.offset.max(0))
}

pub(crate) async fn queue_offset_at(
    shared: &Shared,
    queue: &MessageQueue,
    time_ms: i64,
    boundary: Boundary,
) -> Result<i64, ClientError> {
    let code = RequestCode::SEARCH_OFFSET_BY_TIMESTAMP;
    let header = SearchOffsetRequestHeader {
        topic: queue.topic.as_str(),
        lite_topic: None,
        queue_id: queue.queue.to_wire(),
        timestamp: time_ms,
        boundary_type: Some(match boundary {
            Boundary::Lower => BoundaryType::Lower,
            Boundary::Upper => BoundaryType::Upper,
        }),
        broker_name: Some(queue.broker.as_str()),
    };
    let (address, reply) = ask_broker(shared, queue, code, &header).await?;
    let header: SearchOffsetResponseHeader = reply
        .header()
        .map_err(|error| unreadable(&address, code, error))?;
    Ok(header.offset.max(0))
}

pub(crate) async fn committed_offset(
    shared: &Shared,
    group: &GroupName,
    queue: &MessageQueue,
) -> Result<Option<i64>, ClientError> {
    let code = RequestCode::QUERY_CONSUMER_OFFSET;
    let header = QueryConsumerOffsetRequestHeader {
        consumer_group: group.as_str(),
        topic: queue.topic.as_str(),
        queue_id: queue.queue.to_wire(),
        set_zero_if_not_found: Some(false),
        broker_name: Some(queue.broker.as_str()),
    };
    let address = shared.read_address(queue, 0).await?;
    let request = Command::request(code, &header);
    let reply = shared.net.call(&address, request, shared.timeout()).await?;
    match reply.code {
        ResponseCode::SUCCESS => reply
            .header::<QueryConsumerOffsetResponseHeader>()
            .map(|header| Some(header.offset))
            .map_err(|error| unreadable(&address, code, error)),
        ResponseCode::QUERY_NOT_FOUND => Ok(None),
        _ => Err(refused(&address, "QUERY_CONSUMER_OFFSET", &reply)),
    }
}
