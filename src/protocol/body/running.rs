//! What a consumer tells about itself (307).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::MessageQueue;
use super::heartbeat::SubscriptionData;

/// The answer of 307, as clients of all languages give it: most leave members out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsumerRunningInfo {
    /// The stacks of all threads, if they were asked for and the client can give them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jstack: Option<String>,
    /// Queues it pops from.
    pub mq_pop_table: BTreeMap<MessageQueue, PopProcessQueueInfo>,
    /// Queues it pulls from.
    pub mq_table: BTreeMap<MessageQueue, ProcessQueueInfo>,
    /// Such as `PROP_NAMESERVER_ADDR`, `PROP_THREADPOOL_CORE_SIZE`, and settings by their Java names; mostly text.
    pub properties: BTreeMap<String, Value>,
    /// Topic to rates and times.
    pub status_table: BTreeMap<String, ConsumeStatus>,
    /// What it subscribes to.
    pub subscription_set: Vec<SubscriptionData>,
    /// What the application added.
    pub user_consumer_info: BTreeMap<String, String>,
}

impl ConsumerRunningInfo {
    /// A property as text.
    pub fn property(&self, name: &str) -> Option<String> {
        match self.properties.get(name)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

/// A queue a consumer pulls from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProcessQueueInfo {
    /// Messages pulled and not consumed.
    pub cached_msg_count: i64,
    /// The last of them.
    pub cached_msg_max_offset: i64,
    /// The first of them.
    pub cached_msg_min_offset: i64,
    /// Their size in mebibytes.
    #[serde(rename = "cachedMsgSizeInMiB")]
    pub cached_msg_size_in_mib: i64,
    /// What it will commit.
    pub commit_offset: i64,
    /// Whether the queue is given up.
    pub droped: bool,
    /// When the listener last ran, in milliseconds.
    pub last_consume_timestamp: i64,
    /// When the queue was last locked.
    pub last_lock_timestamp: i64,
    /// When messages were last asked for.
    pub last_pull_timestamp: i64,
    /// Whether the queue is locked (orderly).
    pub locked: bool,
    /// Messages an orderly listener has now.
    pub transaction_msg_count: i64,
    /// The last of them.
    pub transaction_msg_max_offset: i64,
    /// The first of them.
    pub transaction_msg_min_offset: i64,
    /// How often unlocking was put off.
    pub try_unlock_times: i64,
}

/// A queue a consumer pops from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PopProcessQueueInfo {
    /// Whether the queue is given up.
    pub droped: bool,
    /// When messages were last asked for.
    pub last_pop_timestamp: i64,
    /// Messages popped and not acknowledged.
    pub wait_ack_count: i64,
}

/// Rates (a second) and times (milliseconds) of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumeStatus {
    /// Messages that failed in the last hour.
    #[serde(rename = "consumeFailedMsgs")]
    pub consume_failed_msgs: i64,
    /// Messages that fail.
    #[serde(rename = "consumeFailedTPS")]
    pub consume_failed_tps: f64,
    /// Messages that succeed.
    #[serde(rename = "consumeOKTPS")]
    pub consume_ok_tps: f64,
    /// How long the listener takes.
    #[serde(rename = "consumeRT")]
    pub consume_rt: f64,
    /// How long a pull takes.
    #[serde(rename = "pullRT")]
    pub pull_rt: f64,
    /// Messages pulled.
    #[serde(rename = "pullTPS")]
    pub pull_tps: f64,
}
