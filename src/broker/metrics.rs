//! Figures for Prometheus, by the names and labels of Apache's exporter (`BrokerMetricsConstant`), so that dashboards
//! made for it show this broker too.
//!
//! Nothing is kept for this: a scrape reads the tables and counters there are. Lock order: each table is locked for one
//! look at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Broker;
use super::handlers::offset::max_of;
use super::stats::StatsName;
use crate::base::TopicName;

/// What a scrape of one broker gives.
pub(crate) struct BrokerMetrics(Arc<Broker>);

impl BrokerMetrics {
    /// Figures of `broker`.
    pub(crate) fn new(broker: Arc<Broker>) -> Self {
        Self(broker)
    }
}

impl fmt::Debug for BrokerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BrokerMetrics").finish_non_exhaustive()
    }
}

type Labels<'a> = Vec<(&'a str, String)>;

/// One family of figures on its way out.
struct Family<'a> {
    name: &'a str,
    help: &'a str,
}

impl Family<'_> {
    fn gauges<'l>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        rows: impl IntoIterator<Item = (Labels<'l>, i64)>,
    ) -> fmt::Result {
        let rows = rows.into_iter();
        let kind = MetricType::Gauge;
        self.encode(
            encoder,
            kind,
            rows.map(|(labels, value)| (labels, ConstGauge::new(value))),
        )
    }

    fn counters<'l>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        rows: impl IntoIterator<Item = (Labels<'l>, u64)>,
    ) -> fmt::Result {
        let rows = rows.into_iter();
        let kind = MetricType::Counter;
        self.encode(
            encoder,
            kind,
            rows.map(|(labels, value)| (labels, ConstCounter::new(value))),
        )
    }

    fn encode<'l, M: EncodeMetric>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        kind: MetricType,
        rows: impl Iterator<Item = (Labels<'l>, M)>,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(self.name, self.help, None, kind)?;
        for (labels, metric) in rows {
            metric.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

const fn family<'a>(name: &'a str, help: &'a str) -> Family<'a> {
    Family { name, help }
}

impl Collector for BrokerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let broker = &*self.0;
        encode_broker(broker, &mut encoder)?;
        encode_traffic(broker, &mut encoder)?;
        encode_clients(broker, &mut encoder)?;
        encode_groups(broker, &mut encoder)
    }
}

/// The labels that every figure has.
fn node(broker: &Broker) -> Labels<'static> {
    let options = broker.options.load();
    vec![
        ("cluster", options.broker_cluster_name.clone()),
        ("node_type", "broker".to_owned()),
        ("node_id", options.broker_name.clone()),
    ]
}

fn encode_broker(broker: &Broker, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let one = |value: i64| [(node(broker), value)];
    let big = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let count = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
    let figures = broker.store.runtime_figures();
    let permission = broker.options.load().broker_permission;
    family(
        "rocketmq_broker_permission",
        "Permission bits: 4 read, 2 write",
    )
    .gauges(encoder, one(i64::from(permission)))?;
    family("rocketmq_topic_number", "Topics").gauges(
        encoder,
        one(count(broker.topics.with(|topics| topics.len()))),
    )?;
    let groups = broker.groups.with(|groups| groups.iter().count());
    family("rocketmq_consumer_group_number", "Subscription groups")
        .gauges(encoder, one(count(groups)))?;
    family(
        "rocketmq_storage_size",
        "Bytes of messages that can be read",
    )
    .gauges(
        encoder,
        one(big(figures.log_end.saturating_sub(figures.log_min))),
    )?;
    family(
        "rocketmq_storage_flush_behind_bytes",
        "Bytes that are not on the disk yet",
    )
    .gauges(
        encoder,
        one(big(figures.log_end.saturating_sub(figures.log_flushed))),
    )?;
    family(
        "rocketmq_storage_dispatch_behind_bytes",
        "Bytes that the key index has not seen yet",
    )
    .gauges(
        encoder,
        one(big(figures.log_end.saturating_sub(figures.dispatched))),
    )?;
    let now_ms = broker.clock.now_ms();
    let kept_ms = (figures.earliest_timestamp_ms > 0)
        .then(|| (now_ms - figures.earliest_timestamp_ms).max(0));
    family(
        "rocketmq_storage_message_reserve_time",
        "Age of the oldest message, ms",
    )
    .gauges(encoder, one(kept_ms.unwrap_or(0)))?;
    if let Some(timer) = &broker.timer {
        family(
            "rocketmq_timing_messages",
            "Messages that wait for their time",
        )
        .gauges(encoder, one(timer.waiting()))?;
    }
    let failed = broker.stats.put_failed.total();
    family("rmq_send_refused_messages", "Sends that were not stored")
        .counters(encoder, [(node(broker), failed)])
}

