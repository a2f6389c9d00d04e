//! Agreement among the controllers, by the Raft library openraft; this module gives it a disk and a network.
//!
//! Commands that [`Consensus::propose`] reports as carried out are on the disks of more than half of the controllers, and
//! survive whatever the minority does. Who the controllers are is configured, the same on each; a controller that was
//! configured otherwise is refused with the difference.
//!
//! Deliberately absent: changing the members of a running group, and proof of who a peer is (Apache asks for none either).

mod files;
mod log;
mod members;
mod network;
mod storage;

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{ClientWriteError, InitializeError, RaftError};
use openraft::impls::{OneshotResponder, TokioRuntime};
use openraft::metrics::RaftServerMetrics;
use openraft::{Config, Entry, Raft, RaftTypeConfig, SnapshotPolicy};
use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) use files::StoredError;
pub(crate) use members::{Member, Members, PeersError};
use network::{APPEND, Answer, Peers, SNAPSHOT, VOTE};
use storage::{Applied, LogStore, Machine, SNAPSHOT_MAX};

use super::links::Links;
use super::state::{Command, Outcome, State};
use crate::protocol::header::controller::ConsensusRequestHeader;

/// A snapshot is made after so many commands, and so many are kept behind it for peers that are a little late.
const SNAPSHOT_EVERY: u64 = 1000;
const KEPT_BEHIND: u64 = 200;
/// Bytes of a snapshot in one call. JSON makes up to four times as much of them.
const CHUNK_BYTES: u64 = 512 << 10;

/// The types openraft works with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Types;

impl RaftTypeConfig for Types {
    type D = Command;
    type R = Outcome;
    type NodeId = u64;
    type Node = Member;
    type Entry = Entry<Self>;
    type SnapshotData = Cursor<Vec<u8>>;
    type AsyncRuntime = TokioRuntime;
    type Responder = OneshotResponder<Self>;
}

/// Why the controllers cannot work together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConsensusError {
    /// What is stored cannot be used.
    #[error(transparent)]
    Stored(#[from] StoredError),
    /// What is stored belongs to other controllers.
    #[error(
        "{dir} belongs to a group of the controllers {stored}, not to {configured}; \
         the members of a group cannot be changed"
    )]
    OtherMembers {
        dir: String,
        stored: String,
        configured: String,
    },
    /// The library gave up.
    #[error("the consensus of the controllers cannot start: {0}")]
    Raft(String),
}

/// Why a command was not carried out, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsettled {
    /// Another controller leads, or none.
    #[error("this controller does not lead")]
    NotLeader,
    /// More than half of the controllers did not agree in time. It may still be carried out.
    #[error("the controllers did not agree within {0:?}")]
    Late(Duration),
    /// This controller has stopped.
    #[error("this controller has stopped: {0}")]
    Stopped(String),
}

/// What a controller knows of who leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leadership {
    /// The leader, as far as known.
    pub(crate) leader: Option<Member>,
    /// Whether it is this controller, and more than half of the controllers still hear from it.
    pub(crate) is_own: bool,
    /// Raft's term.
    pub(crate) term: u64,
}

/// One controller's part in the agreement.
pub(super) struct Consensus {
    raft: Raft<Types>,
    applied: Arc<RwLock<Applied>>,
    members: Arc<Members>,
    /// A leader that was not heard by more than half for so long is none.
    lease_ms: u64,
}

impl std::fmt::Debug for Consensus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let consensus = &mut f.debug_struct("Consensus");
        consensus
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

