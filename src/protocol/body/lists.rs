//! Plain lists and tables of text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A table of text (28, 219, the answer of 103).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KVTable {
    /// Key to value.
    pub table: BTreeMap<String, String>,
}

/// The name server's `kvConfig.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KVConfigSerializeWrapper {
    /// Namespace to its table.
    pub config_table: BTreeMap<String, BTreeMap<String, String>>,
}

/// Names of topics (206, 224, 304, 305, 343).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicList {
    /// Some broker's address; only in the answer of 304.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_addr: Option<String>,
    /// The names.
    pub topic_list: Vec<String>,
}

/// Names of groups (300).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GroupList {
    /// The names.
    pub group_list: Vec<String>,
}

/// The members of a group (38).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GetConsumerListByGroupResponseBody {
    /// Their client ids.
    pub consumer_id_list: Vec<String>,
}
