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

/// The answer of `RMQ_REPLICATION`: where a broker stands among those of its name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReplicationStatus {
    /// `ASYNC_MASTER`, `SYNC_MASTER` or `SLAVE`.
    pub role: String,
    /// What kind of master it is, or would be.
    pub role_as_master: String,
    /// Whether that was configured or heard of a master, and is not only the default.
    pub role_as_master_known: bool,
    /// `classic` or `majority`.
    pub replication: String,
    /// Its id; 0 for a master.
    pub broker_id: i64,
    /// Its name.
    pub broker_name: String,
    /// Its remoting address.
    pub address: String,
    /// Its HA address.
    pub ha_address: String,
    /// The newest epoch of its log; -1 without one.
    pub epoch: i32,
    /// The epoch it has promised.
    pub promised: i32,
    /// Whether it is a master that must take no message.
    pub fenced: bool,
    /// The end of its log.
    pub log_end: i64,
    /// How far it knows the log to be committed; the end in classic mode.
    pub committed: i64,
    /// When its last message was stored, in milliseconds; 0 without one.
    pub last_store_timestamp: i64,
    /// Brokers of this name (`totalReplicas`).
    pub total_replicas: u32,
    /// Its history, oldest epoch first.
    pub epochs: Vec<EpochEntry>,
    /// The slaves of a master.
    pub replicas: Vec<ReplicaStatus>,
    /// What a slave knows of its master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master: Option<MasterStatus>,
}

/// One slave, as its master sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReplicaStatus {
    /// Where it connects from.
    pub addr: String,
    /// Its id, where its protocol tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_id: Option<i64>,
    /// How far it has reported to be.
    pub acked: i64,
    /// How many bytes it is behind.
    pub behind: i64,
    /// Whether that is less than `haMaxGapNotInSync`.
    pub in_sync: bool,
    /// When it last had everything, in milliseconds; 0 for never.
    pub caught_up_timestamp: i64,
}

/// A master, as its slave sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MasterStatus {
    /// Its remoting address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its HA address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ha_address: Option<String>,
    /// Whether the slave is connected to it.
    pub connected: bool,
    /// Why not, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// When it last sent something, in milliseconds.
    pub last_read_timestamp: i64,
}
