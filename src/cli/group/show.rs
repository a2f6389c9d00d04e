//! `rmq group show`: a group queue by queue, member by member, topic by topic, or as brokers keep it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{connections, member_ids, no_group};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::gather::gather;
use crate::cli::output::Column;
use crate::cli::targets::{Target, Targets};
use crate::cli::topic::{rounded, time, time_ms};
use crate::client::ClientError;
use crate::client::admin::{Admin, ConsumeStats, ConsumerConnection, WireQueue};

/// A member that is slow to say what it owns is not waited for longer.
const OWNERS_LIMIT: Duration = Duration::from_secs(3);

/// Show a group: queues, topics, members or configuration
///
/// Fields --by queue: group, topic, brokerName, queueId, brokerOffset, consumerOffset, pullOffset, lag, inflight,
/// lastConsumed, lastConsumedMs, owner (with --owners: the member that has the queue).
/// Fields --by topic: group, topic, subscription, expressionType, queues, lag, inflight, lastConsumed, lastConsumedMs.
/// Fields --by member: group, clientId, address, language, version, brokers.
/// Fields --by config: group, brokerName, enabled, broadcast, orderly, fromMin, retryMax, retryQueues, timeoutMinutes,
/// slowBroker, attributes, forbidden.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq group show billing
  rmq group show billing orders --owners
  rmq group show billing --by member -o json")]
pub(super) struct Args {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,
    /// Only this topic
    #[arg(value_name = "TOPIC")]
    topic: Option<String>,
    /// What a row is about
    #[arg(long, value_enum, default_value = "queue", value_name = "WHAT")]
    by: By,
    /// Ask the members which queues they have
    #[arg(long)]
    owners: bool,
    #[command(flatten)]
    targets: Targets,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// One queue: its offsets
    Queue,
    /// One topic: the subscription and the sums of its queues
    Topic,
    /// One connected client
    Member,
    /// One broker: how it keeps the group
    Config,
}

const BY_QUEUE: &[Column] = &[
    Column::new("group", "GROUP").wide(),
    Column::new("topic", "TOPIC").name(),
    Column::new("brokerName", "BROKER"),
    Column::new("queueId", "QUEUE").right(),
    Column::new("brokerOffset", "END").right(),
    Column::new("consumerOffset", "CONSUMED").right(),
    Column::new("pullOffset", "PULLED").right().wide(),
    Column::new("lag", "LAG").right(),
    Column::new("inflight", "INFLIGHT").right(),
    Column::new("lastConsumed", "LAST CONSUMED STORED"),
    Column::new("lastConsumedMs", "MS").right().wide(),
    Column::new("owner", "OWNER"),
];

const BY_TOPIC: &[Column] = &[
    Column::new("group", "GROUP").wide(),
    Column::new("topic", "TOPIC").name(),
    Column::new("subscription", "SUBSCRIPTION"),
    Column::new("expressionType", "KIND").wide(),
    Column::new("queues", "QUEUES").right(),
    Column::new("lag", "LAG").right(),
    Column::new("inflight", "INFLIGHT").right(),
    Column::new("lastConsumed", "LAST CONSUMED STORED"),
    Column::new("lastConsumedMs", "MS").right().wide(),
];

const BY_MEMBER: &[Column] = &[
    Column::new("group", "GROUP").wide(),
    Column::new("clientId", "CLIENT").name(),
    Column::new("address", "ADDRESS"),
    Column::new("language", "LANGUAGE"),
    Column::new("version", "VERSION"),
    Column::new("brokers", "BROKERS"),
];

const BY_CONFIG: &[Column] = &[
    Column::new("group", "GROUP").name(),
    Column::new("brokerName", "BROKER"),
    Column::new("enabled", "ENABLED"),
    Column::new("broadcast", "BROADCAST"),
    Column::new("orderly", "ORDERLY"),
    Column::new("fromMin", "FROM MIN").wide(),
    Column::new("retryMax", "RETRIES").right(),
    Column::new("retryQueues", "RETRY QUEUES").right(),
    Column::new("timeoutMinutes", "TIMEOUT MIN").right().wide(),
    Column::new("slowBroker", "SLOW BROKER").right().wide(),
    Column::new("attributes", "ATTRIBUTES"),
    Column::new("forbidden", "FORBIDDEN"),
];