fn is_retry(topic: &str) -> bool {
    let topic = TopicName::stored(topic);
    topic.is_retry() || topic.is_dlq()
}

fn encode_traffic(broker: &Broker, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let of_topic = |name: StatsName| {
        let totals = broker.stats.totals(name);
        totals.into_iter().map(|(topic, total)| {
            let mut labels = node(broker);
            let system = broker.topics.with(|topics| topics.is_system(&topic));
            labels.push(("is_retry", is_retry(&topic).to_string()));
            labels.push(("is_system", system.to_string()));
            labels.push(("topic", topic));
            (labels, total)
        })
    };
    let of_group = |name: StatsName| {
        let totals = broker.stats.totals(name);
        totals.into_iter().map(|(key, total)| {
            let (topic, group) = key.split_once('@').unwrap_or((&key, ""));
            let mut labels = node(broker);
            labels.push(("topic", topic.to_owned()));
            labels.push(("consumer_group", group.to_owned()));
            labels.push(("is_retry", is_retry(topic).to_string()));
            (labels, total)
        })
    };
    family("rocketmq_messages_in", "Messages stored")
        .counters(encoder, of_topic(StatsName::TopicPutNums))?;
    family("rocketmq_throughput_in", "Bytes stored")
        .counters(encoder, of_topic(StatsName::TopicPutSize))?;
    family("rocketmq_messages_out", "Messages handed out")
        .counters(encoder, of_group(StatsName::GroupGetNums))?;
    family("rocketmq_throughput_out", "Bytes handed out")
        .counters(encoder, of_group(StatsName::GroupGetSize))?;
    family(
        "rmq_messages_sent_back",
        "Messages that consumers sent back",
    )
    .counters(encoder, of_group(StatsName::SendBackPutNums))
}

fn encode_clients(broker: &Broker, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut consumers: BTreeMap<String, i64> = BTreeMap::new();
    let mut producers: BTreeMap<String, i64> = BTreeMap::new();
    {
        let clients = broker.clients.lock();
        for (group, members) in clients.producer_groups() {
            producers.insert(
                group.to_string(),
                i64::try_from(members.len()).unwrap_or(i64::MAX),
            );
        }
        for (group, members) in clients.consumer_groups() {
            consumers.insert(
                group.to_string(),
                i64::try_from(members).unwrap_or(i64::MAX),
            );
        }
    }
    let rows = |name: &'static str, counts: BTreeMap<String, i64>| {
        counts.into_iter().map(move |(group, count)| {
            let mut labels = node(broker);
            labels.push((name, group));
            (labels, count)
        })
    };
    family("rocketmq_producer_connections", "Connected producers")
        .gauges(encoder, rows("producer_group", producers))?;
    family("rocketmq_consumer_connections", "Connected consumers")
        .gauges(encoder, rows("consumer_group", consumers))
}

/// How far each group is behind, over all queues of a topic.
fn encode_groups(broker: &Broker, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let committed = broker.offsets.with(|offsets| offsets.file().offset_table);
    let mut rows = Vec::new();
    for (key, queues) in committed {
        let (topic, group) = key.split_once('@').unwrap_or((&key, ""));
        let lag = queues
            .iter()
            .map(|(&queue, &offset)| (max_of(broker, topic, queue) - offset).max(0));
        let mut labels = node(broker);
        labels.push(("topic", topic.to_owned()));
        labels.push(("consumer_group", group.to_owned()));
        labels.push(("is_retry", is_retry(topic).to_string()));
        rows.push((labels, lag.sum()));
    }
    family(
        "rocketmq_consumer_lag_messages",
        "Messages that a group has not confirmed",
    )
    .gauges(encoder, rows)
}
