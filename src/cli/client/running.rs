//! `rmq client show` and `rmq client stack`: a broker passes the question on to the client.

use serde_json::{Value, json};

use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::group::connections;
use crate::cli::output::Column;
use crate::cli::targets::{Target, Targets};
use crate::cli::topic::{time, time_ms};
use crate::client::admin::{Admin, ConsumerRunningInfo};

/// Show what a consumer says about itself: its queues, its topics, or its settings
///
/// Fields --by queue: clientId, group, topic, brokerName, queueId, commitOffset, cachedMessages, cachedMin, cachedMax,
/// cachedMiB, locked, dropped, lastPull, lastPullMs, lastConsume, lastConsumeMs.
/// Fields --by topic: clientId, group, topic, pullMs, pullTps, consumeMs, okTps, failedTps, failedLastHour, subscription.
/// Fields --by property: clientId, group, property, value.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq client show 10.0.0.7@4711#1
  rmq client show 10.0.0.7@4711#1 --by topic")]
pub(super) struct ShowArgs {
    #[command(flatten)]
    who: Who,
    /// What a row is about
    #[arg(long, value_enum, default_value = "queue", value_name = "WHAT")]
    by: By,
}

/// Print the stacks of a consumer's threads
///
/// Java clients give them. They go to stdout as they are.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  rmq client stack 10.0.0.7@4711#1 > stack.txt")]
pub(super) struct StackArgs {
    #[command(flatten)]
    who: Who,
}

#[derive(Clone, Debug, clap::Args)]
struct Who {
    /// The client's id, or the beginning of it
    #[arg(value_name = "CLIENT")]
    client: String,
    /// Its group; found out if it is in one only
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// One queue it has
    Queue,
    /// One topic it consumes
    Topic,
    /// One of its settings
    Property,
}

const BY_QUEUE: &[Column] = &[
    Column::new("clientId", "CLIENT").wide(),
    Column::new("group", "GROUP").wide(),
    Column::new("topic", "TOPIC").name(),
    Column::new("brokerName", "BROKER"),
    Column::new("queueId", "QUEUE").right(),
    Column::new("commitOffset", "COMMIT").right(),
    Column::new("cachedMessages", "CACHED").right(),
    Column::new("cachedMin", "FROM").right(),
    Column::new("cachedMax", "TO").right(),
    Column::new("cachedMiB", "MIB").right().wide(),
    Column::new("locked", "LOCKED"),
    Column::new("dropped", "DROPPED").wide(),
    Column::new("lastPull", "LAST PULL"),
    Column::new("lastPullMs", "MS").right().wide(),
    Column::new("lastConsume", "LAST CONSUME"),
    Column::new("lastConsumeMs", "MS").right().wide(),
];

const BY_TOPIC: &[Column] = &[
    Column::new("clientId", "CLIENT").wide(),
    Column::new("group", "GROUP").wide(),
    Column::new("topic", "TOPIC").name(),
    Column::new("subscription", "SUBSCRIPTION"),
    Column::new("pullMs", "PULL MS").right(),
    Column::new("pullTps", "PULL/S").right(),
    Column::new("consumeMs", "CONSUME MS").right(),
    Column::new("okTps", "OK/S").right(),
    Column::new("failedTps", "FAILED/S").right(),
    Column::new("failedLastHour", "FAILED 1H").right(),
];

const BY_PROPERTY: &[Column] = &[
    Column::new("clientId", "CLIENT").wide(),
    Column::new("group", "GROUP").wide(),
    Column::new("property", "PROPERTY").name(),
    Column::new("value", "VALUE"),
];

/// A consumer, found.
struct Found {
    client: String,
    group: String,
    broker: Target,
}

async fn find(who: &Who, admin: &Admin) -> Result<Found, CliError> {
    let brokers = Targets::default().masters(admin).await?;
    let mut groups = std::collections::BTreeSet::new();
    match &who.group {
        Some(group) => {
            groups.insert(group.clone());
        }
        None => {
            for broker in &brokers {
                groups.extend(admin.groups_at(&broker.address).await?.configs.into_keys());
            }
        }
    }
    let mut found: Vec<Found> = Vec::new();
    for (group, connected) in connections(groups, &brokers, admin).await? {
        for (broker, connection) in connected {
            for member in connection.connection_set {
                let client = member.client_id;
                let known = found
                    .iter()
                    .any(|found| found.client == client && found.group == group);
                if client.starts_with(&who.client) && !known {
                    let (group, broker) = (group.clone(), broker.clone());
                    found.push(Found {
                        client,
                        group,
                        broker,
                    });
                }
            }
        }
    }
    if let Some(exact) = found.iter().position(|found| found.client == who.client)
        && found
            .iter()
            .filter(|found| found.client == who.client)
            .count()
            == 1
    {
        return Ok(found.swap_remove(exact));
    }
    match found.len() {
        0 => Err(
            CliError::not_found(format!("no consumer {} is connected", who.client))
                .hint("rmq client ls lists them; producers cannot be asked"),
        ),
        1 => Ok(found.swap_remove(0)),
        _ => {
            let known: Vec<String> = found
                .iter()
                .map(|found| format!("{} of {}", found.client, found.group))
                .collect();
            Err(CliError::usage(format!("{} may be several", who.client))
                .hint(format!("{}; --group says which", known.join(", "))))
        }
    }
}

