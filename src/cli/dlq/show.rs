//! `rmq dlq show`: the messages themselves.

use serde_json::Value;

use super::letters::{Letters, row};
use super::pick::Pick;
use super::{Kind, Place};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Column;

const COLUMNS: &[Column] = &[
    Column::new("storeTime", "DIED"),
    Column::new("origin", "ORIGIN"),
    Column::new("retries", "RETRIES").right(),
    Column::new("keys", "KEYS"),
    Column::new("tags", "TAG"),
    Column::new("uniqKey", "ID").name(),
    Column::new("reason", "REASON"),
    Column::new("bodyText", "BODY"),
    Column::new("originMessageId", "ORIGIN ID").wide(),
    Column::new("replayOf", "REPLAY OF").wide(),
];

/// The dead letters of a group, oldest first
///
/// Like rmq consume without a group, with where each came from, how often it was given back, and whether it is one that
/// was sent again and died once more. No offset is moved.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,
    #[command(flatten)]
    pick: Pick,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    /// Make the topic readable first, if it is not
    #[arg(long)]
    open: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args, kind: Kind, context: &Context) -> Result<Exit, CliError> {
    let place = Place::new(kind, &args.group)?;
    let picker = args.pick.compile(context.clock.now_ms())?;
    context.block_on(async {
        let client = context.connect().await?;
        let line = |row: &Value| line(row, context);
        let mut sheet = context.output.listing(COLUMNS, &line);
        let mut letters = Letters::open(&client, &place, args.open, context).await?;
        let mut shown = 0;
        while args.count.is_none_or(|count| shown < count)
            && let Some(letter) = letters.next().await?
        {
            if picker.refusal(&letter).is_none() {
                sheet.row(&row(&letter, &place, context.global.utc))?;
                shown += 1;
            }
        }
        sheet.finish()?;
        client.close().await;
        Ok(Exit::Ok)
    })
}

/// A letter as one line for people.
fn line(row: &Value, context: &Context) -> String {
    let paint = context.output.paint();
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    let mut parts = vec![
        paint.dim(text("storeTime")),
        format!("from {}", row["origin"].as_str().unwrap_or("?")),
        text("uniqKey").to_owned(),
    ];
    for (label, name) in [("key", "keys"), ("tag", "tags")] {
        if !text(name).is_empty() {
            parts.push(format!("{label}={}", text(name).escape_debug()));
        }
    }
    parts.push(paint.dim(text("reason")));
    match row["bodyText"].as_str() {
        Some(body) => parts.push(body.escape_debug().to_string()),
        None => parts.push(paint.dim(&format!("{} bytes, not text", row["bodyLength"]))),
    }
    parts.join("  ")
}
