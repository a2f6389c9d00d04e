//! Typed headers: each recorded request and answer is read into its struct and written again.

use std::collections::BTreeMap;

use bytes::BytesMut;
use rmq::protocol::codes::RequestCode;
use rmq::protocol::command::{Command, Fields};
use rmq::protocol::frame::{FRAME_MAX_DEFAULT, Frame};
use rmq::protocol::header::{
    FromFields, Header, HeaderError, NoHeader, broker, consumer, group, message, namesrv, pop,
    pull, queue, send, topic,
};

use crate::captures::frames;

type Written = Result<BTreeMap<String, String>, HeaderError>;

fn rewrite<'f, H: FromFields<'f> + Header>(fields: &'f Fields<'_>) -> Written {
    let header = H::from_fields(fields)?;
    let mut written = BTreeMap::new();
    header.write(&mut |key, value| {
        written.insert(key.to_owned(), value.to_owned());
    });
    Ok(written)
}

/// `None` for requests whose header has no fields.
fn request(name: &str, fields: &Fields<'_>) -> Option<Written> {
    Some(match name {
        "SEND_MESSAGE_V2" | "SEND_BATCH_MESSAGE" | "SEND_REPLY_MESSAGE_V2" => {
            rewrite::<send::SendMessageRequestHeaderV2<'_>>(fields)
        }
        "CONSUMER_SEND_MSG_BACK" => rewrite::<send::ConsumerSendMsgBackRequestHeader<'_>>(fields),
        "END_TRANSACTION" => rewrite::<send::EndTransactionRequestHeader<'_>>(fields),
        "CHECK_TRANSACTION_STATE" => {
            rewrite::<send::CheckTransactionStateRequestHeader<'_>>(fields)
        }
        "PUSH_REPLY_MESSAGE_TO_CLIENT" => rewrite::<send::ReplyMessageRequestHeader<'_>>(fields),
        "PULL_MESSAGE" | "LITE_PULL_MESSAGE" => {
            rewrite::<pull::PullMessageRequestHeader<'_>>(fields)
        }
        "QUERY_CONSUMER_OFFSET" => rewrite::<pull::QueryConsumerOffsetRequestHeader<'_>>(fields),
        "UPDATE_CONSUMER_OFFSET" => rewrite::<pull::UpdateConsumerOffsetRequestHeader<'_>>(fields),
        "SEARCH_OFFSET_BY_TIMESTAMP" => rewrite::<queue::SearchOffsetRequestHeader<'_>>(fields),
        "GET_MAX_OFFSET" => rewrite::<queue::GetMaxOffsetRequestHeader<'_>>(fields),
        "GET_MIN_OFFSET" => rewrite::<queue::GetMinOffsetRequestHeader<'_>>(fields),
        "GET_CONSUMER_LIST_BY_GROUP" => {
            rewrite::<group::GetConsumerListByGroupRequestHeader<'_>>(fields)
        }
        "UNREGISTER_CLIENT" => rewrite::<group::UnregisterClientRequestHeader<'_>>(fields),
        "NOTIFY_CONSUMER_IDS_CHANGED" => {
            rewrite::<group::NotifyConsumerIdsChangedRequestHeader<'_>>(fields)
        }
        "QUERY_MESSAGE" => rewrite::<message::QueryMessageRequestHeader<'_>>(fields),
        "VIEW_MESSAGE_BY_ID" => rewrite::<message::ViewMessageRequestHeader<'_>>(fields),
        "POP_MESSAGE" => rewrite::<pop::PopMessageRequestHeader<'_>>(fields),
        "ACK_MESSAGE" => rewrite::<pop::AckMessageRequestHeader<'_>>(fields),
        "CHANGE_MESSAGE_INVISIBLETIME" => {
            rewrite::<pop::ChangeInvisibleTimeRequestHeader<'_>>(fields)
        }
        _ => return admin_request(name, fields),
    })
}

