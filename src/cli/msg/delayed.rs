//! `rmq msg delayed` and `rm`: messages that wait for their time, by delay level or by timer.
//!
//! Both lie in topics of the broker: `SCHEDULE_TOPIC_XXXX` has a queue for each level, delivered up to an offset the
//! broker tells; `rmq_sys_wheel_timer` holds every timer message ever set, delivered or not, and the requests to take one
//! back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};

use crate::base::units::parse_duration;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Column;
use crate::cli::plan::{Consent, Danger, Plan, Step};
use crate::cli::targets::Targets;
use crate::cli::times::{parse_time, show_time};
use crate::cli::{Context, interrupted};
use crate::client::admin::Admin;
use crate::client::{Client, ClientError, ReadFrom, ReadOptions, Received};
use crate::message::names;

const TIMER: &str = "rmq_sys_wheel_timer";
/// Set on a request to take a timer message back; its value is the key of that message.
const TIMER_DELETES: &str = "TIMER_DEL_UNIQKEY";

/// List messages that wait for their delivery time
///
/// Fields: due, dueMs, topic, brokerName, uniqKey, keys, tags, storeTime, storeTimestamp, kind (timer or level), level,
/// bodyLength.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq msg delayed
  rmq msg delayed orders -o json
  rmq msg delayed --until 2026-11-22T18:00")]
pub(super) struct Args {
    /// Only messages for this topic
    #[arg(value_name = "TOPIC")]
    topic: Option<String>,
    /// Only what is due before this
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// How far back timer messages may have been set; brokers take delays of three days unless told otherwise
    #[arg(long, value_name = "DURATION", default_value = "3d", value_parser = parse_duration)]
    since: Duration,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value = "1000")]
    count: usize,
}

/// Take back messages that wait for their delivery time
///
/// The broker must know how (5.4 and later, recallMessageEnable=true). Messages with a delay level cannot be taken back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  rmq msg rm 7F000001C27C18B4AAC2232EB0CADAE6 --dry-run")]
pub(super) struct RmArgs {
    /// The producers' ids
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// How far back they may have been set
    #[arg(long, value_name = "DURATION", default_value = "3d", value_parser = parse_duration)]
    since: Duration,
    #[command(flatten)]
    consent: Consent,
}

const COLUMNS: &[Column] = &[
    Column::new("due", "DUE"),
    Column::new("dueMs", "MS").right().wide(),
    Column::new("topic", "TOPIC"),
    Column::new("brokerName", "BROKER").wide(),
    Column::new("uniqKey", "ID").name(),
    Column::new("keys", "KEYS"),
    Column::new("tags", "TAG"),
    Column::new("storeTime", "STORED"),
    Column::new("storeTimestamp", "MS").right().wide(),
    Column::new("kind", "KIND"),
    Column::new("level", "LEVEL").right().optional(),
    Column::new("bodyLength", "BYTES").right().wide(),
];

/// A message that waits.
struct Waiting {
    message: Received,
    due_ms: i64,
    /// The delay level; `None` for timer messages.
    level: Option<i32>,
}

impl Waiting {
    fn topic(&self) -> &str {
        self.message
            .properties
            .get(names::REAL_TOPIC)
            .unwrap_or_else(|| self.message.topic())
    }

    fn row(&self, utc: bool) -> Value {
        let message = &self.message;
        json!({
            "due": show_time(self.due_ms, utc),
            "dueMs": self.due_ms,
            "topic": self.topic(),
            "brokerName": message.queue.broker.as_str(),
            "uniqKey": message.message_id(),
            "keys": message.keys(),
            "tags": message.tag(),
            "storeTime": show_time(message.store_timestamp, utc),
            "storeTimestamp": message.store_timestamp,
            "kind": if self.level.is_some() { "level" } else { "timer" },
            "level": self.level,
            "bodyLength": message.body().len(),
        })
    }
}

pub(super) async fn run(args: Args, client: &Client, context: &Context) -> Result<Exit, CliError> {
    let now_ms = context.clock.now_ms();
    let until = args
        .until
        .as_deref()
        .map(|text| parse_time(text, now_ms))
        .transpose()?;
    if let Some(topic) = &args.topic {
        client.admin().topic_route(topic).await?;
    }
    let (mut waiting, exit) = all(client, args.since, context).await?;
    waiting.retain(|one| {
        until.is_none_or(|until| one.due_ms <= until)
            && args.topic.as_ref().is_none_or(|topic| topic == one.topic())
    });
    let more = waiting.len().saturating_sub(args.count);
    waiting.truncate(args.count);
    let utc = context.global.utc;
    context
        .output
        .rows(COLUMNS, waiting.iter().map(|one| one.row(utc)))?;
    if more > 0 {
        context
            .output
            .note(&format!("{more} more wait; -n takes more"));
    }
    Ok(exit)
}

/// Everything that waits, the next due first.
async fn all(
    client: &Client,
    since: Duration,
    context: &Context,
) -> Result<(Vec<Waiting>, Exit), CliError> {
    let mut stop = std::pin::pin!(interrupted());
    tokio::select! {
        biased;
        () = &mut stop => Ok((Vec::new(), Exit::Interrupted)),
        found = collect(client, since, context) => {
            let mut found = found?;
            found.sort_by_key(|one| one.due_ms);
            Ok((found, Exit::Ok))
        }
    }
}

