//! Tells brokers that this client is alive and which groups it is in.
//!
//! The whole truth is told every time. Absent on purpose: the fingerprint form of 5.x (`heartbeatFingerprint`), which
//! saves bytes for clients with thousands of subscriptions.

use tokio::task::JoinSet;

use crate::protocol::body::heartbeat::{
    ConsumeFromWhere, ConsumeType, ConsumerData, HeartbeatData, MessageModel, ProducerData,
    SubscriptionData,
};
use crate::protocol::codes::RequestCode;
use crate::protocol::command::Command;
use crate::protocol::fastjson;
use crate::protocol::header::NoHeader;

use super::consumer::{Core, StartFrom};
use super::shared::Shared;
use super::subscription::Subscription;

/// Sends one heartbeat to every broker of every known route, masters and slaves, and waits for the answers. A broker
/// that does not answer gets the next one.
pub(crate) async fn beat(shared: &Shared) {
    let producers = shared.members.producers();
    let consumers = shared.members.consumers();
    if producers.is_empty() && consumers.is_empty() {
        return;
    }
    let data = HeartbeatData {
        client_id: shared.id.clone(),
        producer_data_set: producers
            .iter()
            .map(|group| ProducerData {
                group_name: group.to_string(),
            })
            .collect(),
        consumer_data_set: consumers.iter().map(|core| consumer_data(core)).collect(),
        ..HeartbeatData::default()
    };
    let body = match fastjson::to_wire(&data) {
        Ok(body) => bytes::Bytes::from(body),
        Err(error) => {
            tracing::error!("heartbeat not sent: {error}");
            return;
        }
    };
    let mut calls = JoinSet::new();
    for address in shared.routes.broker_addresses() {
        let net = std::sync::Arc::clone(&shared.net);
        let timeout = shared.timeout();
        let request = Command::request(RequestCode::HEART_BEAT, &NoHeader).with_body(body.clone());
        calls.spawn(async move { net.call_ok(&address, request, timeout).await.map(drop) });
    }
    while let Some(answered) = calls.join_next().await {
        if let Ok(Err(error)) = answered {
            tracing::debug!("heartbeat not answered: {error}");
        }
    }
}

fn consumer_data(core: &Core) -> ConsumerData {
    ConsumerData {
        group_name: core.group().to_string(),
        consume_type: ConsumeType::Passively,
        message_model: if core.options().broadcast {
            MessageModel::Broadcasting
        } else {
            MessageModel::Clustering
        },
        consume_from_where: match core.options().start_from {
            StartFrom::Unspecified | StartFrom::Latest => ConsumeFromWhere::LastOffset,
            StartFrom::Earliest => ConsumeFromWhere::FirstOffset,
            StartFrom::Time { .. } => ConsumeFromWhere::Timestamp,
        },
        subscription_data_set: core
            .subscriptions()
            .map(|subscription| subscription_data(subscription, core.started_ms()))
            .collect(),
        unit_mode: false,
    }
}

/// A subscription as it is told to brokers and administrators.
pub(crate) fn subscription_data(subscription: &Subscription, version: i64) -> SubscriptionData {
    SubscriptionData {
        topic: subscription.topic().to_string(),
        sub_string: subscription.expression().to_owned(),
        tags_set: subscription.tags().map(str::to_owned).collect(),
        code_set: subscription.codes().collect(),
        sub_version: version,
        expression_type: subscription.kind().to_owned(),
        class_filter_mode: false,
    }
}
