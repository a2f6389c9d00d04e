//! What a broker says to a controller, and what it makes of the answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::sync_set::Confirmed;
use super::{Member, Pulse};
use crate::base::LogOffset;
use crate::broker::channels::Channels;
use crate::protocol::body::controller::{ElectMasterResponseBody, SyncStateSet};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::{Command, Reply};
use crate::protocol::fastjson;
use crate::protocol::header::controller::{
    AlterSyncStateSetRequestHeader, ApplyBrokerIdRequestHeader, ElectMasterRequestHeader,
    ElectMasterResponseHeader, GetMetaDataResponseHeader, GetNextBrokerIdRequestHeader,
    GetNextBrokerIdResponseHeader, GetReplicaInfoRequestHeader, GetReplicaInfoResponseHeader,
    RegisterBrokerToControllerRequestHeader, RegisterBrokerToControllerResponseHeader,
};
use crate::protocol::header::namesrv::BrokerHeartbeatRequestHeader;
use crate::protocol::header::{Header, NoHeader};
use crate::remoting::Channel;

const CALL_LIMIT: Duration = Duration::from_secs(2);

/// Why a question was not answered as hoped.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The controller said no: what was asked for did not happen.
    #[error("{address}: {code} {remark}")]
    Refused {
        address: String,
        code: ResponseCode,
        remark: String,
    },
    /// No answer, or none that can be understood: it may have happened.
    #[error("{address}: {why}")]
    Unclear { address: String, why: String },
    /// No controller leads.
    #[error("no controller says which of them leads: {0}")]
    NoLeader(String),
    /// Something here stands in the way.
    #[error("{0}")]
    Here(String),
}

impl AskError {
    /// Whether a controller gave this answer.
    pub(super) fn is(&self, wanted: ResponseCode) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }

    /// Whether what was asked for can be ruled out.
    pub(super) fn is_refusal(&self) -> bool {
        use ResponseCode as Code;
        const SURE: [ResponseCode; 6] = [
            Code::CONTROLLER_FENCED_MASTER_EPOCH,
            Code::CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH,
            Code::CONTROLLER_INVALID_MASTER,
            Code::CONTROLLER_INVALID_REPLICAS,
            Code::CONTROLLER_BROKER_NOT_ALIVE,
            Code::CONTROLLER_ALTER_SYNC_STATE_SET_FAILED,
        ];
        SURE.iter().any(|code| self.is(*code))
    }
}

/// A master and its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) id: i64,
    pub(super) address: String,
}

/// What a controller says of this broker's group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// `None`: nobody is.
    pub(super) master: Option<Master>,
    /// Grows with every change of masters.
    pub(super) epoch: i32,
    /// Who is in sync.
    pub(super) set: Confirmed,
}

fn master(id: Option<i64>, address: Option<&str>) -> Option<Master> {
    // Apache tells of no master with -1, or with nothing.
    let id = id.filter(|id| *id > 0)?;
    let address = address.filter(|address| !address.is_empty())?.to_owned();
    Some(Master { id, address })
}

fn confirmed(set: SyncStateSet) -> Confirmed {
    Confirmed {
        number: set.sync_state_set_epoch,
        members: set.sync_state_set,
    }
}

/// The address of the controller that leads, as more than half of the controllers say; if so many do not answer, as
/// most of those say that do.
pub(super) async fn leader(member: &Arc<Member>) -> Result<String, AskError> {
    let mut asking = JoinSet::new();
    for address in member.options.controllers() {
        let (member, address) = (Arc::clone(member), address.to_owned());
        asking.spawn(async move {
            let controller = Controller::at(&member, &address).await?;
            let leader = controller.who_leads().await?;
            leader.ok_or_else(|| controller.unclear("it knows of no leader".to_owned()))
        });
    }
    let all = asking.len();
    let mut votes: BTreeMap<String, usize> = BTreeMap::new();
    let mut troubles = Vec::new();
    while let Some(answer) = asking.join_next().await {
        match answer {
            Ok(Ok(leader)) => {
                let count = votes.entry(leader.clone()).or_default();
                *count += 1;
                if *count * 2 > all {
                    return Ok(leader);
                }
            }
            Ok(Err(error)) => troubles.push(error.to_string()),
            Err(error) => troubles.push(error.to_string()),
        }
    }
    let most = votes.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(leader, _)| leader)
        .ok_or_else(|| AskError::NoLeader(troubles.join("; ")))
}

