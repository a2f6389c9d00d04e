//! Headers of the controller: who is whose master, and how far the replicas are.
//!
//! Apache's classes lie in `remoting.protocol.header.controller`. Answers leave out what is not known, so
//! their fields are optional; of a request, what its handler cannot do without is required.

use super::headers;

headers! {
    /// `CONTROLLER_ALTER_SYNC_STATE_SET` (1001); the body is a `SyncStateSet` with the epoch the master knows.
    AlterSyncStateSetRequestHeader<'f> {
        broker_name: &'f str = "brokerName", required;
        master_broker_id: i64 = "masterBrokerId", required;
        master_epoch: i32 = "masterEpoch", required;
        invoke_time: i64 = "invokeTime", default 0;
    }

    /// The answer of 1001; the body is the new `SyncStateSet`.
    AlterSyncStateSetResponseHeader {
        new_sync_state_set_epoch: i32 = "newSyncStateSetEpoch", default 0;
    }

    /// `CONTROLLER_ELECT_MASTER` (1002). Id -1 means that the controller chooses; with `designateElect` only the
    /// named broker will do.
    ElectMasterRequestHeader<'f> {
        cluster_name: &'f str = "clusterName", default "";
        broker_name: &'f str = "brokerName", required;
        broker_id: i64 = "brokerId", default -1;
        designate_elect: bool = "designateElect", default false;
        invoke_time: i64 = "invokeTime", default 0;
    }

    /// The answer of 1002; the body is an `ElectMasterResponseBody`.
    ElectMasterResponseHeader<'f> {
        master_broker_id: i64 = "masterBrokerId", optional;
        master_address: &'f str = "masterAddress", optional;
        master_epoch: i32 = "masterEpoch", optional;
        sync_state_set_epoch: i32 = "syncStateSetEpoch", optional;
    }

    /// `CONTROLLER_REGISTER_BROKER` (1003).
    RegisterBrokerToControllerRequestHeader<'f> {
        cluster_name: &'f str = "clusterName", required;
        broker_name: &'f str = "brokerName", required;
        broker_id: i64 = "brokerId", required;
        broker_address: &'f str = "brokerAddress", required;
        invoke_time: i64 = "invokeTime", default 0;
    }

    /// The answer of 1003, without a master as long as there is none alive; the body is a `SyncStateSet`.
    RegisterBrokerToControllerResponseHeader<'f> {
        cluster_name: &'f str = "clusterName", optional;
        broker_name: &'f str = "brokerName", optional;
        master_broker_id: i64 = "masterBrokerId", optional;
        master_address: &'f str = "masterAddress", optional;
        master_epoch: i32 = "masterEpoch", optional;
        sync_state_set_epoch: i32 = "syncStateSetEpoch", optional;
    }

    /// `CONTROLLER_GET_REPLICA_INFO` (1004).
    GetReplicaInfoRequestHeader<'f> {
        broker_name: &'f str = "brokerName", required;
    }

    /// The answer of 1004; the body is a `SyncStateSet`.
    GetReplicaInfoResponseHeader<'f> {
        master_broker_id: i64 = "masterBrokerId", optional;
        master_address: &'f str = "masterAddress", optional;
        master_epoch: i32 = "masterEpoch", optional;
    }

    /// The answer of `CONTROLLER_GET_METADATA_INFO` (1005). Peers are `id:host:port;…`.
    GetMetaDataResponseHeader<'f> {
        group: &'f str = "group", optional;
        controller_leader_id: &'f str = "controllerLeaderId", optional;
        controller_leader_address: &'f str = "controllerLeaderAddress", optional;
        is_leader: bool = "isLeader", default false;
        peers: &'f str = "peers", optional;
    }

    /// `NOTIFY_BROKER_ROLE_CHANGED` (1008), to brokers, one-way; the body is a `SyncStateSet`.
    NotifyBrokerRoleChangedRequestHeader<'f> {
        master_address: &'f str = "masterAddress", optional;
        master_epoch: i32 = "masterEpoch", optional;
        sync_state_set_epoch: i32 = "syncStateSetEpoch", optional;
        master_broker_id: i64 = "masterBrokerId", optional;
    }

    /// `CLEAN_BROKER_DATA` (1011). Ids stand between semicolons; without any, the whole name is forgotten.
    CleanControllerBrokerDataRequestHeader<'f> {
        cluster_name: &'f str = "clusterName", optional;
        broker_name: &'f str = "brokerName", required;
        broker_controller_ids_to_clean: &'f str = "brokerControllerIdsToClean", optional;
        is_clean_living_broker: bool = "isCleanLivingBroker", default false;
        invoke_time: i64 = "invokeTime", default 0;
    }

    /// `CONTROLLER_GET_NEXT_BROKER_ID` (1012).
    GetNextBrokerIdRequestHeader<'f> {
        cluster_name: &'f str = "clusterName", required;
        broker_name: &'f str = "brokerName", required;
    }

    /// The answer of 1012.
    GetNextBrokerIdResponseHeader<'f> {
        cluster_name: &'f str = "clusterName", optional;
        broker_name: &'f str = "brokerName", optional;
        next_broker_id: i64 = "nextBrokerId", optional;
    }

    /// `CONTROLLER_APPLY_BROKER_ID` (1013). The check code is `address;time`, made up by the broker and kept, so
    /// that only it can ask again for the same id.
    ApplyBrokerIdRequestHeader<'f> {
        cluster_name: &'f str = "clusterName", required;
        broker_name: &'f str = "brokerName", required;
        applied_broker_id: i64 = "appliedBrokerId", required;
        register_check_code: &'f str = "registerCheckCode", required;
    }

    /// The answer of 1013.
    ApplyBrokerIdResponseHeader<'f> {
        cluster_name: &'f str = "clusterName", optional;
        broker_name: &'f str = "brokerName", optional;
    }

    /// `RMQ_CONSENSUS`; the body is the call as JSON, and so is the answer's. The group and its members are those the
    /// sender was configured with: controllers that disagree about them must not vote together.
    ConsensusRequestHeader<'f> {
        call: &'f str = "call", required;
        group: &'f str = "group", required;
        members: &'f str = "members", required;
        from: &'f str = "from", required;
        to: &'f str = "to", required;
    }
}
