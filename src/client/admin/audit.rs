//! Questions that compare servers: what each name server thinks, what time it is at a broker, how far its slaves are.

use std::collections::BTreeMap;

use crate::protocol::body::ha::HARuntimeInfo;
use crate::protocol::body::heartbeat::{HeartbeatData, ProducerData};
use crate::protocol::body::lists::TopicList;
use crate::protocol::body::route::ClusterInfo;
use crate::protocol::codes::RequestCode;
use crate::protocol::header::NoHeader;
use crate::protocol::header::group::UnregisterClientRequestHeader;

use super::topic::sorted;
use super::{Admin, Clusters, written};
use crate::client::error::ClientError;

/// The producer group a broker is asked for its time under. It exists for the length of one question.
const PROBE_GROUP: &str = "rmq-doctor";

impl Admin {
    /// All broker groups, as one name server knows them.
    pub async fn clusters_at(&self, name_server: &str) -> Result<Clusters, ClientError> {
        let code = RequestCode::GET_BROKER_CLUSTER_INFO;
        let info: ClusterInfo = self.fetch(name_server, code, &NoHeader).await?;
        Ok(Clusters::from(info))
    }

    /// The names of all topics, as one name server knows them.
    pub async fn topics_at(&self, name_server: &str) -> Result<Vec<String>, ClientError> {
        let code = RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER;
        let list: TopicList = self.fetch(name_server, code, &NoHeader).await?;
        Ok(sorted(list.topic_list))
    }

    /// How far the slaves of a master are.
    pub async fn ha_status_at(&self, broker: &str) -> Result<HARuntimeInfo, ClientError> {
        let code = RequestCode::GET_BROKER_HA_STATUS;
        self.fetch(broker, code, &NoHeader).await
    }

    /// What time it is for any broker, Apache's included, in milliseconds since 1970; `None` if it does not tell.
    ///
    /// No request asks for the time. But a broker notes when it last heard of a producer, and tells: so this client
    /// becomes a producer of a group of its own for the length of the question.
    pub async fn time_at(&self, broker: &str) -> Result<Option<i64>, ClientError> {
        let id = self.shared.id.as_str();
        let heartbeat = HeartbeatData {
            client_id: id.to_owned(),
            producer_data_set: vec![ProducerData {
                group_name: PROBE_GROUP.to_owned(),
            }],
            ..HeartbeatData::default()
        };
        let code = RequestCode::HEART_BEAT;
        self.tell(broker, code, &NoHeader, written(&heartbeat)?)
            .await?;
        let producers = self.producers_at(broker).await;
        let header = UnregisterClientRequestHeader {
            client_id: id,
            producer_group: Some(PROBE_GROUP),
            consumer_group: None,
        };
        self.ask(broker, RequestCode::UNREGISTER_CLIENT, &header)
            .await?;
        let producers: BTreeMap<_, _> = producers?;
        let ours = producers
            .get(PROBE_GROUP)
            .and_then(|members| members.iter().find(|member| member.client_id == id));
        Ok(ours
            .map(|member| member.last_update_timestamp)
            .filter(|ms| *ms > 0))
    }
}
