//! Figures: how far topics and groups are, what flows through a broker.

use crate::protocol::body::consume::QueryConsumeQueueResponseBody;
use crate::protocol::body::stats::{
    BrokerStatsData, ConsumeStats, ConsumeStatsList, QueryConsumeTimeSpanBody, QueueTimeSpan,
    TopicStatsTable,
};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::header::broker::ViewBrokerStatsDataRequestHeader;
use crate::protocol::header::consumer::{
    GetConsumeStatsInBrokerHeader, GetConsumeStatsRequestHeader, QueryConsumeQueueRequestHeader,
    QueryConsumeTimeSpanRequestHeader,
};
use crate::protocol::header::topic::GetTopicStatsInfoRequestHeader;

use super::Admin;
use crate::client::error::ClientError;
use crate::client::queue::MessageQueue;

impl Admin {
    /// The ends of a topic's queues on one broker; `None` if it does not have the topic.
    pub async fn topic_stats_at(
        &self,
        broker: &str,
        topic: &str,
    ) -> Result<Option<TopicStatsTable>, ClientError> {
        let header = GetTopicStatsInfoRequestHeader {
            topic,
            ..GetTopicStatsInfoRequestHeader::default()
        };
        let request = Command::request(RequestCode::GET_TOPIC_STATS_INFO, &header);
        self.find(broker, request, &[ResponseCode::TOPIC_NOT_EXIST])
            .await
    }

    /// The ends of a topic's queues on all its masters.
    pub async fn topic_stats(&self, topic: &str) -> Result<TopicStatsTable, ClientError> {
        let mut all = TopicStatsTable::default();
        for broker in &self.topic_route(topic).await?.brokers {
            let Some(address) = broker.readable_at(0) else {
                continue;
            };
            if let Some(part) = self.topic_stats_at(address, topic).await? {
                all.offset_table.extend(part.offset_table);
                all.topic_put_tps += part.topic_put_tps;
            }
        }
        Ok(all)
    }

    /// How far a group is on one broker: in one topic, or in all it has offsets for (only those that its members
    /// subscribe to, while some are connected).
    pub async fn consume_stats_at(
        &self,
        broker: &str,
        group: &str,
        topic: Option<&str>,
    ) -> Result<ConsumeStats, ClientError> {
        let code = RequestCode::GET_CONSUME_STATS;
        let header = GetConsumeStatsRequestHeader {
            consumer_group: group,
            topic,
            topic_list: None,
        };
        self.fetch(broker, code, &header).await
    }

    /// How far a group is on all masters.
    pub async fn consume_stats(
        &self,
        group: &str,
        topic: Option<&str>,
    ) -> Result<ConsumeStats, ClientError> {
        let mut all = ConsumeStats::default();
        for (_, master) in self.masters().await? {
            let part = self.consume_stats_at(&master, group, topic).await?;
            all.offset_table.extend(part.offset_table);
            all.consume_tps += part.consume_tps;
        }
        Ok(all)
    }

    /// How far all groups of a broker are, with the group's name; only ordered topics if `order` says so.
    pub async fn all_consume_stats_at(
        &self,
        broker: &str,
        order: bool,
    ) -> Result<Vec<(String, Vec<ConsumeStats>)>, ClientError> {
        let code = RequestCode::GET_BROKER_CONSUME_STATS;
        let header = GetConsumeStatsInBrokerHeader { is_order: order };
        let list: ConsumeStatsList = self.fetch(broker, code, &header).await?;
        Ok(list.consume_stats_list.into_iter().flatten().collect())
    }

    /// What times the queues of a topic span on one broker, and where a group is in them.
    pub async fn consume_time_span_at(
        &self,
        broker: &str,
        group: &str,
        topic: &str,
    ) -> Result<Vec<QueueTimeSpan>, ClientError> {
        let code = RequestCode::QUERY_CONSUME_TIME_SPAN;
        let header = QueryConsumeTimeSpanRequestHeader { topic, group };
        let body: QueryConsumeTimeSpanBody = self.fetch(broker, code, &header).await?;
        Ok(body.consume_time_span_set)
    }

    /// One of a broker's counters, such as `TOPIC_PUT_NUMS` of a topic or `GROUP_GET_NUMS` of `topic@group`; `None` if it
    /// never counted anything.
    pub async fn counter_at(
        &self,
        broker: &str,
        name: &str,
        key: &str,
    ) -> Result<Option<BrokerStatsData>, ClientError> {
        let header = ViewBrokerStatsDataRequestHeader {
            stats_name: name,
            stats_key: key,
        };
        let request = Command::request(RequestCode::VIEW_BROKER_STATS_DATA, &header);
        // Apache answers a plain error for a counter it does not have.
        self.find(broker, request, &[ResponseCode::SYSTEM_ERROR])
            .await
    }

    /// Entries of a consume queue, from `index` on; with a group, also whether its filter lets them pass.
    pub async fn consume_queue(
        &self,
        queue: &MessageQueue,
        index: i64,
        count: i32,
        group: Option<&str>,
    ) -> Result<QueryConsumeQueueResponseBody, ClientError> {
        let code = RequestCode::QUERY_CONSUME_QUEUE;
        let header = QueryConsumeQueueRequestHeader {
            topic: Some(queue.topic.as_str()),
            queue_id: queue.queue.to_wire(),
            index,
            count,
            consumer_group: group,
        };
        let address = self.shared.read_address(queue, 0).await?;
        self.fetch(&address, code, &header).await
    }
}
