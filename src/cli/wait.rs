//! `rmq wait`: until a node is ready, a topic can be written to, somebody consumes, a group has caught up.
//!
//! The cluster is asked again and again, at growing distances: nobody tells a client of these things. Absent on purpose:
//! starting anything.

use std::fmt;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::exit::{CliError, Exit};
use super::output::Column;
use super::{Context, interrupted};
use crate::base::units::parse_duration;
use crate::client::admin::{Admin, OffsetWrapper};
use crate::client::{Client, ClientError, ClientOptions, ResponseCode};

/// The first questions follow each other so closely.
const STEP_MIN: Duration = Duration::from_millis(20);
/// The later ones so.
const STEP_MAX: Duration = Duration::from_millis(500);
/// Something that takes longer than this is worth a line.
const QUIET: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  rmq serve --ephemeral & rmq wait --ready
  rmq wait --topic orders --topic refunds --timeout 1m
  rmq wait --group billing && rmq send orders hello
  rmq wait --group-idle billing --timeout 30s || rmq why billing

Ends with 0 as soon as everything asked for holds; with 4 if nobody answered until the end of the time, with 9 if
somebody did and it does not hold.";

/// Wait until a node is ready, a topic exists, somebody consumes, or a group has caught up
///
/// What is given more than once, or together, must hold at the same time.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[group(id = "condition", required = true, multiple = true)]
pub(crate) struct Args {
    /// A name server answers, and so do the masters that are registered there. What `serve --seed` brings may still be on
    /// its way: for that, wait for the node's own ready line or file, or its /readyz
    #[arg(long, group = "condition")]
    ready: bool,
    /// The topic has a queue that can be written to
    #[arg(long = "topic", value_name = "TOPIC", group = "condition")]
    topics: Vec<String>,
    /// The group has a member that is connected
    #[arg(long = "group", value_name = "GROUP", group = "condition")]
    groups: Vec<String>,
    /// The group has consumed something, and everything there is: its lag is 0 in every queue it has an offset for.
    /// Messages that wait for their delay or their next try are not there yet
    #[arg(long = "group-idle", value_name = "GROUP", group = "condition")]
    idle: Vec<String>,
    /// Give up after so long
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,
}

/// One thing to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Ready,
    Topic(String),
    Group(String),
    Idle(String),
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Topic(topic) => write!(f, "topic {topic}"),
            Self::Group(group) => write!(f, "group {group}"),
            Self::Idle(group) => write!(f, "group {group} idle"),
        }
    }
}

/// Why a condition does not hold: the exit code if it stays like that, and words.
#[derive(Clone, Debug)]
struct NotYet {
    exit: Exit,
    why: String,
}

impl NotYet {
    fn unmet(why: impl Into<String>) -> Self {
        Self {
            exit: Exit::Short,
            why: why.into(),
        }
    }
}

/// What a failed question means: a cluster that is starting fails in many ways, so hardly any of them is an end.
fn not_yet(error: ClientError) -> Result<NotYet, CliError> {
    let refused = error.code().map(ResponseCode);
    match &error {
        ClientError::Name(_) | ClientError::Usage(_) => Err(error.into()),
        _ if refused == Some(ResponseCode::NO_PERMISSION) => Err(error.into()),
        _ if error.is_unreachable() => Ok(NotYet {
            exit: Exit::Unreachable,
            why: error.to_string(),
        }),
        _ => Ok(NotYet::unmet(error.to_string())),
    }
}

const COLUMNS: &[Column] = &[
    Column::new("condition", "CONDITION"),
    Column::new("waitedMs", "WAITED MS").right(),
];

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let conditions = conditions(args);
    context.block_on(async {
        tokio::select! {
            biased;
            () = interrupted() => Ok(Exit::Interrupted),
            ended = wait(&conditions, args.timeout, context) => ended,
        }
    })
}

fn conditions(args: &Args) -> Vec<Condition> {
    let topics = args.topics.iter().cloned().map(Condition::Topic);
    let groups = args.groups.iter().cloned().map(Condition::Group);
    let idle = args.idle.iter().cloned().map(Condition::Idle);
    let ready = args.ready.then_some(Condition::Ready);
    ready
        .into_iter()
        .chain(topics)
        .chain(groups)
        .chain(idle)
        .collect()
}

