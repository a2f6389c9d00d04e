//! Headers that administrate topics.

use super::headers;

headers! {
    /// `UPDATE_AND_CREATE_TOPIC` (17).
    CreateTopicRequestHeader<'f> {
        topic: &'f str = "topic", required;
        default_topic: &'f str = "defaultTopic", required;
        read_queue_nums: i32 = "readQueueNums", required;
        write_queue_nums: i32 = "writeQueueNums", required;
        perm: i32 = "perm", required;
        topic_filter_type: &'f str = "topicFilterType", required;
        topic_sys_flag: i32 = "topicSysFlag", optional;
        order: bool = "order", default false;
        attributes: &'f str = "attributes", optional;
        force: bool = "force", default false;
    }

    /// `DELETE_TOPIC_IN_BROKER` (215).
    DeleteTopicRequestHeader<'f> {
        topic: &'f str = "topic", required;
    }

    /// `GET_ALL_TOPIC_CONFIG` (21). Old clients send no fields and get everything.
    GetAllTopicConfigRequestHeader<'f> {
        topic_seq: i32 = "topicSeq", optional;
        data_version: &'f str = "dataVersion", optional;
        max_topic_num: i32 = "maxTopicNum", optional;
    }

    /// The answer of 21.
    GetAllTopicConfigResponseHeader {
        total_topic_num: i32 = "totalTopicNum", optional;
    }

    /// `GET_TOPIC_CONFIG` (351).
    GetTopicConfigRequestHeader<'f> {
        topic: &'f str = "topic", required;
        lo: bool = "lo", optional;
        broker_name: &'f str = "bname", optional;
    }

    /// `GET_TOPIC_STATS_INFO` (202).
    GetTopicStatsInfoRequestHeader<'f> {
        topic: &'f str = "topic", required;
        lo: bool = "lo", optional;
        broker_name: &'f str = "bname", optional;
    }

    /// `QUERY_TOPIC_CONSUME_BY_WHO` (300).
    QueryTopicConsumeByWhoRequestHeader<'f> {
        topic: &'f str = "topic", required;
    }
}
