//! Consumer offsets: the stored tables, and what resetting answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::MessageQueue;
use super::topic_config::DataVersion;

/// Queue id to offset.
pub type QueueOffsets = BTreeMap<i32, i64>;

/// `consumerOffset.json` and the answer of 43.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsumerOffsetSerializeWrapper {
    /// Which state of the table this is.
    pub data_version: DataVersion,
    /// Group to the topics it has offsets in.
    pub group_topic_map: BTreeMap<String, Vec<String>>,
    /// `topic@group` to committed offsets.
    pub offset_table: BTreeMap<String, QueueOffsets>,
    /// `topic@group` to the offsets last pulled up to.
    pub pull_offset_table: BTreeMap<String, QueueOffsets>,
    /// `topic@group` to the committed offset of groups of light queues; there with `enableLmq` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lmq_offset_table: Option<BTreeMap<String, i64>>,
}

/// `delayOffset.json` and the answer of 45: how far each delay level has been delivered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DelayOffsetSerializeWrapper {
    /// Which state of the table this is.
    pub data_version: DataVersion,
    /// Delay level to offset.
    pub offset_table: QueueOffsets,
}

/// The answer of 222, and the body of 220.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ResetOffsetBody {
    /// Where each queue was set to.
    pub offset_table: BTreeMap<MessageQueue, i64>,
}

/// The form of [`ResetOffsetBody`] the C++ client reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ResetOffsetBodyForC {
    /// Where each queue was set to.
    pub offset_table: Vec<MessageQueueForC>,
}

/// A queue with its offset.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MessageQueueForC {
    /// The broker's name.
    pub broker_name: String,
    /// The offset.
    pub offset: i64,
    /// The queue's number.
    pub queue_id: i32,
    /// The topic.
    pub topic: String,
}

/// The answers of 221 and 223.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GetConsumerStatusBody {
    /// Client id to its queues' offsets (223).
    pub consumer_table: BTreeMap<String, BTreeMap<MessageQueue, i64>>,
    /// A client's own queues' offsets (221).
    pub message_queue_table: BTreeMap<MessageQueue, i64>,
}

/// The answer of 308.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct QueryCorrectionOffsetBody {
    /// Queue id to the smallest offset of the compared groups.
    pub correction_offsets: QueueOffsets,
}
