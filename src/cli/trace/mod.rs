//! `rmq trace`: the story of one message, from what the servers keep; the trace topic adds to it where there is one.
#![allow(
    clippy::doc_markdown,
    reason = "comments of arguments are printed as help, where backticks would be noise"
)]

mod events;
mod gather;
mod records;

use serde_json::Value;

use super::doctor::gather::connect;
use super::exit::{CliError, Exit};
use super::output::{Column, Paint};
use super::{Context, interrupted};
use events::Event;

const COLUMNS: &[Column] = &[
    Column::new("time", "TIME"),
    Column::new("event", "EVENT"),
    Column::new("topic", "TOPIC"),
    Column::new("brokerName", "BROKER"),
    Column::new("queueId", "QUEUE").right(),
    Column::new("queueOffset", "OFFSET").right(),
    Column::new("group", "GROUP"),
    Column::new("text", "WHAT"),
    Column::new("uniqKey", "ID").wide().name(),
    Column::new("msgId", "OFFSET ID").wide(),
    Column::new("client", "CLIENT").wide(),
];

/// Tell the story of one message
///
/// Born, stored, delayed, delivered, failed, tried again, given up: from the messages themselves (also those in retry,
/// dead-letter, delay and transaction topics), from the offsets of every group that reads the topic, and from the trace
/// topic if clients write one. Works with tracing off. Takes any kind of id, or a key.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq trace 7F0000016FC818B4AAC2232EB0CADAE6
  rmq trace 7F0000010000296F0000000000012A5C -o json
  rmq trace --key order-42 --topic orders")]
pub(crate) struct Args {
    /// The id the producer gave the message, or the one that names its place in a broker's log
    #[arg(value_name = "MSGID", required_unless_present = "key")]
    id: Option<String>,
    /// Messages with this key instead
    #[arg(long, value_name = "KEY", conflicts_with = "id")]
    key: Option<String>,
    /// Look in this topic only; without it, all topics are asked
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Where clients write their traces
    #[arg(long, value_name = "TOPIC", default_value = crate::message::names::TRACE_TOPIC)]
    trace_topic: String,
    /// Most messages of one key
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    count: usize,
}

/// Finds the message, gathers its story, prints it.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let stories = context.block_on(async {
        tokio::select! {
            biased;
            () = interrupted() => Err(CliError::new(Exit::Interrupted, "")),
            stories = ask(args, context) => stories,
        }
    })?;
    let paint = context.output.paint();
    let utc = context.global.utc;
    let line = |row: &Value| prose(row, paint);
    let mut sheet = context.output.listing(COLUMNS, &line);
    for story in &stories {
        for event in story {
            sheet.row(&event.row(utc))?;
        }
    }
    sheet.finish()?;
    Ok(Exit::Ok)
}

async fn ask(args: &Args, context: &Context) -> Result<Vec<Vec<Event>>, CliError> {
    let client = connect(context).await?;
    let question = gather::Question {
        topic: args.topic.as_deref(),
        trace_topic: &args.trace_topic,
        now_ms: context.clock.now_ms(),
    };
    let mut ids = match (&args.id, &args.key) {
        (Some(id), _) => gather::by_id(&client, &question, id.trim()).await?,
        (None, Some(key)) => gather::by_key(&client, &question, key).await?,
        (None, None) => Vec::new(),
    };
    if ids.is_empty() {
        let what = args
            .id
            .as_deref()
            .or(args.key.as_deref())
            .unwrap_or_default();
        return Err(CliError::not_found(format!("no message is found under {what}")).hint(
            "indexes hold keys and ids of what was sent through this cluster and is not yet deleted; \
             rmq trace --topic TOPIC asks about one topic only",
        ));
    }
    if ids.len() > args.count {
        context.output.warn(&format!(
            "{} messages have this key; the first {} are told (-n for more)",
            ids.len(),
            args.count
        ));
        ids.truncate(args.count);
    }
    let mut stories = Vec::new();
    for known in &ids {
        let story = gather::story(&client, &question, known, &mut |warning| {
            context.output.warn(&warning);
        })
        .await?;
        stories.push(story);
    }
    client.close().await;
    Ok(stories)
}

fn prose(row: &Value, paint: Paint) -> String {
    let text = |field: &str| row[field].as_str().unwrap_or_default();
    let event = text("event");
    let painted = match event {
        "dead" | "failed" | "given up" | "rolled back" => paint.red(&format!("{event:<12}")),
        "consumed" | "committed" => paint.green(&format!("{event:<12}")),
        "message" => paint.bold(&format!("{event:<12}")),
        _ => format!("{event:<12}"),
    };
    if event == "message" {
        return format!("{painted}{}", text("text"));
    }
    let time = text("time");
    let time = if time.is_empty() {
        " ".repeat(29)
    } else {
        format!("{time:<29}")
    };
    format!("  {} {painted} {}", paint.dim(&time), text("text"))
}
