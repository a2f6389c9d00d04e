//! The looks behind the checks.

use std::collections::BTreeMap;

use super::What;
use super::render::{Finding, Status};
use crate::cli::Context;
use crate::cli::broker::rate;
use crate::cli::exit::CliError;
use crate::cli::group::{connections, member_ids, must_exist};
use crate::cli::targets::Targets;
use crate::client::ClientError;
use crate::client::admin::Admin;

pub(super) async fn look(
    what: &What,
    admin: &Admin,
    context: &Context,
) -> Result<Vec<Finding>, CliError> {
    match what {
        What::Lag {
            group,
            topic,
            limits,
        } => lag(group, topic.as_deref(), limits.or(1000, 10_000), admin).await,
        What::Behind {
            group,
            topic,
            warn,
            crit,
        } => {
            let ms =
                |limit: &std::time::Duration| i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
            let limits = (ms(warn), ms(crit));
            behind(group, topic.as_deref(), limits, admin, context).await
        }
        What::Members { group, limits } => members(group, limits.or(1, 1), admin).await,
        What::Dlq { group, limits } => dead(group, limits.or(1, 100), admin).await,
        What::Disk { limits } => disk(limits.or(75, 85), admin).await,
        What::Brokers => brokers(admin).await,
        What::Topic { topic } => routed(topic, admin).await,
    }
}

async fn known(group: &str, admin: &Admin) -> Result<(), CliError> {
    let masters = Targets::default().masters(admin).await?;
    must_exist(group, &masters, admin).await
}

async fn lag(
    group: &str,
    topic: Option<&str>,
    limits: (i64, i64),
    admin: &Admin,
) -> Result<Vec<Finding>, CliError> {
    known(group, admin).await?;
    if let Some(topic) = topic {
        admin.topic_route(topic).await?;
    }
    let mut lags: BTreeMap<String, i64> = BTreeMap::new();
    for (queue, offsets) in admin.consume_stats(group, topic).await?.offset_table {
        *lags.entry(queue.topic).or_default() +=
            (offsets.broker_offset - offsets.consumer_offset).max(0);
    }
    let found = lags.into_iter().map(|(topic, lag)| Finding {
        check: "lag",
        message: format!("{group} is {lag} messages behind in {topic}"),
        object: format!("{group} {topic}"),
        value: Some(lag),
        unit: "",
        limits: Some(limits),
        status: Status::of_too_many(lag, limits.0, limits.1),
    });
    Ok(found.collect())
}

async fn behind(
    group: &str,
    topic: Option<&str>,
    limits: (i64, i64),
    admin: &Admin,
    context: &Context,
) -> Result<Vec<Finding>, CliError> {
    known(group, admin).await?;
    let topics = match topic {
        Some(topic) => vec![topic.to_owned()],
        None => admin.topics_of_group(group).await?,
    };
    let now_ms = context.clock.now_ms();
    let mut found = Vec::new();
    for topic in topics {
        let mut oldest = 0;
        for queue in admin.topic_route(&topic).await?.read_queues() {
            let end = admin.max_offset(&queue).await?;
            let next = admin.group_offset(group, &queue).await?.unwrap_or(0);
            if next >= end {
                continue;
            }
            let next = next.max(admin.min_offset(&queue).await?);
            let entry = admin.message_at_offset(&queue, next).await?;
            oldest = oldest.max(entry.map_or(0, |message| now_ms - message.store_timestamp));
        }
        found.push(Finding {
            check: "behind",
            message: format!(
                "the oldest message {group} has not consumed in {topic} is {} s old",
                oldest / 1000
            ),
            object: format!("{group} {topic}"),
            value: Some(oldest),
            unit: "ms",
            limits: Some(limits),
            status: Status::of_too_many(oldest, limits.0, limits.1),
        });
    }
    Ok(found)
}

async fn members(group: &str, limits: (i64, i64), admin: &Admin) -> Result<Vec<Finding>, CliError> {
    let masters = Targets::default().masters(admin).await?;
    let online = connections([group.to_owned()], &masters, admin).await?;
    let count = online
        .values()
        .map(|found| member_ids(found).len())
        .sum::<usize>();
    if count == 0 {
        must_exist(group, &masters, admin).await?;
    }
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    Ok(vec![Finding {
        check: "members",
        object: group.to_owned(),
        value: Some(count),
        unit: "",
        limits: Some(limits),
        status: Status::of_too_few(count, limits.0, limits.1),
        message: format!("{group} has {count} members"),
    }])
}