type Online = Vec<(Target, ConsumerConnection)>;

pub(super) async fn run(args: Args, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    let masters = args.targets.masters(admin).await?;
    let group = args.group.as_str();
    if args.by == By::Config {
        let rows = configs(group, &masters, admin).await?;
        context.output.rows(BY_CONFIG, rows)?;
        return Ok(Exit::Ok);
    }
    let online = connections([args.group.clone()], &masters, admin).await?;
    let online = online.into_values().next().unwrap_or_default();
    if args.by == By::Member {
        if online.is_empty() {
            must_exist(group, &masters, admin).await?;
            context
                .output
                .note(&format!("nobody of {group} is connected"));
        }
        context.output.rows(BY_MEMBER, members(group, &online))?;
        return Ok(Exit::Ok);
    }
    let mut stats = ConsumeStats::default();
    for master in &masters {
        let topic = args.topic.as_deref();
        let part = admin
            .consume_stats_at(&master.address, group, topic)
            .await?;
        stats.offset_table.extend(part.offset_table);
        stats.consume_tps += part.consume_tps;
    }
    if let Some(topic) = &args.topic {
        // An unknown topic is an error, one the group has not begun is not.
        admin.topic_route(topic).await?;
    }
    if stats.offset_table.is_empty() && online.is_empty() {
        must_exist(group, &masters, admin).await?;
    }
    let utc = context.global.utc;
    if args.by == By::Topic {
        context
            .output
            .rows(BY_TOPIC, topics(group, &stats, &online, utc))?;
    } else {
        let owners = if args.owners {
            owners(group, &online, admin, context).await
        } else {
            BTreeMap::new()
        };
        context
            .output
            .rows(BY_QUEUE, queues(group, &stats, &owners, utc))?;
    }
    let model = online.first().and_then(|(_, found)| found.message_model);
    let model = model.map_or_else(String::new, |model| format!(" {model}"));
    let lag: i64 = stats
        .offset_table
        .values()
        .map(|queue| (queue.broker_offset - queue.consumer_offset).max(0))
        .sum();
    context.output.note(&format!(
        "{group}:{model} {} members, lag {lag}, {}/s",
        member_ids(&online).len(),
        rounded(stats.consume_tps),
    ));
    Ok(Exit::Ok)
}

/// Fails if no broker has the group. Brokers are asked for all groups, because asking for one can create it.
pub(crate) async fn must_exist(
    group: &str,
    masters: &[Target],
    admin: &Admin,
) -> Result<(), CliError> {
    for master in masters {
        if admin
            .groups_at(&master.address)
            .await?
            .configs
            .contains_key(group)
        {
            return Ok(());
        }
    }
    Err(no_group(group))
}

async fn configs(group: &str, masters: &[Target], admin: &Admin) -> Result<Vec<Value>, CliError> {
    let mut rows = Vec::new();
    for master in masters {
        let groups = admin.groups_at(&master.address).await?;
        let Some(config) = groups.configs.get(group) else {
            continue;
        };
        let forbidden: Vec<&String> = groups
            .forbidden
            .get(group)
            .into_iter()
            .flatten()
            .filter(|(_, bits)| **bits != 0)
            .map(|(topic, _)| topic)
            .collect();
        rows.push(json!({
            "group": group,
            "brokerName": master.name,
            "enabled": config.consume_enable,
            "broadcast": config.consume_broadcast_enable,
            "orderly": config.consume_message_orderly,
            "fromMin": config.consume_from_min_enable,
            "retryMax": config.retry_max_times,
            "retryQueues": config.retry_queue_nums,
            "timeoutMinutes": config.consume_timeout_minute,
            "slowBroker": config.which_broker_when_consume_slowly,
            "attributes": config.attributes,
            "forbidden": forbidden,
        }));
    }
    if rows.is_empty() {
        return Err(no_group(group));
    }
    Ok(rows)
}

fn members(group: &str, online: &Online) -> Vec<Value> {
    let mut all: BTreeMap<&str, (Value, Vec<&str>)> = BTreeMap::new();
    for (broker, found) in online {
        for connection in &found.connection_set {
            let row = json!({
                "group": group,
                "clientId": connection.client_id,
                "address": connection.client_addr,
                "language": connection.language,
                "version": crate::cli::client::version(connection.version),
            });
            let (_, brokers) = all
                .entry(&connection.client_id)
                .or_insert((row, Vec::new()));
            brokers.push(&broker.name);
        }
    }
    let rows = all.into_values().map(|(mut row, brokers)| {
        row["brokers"] = brokers.join(",").into();
        row
    });
    rows.collect()
}

