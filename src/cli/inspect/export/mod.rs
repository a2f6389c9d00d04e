//! `rmq inspect export`: the messages of a log for other programs, and for `rmq send --input jsonl`.
//!
//! JSON lines have the form that `rmq consume -o jsonl` prints: bodies unpacked, inner batches taken apart, times as
//! numbers and as text. Parquet is a cargo feature; see [`parquet`] for its columns.

#[cfg(feature = "parquet")]
mod parquet;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::ValueEnum;

use super::watch::{Passed, Watch, ended};
use super::{Findings, commitlog, source};
use crate::base::LogOffset;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::records;
use crate::cli::times::parse_time;
use crate::client::{BrokerName, Received};
use crate::message::record::{Record, patch};
use crate::message::{Draft, batch, compress, names, sysflag};
use crate::store::log::{Item, Walk};

/// Inner batches are unpacked up to this size.
const UNPACKED_MAX: usize = 64 << 20;
const BUFFER_BYTES: usize = 1 << 20;

/// Write the messages of a log as JSON lines (or Parquet), for replay or analysis
///
/// Topics of the broker's own (delays, half messages, timers) are left out unless one is named or --all is given.
///
/// Example: rmq inspect export ~/store --topic orders --from -1d | rmq send orders --input jsonl
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A store directory, its commitlog directory, or one file of it; files packed to .gz are read as well
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Only messages of this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only messages of queues with this number
    #[arg(long, value_name = "N")]
    queue: Option<i32>,
    /// Only messages with this key, unique key or message id
    #[arg(long)]
    key: Option<String>,
    /// Only messages with one of these tags, separated by ||
    #[arg(long)]
    tag: Option<String>,
    /// Only messages stored at or after this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Only messages stored before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// Begin at this position of the log
    #[arg(long, value_name = "POSITION")]
    from_offset: Option<u64>,
    /// End before this position of the log
    #[arg(long, value_name = "POSITION")]
    to_offset: Option<u64>,
    /// Stop after this many messages
    #[arg(short = 'n', long = "count", value_name = "N")]
    count: Option<u64>,
    /// Also topics of the broker's own
    #[arg(long)]
    all: bool,
    /// The form
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Form,
    /// Write to this file, which must not exist, instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The forms of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A JSON object a line, as consume -o jsonl prints
    Jsonl,
    /// A Parquet table (needs --out; only in builds with the feature parquet)
    Parquet,
}

/// Which messages are wanted.
struct Filter<'a> {
    args: &'a Args,
    tags: Vec<&'a str>,
    from_ms: Option<i64>,
    to_ms: Option<i64>,
}

impl<'a> Filter<'a> {
    fn new(args: &'a Args, context: &Context) -> Result<Self, CliError> {
        let now = context.clock.now_ms();
        let time = |text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| parse_time(text, now)).transpose()
        };
        let tags = args.tag.as_deref().unwrap_or_default().split("||");
        Ok(Self {
            args,
            tags: tags
                .map(str::trim)
                .filter(|tag| !tag.is_empty() && *tag != "*")
                .collect(),
            from_ms: time(&args.from)?,
            to_ms: time(&args.to)?,
        })
    }

    fn wants(&self, record: &Record<'_>) -> bool {
        let args = self.args;
        let is_message = sysflag::transaction(record.sys_flag) != sysflag::TRANSACTION_ROLLBACK;
        let topic = match &args.topic {
            Some(topic) => topic == record.topic,
            None => args.all || is_message && !is_of_brokers(record.topic),
        };
        topic
            && args.queue.is_none_or(|queue| queue == record.queue_id)
            && self.from_ms.is_none_or(|ms| record.store_timestamp >= ms)
            && self.to_ms.is_none_or(|ms| record.store_timestamp < ms)
            && (self.tags.is_empty()
                || record
                    .properties
                    .get(names::TAGS)
                    .is_some_and(|tag| self.tags.contains(&tag)))
            && args
                .key
                .as_ref()
                .is_none_or(|key| commitlog::has_key(record, key))
    }
}

/// Topics that hold the broker's own work and copies of messages on their way.
fn is_of_brokers(topic: &str) -> bool {
    topic.to_ascii_lowercase().starts_with("rmq_sys_")
        || [
            names::SCHEDULE_TOPIC,
            names::TRANS_CHECK_MAX_TIME_TOPIC,
            names::OFFSET_MOVED_EVENT,
            names::SELF_TEST_TOPIC,
            "RMQ_DAMAGED",
        ]
        .contains(&topic)
}

/// Where messages go.
enum Sink {
    Lines {
        out: Box<dyn Write>,
        utc: bool,
    },
    #[cfg(feature = "parquet")]
    Table(Box<parquet::Table>),
}

impl Sink {
    fn open(args: &Args, context: &Context) -> Result<Self, CliError> {
        if args.format == Form::Parquet {
            return table(args.out.as_deref());
        }
        let out: Box<dyn Write> = match &args.out {
            Some(path) => Box::new(new_file(path)?),
            None => Box::new(io::stdout()),
        };
        Ok(Self::Lines {
            out: Box::new(BufWriter::with_capacity(BUFFER_BYTES, out)),
            utc: context.global.utc,
        })
    }