async fn dead(group: &str, limits: (i64, i64), admin: &Admin) -> Result<Vec<Finding>, CliError> {
    let topic = format!("%DLQ%{group}");
    let dead: i64 = match admin.topic_stats(&topic).await {
        Ok(stats) => {
            let queues = stats.offset_table.values();
            queues
                .map(|queue| (queue.max_offset - queue.min_offset).max(0))
                .sum()
        }
        // The topic appears with the first dead letter.
        Err(ClientError::NoRoute { .. }) => {
            known(group, admin).await?;
            0
        }
        Err(error) => return Err(error.into()),
    };
    Ok(vec![Finding {
        check: "dlq",
        object: group.to_owned(),
        value: Some(dead),
        unit: "",
        limits: Some(limits),
        status: Status::of_too_many(dead, limits.0, limits.1),
        message: format!("{group} has {dead} dead letters"),
    }])
}

async fn disk(limits: (i64, i64), admin: &Admin) -> Result<Vec<Finding>, CliError> {
    let mut found = Vec::new();
    for broker in Targets::default().all(admin).await? {
        let object = format!("{} {}", broker.name, broker.address);
        let finding = |value: Option<i64>, status, message| Finding {
            check: "disk",
            object: object.clone(),
            value,
            unit: "%",
            limits: Some(limits),
            status,
            message,
        };
        found.push(match admin.broker_runtime(&broker.address).await {
            Ok(runtime) => match rate(&runtime, "commitLogDiskRatio").filter(|share| *share >= 0.0)
            {
                Some(share) => {
                    #[allow(
                        clippy::cast_possible_truncation,
                        reason = "a share of at most some hundred percent"
                    )]
                    let percent = (share * 100.0).round() as i64;
                    let status = Status::of_too_many(percent, limits.0, limits.1);
                    finding(
                        Some(percent),
                        status,
                        format!("{object} is {percent} % full"),
                    )
                }
                None => finding(
                    None,
                    Status::Unknown,
                    format!("{object} does not say how full it is"),
                ),
            },
            Err(error) => finding(None, Status::Unknown, error.to_string()),
        });
    }
    Ok(found)
}

async fn brokers(admin: &Admin) -> Result<Vec<Finding>, CliError> {
    let clusters = admin.clusters().await?;
    let finding = |object: String, status, message| Finding {
        check: "brokers",
        object,
        value: None,
        unit: "",
        limits: None,
        status,
        message,
    };
    let mut found = Vec::new();
    if clusters.brokers.is_empty() {
        let message = "the name server knows no broker".to_owned();
        found.push(finding("all".to_owned(), Status::Critical, message));
    }
    for group in &clusters.brokers {
        if group.master().is_none() {
            let message = format!("{} has no master", group.name);
            found.push(finding(group.name.to_string(), Status::Critical, message));
        }
        for (id, address) in &group.addresses {
            let object = format!("{}:{id} {address}", group.name);
            found.push(match admin.broker_runtime(address).await {
                Ok(runtime)
                    if runtime
                        .get("brokerActive")
                        .is_some_and(|text| text == "false") =>
                {
                    finding(
                        object.clone(),
                        Status::Warning,
                        format!("{object} is not active"),
                    )
                }
                Ok(_) => finding(object.clone(), Status::Ok, format!("{object} answers")),
                Err(error) => {
                    let status = if *id == 0 {
                        Status::Critical
                    } else {
                        Status::Warning
                    };
                    finding(object, status, error.to_string())
                }
            });
        }
    }
    Ok(found)
}

async fn routed(topic: &str, admin: &Admin) -> Result<Vec<Finding>, CliError> {
    let route = admin.topic_route(topic).await?;
    let (write, read) = (route.write_queues().len(), route.read_queues().len());
    let status = if write == 0 || read == 0 {
        Status::Critical
    } else {
        Status::Ok
    };
    Ok(vec![Finding {
        check: "topic",
        object: topic.to_owned(),
        value: i64::try_from(write).ok(),
        unit: "",
        limits: None,
        status,
        message: format!("{topic} has {write} queues to write and {read} to read"),
    }])
}
