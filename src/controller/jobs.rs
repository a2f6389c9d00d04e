//! Requests that need the controllers' agreement, read from their frames.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::handlers::Failed;
use super::state::FIRST_ID;
use crate::protocol::body::controller::SyncStateSet;
use crate::protocol::codes::RequestCode;
use crate::protocol::command::Head;
use crate::protocol::fastjson;
use crate::protocol::header::controller as header;

/// A request that is not answered at once, without its frame.
#[derive(Debug)]
pub(super) enum Job {
    NextId {
        cluster: String,
        name: String,
    },
    ApplyId {
        cluster: String,
        name: String,
        id: i64,
        check_code: String,
    },
    Register {
        cluster: String,
        name: String,
        id: i64,
        address: String,
    },
    Elect {
        name: String,
        by: Option<i64>,
        designate: bool,
    },
    Alter {
        name: String,
        master: i64,
        master_epoch: i32,
        wanted: SyncStateSet,
    },
    Replicas {
        name: String,
    },
    SyncState {
        names: Vec<String>,
    },
    Clean {
        name: String,
        ids: BTreeSet<i64>,
        living: bool,
    },
    Consensus {
        head: ConsensusHead,
        body: Bytes,
    },
    Unknown {
        code: i32,
    },
}

/// The header of a call between controllers.
#[derive(Debug)]
pub(super) struct ConsensusHead {
    call: String,
    group: String,
    members: String,
    from: String,
    to: String,
}

impl ConsensusHead {
    pub(super) fn header(&self) -> header::ConsensusRequestHeader<'_> {
        header::ConsensusRequestHeader {
            call: &self.call,
            group: &self.group,
            members: &self.members,
            from: &self.from,
            to: &self.to,
        }
    }
}

impl Job {
    /// Reads a request.
    pub(super) fn read(head: &Head<'_>, body: &[u8]) -> Result<Self, Failed> {
        Ok(match head.request_code() {
            RequestCode::CONTROLLER_GET_NEXT_BROKER_ID => {
                let header: header::GetNextBrokerIdRequestHeader<'_> = head.header()?;
                Self::NextId {
                    cluster: header.cluster_name.to_owned(),
                    name: header.broker_name.to_owned(),
                }
            }
            RequestCode::CONTROLLER_APPLY_BROKER_ID => {
                let header: header::ApplyBrokerIdRequestHeader<'_> = head.header()?;
                Self::ApplyId {
                    cluster: header.cluster_name.to_owned(),
                    name: header.broker_name.to_owned(),
                    id: header.applied_broker_id,
                    check_code: header.register_check_code.to_owned(),
                }
            }
            RequestCode::CONTROLLER_REGISTER_BROKER => {
                let header: header::RegisterBrokerToControllerRequestHeader<'_> = head.header()?;
                Self::Register {
                    cluster: header.cluster_name.to_owned(),
                    name: header.broker_name.to_owned(),
                    id: header.broker_id,
                    address: header.broker_address.to_owned(),
                }
            }
            RequestCode::CONTROLLER_ELECT_MASTER => {
                let header: header::ElectMasterRequestHeader<'_> = head.header()?;
                Self::Elect {
                    name: header.broker_name.to_owned(),
                    by: Some(header.broker_id).filter(|id| *id >= FIRST_ID),
                    designate: header.designate_elect,
                }
            }
            RequestCode::CONTROLLER_ALTER_SYNC_STATE_SET => {
                let header: header::AlterSyncStateSetRequestHeader<'_> = head.header()?;
                Self::Alter {
                    name: header.broker_name.to_owned(),
                    master: header.master_broker_id,
                    master_epoch: header.master_epoch,
                    wanted: fastjson::from_slice(body)?,
                }
            }
            RequestCode::CONTROLLER_GET_REPLICA_INFO => {
                let header: header::GetReplicaInfoRequestHeader<'_> = head.header()?;
                Self::Replicas {
                    name: header.broker_name.to_owned(),
                }
            }
            RequestCode::CONTROLLER_GET_SYNC_STATE_DATA => Self::SyncState {
                names: match body {
                    [] => Vec::new(),
                    body => fastjson::from_slice(body)?,
                },
            },
            RequestCode::CLEAN_BROKER_DATA => {
                let header: header::CleanControllerBrokerDataRequestHeader<'_> = head.header()?;
                Self::Clean {
                    name: header.broker_name.to_owned(),
                    ids: ids(header.broker_controller_ids_to_clean.unwrap_or_default())?,
                    living: header.is_clean_living_broker,
                }
            }
            RequestCode::RMQ_CONSENSUS => {
                let header: header::ConsensusRequestHeader<'_> = head.header()?;
                Self::Consensus {
                    head: ConsensusHead {
                        call: header.call.to_owned(),
                        group: header.group.to_owned(),
                        members: header.members.to_owned(),
                        from: header.from.to_owned(),
                        to: header.to.to_owned(),
                    },
                    body: Bytes::copy_from_slice(body),
                }
            }
            code => Self::Unknown { code: code.0 },
        })
    }
}

/// The ids in `1;2;3`.
fn ids(text: &str) -> Result<BTreeSet<i64>, Failed> {
    let parts = text
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let ids: Result<_, _> = parts.map(str::parse).collect();
    ids.map_err(|_| Failed::Ids(text.to_owned()))
}