/// One controller.
#[derive(Debug)]
pub(super) struct Controller<'a> {
    member: &'a Member,
    address: String,
    channel: Arc<Channel>,
}

impl<'a> Controller<'a> {
    /// The controller at an address.
    pub(super) async fn at(member: &'a Member, address: &str) -> Result<Controller<'a>, AskError> {
        let channel = channel(&member.channels, address).await?;
        Ok(Controller {
            member,
            address: address.to_owned(),
            channel,
        })
    }

    async fn who_leads(&self) -> Result<Option<String>, AskError> {
        let reply = self
            .call(RequestCode::CONTROLLER_GET_METADATA_INFO, &NoHeader, None)
            .await?;
        let header: GetMetaDataResponseHeader<'_> = self.header(&reply)?;
        let leader = header.controller_leader_address;
        Ok(leader
            .filter(|leader| !leader.is_empty())
            .map(str::to_owned))
    }

    /// The id the next broker of this name gets.
    pub(super) async fn next_id(&self) -> Result<i64, AskError> {
        let header = GetNextBrokerIdRequestHeader {
            cluster_name: &self.member.options.broker_cluster_name,
            broker_name: &self.member.options.broker_name,
        };
        let code = RequestCode::CONTROLLER_GET_NEXT_BROKER_ID;
        let reply = self.call(code, &header, None).await?;
        let header: GetNextBrokerIdResponseHeader<'_> = self.header(&reply)?;
        header
            .next_broker_id
            .ok_or_else(|| self.unclear("it tells no next id".to_owned()))
    }

    /// Asks for an id. The check code is what makes it this broker's.
    pub(super) async fn apply(&self, id: i64, check_code: &str) -> Result<(), AskError> {
        let header = ApplyBrokerIdRequestHeader {
            cluster_name: &self.member.options.broker_cluster_name,
            broker_name: &self.member.options.broker_name,
            applied_broker_id: id,
            register_check_code: check_code,
        };
        let code = RequestCode::CONTROLLER_APPLY_BROKER_ID;
        self.call(code, &header, None).await.map(drop)
    }

    /// Says where this broker is, and hears who is master, if that one lives.
    pub(super) async fn register(&self, id: i64) -> Result<Option<Told>, AskError> {
        let address = self.member.options.address();
        let header = RegisterBrokerToControllerRequestHeader {
            cluster_name: &self.member.options.broker_cluster_name,
            broker_name: &self.member.options.broker_name,
            broker_id: id,
            broker_address: &address,
            invoke_time: crate::sys::Clock::machine_ms(),
        };
        let code = RequestCode::CONTROLLER_REGISTER_BROKER;
        let reply = self.call(code, &header, None).await?;
        let header: RegisterBrokerToControllerResponseHeader<'_> = self.header(&reply)?;
        let set: SyncStateSet = self.body(&reply)?;
        let master = master(header.master_broker_id, header.master_address);
        Ok(master.zip(header.master_epoch).map(|(master, epoch)| Told {
            master: Some(master),
            epoch,
            set: confirmed(set),
        }))
    }

    /// Who is master and who is in sync.
    pub(super) async fn replica_info(&self) -> Result<Told, AskError> {
        let header = GetReplicaInfoRequestHeader {
            broker_name: &self.member.options.broker_name,
        };
        let code = RequestCode::CONTROLLER_GET_REPLICA_INFO;
        let reply = self.call(code, &header, None).await?;
        let header: GetReplicaInfoResponseHeader<'_> = self.header(&reply)?;
        Ok(Told {
            master: master(header.master_broker_id, header.master_address),
            epoch: header.master_epoch.unwrap_or(0),
            set: confirmed(self.body(&reply)?),
        })
    }

    /// Asks to become master, or to hear who is.
    pub(super) async fn elect(&self, id: i64) -> Result<Told, AskError> {
        let header = ElectMasterRequestHeader {
            cluster_name: &self.member.options.broker_cluster_name,
            broker_name: &self.member.options.broker_name,
            broker_id: id,
            designate_elect: false,
            invoke_time: crate::sys::Clock::machine_ms(),
        };
        let request = Command::request(RequestCode::CONTROLLER_ELECT_MASTER, &header);
        let reply = self.reply(request).await?;
        let known = [
            ResponseCode::SUCCESS,
            ResponseCode::CONTROLLER_MASTER_STILL_EXIST,
        ];
        if !known.contains(&reply.code) {
            return Err(self.refused(&reply));
        }
        let header: ElectMasterResponseHeader<'_> = self.header(&reply)?;
        let body: ElectMasterResponseBody = self.body(&reply)?;
        let set = Confirmed {
            number: header.sync_state_set_epoch.unwrap_or(0),
            members: body.sync_state_set,
        };
        Ok(Told {
            master: master(header.master_broker_id, header.master_address),
            epoch: header.master_epoch.unwrap_or(0),
            set,
        })
    }

    /// A master asks for another set; `number` is that of the set it knows.
    pub(super) async fn alter(
        &self,
        (id, epoch): (i64, i32),
        wanted: &Confirmed,
    ) -> Result<Confirmed, AskError> {
        let header = AlterSyncStateSetRequestHeader {
            broker_name: &self.member.options.broker_name,
            master_broker_id: id,
            master_epoch: epoch,
            invoke_time: crate::sys::Clock::machine_ms(),
        };
        let body = SyncStateSet {
            sync_state_set: wanted.members.clone(),
            sync_state_set_epoch: wanted.number,
        };
        let code = RequestCode::CONTROLLER_ALTER_SYNC_STATE_SET;
        let reply = self.call(code, &header, Some(&body)).await?;
        self.body(&reply).map(confirmed)
    }

    /// A sign of life that waits for the answer, so that what is asked next finds this broker alive.
    pub(super) async fn beat(&self, id: i64, pulse: Pulse) -> Result<(), AskError> {
        self.reply(heartbeat(self.member, id, pulse))
            .await
            .map(drop)
    }

    async fn call(
        &self,
        code: RequestCode,
        header: &(impl Header + Sync),
        body: Option<&SyncStateSet>,
    ) -> Result<Reply, AskError> {
        let mut request = Command::request(code, header);
        if let Some(body) = body {
            let bytes =
                fastjson::to_wire(body).map_err(|error| AskError::Here(error.to_string()))?;
            request = request.with_body(bytes);
        }
        let reply = self.reply(request).await?;
        if reply.code == ResponseCode::SUCCESS {
            Ok(reply)
        } else {
            Err(self.refused(&reply))
        }
    }

    async fn reply(&self, request: Command) -> Result<Reply, AskError> {
        self.channel
            .call(request, CALL_LIMIT)
            .await
            .map_err(|error| self.unclear(error.to_string()))
    }

    fn refused(&self, reply: &Reply) -> AskError {
        AskError::Refused {
            address: self.address.clone(),
            code: reply.code,
            remark: reply.remark().to_owned(),
        }
    }

    fn unclear(&self, why: String) -> AskError {
        AskError::Unclear {
            address: self.address.clone(),
            why,
        }
    }

    fn header<'r, H: crate::protocol::header::FromFields<'r>>(
        &self,
        reply: &'r Reply,
    ) -> Result<H, AskError> {
        reply
            .header::<H>()
            .map_err(|error| self.unclear(error.to_string()))
    }

    fn body<B: serde::de::DeserializeOwned>(&self, reply: &Reply) -> Result<B, AskError> {
        fastjson::from_slice(&reply.body).map_err(|error| self.unclear(error.to_string()))
    }
}

async fn channel(channels: &Channels, address: &str) -> Result<Arc<Channel>, AskError> {
    channels.to(address).await.map_err(|why| AskError::Unclear {
        address: address.to_owned(),
        why,
    })
}

/// `BROKER_HEARTBEAT` (904).
pub(super) fn heartbeat(member: &Member, id: i64, pulse: Pulse) -> Command {
    let options = &member.options;
    let address = options.address();
    let limit = i64::try_from(options.controller_heart_beat_timeout_mills);
    let header = BrokerHeartbeatRequestHeader {
        cluster_name: &options.broker_cluster_name,
        broker_addr: &address,
        broker_name: &options.broker_name,
        broker_id: Some(id),
        epoch: Some(pulse.epoch),
        max_offset: Some(LogOffset::new(pulse.end).to_wire()),
        confirm_offset: Some(LogOffset::new(pulse.committed).to_wire()),
        heartbeat_timeout_mills: Some(limit.unwrap_or(i64::MAX)),
        election_priority: Some(options.broker_election_priority),
    };
    Command::request(RequestCode::BROKER_HEARTBEAT, &header)
}

/// A sign of life to one controller, without an answer.
pub(super) async fn beat_once(
    member: &Member,
    address: &str,
    (id, pulse): (i64, Pulse),
) -> Result<(), AskError> {
    let channel = channel(&member.channels, address).await?;
    channel.send_oneway(heartbeat(member, id, pulse));
    Ok(())
}
