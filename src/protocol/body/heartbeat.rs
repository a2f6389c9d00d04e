//! What a client is and wants: the heartbeat.

use serde::{Deserialize, Serialize};

use super::{java_enum, lenient};

java_enum! {
    /// How a group gets its messages.
    ConsumeType {
        /// The application pulls.
        Actively = "CONSUME_ACTIVELY",
        /// The client pulls for the application.
        Passively = "CONSUME_PASSIVELY",
        /// The broker hands out single messages.
        Pop = "CONSUME_POP",
    }
}

java_enum! {
    /// Who of a group gets a message.
    MessageModel {
        /// Every member.
        Broadcasting = "BROADCASTING",
        /// One member.
        Clustering = "CLUSTERING",
        /// Members choose lite topics (5.5).
        LiteSelective = "LITE_SELECTIVE",
    }
}

java_enum! {
    /// Where a new group begins.
    ConsumeFromWhere {
        /// Behind the last message.
        LastOffset = "CONSUME_FROM_LAST_OFFSET",
        /// Deprecated, works as the first.
        LastOffsetAndFromMinWhenBootFirst = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        /// Deprecated, works as the first.
        MinOffset = "CONSUME_FROM_MIN_OFFSET",
        /// Deprecated, works as the first.
        MaxOffset = "CONSUME_FROM_MAX_OFFSET",
        /// At the first message.
        FirstOffset = "CONSUME_FROM_FIRST_OFFSET",
        /// At a point in time.
        Timestamp = "CONSUME_FROM_TIMESTAMP",
    }
}

/// As the official push consumers have it.
impl Default for ConsumeType {
    fn default() -> Self {
        Self::Passively
    }
}

/// As the official push consumers have it.
impl Default for MessageModel {
    fn default() -> Self {
        Self::Clustering
    }
}

/// As the official push consumers have it.
impl Default for ConsumeFromWhere {
    fn default() -> Self {
        Self::LastOffset
    }
}

/// The expression type of tag subscriptions, and the default.
pub const EXPRESSION_TAG: &str = "TAG";
/// The expression type of property subscriptions.
pub const EXPRESSION_SQL92: &str = "SQL92";

/// `HEART_BEAT` (34).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HeartbeatData {
    /// The client.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// The groups it consumes in.
    pub consumer_data_set: Vec<ConsumerData>,
    /// A hash of the subscriptions; not 0 announces heartbeat V2.
    #[serde(deserialize_with = "lenient::number")]
    pub heartbeat_fingerprint: i32,
    /// The groups it produces in.
    pub producer_data_set: Vec<ProducerData>,
    /// V2: the subscriptions are left out, as they have not changed.
    pub without_sub: bool,
}

/// One producer group of a client.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProducerData {
    /// The group.
    pub group_name: String,
}

/// One consumer group of a client.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsumerData {
    /// Where a new group begins.
    #[serde(deserialize_with = "lenient::or_default")]
    pub consume_from_where: ConsumeFromWhere,
    /// How messages are fetched.
    #[serde(deserialize_with = "lenient::or_default")]
    pub consume_type: ConsumeType,
    /// The group.
    pub group_name: String,
    /// Who gets a message.
    #[serde(deserialize_with = "lenient::or_default")]
    pub message_model: MessageModel,
    /// What it subscribes to.
    pub subscription_data_set: Vec<SubscriptionData>,
    /// Apache's unit mode.
    pub unit_mode: bool,
}

/// A group's subscription to one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SubscriptionData {
    /// Dead since 4.3; always false.
    pub class_filter_mode: bool,
    /// Java hash codes of the tags.
    #[serde(deserialize_with = "lenient::numbers")]
    pub code_set: Vec<i32>,
    /// [`EXPRESSION_TAG`] or [`EXPRESSION_SQL92`].
    pub expression_type: String,
    /// `*`, tags joined by `||`, or an SQL92 expression.
    pub sub_string: String,
    /// When the subscription was made, in milliseconds.
    #[serde(deserialize_with = "lenient::number")]
    pub sub_version: i64,
    /// The tags.
    pub tags_set: Vec<String>,
    /// The topic.
    pub topic: String,
}

impl Default for SubscriptionData {
    fn default() -> Self {
        Self {
            class_filter_mode: false,
            code_set: Vec::new(),
            expression_type: EXPRESSION_TAG.to_owned(),
            sub_string: String::new(),
            sub_version: 0,
            tags_set: Vec::new(),
            topic: String::new(),
        }
    }
}

/// `CHECK_CLIENT_CONFIG` (46).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CheckClientRequestBody {
    /// The client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The client's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The subscription to check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
}
