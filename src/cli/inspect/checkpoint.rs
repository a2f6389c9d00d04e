//! `rmq inspect checkpoint`: the six numbers of the checkpoint file.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{existing, unreadable};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Column;
use crate::cli::times::show_time;
use crate::store::View;
use crate::store::checkpoint::Checkpoint;

/// Show the checkpoint: up to where the log, the queues and the index were on the disk
///
/// Example: rmq inspect checkpoint ~/store -o json
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A store directory, or its checkpoint file
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

const COLUMNS: &[Column] = &[
    Column::new("physicMsgTimestamp", "LOG TIME").right(),
    Column::new("logicsMsgTimestamp", "QUEUE TIME").right(),
    Column::new("indexMsgTimestamp", "INDEX TIME").right(),
    Column::new("masterFlushedOffset", "MASTER FLUSHED").right(),
    Column::new("confirmPhyOffset", "CONFIRMED").right(),
    Column::new("logicsPhysicalOffset", "QUEUE POSITION").right(),
    Column::new("fileSize", "FILE SIZE").right().wide(),
];

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let path = if existing(&args.path)?.is_file() {
        args.path.clone()
    } else {
        View::open(&args.path)?.layout().checkpoint()
    };
    let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
    let checkpoint = Checkpoint::decode(&bytes);
    let row = json!({
        "physicMsgTimestamp": checkpoint.log_timestamp_ms,
        "logicsMsgTimestamp": checkpoint.queue_timestamp_ms,
        "indexMsgTimestamp": checkpoint.index_timestamp_ms,
        "masterFlushedOffset": checkpoint.master_flushed_offset,
        "confirmPhyOffset": checkpoint.confirm_offset,
        "logicsPhysicalOffset": checkpoint.queue_log_offset,
        "fileSize": bytes.len(),
    });
    let utc = context.global.utc;
    let line = |row: &Value| lines(row, utc);
    let mut sheet = context.output.listing(COLUMNS, &line);
    sheet.row(&row)?;
    sheet.finish()?;
    if bytes.len() < crate::store::checkpoint::CHECKPOINT_BYTES {
        let text = format!(
            "{}: {} bytes, a checkpoint has 4096",
            path.display(),
            bytes.len()
        );
        context.output.warn(&text);
        return Ok(Exit::CheckFailed);
    }
    Ok(Exit::Ok)
}

/// The row for people, a line a number.
fn lines(row: &Value, utc: bool) -> String {
    let time = |name: &str| match row[name].as_i64() {
        Some(ms) if ms > 0 => show_time(ms, utc),
        _ => "never".to_owned(),
    };
    [
        format!("log flushed     {}", time("physicMsgTimestamp")),
        format!(
            "queues flushed  {}  up to log {}",
            time("logicsMsgTimestamp"),
            row["logicsPhysicalOffset"]
        ),
        format!("index flushed   {}", time("indexMsgTimestamp")),
        format!("master flushed  up to log {}", row["masterFlushedOffset"]),
        format!("confirmed       up to log {}", row["confirmPhyOffset"]),
    ]
    .join("\n")
}
