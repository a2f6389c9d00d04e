//! Clients come, stay and go: heartbeats (34), unregistration (35), member lists (38), the check of a subscription (46).

use std::sync::Arc;

use super::{Answer, Refusal, Request, json, success};
use crate::base::{GroupName, TopicName};
use crate::broker::Broker;
use crate::broker::clients::{GroupTraits, Member, Registration};
use crate::broker::topics::{PERM_READ, PERM_WRITE, unit_sys_flag};
use crate::filter::{Filter, is_tag_type};
use crate::protocol::body::heartbeat::{CheckClientRequestBody, ConsumerData, HeartbeatData};
use crate::protocol::body::lists::GetConsumerListByGroupResponseBody;
use crate::protocol::codes::ResponseCode;
use crate::protocol::header::group::{
    GetConsumerListByGroupRequestHeader, UnregisterClientRequestHeader,
};
use crate::remoting::Channel;
use crate::sys::Clock;

/// `HEART_BEAT`, in its full and its light form.
pub(crate) fn heartbeat(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let heartbeat: HeartbeatData = request.json()?;
    let light = heartbeat.heartbeat_fingerprint != 0;
    let member = Member {
        handle: Arc::clone(request.channel),
        client_id: heartbeat.client_id.clone(),
        language: request.head.language,
        version: request.head.version,
        updated_ms: Clock::machine_ms(),
    };
    let mut changed = false;
    for consumer in heartbeat.consumer_data_set {
        let terms = Terms {
            fingerprint: heartbeat.heartbeat_fingerprint,
            without_sub: light && heartbeat.without_sub,
        };
        changed |= register(broker, member.clone(), consumer, &terms);
    }
    let mut clients = broker.clients.lock();
    for producer in heartbeat.producer_data_set {
        clients.register_producer(&producer.group_name, request.channel.id(), member.clone());
    }
    drop(clients);
    // The full form always answers "changed"; the light one only if another member sent other subscriptions.
    let sub_change = !light || changed;
    Ok(success()
        .with_field("IS_SUPPORT_HEART_BEAT_V2", "true")
        .with_field("IS_SUB_CHANGE", sub_change.to_string()))
}

struct Terms {
    fingerprint: i32,
    without_sub: bool,
}

/// Registers a client as consumer of one group; says whether its fingerprint was new to the group.
fn register(
    broker: &Broker,
    member: Member<Arc<Channel>>,
    consumer: ConsumerData,
    terms: &Terms,
) -> bool {
    let Some(config) = broker.find_group(&consumer.group_name) else {
        return false;
    };
    let group = GroupName::stored(&consumer.group_name);
    let ordered = {
        let topics = broker.topic_map.load();
        let mut subscribed = consumer.subscription_data_set.iter();
        subscribed.any(|data| {
            topics
                .get(data.topic.as_str())
                .is_some_and(|topic| topic.order)
        })
    };
    broker.ensure_topic(
        &TopicName::retry_of(&group),
        config.retry_queue_nums,
        PERM_READ | PERM_WRITE,
        ordered,
        unit_sys_flag(consumer.unit_mode, true),
    );
    let registration = Registration {
        traits: GroupTraits {
            consume_type: consumer.consume_type,
            message_model: consumer.message_model,
            consume_from_where: consumer.consume_from_where,
        },
        subscriptions: (!terms.without_sub).then_some(consumer.subscription_data_set),
        fingerprint: terms.fingerprint,
    };
    let channel = member.handle.id();
    let registered = broker
        .clients
        .lock()
        .register_consumer(&group, channel, member, registration);
    broker.notify_members(group.as_str(), &registered.notify);
    registered.fingerprint_changed
}

/// `UNREGISTER_CLIENT`.
pub(crate) fn unregister(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: UnregisterClientRequestHeader<'_> = request.header()?;
    let channel = request.channel.id();
    if let Some(group) = header.producer_group {
        broker.clients.lock().unregister_producer(group, channel);
    }
    if let Some(group) = header.consumer_group {
        let changed = broker.clients.lock().unregister_consumer(group, channel);
        broker.notify_changed(changed.into_iter().collect());
    }
    Ok(success())
}

/// `GET_CONSUMER_LIST_BY_GROUP`.
pub(crate) fn list(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: GetConsumerListByGroupRequestHeader<'_> = request.header()?;
    let consumer_id_list: Vec<String> = {
        let clients = broker.clients.lock();
        let members = clients
            .group(header.consumer_group)
            .map(|group| &group.members);
        let members = members.into_iter().flat_map(|members| members.values());
        members.map(|member| member.client_id.clone()).collect()
    };
    if consumer_id_list.is_empty() {
        return Err(Refusal::error(format!(
            "no consumer for this group, {}",
            header.consumer_group
        )));
    }
    json(&GetConsumerListByGroupResponseBody { consumer_id_list })
}

/// `CHECK_CLIENT_CONFIG`: can this broker filter as the client wants?
pub(crate) fn check_config(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let body: CheckClientRequestBody = request.json()?;
    let Some(wanted) = body.subscription_data else {
        return Ok(success());
    };
    let kind = wanted.expression_type.as_str();
    if is_tag_type(Some(kind)) {
        return Ok(success());
    }
    if !broker.options.load().enable_property_filter {
        return Err(no_property_filter(kind));
    }
    Filter::parse(Some(kind), &wanted.sub_string).map_err(|error| {
        Refusal::new(
            ResponseCode::SUBSCRIPTION_PARSE_FAILED,
            format!("the expression of topic {} is wrong: {error}", wanted.topic),
        )
    })?;
    Ok(success())
}

/// The answer to expressions while `enablePropertyFilter` is off.
pub(crate) fn no_property_filter(kind: &str) -> Refusal {
    Refusal::error(format!(
        "The broker does not support consumer to filter message by {kind}"
    ))
}
