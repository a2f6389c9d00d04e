//! `rmq group ls`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{connections, is_system, member_ids};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Column;
use crate::cli::targets::Targets;
use crate::cli::topic::{fits, rounded};
use crate::client::admin::{Admin, ConsumeType, MessageModel, SubscriptionGroupConfig};

/// List consumer groups with members and lag
///
/// Groups brokers have for themselves are left out without --all.
///
/// Fields: group, members, model, type, topics, lag, tps, enabled, orderly, retryMax, brokers.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq group ls
  rmq group ls 'bill*' -o json")]
pub(super) struct Args {
    /// Only groups with such names; * stands for anything
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,
    /// Also the groups brokers have for themselves
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    targets: Targets,
}

const COLUMNS: &[Column] = &[
    Column::new("group", "GROUP").name(),
    Column::new("members", "MEMBERS").right(),
    Column::new("model", "MODEL"),
    Column::new("type", "TYPE").wide(),
    Column::new("topics", "TOPICS"),
    Column::new("lag", "LAG").right(),
    Column::new("tps", "OUT/S").right(),
    Column::new("enabled", "ENABLED"),
    Column::new("orderly", "ORDERLY").wide(),
    Column::new("retryMax", "RETRIES").right().wide(),
    Column::new("brokers", "BROKERS").wide(),
];

#[derive(Default)]
struct Found {
    config: Option<SubscriptionGroupConfig>,
    brokers: BTreeSet<String>,
    topics: BTreeSet<String>,
    lag: i64,
    tps: f64,
}

pub(super) async fn run(args: Args, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    let masters = args.targets.masters(admin).await?;
    let mut groups: BTreeMap<String, Found> = BTreeMap::new();
    for master in &masters {
        for (name, config) in admin.groups_at(&master.address).await?.configs {
            let found = groups.entry(name).or_default();
            found.brokers.insert(master.name.clone());
            found.config.get_or_insert(config);
        }
        for (name, stats) in admin.all_consume_stats_at(&master.address, false).await? {
            let found = groups.entry(name).or_default();
            found.brokers.insert(master.name.clone());
            for stats in stats {
                found.tps += stats.consume_tps;
                for (queue, offsets) in stats.offset_table {
                    found.lag += (offsets.broker_offset - offsets.consumer_offset).max(0);
                    if !queue.topic.starts_with("%RETRY%") {
                        found.topics.insert(queue.topic);
                    }
                }
            }
        }
    }
    let mut left_out = 0;
    groups.retain(|name, _| {
        let wanted = args
            .pattern
            .as_ref()
            .is_none_or(|pattern| fits(pattern, name));
        let shown = args.all || !is_system(name);
        left_out += usize::from(wanted && !shown);
        wanted && shown
    });
    if let Some(pattern) = args.pattern.filter(|_| groups.is_empty()) {
        return Err(CliError::not_found(format!("no group fits {pattern}"))
            .hint("--all also looks at the groups of brokers"));
    }
    let online = connections(groups.keys().cloned(), &masters, admin).await?;
    let rows = groups.iter().map(|(name, found)| {
        let members = online.get(name).map(Vec::as_slice).unwrap_or_default();
        let first = members.first().map(|(_, connection)| connection);
        let config = found.config.as_ref();
        let mut topics = found.topics.clone();
        let subscribed = members
            .iter()
            .flat_map(|(_, found)| found.subscription_table.keys());
        topics.extend(
            subscribed
                .filter(|topic| !topic.starts_with("%RETRY%"))
                .cloned(),
        );
        json!({
            "group": name,
            "members": member_ids(members).len(),
            "model": first.and_then(|found| found.message_model).map(MessageModel::name),
            "type": first.and_then(|found| found.consume_type).map(ConsumeType::name),
            "topics": topics.into_iter().collect::<Vec<_>>().join(","),
            "lag": found.lag,
            "tps": rounded(found.tps),
            "enabled": config.map(|config| config.consume_enable),
            "orderly": config.map(|config| config.consume_message_orderly),
            "retryMax": config.map(|config| config.retry_max_times),
            "brokers": found.brokers.iter().cloned().collect::<Vec<_>>().join(","),
        })
    });
    context.output.rows(COLUMNS, rows)?;
    if left_out > 0 && context.output.stdout_is_terminal() {
        context
            .output
            .note(&format!("{left_out} groups of brokers more (--all)"));
    }
    Ok(Exit::Ok)
}
