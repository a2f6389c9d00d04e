//! Request code to answer: what Apache's `ControllerRequestProcessor` does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::heartbeat::{Beat, Identity};
use super::jobs::Job;
use super::raft::Unsettled;
use super::state::{self, FIRST_ID, Mastership, Outcome, State};
use super::{AGREEMENT, CONNECT, Controller};
use crate::protocol::body::controller::{
    BrokerReplicasInfo, ElectMasterResponseBody, ReplicaIdentity, ReplicasInfo, SyncStateSet,
};
use crate::protocol::body::route::BrokerMemberGroup;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::{Command, Head};
use crate::protocol::fastjson::{self, BodyError};
use crate::protocol::header::namesrv::BrokerHeartbeatRequestHeader;
use crate::protocol::header::{HeaderError, controller as header};
use crate::remoting::Channel;

/// Why a request cannot be understood, or its answer not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("{0:?} is no list of ids; write 1;2")]
    Ids(String),
    #[error(transparent)]
    Unsettled(#[from] Unsettled),
}

impl From<Failed> for Command {
    fn from(failed: Failed) -> Self {
        let code = match &failed {
            Failed::Unsettled(Unsettled::NotLeader | Unsettled::Stopped(_)) => {
                ResponseCode::CONTROLLER_NOT_LEADER
            }
            Failed::Ids(_) => ResponseCode::CONTROLLER_INVALID_CLEAN_BROKER_METADATA,
            _ => ResponseCode::SYSTEM_ERROR,
        };
        Self::response(code).with_remark(failed.to_string())
    }
}

fn success() -> Command {
    Command::response(ResponseCode::SUCCESS)
}

fn wire(body: &impl Serialize) -> Result<Vec<u8>, Failed> {
    Ok(fastjson::to_wire(body)?)
}

fn sync_state_set(lead: &Mastership) -> SyncStateSet {
    SyncStateSet {
        sync_state_set: lead.in_sync.clone(),
        sync_state_set_epoch: lead.in_sync_epoch,
    }
}

/// The answer to what could not be done.
fn refusal(outcome: &Outcome) -> Option<Command> {
    match outcome {
        Outcome::Refused { code, remark } => {
            Some(Command::response(ResponseCode(*code)).with_remark(remark.clone()))
        }
        _ => None,
    }
}

impl Controller {
    /// What any controller answers, whether it leads or not.
    pub(super) fn at_once(
        &self,
        channel: &Arc<Channel>,
        head: &Head<'_>,
        body: &[u8],
    ) -> Option<Command> {
        Some(match head.request_code() {
            RequestCode::BROKER_HEARTBEAT => match self.heartbeat(channel, head) {
                Ok(answer) => answer,
                Err(failed) => failed.into(),
            },
            RequestCode::CONTROLLER_GET_METADATA_INFO => self.metadata(channel),
            RequestCode::GET_CONTROLLER_CONFIG => {
                let settings = self.settings.read();
                success().with_body(self.options.show(&settings, &self.members, self.port))
            }
            RequestCode::UPDATE_CONTROLLER_CONFIG => self.change_settings(channel, body),
            _ => return None,
        })
    }

    fn heartbeat(&self, channel: &Arc<Channel>, head: &Head<'_>) -> Result<Command, Failed> {
        let header: BrokerHeartbeatRequestHeader<'_> = head.header()?;
        let Some(id) = header.broker_id else {
            return Ok(Command::response(ResponseCode::CONTROLLER_INVALID_REQUEST)
                .with_remark("a heartbeat needs the broker's id"));
        };
        let who = Identity {
            name: header.broker_name.to_owned(),
            id,
            cluster: header.cluster_name.to_owned(),
        };
        let beat = Beat {
            channel: channel.id(),
            timeout_ms: header.heartbeat_timeout_mills,
            epoch: header.epoch,
            max_offset: header.max_offset,
            priority: header.election_priority,
        };
        let now_ms = self.now_ms();
        match self.live.lock().beat(who, beat, now_ms) {
            None => {
                return Ok(Command::response(ResponseCode::SYSTEM_BUSY)
                    .with_remark("there is no place for another broker"));
            }
            Some(false) => {}
            Some(true) => {
                let (cluster, name) = (header.cluster_name, header.broker_name);
                tracing::info!(cluster, broker = name, id, peer = %channel.peer(), "a broker is alive");
            }
        }
        Ok(success())
    }

