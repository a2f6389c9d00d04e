//! What consumers and consume queues tell about themselves, and batch acknowledgement.
//!
//! `ConsumerRunningInfo` (307), which brokers hand on as it is, is in [`super::running`].

use serde::{Deserialize, Serialize};

use super::heartbeat::SubscriptionData;
use super::java_enum;

java_enum! {
    /// What a consumer made of one message.
    CMResult {
        /// Consumed.
        Success = "CR_SUCCESS",
        /// To be tried again.
        Later = "CR_LATER",
        /// Rolled back (orderly).
        Rollback = "CR_ROLLBACK",
        /// Committed (orderly).
        Commit = "CR_COMMIT",
        /// The listener threw.
        ThrowException = "CR_THROW_EXCEPTION",
        /// The listener returned null.
        ReturnNull = "CR_RETURN_NULL",
    }
}

/// The answer of 309.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsumeMessageDirectlyResult {
    /// Whether the listener commits by itself.
    pub auto_commit: bool,
    /// How it went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consume_result: Option<CMResult>,
    /// Whether the listener is an orderly one.
    pub order: bool,
    /// The exception, for instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// How long it took.
    pub spent_time_mills: i64,
}

impl Default for ConsumeMessageDirectlyResult {
    fn default() -> Self {
        Self {
            auto_commit: true,
            consume_result: None,
            order: false,
            remark: None,
            spent_time_mills: 0,
        }
    }
}

/// The answer of 345.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct QuerySubscriptionResponseBody {
    /// The group.
    pub group: String,
    /// Its subscription, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
    /// The topic.
    pub topic: String,
}

/// The answer of 321.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct QueryConsumeQueueResponseBody {
    /// The filter of the group that was asked for, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_data: Option<String>,
    /// Behind the last entry.
    pub max_queue_index: i64,
    /// The first entry.
    pub min_queue_index: i64,
    /// The entries.
    pub queue_data: Vec<ConsumeQueueData>,
    /// The subscription of the group that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
}

/// One entry of a consume queue.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsumeQueueData {
    /// The filter's bit map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bit_map: Option<String>,
    /// Whether the filter lets it pass.
    pub eval: bool,
    /// The extension unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extend_data_json: Option<String>,
    /// Why it could not be judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msg: Option<String>,
    /// Position in the commit log.
    pub physic_offset: i64,
    /// Size of the record.
    pub physic_size: i32,
    /// Hash of the tag, or a deliver time.
    pub tags_code: i64,
}

/// `BATCH_ACK_MESSAGE` (200151).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BatchAckMessageRequestBody {
    /// The acknowledgements.
    pub acks: Vec<BatchAck>,
    /// The broker meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_name: Option<String>,
}

/// Acknowledges messages of one pop.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BatchAck {
    /// A bit for each message behind the start offset: base64 of little-endian bytes.
    #[serde(rename = "b")]
    pub bit_set: String,
    /// The group.
    #[serde(rename = "c")]
    pub consumer_group: String,
    /// The pop's invisible time in milliseconds.
    #[serde(rename = "it")]
    pub invisible_time: i64,
    /// When the pop was.
    #[serde(rename = "pt")]
    pub pop_time: i64,
    /// The queue.
    #[serde(rename = "q")]
    pub queue_id: i32,
    /// `0` for the topic itself, `1` and `2` for its retry topics.
    #[serde(rename = "r")]
    pub retry: String,
    /// The queue of the revive topic.
    #[serde(rename = "rq")]
    pub revive_queue_id: i32,
    /// The offset bit 0 stands for.
    #[serde(rename = "so")]
    pub start_offset: i64,
    /// The topic.
    #[serde(rename = "t")]
    pub topic: String,
}
