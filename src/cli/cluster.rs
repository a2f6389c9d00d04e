//! `rmq cluster show`: clusters, and whether name servers agree about them.

use std::collections::{BTreeMap, BTreeSet};

use clap::Subcommand;
use serde_json::{Value, json};

use super::Context;
use super::broker::rate;
use super::exit::{CliError, Exit};
use super::gather::gather;
use super::output::Column;
use super::topic::rounded;
use crate::client::admin::{Admin, Clusters};

/// Show clusters and name servers
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq cluster show
  rmq cluster show --by namesrv")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show clusters with their brokers and load, or name servers with what they know
    ///
    /// Fields --by cluster: cluster, groups, masters, slaves, topics, inTps, outTps, brokers, silent (masters that do not
    /// answer). Fields --by namesrv: nameServer, answers, clusters, brokers, topics, agrees, error. Name servers that do
    /// not agree, or do not answer, end the command with 7.
    Show {
        /// What a row is about
        #[arg(long, value_enum, default_value = "cluster", value_name = "WHAT")]
        by: By,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// One cluster
    Cluster,
    /// One name server
    Namesrv,
}

const BY_CLUSTER: &[Column] = &[
    Column::new("cluster", "CLUSTER").name(),
    Column::new("groups", "BROKERS").right(),
    Column::new("masters", "MASTERS").right(),
    Column::new("slaves", "SLAVES").right(),
    Column::new("topics", "TOPICS").right(),
    Column::new("inTps", "IN/S").right(),
    Column::new("outTps", "OUT/S").right(),
    Column::new("brokers", "NAMES"),
    Column::new("silent", "SILENT").optional(),
];

const BY_NAME_SERVER: &[Column] = &[
    Column::new("nameServer", "NAME SERVER").name(),
    Column::new("answers", "ANSWERS"),
    Column::new("clusters", "CLUSTERS").right(),
    Column::new("brokers", "BROKERS").right(),
    Column::new("topics", "TOPICS").right(),
    Column::new("agrees", "AGREES"),
    Column::new("error", "ERROR").optional(),
];

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let What::Show { by } = args.what;
    context.block_on(async {
        let client = context.connect().await?;
        let admin = client.admin();
        let exit = match by {
            By::Cluster => clusters(&admin, context).await,
            By::Namesrv => name_servers(&admin, context).await,
        };
        client.close().await;
        exit
    })
}

async fn clusters(admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    let all = admin.clusters().await?;
    let masters: Vec<(String, String)> = all
        .masters()
        .map(|(broker, address)| (broker.cluster.clone(), address.to_owned()))
        .collect();
    let answers = gather(masters, |(cluster, address)| {
        let admin = admin.clone();
        async move {
            let runtime = admin.broker_runtime(&address).await;
            (cluster, address, runtime)
        }
    })
    .await;
    let names: BTreeSet<&String> = all.brokers.iter().map(|broker| &broker.cluster).collect();
    let mut rows = Vec::new();
    let mut partial = false;
    for name in names {
        let groups = || all.brokers.iter().filter(|broker| broker.cluster == *name);
        let slaves = groups()
            .flat_map(|group| group.addresses.keys())
            .filter(|id| **id != 0);
        // Name servers may be told not to list topics.
        let topics = admin.cluster_topics(name).await.ok();
        let (mut input, mut output, mut silent) = (0.0, 0.0, Vec::new());
        for (_, address, runtime) in answers.iter().filter(|(cluster, ..)| cluster == name) {
            match runtime {
                Ok(runtime) => {
                    input += rate(runtime, "putTps").unwrap_or(0.0);
                    output += rate(runtime, "getTransferredTps").unwrap_or(0.0);
                }
                Err(error) => {
                    context.output.warn(&error.to_string());
                    silent.push(address.as_str());
                }
            }
        }
        partial |= !silent.is_empty();
        rows.push(json!({
            "cluster": name,
            "groups": groups().count(),
            "masters": groups().filter(|group| group.master().is_some()).count(),
            "slaves": slaves.count(),
            "topics": topics.map(|topics| topics.len()),
            "inTps": rounded(input),
            "outTps": rounded(output),
            "brokers": groups().map(|group| group.name.to_string()).collect::<Vec<_>>().join(","),
            "silent": silent.join(","),
        }));
    }
    context.output.rows(BY_CLUSTER, rows)?;
    Ok(if partial { Exit::Partial } else { Exit::Ok })
}

/// What a name server knows, in a form that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    brokers: BTreeMap<String, Vec<String>>,
    clusters: BTreeSet<String>,
    topics: Vec<String>,
}

impl Known {
    fn new(clusters: &Clusters, topics: Vec<String>) -> Self {
        let brokers = clusters.brokers.iter();
        Self {
            clusters: brokers
                .clone()
                .map(|broker| broker.cluster.clone())
                .collect(),
            brokers: brokers
                .map(|broker| {
                    let addresses = broker.addresses.iter();
                    let addresses = addresses.map(|(id, address)| format!("{id} {address}"));
                    (broker.name.to_string(), addresses.collect())
                })
                .collect(),
            topics,
        }
    }
}

async fn name_servers(admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    let answers = gather(admin.name_servers().to_vec(), |name_server| {
        let admin = admin.clone();
        async move {
            let known = async {
                let clusters = admin.clusters_at(&name_server).await?;
                let topics = admin.topics_at(&name_server).await?;
                Ok::<_, crate::client::ClientError>(Known::new(&clusters, topics))
            }
            .await;
            (name_server, known)
        }
    })
    .await;
    let first = answers
        .iter()
        .find_map(|(_, known)| known.as_ref().ok())
        .cloned();
    let mut fine = true;
    let mut rows: Vec<Value> = Vec::new();
    for (name_server, known) in answers {
        let agrees = known
            .as_ref()
            .ok()
            .map(|known| Some(known) == first.as_ref());
        fine &= agrees == Some(true);
        let error = known.as_ref().err().map(ToString::to_string);
        let known = known.as_ref().ok();
        rows.push(json!({
            "nameServer": name_server,
            "answers": known.is_some(),
            "clusters": known.map(|known| known.clusters.len()),
            "brokers": known.map(|known| known.brokers.len()),
            "topics": known.map(|known| known.topics.len()),
            "agrees": agrees,
            "error": error,
        }));
    }
    context.output.rows(BY_NAME_SERVER, rows)?;
    Ok(if fine { Exit::Ok } else { Exit::CheckFailed })
}
