//! `rmq msg half`: messages of transactions that are neither committed nor rolled back.
//!
//! Half messages lie in a topic of the broker. A second topic, whose queues have the same numbers, holds the offsets of
//! those that are settled; the broker's own group keeps how far everything is settled in both.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::delayed::open;
use super::get::by_id;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Column;
use crate::cli::plan::{Consent, Danger, Plan, Step};
use crate::cli::targets::Targets;
use crate::cli::times::show_time;
use crate::client::{Client, GroupName, ReadFrom, Received};
use crate::message::names;

const HALF: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
const SETTLED: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
const GIVEN_UP: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
/// The broker's own group.
const GROUP: &str = "CID_RMQ_SYS_TRANS";

/// List half messages, or have a producer asked again
///
/// Fields: uniqKey, msgId, topic, producerGroup, brokerName, queueOffset, storeTime, storeTimestamp, ageMs, checks (how
/// often the producer was asked), bodyLength.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq msg half
  rmq msg half --producer-group billing -o json
  rmq msg half --given-up
  rmq msg half --check 7F00000100002A9F0000000000012345 --yes")]
pub(super) struct Args {
    /// Only those of this producer group
    #[arg(long, value_name = "GROUP")]
    producer_group: Option<String>,
    /// Those whose producer was asked too often, so that the broker gave up
    #[arg(long)]
    given_up: bool,
    /// Have the broker ask the producer of this message again; takes the id of its place (msgId)
    #[arg(long, value_name = "ID")]
    check: Option<String>,
    #[command(flatten)]
    consent: Consent,
}

const COLUMNS: &[Column] = &[
    Column::new("storeTime", "STORED"),
    Column::new("storeTimestamp", "MS").right().wide(),
    Column::new("ageMs", "AGE MS").right().wide(),
    Column::new("topic", "TOPIC"),
    Column::new("producerGroup", "PRODUCER GROUP"),
    Column::new("brokerName", "BROKER").wide(),
    Column::new("queueOffset", "OFFSET").right().wide(),
    Column::new("uniqKey", "ID").name(),
    Column::new("msgId", "PLACE"),
    Column::new("checks", "ASKED").right(),
    Column::new("bodyLength", "BYTES").right().wide(),
];

pub(super) async fn run(args: Args, client: &Client, context: &Context) -> Result<Exit, CliError> {
    if let Some(id) = &args.check {
        return check(id, args.consent, client, context).await;
    }
    let mut found = if args.given_up {
        let mut found = Vec::new();
        if let Some(mut reader) = open(client, GIVEN_UP, ReadFrom::Earliest).await? {
            while let Some(message) = reader.next().await? {
                found.push(message);
            }
        }
        found
    } else {
        open_ones(client).await?
    };
    let group = |message: &Received| message.properties.get(names::PGROUP).map(str::to_owned);
    found.retain(|message| args.producer_group.is_none() || group(message) == args.producer_group);
    let (utc, now_ms) = (context.global.utc, context.clock.now_ms());
    let rows = found.iter().map(|message| row(message, utc, now_ms));
    context.output.rows(COLUMNS, rows)?;
    Ok(Exit::Ok)
}

fn row(message: &Received, utc: bool, now_ms: i64) -> Value {
    let property = |name: &str| message.properties.get(name);
    let checks = property(names::TRANSACTION_CHECK_TIMES).and_then(|text| text.parse::<u32>().ok());
    json!({
        "uniqKey": message.message_id(),
        "msgId": message.offset_message_id(),
        "topic": property(names::REAL_TOPIC).unwrap_or_else(|| message.topic()),
        "producerGroup": property(names::PGROUP),
        "brokerName": message.queue.broker.as_str(),
        "queueOffset": message.queue_offset,
        "storeTime": show_time(message.store_timestamp, utc),
        "storeTimestamp": message.store_timestamp,
        "ageMs": (now_ms - message.store_timestamp).max(0),
        "checks": checks.unwrap_or(0),
        "bodyLength": message.body().len(),
    })
}

/// Half messages behind the settled offset whose own offset is not among those settled since.
async fn open_ones(client: &Client) -> Result<Vec<Received>, CliError> {
    let group = GroupName::stored(GROUP);
    let mut settled: BTreeSet<(String, i64)> = BTreeSet::new();
    if let Some(mut reader) = open(client, SETTLED, ReadFrom::Group(group.clone())).await? {
        while let Some(message) = reader.next().await? {
            let broker = message.queue.broker.to_string();
            let text = String::from_utf8_lossy(message.body()).into_owned();
            let offsets = text
                .split(',')
                .filter_map(|part| part.trim().parse::<i64>().ok());
            settled.extend(offsets.map(|offset| (broker.clone(), offset)));
        }
    }
    let mut found = Vec::new();
    if let Some(mut reader) = open(client, HALF, ReadFrom::Group(group)).await? {
        while let Some(message) = reader.next().await? {
            let place = (message.queue.broker.to_string(), message.queue_offset);
            if !settled.contains(&place) {
                found.push(message);
            }
        }
    }
    // A message whose producer was asked is stored again; the last copy is the one that counts.
    let mut latest = BTreeSet::new();
    found.reverse();
    found.retain(|message| latest.insert(message.message_id()));
    found.reverse();
    Ok(found)
}

async fn check(
    id: &str,
    consent: Consent,
    client: &Client,
    context: &Context,
) -> Result<Exit, CliError> {
    let admin = client.admin();
    let found = by_id(&admin, id, Some(GIVEN_UP)).await?;
    let message = found
        .first()
        .ok_or_else(|| CliError::not_found(format!("there is no message {id}")))?;
    let broker = message.queue.broker.as_str();
    let masters = Targets::default().masters(&admin).await?;
    let master = masters
        .iter()
        .find(|master| master.name == broker)
        .ok_or_else(|| CliError::new(Exit::Unreachable, format!("{broker} has no master now")))?;
    let mut plan = Plan::default();
    plan.steps.push(Step::new("check", "message", id, broker));
    if plan.agreed(consent, Danger::None, context)? {
        let topic = message.queue.topic.as_str();
        let place = message.offset_message_id();
        let asked = admin
            .resume_half_check_at(&master.address, topic, &place)
            .await;
        if let Some(step) = plan.steps.first_mut() {
            step.settle(asked);
        }
    }
    plan.finish(context)
}
