//! Questions about, and changes to, everything a cluster keeps: topics, groups, offsets, brokers, clients, messages,
//! name servers, users.
//!
//! One file per subject; all of them add methods to [`Admin`]. A method either speaks for the whole cluster (it takes
//! names) or for one server (its first argument is an address, and its name ends in `_at` where both exist). Methods for
//! the whole cluster fail with the first server that refuses; callers that want to go on past a failure use the others.
//!
//! The types of answers are those of the wire; they are re-exported here.

mod acl;
mod audit;
mod broker;
mod cluster;
mod connection;
mod controller;
mod group;
mod message;
mod namesrv;
mod offset;
mod replication;
mod stats;
mod topic;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::{Command, Reply};
use crate::protocol::fastjson;
use crate::protocol::header::Header;

pub use crate::protocol::body::MessageQueue as WireQueue;
pub use crate::protocol::body::auth::{AclInfo, PolicyEntryInfo, PolicyInfo, UserInfo};
pub use crate::protocol::body::connection::{
    Connection, ConsumerConnection, ProducerConnection, ProducerInfo,
};
pub use crate::protocol::body::consume::{
    CMResult, ConsumeMessageDirectlyResult, ConsumeQueueData, QueryConsumeQueueResponseBody,
};
pub use crate::protocol::body::controller::{ReplicaIdentity, ReplicasInfo};
pub use crate::protocol::body::ha::{
    EpochEntry, EpochEntryCache, HAConnectionRuntimeInfo, HARuntimeInfo, MasterStatus,
    ReplicaStatus, ReplicationStatus,
};
pub use crate::protocol::body::heartbeat::{
    ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData,
};
pub use crate::protocol::body::running::{
    ConsumeStatus, ConsumerRunningInfo, PopProcessQueueInfo, ProcessQueueInfo,
};
pub use crate::protocol::body::stats::{
    BrokerStatsData, BrokerStatsItem, ConsumeStats, OffsetWrapper, QueueTimeSpan, TopicOffset,
    TopicStatsTable,
};
pub use crate::protocol::body::subscription_group::{
    GroupRetryPolicy, GroupRetryPolicyType, SubscriptionGroupConfig,
};
pub use crate::protocol::body::topic_config::TopicConfig;

pub use self::broker::BrokerClock;
pub use self::cluster::Clusters;
pub use self::connection::ConsumeDirectly;
pub use self::controller::{ControllerMetadata, ElectedMaster};
pub use self::group::Groups;
pub use self::message::MessageQuery;
pub use self::offset::{Boundary, OffsetReset};
pub use self::topic::TopicSpec;

pub(crate) use self::offset::{committed_offset, queue_end, queue_offset_at, queue_start};

use super::error::ClientError;
use super::net::{refused, unreadable};
use super::shared::Shared;

/// How long a broker may take over a question it passes on to a client, which has ten seconds there.
const FORWARDED_LIMIT: Duration = Duration::from_secs(15);

/// Administration through one client. Cheap to clone.
///
/// ```no_run
/// # async fn example() -> Result<(), rmq::client::ClientError> {
/// use rmq::client::{Client, ClientOptions, TopicSpec};
///
/// let client = Client::connect(["127.0.0.1:9876"], ClientOptions::default()).await?;
/// let admin = client.admin();
/// admin.create_topic(&TopicSpec::new("orders", 4)).await?;
/// for queue in admin.topic_route("orders").await?.read_queues() {
///     println!("{queue}: {} to {}", admin.min_offset(&queue).await?, admin.max_offset(&queue).await?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Admin {
    shared: Arc<Shared>,
}

impl Admin {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Asks one server and takes any answer.
    async fn call(&self, address: &str, request: Command) -> Result<Reply, ClientError> {
        let timeout = self.shared.timeout();
        self.shared.net.call(address, request, timeout).await
    }

    /// Asks one server for something that succeeds or fails.
    async fn ask(
        &self,
        address: &str,
        code: RequestCode,
        header: &(impl Header + Sync),
    ) -> Result<Reply, ClientError> {
        let request = Command::request(code, header);
        let timeout = self.shared.timeout();
        self.shared.net.call_ok(address, request, timeout).await
    }

    /// The same with a body.
    async fn tell(
        &self,
        address: &str,
        code: RequestCode,
        header: &(impl Header + Sync),
        body: impl Into<Bytes>,
    ) -> Result<Reply, ClientError> {
        let request = Command::request(code, header).with_body(body);
        let timeout = self.shared.timeout();
        self.shared.net.call_ok(address, request, timeout).await
    }

    /// Asks one server for a JSON body.
    async fn fetch<T: DeserializeOwned>(
        &self,
        address: &str,
        code: RequestCode,
        header: &(impl Header + Sync),
    ) -> Result<T, ClientError> {
        let reply = self.ask(address, code, header).await?;
        body(address, code, &reply)
    }

    /// The same; one of the codes of `none` means that there is nothing.
    async fn find<T: DeserializeOwned>(
        &self,
        address: &str,
        request: Command,
        none: &[ResponseCode],
    ) -> Result<Option<T>, ClientError> {
        let code = RequestCode(request.code);
        let reply = self.call(address, request).await?;
        if reply.code == ResponseCode::SUCCESS {
            return body(address, code, &reply).map(Some);
        }
        if none.contains(&reply.code) {
            return Ok(None);
        }
        Err(no(address, code, &reply))
    }

    /// Asks whichever name server answers.
    async fn ask_name_server(
        &self,
        code: RequestCode,
        header: &(impl Header + Sync),
    ) -> Result<(String, Reply), ClientError> {
        let request = Command::request(code, header);
        let (address, reply) = self.shared.routes.ask(&request).await?;
        if reply.code == ResponseCode::SUCCESS {
            Ok((address, reply))
        } else {
            Err(no(&address, code, &reply))
        }
    }

    /// Asks whichever name server answers for a JSON body.
    async fn fetch_from_name_server<T: DeserializeOwned>(
        &self,
        code: RequestCode,
        header: &(impl Header + Sync),
    ) -> Result<T, ClientError> {
        let (address, reply) = self.ask_name_server(code, header).await?;
        body(&address, code, &reply)
    }
}

/// The JSON body of an answer.
fn body<T: DeserializeOwned>(
    address: &str,
    code: RequestCode,
    reply: &Reply,
) -> Result<T, ClientError> {
    fastjson::from_slice(&reply.body).map_err(|error| unreadable(address, code, error))
}

/// An answer that says no.
fn no(address: &str, code: RequestCode, reply: &Reply) -> ClientError {
    refused(address, code.name().unwrap_or("a request"), reply)
}

/// A JSON body to send.
fn written(value: &impl Serialize) -> Result<Vec<u8>, ClientError> {
    fastjson::to_wire(value)
        .map_err(|error| ClientError::Usage(format!("this cannot be sent: {error}")))
}