    fn metadata(&self, channel: &Channel) -> Command {
        let leadership = self.consensus.leadership();
        // Nobody has told a single controller where it is reached; whoever asks has reached it.
        let here = channel.local().to_string();
        let mut members = (*self.members).clone();
        for member in members
            .all
            .values_mut()
            .filter(|one| one.address.is_empty())
        {
            member.address.clone_from(&here);
        }
        let leader = leadership.leader.as_ref();
        let address = leader.map(|leader| match leader.address.as_str() {
            "" => here.as_str(),
            address => address,
        });
        let peers = members.to_string();
        success().with_header(&header::GetMetaDataResponseHeader {
            group: Some(&members.group),
            controller_leader_id: leader.map(|leader| leader.id.as_str()),
            controller_leader_address: address,
            is_leader: leadership.is_own,
            peers: Some(&peers),
        })
    }

    fn change_settings(&self, channel: &Arc<Channel>, body: &[u8]) -> Command {
        let text = String::from_utf8_lossy(body);
        let mut settings = self.settings.write();
        match settings.changed_by(&text) {
            Ok(changed) => {
                tracing::info!(peer = %channel.peer(), "settings changed: {changed:?}");
                *settings = changed;
                success()
            }
            Err(refused) => {
                let code = match refused {
                    super::settings::Refused::Fixed(_) => ResponseCode::NO_PERMISSION,
                    super::settings::Refused::Bad { .. } => ResponseCode::SYSTEM_ERROR,
                };
                Command::response(code).with_remark(refused.to_string())
            }
        }
    }

    /// Does what a request asks for.
    pub(super) async fn work(&self, job: Job) -> Command {
        match self.try_work(job).await {
            Ok(answer) => answer,
            Err(failed) => failed.into(),
        }
    }

    async fn try_work(&self, job: Job) -> Result<Command, Failed> {
        match job {
            Job::NextId { cluster, name } => self.next_id(&cluster, &name).await,
            Job::ApplyId {
                cluster,
                name,
                id,
                check_code,
            } => {
                let command = state::Command::ApplyId {
                    cluster: cluster.clone(),
                    name: name.clone(),
                    id,
                    check_code,
                };
                let refusal = refusal(&self.settle(command).await?);
                Ok(refusal.unwrap_or_else(|| id_given(&cluster, &name)))
            }
            Job::Register {
                cluster,
                name,
                id,
                address,
            } => {
                let command = state::Command::Register {
                    name: name.clone(),
                    id,
                    address,
                };
                match refusal(&self.settle(command).await?) {
                    Some(refusal) => Ok(refusal),
                    None => self.registered(&cluster, &name),
                }
            }
            Job::Elect {
                name,
                by,
                designate,
            } => {
                let outcome = self.elect(&name, by, designate).await?;
                elected(name, outcome)
            }
            Job::Alter {
                name,
                master,
                master_epoch,
                wanted,
            } => {
                let alive = self.alive(&name);
                let command = state::Command::Alter {
                    name,
                    master,
                    master_epoch,
                    in_sync: wanted.sync_state_set,
                    in_sync_epoch: wanted.sync_state_set_epoch,
                    alive,
                };
                altered(&self.settle(command).await?)
            }
            Job::Replicas { name } => self.replicas(&name).await,
            Job::SyncState { names } => self.sync_state(&names).await,
            Job::Clean { name, ids, living } => {
                let alive = self.alive(&name);
                let command = state::Command::Clean {
                    name,
                    ids,
                    living,
                    alive,
                };
                let refusal = refusal(&self.settle(command).await?);
                Ok(refusal.unwrap_or_else(success))
            }
            Job::Consensus { head, body } => {
                Ok(match self.consensus.answer(&head.header(), &body).await {
                    Ok(answer) => success().with_body(answer),
                    Err(why) => {
                        Command::response(ResponseCode::CONTROLLER_INVALID_REQUEST).with_remark(why)
                    }
                })
            }
            Job::Unknown { code } => Ok(Command::response(
                ResponseCode::REQUEST_CODE_NOT_SUPPORTED,
            )
            .with_remark(format!(
                "a controller does not answer requests of code {code}"
            ))),
        }
    }

    /// Has the controllers agree on a command, if it would change anything.
    async fn settle(&self, command: state::Command) -> Result<Outcome, Unsettled> {
        self.consensus.catch_up(AGREEMENT).await?;
        let (outcome, change) = self.consensus.look(|state| state.decide(&command));
        if change.is_none() {
            return Ok(outcome);
        }
        self.consensus.propose(command, AGREEMENT).await
    }

