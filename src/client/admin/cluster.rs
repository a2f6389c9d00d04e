//! Which brokers there are.

use crate::base::BrokerName;
use crate::protocol::body::route::{BrokerData, ClusterInfo};
use crate::protocol::codes::RequestCode;
use crate::protocol::header::NoHeader;

use super::Admin;
use crate::client::error::ClientError;
use crate::client::route::RouteBroker;

/// The brokers of all clusters a name server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    /// The broker groups, ordered by name; each names its cluster.
    pub brokers: Vec<RouteBroker>,
}

impl Clusters {
    /// The broker groups that have a master now, with its address.
    pub fn masters(&self) -> impl Iterator<Item = (&RouteBroker, &str)> {
        self.brokers
            .iter()
            .filter_map(|broker| Some((broker, broker.master()?)))
    }

    /// The group and id of the broker at an address.
    pub fn at_address(&self, address: &str) -> Option<(&RouteBroker, i64)> {
        self.brokers.iter().find_map(|broker| {
            let mut addresses = broker.addresses.iter();
            let (id, _) = addresses.find(|(_, known)| *known == address)?;
            Some((broker, *id))
        })
    }
}

impl Admin {
    /// All broker groups.
    pub async fn clusters(&self) -> Result<Clusters, ClientError> {
        let code = RequestCode::GET_BROKER_CLUSTER_INFO;
        let info: ClusterInfo = self.fetch_from_name_server(code, &NoHeader).await?;
        Ok(Clusters::from(info))
    }

    /// The broker groups that have a master now; an error if there is none.
    pub async fn masters(&self) -> Result<Vec<(BrokerName, String)>, ClientError> {
        let clusters = self.clusters().await?;
        let masters: Vec<(BrokerName, String)> = clusters
            .masters()
            .map(|(broker, address)| (broker.name.clone(), address.to_owned()))
            .collect();
        if masters.is_empty() {
            return Err(ClientError::NoBroker {
                reason: if clusters.brokers.is_empty() {
                    "the name server knows no broker"
                } else {
                    "no broker group has a master"
                },
            });
        }
        Ok(masters)
    }
}

impl From<ClusterInfo> for Clusters {
    fn from(info: ClusterInfo) -> Self {
        let mut brokers: Vec<RouteBroker> = info
            .broker_addr_table
            .into_values()
            .map(RouteBroker::from)
            .collect();
        brokers.sort_by(|a, b| a.name.cmp(&b.name));
        Self { brokers }
    }
}

impl From<BrokerData> for RouteBroker {
    fn from(data: BrokerData) -> Self {
        Self {
            cluster: data.cluster,
            name: BrokerName::stored(&data.broker_name),
            addresses: data.broker_addrs.into_iter().collect(),
        }
    }
}