async fn collect(
    client: &Client,
    since: Duration,
    context: &Context,
) -> Result<Vec<Waiting>, CliError> {
    let admin = client.admin();
    let mut found = by_level(client, &admin).await?;
    found.extend(by_timer(client, since, context).await?);
    Ok(found)
}

/// What lies behind the delivered offset of each level.
async fn by_level(client: &Client, admin: &Admin) -> Result<Vec<Waiting>, CliError> {
    let mut delivered: BTreeMap<(String, i32), i64> = BTreeMap::new();
    let mut delays: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for master in Targets::default().masters(admin).await? {
        for (level, offset) in admin.delay_offsets(&master.address).await? {
            delivered.insert((master.name.clone(), level), offset);
        }
        let config = admin.broker_config(&master.address).await?;
        let levels = config.get("messageDelayLevel").map_or("", String::as_str);
        let levels = levels.split_whitespace().map(|text| {
            parse_duration(text).map_or(0, |delay| i64::try_from(delay.as_millis()).unwrap_or(0))
        });
        delays.insert(master.name.clone(), levels.collect());
    }
    let Some(mut reader) = open(client, names::SCHEDULE_TOPIC, ReadFrom::Earliest).await? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    while let Some(message) = reader.next().await? {
        let level = message.queue.queue.to_wire() + 1;
        let broker = message.queue.broker.to_string();
        let next = delivered
            .get(&(broker.clone(), level))
            .copied()
            .unwrap_or(0);
        if message.queue_offset < next {
            continue;
        }
        let delay = usize::try_from(level - 1)
            .ok()
            .and_then(|at| delays.get(&broker)?.get(at));
        let due_ms = message.store_timestamp + delay.copied().unwrap_or(0);
        found.push(Waiting {
            message,
            due_ms,
            level: Some(level),
        });
    }
    Ok(found)
}

/// Timer messages whose time is to come, without those taken back. One that was set anew for a long delay counts once.
async fn by_timer(
    client: &Client,
    since: Duration,
    context: &Context,
) -> Result<Vec<Waiting>, CliError> {
    let now_ms = context.clock.now_ms();
    let since_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let from = ReadFrom::Time {
        ms: now_ms.saturating_sub(since_ms).max(0),
    };
    let Some(mut reader) = open(client, TIMER, from).await? else {
        return Ok(Vec::new());
    };
    let mut found: BTreeMap<String, Waiting> = BTreeMap::new();
    let mut gone = BTreeSet::new();
    while let Some(message) = reader.next().await? {
        if let Some(key) = message.properties.get(TIMER_DELETES) {
            // 5.5 puts the topic before the key.
            gone.insert(key.rsplit('+').next().unwrap_or_default().to_owned());
            continue;
        }
        let due = message.properties.get(names::TIMER_OUT_MS);
        let Some(due_ms) = due.and_then(|text| text.parse::<i64>().ok()) else {
            continue;
        };
        if due_ms > now_ms {
            let waiting = Waiting {
                due_ms,
                level: None,
                message,
            };
            found.insert(waiting.message.message_id(), waiting);
        }
    }
    found.retain(|id, _| !gone.contains(id));
    Ok(found.into_values().collect())
}

/// A reader of a broker's topic; `None` where brokers do not have it.
pub(super) async fn open(
    client: &Client,
    topic: &str,
    from: ReadFrom,
) -> Result<Option<crate::client::PullReader>, CliError> {
    let options = ReadOptions {
        from,
        ..ReadOptions::default()
    };
    match client.reader(topic, options).await {
        Ok(reader) => Ok(Some(reader)),
        Err(ClientError::NoRoute { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn remove(
    args: RmArgs,
    client: &Client,
    context: &Context,
) -> Result<Exit, CliError> {
    let admin = client.admin();
    let (waiting, exit) = all(client, args.since, context).await?;
    if exit != Exit::Ok {
        return Ok(exit);
    }
    let mut plan = Plan::default();
    let mut handles = Vec::new();
    for id in &args.ids {
        let mut fitting = waiting.iter().filter(|one| one.message.message_id() == *id);
        let Some(one) = fitting.next() else {
            return Err(CliError::not_found(format!("no message {id} waits"))
                .hint("rmq msg delayed lists those that do"));
        };
        let broker = one.message.queue.broker.as_str();
        let mut step = Step::new("delete", "message", id, broker).field(one.topic());
        step.before = show_time(one.due_ms, context.global.utc).into();
        if one.level.is_some() {
            step.fail(CliError::new(
                Exit::NotPermitted,
                "messages with a delay level cannot be taken back",
            ));
        }
        let raw = format!("v1 {} {broker} {} {id}", one.topic(), one.due_ms);
        handles.push((
            broker.to_owned(),
            one.topic().to_owned(),
            URL_SAFE.encode(raw),
        ));
        plan.steps.push(step);
    }
    let question = format!("Taking back {} messages. Go on?", args.ids.len());
    if plan.agreed(args.consent, Danger::Ask(&question), context)? {
        let masters = Targets::default().masters(&admin).await?;
        for (step, (broker, topic, handle)) in plan.steps.iter_mut().zip(&handles) {
            if !step.is_planned() {
                continue;
            }
            let master = masters.iter().find(|master| master.name == *broker);
            let Some(master) = master else {
                step.fail(CliError::new(
                    Exit::Unreachable,
                    format!("{broker} has no master now"),
                ));
                continue;
            };
            let recalled = admin.recall_at(&master.address, topic, handle).await;
            step.settle(recalled);
        }
    }
    plan.finish(context)
}
