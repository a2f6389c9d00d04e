//! A master that returns looks whether another has taken its place meanwhile.
//!
//! It may have been dead or cut off when a replica was promoted, so nobody could fence it. Before it takes the first
//! message, and with every round of registration, it asks the name servers who else is master of its name, and asks that
//! one for its epoch. If that is later than its own it promises it, which is on the disk when this returns: from then on
//! it takes no message, also after a restart, until it is given a role.
//!
//! A broker that starts as master while another one of its name, and of the same epoch, is at work takes no message either
//! for as long as that one answers: whoever configured both meant something else. Nothing is promised then, since nobody
//! has changed their roles.
//!
//! Absent on purpose: a master nobody can ask. In majority mode it commits nothing without its replicas anyway.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::broker::Broker;
use crate::protocol::body::ha::ReplicationStatus;
use crate::protocol::body::route::ClusterInfo;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::fastjson;
use crate::protocol::header::broker::ReplicationRequestHeader;
use crate::protocol::header::{Header, NoHeader};

/// A name server that is silent holds nobody up for longer.
const CALL_LIMIT: Duration = Duration::from_secs(1);
/// How often a master without a majority looks.
const WATCH_EVERY: Duration = Duration::from_secs(3);

impl Broker {
    /// Looks for a master that has taken this one's place; to be called before the first message is taken. Who has just
    /// been made master need not look: the one it replaces may be silent, and producers wait.
    pub(crate) async fn yield_to_rival(self: &Arc<Self>) {
        if self.replication.took_over() {
            return;
        }
        look(self).await;
        if self.is_slave() || self.replication.is_fenced() || self.replication.group().is_some() {
            return;
        }
        let Some((rival, status)) = other_master(self).await else {
            return;
        };
        if status.epoch == self.replication.epoch() {
            tracing::error!(
                "two brokers claim to be master of {}, both of epoch {}: {rival}, whose log ends at {}, is at work, so this \
                 one, whose log ends at {}, takes no messages while that one answers; `rmq failover add-replica` makes it a \
                 slave",
                self.options.load().broker_name,
                status.epoch,
                status.log_end,
                self.store.appended().get()
            );
            self.replication.stands_back(Some(rival));
            self.store.set_replica(true);
        }
    }
}

/// Looks again and again while this master has no majority: it may be that the others have turned to another.
pub(super) async fn watch(broker: Arc<Broker>) {
    while !broker.replication.is_fenced() {
        sleep(WATCH_EVERY).await;
        if broker.lacks_replicas(&broker.options.load()) {
            look(&broker).await;
        }
    }
}

/// Looks for a master of a later epoch, and promises that one.
pub(crate) async fn look(broker: &Arc<Broker>) {
    let told_by_controller = broker.replication.group().is_some();
    if broker.is_slave() || told_by_controller {
        return;
    }
    if let Some(rival) = broker.replication.rival() {
        look_again(broker, &rival).await;
        return;
    }
    if broker.replication.is_fenced() {
        return;
    }
    let later = other_master(broker)
        .await
        .filter(|(_, status)| status.epoch > broker.replication.epoch().max(0));
    if let Some((rival, status)) = later {
        give_way(broker, &rival, status.epoch).await;
    }
}

/// Looks whether the master this one stands back for still answers.
async fn look_again(broker: &Arc<Broker>, rival: &str) {
    let header = ReplicationRequestHeader::default();
    let status: Option<ReplicationStatus> =
        ask(broker, rival, RequestCode::RMQ_REPLICATION, &header).await;
    if status.is_some_and(|status| status.role != "SLAVE" && !status.fenced) {
        return;
    }
    broker.replication.stands_back(None);
    if !broker.replication.is_fenced() {
        tracing::warn!("{rival} is no master any more: this broker takes messages");
        broker.store.set_replica(false);
    }
}

/// Another broker that answers as master of this one's name, and where it stands.
async fn other_master(broker: &Arc<Broker>) -> Option<(String, ReplicationStatus)> {
    let options = broker.options.load();
    let own = options.address();
    for name_server in options.name_servers() {
        let info: Option<ClusterInfo> = ask(
            broker,
            name_server,
            RequestCode::GET_BROKER_CLUSTER_INFO,
            &NoHeader,
        )
        .await;
        let master = info.and_then(|mut info| {
            let group = info.broker_addr_table.remove(&options.broker_name)?;
            group.broker_addrs.get(&0).cloned()
        });
        let Some(rival) = master.filter(|address| *address != own) else {
            continue;
        };
        let header = ReplicationRequestHeader::default();
        let status: Option<ReplicationStatus> =
            ask(broker, &rival, RequestCode::RMQ_REPLICATION, &header).await;
        let master = status.filter(|status| status.role != "SLAVE" && !status.fenced);
        if let Some(status) = master {
            return Some((rival, status));
        }
    }
    None
}

async fn give_way(broker: &Arc<Broker>, rival: &str, epoch: i32) {
    tracing::error!(
        "{rival} has become master of {} in epoch {epoch}: this broker takes no messages any more; \
         `rmq failover add-replica` makes it a slave",
        broker.options.load().broker_name
    );
    let fencing = Arc::clone(broker);
    let fenced = tokio::task::spawn_blocking(move || fencing.fence(epoch)).await;
    match fenced {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            // The promise is not on the disk, and holds all the same as long as this process lives.
            tracing::error!("the promise cannot be noted: {error}");
            broker.store.set_replica(true);
        }
        Err(error) => tracing::error!("the promise cannot be noted: {error}"),
    }
}

/// One question; an answer that cannot be had or read is none.
async fn ask<T: serde::de::DeserializeOwned>(
    broker: &Broker,
    address: &str,
    code: RequestCode,
    header: &(impl Header + Sync),
) -> Option<T> {
    let channel = tokio::time::timeout(CALL_LIMIT, broker.registrar.channel(address));
    let channel = channel.await.ok()?.ok()?;
    let request = Command::request(code, header);
    let reply = channel.call(request, CALL_LIMIT).await.ok()?;
    (reply.code == ResponseCode::SUCCESS)
        .then(|| fastjson::from_slice(&reply.body).ok())
        .flatten()
}
