//! `rmq nsconf`: the settings and the tables of name servers.

use std::collections::{BTreeMap, BTreeSet};

use clap::Subcommand;
use serde_json::{Value, json};

use super::Context;
use super::broker::pairs;
use super::exit::{CliError, Exit};
use super::output::Column;
use super::plan::{Consent, Danger, Plan, Step};
use super::topic::fits;
use crate::client::ClientError;
use crate::client::admin::Admin;

/// Show and change the settings of name servers, and their key-value tables
///
/// Name servers do not talk to each other: every change goes to each of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq nsconf get
  rmq nsconf set deleteTopicWithBrokerRegistration=true --dry-run
  rmq nsconf get --kv ORDER_TOPIC_CONFIG
  rmq nsconf rm --kv ORDER_TOPIC_CONFIG orders --yes")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print settings, or a table. Fields: nameServer, namespace, key, value
    Get {
        /// Only these; * stands for anything
        #[arg(value_name = "KEY")]
        keys: Vec<String>,
        /// The table of this namespace instead of the settings
        #[arg(long, value_name = "NAMESPACE")]
        kv: Option<String>,
    },
    /// Change settings, or values of a table, and read them back
    Set {
        /// What to set
        #[arg(required = true, value_name = "KEY=VALUE")]
        settings: Vec<String>,
        /// In the table of this namespace instead of the settings
        #[arg(long, value_name = "NAMESPACE")]
        kv: Option<String>,
        #[command(flatten)]
        consent: Consent,
    },
    /// Remove values from a table
    Rm {
        /// The keys
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
        /// The table's namespace
        #[arg(long, value_name = "NAMESPACE")]
        kv: String,
        #[command(flatten)]
        consent: Consent,
    },
}

const COLUMNS: &[Column] = &[
    Column::new("nameServer", "NAME SERVER"),
    Column::new("namespace", "NAMESPACE").optional(),
    Column::new("key", "KEY").name(),
    Column::new("value", "VALUE"),
];

/// Runs the command.
pub(crate) fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    context.block_on(async {
        let client = context.connect().await?;
        let admin = client.admin();
        let exit = match args.what {
            What::Get { keys, kv } => get(&keys, kv.as_deref(), &admin, context).await,
            What::Set {
                settings,
                kv,
                consent,
            } => {
                let wanted = pairs(&settings)?;
                let wanted = wanted
                    .into_iter()
                    .map(|(key, value)| (key, Some(value)))
                    .collect();
                change(wanted, kv.as_deref(), consent, &admin, context).await
            }
            What::Rm { keys, kv, consent } => {
                let wanted = keys.into_iter().map(|key| (key, None)).collect();
                change(wanted, Some(&kv), consent, &admin, context).await
            }
        };
        client.close().await;
        exit
    })
}

type Table = BTreeMap<String, String>;

async fn read(admin: &Admin, name_server: &str, kv: Option<&str>) -> Result<Table, ClientError> {
    match kv {
        None => admin.name_server_config(name_server).await,
        Some(namespace) => {
            let table = admin.kv_table_at(name_server, namespace).await?;
            Ok(table.unwrap_or_default())
        }
    }
}

async fn get(
    keys: &[String],
    kv: Option<&str>,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let mut rows = Vec::new();
    let mut found = BTreeSet::new();
    for name_server in admin.name_servers() {
        for (key, value) in read(admin, name_server, kv).await? {
            let fitting = keys.iter().find(|wanted| fits(wanted, &key));
            if let Some(wanted) = fitting {
                found.insert(wanted.clone());
            } else if !keys.is_empty() {
                continue;
            }
            rows.push(json!({
                "nameServer": name_server, "namespace": kv, "key": key, "value": value,
            }));
        }
    }
    let nothing = rows.is_empty();
    context.output.rows(COLUMNS, rows)?;
    if let Some(key) = keys.iter().find(|key| !found.contains(*key)) {
        return Err(CliError::not_found(format!("no name server has {key}")));
    }
    if let Some(namespace) = kv.filter(|_| nothing) {
        return Err(CliError::not_found(format!(
            "no name server has a table {namespace}"
        )));
    }
    Ok(Exit::Ok)
}

async fn change(
    wanted: BTreeMap<String, Option<String>>,
    kv: Option<&str>,
    consent: Consent,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let mut plan = Plan::default();
    let mut known = false;
    for name_server in admin.name_servers() {
        let now = read(admin, name_server, kv).await?;
        for (key, value) in &wanted {
            known |= value.is_some() || now.contains_key(key);
            let (action, kind) = match (value, kv) {
                (None, _) => ("delete", "kv"),
                (Some(_), Some(_)) => ("change", "kv"),
                (Some(_), None) => ("change", "setting"),
            };
            let mut step = Step::new(action, kind, key, name_server);
            step.field = kv.map(str::to_owned);
            plan.steps
                .push(step.change(now.get(key).cloned(), value.clone()));
        }
    }
    if !known {
        return Err(CliError::not_found("no name server has any of these"));
    }
    let servers = admin.name_servers().len();
    let question = format!("Changing {servers} name servers. Go on?");
    if plan.agreed(consent, Danger::Ask(&question), context)? {
        for step in plan.steps.iter_mut().filter(|step| step.is_planned()) {
            let (name_server, key) = (step.at.clone(), step.name.clone());
            let value = step.after.as_str().map(str::to_owned);
            let changed = async {
                match (kv, &value) {
                    (None, value) => {
                        let value = value.clone().unwrap_or_default();
                        let settings = Table::from([(key.clone(), value)]);
                        admin
                            .set_name_server_config(&name_server, &settings)
                            .await?;
                    }
                    (Some(space), Some(value)) => {
                        admin.put_kv_at(&name_server, space, &key, value).await?;
                    }
                    (Some(space), None) => admin.delete_kv_at(&name_server, space, &key).await?,
                }
                read(admin, &name_server, kv).await
            };
            step.read_back(
                changed
                    .await
                    .map(|now| now.get(&key).cloned().map_or(Value::Null, Value::from)),
            );
        }
    }
    plan.finish(context)
}
