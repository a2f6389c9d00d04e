//! `rmq msg`: single messages, those that wait for their time, and those whose transaction is open.

mod delayed;
mod find;
mod get;
mod half;

use clap::Subcommand;
use serde_json::Value;

use super::Context;
use super::exit::{CliError, Exit};
use super::output::Column;
use super::records::{BodyForm, row_with};
use crate::client::Received;

/// Get and find messages; show and take back those that wait
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq msg get 7F000001C27C18B4AAC2232EB0CADAE6
  rmq msg find orders --key 42
  rmq msg delayed orders
  rmq msg half")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Get(get::Args),
    Find(find::Args),
    Delayed(delayed::Args),
    Half(half::Args),
    Rm(delayed::RmArgs),
}

/// Runs the command.
pub(crate) fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    context.block_on(async {
        let client = context.connect().await?;
        let exit = match args.what {
            What::Get(args) => get::run(args, &client, context).await,
            What::Find(args) => find::run(args, &client, context).await,
            What::Delayed(args) => delayed::run(args, &client, context).await,
            What::Half(args) => half::run(args, &client, context).await,
            What::Rm(args) => delayed::remove(args, &client, context).await,
        };
        client.close().await;
        exit
    })
}

/// The columns of messages, in every listing of them.
const COLUMNS: &[Column] = &[
    Column::new("storeTime", "STORED"),
    Column::new("storedIn", "TOPIC"),
    Column::new("brokerName", "BROKER"),
    Column::new("queueId", "QUEUE").right(),
    Column::new("queueOffset", "OFFSET").right(),
    Column::new("uniqKey", "ID").name(),
    Column::new("msgId", "PLACE").wide(),
    Column::new("keys", "KEYS"),
    Column::new("tags", "TAG"),
    Column::new("reconsumeTimes", "RETRIES").right().wide(),
    Column::new("bornTime", "BORN").wide(),
    Column::new("bornHost", "FROM").wide(),
    Column::new("bodyLength", "BYTES").right(),
    Column::new("bodyText", "BODY"),
];

/// A message as `consume -o json` prints it, and `storedIn`: the topic it lies in, which is another for retries, dead
/// letters and what waits.
fn row(message: &Received, utc: bool) -> Value {
    let mut row = row_with(message, message.body(), BodyForm::Auto, utc);
    row["storedIn"] = message.queue.topic.as_str().into();
    row
}

/// One line for people.
fn line(row: &Value) -> String {
    let text = |key: &str| match &row[key] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let labelled = |label: &str, key: &str| match text(key) {
        empty if empty.is_empty() => String::new(),
        value => format!(" {label}={value}"),
    };
    let body = match (&row["bodyText"], &row["bodyBase64"]) {
        (Value::String(text), _) => shortened(text),
        _ => format!("({} bytes)", text("bodyLength")),
    };
    format!(
        "{}  {}  {} {}/{} @{} {}{}  {body}",
        text("storeTime"),
        text("uniqKey"),
        text("storedIn"),
        text("brokerName"),
        text("queueId"),
        text("queueOffset"),
        labelled("key", "keys").trim_start(),
        labelled("tag", "tags"),
    )
}

/// The first line of a text, and not all of a long one.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 120;
    let first = text.lines().next().unwrap_or_default();
    let short: String = first.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        format!("{short}…")
    } else {
        short
    }
}
