//! Consumer groups: which there are, how they are made, changed and deleted.

use std::collections::BTreeMap;

use crate::base::GroupName;
use crate::protocol::body::consume::QuerySubscriptionResponseBody;
use crate::protocol::body::heartbeat::SubscriptionData;
use crate::protocol::body::lists::TopicList;
use crate::protocol::body::subscription_group::{
    GroupForbidden, SubscriptionGroupConfig, SubscriptionGroupWrapper,
};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::header::NoHeader;
use crate::protocol::header::consumer::{
    DeleteSubscriptionGroupRequestHeader, GetSubscriptionGroupConfigRequestHeader,
    QuerySubscriptionByConsumerRequestHeader, QueryTopicsByConsumerRequestHeader,
    UpdateGroupForbiddenRequestHeader,
};

use super::topic::sorted;
use super::{Admin, written};
use crate::client::error::ClientError;

/// The consumer groups of one broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// By name.
    pub configs: BTreeMap<String, SubscriptionGroupConfig>,
    /// Group to topic to the bits of what the group may not do there.
    pub forbidden: BTreeMap<String, BTreeMap<String, i32>>,
}

impl Admin {
    /// All groups of a broker.
    pub async fn groups_at(&self, broker: &str) -> Result<Groups, ClientError> {
        let code = RequestCode::GET_ALL_SUBSCRIPTIONGROUP_CONFIG;
        let all: SubscriptionGroupWrapper = self.fetch(broker, code, &NoHeader).await?;
        Ok(Groups {
            configs: all.subscription_group_table,
            forbidden: all.forbidden_table,
        })
    }

    /// A group as a broker keeps it.
    ///
    /// Brokers that create groups on first use create the group by this question: look into [`Admin::groups_at`] where
    /// that matters.
    pub async fn group_config_at(
        &self,
        broker: &str,
        group: &str,
    ) -> Result<Option<SubscriptionGroupConfig>, ClientError> {
        let header = GetSubscriptionGroupConfigRequestHeader {
            group,
            broker_name: None,
        };
        let request = Command::request(RequestCode::GET_SUBSCRIPTIONGROUP_CONFIG, &header);
        self.find(
            broker,
            request,
            &[ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST],
        )
        .await
    }

    /// Creates a group, or changes it, on one broker. Attributes are changes: `+name` sets, `-name` removes one.
    pub async fn put_group_at(
        &self,
        broker: &str,
        group: &SubscriptionGroupConfig,
    ) -> Result<(), ClientError> {
        GroupName::parse(&group.group_name)?;
        let code = RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP;
        self.tell(broker, code, &NoHeader, written(group)?)
            .await
            .map(drop)
    }

    /// Deletes a group on one broker, perhaps with its offsets.
    pub async fn delete_group_at(
        &self,
        broker: &str,
        group: &str,
        clean_offset: bool,
    ) -> Result<(), ClientError> {
        let code = RequestCode::DELETE_SUBSCRIPTIONGROUP;
        let header = DeleteSubscriptionGroupRequestHeader {
            group_name: group,
            clean_offset,
        };
        self.ask(broker, code, &header).await.map(drop)
    }

    /// The topics a group has offsets for, on any broker.
    pub async fn topics_of_group(&self, group: &str) -> Result<Vec<String>, ClientError> {
        let mut topics = Vec::new();
        for (_, master) in self.masters().await? {
            let code = RequestCode::QUERY_TOPICS_BY_CONSUMER;
            let header = QueryTopicsByConsumerRequestHeader { group };
            let list: TopicList = self.fetch(&master, code, &header).await?;
            topics.extend(list.topic_list);
        }
        Ok(sorted(topics))
    }

    /// What a broker thinks the group's members subscribe to in a topic; `None` if nobody is connected there.
    pub async fn subscription_at(
        &self,
        broker: &str,
        group: &str,
        topic: &str,
    ) -> Result<Option<SubscriptionData>, ClientError> {
        let code = RequestCode::QUERY_SUBSCRIPTION_BY_CONSUMER;
        let header = QuerySubscriptionByConsumerRequestHeader {
            group,
            topic: Some(topic),
        };
        let answer: QuerySubscriptionResponseBody = self.fetch(broker, code, &header).await?;
        Ok(answer.subscription_data)
    }

    /// Whether a group may read a topic at a broker; changes it first if `readable` says so.
    pub async fn group_readable_at(
        &self,
        broker: &str,
        group: &str,
        topic: &str,
        readable: Option<bool>,
    ) -> Result<bool, ClientError> {
        let code = RequestCode::UPDATE_AND_GET_GROUP_FORBIDDEN;
        let header = UpdateGroupForbiddenRequestHeader {
            group,
            topic,
            readable,
        };
        let answer: GroupForbidden = self.fetch(broker, code, &header).await?;
        Ok(answer.readable.unwrap_or(true))
    }
}
