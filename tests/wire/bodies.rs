//! Bodies: each recorded one is read into its struct and written again without loss.

use std::collections::BTreeMap;

use rmq::protocol::body::{
    assignment, connection, heartbeat, lists, lock, offset, register, route, stats,
    subscription_group, topic_config,
};
use rmq::protocol::fastjson;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::captures::{beside, frames};

fn rewrite<T: DeserializeOwned + Serialize>(body: &[u8]) -> Vec<u8> {
    fastjson::to_wire(&fastjson::from_slice::<T>(body).unwrap()).unwrap()
}

fn request(name: &str, body: &[u8]) -> Option<Vec<u8>> {
    Some(match name {
        "HEART_BEAT" => rewrite::<heartbeat::HeartbeatData>(body),
        "REGISTER_BROKER" => rewrite::<register::RegisterBrokerBody>(body),
        "LOCK_BATCH_MQ" | "UNLOCK_BATCH_MQ" => rewrite::<lock::LockBatchRequestBody>(body),
        "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP" => {
            rewrite::<subscription_group::SubscriptionGroupConfig>(body)
        }
        "SET_MESSAGE_REQUEST_MODE" => rewrite::<assignment::SetMessageRequestModeRequestBody>(body),
        "QUERY_ASSIGNMENT" => rewrite::<assignment::QueryAssignmentRequestBody>(body),
        _ => return None,
    })
}

fn response(name: &str, body: &[u8]) -> Option<Vec<u8>> {
    Some(match name {
        "GET_BROKER_CLUSTER_INFO" => rewrite::<route::ClusterInfo>(body),
        "GET_ROUTEINFO_BY_TOPIC" => rewrite::<route::TopicRouteData>(body),
        "GET_CONSUMER_LIST_BY_GROUP" => rewrite::<lists::GetConsumerListByGroupResponseBody>(body),
        "GET_BROKER_RUNTIME_INFO" | "REGISTER_BROKER" => rewrite::<lists::KVTable>(body),
        "GET_ALL_TOPIC_LIST_FROM_NAMESERVER" => rewrite::<lists::TopicList>(body),
        "QUERY_TOPIC_CONSUME_BY_WHO" => rewrite::<lists::GroupList>(body),
        "GET_CONSUMER_CONNECTION_LIST" => rewrite::<connection::ConsumerConnection>(body),
        "GET_PRODUCER_CONNECTION_LIST" => rewrite::<connection::ProducerConnection>(body),
        "GET_CONSUME_STATS" => rewrite::<stats::ConsumeStats>(body),
        "GET_TOPIC_STATS_INFO" => rewrite::<stats::TopicStatsTable>(body),
        "GET_TOPIC_CONFIG" => rewrite::<topic_config::TopicConfigAndQueueMapping>(body),
        "GET_ALL_TOPIC_CONFIG" => {
            rewrite::<topic_config::TopicConfigAndMappingSerializeWrapper>(body)
        }
        "GET_ALL_SUBSCRIPTIONGROUP_CONFIG" => {
            rewrite::<subscription_group::SubscriptionGroupWrapper>(body)
        }
        "GET_ALL_CONSUMER_OFFSET" => rewrite::<offset::ConsumerOffsetSerializeWrapper>(body),
        "GET_ALL_DELAY_OFFSET" => rewrite::<offset::DelayOffsetSerializeWrapper>(body),
        "GET_ALL_MESSAGE_REQUEST_MODE" => {
            rewrite::<assignment::MessageRequestModeSerializeWrapper>(body)
        }
        "INVOKE_BROKER_TO_RESET_OFFSET" => rewrite::<offset::ResetOffsetBody>(body),
        "LOCK_BATCH_MQ" => rewrite::<lock::LockBatchResponseBody>(body),
        "QUERY_ASSIGNMENT" => rewrite::<assignment::QueryAssignmentResponseBody>(body),
        "GET_CONSUMER_RUNNING_INFO" => rewrite::<Value>(body),
        _ => return None,
    })
}

/// Bodies that are not JSON.
const OPAQUE: [&str; 11] = [
    "SEND_MESSAGE_V2",
    "SEND_BATCH_MESSAGE",
    "SEND_REPLY_MESSAGE_V2",
    "PUSH_REPLY_MESSAGE_TO_CLIENT",
    "CHECK_TRANSACTION_STATE",
    "PULL_MESSAGE",
    "LITE_PULL_MESSAGE",
    "POP_MESSAGE",
    "QUERY_MESSAGE",
    "VIEW_MESSAGE_BY_ID",
    "GET_TIMER_CHECK_POINT",
];
/// Text, or JSON nobody asked to have typed.
const TEXT: [&str; 3] = [
    "GET_BROKER_CONFIG",
    "UPDATE_BROKER_CONFIG",
    "GET_TIMER_METRICS",
];

fn value(text: &[u8]) -> Value {
    fastjson::from_slice(text).unwrap()
}

