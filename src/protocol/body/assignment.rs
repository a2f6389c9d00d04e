//! Rebalance by the broker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::heartbeat::MessageModel;
use super::{MessageQueue, java_enum};

java_enum! {
    /// How a group asks for messages.
    MessageRequestMode {
        /// The client pulls from queues that are its own.
        Pull = "PULL",
        /// The broker hands out messages of shared queues.
        Pop = "POP",
    }
}

/// `QUERY_ASSIGNMENT` (400).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct QueryAssignmentRequestBody {
    /// Who asks.
    pub client_id: String,
    /// For which group.
    pub consumer_group: String,
    /// Broadcasting members get every queue.
    pub message_model: MessageModel,
    /// `AVG` or `AVG_BY_CIRCLE`.
    pub strategy_name: String,
    /// For which topic.
    pub topic: String,
}

impl Default for QueryAssignmentRequestBody {
    fn default() -> Self {
        Self {
            client_id: String::new(),
            consumer_group: String::new(),
            message_model: MessageModel::Clustering,
            strategy_name: String::new(),
            topic: String::new(),
        }
    }
}

/// The answer of 400.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct QueryAssignmentResponseBody {
    /// The client's queues. Absent: the broker cannot say, and the client keeps what it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_queue_assignments: Option<Vec<MessageQueueAssignment>>,
}

/// A queue and how to ask for its messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MessageQueueAssignment {
    /// Free text pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachments: Option<BTreeMap<String, String>>,
    /// The queue.
    pub message_queue: MessageQueue,
    /// Pull or pop.
    pub mode: MessageRequestMode,
}

impl Default for MessageQueueAssignment {
    fn default() -> Self {
        Self {
            attachments: None,
            message_queue: MessageQueue::default(),
            mode: MessageRequestMode::Pull,
        }
    }
}

/// `SET_MESSAGE_REQUEST_MODE` (401).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SetMessageRequestModeRequestBody {
    /// The group.
    pub consumer_group: String,
    /// Pull or pop.
    pub mode: MessageRequestMode,
    /// In how many members a queue is shared.
    pub pop_share_queue_num: i32,
    /// The topic.
    pub topic: String,
}

impl Default for SetMessageRequestModeRequestBody {
    fn default() -> Self {
        Self {
            consumer_group: String::new(),
            mode: MessageRequestMode::Pull,
            pop_share_queue_num: 0,
            topic: String::new(),
        }
    }
}

/// `messageRequestMode.json` and the answer of 402.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MessageRequestModeSerializeWrapper {
    /// Topic to group to mode.
    pub message_request_mode_map:
        BTreeMap<String, BTreeMap<String, SetMessageRequestModeRequestBody>>,
}
