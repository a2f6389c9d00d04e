//! Consumer groups as brokers keep them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::java_enum;
use super::topic_config::DataVersion;

java_enum! {
    /// How the delay between two attempts grows.
    GroupRetryPolicyType {
        /// By powers.
        Exponential = "EXPONENTIAL",
        /// By a list.
        Customized = "CUSTOMIZED",
    }
}

/// The delays between two attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GroupRetryPolicy {
    /// Used by `CUSTOMIZED`, if there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customized_retry_policy: Option<CustomizedRetryPolicy>,
    /// Used by `EXPONENTIAL`, if there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exponential_retry_policy: Option<ExponentialRetryPolicy>,
    /// Which of them counts.
    #[serde(rename = "type")]
    pub kind: GroupRetryPolicyType,
}

impl Default for GroupRetryPolicy {
    fn default() -> Self {
        Self {
            customized_retry_policy: None,
            exponential_retry_policy: None,
            kind: GroupRetryPolicyType::Customized,
        }
    }
}

/// A list of delays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CustomizedRetryPolicy {
    /// In milliseconds; the last one repeats.
    pub next: Vec<i64>,
}

/// Apache's delay levels.
impl Default for CustomizedRetryPolicy {
    fn default() -> Self {
        let seconds = [
            1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200,
        ];
        Self {
            next: seconds.map(|second: i64| second * 1000).to_vec(),
        }
    }
}

/// Growing delays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExponentialRetryPolicy {
    /// The first delay in milliseconds.
    pub initial: i64,
    /// The longest delay in milliseconds.
    pub max: i64,
    /// What each delay is multiplied by.
    pub multiplier: i64,
}

impl Default for ExponentialRetryPolicy {
    fn default() -> Self {
        Self {
            initial: 5000,
            max: 7_200_000,
            multiplier: 2,
        }
    }
}

/// A subscription fixed in the group's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SimpleSubscriptionData {
    /// Tags or an SQL92 expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// `TAG` or `SQL92`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression_type: Option<String>,
    /// The topic.
    pub topic: String,
    /// When it was made.
    pub version: i64,
}

/// `UPDATE_AND_CREATE_SUBSCRIPTIONGROUP` (200) and the answer of 352.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(
    clippy::struct_excessive_bools,
    reason = "the switches of Apache's class"
)]
pub struct SubscriptionGroupConfig {
    /// Such as `lite.bind.topic`.
    pub attributes: BTreeMap<String, String>,
    /// The broker id consumers are told to read from.
    pub broker_id: i64,
    /// Whether the group may broadcast.
    pub consume_broadcast_enable: bool,
    /// Whether the group may consume.
    pub consume_enable: bool,
    /// Whether a new group begins at the first message.
    pub consume_from_min_enable: bool,
    /// Whether the group consumes in order.
    pub consume_message_orderly: bool,
    /// After how many minutes a message counts as stuck.
    pub consume_timeout_minute: i32,
    /// The name.
    pub group_name: String,
    /// Delays between attempts.
    pub group_retry_policy: GroupRetryPolicy,
    /// Bits of `GroupSysFlag`.
    pub group_sys_flag: i32,
    /// Whether members are told when others come and go.
    pub notify_consumer_ids_changed_enable: bool,
    /// Attempts before a message goes to the dead-letter topic.
    pub retry_max_times: i32,
    /// Queues of the retry topic.
    pub retry_queue_nums: i32,
    /// Fixed subscriptions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data_set: Option<Vec<SimpleSubscriptionData>>,
    /// The broker id suggested to consumers that lag behind.
    pub which_broker_when_consume_slowly: i64,
}

/// Java's defaults.
impl Default for SubscriptionGroupConfig {
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            broker_id: 0,
            consume_broadcast_enable: true,
            consume_enable: true,
            consume_from_min_enable: true,
            consume_message_orderly: false,
            consume_timeout_minute: 15,
            group_name: String::new(),
            group_retry_policy: GroupRetryPolicy::default(),
            group_sys_flag: 0,
            notify_consumer_ids_changed_enable: true,
            retry_max_times: 16,
            retry_queue_nums: 1,
            subscription_data_set: None,
            which_broker_when_consume_slowly: 1,
        }
    }
}

/// `subscriptionGroup.json` and the answer of 201.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SubscriptionGroupWrapper {
    /// Which state of the table this is.
    pub data_version: DataVersion,
    /// Group to topic to a bit set of what is forbidden.
    pub forbidden_table: BTreeMap<String, BTreeMap<String, i32>>,
    /// Name to group.
    pub subscription_group_table: BTreeMap<String, SubscriptionGroupConfig>,
}

/// `UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST` (225).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SubscriptionGroupList {
    /// The groups.
    pub group_config_list: Vec<SubscriptionGroupConfig>,
}

/// The answer of 353.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupForbidden {
    /// The group.
    pub group: String,
    /// Whether the group may read the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readable: Option<bool>,
    /// The topic.
    pub topic: String,
}
