//! What a broker says about its replication (`GET_BROKER_HA_STATUS`, 907; `GET_BROKER_EPOCH_CACHE`, 1007).

use serde::{Deserialize, Serialize};

/// The answer of 907.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HARuntimeInfo {
    /// What a slave knows.
    pub ha_client_runtime_info: HAClientRuntimeInfo,
    /// The slaves of a master.
    pub ha_connection_info: Vec<HAConnectionRuntimeInfo>,
    /// How many of them keep up.
    pub in_sync_slave_nums: i32,
    /// Whether this is a master.
    pub master: bool,
    /// The end of the master's log.
    pub master_commit_log_max_offset: i64,
}

/// One slave, as its master sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HAConnectionRuntimeInfo {
    /// Where it connects from.
    pub addr: String,
    /// How many bytes it is behind.
    pub diff: i64,
    /// Whether that is less than `haMaxGapNotInSync`.
    pub in_sync: bool,
    /// How far it has reported to be.
    pub slave_ack_offset: i64,
    /// How far its log was sent.
    pub transfer_from_where: i64,
    /// Bytes a second.
    pub transferred_byte_in_second: i64,
}

/// A slave's own view.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HAClientRuntimeInfo {
    /// Whether it is connected.
    pub activated: bool,
    /// When the master last sent something, in milliseconds.
    pub last_read_timestamp: i64,
    /// When this slave last reported, in milliseconds.
    pub last_write_timestamp: i64,
    /// The master's HA address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_addr: Option<String>,
    /// How far the master's log is on its disk, as far as known.
    pub master_flush_offset: i64,
    /// The end of this slave's log.
    pub max_offset: i64,
    /// Bytes a second.
    pub transferred_byte_in_second: i64,
}

/// The answer of 1007.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EpochEntryCache {
    /// Its id.
    pub broker_id: i64,
    /// Its name.
    pub broker_name: String,
    /// Its cluster.
    pub cluster_name: String,
    /// Its history, oldest first.
    pub epoch_list: Vec<EpochEntry>,
    /// The end of its log.
    pub max_offset: i64,
}

/// A time under one master.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EpochEntry {
    /// The first byte that does not belong to it; the largest number while it lasts.
    pub end_offset: i64,
    /// Grows with every new master.
    pub epoch: i32,
    /// Its first byte.
    pub start_offset: i64,
}
