//! `rmq topic show`: a topic queue by queue, broker by broker, or group by group.

use serde_json::{Value, json};

use super::list::rounded;
use super::perm;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::gather::gather;
use crate::cli::output::Column;
use crate::cli::times::show_time;
use crate::client::Route;
use crate::client::admin::Admin;

/// Show topics: their queues, brokers or groups
///
/// Fields --by queue: topic, brokerName, queueId, minOffset, maxOffset, messages, lastStored, lastStoredMs.
/// Fields --by broker: topic, brokerName, cluster, masterAddress, slaves, readQueues, writeQueues, perm, order, attributes,
/// routedPerm, routedReadQueues, routedWriteQueues (what the name server says), inTps.
/// Fields --by group: topic, group, members, lag, outTps, lastConsumed, lastConsumedMs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq topic show orders
  rmq topic show orders --by broker -o yaml
  rmq topic show orders --by group")]
pub(super) struct Args {
    /// The topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// What a row is about
    #[arg(long, value_enum, default_value = "queue", value_name = "WHAT")]
    by: By,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// One queue: its offsets
    Queue,
    /// One broker: how it keeps the topic, and how the name server routes it
    Broker,
    /// One consumer group: how far it is
    Group,
}

const BY_QUEUE: &[Column] = &[
    Column::new("topic", "TOPIC").name(),
    Column::new("brokerName", "BROKER"),
    Column::new("queueId", "QUEUE").right(),
    Column::new("minOffset", "MIN").right(),
    Column::new("maxOffset", "MAX").right(),
    Column::new("messages", "MESSAGES").right(),
    Column::new("lastStored", "LAST STORED"),
    Column::new("lastStoredMs", "MS").right().wide(),
];

const BY_BROKER: &[Column] = &[
    Column::new("topic", "TOPIC").name(),
    Column::new("brokerName", "BROKER"),
    Column::new("cluster", "CLUSTER").wide(),
    Column::new("masterAddress", "MASTER"),
    Column::new("slaves", "SLAVES").wide(),
    Column::new("readQueues", "READ").right(),
    Column::new("writeQueues", "WRITE").right(),
    Column::new("perm", "PERM"),
    Column::new("routedPerm", "ROUTED"),
    Column::new("order", "ORDER"),
    Column::new("attributes", "ATTRIBUTES"),
    Column::new("inTps", "IN/S").right(),
];

const BY_GROUP: &[Column] = &[
    Column::new("topic", "TOPIC"),
    Column::new("group", "GROUP").name(),
    Column::new("members", "MEMBERS").right(),
    Column::new("lag", "LAG").right(),
    Column::new("outTps", "OUT/S").right(),
    Column::new("lastConsumed", "LAST CONSUMED STORED"),
    Column::new("lastConsumedMs", "MS").right().wide(),
];

pub(super) async fn run(args: Args, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    let utc = context.global.utc;
    let mut rows = Vec::new();
    for topic in &args.topics {
        let route = admin.topic_route(topic).await?;
        rows.extend(match args.by {
            By::Queue => queues(topic, admin, utc).await?,
            By::Broker => brokers(topic, &route, admin).await?,
            By::Group => groups(topic, &route, admin, utc).await?,
        });
    }
    let columns = match args.by {
        By::Queue => BY_QUEUE,
        By::Broker => BY_BROKER,
        By::Group => BY_GROUP,
    };
    context.output.rows(columns, rows)?;
    Ok(Exit::Ok)
}

async fn queues(topic: &str, admin: &Admin, utc: bool) -> Result<Vec<Value>, CliError> {
    let stats = admin.topic_stats(topic).await?;
    let rows = stats.offset_table.iter().map(|(queue, ends)| {
        json!({
            "topic": topic,
            "brokerName": queue.broker_name,
            "queueId": queue.queue_id,
            "minOffset": ends.min_offset,
            "maxOffset": ends.max_offset,
            "messages": (ends.max_offset - ends.min_offset).max(0),
            "lastStored": time(ends.last_update_timestamp, utc),
            "lastStoredMs": time_ms(ends.last_update_timestamp),
        })
    });
    Ok(rows.collect())
}

/// A time that brokers give as 0 where there is none.
pub(crate) fn time(ms: i64, utc: bool) -> Value {
    if ms > 0 {
        show_time(ms, utc).into()
    } else {
        Value::Null
    }
}

/// The same as a number.
pub(crate) fn time_ms(ms: i64) -> Value {
    if ms > 0 { ms.into() } else { Value::Null }
}

async fn brokers(topic: &str, route: &Route, admin: &Admin) -> Result<Vec<Value>, CliError> {
    let mut rows = Vec::new();
    for broker in &route.brokers {
        let master = broker.master();
        let (config, stats) = match broker.readable_at(0) {
            Some(address) => (
                admin.topic_config_at(address, topic).await?,
                admin.topic_stats_at(address, topic).await?,
            ),
            None => (None, None),
        };
        let routed = route
            .queues
            .iter()
            .find(|queues| queues.broker == broker.name);
        let slaves = broker.addresses.iter().filter(|(id, _)| **id != 0);
        let slaves: Vec<&str> = slaves.map(|(_, address)| address.as_str()).collect();
        rows.push(json!({
            "topic": topic,
            "brokerName": broker.name.as_str(),
            "cluster": broker.cluster,
            "masterAddress": master,
            "slaves": slaves.join(","),
            "readQueues": config.as_ref().map(|config| config.read_queue_nums),
            "writeQueues": config.as_ref().map(|config| config.write_queue_nums),
            "perm": config.as_ref().map(|config| perm::show(config.perm)),
            "order": config.as_ref().map(|config| config.order),
            "attributes": config.as_ref().map(|config| &config.attributes),
            "routedPerm": routed.map(|queues| perm::show(queues.perm)),
            "routedReadQueues": routed.map(|queues| queues.read_count),
            "routedWriteQueues": routed.map(|queues| queues.write_count),
            "inTps": stats.map(|stats| rounded(stats.topic_put_tps)),
        }));
    }
    Ok(rows)
}

async fn groups(
    topic: &str,
    route: &Route,
    admin: &Admin,
    utc: bool,
) -> Result<Vec<Value>, CliError> {
    let addresses: Vec<String> = route
        .brokers
        .iter()
        .filter_map(|broker| broker.readable_at(0).map(str::to_owned))
        .collect();
    let names = admin.groups_of_topic(topic).await?;
    let answers = gather(names, |group| {
        let (admin, topic, addresses) = (admin.clone(), topic.to_owned(), addresses.clone());
        async move {
            let mut members = std::collections::BTreeSet::new();
            for address in &addresses {
                let found = admin.consumer_connections_at(address, &group).await?;
                let connections = found.into_iter().flat_map(|found| found.connection_set);
                members.extend(connections.map(|connection| connection.client_id));
            }
            let stats = admin.consume_stats(&group, Some(&topic)).await?;
            Ok::<_, CliError>((group, members.len(), stats))
        }
    })
    .await;
    let mut rows = Vec::new();
    for answer in answers {
        let (group, members, stats) = answer?;
        let queues = || stats.offset_table.values();
        let last = queues()
            .map(|queue| queue.last_timestamp)
            .max()
            .unwrap_or(0);
        rows.push(json!({
            "topic": topic,
            "group": group,
            "members": members,
            "lag": queues().map(|queue| (queue.broker_offset - queue.consumer_offset).max(0)).sum::<i64>(),
            "outTps": rounded(stats.consume_tps),
            "lastConsumed": time(last, utc),
            "lastConsumedMs": time_ms(last),
        }));
    }
    Ok(rows)
}
