//! Headers between brokers, clients and the name server.

use super::headers;

headers! {
    /// `GET_ROUTEINFO_BY_TOPIC` (105).
    GetRouteInfoRequestHeader<'f> {
        topic: &'f str = "topic", required;
        accept_standard_json_only: bool = "acceptStandardJsonOnly", optional;
    }

    /// `REGISTER_BROKER` (103).
    RegisterBrokerRequestHeader<'f> {
        broker_name: &'f str = "brokerName", required;
        broker_addr: &'f str = "brokerAddr", required;
        cluster_name: &'f str = "clusterName", required;
        ha_server_addr: &'f str = "haServerAddr", required;
        broker_id: i64 = "brokerId", required;
        heartbeat_timeout_millis: i64 = "heartbeatTimeoutMillis", optional;
        enable_acting_master: bool = "enableActingMaster", optional;
        compressed: bool = "compressed", default false;
        body_crc32: i32 = "bodyCrc32", default 0;
        zone_name: &'f str = "__ZONE_NAME", optional;
    }

    /// The answer of 103. Both fields stay away unless a slave has to learn its master.
    RegisterBrokerResponseHeader<'f> {
        ha_server_addr: &'f str = "haServerAddr", optional;
        master_addr: &'f str = "masterAddr", optional;
    }

    /// `UNREGISTER_BROKER` (104).
    UnRegisterBrokerRequestHeader<'f> {
        broker_name: &'f str = "brokerName", required;
        broker_addr: &'f str = "brokerAddr", required;
        cluster_name: &'f str = "clusterName", required;
        broker_id: i64 = "brokerId", required;
    }

    /// `BROKER_HEARTBEAT` (904).
    BrokerHeartbeatRequestHeader<'f> {
        cluster_name: &'f str = "clusterName", required;
        broker_addr: &'f str = "brokerAddr", required;
        broker_name: &'f str = "brokerName", required;
        broker_id: i64 = "brokerId", optional;
        epoch: i32 = "epoch", optional;
        max_offset: i64 = "maxOffset", optional;
        confirm_offset: i64 = "confirmOffset", optional;
        heartbeat_timeout_mills: i64 = "heartbeatTimeoutMills", optional;
        election_priority: i32 = "electionPriority", optional;
    }

    /// `QUERY_DATA_VERSION` (322).
    QueryDataVersionRequestHeader<'f> {
        broker_name: &'f str = "brokerName", required;
        broker_addr: &'f str = "brokerAddr", required;
        cluster_name: &'f str = "clusterName", required;
        broker_id: i64 = "brokerId", required;
    }

    /// The answer of 322; the body is the data version the name server has.
    QueryDataVersionResponseHeader {
        changed: bool = "changed", required;
    }

    /// `GET_KV_CONFIG` (101).
    GetKVConfigRequestHeader<'f> {
        namespace: &'f str = "namespace", required;
        key: &'f str = "key", required;
    }

    /// The answer of 101.
    GetKVConfigResponseHeader<'f> {
        value: &'f str = "value", optional;
    }

    /// `PUT_KV_CONFIG` (100).
    PutKVConfigRequestHeader<'f> {
        namespace: &'f str = "namespace", required;
        key: &'f str = "key", required;
        value: &'f str = "value", required;
    }

    /// `DELETE_KV_CONFIG` (102).
    DeleteKVConfigRequestHeader<'f> {
        namespace: &'f str = "namespace", required;
        key: &'f str = "key", required;
    }

    /// `GET_KVLIST_BY_NAMESPACE` (219).
    GetKVListByNamespaceRequestHeader<'f> {
        namespace: &'f str = "namespace", required;
    }

    /// `GET_TOPICS_BY_CLUSTER` (224).
    GetTopicsByClusterRequestHeader<'f> {
        cluster: &'f str = "cluster", required;
    }

    /// `DELETE_TOPIC_IN_NAMESRV` (216).
    DeleteTopicFromNamesrvRequestHeader<'f> {
        topic: &'f str = "topic", required;
        cluster_name: &'f str = "clusterName", optional;
    }

    /// `REGISTER_TOPIC_IN_NAMESRV` (217); the body is a route.
    RegisterTopicRequestHeader<'f> {
        topic: &'f str = "topic", required;
    }

    /// `WIPE_WRITE_PERM_OF_BROKER` (205).
    WipeWritePermOfBrokerRequestHeader<'f> {
        broker_name: &'f str = "brokerName", required;
    }

    /// The answer of 205.
    WipeWritePermOfBrokerResponseHeader {
        wipe_topic_count: i32 = "wipeTopicCount", required;
    }

    /// `ADD_WRITE_PERM_OF_BROKER` (327).
    AddWritePermOfBrokerRequestHeader<'f> {
        broker_name: &'f str = "brokerName", required;
    }

    /// The answer of 327.
    AddWritePermOfBrokerResponseHeader {
        add_topic_count: i32 = "addTopicCount", required;
    }

    /// `GET_BROKER_MEMBER_GROUP` (901).
    GetBrokerMemberGroupRequestHeader<'f> {
        cluster_name: &'f str = "clusterName", required;
        broker_name: &'f str = "brokerName", required;
    }

    /// `NOTIFY_MIN_BROKER_ID_CHANGE` (905), to brokers, one-way.
    NotifyMinBrokerIdChangeRequestHeader<'f> {
        min_broker_id: i64 = "minBrokerId", optional;
        broker_name: &'f str = "brokerName", optional;
        min_broker_addr: &'f str = "minBrokerAddr", optional;
        offline_broker_addr: &'f str = "offlineBrokerAddr", optional;
        ha_broker_addr: &'f str = "haBrokerAddr", optional;
    }
}
