//! Consumer groups: made and changed (200, 225), shown (201, 352), deleted (207), kept from topics (353).

use crate::base::GroupName;
use crate::broker::Broker;
use crate::broker::handlers::{Answer, Refusal, Request, json, success};
use crate::protocol::body::subscription_group::{
    GroupForbidden, SubscriptionGroupConfig, SubscriptionGroupList,
};
use crate::protocol::body::topic_config::DataVersion;
use crate::protocol::codes::ResponseCode;
use crate::protocol::header::consumer::{
    DeleteSubscriptionGroupRequestHeader, GetAllSubscriptionGroupRequestHeader,
    GetAllSubscriptionGroupResponseHeader, GetSubscriptionGroupConfigRequestHeader,
    UpdateGroupForbiddenRequestHeader,
};

/// `UPDATE_AND_CREATE_SUBSCRIPTIONGROUP`.
pub(super) fn update(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let config: SubscriptionGroupConfig = request.json()?;
    apply(broker, vec![config])
}

/// `UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST`.
pub(super) fn update_list(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let list: SubscriptionGroupList = request.json()?;
    apply(broker, list.group_config_list)
}

fn apply(broker: &Broker, configs: Vec<SubscriptionGroupConfig>) -> Answer {
    for config in &configs {
        GroupName::parse(&config.group_name).map_err(|error| {
            Refusal::new(
                ResponseCode::INVALID_PARAMETER,
                format!("The specified group: {}: {error}", config.group_name),
            )
        })?;
    }
    let now_ms = broker.clock.now_ms();
    for config in configs {
        broker
            .change_groups(|groups| groups.update(config, now_ms))
            .map_err(|error| Refusal::error(error.to_string()))?;
    }
    Ok(success())
}

/// `GET_ALL_SUBSCRIPTIONGROUP_CONFIG`: everything, or a page of it.
pub(super) fn all(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: GetAllSubscriptionGroupRequestHeader<'_> = request.header()?;
    let mut wrapper = broker.groups.with(|groups| groups.file());
    let total = wrapper.subscription_group_table.len();
    if let Some(max) = header
        .max_group_num
        .and_then(|max| usize::try_from(max).ok())
    {
        // A page begins where the last one ended only if nothing changed since.
        let version = header
            .data_version
            .and_then(|version| serde_json::from_str::<DataVersion>(version).ok());
        let first = header
            .group_seq
            .filter(|_| version == Some(wrapper.data_version))
            .and_then(|first| usize::try_from(first).ok())
            .unwrap_or(0);
        let table = std::mem::take(&mut wrapper.subscription_group_table);
        wrapper.subscription_group_table = table.into_iter().skip(first).take(max).collect();
    }
    let total_group_num = i32::try_from(total).ok();
    Ok(json(&wrapper)?.with_header(&GetAllSubscriptionGroupResponseHeader { total_group_num }))
}

/// `GET_SUBSCRIPTIONGROUP_CONFIG`.
pub(super) fn get(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: GetSubscriptionGroupConfigRequestHeader<'_> = request.header()?;
    let config = broker.find_group(header.group).ok_or_else(|| {
        Refusal::new(
            ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            "No group in this broker",
        )
    })?;
    json(&*config)
}

/// `DELETE_SUBSCRIPTIONGROUP`, with its offsets if asked for.
pub(super) fn delete(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: DeleteSubscriptionGroupRequestHeader<'_> = request.header()?;
    let now_ms = broker.clock.now_ms();
    broker.change_groups(|groups| groups.remove(header.group_name, now_ms));
    if header.clean_offset {
        broker
            .offsets
            .with(|offsets| offsets.remove_group(header.group_name));
        broker.offsets.save();
    }
    Ok(success())
}

/// `UPDATE_AND_GET_GROUP_FORBIDDEN`.
pub(super) fn forbid(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: UpdateGroupForbiddenRequestHeader<'_> = request.header()?;
    let now_ms = broker.clock.now_ms();
    if let Some(readable) = header.readable {
        broker.change_groups(|groups| {
            groups.set_readable(header.group, header.topic, readable, now_ms);
        });
    }
    let forbidden = broker.is_read_forbidden(header.group, header.topic);
    json(&GroupForbidden {
        group: header.group.to_owned(),
        topic: header.topic.to_owned(),
        readable: Some(!forbidden),
    })
}
