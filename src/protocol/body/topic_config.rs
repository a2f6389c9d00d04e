//! Topics as brokers keep them, and the version of such tables.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which state of a table this is: two equal versions mean equal tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DataVersion {
    /// Counts changes since the broker started.
    pub counter: i64,
    /// Counts role changes.
    pub state_version: i64,
    /// When the last change was, in milliseconds.
    pub timestamp: i64,
}

/// The filter type every topic has.
pub const SINGLE_TAG: &str = "SINGLE_TAG";

/// A topic's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicConfig {
    /// Such as `message.type`, `cleanup.policy`.
    pub attributes: BTreeMap<String, String>,
    /// Whether the topic is an ordered one.
    pub order: bool,
    /// Permission bits: 4 read, 2 write, 1 inherit.
    pub perm: i32,
    /// Queues consumers may read.
    pub read_queue_nums: i32,
    /// [`SINGLE_TAG`] or `MULTI_TAG`.
    pub topic_filter_type: String,
    /// The name.
    pub topic_name: String,
    /// Bits of `TopicSysFlag`.
    pub topic_sys_flag: i32,
    /// Queues producers may write.
    pub write_queue_nums: i32,
}

/// Java's defaults: 16 queues, read and write.
impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            order: false,
            perm: 6,
            read_queue_nums: 16,
            topic_filter_type: SINGLE_TAG.to_owned(),
            topic_name: String::new(),
            topic_sys_flag: 0,
            write_queue_nums: 16,
        }
    }
}

impl TopicConfig {
    /// The line of a compressed registration: `name readQueues writeQueues perm filterType {attributes}`.
    pub fn to_line(&self) -> String {
        let attributes = serde_json::to_string(&self.attributes).unwrap_or_default();
        format!(
            "{} {} {} {} {} {attributes}",
            self.topic_name,
            self.read_queue_nums,
            self.write_queue_nums,
            self.perm,
            self.topic_filter_type,
        )
    }

    /// Reads such a line; the attributes may be missing (4.x).
    pub fn from_line(line: &str) -> Option<Self> {
        let mut parts = line.splitn(6, ' ');
        let mut topic = Self {
            topic_name: parts.next()?.to_owned(),
            read_queue_nums: parts.next()?.parse().ok()?,
            write_queue_nums: parts.next()?.parse().ok()?,
            perm: parts.next()?.parse().ok()?,
            topic_filter_type: parts.next()?.to_owned(),
            ..Self::default()
        };
        if let Some(attributes) = parts.next() {
            topic.attributes = serde_json::from_str(attributes).ok()?;
        }
        Some(topic)
    }
}

/// `topics.json` and the answer of 21.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicConfigSerializeWrapper {
    /// Which state of the table this is.
    pub data_version: DataVersion,
    /// Name to topic.
    pub topic_config_table: BTreeMap<String, TopicConfig>,
}

/// The same with what belongs to static topics, which is passed through (in registrations, and in the answer
/// of 21 in 5.x).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicConfigAndMappingSerializeWrapper {
    /// Which state of the topic table this is.
    pub data_version: DataVersion,
    /// Which state of the mappings this is.
    pub mapping_data_version: DataVersion,
    /// Name to topic.
    pub topic_config_table: BTreeMap<String, TopicConfig>,
    /// Name to mapping with its history.
    pub topic_queue_mapping_detail_map: BTreeMap<String, Value>,
    /// Name to current mapping.
    pub topic_queue_mapping_info_map: BTreeMap<String, Value>,
}

/// The answer of 351.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicConfigAndQueueMapping {
    /// The topic.
    #[serde(flatten)]
    pub topic: TopicConfig,
    /// Static topics only: passed through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_queue_mapping_detail: Option<Value>,
}

/// `UPDATE_AND_CREATE_TOPIC_LIST` (18).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CreateTopicListRequestBody {
    /// The topics.
    pub topic_config_list: Vec<TopicConfig>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let topic = TopicConfig::from_line("t 1 2 6 SINGLE_TAG {\"a b\":\"c d\"}").unwrap();
        assert_eq!(topic.attributes["a b"], "c d");
        assert_eq!((topic.read_queue_nums, topic.write_queue_nums), (1, 2));
        assert_eq!(topic.to_line(), "t 1 2 6 SINGLE_TAG {\"a b\":\"c d\"}");
        assert!(TopicConfig::from_line("t 1 2 6 SINGLE_TAG").is_some());
        for bad in ["", "t", "t x 2 6 SINGLE_TAG", "t 1 2 6", "t 1 2 6 S {"] {
            assert_eq!(TopicConfig::from_line(bad), None, "{bad}");
        }
    }
}
