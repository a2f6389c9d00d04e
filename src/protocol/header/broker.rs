//! Headers that look at or set up a broker.

use super::headers;

headers! {
    /// The answer of `GET_BROKER_CONFIG` (26): a data version as JSON; the body is properties text.
    GetBrokerConfigResponseHeader<'f> {
        version: &'f str = "version", required;
    }

    /// `VIEW_BROKER_STATS_DATA` (315).
    ViewBrokerStatsDataRequestHeader<'f> {
        stats_name: &'f str = "statsName", required;
        stats_key: &'f str = "statsKey", required;
    }

    /// `EXCHANGE_BROKER_HA_INFO` (906), answered with the same fields.
    ExchangeHAInfoRequestHeader<'f> {
        master_ha_address: &'f str = "masterHaAddress", optional;
        master_flush_offset: i64 = "masterFlushOffset", optional;
        master_address: &'f str = "masterAddress", optional;
    }

    /// `RESET_MASTER_FLUSH_OFFSET` (908).
    ResetMasterFlushOffsetHeader {
        master_flush_offset: i64 = "masterFlushOffset", required;
    }

    /// `RMQ_REPLICATION`: without an action it only asks. `fence` promises an epoch; `promote` makes a master that begins
    /// it; `follow` makes a slave of `master`.
    ReplicationRequestHeader<'f> {
        action: &'f str = "action", optional;
        epoch: i32 = "epoch", optional;
        master: &'f str = "master", optional;
        broker_id: i64 = "brokerId", optional;
    }

    /// `RMQ_CLOCK`: without a number it only asks.
    ClockRequestHeader {
        advance_ms: i64 = "advanceMs", optional;
    }

    /// The answer of `RMQ_CLOCK`.
    ClockResponseHeader {
        now_ms: i64 = "nowMs", required;
        is_virtual: bool = "virtual", required;
    }
}
