//! Controllers: which there are, whom they have made master, and having them elect another. Apache's and `rmq`'s alike.

use std::collections::BTreeMap;

use crate::protocol::body::controller::{BrokerReplicasInfo, ReplicasInfo};
use crate::protocol::codes::RequestCode;
use crate::protocol::header::NoHeader;
use crate::protocol::header::controller::{
    ElectMasterRequestHeader, ElectMasterResponseHeader, GetMetaDataResponseHeader,
};

use super::broker::{read_properties, write_properties};
use super::{Admin, body};
use crate::base::list::addresses;
use crate::client::error::ClientError;
use crate::client::net::unreadable;

/// What a controller knows of itself and the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControllerMetadata {
    /// Their group.
    pub group: String,
    /// Who leads, if anybody does.
    pub leader_id: Option<String>,
    /// Where the leader is.
    pub leader_address: Option<String>,
    /// Whether the one asked leads.
    pub is_leader: bool,
    /// Id and address of each.
    pub peers: Vec<(String, String)>,
}

/// A master that a controller has just elected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ElectedMaster {
    /// Its id with the controller.
    pub id: Option<i64>,
    /// Its address.
    pub address: Option<String>,
    /// The epoch it begins.
    pub epoch: Option<i32>,
}

impl Admin {
    /// Asks a controller for itself and the others.
    pub async fn controller_at(&self, controller: &str) -> Result<ControllerMetadata, ClientError> {
        let code = RequestCode::CONTROLLER_GET_METADATA_INFO;
        let reply = self.ask(controller, code, &NoHeader).await?;
        let header: GetMetaDataResponseHeader<'_> = reply
            .header()
            .map_err(|error| unreadable(controller, code, error))?;
        let some = |text: Option<&str>| {
            let text = text.filter(|text| !text.is_empty());
            text.map(str::to_owned)
        };
        let peers = addresses(header.peers.unwrap_or_default());
        let peers = peers.filter_map(|peer| peer.split_once(':'));
        Ok(ControllerMetadata {
            group: header.group.unwrap_or_default().to_owned(),
            leader_id: some(header.controller_leader_id),
            leader_address: some(header.controller_leader_address),
            is_leader: header.is_leader,
            peers: peers
                .map(|(id, address)| (id.to_owned(), address.to_owned()))
                .collect(),
        })
    }

    /// Masters and replicas of broker names, from the controller that leads. Names it does not know are left out.
    pub async fn replicas_at(
        &self,
        controller: &str,
        names: &[String],
    ) -> Result<BTreeMap<String, ReplicasInfo>, ClientError> {
        let code = RequestCode::CONTROLLER_GET_SYNC_STATE_DATA;
        let names =
            serde_json::to_vec(names).map_err(|error| unreadable(controller, code, error))?;
        let reply = self.tell(controller, code, &NoHeader, names).await?;
        let info: BrokerReplicasInfo = body(controller, code, &reply)?;
        Ok(info.replicas_info_table)
    }

    /// Has the controller that leads make this broker the master of its name, and no other. It refuses a broker that is
    /// not alive, and one that is not in sync unless its setting `enableElectUncleanMaster` is on.
    pub async fn elect_at(
        &self,
        controller: &str,
        cluster: &str,
        name: &str,
        broker_id: i64,
    ) -> Result<ElectedMaster, ClientError> {
        let code = RequestCode::CONTROLLER_ELECT_MASTER;
        let header = ElectMasterRequestHeader {
            cluster_name: cluster,
            broker_name: name,
            broker_id,
            designate_elect: true,
            invoke_time: 0,
        };
        let reply = self.ask(controller, code, &header).await?;
        let header: ElectMasterResponseHeader<'_> = reply
            .header()
            .map_err(|error| unreadable(controller, code, error))?;
        Ok(ElectedMaster {
            id: header.master_broker_id,
            address: header.master_address.map(str::to_owned),
            epoch: header.master_epoch,
        })
    }

    /// A controller's settings.
    pub async fn controller_config(
        &self,
        controller: &str,
    ) -> Result<BTreeMap<String, String>, ClientError> {
        let code = RequestCode::GET_CONTROLLER_CONFIG;
        let reply = self.ask(controller, code, &NoHeader).await?;
        Ok(read_properties(&reply.body))
    }

    /// Changes settings of one running controller.
    pub async fn set_controller_config(
        &self,
        controller: &str,
        settings: &BTreeMap<String, String>,
    ) -> Result<(), ClientError> {
        let code = RequestCode::UPDATE_CONTROLLER_CONFIG;
        self.tell(controller, code, &NoHeader, write_properties(settings)?)
            .await
            .map(drop)
    }
}
