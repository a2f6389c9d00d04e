//! Headers that find single messages, by key or by position.

use super::headers;

headers! {
    /// `QUERY_MESSAGE` (12). With `_UNIQUE_KEY_QUERY` the key is a `UNIQ_KEY`.
    QueryMessageRequestHeader<'f> {
        topic: &'f str = "topic", required;
        key: &'f str = "key", required;
        max_num: i32 = "maxNum", required;
        begin_timestamp: i64 = "beginTimestamp", required;
        end_timestamp: i64 = "endTimestamp", required;
        index_type: &'f str = "indexType", optional;
        last_key: &'f str = "lastKey", optional;
        unique_key_query: bool = "_UNIQUE_KEY_QUERY", optional;
        broker_name: &'f str = "bname", optional;
    }

    /// The answer of 12; the body is a run of records.
    QueryMessageResponseHeader {
        index_last_update_timestamp: i64 = "indexLastUpdateTimestamp", required;
        index_last_update_phyoffset: i64 = "indexLastUpdatePhyoffset", required;
    }

    /// `VIEW_MESSAGE_BY_ID` (33).
    ViewMessageRequestHeader<'f> {
        topic: &'f str = "topic", optional;
        offset: i64 = "offset", required;
        broker_name: &'f str = "bname", optional;
    }

    /// `RESUME_CHECK_HALF_MESSAGE` (323).
    ResumeCheckHalfMessageRequestHeader<'f> {
        topic: &'f str = "topic", optional;
        msg_id: &'f str = "msgId", optional;
    }

    /// `CONSUME_MESSAGE_DIRECTLY` (309), forwarded to a client.
    ConsumeMessageDirectlyResultRequestHeader<'f> {
        consumer_group: &'f str = "consumerGroup", required;
        client_id: &'f str = "clientId", optional;
        msg_id: &'f str = "msgId", optional;
        broker_name: &'f str = "brokerName", optional;
        topic: &'f str = "topic", optional;
        topic_sys_flag: i32 = "topicSysFlag", optional;
        group_sys_flag: i32 = "groupSysFlag", optional;
    }
}
