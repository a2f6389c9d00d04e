//! `rmq topic ls`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{fits, perm};
use crate::base::TopicName;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::gather::gather;
use crate::cli::output::Column;
use crate::cli::targets::{Target, Targets};
use crate::client::admin::{Admin, TopicConfig};

/// List topics with their queues and permissions
///
/// Topics the brokers keep for themselves, retry topics and dead-letter topics are left out without --all.
///
/// Fields: topic, type (normal, retry, dlq, system), messageType, perm, readQueues, writeQueues (of all brokers together),
/// order, brokers, clusters; with --stats also messages, inTps.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq topic ls
  rmq topic ls 'pay*' -o name
  rmq topic ls --all --stats -o json")]
pub(super) struct Args {
    /// Only topics with such names; * stands for anything
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,
    /// Also system, retry and dead-letter topics
    #[arg(short, long)]
    all: bool,
    /// Also how many messages each holds and takes in; a request for each topic and broker
    #[arg(long)]
    stats: bool,
    #[command(flatten)]
    targets: Targets,
}

const COLUMNS: &[Column] = &[
    Column::new("topic", "TOPIC").name(),
    Column::new("type", "TYPE"),
    Column::new("messageType", "MESSAGES ARE"),
    Column::new("perm", "PERM"),
    Column::new("readQueues", "READ").right(),
    Column::new("writeQueues", "WRITE").right(),
    Column::new("order", "ORDER").wide(),
    Column::new("brokers", "BROKERS"),
    Column::new("clusters", "CLUSTERS").wide(),
];

const WITH_STATS: &[Column] = &[
    Column::new("topic", "TOPIC").name(),
    Column::new("type", "TYPE"),
    Column::new("messageType", "MESSAGES ARE").wide(),
    Column::new("perm", "PERM"),
    Column::new("readQueues", "READ").right(),
    Column::new("writeQueues", "WRITE").right(),
    Column::new("messages", "MESSAGES").right(),
    Column::new("inTps", "IN/S").right(),
    Column::new("order", "ORDER").wide(),
    Column::new("brokers", "BROKERS"),
    Column::new("clusters", "CLUSTERS").wide(),
];

pub(super) async fn run(args: Args, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    let masters = args.targets.masters(admin).await?;
    let mut system = BTreeSet::new();
    let mut topics: BTreeMap<String, Vec<(&Target, TopicConfig)>> = BTreeMap::new();
    for master in &masters {
        system.extend(admin.system_topics_at(&master.address).await?);
        for (name, config) in admin.topic_configs_at(&master.address).await? {
            topics.entry(name).or_default().push((master, config));
        }
    }
    let mut left_out = 0;
    topics.retain(|name, _| {
        let wanted = args
            .pattern
            .as_ref()
            .is_none_or(|pattern| fits(pattern, name));
        let shown = args.all || kind_of(name, &system) == "normal";
        left_out += usize::from(wanted && !shown);
        wanted && shown
    });
    if let Some(pattern) = args.pattern.filter(|_| topics.is_empty()) {
        return Err(CliError::not_found(format!("no topic fits {pattern}"))
            .hint("--all also looks at system, retry and dead-letter topics"));
    }
    let mut rows: Vec<Value> = topics
        .iter()
        .map(|(name, places)| row(name, places, &system))
        .collect();
    if args.stats {
        add_stats(&mut rows, &topics, admin).await?;
    }
    context
        .output
        .rows(if args.stats { WITH_STATS } else { COLUMNS }, rows)?;
    if left_out > 0 && context.output.stdout_is_terminal() {
        context.output.note(&format!(
            "{left_out} system, retry and dead-letter topics more (--all)"
        ));
    }
    Ok(Exit::Ok)
}

fn kind_of(name: &str, system: &BTreeSet<String>) -> &'static str {
    let topic = TopicName::stored(name);
    if topic.is_retry() {
        "retry"
    } else if topic.is_dlq() {
        "dlq"
    } else if system.contains(name) || name.starts_with("rmq_sys_") || name.starts_with("%SYS%") {
        "system"
    } else {
        "normal"
    }
}

fn row(name: &str, places: &[(&Target, TopicConfig)], system: &BTreeSet<String>) -> Value {
    let sum = |of: fn(&TopicConfig) -> i32| -> i64 {
        places.iter().map(|(_, config)| i64::from(of(config))).sum()
    };
    let texts = |of: &dyn Fn(&(&Target, TopicConfig)) -> String| -> Vec<String> {
        let texts: BTreeSet<String> = places.iter().map(of).collect();
        texts.into_iter().collect()
    };
    json!({
        "topic": name,
        "type": kind_of(name, system),
        "messageType": texts(&|(_, config)| {
            config.attributes.get("message.type").cloned().unwrap_or_else(|| "NORMAL".to_owned())
        }).join(","),
        "perm": texts(&|(_, config)| perm::show(config.perm)).join(","),
        "readQueues": sum(|config| config.read_queue_nums),
        "writeQueues": sum(|config| config.write_queue_nums),
        "order": places.iter().any(|(_, config)| config.order),
        "brokers": texts(&|(target, _)| target.name.clone()).join(","),
        "clusters": texts(&|(target, _)| target.cluster.clone()).join(","),
    })
}

async fn add_stats(
    rows: &mut [Value],
    topics: &BTreeMap<String, Vec<(&Target, TopicConfig)>>,
    admin: &Admin,
) -> Result<(), CliError> {
    let questions: Vec<(usize, String, String)> = topics
        .iter()
        .enumerate()
        .flat_map(|(index, (name, places))| {
            let places = places.iter();
            places.map(move |(target, _)| (index, name.clone(), target.address.clone()))
        })
        .collect();
    let answers = gather(questions, |(index, name, address)| {
        let admin = admin.clone();
        async move { (index, admin.topic_stats_at(&address, &name).await) }
    })
    .await;
    let mut sums = vec![(0_i64, 0.0_f64); rows.len()];
    for (index, answer) in answers {
        let Some(stats) = answer? else { continue };
        let held = stats.offset_table.values();
        sums[index].0 += held
            .map(|queue| (queue.max_offset - queue.min_offset).max(0))
            .sum::<i64>();
        sums[index].1 += stats.topic_put_tps;
    }
    for (row, (messages, tps)) in rows.iter_mut().zip(sums) {
        if let Value::Object(fields) = row {
            fields.insert("messages".to_owned(), messages.into());
            fields.insert("inTps".to_owned(), rounded(tps));
        }
    }
    Ok(())
}

/// A rate with two decimals.
pub(crate) fn rounded(rate: f64) -> Value {
    json!((rate * 100.0).round() / 100.0)
}
