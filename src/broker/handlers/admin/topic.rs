//! Topics: made and changed (17, 18), deleted (215), shown (21, 351, 305).

use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::attributes;
use crate::broker::flush_wait::ROUTE_LIMIT;
use crate::broker::handlers::{Answer, Refusal, Request, json, success};
use crate::broker::topics;
use crate::protocol::body::lists::TopicList;
use crate::protocol::body::topic_config::{
    CreateTopicListRequestBody, TopicConfig, TopicConfigAndQueueMapping,
};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::header::topic::{
    CreateTopicRequestHeader, DeleteTopicRequestHeader, GetAllTopicConfigRequestHeader,
    GetAllTopicConfigResponseHeader, GetTopicConfigRequestHeader,
};

/// `UPDATE_AND_CREATE_TOPIC` and its list form. The answer leaves when the name servers have heard of the topics, so that
/// whoever asked finds a route.
pub(crate) fn create(broker: &Arc<Broker>, request: &Request<'_, '_>) {
    let wanted = match request.head.request_code() {
        RequestCode::UPDATE_AND_CREATE_TOPIC => one(request).map(|one| vec![one]),
        _ => list(request),
    };
    let before = broker.registrar.latest();
    if let Err(refusal) = wanted.and_then(|wanted| update(broker, wanted)) {
        request.answer(refusal.into());
        return;
    }
    let answer = success();
    let ticket = broker.registrar.latest();
    if ticket == before || broker.options.load().name_servers().next().is_none() {
        request.answer(answer);
        return;
    }
    if request.head.is_oneway() {
        return;
    }
    let channel = Arc::clone(request.channel);
    let (serialization, opaque) = (request.head.serialization, request.head.opaque);
    let waiting = Arc::clone(broker);
    broker.tasks.spawn(async move {
        let done = waiting.registrar.done(ticket);
        // Whether or not it was heard of: the topic is there.
        let _ = tokio::time::timeout(ROUTE_LIMIT, done).await;
        channel.send_with(|out| answer.encode(serialization, opaque, out), []);
    });
}

fn one(request: &Request<'_, '_>) -> Result<TopicConfig, Refusal> {
    let header: CreateTopicRequestHeader<'_> = request.header()?;
    let attributes = attributes::parse(header.attributes.unwrap_or_default())
        .map_err(|error| Refusal::error(error.to_string()))?;
    Ok(TopicConfig {
        topic_name: header.topic.to_owned(),
        read_queue_nums: header.read_queue_nums,
        write_queue_nums: header.write_queue_nums,
        perm: header.perm,
        topic_filter_type: header.topic_filter_type.to_owned(),
        topic_sys_flag: header.topic_sys_flag.unwrap_or(0),
        order: header.order,
        attributes,
    })
}

fn list(request: &Request<'_, '_>) -> Result<Vec<TopicConfig>, Refusal> {
    let body: CreateTopicListRequestBody = request.json()?;
    Ok(body.topic_config_list)
}

fn invalid(remark: String) -> Refusal {
    Refusal::new(ResponseCode::INVALID_PARAMETER, remark)
}

/// A topic an administrator may name.
fn check_manageable(broker: &Broker, topic: &str) -> Result<(), Refusal> {
    let protects = broker
        .options
        .load()
        .validate_system_topic_when_update_topic;
    if protects && broker.topics.with(|topics| topics.is_system(topic)) {
        return Err(invalid(format!(
            "The topic[{topic}] is conflict with system topic."
        )));
    }
    Ok(())
}

fn update(broker: &Broker, wanted: Vec<TopicConfig>) -> Result<(), Refusal> {
    let options = broker.options.load();
    for config in &wanted {
        topics::check_name(&config.topic_name)?;
        check_manageable(broker, &config.topic_name)?;
        let kind = config.attributes.get("+message.type");
        if !options.enable_mixed_message_type && kind.is_some_and(|kind| kind == "MIXED") {
            return Err(invalid("MIXED message type is not supported.".to_owned()));
        }
        let policy = config.attributes.get("+cleanup.policy");
        if policy.is_some_and(|policy| policy == "COMPACTION") {
            return Err(Refusal::unsupported("the cleanup policy COMPACTION"));
        }
    }
    let now_ms = broker.clock.now_ms();
    for config in wanted {
        if broker.is_light(&config.topic_name) {
            // There is nothing to configure about these.
            continue;
        }
        // What is as wanted already is left alone: no new version, no announcement.
        let known = broker.topic(&config.topic_name);
        if known.is_some_and(|known| *known == config) {
            continue;
        }
        broker
            .change_topics(|topics| topics.update(config, now_ms))
            .map_err(|error| Refusal::error(error.to_string()))?;
    }
    Ok(())
}

