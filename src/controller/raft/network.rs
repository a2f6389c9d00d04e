//! openraft's calls over our remoting protocol, on the controllers' one port.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{
    InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Member, Members, Types};
use crate::controller::links::{LinkError, Links};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::header::controller::ConsensusRequestHeader;

/// The kinds of calls.
pub(super) const APPEND: &str = "append";
pub(super) const VOTE: &str = "vote";
pub(super) const SNAPSHOT: &str = "snapshot";

/// How soon a controller that cannot be reached is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// How an answer ends that is no refusal by the protocol.
pub(super) type Answer<T, E> = Result<T, RaftError<u64, E>>;

/// Makes a [`Peer`] for each other controller.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    pub(super) members: Arc<Members>,
    pub(super) links: Arc<Links>,
}

impl RaftNetworkFactory<Types> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &Member) -> Peer {
        // The configuration knows best where a controller is: it may have moved since the group was made.
        let member = self.members.all.get(&target).unwrap_or(node).clone();
        Peer {
            target,
            member,
            members: Arc::clone(&self.members),
            links: Arc::clone(&self.links),
        }
    }
}

/// Another controller.
#[derive(Debug)]
pub(super) struct Peer {
    target: u64,
    member: Member,
    members: Arc<Members>,
    links: Arc<Links>,
}

type CallFailed<E> = RPCError<u64, Member, RaftError<u64, E>>;

impl Peer {
    async fn call<T, E>(
        &self,
        call: &'static str,
        request: &(impl Serialize + Sync),
        option: &RPCOption,
    ) -> Result<T, CallFailed<E>>
    where
        T: DeserializeOwned,
        E: std::error::Error + DeserializeOwned,
    {
        let broken = |error: io::Error| RPCError::Network(NetworkError::new(&error));
        let body = serde_json::to_vec(request).map_err(|error| broken(error.into()))?;
        let members = self.members.ids();
        let header = ConsensusRequestHeader {
            call,
            group: &self.members.group,
            members: &members,
            from: &self.members.me().id,
            to: &self.member.id,
        };
        let command = Command::request(RequestCode::RMQ_CONSENSUS, &header).with_body(body);
        let reply = self
            .links
            .call(&self.member.address, command, option.hard_ttl());
        let reply = reply.await.map_err(|error| match error {
            LinkError::Connect(error) => RPCError::Unreachable(Unreachable::new(&error)),
            LinkError::Call(error) => RPCError::Network(NetworkError::new(&error)),
        })?;
        if reply.code != ResponseCode::SUCCESS {
            let (id, address) = (&self.member.id, &self.member.address);
            tracing::error!("controller {id} at {address} refuses: {}", reply.remark());
            let refused = io::Error::other(reply.remark().to_owned());
            return Err(RPCError::Unreachable(Unreachable::new(&refused)));
        }
        let answer: Answer<T, E> =
            serde_json::from_slice(&reply.body).map_err(|error| broken(error.into()))?;
        answer.map_err(|error| RPCError::RemoteError(RemoteError::new(self.target, error)))
    }
}

impl RaftNetwork<Types> for Peer {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, Member, RaftError<u64>>> {
        self.call(APPEND, &request, &option).await
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Result<
        InstallSnapshotResponse<u64>,
        RPCError<u64, Member, RaftError<u64, InstallSnapshotError>>,
    > {
        self.call(SNAPSHOT, &request, &option).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, Member, RaftError<u64>>> {
        self.call(VOTE, &request, &option).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(RETRY))
    }
}
