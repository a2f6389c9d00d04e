//! Topics: which there are, how they are made, changed and deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::TopicName;
use crate::message::names::AUTO_CREATE_TOPIC;
use crate::protocol::body::lists::{GroupList, TopicList};
use crate::protocol::body::topic_config::{
    TopicConfig, TopicConfigAndQueueMapping, TopicConfigSerializeWrapper,
};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::header::NoHeader;
use crate::protocol::header::namesrv::{
    DeleteTopicFromNamesrvRequestHeader, GetTopicsByClusterRequestHeader,
};
use crate::protocol::header::topic::{
    CreateTopicRequestHeader, DeleteTopicRequestHeader, GetTopicConfigRequestHeader,
    QueryTopicConsumeByWhoRequestHeader,
};

use super::Admin;
use crate::client::error::ClientError;
use crate::client::route::Route;

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

    fn config(&self) -> TopicConfig {
        let count = |queues: u32| i32::try_from(queues).unwrap_or(i32::MAX);
        let attributes = self.attributes.iter().cloned();
        TopicConfig {
            topic_name: self.name.clone(),
            read_queue_nums: count(self.read_queues),
            write_queue_nums: count(self.write_queues),
            perm: self.perm,
            order: self.order,
            attributes: attributes
                .map(|(key, value)| (format!("+{key}"), value))
                .collect(),
            ..TopicConfig::default()
        }
    }
}

impl Admin {
    /// Where a topic's queues are, as a name server says now.
    pub async fn topic_route(&self, topic: &str) -> Result<Arc<Route>, ClientError> {
        self.shared.routes.refresh(&TopicName::parse(topic)?).await
    }

    /// The names of all topics, system topics included.
    pub async fn topics(&self) -> Result<Vec<String>, ClientError> {
        let code = RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER;
        let list: TopicList = self.fetch_from_name_server(code, &NoHeader).await?;
        Ok(sorted(list.topic_list))
    }

    /// The names of the topics of one cluster.
    pub async fn cluster_topics(&self, cluster: &str) -> Result<Vec<String>, ClientError> {
        let code = RequestCode::GET_TOPICS_BY_CLUSTER;
        let header = GetTopicsByClusterRequestHeader { cluster };
        let list: TopicList = self.fetch_from_name_server(code, &header).await?;
        Ok(sorted(list.topic_list))
    }

    /// The topics a broker keeps for itself.
    pub async fn system_topics_at(&self, broker: &str) -> Result<Vec<String>, ClientError> {
        let code = RequestCode::GET_SYSTEM_TOPIC_LIST_FROM_BROKER;
        let list: TopicList = self.fetch(broker, code, &NoHeader).await?;
        Ok(sorted(list.topic_list))
    }

    /// All topics of a broker, by name.
    pub async fn topic_configs_at(
        &self,
        broker: &str,
    ) -> Result<BTreeMap<String, TopicConfig>, ClientError> {
        let code = RequestCode::GET_ALL_TOPIC_CONFIG;
        let all: TopicConfigSerializeWrapper = self.fetch(broker, code, &NoHeader).await?;
        Ok(all.topic_config_table)
    }

    /// A topic as a broker keeps it.
    pub async fn topic_config_at(
        &self,
        broker: &str,
        topic: &str,
    ) -> Result<Option<TopicConfig>, ClientError> {
        let header = GetTopicConfigRequestHeader {
            topic,
            ..GetTopicConfigRequestHeader::default()
        };
        let request = Command::request(RequestCode::GET_TOPIC_CONFIG, &header);
        let found: Option<TopicConfigAndQueueMapping> = self
            .find(broker, request, &[ResponseCode::TOPIC_NOT_EXIST])
            .await?;
        Ok(found.map(|found| found.topic))
    }

    /// Creates a topic, or changes it, on every master. Fails with the first broker that refuses.
    pub async fn create_topic(&self, topic: &TopicSpec) -> Result<(), ClientError> {
        TopicName::parse(&topic.name)?;
        let config = topic.config();
        for (_, master) in self.masters().await? {
            self.put_topic_at(&master, &config).await?;
        }
        Ok(())
    }

    /// Creates a topic, or changes it, on one broker. Attributes are changes: `+name` sets, `-name` removes one.
    pub async fn put_topic_at(&self, broker: &str, topic: &TopicConfig) -> Result<(), ClientError> {
        TopicName::parse(&topic.topic_name)?;
        let attributes: Vec<String> = topic
            .attributes
            .iter()
            .map(|(name, value)| {
                if name.starts_with('-') {
                    name.clone()
                } else {
                    format!("{name}={value}")
                }
            })
            .collect();
        let attributes = attributes.join(",");
        let header = CreateTopicRequestHeader {
            topic: &topic.topic_name,
            default_topic: AUTO_CREATE_TOPIC,
            read_queue_nums: topic.read_queue_nums,
            write_queue_nums: topic.write_queue_nums,
            perm: topic.perm,
            topic_filter_type: &topic.topic_filter_type,
            topic_sys_flag: Some(topic.topic_sys_flag),
            order: topic.order,
            attributes: Some(attributes.as_str()).filter(|text| !text.is_empty()),
            force: false,
        };
        let code = RequestCode::UPDATE_AND_CREATE_TOPIC;
        self.ask(broker, code, &header).await.map(drop)
    }

    /// Deletes a topic on one broker, with its messages there.
    pub async fn delete_topic_at(&self, broker: &str, topic: &str) -> Result<(), ClientError> {
        let code = RequestCode::DELETE_TOPIC_IN_BROKER;
        let header = DeleteTopicRequestHeader { topic };
        self.ask(broker, code, &header).await.map(drop)
    }

    /// Makes one name server forget a topic; brokers that still have it bring it back with their next registration.
    pub async fn forget_topic_at(
        &self,
        name_server: &str,
        topic: &str,
        cluster: Option<&str>,
    ) -> Result<(), ClientError> {
        let code = RequestCode::DELETE_TOPIC_IN_NAMESRV;
        let header = DeleteTopicFromNamesrvRequestHeader {
            topic,
            cluster_name: cluster,
        };
        self.ask(name_server, code, &header).await.map(drop)
    }

    /// The groups that consume a topic, on any of its brokers: members are connected, or offsets are kept.
    pub async fn groups_of_topic(&self, topic: &str) -> Result<Vec<String>, ClientError> {
        let mut groups = Vec::new();
        for broker in &self.topic_route(topic).await?.brokers {
            let Some(address) = broker.readable_at(0) else {
                continue;
            };
            let code = RequestCode::QUERY_TOPIC_CONSUME_BY_WHO;
            let header = QueryTopicConsumeByWhoRequestHeader { topic };
            let list: GroupList = self.fetch(address, code, &header).await?;
            groups.extend(list.group_list);
        }
        Ok(sorted(groups))
    }
}

pub(super) fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}
