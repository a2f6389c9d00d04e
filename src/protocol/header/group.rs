//! Headers of group membership: who is in a group, who leaves, who must look again.

use super::headers;

headers! {
    /// `GET_CONSUMER_LIST_BY_GROUP` (38).
    GetConsumerListByGroupRequestHeader<'f> {
        consumer_group: &'f str = "consumerGroup", required;
        broker_name: &'f str = "bname", optional;
    }

    /// The answer of `HEART_BEAT` (34), whose request has a body only.
    HeartbeatResponseHeader {
        is_support_heart_beat_v2: bool = "IS_SUPPORT_HEART_BEAT_V2", optional;
        is_sub_change: bool = "IS_SUB_CHANGE", optional;
    }

    /// `UNREGISTER_CLIENT` (35).
    UnregisterClientRequestHeader<'f> {
        client_id: &'f str = "clientID", required;
        producer_group: &'f str = "producerGroup", optional;
        consumer_group: &'f str = "consumerGroup", optional;
    }

    /// `NOTIFY_CONSUMER_IDS_CHANGED` (40), from the broker, one-way.
    NotifyConsumerIdsChangedRequestHeader<'f> {
        consumer_group: &'f str = "consumerGroup", required;
    }

    /// `NOTIFY_UNSUBSCRIBE_LITE` (200073), from the broker.
    NotifyUnsubscribeLiteRequestHeader<'f> {
        lite_topic: &'f str = "liteTopic", required;
        consumer_group: &'f str = "consumerGroup", required;
        client_id: &'f str = "clientId", required;
    }
}