impl Consensus {
    /// Reads what is in `dir` and begins to take part. A group of which nothing is stored is made here: all its
    /// controllers begin with the same first entry, so it does not matter which of them starts first.
    pub(super) async fn start(
        dir: &Path,
        members: Arc<Members>,
        links: Arc<Links>,
        election: Duration,
    ) -> Result<Self, ConsensusError> {
        let (log, machine) = open(dir).await?;
        let applied = machine.applied();
        let peers = Peers {
            members: Arc::clone(&members),
            links,
        };
        let election_ms = u64::try_from(election.as_millis()).unwrap_or(u64::MAX / 4);
        let config = Config {
            cluster_name: members.group.clone(),
            election_timeout_min: election_ms,
            election_timeout_max: election_ms.saturating_mul(2),
            heartbeat_interval: (election_ms / 4).max(1),
            snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_EVERY),
            max_in_snapshot_log_to_keep: KEPT_BEHIND,
            snapshot_max_chunk_size: CHUNK_BYTES,
            ..Config::default()
        };
        let unable = |error: &dyn std::fmt::Display| ConsensusError::Raft(error.to_string());
        let config = config.validate().map_err(|error| unable(&error))?;
        let raft = Raft::new(members.own, Arc::new(config), peers, log, machine)
            .await
            .map_err(|error| unable(&error))?;
        let consensus = Self {
            raft,
            applied,
            members,
            lease_ms: election_ms.saturating_mul(2),
        };
        consensus.found_group(dir).await?;
        Ok(consensus)
    }

    async fn found_group(&self, dir: &Path) -> Result<(), ConsensusError> {
        let made = self.raft.initialize(self.members.all.clone()).await;
        match made {
            Ok(()) => return Ok(()),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
            Err(error) => return Err(ConsensusError::Raft(error.to_string())),
        }
        let metrics = self.raft.metrics().borrow().clone();
        let stored = metrics.membership_config.nodes();
        let stored: Vec<_> = stored.map(|(_, member)| member.id.clone()).collect();
        let (stored, configured) = (stored.join(";"), self.members.ids());
        if stored == configured || stored.is_empty() {
            return Ok(());
        }
        // Its vote would count in a group it does not belong to.
        let _ = self.raft.shutdown().await;
        Err(ConsensusError::OtherMembers {
            dir: dir.display().to_string(),
            stored,
            configured,
        })
    }

    /// Has a command carried out by all controllers; only the leader can.
    pub(super) async fn propose(
        &self,
        command: Command,
        limit: Duration,
    ) -> Result<Outcome, Unsettled> {
        match timeout(limit, self.raft.client_write(command)).await {
            Err(_) => Err(Unsettled::Late(limit)),
            Ok(Ok(written)) => Ok(written.data),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))) => {
                Err(Unsettled::NotLeader)
            }
            Ok(Err(error)) => Err(Unsettled::Stopped(error.to_string())),
        }
    }

    /// Returns when [`Consensus::look`] shows everything that was carried out before the call; only on the leader.
    pub(super) async fn catch_up(&self, limit: Duration) -> Result<(), Unsettled> {
        match timeout(limit, self.raft.ensure_linearizable()).await {
            Err(_) => Err(Unsettled::Late(limit)),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(RaftError::APIError(_))) => Err(Unsettled::NotLeader),
            Ok(Err(error)) => Err(Unsettled::Stopped(error.to_string())),
        }
    }

    /// Looks at the state as it is here.
    pub(super) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.applied.read().state)
    }

    /// Who leads.
    pub(super) fn leadership(&self) -> Leadership {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let own = self.members.own;
        let heard = self.members.all.len() == 1
            || metrics
                .millis_since_quorum_ack
                .is_some_and(|ms| ms <= self.lease_ms);
        let leader = metrics
            .current_leader
            .filter(|leader| *leader != own || heard);
        Leadership {
            leader: leader.and_then(|leader| self.members.all.get(&leader).cloned()),
            is_own: leader == Some(own),
            term: metrics.current_term,
        }
    }

    /// Changes whenever somebody else leads, or nobody.
    pub(super) fn changes(&self) -> watch::Receiver<RaftServerMetrics<u64, Member>> {
        self.raft.server_metrics()
    }

    /// Returns when somebody leads.
    pub(super) async fn led(&self) {
        let mut metrics = self.raft.metrics();
        while metrics.borrow().current_leader.is_none() {
            if metrics.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether the library has given up, and why.
    pub(super) fn trouble(&self) -> Option<String> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        metrics
            .running_state
            .as_ref()
            .err()
            .map(ToString::to_string)
    }

    /// Answers a call of another controller.
    pub(super) async fn answer(
        &self,
        header: &ConsensusRequestHeader<'_>,
        body: &[u8],
    ) -> Result<Vec<u8>, String> {
        self.check(header)?;
        match header.call {
            APPEND => encode(&self.raft.append_entries(decode(body)?).await),
            VOTE => encode(&self.raft.vote(decode(body)?).await),
            SNAPSHOT => {
                let chunk: openraft::raft::InstallSnapshotRequest<Types> = decode(body)?;
                let end = chunk.offset.checked_add(chunk.data.len() as u64);
                if end.is_none_or(|end| end > SNAPSHOT_MAX) {
                    return Err(format!("a snapshot has at most {SNAPSHOT_MAX} bytes"));
                }
                encode(&self.raft.install_snapshot(chunk).await)
            }
            other => Err(format!("there is no call {other:?} between controllers")),
        }
    }

    fn check(&self, header: &ConsensusRequestHeader<'_>) -> Result<(), String> {
        let Members { group, .. } = &*self.members;
        let (ids, me) = (self.members.ids(), &self.members.me().id);
        let told = if header.group != group {
            format!(
                "this controller belongs to group {group}, not {}",
                header.group
            )
        } else if header.members != ids {
            format!(
                "this controller's group is {ids}, but {} was configured with {}",
                header.from, header.members
            )
        } else if header.to != me {
            format!("this is controller {me}, not {}", header.to)
        } else {
            return Ok(());
        };
        tracing::error!("a call of controller {} is refused: {told}", header.from);
        Err(told)
    }

    /// Takes no part any more.
    pub(super) async fn stop(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the consensus did not end in order");
        }
    }
}

/// Opens the files where blocking is allowed.
async fn open(dir: &Path) -> Result<(LogStore, Machine), ConsensusError> {
    let dir = dir.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        let log = LogStore::open(&dir)?;
        Ok::<_, StoredError>((log, Machine::open(&dir)?))
    });
    match opened.await {
        Ok(opened) => Ok(opened?),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("no call of a controller: {error}"))
}

fn encode<T: Serialize, E: Serialize>(answer: &Answer<T, E>) -> Result<Vec<u8>, String> {
    serde_json::to_vec(answer).map_err(|error| error.to_string())
}