    fn message(&mut self, message: &Received) -> Result<(), CliError> {
        match self {
            Self::Lines { out, utc } => {
                let row = records::row_with(message, message.body(), records::BodyForm::Auto, *utc);
                serde_json::to_writer(&mut *out, &row).map_err(io::Error::from)?;
                out.write_all(b"\n")?;
            }
            #[cfg(feature = "parquet")]
            Self::Table(table) => table.message(message)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<(), CliError> {
        match self {
            Self::Lines { mut out, .. } => out.flush()?,
            #[cfg(feature = "parquet")]
            Self::Table(table) => table.finish()?,
        }
        Ok(())
    }
}

#[cfg(feature = "parquet")]
fn table(out: Option<&Path>) -> Result<Sink, CliError> {
    let path = out.ok_or_else(|| {
        CliError::usage("a Parquet table cannot be streamed").hint("name a file with --out")
    })?;
    Ok(Sink::Table(Box::new(parquet::Table::new(new_file(path)?)?)))
}

#[cfg(not(feature = "parquet"))]
fn table(_: Option<&Path>) -> Result<Sink, CliError> {
    Err(CliError::usage("this rmq was built without Parquet").hint(
        "build it with --features parquet, or read the JSON lines: DuckDB's read_json, pandas' read_json(lines=True)",
    ))
}

/// A file that was not there before: an export overwrites nothing.
fn new_file(path: &Path) -> Result<File, CliError> {
    File::create_new(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => CliError::usage(format!("{} exists", path.display())),
        _ => super::unreadable(path, error),
    })
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let filter = Filter::new(args, context)?;
    let files = source::log_files(&args.path)?;
    let watch = Watch::over(&files, &context.output)?;
    let mut walk = Walk::over_files(&files);
    if let Some(from) = args.from_offset {
        walk = walk.starting_at(LogOffset::new(from));
    }
    let mut sink = Sink::open(args, context)?;
    let mut findings = Findings::new(context, files);
    let broker = BrokerName::stored("");
    let (mut found, mut passed) = (0_u64, Passed::default());
    let most = args.count.unwrap_or(u64::MAX);
    while found < most
        && let Some(item) = walk.next_item()
    {
        let bytes = match item {
            Item::Record(stored) => {
                let at = stored.record.physical_offset.cast_unsigned();
                if args.to_offset.is_some_and(|to| at >= to) {
                    break;
                }
                if filter.wants(&stored.record) {
                    for message in messages(&stored.record, stored.bytes, &broker) {
                        if found < most {
                            found += 1;
                            sink.message(&message)?;
                        }
                    }
                }
                u64::from(stored.record.size)
            }
            Item::Blank(blank) => u64::from(blank.size),
            Item::Damaged(damage) => {
                findings.damage(&damage);
                damage.until.since(damage.at)
            }
            Item::End { .. } => 0,
        };
        if watch.pass(&mut passed, bytes).is_break() {
            break;
        }
    }
    sink.finish()?;
    let interrupted = watch.finish(context);
    if args.out.is_some() {
        context.output.note(&format!("{found} messages"));
    }
    ended(interrupted, findings.exit(None))
}

/// The messages in a record: one, or those of an inner batch.
fn messages(record: &Record<'_>, bytes: &[u8], broker: &BrokerName) -> Vec<Received> {
    let own = || {
        one(&Bytes::copy_from_slice(bytes), broker)
            .into_iter()
            .collect()
    };
    if record.sys_flag & sysflag::INNER_BATCH == 0 {
        return own();
    }
    let Ok(body) = compress::decompress(record.sys_flag, record.body, UNPACKED_MAX) else {
        return own();
    };
    let kept = !(sysflag::INNER_BATCH
        | sysflag::NEED_UNWRAP
        | sysflag::COMPRESSED
        | sysflag::COMPRESSION_MASK);
    let mut messages = Vec::new();
    for (number, entry) in (record.queue_offset..).zip(batch::decode(&body)) {
        let Ok(entry) = entry else { break };
        let draft = Draft {
            flag: entry.flag,
            sys_flag: record.sys_flag & kept,
            body: entry.body,
            ..record.draft_for(record.topic, record.queue_id, entry.properties.as_bytes())
        };
        let mut whole = Vec::new();
        let Ok(encoded) = draft.encode_into(&mut whole) else {
            break;
        };
        patch(
            &mut whole,
            encoded.sys_flag,
            number,
            record.physical_offset,
            record.store_timestamp,
        );
        messages.extend(one(&whole.into(), broker));
    }
    messages
}

fn one(bytes: &Bytes, broker: &BrokerName) -> Option<Received> {
    let record = Record::parse(bytes).ok()?;
    Some(Received::from_record(&record, bytes, broker))
}
