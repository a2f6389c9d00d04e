//! `RMQ_REPLICATION`: who administers a group of replicas asks each where it stands, and gives it its role.
//!
//! A broker takes a role only if that breaks no promise: it becomes master of an epoch that is later than its own and
//! not earlier than the one it has promised. Whether it has every committed message is for the asker to find out.

use std::sync::Arc;

use super::{BrokerRole, RoleChange};
use crate::base::LogOffset;
use crate::broker::Broker;
use crate::broker::handlers::{Answer, Refusal, Request, json};
use crate::message::Record;
use crate::protocol::body::ha::{
    EpochEntry, EpochEntryCache, MasterStatus, ReplicaStatus, ReplicationStatus,
};
use crate::protocol::codes::ResponseCode;
use crate::protocol::header::broker::ReplicationRequestHeader;

fn wire(value: u64) -> i64 {
    LogOffset::new(value).to_wire()
}

/// Answers `RMQ_REPLICATION`.
pub(crate) fn handle(broker: &Arc<Broker>, request: &Request<'_, '_>) -> Answer {
    let header: ReplicationRequestHeader<'_> = request.header()?;
    let wrong = |what: String| Refusal::new(ResponseCode::INVALID_PARAMETER, what);
    let failed = |error: std::io::Error| Refusal::error(format!("cannot be noted: {error}"));
    match header.action.unwrap_or("status") {
        "status" => {}
        _ if broker.replication.group().is_some() => {
            return Err(wrong(
                "a controller gives this broker its role: ask that one".to_owned(),
            ));
        }
        "fence" => {
            let epoch = header
                .epoch
                .ok_or_else(|| wrong("epoch is missing".to_owned()))?;
            if !broker.fence(epoch).map_err(failed)? {
                let promised = broker.standing().promised;
                return Err(wrong(format!("epoch {promised} is promised already")));
            }
        }
        "promote" => {
            let epoch = header
                .epoch
                .ok_or_else(|| wrong("epoch is missing".to_owned()))?;
            let standing = broker.standing();
            if epoch <= standing.epoch || epoch < standing.promised {
                return Err(wrong(format!(
                    "epoch {epoch} is not later than {} or earlier than the promised {}",
                    standing.epoch, standing.promised
                )));
            }
            let change = RoleChange {
                role: broker.replication.role_as_master().0,
                broker_id: 0,
                master: None,
                epoch: Some(epoch),
                cut_at: None,
            };
            broker.change_role(change).map_err(failed)?;
        }
        "follow" => {
            let own = broker.options.load().broker_id;
            let broker_id = header.broker_id.unwrap_or(own).max(1);
            let change = RoleChange {
                role: BrokerRole::Slave,
                broker_id,
                master: header.master.map(str::to_owned),
                epoch: None,
                cut_at: None,
            };
            broker.change_role(change).map_err(failed)?;
        }
        other => return Err(wrong(format!("{other:?} is no action"))),
    }
    json(&status(broker))
}

/// Answers `GET_BROKER_EPOCH_CACHE` (1007).
pub(crate) fn epoch_cache(broker: &Broker) -> Answer {
    let options = broker.options.load();
    json(&EpochEntryCache {
        broker_id: options.broker_id,
        broker_name: options.broker_name.clone(),
        cluster_name: options.broker_cluster_name.clone(),
        epoch_list: epochs(broker),
        max_offset: wire(broker.store.appended().get()),
    })
}

/// The history of the log; the newest epoch has no end.
fn epochs(broker: &Broker) -> Vec<EpochEntry> {
    let history = broker.replication.history();
    let starts = history.epochs().iter().skip(1);
    let ends = starts.map(|epoch| wire(epoch.start)).chain([i64::MAX]);
    history
        .epochs()
        .iter()
        .zip(ends)
        .map(|(epoch, end_offset)| EpochEntry {
            epoch: epoch.number,
            start_offset: wire(epoch.start),
            end_offset,
        })
        .collect()
}

fn status(broker: &Broker) -> ReplicationStatus {
    let options = broker.options.load();
    let standing = broker.standing();
    let end = standing.log_end;
    let replica = |replica: super::Replica| ReplicaStatus {
        addr: replica.peer.to_string(),
        broker_id: replica.broker_id,
        acked: wire(replica.acked),
        behind: wire(end.saturating_sub(replica.acked)),
        in_sync: match broker.replication.group() {
            Some(group) => group.is_in_sync(replica.broker_id),
            None => end.saturating_sub(replica.acked) < options.ha_max_gap_not_in_sync,
        },
        caught_up_timestamp: replica.caught_up_ms,
    };
    let link = broker.replication.link();
    let (as_master, known) = broker.replication.role_as_master();
    let last = broker.store.last_record();
    ReplicationStatus {
        role: standing.role.name().to_owned(),
        role_as_master: as_master.name().to_owned(),
        role_as_master_known: known,
        replication: standing.mode.to_string(),
        broker_id: standing.broker_id,
        broker_name: options.broker_name.clone(),
        address: options.address(),
        ha_address: options.ha_address(),
        epoch: standing.epoch,
        promised: standing.promised,
        fenced: standing.fenced,
        log_end: wire(end),
        committed: wire(standing.committed),
        last_store_timestamp: last
            .and_then(|last| Some(Record::parse(last.as_ref()).ok()?.store_timestamp))
            .unwrap_or(0),
        total_replicas: options.total_replicas,
        epochs: epochs(broker),
        replicas: broker
            .replication
            .replicas()
            .into_iter()
            .map(replica)
            .collect(),
        master: broker.replication.is_slave().then_some(MasterStatus {
            address: link.address,
            ha_address: link.ha_address,
            connected: link.connected,
            trouble: link.trouble,
            last_read_timestamp: link.read_ms,
        }),
    }
}