/// `DELETE_TOPIC_IN_BROKER`: with its queues, offsets and POP retry topics.
pub(super) fn delete(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: DeleteTopicRequestHeader<'_> = request.header()?;
    let topic = header.topic;
    if topic.trim().is_empty() {
        return Err(invalid("The specified topic is blank.".to_owned()));
    }
    check_manageable(broker, topic)?;
    let mut doomed = vec![topic.to_owned()];
    if broker.options.load().clear_retry_topic_when_delete_topic {
        let groups = broker.offsets.with(|offsets| offsets.groups_of(topic));
        for group in groups {
            let prefix = crate::base::ids::RETRY_PREFIX;
            for pop_retry in [
                format!("{prefix}{group}+{topic}"),
                format!("{prefix}{group}_{topic}"),
            ] {
                if broker.topic(&pop_retry).is_some() {
                    doomed.push(pop_retry);
                }
            }
        }
    }
    let now_ms = broker.clock.now_ms();
    for topic in doomed {
        broker.change_topics(|topics| topics.remove(&topic, now_ms));
        broker.offsets.with(|offsets| offsets.remove_topic(&topic));
        if let Some(timer) = &broker.timer {
            timer.forget_topic(&topic);
        }
        broker
            .store
            .delete_topic(&crate::base::TopicName::stored(&topic))
            .map_err(|error| Refusal::error(error.to_string()))?;
    }
    broker.offsets.save();
    Ok(success())
}

/// `GET_ALL_TOPIC_CONFIG`: everything, or a page of it.
pub(super) fn all(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: GetAllTopicConfigRequestHeader<'_> = request.header()?;
    let mappings = crate::protocol::body::topic_config::DataVersion {
        timestamp: broker.started_ms,
        ..crate::protocol::body::topic_config::DataVersion::default()
    };
    let (total, mut wrapper) = broker
        .topics
        .with(|topics| (topics.len(), topics.wrapper(mappings)));
    if let Some(max) = header
        .max_topic_num
        .and_then(|max| usize::try_from(max).ok())
    {
        // A page begins where the last one ended only if nothing changed since.
        let same_version = header
            .data_version
            .and_then(|version| serde_json::from_str(version).ok())
            .is_some_and(
                |version: crate::protocol::body::topic_config::DataVersion| {
                    version == wrapper.data_version
                },
            );
        let first = header
            .topic_seq
            .filter(|_| same_version)
            .and_then(|first| usize::try_from(first).ok())
            .unwrap_or(0);
        wrapper.topic_config_table = wrapper
            .topic_config_table
            .into_iter()
            .skip(first)
            .take(max)
            .collect();
    }
    let total_topic_num = i32::try_from(total).ok();
    let answer: Command = json(&wrapper)?;
    Ok(answer.with_header(&GetAllTopicConfigResponseHeader { total_topic_num }))
}

/// `GET_TOPIC_CONFIG`.
pub(super) fn get(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: GetTopicConfigRequestHeader<'_> = request.header()?;
    let topic = broker.topic(header.topic).ok_or_else(|| {
        Refusal::new(
            ResponseCode::TOPIC_NOT_EXIST,
            format!("No topic in this broker. topic: {}", header.topic),
        )
    })?;
    json(&TopicConfigAndQueueMapping {
        topic: TopicConfig::clone(&topic),
        topic_queue_mapping_detail: None,
    })
}

/// `GET_SYSTEM_TOPIC_LIST_FROM_BROKER`.
pub(super) fn system(broker: &Broker) -> Answer {
    json(&TopicList {
        topic_list: broker.topics.with(|topics| topics.system_names()),
        broker_addr: None,
    })
}
