//! `rmq broker ls` and `show`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::gather::gather;
use crate::cli::output::Column;
use crate::cli::targets::{Target, Targets};
use crate::cli::topic::{rounded, time, time_ms};
use crate::client::ClientError;
use crate::client::admin::Admin;

/// List brokers with their load
///
/// A broker that does not answer has its reason under error, and the command ends with 6 (4 if none answers).
///
/// Fields: cluster, brokerName, brokerId, role, address, version, active, inTps, outTps, messagesToday, logBytes,
/// diskPercent, flushBehind, started, startedMs, oldest, oldestMs (when the first message still there was stored), error.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq broker ls
  rmq broker ls -o wide --cluster DefaultCluster")]
pub(super) struct LsArgs {
    #[command(flatten)]
    targets: Targets,
}

/// Show everything brokers say about themselves
///
/// Fields: brokerName, brokerId, address, key, value; the keys are Apache's.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq broker show broker-a
  rmq broker show 10.0.0.1:10911 -o json")]
pub(super) struct ShowArgs {
    /// The brokers, by name or address; all without
    #[arg(value_name = "NAME|ADDR")]
    brokers: Vec<String>,
    /// Only keys that hold this text
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
}

const LS: &[Column] = &[
    Column::new("cluster", "CLUSTER"),
    Column::new("brokerName", "BROKER").name(),
    Column::new("brokerId", "ID").right(),
    Column::new("role", "ROLE").wide(),
    Column::new("address", "ADDRESS"),
    Column::new("version", "VERSION"),
    Column::new("active", "ACTIVE").wide(),
    Column::new("inTps", "IN/S").right(),
    Column::new("outTps", "OUT/S").right(),
    Column::new("messagesToday", "TODAY").right(),
    Column::new("logBytes", "LOG").right().wide(),
    Column::new("diskPercent", "DISK %").right(),
    Column::new("flushBehind", "NOT FLUSHED").right().wide(),
    Column::new("started", "STARTED"),
    Column::new("startedMs", "MS").right().wide(),
    Column::new("oldest", "OLDEST").wide(),
    Column::new("oldestMs", "MS").right().wide(),
    Column::new("error", "ERROR").optional(),
];

const SHOW: &[Column] = &[
    Column::new("brokerName", "BROKER"),
    Column::new("brokerId", "ID").right().wide(),
    Column::new("address", "ADDRESS").wide(),
    Column::new("key", "KEY").name(),
    Column::new("value", "VALUE"),
];

type Runtime = BTreeMap<String, String>;

/// What each broker says, asked at once.
async fn runtimes(
    brokers: &[Target],
    admin: &Admin,
) -> Vec<(Target, Result<Runtime, ClientError>)> {
    gather(brokers.to_vec(), |broker| {
        let admin = admin.clone();
        async move {
            let runtime = admin.broker_runtime(&broker.address).await;
            (broker, runtime)
        }
    })
    .await
}

/// The first of the rates brokers join by blanks: that of the last ten seconds.
pub(crate) fn rate(runtime: &Runtime, key: &str) -> Option<f64> {
    runtime.get(key)?.split_whitespace().next()?.parse().ok()
}

fn number(runtime: &Runtime, key: &str) -> Option<i64> {
    runtime.get(key)?.trim().parse().ok()
}

fn row(broker: &Target, runtime: &Runtime, utc: bool) -> Value {
    let ms = |key: &str| number(runtime, key).unwrap_or(0);
    let log = number(runtime, "commitLogMaxOffset")
        .zip(number(runtime, "commitLogMinOffset"))
        .map(|(max, min)| (max - min).max(0));
    let today = number(runtime, "msgPutTotalTodayNow")
        .zip(number(runtime, "msgPutTotalTodayMorning"))
        .map(|(now, morning)| (now - morning).max(0));
    let disk = rate(runtime, "commitLogDiskRatio").map(|share| rounded(share * 100.0));
    let tps = |key: &str| rate(runtime, key).map(rounded);
    json!({
        "cluster": broker.cluster,
        "brokerName": broker.name,
        "brokerId": broker.id,
        "role": if broker.id == 0 { "master" } else { "slave" },
        "address": broker.address,
        "version": runtime.get("brokerVersionDesc").map(|text| {
            text.trim_start_matches('V').replace('_', ".")
        }),
        "active": runtime.get("brokerActive").map(|text| text == "true"),
        "inTps": tps("putTps"),
        "outTps": tps("getTransferredTps"),
        "messagesToday": today,
        "logBytes": log,
        "diskPercent": disk,
        "flushBehind": runtime.get("remainHowManyDataToFlush"),
        "started": time(ms("bootTimestamp"), utc),
        "startedMs": time_ms(ms("bootTimestamp")),
        "oldest": time(ms("earliestMessageTimeStamp"), utc),
        "oldestMs": time_ms(ms("earliestMessageTimeStamp")),
        "error": null,
    })
}

pub(super) async fn list(args: LsArgs, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    let brokers = args.targets.all(admin).await?;
    let mut rows = Vec::new();
    let mut silent = Vec::new();
    for (broker, runtime) in runtimes(&brokers, admin).await {
        let mut row = row(
            &broker,
            runtime.as_ref().unwrap_or(&Runtime::new()),
            context.global.utc,
        );
        if let Err(error) = runtime {
            row["error"] = error.to_string().into();
            silent.push(error);
        }
        rows.push(row);
    }
    let answered = rows.len() - silent.len();
    context.output.rows(LS, rows)?;
    for error in &silent {
        context.output.warn(&error.to_string());
    }
    Ok(match silent.into_iter().next() {
        None => Exit::Ok,
        Some(_) if answered > 0 => Exit::Partial,
        Some(error) => CliError::from(error).exit(),
    })
}

pub(super) async fn show(
    args: ShowArgs,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let targets = Targets {
        brokers: args.brokers,
        cluster: None,
    };
    let brokers = targets.all(admin).await?;
    let mut rows = Vec::new();
    for (broker, runtime) in runtimes(&brokers, admin).await {
        for (key, value) in runtime? {
            let shown = args.grep.as_ref().is_none_or(|text| {
                key.to_ascii_lowercase()
                    .contains(&text.to_ascii_lowercase())
            });
            if shown {
                rows.push(json!({
                    "brokerName": broker.name,
                    "brokerId": broker.id,
                    "address": broker.address,
                    "key": key,
                    "value": value,
                }));
            }
        }
    }
    context.output.rows(SHOW, rows)?;
    Ok(Exit::Ok)
}