    /// The ids of a name that are heard from.
    fn alive(&self, name: &str) -> BTreeSet<i64> {
        let now_ms = self.now_ms();
        let live = self.live.lock();
        let candidates = |state: &State| {
            let group = state.group(name);
            group.map(|group| live.candidates(name, group, now_ms))
        };
        let candidates = self.consensus.look(candidates).unwrap_or_default();
        candidates.iter().map(|one| one.id).collect()
    }

    /// Has a master elected, and tells the brokers if there is another one.
    pub(super) async fn elect(
        &self,
        name: &str,
        by: Option<i64>,
        designate: bool,
    ) -> Result<Outcome, Unsettled> {
        let (unclean, notify) = {
            let settings = self.settings.read();
            (
                settings.enable_elect_unclean_master,
                settings.notify_broker_role_changed,
            )
        };
        let now_ms = self.now_ms();
        let candidates = {
            let live = self.live.lock();
            self.consensus.look(|state| {
                let group = state.group(name);
                group.map(|group| live.candidates(name, group, now_ms))
            })
        };
        let command = state::Command::Elect {
            name: name.to_owned(),
            by,
            designate,
            unclean,
            alive: candidates.unwrap_or_default(),
        };
        let outcome = self.settle(command).await?;
        match &outcome {
            Outcome::Elected {
                lead,
                members,
                cluster,
            } => {
                self.counters.elected.fetch_add(1, Ordering::Relaxed);
                let (master, address) = (lead.master, lead.address.as_deref());
                // Whoever looks into the log after a bad night looks for this line.
                tracing::warn!(
                    broker = name,
                    master,
                    address,
                    epoch = lead.epoch,
                    "a new master"
                );
                if notify {
                    self.tell_brokers(name, cluster, lead, members);
                }
            }
            Outcome::Refused { remark, .. } => {
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(broker = name, by, "no master was elected: {remark}");
            }
            _ => {}
        }
        Ok(outcome)
    }

    /// Sends `NOTIFY_BROKER_ROLE_CHANGED` to the brokers of a name that are alive.
    fn tell_brokers(
        &self,
        name: &str,
        cluster: &str,
        lead: &Mastership,
        members: &BTreeMap<i64, String>,
    ) {
        let Ok(body) = wire(&sync_state_set(lead)) else {
            return;
        };
        let request = Command::request(
            RequestCode::NOTIFY_BROKER_ROLE_CHANGED,
            &header::NotifyBrokerRoleChangedRequestHeader {
                master_address: lead.address.as_deref(),
                master_epoch: Some(lead.epoch),
                sync_state_set_epoch: Some(lead.in_sync_epoch),
                master_broker_id: lead.master,
            },
        )
        .with_body(body);
        let now_ms = self.now_ms();
        let live = self.live.lock();
        let mut tasks = self.tasks.lock();
        for (id, address) in members {
            let who = Identity {
                name: name.to_owned(),
                id: *id,
                cluster: cluster.to_owned(),
            };
            if !live.is_alive(&who, now_ms) {
                continue;
            }
            let (links, request) = (Arc::clone(&self.links), request.clone());
            let (address, id) = (address.clone(), *id);
            tasks.spawn(async move {
                if let Err(error) = links.tell(&address, request, CONNECT).await {
                    tracing::warn!(id, "a broker cannot be told of its new master: {error}");
                }
            });
        }
    }

    async fn next_id(&self, cluster: &str, name: &str) -> Result<Command, Failed> {
        self.consensus.catch_up(AGREEMENT).await?;
        let next = self
            .consensus
            .look(|state| state.group(name).map(|group| group.next_id));
        Ok(
            success().with_header(&header::GetNextBrokerIdResponseHeader {
                cluster_name: Some(cluster),
                broker_name: Some(name),
                next_broker_id: Some(next.unwrap_or(FIRST_ID)),
            }),
        )
    }

    /// What a broker that has just registered is told: its master, as long as that is alive.
    fn registered(&self, cluster: &str, name: &str) -> Result<Command, Failed> {
        let lead = self
            .consensus
            .look(|state| state.group(name).map(state::Group::mastership));
        let lead = lead.unwrap_or_default();
        let master = lead.master.filter(|id| {
            let who = Identity {
                name: name.to_owned(),
                id: *id,
                cluster: cluster.to_owned(),
            };
            self.live.lock().is_alive(&who, self.now_ms())
        });
        let answer = success().with_header(&header::RegisterBrokerToControllerResponseHeader {
            cluster_name: Some(cluster),
            broker_name: Some(name),
            master_broker_id: master,
            master_address: master.and(lead.address.as_deref()),
            master_epoch: master.map(|_| lead.epoch),
            sync_state_set_epoch: master.map(|_| lead.in_sync_epoch),
        });
        Ok(answer.with_body(wire(&sync_state_set(&lead))?))
    }

