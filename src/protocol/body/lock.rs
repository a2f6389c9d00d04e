//! Locks on queues, for orderly consumers.

use serde::{Deserialize, Serialize};

use super::MessageQueue;

/// `LOCK_BATCH_MQ` (41) and `UNLOCK_BATCH_MQ` (42).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LockBatchRequestBody {
    /// Who wants the locks, or gives them back.
    pub client_id: String,
    /// The group the locks count in.
    pub consumer_group: String,
    /// The queues.
    pub mq_set: Vec<MessageQueue>,
    /// Whether the broker shall decide without its peers.
    pub only_this_broker: bool,
}

/// The answer of 41.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LockBatchResponseBody {
    /// The queues the client holds now.
    #[serde(rename = "lockOKMQSet")]
    pub lock_ok_mq_set: Vec<MessageQueue>,
}