fn admin_request(name: &str, fields: &Fields<'_>) -> Option<Written> {
    Some(match name {
        "GET_ROUTEINFO_BY_TOPIC" => rewrite::<namesrv::GetRouteInfoRequestHeader<'_>>(fields),
        "REGISTER_BROKER" => rewrite::<namesrv::RegisterBrokerRequestHeader<'_>>(fields),
        "UNREGISTER_BROKER" => rewrite::<namesrv::UnRegisterBrokerRequestHeader<'_>>(fields),
        "DELETE_KV_CONFIG" => rewrite::<namesrv::DeleteKVConfigRequestHeader<'_>>(fields),
        "DELETE_TOPIC_IN_NAMESRV" => {
            rewrite::<namesrv::DeleteTopicFromNamesrvRequestHeader<'_>>(fields)
        }
        "UPDATE_AND_CREATE_TOPIC" => rewrite::<topic::CreateTopicRequestHeader<'_>>(fields),
        "DELETE_TOPIC_IN_BROKER" => rewrite::<topic::DeleteTopicRequestHeader<'_>>(fields),
        "GET_ALL_TOPIC_CONFIG" => rewrite::<topic::GetAllTopicConfigRequestHeader<'_>>(fields),
        "GET_TOPIC_CONFIG" => rewrite::<topic::GetTopicConfigRequestHeader<'_>>(fields),
        "GET_TOPIC_STATS_INFO" => rewrite::<topic::GetTopicStatsInfoRequestHeader<'_>>(fields),
        "QUERY_TOPIC_CONSUME_BY_WHO" => {
            rewrite::<topic::QueryTopicConsumeByWhoRequestHeader<'_>>(fields)
        }
        "GET_ALL_SUBSCRIPTIONGROUP_CONFIG" => {
            rewrite::<consumer::GetAllSubscriptionGroupRequestHeader<'_>>(fields)
        }
        "DELETE_SUBSCRIPTIONGROUP" => {
            rewrite::<consumer::DeleteSubscriptionGroupRequestHeader<'_>>(fields)
        }
        "GET_CONSUMER_CONNECTION_LIST" => {
            rewrite::<consumer::GetConsumerConnectionListRequestHeader<'_>>(fields)
        }
        "GET_PRODUCER_CONNECTION_LIST" => {
            rewrite::<consumer::GetProducerConnectionListRequestHeader<'_>>(fields)
        }
        "GET_CONSUME_STATS" => rewrite::<consumer::GetConsumeStatsRequestHeader<'_>>(fields),
        "GET_CONSUMER_RUNNING_INFO" => {
            rewrite::<consumer::GetConsumerRunningInfoRequestHeader<'_>>(fields)
        }
        "INVOKE_BROKER_TO_RESET_OFFSET" => {
            rewrite::<consumer::ResetOffsetRequestHeader<'_>>(fields)
        }
        _ => return None,
    })
}

fn response(name: &str, fields: &Fields<'_>) -> Option<Written> {
    Some(match name {
        "SEND_MESSAGE_V2" | "SEND_BATCH_MESSAGE" | "SEND_REPLY_MESSAGE_V2" => {
            rewrite::<send::SendMessageResponseHeader<'_>>(fields)
        }
        "PULL_MESSAGE" | "LITE_PULL_MESSAGE" => rewrite::<pull::PullMessageResponseHeader>(fields),
        "QUERY_CONSUMER_OFFSET" => rewrite::<pull::QueryConsumerOffsetResponseHeader>(fields),
        "SEARCH_OFFSET_BY_TIMESTAMP" => rewrite::<queue::SearchOffsetResponseHeader>(fields),
        "GET_MAX_OFFSET" => rewrite::<queue::GetMaxOffsetResponseHeader>(fields),
        "GET_MIN_OFFSET" => rewrite::<queue::GetMinOffsetResponseHeader>(fields),
        "HEART_BEAT" => rewrite::<group::HeartbeatResponseHeader>(fields),
        "QUERY_MESSAGE" => rewrite::<message::QueryMessageResponseHeader>(fields),
        "POP_MESSAGE" => rewrite::<pop::PopMessageResponseHeader<'_>>(fields),
        "CHANGE_MESSAGE_INVISIBLETIME" => rewrite::<pop::ChangeInvisibleTimeResponseHeader>(fields),
        "REGISTER_BROKER" => rewrite::<namesrv::RegisterBrokerResponseHeader<'_>>(fields),
        "GET_ALL_TOPIC_CONFIG" => rewrite::<topic::GetAllTopicConfigResponseHeader>(fields),
        "GET_ALL_SUBSCRIPTIONGROUP_CONFIG" => {
            rewrite::<consumer::GetAllSubscriptionGroupResponseHeader>(fields)
        }
        "GET_BROKER_CONFIG" => rewrite::<broker::GetBrokerConfigResponseHeader<'_>>(fields),
        _ => return None,
    })
}

