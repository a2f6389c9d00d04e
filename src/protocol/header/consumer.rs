//! Headers that administrate groups: configuration, connections, progress, offsets.

use super::headers;

headers! {
    /// `GET_ALL_SUBSCRIPTIONGROUP_CONFIG` (201). Old clients send no fields and get everything.
    GetAllSubscriptionGroupRequestHeader<'f> {
        group_seq: i32 = "groupSeq", optional;
        data_version: &'f str = "dataVersion", optional;
        max_group_num: i32 = "maxGroupNum", optional;
    }

    /// The answer of 201.
    GetAllSubscriptionGroupResponseHeader {
        total_group_num: i32 = "totalGroupNum", optional;
    }

    /// `GET_SUBSCRIPTIONGROUP_CONFIG` (352).
    GetSubscriptionGroupConfigRequestHeader<'f> {
        group: &'f str = "group", required;
        broker_name: &'f str = "bname", optional;
    }

    /// `DELETE_SUBSCRIPTIONGROUP` (207).
    DeleteSubscriptionGroupRequestHeader<'f> {
        group_name: &'f str = "groupName", required;
        clean_offset: bool = "cleanOffset", default false;
    }

    /// `UPDATE_AND_GET_GROUP_FORBIDDEN` (353).
    UpdateGroupForbiddenRequestHeader<'f> {
        group: &'f str = "group", required;
        topic: &'f str = "topic", required;
        readable: bool = "readable", optional;
    }

    /// `GET_CONSUMER_CONNECTION_LIST` (203).
    GetConsumerConnectionListRequestHeader<'f> {
        consumer_group: &'f str = "consumerGroup", required;
    }

    /// `GET_PRODUCER_CONNECTION_LIST` (204).
    GetProducerConnectionListRequestHeader<'f> {
        producer_group: &'f str = "producerGroup", required;
    }

    /// `GET_CONSUME_STATS` (208). `topicList` is joined by `;`.
    GetConsumeStatsRequestHeader<'f> {
        consumer_group: &'f str = "consumerGroup", required;
        topic: &'f str = "topic", optional;
        topic_list: &'f str = "topicList", optional;
    }

    /// `GET_BROKER_CONSUME_STATS` (317).
    GetConsumeStatsInBrokerHeader {
        is_order: bool = "isOrder", required;
    }

    /// `INVOKE_BROKER_TO_RESET_OFFSET` (222) and `RESET_CONSUMER_CLIENT_OFFSET` (220).
    ResetOffsetRequestHeader<'f> {
        topic: &'f str = "topic", required;
        group: &'f str = "group", required;
        queue_id: i32 = "queueId", default -1;
        offset: i64 = "offset", optional;
        timestamp: i64 = "timestamp", required;
        is_force: bool = "isForce", required;
    }

    /// `INVOKE_BROKER_TO_GET_CONSUMER_STATUS` (223) and `GET_CONSUMER_STATUS_FROM_CLIENT` (221).
    GetConsumerStatusRequestHeader<'f> {
        topic: &'f str = "topic", required;
        group: &'f str = "group", required;
        client_addr: &'f str = "clientAddr", optional;
    }

    /// `GET_CONSUMER_RUNNING_INFO` (307), forwarded to a client.
    GetConsumerRunningInfoRequestHeader<'f> {
        consumer_group: &'f str = "consumerGroup", required;
        client_id: &'f str = "clientId", required;
        jstack_enable: bool = "jstackEnable", default false;
    }

    /// `QUERY_TOPICS_BY_CONSUMER` (343).
    QueryTopicsByConsumerRequestHeader<'f> {
        group: &'f str = "group", required;
    }

    /// `QUERY_SUBSCRIPTION_BY_CONSUMER` (345).
    QuerySubscriptionByConsumerRequestHeader<'f> {
        group: &'f str = "group", required;
        topic: &'f str = "topic", optional;
    }

    /// `QUERY_CONSUME_TIME_SPAN` (303).
    QueryConsumeTimeSpanRequestHeader<'f> {
        topic: &'f str = "topic", required;
        group: &'f str = "group", required;
    }

    /// `QUERY_CORRECTION_OFFSET` (308).
    QueryCorrectionOffsetHeader<'f> {
        filter_groups: &'f str = "filterGroups", optional;
        compare_group: &'f str = "compareGroup", required;
        topic: &'f str = "topic", required;
    }

    /// `CLONE_GROUP_OFFSET` (314).
    CloneGroupOffsetRequestHeader<'f> {
        src_group: &'f str = "srcGroup", required;
        dest_group: &'f str = "destGroup", required;
        topic: &'f str = "topic", optional;
        offline: bool = "offline", default false;
    }

    /// `QUERY_CONSUME_QUEUE` (321).
    QueryConsumeQueueRequestHeader<'f> {
        topic: &'f str = "topic", optional;
        queue_id: i32 = "queueId", default 0;
        index: i64 = "index", default 0;
        count: i32 = "count", default 0;
        consumer_group: &'f str = "consumerGroup", optional;
    }
}