    async fn replicas(&self, name: &str) -> Result<Command, Failed> {
        self.consensus.catch_up(AGREEMENT).await?;
        let lead = self
            .consensus
            .look(|state| state.group(name).map(state::Group::mastership));
        let Some(lead) = lead else {
            let code = ResponseCode::CONTROLLER_BROKER_METADATA_NOT_EXIST;
            let why = format!("no broker {name} is registered here");
            return Ok(Command::response(code).with_remark(why));
        };
        let answer = success().with_header(&header::GetReplicaInfoResponseHeader {
            master_broker_id: lead.master,
            master_address: lead.address.as_deref(),
            master_epoch: Some(lead.epoch),
        });
        Ok(answer.with_body(wire(&sync_state_set(&lead))?))
    }

    /// Where the brokers of these names stand; of all names, if none is given, where Apache's controller tells nothing.
    async fn sync_state(&self, names: &[String]) -> Result<Command, Failed> {
        self.consensus.catch_up(AGREEMENT).await?;
        let now_ms = self.now_ms();
        let names: BTreeSet<&String> = names.iter().collect();
        let mut info = BrokerReplicasInfo::default();
        {
            let live = self.live.lock();
            self.consensus.look(|state| {
                let asked = |name: &String| names.is_empty() || names.contains(name);
                for (name, group) in state.groups().filter(|(name, _)| asked(name)) {
                    let identity = |(id, replica): (&i64, &state::Replica)| ReplicaIdentity {
                        alive: live.is_alive(
                            &Identity {
                                name: name.clone(),
                                id: *id,
                                cluster: group.cluster.clone(),
                            },
                            now_ms,
                        ),
                        broker_address: replica.address.clone(),
                        broker_id: *id,
                        broker_name: name.clone(),
                    };
                    let (in_sync, others): (Vec<_>, Vec<_>) = group
                        .replicas
                        .iter()
                        .partition(|(id, _)| group.in_sync.contains(id));
                    let lead = group.mastership();
                    let replicas = ReplicasInfo {
                        in_sync_replicas: in_sync.into_iter().map(identity).collect(),
                        master_address: lead.address,
                        master_broker_id: lead.master,
                        master_epoch: lead.epoch,
                        not_in_sync_replicas: others.into_iter().map(identity).collect(),
                        sync_state_set_epoch: lead.in_sync_epoch,
                    };
                    info.replicas_info_table.insert(name.clone(), replicas);
                }
            });
        }
        Ok(success().with_body(wire(&info)?))
    }
}

/// The answer to a broker that has been given its id.
fn id_given(cluster: &str, name: &str) -> Command {
    success().with_header(&header::ApplyBrokerIdResponseHeader {
        cluster_name: Some(cluster),
        broker_name: Some(name),
    })
}

/// The answer of an election.
fn elected(name: String, outcome: Outcome) -> Result<Command, Failed> {
    let (code, lead, group) = match outcome {
        Outcome::Elected {
            lead,
            cluster,
            members,
        } => {
            let group = BrokerMemberGroup {
                broker_addrs: members,
                broker_name: name,
                cluster,
            };
            (ResponseCode::SUCCESS, lead, Some(group))
        }
        Outcome::Remains(lead) => (ResponseCode::CONTROLLER_MASTER_STILL_EXIST, lead, None),
        other => return Ok(refusal(&other).unwrap_or_else(success)),
    };
    let answer = Command::response(code)
        .with_header(&header::ElectMasterResponseHeader {
            master_broker_id: lead.master,
            master_address: lead.address.as_deref(),
            master_epoch: Some(lead.epoch),
            sync_state_set_epoch: Some(lead.in_sync_epoch),
        })
        .with_body(wire(&ElectMasterResponseBody {
            broker_member_group: group,
            sync_state_set: lead.in_sync.clone(),
        })?);
    Ok(match (code, lead.master) {
        (ResponseCode::CONTROLLER_MASTER_STILL_EXIST, Some(master)) => {
            answer.with_remark(format!("the master {master} is alive"))
        }
        _ => answer,
    })
}

/// The answer to a new sync state set.
fn altered(outcome: &Outcome) -> Result<Command, Failed> {
    let Outcome::Altered(lead) = outcome else {
        return Ok(refusal(outcome).unwrap_or_else(success));
    };
    let answer = success().with_header(&header::AlterSyncStateSetResponseHeader {
        new_sync_state_set_epoch: lead.in_sync_epoch,
    });
    Ok(answer.with_body(wire(&sync_state_set(lead))?))
}