fn topics(group: &str, stats: &ConsumeStats, online: &Online, utc: bool) -> Vec<Value> {
    let mut names: Vec<&str> = stats
        .offset_table
        .keys()
        .map(|queue| queue.topic.as_str())
        .collect();
    for (_, found) in online {
        names.extend(found.subscription_table.keys().map(String::as_str));
    }
    names.sort_unstable();
    names.dedup();
    let row = |topic: &str| {
        let queues = || {
            let all = stats.offset_table.iter();
            all.filter(|(queue, _)| queue.topic == topic)
                .map(|(_, offsets)| offsets)
        };
        let subscription = online
            .iter()
            .find_map(|(_, found)| found.subscription_table.get(topic));
        let last = queues()
            .map(|queue| queue.last_timestamp)
            .max()
            .unwrap_or(0);
        let sum = |of: &dyn Fn(&crate::client::admin::OffsetWrapper) -> i64| -> i64 {
            queues().map(of).map(|count| count.max(0)).sum()
        };
        json!({
            "group": group,
            "topic": topic,
            "subscription": subscription.map(|data| &data.sub_string),
            "expressionType": subscription.map(|data| &data.expression_type),
            "queues": queues().count(),
            "lag": sum(&|queue| queue.broker_offset - queue.consumer_offset),
            "inflight": sum(&|queue| queue.pull_offset - queue.consumer_offset),
            "lastConsumed": time(last, utc),
            "lastConsumedMs": time_ms(last),
        })
    };
    names.into_iter().map(row).collect()
}

fn queues(
    group: &str,
    stats: &ConsumeStats,
    owners: &BTreeMap<WireQueue, String>,
    utc: bool,
) -> Vec<Value> {
    let mut queues: Vec<_> = stats.offset_table.iter().collect();
    queues.sort_by_key(|(queue, _)| (&queue.topic, &queue.broker_name, queue.queue_id));
    let rows = queues.into_iter().map(|(queue, offsets)| {
        json!({
            "group": group,
            "topic": queue.topic,
            "brokerName": queue.broker_name,
            "queueId": queue.queue_id,
            "brokerOffset": offsets.broker_offset,
            "consumerOffset": offsets.consumer_offset,
            "pullOffset": offsets.pull_offset,
            "lag": (offsets.broker_offset - offsets.consumer_offset).max(0),
            "inflight": (offsets.pull_offset - offsets.consumer_offset).max(0),
            "lastConsumed": time(offsets.last_timestamp, utc),
            "lastConsumedMs": time_ms(offsets.last_timestamp),
            "owner": owners.get(queue),
        })
    });
    rows.collect()
}

/// Who has which queue, as the members say.
async fn owners(
    group: &str,
    online: &Online,
    admin: &Admin,
    context: &Context,
) -> BTreeMap<WireQueue, String> {
    let mut members: BTreeMap<String, String> = BTreeMap::new();
    for (broker, found) in online {
        for connection in &found.connection_set {
            members.insert(connection.client_id.clone(), broker.address.clone());
        }
    }
    let answers = gather(members, |(client, broker)| {
        let (admin, group) = (admin.clone(), group.to_owned());
        async move {
            let asked = admin.consumer_running_info(&broker, &group, &client, false);
            let answer = tokio::time::timeout(OWNERS_LIMIT, asked).await;
            let answer = answer.unwrap_or_else(|_| {
                Err(ClientError::Usage(
                    "no answer within three seconds".to_owned(),
                ))
            });
            (client, answer)
        }
    })
    .await;
    let mut owners = BTreeMap::new();
    for (client, answer) in answers {
        match answer {
            Ok(info) => {
                let queues = info
                    .mq_table
                    .into_keys()
                    .chain(info.mq_pop_table.into_keys());
                owners.extend(queues.map(|queue| (queue, client.clone())));
            }
            Err(error) => context
                .output
                .warn(&format!("{client} does not say what it has: {error}")),
        }
    }
    owners
}
