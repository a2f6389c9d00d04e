//! Headers of producing: send in its three forms, send-back, transactions, request-reply, recall.

use super::headers;

headers! {
    /// `SEND_MESSAGE` (10) and `SEND_REPLY_MESSAGE` (324).
    SendMessageRequestHeader<'f> {
        producer_group: &'f str = "producerGroup", required;
        topic: &'f str = "topic", required;
        default_topic: &'f str = "defaultTopic", required;
        default_topic_queue_nums: i32 = "defaultTopicQueueNums", required;
        queue_id: i32 = "queueId", required;
        sys_flag: i32 = "sysFlag", required;
        born_timestamp: i64 = "bornTimestamp", required;
        flag: i32 = "flag", required;
        properties: &'f str = "properties", optional;
        reconsume_times: i32 = "reconsumeTimes", optional;
        unit_mode: bool = "unitMode", optional;
        batch: bool = "batch", optional;
        max_reconsume_times: i32 = "maxReconsumeTimes", optional;
        broker_name: &'f str = "bname", optional;
    }

    /// `SEND_MESSAGE_V2` (310), `SEND_BATCH_MESSAGE` (320) and `SEND_REPLY_MESSAGE_V2` (325): the same with
    /// one-letter names.
    SendMessageRequestHeaderV2<'f> {
        producer_group: &'f str = "a", required;
        topic: &'f str = "b", required;
        default_topic: &'f str = "c", required;
        default_topic_queue_nums: i32 = "d", required;
        queue_id: i32 = "e", required;
        sys_flag: i32 = "f", required;
        born_timestamp: i64 = "g", required;
        flag: i32 = "h", required;
        properties: &'f str = "i", optional;
        reconsume_times: i32 = "j", optional;
        unit_mode: bool = "k", optional;
        max_reconsume_times: i32 = "l", optional;
        batch: bool = "m", optional;
        broker_name: &'f str = "n", optional;
    }

    /// The answer to a send.
    SendMessageResponseHeader<'f> {
        msg_id: &'f str = "msgId", required;
        queue_id: i32 = "queueId", required;
        queue_offset: i64 = "queueOffset", required;
        transaction_id: &'f str = "transactionId", optional;
        batch_uniq_id: &'f str = "batchUniqId", optional;
        recall_handle: &'f str = "recallHandle", optional;
        msg_region: &'f str = "MSG_REGION", optional;
        trace_on: &'f str = "TRACE_ON", optional;
    }

    /// `CONSUMER_SEND_MSG_BACK` (36).
    ConsumerSendMsgBackRequestHeader<'f> {
        offset: i64 = "offset", required;
        group: &'f str = "group", required;
        delay_level: i32 = "delayLevel", required;
        origin_msg_id: &'f str = "originMsgId", optional;
        origin_topic: &'f str = "originTopic", optional;
        unit_mode: bool = "unitMode", default false;
        max_reconsume_times: i32 = "maxReconsumeTimes", optional;
        broker_name: &'f str = "bname", optional;
    }

    /// `END_TRANSACTION` (37).
    EndTransactionRequestHeader<'f> {
        topic: &'f str = "topic", optional;
        producer_group: &'f str = "producerGroup", required;
        tran_state_table_offset: i64 = "tranStateTableOffset", required;
        commit_log_offset: i64 = "commitLogOffset", required;
        commit_or_rollback: i32 = "commitOrRollback", required;
        from_transaction_check: bool = "fromTransactionCheck", default false;
        msg_id: &'f str = "msgId", required;
        transaction_id: &'f str = "transactionId", optional;
        broker_name: &'f str = "bname", optional;
    }

    /// `CHECK_TRANSACTION_STATE` (39), from the broker to a producer.
    CheckTransactionStateRequestHeader<'f> {
        topic: &'f str = "topic", optional;
        tran_state_table_offset: i64 = "tranStateTableOffset", required;
        commit_log_offset: i64 = "commitLogOffset", required;
        msg_id: &'f str = "msgId", optional;
        transaction_id: &'f str = "transactionId", optional;
        offset_msg_id: &'f str = "offsetMsgId", optional;
        broker_name: &'f str = "bname", optional;
    }

    /// `PUSH_REPLY_MESSAGE_TO_CLIENT` (326), from the broker to the requester.
    ReplyMessageRequestHeader<'f> {
        producer_group: &'f str = "producerGroup", required;
        topic: &'f str = "topic", required;
        default_topic: &'f str = "defaultTopic", required;
        default_topic_queue_nums: i32 = "defaultTopicQueueNums", required;
        queue_id: i32 = "queueId", required;
        sys_flag: i32 = "sysFlag", required;
        born_timestamp: i64 = "bornTimestamp", required;
        flag: i32 = "flag", required;
        properties: &'f str = "properties", optional;
        reconsume_times: i32 = "reconsumeTimes", optional;
        unit_mode: bool = "unitMode", default false;
        born_host: &'f str = "bornHost", required;
        store_host: &'f str = "storeHost", required;
        store_timestamp: i64 = "storeTimestamp", required;
    }

    /// `RECALL_MESSAGE` (370).
    RecallMessageRequestHeader<'f> {
        producer_group: &'f str = "producerGroup", optional;
        topic: &'f str = "topic", required;
        recall_handle: &'f str = "recallHandle", required;
        broker_name: &'f str = "bname", optional;
    }

    /// The answer to a recall.
    RecallMessageResponseHeader<'f> {
        msg_id: &'f str = "msgId", required;
    }
}
