//! Headers of POP consumption.

use super::headers;

headers! {
    /// `POP_MESSAGE` (200050).
    PopMessageRequestHeader<'f> {
        consumer_group: &'f str = "consumerGroup", required;
        topic: &'f str = "topic", required;
        queue_id: i32 = "queueId", required;
        max_msg_nums: i32 = "maxMsgNums", required;
        invisible_time: i64 = "invisibleTime", required;
        poll_time: i64 = "pollTime", required;
        born_time: i64 = "bornTime", default 0;
        init_mode: i32 = "initMode", required;
        exp_type: &'f str = "expType", optional;
        exp: &'f str = "exp", optional;
        order: bool = "order", default false;
        attempt_id: &'f str = "attemptId", optional;
        broker_name: &'f str = "bname", optional;
    }

    /// The answer of 200050.
    PopMessageResponseHeader<'f> {
        pop_time: i64 = "popTime", required;
        invisible_time: i64 = "invisibleTime", required;
        revive_qid: i32 = "reviveQid", required;
        rest_num: i64 = "restNum", required;
        start_offset_info: &'f str = "startOffsetInfo", optional;
        msg_offset_info: &'f str = "msgOffsetInfo", optional;
        order_count_info: &'f str = "orderCountInfo", optional;
    }

    /// `ACK_MESSAGE` (200051).
    AckMessageRequestHeader<'f> {
        consumer_group: &'f str = "consumerGroup", required;
        topic: &'f str = "topic", required;
        queue_id: i32 = "queueId", required;
        extra_info: &'f str = "extraInfo", required;
        offset: i64 = "offset", required;
        lite_topic: &'f str = "liteTopic", optional;
        broker_name: &'f str = "bname", optional;
    }

    /// `CHANGE_MESSAGE_INVISIBLETIME` (200053).
    ChangeInvisibleTimeRequestHeader<'f> {
        consumer_group: &'f str = "consumerGroup", required;
        topic: &'f str = "topic", required;
        queue_id: i32 = "queueId", required;
        extra_info: &'f str = "extraInfo", required;
        offset: i64 = "offset", required;
        invisible_time: i64 = "invisibleTime", required;
        lite_topic: &'f str = "liteTopic", optional;
        suspend: bool = "suspend", default false;
        broker_name: &'f str = "bname", optional;
    }

    /// The answer of 200053.
    ChangeInvisibleTimeResponseHeader {
        pop_time: i64 = "popTime", required;
        invisible_time: i64 = "invisibleTime", required;
        revive_qid: i32 = "reviveQid", required;
    }

    /// `NOTIFICATION` (200054).
    NotificationRequestHeader<'f> {
        consumer_group: &'f str = "consumerGroup", required;
        topic: &'f str = "topic", required;
        queue_id: i32 = "queueId", required;
        poll_time: i64 = "pollTime", required;
        born_time: i64 = "bornTime", default 0;
        order: bool = "order", default false;
        attempt_id: &'f str = "attemptId", optional;
        exp_type: &'f str = "expType", optional;
        exp: &'f str = "exp", optional;
        broker_name: &'f str = "bname", optional;
    }

    /// The answer of 200054.
    NotificationResponseHeader {
        has_msg: bool = "hasMsg", default false;
        polling_full: bool = "pollingFull", default false;
    }

    /// `PEEK_MESSAGE` (200052), answered like a pop.
    PeekMessageRequestHeader<'f> {
        topic: &'f str = "topic", required;
        queue_id: i32 = "queueId", required;
        max_msg_nums: i32 = "maxMsgNums", required;
        consumer_group: &'f str = "consumerGroup", required;
        broker_name: &'f str = "bname", optional;
    }

    /// `POLLING_INFO` (200055).
    PollingInfoRequestHeader<'f> {
        consumer_group: &'f str = "consumerGroup", required;
        topic: &'f str = "topic", required;
        queue_id: i32 = "queueId", required;
        broker_name: &'f str = "bname", optional;
    }

    /// The answer of 200055.
    PollingInfoResponseHeader {
        polling_num: i32 = "pollingNum", required;
    }
}
