//! The bodies this client exchanges with administrators through a broker.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::protocol::body::MessageQueue as WireQueue;
use crate::protocol::body::consume::{CMResult, ConsumeMessageDirectlyResult};
use crate::protocol::body::heartbeat::SubscriptionData;
use crate::protocol::body::offset::{GetConsumerStatusBody, ResetOffsetBody};
use crate::protocol::fastjson;

use super::consumer::{Core, OwnedView};
use super::heartbeat::subscription_data;
use super::inbound::{Problem, queue_from};
use super::queue::MessageQueue;

/// The offsets of a reset; queues with a negative number are left out.
pub(crate) fn read_reset(body: &[u8]) -> Result<Vec<(MessageQueue, i64)>, Problem> {
    let body: ResetOffsetBody = fastjson::from_slice(body)?;
    Ok(body
        .offset_table
        .into_iter()
        .filter_map(|(queue, offset)| {
            let queue = queue_from(&queue.topic, &queue.broker_name, queue.queue_id)?;
            Some((queue, offset))
        })
        .collect())
}

/// The offsets of a member, asked for with 221.
pub(crate) fn consumer_status(offsets: &BTreeMap<MessageQueue, i64>) -> Result<Vec<u8>, Problem> {
    let body = GetConsumerStatusBody {
        message_queue_table: offsets
            .iter()
            .map(|(queue, offset)| (wire(queue), *offset))
            .collect(),
        ..GetConsumerStatusBody::default()
    };
    Ok(fastjson::to_wire(&body)?)
}

/// What became of a message that was sent to this very member with 309.
pub(crate) fn consume_result(acknowledged: bool, spent_ms: i64) -> Result<Vec<u8>, Problem> {
    let body = ConsumeMessageDirectlyResult {
        auto_commit: true,
        consume_result: Some(if acknowledged {
            CMResult::Success
        } else {
            CMResult::Later
        }),
        order: false,
        remark: None,
        spent_time_mills: spent_ms,
    };
    Ok(fastjson::to_wire(&body)?)
}

/// `ConsumerRunningInfo`, as far as a client without thread pools has something to say.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RunningInfo {
    /// Always empty: this client does not use POP.
    mq_pop_table: BTreeMap<WireQueue, String>,
    mq_table: BTreeMap<WireQueue, QueueInfo>,
    properties: BTreeMap<&'static str, String>,
    status_table: BTreeMap<String, Status>,
    subscription_set: Vec<SubscriptionData>,
}

/// `ProcessQueueInfo`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueInfo {
    #[serde(rename = "cachedMsgCount")]
    cached_count: usize,
    #[serde(rename = "cachedMsgMaxOffset")]
    cached_max_offset: i64,
    #[serde(rename = "cachedMsgMinOffset")]
    cached_min_offset: i64,
    #[serde(rename = "cachedMsgSizeInMiB")]
    cached_mib: i32,
    commit_offset: i64,
    droped: bool,
    last_consume_timestamp: i64,
    last_lock_timestamp: i64,
    last_pull_timestamp: i64,
    locked: bool,
    #[serde(rename = "transactionMsgCount")]
    transaction_count: i32,
    #[serde(rename = "transactionMsgMaxOffset")]
    transaction_max_offset: i64,
    #[serde(rename = "transactionMsgMinOffset")]
    transaction_min_offset: i64,
    try_unlock_times: i64,
}

/// `ConsumeStatus`. This client keeps no rates.
#[derive(Debug, Default, Serialize)]
struct Status {
    #[serde(rename = "consumeFailedMsgs")]
    failed_messages: i64,
    #[serde(rename = "consumeFailedTPS")]
    failed_tps: f64,
    #[serde(rename = "consumeOKTPS")]
    ok_tps: f64,
    #[serde(rename = "consumeRT")]
    consume_ms: f64,
    #[serde(rename = "pullRT")]
    pull_ms: f64,
    #[serde(rename = "pullTPS")]
    pull_tps: f64,
}

/// What this member is doing, asked for with 307.
pub(crate) fn running_info(core: &Core) -> Result<Vec<u8>, Problem> {
    let started_ms = core.started_ms();
    let info = RunningInfo {
        mq_pop_table: BTreeMap::new(),
        mq_table: core
            .views()
            .into_iter()
            .map(|view| (wire(&view.queue), queue_info(&view)))
            .collect(),
        properties: BTreeMap::from([
            ("PROP_CONSUMEORDERLY", "false".to_owned()),
            ("PROP_CONSUMER_START_TIMESTAMP", started_ms.to_string()),
            ("PROP_CONSUME_TYPE", "CONSUME_PASSIVELY".to_owned()),
            ("PROP_CLIENT_VERSION", "V5_5_0".to_owned()),
            ("PROP_THREADPOOL_CORE_SIZE", "1".to_owned()),
            ("consumerGroup", core.group().to_string()),
        ]),
        status_table: core
            .subscriptions()
            .map(|subscription| (subscription.topic().to_string(), Status::default()))
            .collect(),
        subscription_set: core
            .subscriptions()
            .map(|subscription| subscription_data(subscription, started_ms))
            .collect(),
    };
    Ok(fastjson::to_wire(&info)?)
}

fn queue_info(view: &OwnedView) -> QueueInfo {
    let (first, last) = view.open_range.unwrap_or_default();
    QueueInfo {
        cached_count: view.open_count,
        cached_max_offset: last,
        cached_min_offset: first,
        cached_mib: 0,
        commit_offset: view.commit_point,
        droped: false,
        last_consume_timestamp: view.last_ack_ms,
        last_lock_timestamp: 0,
        last_pull_timestamp: view.last_pull_ms,
        locked: false,
        transaction_count: 0,
        transaction_max_offset: 0,
        transaction_min_offset: 0,
        try_unlock_times: 0,
    }
}

fn wire(queue: &MessageQueue) -> WireQueue {
    WireQueue {
        broker_name: queue.broker.to_string(),
        queue_id: queue.queue.to_wire(),
        topic: queue.topic.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> MessageQueue {
        queue_from("T", "b", 1).unwrap()
    }

    #[test]
    fn resets_are_read_in_apaches_form() {
        let body = br#"{"offsetTable":{{"brokerName":"b","queueId":1,"topic":"T"}:42}}"#;
        assert_eq!(read_reset(body).unwrap(), [(queue(), 42)]);
    }

    #[test]
    fn offsets_are_reported_in_apaches_form() {
        let body = consumer_status(&BTreeMap::from([(queue(), 7)])).unwrap();
        let text = String::from_utf8(body).unwrap();
        assert!(
            text.contains(r#""messageQueueTable":{{"brokerName":"b","queueId":1,"topic":"T"}:7}"#),
            "{text}"
        );
    }

    #[test]
    fn outcomes_are_reported_with_apaches_names() {
        let text = String::from_utf8(consume_result(false, 3).unwrap()).unwrap();
        assert!(text.contains(r#""consumeResult":"CR_LATER""#), "{text}");
    }
}
