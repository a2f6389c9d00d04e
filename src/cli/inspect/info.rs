//! `rmq inspect info`: what there is in a store, at a glance.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::watch::ended;
use super::{Findings, summary};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Column, human_bytes};
use crate::cli::times::show_time;
use crate::store::View;
use crate::store::view::IndexView;

/// Show what there is in a store, and whether its log is whole
///
/// Example: rmq inspect info ~/store
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A store directory
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Do not compare bodies with their checksums
    #[arg(long)]
    fast: bool,
}

const COLUMNS: &[Column] = &[
    Column::new("commitlog.files", "LOG FILES").right(),
    Column::new("commitlog.minOffset", "FROM").right(),
    Column::new("commitlog.maxOffset", "TO").right(),
    Column::new("commitlog.messages", "MESSAGES").right(),
    Column::new("commitlog.damaged", "DAMAGED").right(),
    Column::new("consumequeue.topics", "TOPICS").right(),
    Column::new("consumequeue.queues", "QUEUES").right(),
    Column::new("index.files", "INDEX FILES").right(),
    Column::new("index.entries", "INDEX ENTRIES").right(),
    Column::new("abort", "ABORT FILE"),
];

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let view = View::open(&args.path)?;
    let mut findings = Findings::new(context, view.log_files()?);
    let (log, interrupted) = summary::of_log(&mut findings, args.fast)?;
    let row = json!({
        "path": args.path.display().to_string(),
        "commitlog": log,
        "consumequeue": queues(&view)?,
        "index": index(&view)?,
        "checkpoint": checkpoint(&view)?,
        "abort": view.has_abort_file(),
    });
    let utc = context.global.utc;
    let line = |row: &Value| lines(row, utc);
    let mut sheet = context.output.stream(COLUMNS, &line);
    sheet.row(&row)?;
    sheet.finish()?;
    ended(interrupted, findings.exit(None))
}

fn queues(view: &View) -> Result<Value, CliError> {
    let queues = view.queues()?;
    let mut topics: Vec<&str> = queues.iter().map(|(topic, _)| topic.as_str()).collect();
    topics.dedup();
    let mut entries = 0_u64;
    let mut max_log_offset = None;
    for (topic, queue_id) in &queues {
        let mut queue = view.queue(topic, *queue_id)?;
        while let Some(next) = queue.next_entry() {
            let (_, entry) = next?;
            if entry.is_plausible() {
                entries += 1;
                max_log_offset = max_log_offset.max(Some(entry.log_offset));
            }
        }
    }
    Ok(json!({
        "topics": topics.len(),
        "queues": queues.len(),
        "entries": entries,
        "maxPhysicalOffset": max_log_offset,
    }))
}

fn index(view: &View) -> Result<Value, CliError> {
    let files = view.index_files()?;
    let mut entries = 0_u64;
    for path in &files {
        entries += u64::from(IndexView::open(path)?.header().last_entry());
    }
    Ok(json!({"files": files.len(), "entries": entries}))
}

fn checkpoint(view: &View) -> Result<Value, CliError> {
    Ok(match view.checkpoint()? {
        None => Value::Null,
        Some(checkpoint) => json!({
            "physicMsgTimestamp": checkpoint.log_timestamp_ms,
            "logicsMsgTimestamp": checkpoint.queue_timestamp_ms,
            "indexMsgTimestamp": checkpoint.index_timestamp_ms,
        }),
    })
}

/// The row for people, a line a part.
fn lines(row: &Value, utc: bool) -> String {
    let (log, queue, index) = (&row["commitlog"], &row["consumequeue"], &row["index"]);
    let size = human_bytes(log["fileSize"].as_u64().unwrap_or(0));
    let damaged = match log["damaged"].as_u64() {
        Some(count) if count > 0 => format!("  {count} damaged stretches"),
        _ => String::new(),
    };
    let checkpoint = &row["checkpoint"];
    let checkpoint = if checkpoint.is_null() {
        "absent".to_owned()
    } else {
        let time = |name: &str| match checkpoint[name].as_i64() {
            Some(ms) if ms > 0 => show_time(ms, utc),
            _ => "-".to_owned(),
        };
        let names = [
            "physicMsgTimestamp",
            "logicsMsgTimestamp",
            "indexMsgTimestamp",
        ];
        let [log, queue, index] = names.map(time);
        format!("log {log}  queues {queue}  index {index}")
    };
    let behind = match &queue["maxPhysicalOffset"] {
        Value::Null => String::new(),
        at => format!("  up to log {at}"),
    };
    let abort = if row["abort"] == true {
        "present"
    } else {
        "absent"
    };
    [
        format!(
            "commitlog     {} files of {size}  log {} to {}  {} messages{damaged}",
            log["files"], log["minOffset"], log["maxOffset"], log["messages"]
        ),
        format!(
            "consumequeue  {} topics  {} queues  {} entries{behind}",
            queue["topics"], queue["queues"], queue["entries"]
        ),
        format!(
            "index         {} files  {} entries",
            index["files"], index["entries"]
        ),
        format!("checkpoint    {checkpoint}"),
        format!("abort file    {abort}"),
    ]
    .join("\n")
}