pub(super) async fn show(
    args: ShowArgs,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let found = find(&args.who, admin).await?;
    let info = admin
        .consumer_running_info(&found.broker.address, &found.group, &found.client, false)
        .await?;
    let utc = context.global.utc;
    match args.by {
        By::Queue => context.output.rows(BY_QUEUE, queues(&found, &info, utc))?,
        By::Topic => context.output.rows(BY_TOPIC, topics(&found, &info))?,
        By::Property => {
            let rows = info.properties.iter().map(|(name, value)| {
                json!({
                    "clientId": found.client, "group": found.group,
                    "property": name, "value": value,
                })
            });
            context.output.rows(BY_PROPERTY, rows)?;
        }
    }
    Ok(Exit::Ok)
}

fn queues(found: &Found, info: &ConsumerRunningInfo, utc: bool) -> Vec<Value> {
    let pulled = info.mq_table.iter().map(|(queue, state)| {
        json!({
            "clientId": found.client,
            "group": found.group,
            "topic": queue.topic,
            "brokerName": queue.broker_name,
            "queueId": queue.queue_id,
            "commitOffset": state.commit_offset,
            "cachedMessages": state.cached_msg_count,
            "cachedMin": state.cached_msg_min_offset,
            "cachedMax": state.cached_msg_max_offset,
            "cachedMiB": state.cached_msg_size_in_mib,
            "locked": state.locked,
            "dropped": state.droped,
            "lastPull": time(state.last_pull_timestamp, utc),
            "lastPullMs": time_ms(state.last_pull_timestamp),
            "lastConsume": time(state.last_consume_timestamp, utc),
            "lastConsumeMs": time_ms(state.last_consume_timestamp),
        })
    });
    let popped = info.mq_pop_table.iter().map(|(queue, state)| {
        json!({
            "clientId": found.client,
            "group": found.group,
            "topic": queue.topic,
            "brokerName": queue.broker_name,
            "queueId": queue.queue_id,
            "cachedMessages": state.wait_ack_count,
            "dropped": state.droped,
            "lastPull": time(state.last_pop_timestamp, utc),
            "lastPullMs": time_ms(state.last_pop_timestamp),
        })
    });
    let mut rows: Vec<Value> = pulled.chain(popped).collect();
    rows.sort_by_key(|row| {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        (text("topic"), text("brokerName"), row["queueId"].as_i64())
    });
    rows
}

fn topics(found: &Found, info: &ConsumerRunningInfo) -> Vec<Value> {
    let subscription = |topic: &str| {
        let mut all = info.subscription_set.iter();
        all.find(|data| data.topic == topic)
            .map(|data| &data.sub_string)
    };
    let mut names: Vec<&String> = info.status_table.keys().collect();
    names.extend(info.subscription_set.iter().map(|data| &data.topic));
    names.sort_unstable();
    names.dedup();
    let rows = names.into_iter().map(|topic| {
        let status = info.status_table.get(topic);
        json!({
            "clientId": found.client,
            "group": found.group,
            "topic": topic,
            "subscription": subscription(topic),
            "pullMs": status.map(|status| status.pull_rt),
            "pullTps": status.map(|status| status.pull_tps),
            "consumeMs": status.map(|status| status.consume_rt),
            "okTps": status.map(|status| status.consume_ok_tps),
            "failedTps": status.map(|status| status.consume_failed_tps),
            "failedLastHour": status.map(|status| status.consume_failed_msgs),
        })
    });
    rows.collect()
}

pub(super) async fn stack(
    args: StackArgs,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let found = find(&args.who, admin).await?;
    let info = admin
        .consumer_running_info(&found.broker.address, &found.group, &found.client, true)
        .await?;
    let Some(stack) = info.jstack.filter(|stack| !stack.trim().is_empty()) else {
        return Err(CliError::failed(format!(
            "{} gave no stacks; only Java clients do",
            found.client
        )));
    };
    context.output.raw(stack.as_bytes())?;
    if !stack.ends_with('\n') {
        context.output.raw(b"\n")?;
    }
    Ok(Exit::Ok)
}
