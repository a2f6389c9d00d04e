//! Headers of pulling and of consumer offsets.

use super::headers;

headers! {
    /// `PULL_MESSAGE` (11) and `LITE_PULL_MESSAGE` (361).
    PullMessageRequestHeader<'f> {
        consumer_group: &'f str = "consumerGroup", required;
        topic: &'f str = "topic", required;
        lite_topic: &'f str = "liteTopic", optional;
        queue_id: i32 = "queueId", required;
        queue_offset: i64 = "queueOffset", required;
        max_msg_nums: i32 = "maxMsgNums", required;
        sys_flag: i32 = "sysFlag", required;
        commit_offset: i64 = "commitOffset", required;
        suspend_timeout_millis: i64 = "suspendTimeoutMillis", required;
        subscription: &'f str = "subscription", optional;
        sub_version: i64 = "subVersion", required;
        expression_type: &'f str = "expressionType", optional;
        max_msg_bytes: i32 = "maxMsgBytes", optional;
        request_source: i32 = "requestSource", optional;
        proxy_forward_client_id: &'f str = "proxyFrowardClientId", optional;
        broker_name: &'f str = "bname", optional;
    }

    /// The answer to a pull, on every result: C++ and Go clients read the first four without looking.
    PullMessageResponseHeader {
        suggest_which_broker_id: i64 = "suggestWhichBrokerId", required;
        next_begin_offset: i64 = "nextBeginOffset", required;
        min_offset: i64 = "minOffset", required;
        max_offset: i64 = "maxOffset", required;
        offset_delta: i64 = "offsetDelta", optional;
        topic_sys_flag: i32 = "topicSysFlag", optional;
        group_sys_flag: i32 = "groupSysFlag", optional;
        forbidden_type: i32 = "forbiddenType", optional;
    }

    /// `QUERY_CONSUMER_OFFSET` (14).
    QueryConsumerOffsetRequestHeader<'f> {
        consumer_group: &'f str = "consumerGroup", required;
        topic: &'f str = "topic", required;
        queue_id: i32 = "queueId", required;
        set_zero_if_not_found: bool = "setZeroIfNotFound", optional;
        broker_name: &'f str = "bname", optional;
    }

    /// The answer of 14.
    QueryConsumerOffsetResponseHeader {
        offset: i64 = "offset", required;
    }

    /// `UPDATE_CONSUMER_OFFSET` (15), mostly one-way.
    UpdateConsumerOffsetRequestHeader<'f> {
        consumer_group: &'f str = "consumerGroup", required;
        topic: &'f str = "topic", required;
        queue_id: i32 = "queueId", required;
        commit_offset: i64 = "commitOffset", required;
        broker_name: &'f str = "bname", optional;
    }
}