async fn wait(
    conditions: &[Condition],
    limit: Duration,
    context: &Context,
) -> Result<Exit, CliError> {
    let begin = Instant::now();
    let deadline = begin + limit;
    let mut step = STEP_MIN;
    let mut last = NotYet {
        exit: Exit::Unreachable,
        why: "no answer so far".to_owned(),
    };
    let mut said = String::new();
    let mut client = None;
    loop {
        match timeout_at(deadline, look(conditions, &mut client, context)).await {
            Ok(looked) => match looked? {
                None => break,
                Some(reason) => last = reason,
            },
            Err(_elapsed) => return Err(gave_up(&last, limit)),
        }
        if begin.elapsed() >= QUIET && said != last.why {
            context.output.note(&format!("waiting: {}", last.why));
            said.clone_from(&last.why);
        }
        sleep_until((Instant::now() + step).min(deadline)).await;
        step = (step * 2).min(STEP_MAX);
    }
    if let Some(client) = client {
        client.close().await;
    }
    // Scripts look at the exit code; only who asks for a format gets a result.
    if context.output.format().is_some() {
        let waited_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let rows = conditions
            .iter()
            .map(|condition| json!({"condition": condition.to_string(), "waitedMs": waited_ms}));
        context.output.rows(COLUMNS, rows)?;
    }
    Ok(Exit::Ok)
}

fn gave_up(last: &NotYet, limit: Duration) -> CliError {
    let message = format!("gave up after {} ms: {}", limit.as_millis(), last.why);
    CliError::new(last.exit, message)
}

/// Looks once: the first condition that does not hold.
async fn look(
    conditions: &[Condition],
    client: &mut Option<Client>,
    context: &Context,
) -> Result<Option<NotYet>, CliError> {
    let connected = match client {
        Some(connected) => connected,
        None => match Client::connect(context.name_servers(), ClientOptions::default()).await {
            Ok(connected) => client.insert(connected),
            Err(error) => return not_yet(error).map(Some),
        },
    };
    let admin = connected.admin();
    for condition in conditions {
        let unmet = match condition {
            Condition::Ready => ready(&admin).await,
            Condition::Topic(topic) => writable(&admin, topic).await,
            Condition::Group(group) => consumed(&admin, group).await,
            Condition::Idle(group) => idle(&admin, group).await,
        };
        match unmet {
            Ok(None) => {}
            Ok(Some(why)) => return Ok(Some(NotYet::unmet(why))),
            Err(error) => return not_yet(error).map(Some),
        }
    }
    Ok(None)
}

async fn ready(admin: &Admin) -> Result<Option<String>, ClientError> {
    for (_, master) in admin.masters().await? {
        admin.broker_runtime(&master).await?;
    }
    Ok(None)
}

async fn writable(admin: &Admin, topic: &str) -> Result<Option<String>, ClientError> {
    let route = admin.topic_route(topic).await?;
    let none = route.write_queues().is_empty();
    Ok(none.then(|| format!("topic {topic} has no queue that can be written to")))
}

async fn consumed(admin: &Admin, group: &str) -> Result<Option<String>, ClientError> {
    for (_, master) in admin.masters().await? {
        let found = admin.consumer_connections_at(&master, group).await?;
        if found.is_some_and(|found| !found.connection_set.is_empty()) {
            return Ok(None);
        }
    }
    Ok(Some(format!("group {group} has no member")))
}

async fn idle(admin: &Admin, group: &str) -> Result<Option<String>, ClientError> {
    let stats = admin.consume_stats(group, None).await?;
    if stats.offset_table.is_empty() {
        return Ok(Some(format!("group {group} has not consumed anything")));
    }
    let behind = stats.offset_table.values().map(lag).filter(|lag| *lag > 0);
    let (queues, sum) = behind.fold((0_u32, 0_i64), |(queues, sum), lag| {
        (queues + 1, sum.saturating_add(lag))
    });
    Ok((queues > 0).then(|| format!("group {group} is {sum} behind in {queues} queues")))
}

fn lag(offsets: &OffsetWrapper) -> i64 {
    offsets
        .broker_offset
        .saturating_sub(offsets.consumer_offset)
        .max(0)
}
