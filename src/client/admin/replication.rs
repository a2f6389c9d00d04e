//! Where brokers stand among those of their name, and what they are to be. Changes are for `rmq` brokers; Apache's have
//! no such request.

use crate::protocol::body::ha::{EpochEntryCache, ReplicationStatus};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::header::NoHeader;
use crate::protocol::header::broker::ReplicationRequestHeader;
use crate::protocol::header::namesrv::UnRegisterBrokerRequestHeader;

use super::Admin;
use crate::client::error::ClientError;

/// What brokers answer that do not know a request, or refuse it because they are not of the kind that has an answer.
const UNKNOWN: &[ResponseCode] = &[
    ResponseCode::REQUEST_CODE_NOT_SUPPORTED,
    ResponseCode::SYSTEM_ERROR,
];

impl Admin {
    /// Where an `rmq` broker stands; `None` from brokers of another make.
    pub async fn replication_at(
        &self,
        broker: &str,
    ) -> Result<Option<ReplicationStatus>, ClientError> {
        let header = ReplicationRequestHeader::default();
        let request = Command::request(RequestCode::RMQ_REPLICATION, &header);
        self.find(broker, request, UNKNOWN).await
    }

    /// Has an `rmq` broker promise an epoch: a master of an earlier one takes no message from then on.
    pub async fn fence_at(
        &self,
        broker: &str,
        epoch: i32,
    ) -> Result<ReplicationStatus, ClientError> {
        let header = ReplicationRequestHeader {
            action: Some("fence"),
            epoch: Some(epoch),
            ..ReplicationRequestHeader::default()
        };
        self.fetch(broker, RequestCode::RMQ_REPLICATION, &header)
            .await
    }

    /// Makes an `rmq` broker the master of an epoch. It starts anew after it has answered.
    pub async fn promote_at(
        &self,
        broker: &str,
        epoch: i32,
    ) -> Result<ReplicationStatus, ClientError> {
        let header = ReplicationRequestHeader {
            action: Some("promote"),
            epoch: Some(epoch),
            ..ReplicationRequestHeader::default()
        };
        self.fetch(broker, RequestCode::RMQ_REPLICATION, &header)
            .await
    }

    /// Makes an `rmq` broker the slave of a master. It starts anew after it has answered.
    pub async fn follow_at(
        &self,
        broker: &str,
        master: &str,
        broker_id: i64,
    ) -> Result<ReplicationStatus, ClientError> {
        let header = ReplicationRequestHeader {
            action: Some("follow"),
            master: Some(master),
            broker_id: Some(broker_id),
            ..ReplicationRequestHeader::default()
        };
        self.fetch(broker, RequestCode::RMQ_REPLICATION, &header)
            .await
    }

    /// The history of a broker's log; `None` from brokers that keep none.
    pub async fn epochs_at(&self, broker: &str) -> Result<Option<EpochEntryCache>, ClientError> {
        let request = Command::request(RequestCode::GET_BROKER_EPOCH_CACHE, &NoHeader);
        self.find(broker, request, UNKNOWN).await
    }

    /// Strikes a broker off one name server's tables. One that still runs registers again within 30 s.
    pub async fn unregister_broker_at(
        &self,
        name_server: &str,
        cluster: &str,
        name: &str,
        (broker_id, address): (i64, &str),
    ) -> Result<(), ClientError> {
        let header = UnRegisterBrokerRequestHeader {
            broker_name: name,
            broker_addr: address,
            cluster_name: cluster,
            broker_id,
        };
        self.ask(name_server, RequestCode::UNREGISTER_BROKER, &header)
            .await
            .map(drop)
    }
}