#[test]
fn every_recorded_body_survives_its_struct() {
    let mut kinds = BTreeMap::new();
    for recorded in frames() {
        let place = &recorded.place;
        let header = usize::try_from(recorded.line["header_length"].as_u64().unwrap()).unwrap();
        let body = &recorded.bytes[8 + header..];
        let name = recorded.request();
        if body.is_empty() || OPAQUE.contains(&name) || TEXT.contains(&name) {
            continue;
        }
        if name == "REGISTER_BROKER" && body[0] == 0x78 {
            // What 5.5.0 sends with compressedRegister.
            let register = register::RegisterBrokerBody::decode_compressed(body, 513).unwrap();
            assert!(
                !register
                    .topic_config_serialize_wrapper
                    .topic_config_table
                    .is_empty()
            );
            let again = register.encode_compressed().unwrap();
            let again = register::RegisterBrokerBody::decode_compressed(&again, 513).unwrap();
            assert_eq!(again, register, "{place}");
            *kinds.entry("compressed".to_owned()).or_insert(0) += 1;
            continue;
        }
        let written = if recorded.is_response() {
            response(name, body)
        } else {
            request(name, body)
        };
        let written = written.unwrap_or_else(|| panic!("{place}: {name} has a body"));
        assert_eq!(value(&written), value(body), "{place} {name}");
        *kinds
            .entry(format!("{name} {}", recorded.is_response()))
            .or_insert(0) += 1;
    }
    assert!(kinds.len() >= 26, "{kinds:?}");
    assert!(kinds.contains_key("compressed"));
}

#[test]
fn registration_checksum_is_that_of_apache() {
    let mut checked = 0;
    for recorded in frames() {
        if recorded.request() == "REGISTER_BROKER" && !recorded.is_response() {
            let header = usize::try_from(recorded.line["header_length"].as_u64().unwrap()).unwrap();
            let crc = register::RegisterBrokerBody::crc(&recorded.bytes[8 + header..]);
            assert_eq!(recorded.line["extFields"]["bodyCrc32"], crc.to_string());
            checked += 1;
        }
    }
    assert!(checked > 10);
}

#[test]
fn object_keys_are_written_as_java_insists() {
    let text = br#"{"offsetTable":{{"brokerName":"b","queueId":1,"topic":"T"}:{"lastUpdateTimestamp":3,"maxOffset":2,"minOffset":1}},"topicPutTps":0.5}"#;
    assert_eq!(rewrite::<stats::TopicStatsTable>(text), text);
}

#[test]
fn config_files_keep_apaches_layout() {
    let file = |name: &str| std::fs::read(beside("config").join(name)).unwrap();
    let delay = file("delayOffset.json");
    let table: offset::DelayOffsetSerializeWrapper = fastjson::from_slice(&delay).unwrap();
    assert_eq!(fastjson::to_file(&table).unwrap(), delay);
    let offsets = file("consumerOffset.json");
    let table: offset::ConsumerOffsetSerializeWrapper = fastjson::from_slice(&offsets).unwrap();
    assert_eq!(fastjson::to_file(&table).unwrap(), offsets);

    // These have tables in the order of a Java hash map: the same lines, in another order.
    let sorted = |text: &[u8]| {
        let text = String::from_utf8(text.to_vec()).unwrap();
        let mut lines: Vec<String> = text
            .lines()
            .map(|line| line.trim_end_matches(',').to_owned())
            .collect();
        lines.sort();
        lines
    };
    let topics = file("topics.json");
    let table: topic_config::TopicConfigSerializeWrapper = fastjson::from_slice(&topics).unwrap();
    assert_eq!(sorted(&fastjson::to_file(&table).unwrap()), sorted(&topics));
    let groups = file("subscriptionGroup.json");
    let table: subscription_group::SubscriptionGroupWrapper =
        fastjson::from_slice(&groups).unwrap();
    assert_eq!(sorted(&fastjson::to_file(&table).unwrap()), sorted(&groups));
}

/// As the C++ client writes it: ordinals, numbers as text; as Go may: null for empty.
#[test]
fn heartbeats_of_other_clients() {
    let text = br#"{"clientID":"c","consumerDataSet":[{"consumeFromWhere":4,"consumeType":1,
        "groupName":"g","messageModel":1,"subscriptionDataSet":[{"codeSet":["97","-5"],
        "subString":"a","subVersion":"1234567890123","tagsSet":null,"topic":"t"}]}],
        "producerDataSet":null}"#;
    let data: heartbeat::HeartbeatData = fastjson::from_slice(text).unwrap();
    let group = &data.consumer_data_set[0];
    assert_eq!(
        group.consume_from_where,
        heartbeat::ConsumeFromWhere::FirstOffset
    );
    assert_eq!(group.consume_type, heartbeat::ConsumeType::Passively);
    assert_eq!(group.message_model, heartbeat::MessageModel::Clustering);
    let subscription = &group.subscription_data_set[0];
    assert_eq!(subscription.code_set, [97, -5]);
    assert_eq!(subscription.sub_version, 1_234_567_890_123);
    assert_eq!(subscription.expression_type, "TAG");

    let text =
        br#"{"consumerDataSet":[{"consumeFromWhere":"UNKNOWN","messageModel":"broadcasting"}]}"#;
    let data: heartbeat::HeartbeatData = fastjson::from_slice(text).unwrap();
    let group = &data.consumer_data_set[0];
    assert_eq!(
        group.consume_from_where,
        heartbeat::ConsumeFromWhere::LastOffset
    );
    assert_eq!(group.message_model, heartbeat::MessageModel::Broadcasting);
}
