//! Who is connected and what they consume: 203, 204, 328, 300, 343, 345.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::clients::Member;
use crate::broker::handlers::{Answer, Refusal, Request, json};
use crate::protocol::body::connection::{
    Connection, ConsumerConnection, ProducerConnection, ProducerInfo, ProducerTableInfo,
};
use crate::protocol::body::consume::QuerySubscriptionResponseBody;
use crate::protocol::body::lists::{GroupList, TopicList};
use crate::protocol::codes::ResponseCode;
use crate::protocol::header::consumer::{
    GetConsumerConnectionListRequestHeader, GetProducerConnectionListRequestHeader,
    QuerySubscriptionByConsumerRequestHeader, QueryTopicsByConsumerRequestHeader,
};
use crate::protocol::header::topic::QueryTopicConsumeByWhoRequestHeader;
use crate::remoting::Channel;

fn connection(member: &Member<Arc<Channel>>) -> Connection {
    Connection {
        client_addr: member.handle.peer().to_string(),
        client_id: member.client_id.clone(),
        language: member.language.name().to_owned(),
        version: member.version,
    }
}

/// `GET_CONSUMER_CONNECTION_LIST`.
pub(super) fn consumers(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: GetConsumerConnectionListRequestHeader<'_> = request.header()?;
    let clients = broker.clients.lock();
    let group = clients.group(header.consumer_group).ok_or_else(|| {
        Refusal::new(
            ResponseCode::CONSUMER_NOT_ONLINE,
            format!("the consumer group[{}] not online", header.consumer_group),
        )
    })?;
    let subscriptions = group.subscriptions.iter();
    let body = ConsumerConnection {
        connection_set: group.members.values().map(connection).collect(),
        consume_from_where: Some(group.traits.consume_from_where),
        consume_type: Some(group.traits.consume_type),
        message_model: Some(group.traits.message_model),
        subscription_table: subscriptions
            .map(|(topic, subscription)| (topic.clone(), subscription.data.clone()))
            .collect(),
    };
    drop(clients);
    json(&body)
}

/// `GET_PRODUCER_CONNECTION_LIST`.
pub(super) fn producers(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: GetProducerConnectionListRequestHeader<'_> = request.header()?;
    let clients = broker.clients.lock();
    let members = clients.producers(header.producer_group).ok_or_else(|| {
        Refusal::error(format!(
            "the producer group[{}] not exist",
            header.producer_group
        ))
    })?;
    let connection_set = members.values().map(connection).collect();
    drop(clients);
    json(&ProducerConnection { connection_set })
}

/// `GET_ALL_PRODUCER_INFO`.
pub(super) fn all_producers(broker: &Broker) -> Answer {
    let info = |member: &Member<Arc<Channel>>| ProducerInfo {
        client_id: member.client_id.clone(),
        remote_ip: member.handle.peer().to_string(),
        language: member.language.name().to_owned(),
        version: member.version,
        last_update_timestamp: member.updated_ms,
    };
    let clients = broker.clients.lock();
    let groups = clients.producer_groups();
    let data: BTreeMap<String, Vec<ProducerInfo>> = groups
        .map(|(group, members)| (group.to_string(), members.values().map(info).collect()))
        .collect();
    drop(clients);
    json(&ProducerTableInfo { data })
}

/// `QUERY_TOPIC_CONSUME_BY_WHO`: groups that are online or have offsets.
pub(super) fn groups_of_topic(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: QueryTopicConsumeByWhoRequestHeader<'_> = request.header()?;
    let mut group_list = broker.clients.lock().groups_of_topic(header.topic);
    group_list.extend(
        broker
            .offsets
            .with(|offsets| offsets.groups_of(header.topic)),
    );
    group_list.sort_unstable();
    group_list.dedup();
    json(&GroupList { group_list })
}

/// `QUERY_TOPICS_BY_CONSUMER`: topics the group has offsets for.
pub(super) fn topics_of_group(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: QueryTopicsByConsumerRequestHeader<'_> = request.header()?;
    json(&TopicList {
        topic_list: broker
            .offsets
            .with(|offsets| offsets.topics_of(header.group)),
        broker_addr: Some(broker.options.load().address()),
    })
}

/// `QUERY_SUBSCRIPTION_BY_CONSUMER`.
pub(super) fn subscription(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: QuerySubscriptionByConsumerRequestHeader<'_> = request.header()?;
    let topic = header.topic.unwrap_or_default();
    let found = broker.clients.lock().subscription(header.group, topic);
    json(&QuerySubscriptionResponseBody {
        group: header.group.to_owned(),
        topic: topic.to_owned(),
        subscription_data: found.map(|found| found.data.clone()),
    })
}
