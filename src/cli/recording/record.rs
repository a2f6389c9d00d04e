//! `rmq record`: reads topics without a group and writes a recording to stdout.
#![allow(
    clippy::doc_markdown,
    reason = "comments of arguments are printed as help, where backticks would be noise"
)]

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::pin::pin;

use super::format::{Header, VERSION, queue_name};
use super::scrub::{self, Scrub};
use crate::cli::args::Global;
use crate::cli::consume::range::{To, parse_from, parse_to};
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Format, Unit};
use crate::cli::records::{BodyForm, row_with};
use crate::cli::times::show_time;
use crate::cli::{Context, interrupted};
use crate::client::{Client, PullReader, ReadFrom, ReadOptions, Received};

/// Record messages of topics as a file
///
/// Nobody's offsets are moved. The recording goes to stdout as JSON lines: a header, then the messages in the order they
/// were stored, with keys, tags, properties, queues and times. rmq replay sends them again; tail -n +2 FILE is what rmq send
/// --input jsonl reads.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq record --topic orders --last 1000 > orders.rmq
  rmq record -n prod-ns:9876 --topic orders --topic refunds --from -1h > incident.rmq
  rmq record -n PROD --topic orders --scrub '.card=\"****\"' | gzip > orders.rmq.gz")]
pub(crate) struct Args {
    /// Where to record from: a name server's HOST:PORT, or a context (rmq ctx); as --namesrv and --context
    #[arg(short = 'n', long, value_name = "WHERE", conflicts_with_all = ["namesrv", "context"])]
    source: Option<String>,
    /// The topic; may be given several times
    #[arg(short, long, value_name = "TOPIC", required = true)]
    topic: Vec<String>,
    /// The last so many messages of each topic
    #[arg(long, value_name = "N", conflicts_with = "from")]
    last: Option<usize>,
    /// Where to begin: earliest, an offset, or a time (-10m, 2026-11-22T10:00)
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true)]
    from: Option<String>,
    /// End at this time or offset (itself included), or at the end there was at the start
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true)]
    to: Option<String>,
    /// Only messages with one of these tags: 'a || b'
    #[arg(
        long,
        value_name = "TAGS",
        default_value = "*",
        hide_default_value = true
    )]
    tag: String,
    /// Replace a value in JSON bodies, so that it never leaves: '.card="****"'; a body that is no JSON is left out
    #[arg(long, value_name = "PATH=VALUE", value_parser = Scrub::parse)]
    scrub: Vec<Scrub>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let elsewhere = args.source.as_deref().map(|text| source(text, context));
    let elsewhere = elsewhere.transpose()?;
    let context = elsewhere.as_ref().unwrap_or(context);
    if context
        .flags
        .output
        .is_some_and(|format| format != Format::Jsonl)
    {
        return Err(CliError::usage("a recording is always JSON lines").hint("leave -o out"));
    }
    let options = options(args, context.clock.now_ms())?;
    context.block_on(async {
        let client = context.connect().await?;
        let ended = record(args, &client, &options, context).await;
        client.close().await;
        ended
    })
}

/// The same program, asking somebody else.
fn source(text: &str, context: &Context) -> Result<Context, CliError> {
    let is_address = text.contains(':');
    let flags = Global {
        namesrv: is_address.then(|| text.to_owned()),
        context: (!is_address).then(|| text.to_owned()),
        ..context.flags.clone()
    };
    match Context::new(flags) {
        (_, Some(error)) => Err(error),
        (context, None) => Ok(context),
    }
}

fn options(args: &Args, now_ms: i64) -> Result<ReadOptions, CliError> {
    let from = match (args.last, &args.from) {
        (Some(count), _) => ReadFrom::Last(count),
        (None, Some(text)) => parse_from(text, now_ms)?,
        (None, None) => ReadFrom::Earliest,
    };
    let to = match &args.to {
        Some(text) => parse_to(text, now_ms)?,
        None => To::default(),
    };
    Ok(ReadOptions {
        from,
        until_ms: to.ms,
        until_offset: to.offset,
        tags: args.tag.clone(),
        ..ReadOptions::default()
    })
}

