//! `rmq client ls`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::version;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::group::{connections, is_system};
use crate::cli::output::Column;
use crate::cli::targets::{Target, Targets};
use crate::cli::topic::{time, time_ms};
use crate::client::admin::Admin;

/// List connected producers and consumers
///
/// Fields: clientId, kind (producer, consumer), group, address, language, version, brokers, lastSeen, lastSeenMs
/// (producers only).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq client ls
  rmq client ls --kind producer -o json
  rmq client ls --group billing")]
pub(super) struct Args {
    /// Only producers or only consumers
    #[arg(long, value_enum, value_name = "KIND")]
    kind: Option<Kind>,
    /// Only clients of this group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Also the producers and consumers brokers have inside themselves
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    targets: Targets,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Clients that send
    Producer,
    /// Clients that consume
    Consumer,
}

const COLUMNS: &[Column] = &[
    Column::new("clientId", "CLIENT").name(),
    Column::new("kind", "KIND"),
    Column::new("group", "GROUP"),
    Column::new("address", "ADDRESS"),
    Column::new("language", "LANGUAGE"),
    Column::new("version", "VERSION"),
    Column::new("brokers", "BROKERS"),
    Column::new("lastSeen", "LAST SEEN").wide(),
    Column::new("lastSeenMs", "MS").right().wide(),
];

/// Clients by kind, group and id.
type Clients = BTreeMap<(&'static str, String, String), (Value, BTreeSet<String>)>;

pub(super) async fn run(args: Args, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    let brokers = args.targets.masters(admin).await?;
    let mut clients = Clients::new();
    if args.kind != Some(Kind::Consumer) {
        producers(&args, &brokers, admin, context, &mut clients).await?;
    }
    if args.kind != Some(Kind::Producer) {
        consumers(&args, &brokers, admin, &mut clients).await?;
    }
    if let Some(group) = args.group.filter(|_| clients.is_empty()) {
        return Err(CliError::not_found(format!(
            "nobody of {group} is connected"
        )));
    }
    let rows = clients.into_values().map(|(mut row, brokers)| {
        row["brokers"] = brokers.into_iter().collect::<Vec<_>>().join(",").into();
        row
    });
    context.output.rows(COLUMNS, rows)?;
    Ok(Exit::Ok)
}

async fn producers(
    args: &Args,
    brokers: &[Target],
    admin: &Admin,
    context: &Context,
    clients: &mut Clients,
) -> Result<(), CliError> {
    for broker in brokers {
        for (group, producers) in admin.producers_at(&broker.address).await? {
            let wanted = args.group.as_ref().is_none_or(|wanted| *wanted == group);
            if !wanted || (!args.all && group == "CLIENT_INNER_PRODUCER" && args.group.is_none()) {
                continue;
            }
            for producer in producers {
                let key = ("producer", group.clone(), producer.client_id.clone());
                let row = json!({
                    "clientId": producer.client_id,
                    "kind": "producer",
                    "group": group,
                    // Java writes a slash before addresses.
                    "address": producer.remote_ip.trim_start_matches('/'),
                    "language": producer.language,
                    "version": version(producer.version),
                    "brokers": null,
                    "lastSeen": time(producer.last_update_timestamp, context.global.utc),
                    "lastSeenMs": time_ms(producer.last_update_timestamp),
                });
                let (_, names) = clients.entry(key).or_insert((row, BTreeSet::new()));
                names.insert(broker.name.clone());
            }
        }
    }
    Ok(())
}

async fn consumers(
    args: &Args,
    brokers: &[Target],
    admin: &Admin,
    clients: &mut Clients,
) -> Result<(), CliError> {
    let mut groups = BTreeSet::new();
    if let Some(group) = &args.group {
        groups.insert(group.clone());
    } else {
        for broker in brokers {
            groups.extend(admin.groups_at(&broker.address).await?.configs.into_keys());
        }
        groups.retain(|group| args.all || !is_system(group));
    }
    for (group, found) in connections(groups, brokers, admin).await? {
        for (broker, connection) in found {
            for member in connection.connection_set {
                let key = ("consumer", group.clone(), member.client_id.clone());
                let row = json!({
                    "clientId": member.client_id,
                    "kind": "consumer",
                    "group": group,
                    "address": member.client_addr,
                    "language": member.language,
                    "version": version(member.version),
                    "brokers": null,
                    "lastSeen": null,
                    "lastSeenMs": null,
                });
                let (_, names) = clients.entry(key).or_insert((row, BTreeSet::new()));
                names.insert(broker.name.clone());
            }
        }
    }
    Ok(())
}
