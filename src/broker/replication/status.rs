//! What administrators are told: `GET_BROKER_HA_STATUS` (907) and `EXCHANGE_BROKER_HA_INFO` (906).

use super::now_ms;
use crate::base::LogOffset;
use crate::broker::Broker;
use crate::broker::handlers::{Answer, Request, json, success};
use crate::protocol::body::ha::{HAClientRuntimeInfo, HAConnectionRuntimeInfo, HARuntimeInfo};
use crate::protocol::header::broker::ExchangeHAInfoRequestHeader;

fn wire(value: u64) -> i64 {
    LogOffset::new(value).to_wire()
}

/// Bytes a second since `since_ms`.
fn rate(bytes: u64, since_ms: i64) -> i64 {
    let seconds = u64::try_from(now_ms().saturating_sub(since_ms) / 1000).unwrap_or(0);
    wire(bytes / seconds.max(1))
}

/// Answers 907.
pub(crate) fn ha_status(broker: &Broker) -> Answer {
    let end = broker.store.appended().get();
    let replication = &broker.replication;
    if replication.is_slave() {
        let link = replication.link();
        return json(&HARuntimeInfo {
            ha_client_runtime_info: HAClientRuntimeInfo {
                activated: link.connected,
                last_read_timestamp: link.read_ms,
                last_write_timestamp: link.written_ms,
                transferred_byte_in_second: rate(link.transferred, broker.started_ms),
                master_addr: link.ha_address,
                max_offset: wire(end),
                ..HAClientRuntimeInfo::default()
            },
            ..HARuntimeInfo::default()
        });
    }
    let gap_max = broker.options.load().ha_max_gap_not_in_sync;
    let slaves: Vec<_> = replication
        .replicas()
        .into_iter()
        .map(|replica| HAConnectionRuntimeInfo {
            addr: replica.peer.to_string(),
            diff: wire(end) - wire(replica.acked),
            in_sync: match replication.group() {
                Some(group) => group.is_in_sync(replica.broker_id),
                None => end.saturating_sub(replica.acked) < gap_max,
            },
            slave_ack_offset: wire(replica.acked),
            transfer_from_where: wire(replica.sent),
            transferred_byte_in_second: rate(replica.transferred, replica.since_ms),
        })
        .collect();
    let in_sync = slaves.iter().filter(|slave| slave.in_sync).count();
    json(&HARuntimeInfo {
        master: true,
        master_commit_log_max_offset: wire(end),
        in_sync_slave_nums: i32::try_from(in_sync).unwrap_or(i32::MAX),
        ha_connection_info: slaves,
        ..HARuntimeInfo::default()
    })
}

/// Answers 906: where slaves find this master. What the asker says of itself is not needed.
pub(crate) fn exchange(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let _asked: ExchangeHAInfoRequestHeader<'_> = request.header()?;
    let options = broker.options.load();
    let (ha_address, address) = (options.ha_address(), options.address());
    if broker.replication.is_slave() {
        return Ok(success());
    }
    Ok(success().with_header(&ExchangeHAInfoRequestHeader {
        master_ha_address: Some(&ha_address),
        master_flush_offset: Some(wire(broker.store.flushed().get())),
        master_address: Some(&address),
    }))
}
