//! `rmq broker config`: the live settings of brokers.

use std::collections::{BTreeMap, BTreeSet};

use clap::Subcommand;
use serde_json::{Value, json};

use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Column;
use crate::cli::plan::{Consent, Danger, Plan, Step};
use crate::cli::targets::Targets;
use crate::client::admin::Admin;

/// Show, compare and change the settings of running brokers
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq broker config get flushDiskType fileReservedTime
  rmq broker config diff --broker broker-a --broker broker-b
  rmq broker config set fileReservedTime=48 --dry-run")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print settings. Fields: brokerName, brokerId, address, key, value
    Get {
        /// Only these; * stands for anything
        #[arg(value_name = "KEY")]
        keys: Vec<String>,
        #[command(flatten)]
        targets: Targets,
    },
    /// Print the settings in which brokers differ; ends with 7 if there are any. Fields: key, and one for each broker
    Diff {
        #[command(flatten)]
        targets: Targets,
    },
    /// Change settings, and read back what the brokers made of it
    ///
    /// A broker that was started with a configuration file (--config) writes them into it, so that they hold after a
    /// restart; where they do not, that is said.
    Set {
        /// The settings
        #[arg(required = true, value_name = "KEY=VALUE")]
        settings: Vec<String>,
        #[command(flatten)]
        targets: Targets,
        #[command(flatten)]
        consent: Consent,
    },
}

const GET: &[Column] = &[
    Column::new("brokerName", "BROKER"),
    Column::new("brokerId", "ID").right().wide(),
    Column::new("address", "ADDRESS").wide(),
    Column::new("key", "KEY").name(),
    Column::new("value", "VALUE"),
];

const DIFF: &[Column] = &[
    Column::new("key", "KEY").name(),
    Column::new("values", "VALUES"),
];

pub(super) async fn run(args: Args, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    match args.what {
        What::Get { keys, targets } => get(&keys, &targets, admin, context).await,
        What::Diff { targets } => diff(&targets, admin, context).await,
        What::Set {
            settings,
            targets,
            consent,
        } => set(&settings, &targets, consent, admin, context).await,
    }
}

async fn get(
    keys: &[String],
    targets: &Targets,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let mut rows = Vec::new();
    let mut found = BTreeSet::new();
    for broker in targets.all(admin).await? {
        for (key, value) in admin.broker_config(&broker.address).await? {
            let fitting = keys
                .iter()
                .find(|wanted| crate::cli::topic::fits(wanted, &key));
            if let Some(wanted) = fitting {
                found.insert(wanted.clone());
            } else if !keys.is_empty() {
                continue;
            }
            rows.push(json!({
                "brokerName": broker.name,
                "brokerId": broker.id,
                "address": broker.address,
                "key": key,
                "value": value,
            }));
        }
    }
    context.output.rows(GET, rows)?;
    let missing: Vec<&String> = keys.iter().filter(|key| !found.contains(*key)).collect();
    match missing.first() {
        None => Ok(Exit::Ok),
        Some(key) => Err(CliError::not_found(format!(
            "no broker has a setting {key}"
        ))),
    }
}

async fn diff(targets: &Targets, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let brokers = targets.all(admin).await?;
    for broker in &brokers {
        for (key, value) in admin.broker_config(&broker.address).await? {
            all.entry(key)
                .or_default()
                .insert(broker.address.clone(), value);
        }
    }
    let mut rows = Vec::new();
    for (key, values) in all {
        let distinct: BTreeSet<Option<&String>> = brokers
            .iter()
            .map(|broker| values.get(&broker.address))
            .collect();
        if distinct.len() > 1 {
            let values: serde_json::Map<String, Value> = brokers
                .iter()
                .map(|broker| {
                    let name = format!("{}:{}", broker.name, broker.id);
                    (name, values.get(&broker.address).cloned().into())
                })
                .collect();
            rows.push(json!({ "key": key, "values": values }));
        }
    }
    let exit = if rows.is_empty() {
        Exit::Ok
    } else {
        Exit::CheckFailed
    };
    context.output.rows(DIFF, rows)?;
    Ok(exit)
}

/// `KEY=VALUE` texts as a table.
pub(crate) fn pairs(settings: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let mut table = BTreeMap::new();
    for text in settings {
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.trim().is_empty())
            .ok_or_else(|| CliError::usage(format!("{text:?} is no setting; write KEY=VALUE")))?;
        table.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    Ok(table)
}

async fn set(
    settings: &[String],
    targets: &Targets,
    consent: Consent,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let wanted = pairs(settings)?;
    let brokers = targets.all(admin).await?;
    let mut plan = Plan::default();
    for broker in &brokers {
        let now = admin.broker_config(&broker.address).await?;
        for (key, value) in &wanted {
            if !now.contains_key(key) {
                context
                    .output
                    .warn(&format!("{} does not know a setting {key}", broker.name));
            }
            let step = Step::new("change", "setting", key, &broker.address);
            plan.steps
                .push(step.change(now.get(key).cloned(), value.clone()));
        }
    }
    let each = wanted.len();
    let question = format!("Changing settings of {} brokers. Go on?", brokers.len());
    if plan.agreed(consent, Danger::Ask(&question), context)? {
        for (steps, broker) in plan.steps.chunks_mut(each).zip(&brokers) {
            let wanted: BTreeMap<String, String> = steps
                .iter()
                .filter(|step| step.is_planned())
                .filter_map(|step| Some((step.name.clone(), step.after.as_str()?.to_owned())))
                .collect();
            if wanted.is_empty() {
                continue;
            }
            let changed = async {
                let told = admin.set_broker_config(&broker.address, &wanted).await?;
                if let Some(told) = told {
                    context.output.warn(&format!("{}: {told}", broker.name));
                }
                admin.broker_config(&broker.address).await
            };
            match changed.await {
                Ok(now) => {
                    for step in steps.iter_mut().filter(|step| step.is_planned()) {
                        step.found(now.get(&step.name).cloned());
                    }
                }
                Err(error) => {
                    let error = CliError::from(error);
                    for step in steps.iter_mut().filter(|step| step.is_planned()) {
                        step.fail(CliError::new(error.exit(), &error));
                    }
                }
            }
        }
    }
    plan.finish(context)
}