#[test]
fn every_recorded_header_survives_its_struct() {
    let mut kinds = BTreeMap::new();
    for recorded in frames() {
        let place = &recorded.place;
        let mut buffer = BytesMut::from(recorded.bytes.as_slice());
        let frame = Frame::take(&mut buffer, FRAME_MAX_DEFAULT)
            .unwrap()
            .unwrap();
        let (head, _) = frame.parse().unwrap();
        let written = if recorded.is_response() {
            response(recorded.request(), &head.fields)
        } else {
            request(recorded.request(), &head.fields)
        };
        // `ReqT` marks stream requests and is nobody's field; brokers ignore it too.
        let sent = head.fields.iter().filter(|(key, _)| *key != "ReqT");
        let sent: BTreeMap<_, _> = sent.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        match written {
            None => assert!(
                sent.is_empty(),
                "{place}: {} has fields",
                recorded.request()
            ),
            // The head of an error answer has no fields, required or not.
            Some(Err(HeaderError::Missing(_))) if head.is_response() => {
                assert!(head.code != 0 && sent.is_empty(), "{place}");
            }
            Some(Err(error)) => panic!("{place}: {error}"),
            Some(Ok(mut written)) => {
                written.retain(|key, value| {
                    sent.contains_key(key) || !matches!(value.as_str(), "false" | "0" | "true")
                });
                assert_eq!(written, sent, "{place}");
                *kinds.entry(recorded.request().to_owned()).or_insert(0) += 1;
            }
        }
    }
    assert!(kinds.len() > 40, "{kinds:?}");
}

#[test]
fn missing_and_malformed_fields_are_named() {
    let mut fields = Fields::new();
    let read = |fields: &Fields<'_>| {
        let read = queue::GetMinOffsetRequestHeader::from_fields(fields);
        read.map(|header| header.queue_id)
    };
    assert_eq!(read(&fields), Err(HeaderError::Missing("topic")));
    fields.push("topic", "t");
    fields.push("queueId", "");
    assert_eq!(read(&fields), Err(HeaderError::Missing("queueId")));
    fields.push("queueId", "12x");
    assert_eq!(read(&fields), Err(HeaderError::Malformed("queueId")));
    fields.push("queueId", "12");
    assert_eq!(read(&fields), Ok(12));
    assert_eq!(
        HeaderError::Missing("topic").to_string(),
        "the custom field <topic> is null"
    );
}

#[test]
fn codes_past_16_bits_travel_as_json() {
    use rmq::protocol::command::Serialization;
    let command = Command::request(RequestCode::POP_MESSAGE, &NoHeader);
    let mut bytes = BytesMut::new();
    command.encode(Serialization::Rocketmq, 9, &mut bytes);
    let frame = Frame::take(&mut bytes, FRAME_MAX_DEFAULT).unwrap().unwrap();
    let (head, _) = frame.parse().unwrap();
    assert_eq!(head.request_code(), RequestCode::POP_MESSAGE);
    assert_eq!(head.serialization, Serialization::Json);
}