async fn record(
    args: &Args,
    client: &Client,
    options: &ReadOptions,
    context: &Context,
) -> Result<Exit, CliError> {
    let mut readers = Vec::with_capacity(args.topic.len());
    let mut topics = BTreeMap::new();
    for topic in &args.topic {
        let reader = client.reader(topic, options.clone()).await?;
        let queues = reader.queues().iter();
        let mut queues: Vec<_> = queues.map(|queue| (&queue.broker, queue.queue)).collect();
        queues.sort();
        let names = queues.iter();
        let names = names.map(|(broker, queue)| queue_name(broker.as_str(), queue.get()));
        if topics.insert(topic.clone(), names.collect()).is_none() {
            readers.push(reader);
        }
    }
    let recorded_at_ms = context.clock.now_ms();
    let mut writer = Writer {
        out: BufWriter::with_capacity(64 << 10, io::stdout()),
        context,
        scrubs: &args.scrub,
        written: 0,
        left_out: 0,
    };
    writer.header(&Header {
        rmq_recording: VERSION,
        rmq: env!("CARGO_PKG_VERSION").to_owned(),
        recorded_at_ms,
        recorded_at: show_time(recorded_at_ms, context.global.utc),
        topics,
    })?;
    let mut merge = Merge::new(readers);
    let progress = context.output.progress(0, Unit::Count);
    let mut interrupted = pin!(interrupted());
    let end = loop {
        let next = tokio::select! {
            biased;
            () = &mut interrupted => break Ok(Exit::Interrupted),
            next = merge.next() => next,
        };
        match next {
            Ok(Some(message)) => writer.message(&message)?,
            Ok(None) => break Ok(Exit::Ok),
            Err(error) => break Err(error),
        }
        progress.add(1);
    };
    progress.finish();
    writer.out.flush()?;
    writer.sum_up(end)
}

/// Several readers as one, in the order the messages were stored.
struct Merge {
    readers: Vec<(PullReader, Option<Received>)>,
}

impl Merge {
    fn new(readers: Vec<PullReader>) -> Self {
        let readers = readers.into_iter().map(|reader| (reader, None));
        Self {
            readers: readers.collect(),
        }
    }

    /// The oldest message that was not handed out yet.
    async fn next(&mut self) -> Result<Option<Received>, CliError> {
        let mut oldest: Option<((i64, i64), usize)> = None;
        let mut at = 0;
        while let Some((reader, head)) = self.readers.get_mut(at) {
            if head.is_none() {
                *head = reader.next().await?;
            }
            match head {
                Some(head) => {
                    let stored = (head.store_timestamp, head.physical_offset);
                    if oldest.is_none_or(|(first, _)| stored < first) {
                        oldest = Some((stored, at));
                    }
                    at += 1;
                }
                None => {
                    self.readers.remove(at);
                }
            }
        }
        let oldest = oldest.and_then(|(_, at)| self.readers.get_mut(at));
        Ok(oldest.and_then(|(_, head)| head.take()))
    }
}

/// Writes the lines and counts them.
struct Writer<'a> {
    out: BufWriter<io::Stdout>,
    context: &'a Context,
    scrubs: &'a [Scrub],
    written: u64,
    left_out: u64,
}

impl Writer<'_> {
    fn header(&mut self, header: &Header) -> Result<(), CliError> {
        serde_json::to_writer(&mut self.out, header).map_err(io::Error::from)?;
        self.out.write_all(b"\n")?;
        Ok(())
    }

    fn message(&mut self, message: &Received) -> Result<(), CliError> {
        let scrubbed = match scrub::apply(self.scrubs, message.body()) {
            Ok(scrubbed) => scrubbed,
            Err(reason) => {
                self.left_out += 1;
                self.context.output.warn(&format!(
                    "left out: {} @{}: {reason}",
                    message.queue, message.queue_offset
                ));
                return Ok(());
            }
        };
        let body = scrubbed.as_deref().unwrap_or_else(|| message.body());
        let row = row_with(message, body, BodyForm::Auto, self.context.global.utc);
        serde_json::to_writer(&mut self.out, &row).map_err(io::Error::from)?;
        self.out.write_all(b"\n")?;
        self.written += 1;
        Ok(())
    }

    fn sum_up(self, end: Result<Exit, CliError>) -> Result<Exit, CliError> {
        let Self {
            written, left_out, ..
        } = self;
        let rest = match left_out {
            0 => String::new(),
            count => format!(", {count} left out"),
        };
        let note = |text: &str| self.context.output.note(text);
        match end {
            Ok(Exit::Interrupted) => {
                note(&format!("interrupted: {written} recorded{rest}"));
                Ok(Exit::Interrupted)
            }
            Ok(exit) => {
                note(&format!("{written} recorded{rest}"));
                Ok(if left_out > 0 { Exit::Partial } else { exit })
            }
            Err(error) if written > 0 => {
                let hint = format!("{written} messages were recorded before that{rest}");
                Err(CliError::new(Exit::Partial, error).hint(hint))
            }
            Err(error) => Err(error),
        }
    }
}
