//! What the controller and its brokers tell each other about masters and replicas.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::route::BrokerMemberGroup;

/// The replicas that have all a master has acknowledged (1001, 1003, 1004, 1008).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SyncStateSet {
    /// Their ids, the master's among them.
    pub sync_state_set: BTreeSet<i64>,
    /// Grows with every change of the set.
    pub sync_state_set_epoch: i32,
}

/// The answer of 1002.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ElectMasterResponseBody {
    /// All replicas; only where a new master was elected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_member_group: Option<BrokerMemberGroup>,
    /// The ids in sync; after an election the master's alone.
    pub sync_state_set: BTreeSet<i64>,
}

/// The answer of 1006.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BrokerReplicasInfo {
    /// Broker name to its replicas; names the controller does not know are not there.
    pub replicas_info_table: BTreeMap<String, ReplicasInfo>,
}

/// The replicas of one broker name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReplicasInfo {
    /// Those that have all the master has acknowledged.
    pub in_sync_replicas: Vec<ReplicaIdentity>,
    /// The master's address, if there is a master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_address: Option<String>,
    /// The master's id, if there is a master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_broker_id: Option<i64>,
    /// Grows with every change of the master.
    pub master_epoch: i32,
    /// The others.
    pub not_in_sync_replicas: Vec<ReplicaIdentity>,
    /// Grows with every change of the set in sync.
    pub sync_state_set_epoch: i32,
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReplicaIdentity {
    /// Whether it is heard from.
    pub alive: bool,
    /// Its remoting address.
    pub broker_address: String,
    /// Its id with the controller, from 1 on.
    pub broker_id: i64,
    /// The name it shares with the others.
    pub broker_name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fastjson;

    #[test]
    fn the_members_have_apaches_names_and_order() {
        let info = BrokerReplicasInfo {
            replicas_info_table: BTreeMap::from([(
                "broker-a".to_owned(),
                ReplicasInfo {
                    in_sync_replicas: vec![ReplicaIdentity {
                        alive: true,
                        broker_address: "127.0.0.1:10911".to_owned(),
                        broker_id: 1,
                        broker_name: "broker-a".to_owned(),
                    }],
                    master_address: Some("127.0.0.1:10911".to_owned()),
                    master_broker_id: Some(1),
                    master_epoch: 2,
                    not_in_sync_replicas: Vec::new(),
                    sync_state_set_epoch: 3,
                },
            )]),
        };
        let written = fastjson::to_wire(&info).unwrap();
        let expected = concat!(
            r#"{"replicasInfoTable":{"broker-a":{"inSyncReplicas":[{"alive":true,"#,
            r#""brokerAddress":"127.0.0.1:10911","brokerId":1,"brokerName":"broker-a"}],"#,
            r#""masterAddress":"127.0.0.1:10911","masterBrokerId":1,"masterEpoch":2,"#,
            r#""notInSyncReplicas":[],"syncStateSetEpoch":3}}}"#,
        );
        assert_eq!(String::from_utf8(written.clone()).unwrap(), expected);
        assert_eq!(
            fastjson::from_slice::<BrokerReplicasInfo>(&written).unwrap(),
            info
        );
    }

    #[test]
    fn an_election_in_fastjsons_dialect_is_read() {
        let text = br#"{"brokerMemberGroup":{"brokerAddrs":{1:"h:1",2:"h:2"},"brokerName":"b","cluster":"c"},"syncStateSet":[2]}"#;
        let body: ElectMasterResponseBody = fastjson::from_slice(text).unwrap();
        assert_eq!(body.sync_state_set, BTreeSet::from([2]));
        let group = body.broker_member_group.unwrap();
        assert_eq!(group.broker_addrs[&2], "h:2");
        let none: ElectMasterResponseBody =
            fastjson::from_slice(br#"{"syncStateSet":[1,2]}"#).unwrap();
        assert_eq!(none.broker_member_group, None);
    }

    #[test]
    fn a_sync_state_set_goes_both_ways() {
        let set = SyncStateSet {
            sync_state_set: BTreeSet::from([2, 1]),
            sync_state_set_epoch: 7,
        };
        let written = fastjson::to_wire(&set).unwrap();
        assert_eq!(written, br#"{"syncStateSet":[1,2],"syncStateSetEpoch":7}"#);
        assert_eq!(fastjson::from_slice::<SyncStateSet>(&written).unwrap(), set);
    }
}
