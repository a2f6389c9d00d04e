//! `rmq group`: consumer groups, how far they are, and moving them.

mod change;
mod list;
mod log;
mod offsets;
mod show;

use std::collections::{BTreeMap, BTreeSet};

use clap::Subcommand;

use super::Context;
use super::exit::{CliError, Exit};
use super::gather::gather;
use super::targets::Target;
use crate::client::admin::{Admin, ConsumerConnection};

pub(crate) use show::must_exist;

/// List, show, create, change and delete consumer groups, and move their offsets
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq group ls
  rmq group show billing orders
  rmq group reset billing orders --to -1h --dry-run
  rmq group clone billing billing-new --yes")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Ls(list::Args),
    Show(show::Args),
    Create(change::CreateArgs),
    Set(change::SetArgs),
    Rm(change::RmArgs),
    Reset(offsets::ResetArgs),
    Clone(offsets::CloneArgs),
    Skip(offsets::SkipArgs),
    Log(log::Args),
}

/// Runs the command.
pub(crate) fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    context.block_on(async {
        let client = context.connect().await?;
        let admin = client.admin();
        let exit = match args.what {
            What::Ls(args) => list::run(args, &admin, context).await,
            What::Show(args) => show::run(args, &admin, context).await,
            What::Create(args) => change::create(args, &admin, context).await,
            What::Set(args) => change::set(args, &admin, context).await,
            What::Rm(args) => change::remove(args, &admin, context).await,
            What::Reset(args) => offsets::reset(args, &admin, context).await,
            What::Clone(args) => offsets::clone(args, &admin, context).await,
            What::Skip(args) => offsets::skip(args, &admin, context).await,
            What::Log(args) => log::run(args, &admin, context).await,
        };
        client.close().await;
        exit
    })
}

/// Groups brokers have for themselves (`MixAll`), which nobody lists.
pub(crate) fn is_system(group: &str) -> bool {
    const NAMES: [&str; 6] = [
        "TOOLS_CONSUMER",
        "FILTERSRV_CONSUMER",
        "SELF_TEST_C_GROUP",
        "CID_ONS-HTTP-PROXY",
        "CID_ONSAPI_PULL",
        "CID_ONSAPI_PERMISSION",
    ];
    NAMES.contains(&group)
        || group == "CID_ONSAPI_OWNER"
        || group == "__MONITOR_CONSUMER"
        || group.starts_with("CID_RMQ_SYS_")
        || group.starts_with("CID_SYS_RMQ_")
}

/// The members of groups, as all brokers together know them: group to the brokers' answers.
pub(crate) async fn connections(
    groups: impl IntoIterator<Item = String>,
    brokers: &[Target],
    admin: &Admin,
) -> Result<BTreeMap<String, Vec<(Target, ConsumerConnection)>>, CliError> {
    let questions: Vec<(String, Target)> = groups
        .into_iter()
        .flat_map(|group| {
            let brokers = brokers.iter();
            brokers.map(move |broker| (group.clone(), broker.clone()))
        })
        .collect();
    let answers = gather(questions, |(group, broker)| {
        let admin = admin.clone();
        async move {
            let found = admin.consumer_connections_at(&broker.address, &group).await;
            (group, broker, found)
        }
    })
    .await;
    let mut all: BTreeMap<String, Vec<(Target, ConsumerConnection)>> = BTreeMap::new();
    for (group, broker, found) in answers {
        let connections = all.entry(group).or_default();
        if let Some(found) = found? {
            connections.push((broker, found));
        }
    }
    Ok(all)
}

/// The ids of members, each once.
pub(crate) fn member_ids(connections: &[(Target, ConsumerConnection)]) -> BTreeSet<String> {
    connections
        .iter()
        .flat_map(|(_, found)| &found.connection_set)
        .map(|connection| connection.client_id.clone())
        .collect()
}

pub(crate) fn no_group(group: &str) -> CliError {
    CliError::not_found(format!("there is no group {group}")).hint("rmq group ls --all lists them")
}
