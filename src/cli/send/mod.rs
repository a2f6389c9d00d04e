//! `rmq send`: one message, many, or whatever comes in.
//!
//! A thread makes messages of the input ([`source`]), the plan says which of them travel together ([`plan`]), requests
//! overlap up to a window ([`carry`]), and what became of each message is told in the order of the input ([`report`])
//! and kept for a later run ([`ledger`]). The first failure that the next message would meet as well (no broker, no
//! topic, no permission) ends the reading; what is under way is waited for.

mod args;
mod ask;
mod carry;
mod dress;
mod fields;
mod flow;
mod ledger;
pub(super) mod pace;
mod plan;
mod report;
mod source;
mod template;
mod transaction;

use std::io::{self, BufWriter};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde_json::Value;
use tokio::sync::mpsc;

pub(crate) use args::Args;
pub(crate) use fields::Path as FieldPath;
pub(crate) use ledger::{Done, Ledger};
pub(crate) use pace::{Pace, Rate};
pub(crate) use source::{Item, Place};

use super::Context;
use super::exit::{CliError, Exit};
use super::output::Unit;
use super::times::parse_time;
use crate::client::{Client, ClientOptions, Compression, MessageQueue, Producer, ProducerOptions};
use args::Compress;
use carry::Carrier;
use dress::Dress;
use flow::Flow;
use plan::{Batching, Plan};
use report::{Receipts, Report};
use source::{Maker, Source};

/// Chunks of messages that are made ahead of need.
const CHUNKS_AHEAD: usize = 4;

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    args.transaction.check()?;
    let source = if args.transaction.only_checks {
        Source::Bodies(Vec::new())
    } else {
        Source::new(args)?
    };
    let total = source.total(args.count);
    let done = match &args.resume {
        Some(path) => Done::read(path)?,
        None => Done::default(),
    };
    let skipped = done.skipped();
    let maker = Maker {
        topic: args.topic.clone(),
        dress: Dress::new(args, deliver_at(args, context)?),
        count: args.count,
        done,
        clock: context.clock.clone(),
    };
    context.block_on(async {
        let (out, mut items) = mpsc::channel(CHUNKS_AHEAD);
        tokio::task::spawn_blocking(move || source.run(maker, out));
        if args.dry_run {
            return dry_run(&mut items, context).await;
        }
        let client = Client::connect(context.name_servers(), ClientOptions::default()).await?;
        let ended = if args.transaction.is_meant() {
            transaction::run(args, &client, &mut items, context).await
        } else if args.request {
            ask::run(args, &client, &mut items, total, context).await
        } else {
            let input = Input {
                items,
                total,
                skipped,
            };
            send(args, &client, input, context).await
        };
        client.close().await;
        ended
    })
}

fn deliver_at(args: &Args, context: &Context) -> Result<Option<i64>, CliError> {
    let now_ms = context.clock.now_ms();
    if let Some(delay) = args.delay {
        let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        return Ok(Some(now_ms.saturating_add(delay_ms)));
    }
    args.at
        .as_deref()
        .map(|text| parse_time(text, now_ms))
        .transpose()
}

async fn dry_run(
    items: &mut mpsc::Receiver<Vec<Item>>,
    context: &Context,
) -> Result<Exit, CliError> {
    let mut sheet = context
        .output
        .listing(report::PLAN_COLUMNS, &report::plan_line);
    let mut count = 0_u64;
    while let Some(chunk) = items.recv().await {
        for item in chunk {
            let message = item.message?;
            sheet.row(&report::plan(
                item.place,
                &message,
                item.order_key.as_deref(),
            ))?;
            count += 1;
        }
    }
    sheet.finish()?;
    context.output.note(&format!("would send {count} messages"));
    Ok(Exit::Ok)
}

/// Messages as they are made.
struct Input {
    items: mpsc::Receiver<Vec<Item>>,
    /// How many there will be, if that is known.
    total: Option<u64>,
    /// How many are left out, because an earlier run has seen them stored.
    skipped: Arc<AtomicU64>,
}

async fn send(
    args: &Args,
    client: &Client,
    input: Input,
    context: &Context,
) -> Result<Exit, CliError> {
    let total = input.total;
    let line = |row: &Value| report::line(row, context);
    let receipts = if args.tee {
        Receipts::Bodies {
            out: BufWriter::with_capacity(64 << 10, io::stdout()),
            delimiter: match (&args.delimiter, args.null) {
                (Some(delimiter), _) => delimiter.0.clone(),
                (None, true) => vec![0],
                (None, false) => b"\n".to_vec(),
            },
        }
    } else if args.quiet {
        Receipts::Nothing
    } else {
        Receipts::Rows(context.output.listing(report::COLUMNS, &line))
    };
    let options = report::Options {
        receipts,
        ledger: open_ledger(args)?,
        progress: context.output.progress(total.unwrap_or(0), Unit::Count),
        total,
        skipped: input.skipped,
        fail_fast: args.fail_fast,
    };
    let options_of_producer = producer_options(args, total);
    let group = args.producer_group.as_deref().unwrap_or("rmq_send");
    let producer = client.producer(group, options_of_producer.clone())?;
    let target = match args.queue {
        Some(queue) => Some(target(client, args, queue).await?),
        None => None,
    };
    let flow = Flow {
        carrier: Carrier::new(producer.clone(), args.oneway, args.window),
        producer,
        topic: args.topic.clone(),
        target,
        plan: Plan::new(batching(args, &options_of_producer)),
        pace: Pace::new(args.rate, tokio::time::Instant::now()),
        report: Report::new(options, context),
    };
    flow.run(input.items).await
}

/// Messages from somewhere else than the input of `rmq send`, sent and told about in the same way.
pub(crate) struct Job {
    /// The messages, as they are to leave.
    pub(crate) items: mpsc::Receiver<Vec<Item>>,
    /// How many there will be, if that is known.
    pub(crate) total: Option<u64>,
    /// How many are left out, because an earlier run has seen them stored.
    pub(crate) skipped: Arc<AtomicU64>,
    /// Where the outcome of each is written.
    pub(crate) ledger: Option<Ledger>,
    /// No faster than this.
    pub(crate) rate: Option<Rate>,
    /// Requests under way at a time.
    pub(crate) window: u32,
    /// Print a receipt for each.
    pub(crate) receipts: bool,
}

impl Job {
    /// Sends what comes, until it ends, something stops it or the user does.
    pub(crate) async fn run(self, producer: Producer, context: &Context) -> Result<Exit, CliError> {
        let line = |row: &Value| report::line(row, context);
        let options = report::Options {
            receipts: if self.receipts {
                Receipts::Rows(context.output.listing(report::COLUMNS, &line))
            } else {
                Receipts::Nothing
            },
            ledger: self.ledger,
            progress: context
                .output
                .progress(self.total.unwrap_or(0), Unit::Count),
            total: self.total.filter(|total| *total != 1),
            skipped: self.skipped,
            fail_fast: false,
        };
        let flow = Flow {
            carrier: Carrier::new(producer.clone(), false, self.window),
            producer,
            topic: String::new(),
            target: None,
            plan: Plan::new(Batching::Auto {
                alone_from: 64 << 10,
            }),
            pace: Pace::new(self.rate, tokio::time::Instant::now()),
            report: Report::new(options, context),
        };
        flow.run(self.items).await
    }
}

fn open_ledger(args: &Args) -> Result<Option<Ledger>, CliError> {
    let path = args.report.as_ref().or(args.resume.as_ref());
    // A report that is read in this run is gone on with, not begun anew.
    path.map(|path| Ledger::open(path, args.resume.as_ref() == Some(path)))
        .transpose()
}

/// What may travel together: delayed messages and those nobody acknowledges may not.
fn batching(args: &Args, options: &ProducerOptions) -> Batching {
    let alone = args.oneway
        || args.delay.is_some()
        || args.at.is_some()
        || args.delay_level.is_some()
        || args.topic.starts_with("%RETRY%");
    match args.batch {
        _ if alone => Batching::Alone,
        Some(1) => Batching::Alone,
        Some(size) => Batching::Fixed(usize::try_from(size).unwrap_or(usize::MAX)),
        None => Batching::Auto {
            alone_from: options.compress_from_bytes.unwrap_or(64 << 10),
        },
    }
}

fn producer_options(args: &Args, total: Option<u64>) -> ProducerOptions {
    let options = if total == Some(1) {
        ProducerOptions::default()
    } else {
        ProducerOptions::windowed()
    };
    ProducerOptions {
        send_timeout: args.timeout,
        retries: args.retry.unwrap_or(options.retries),
        latency_fault: args.latency_fault,
        compress_from_bytes: match args.compress {
            Some(Compress::None) => None,
            _ => options.compress_from_bytes,
        },
        compression: match args.compress {
            Some(Compress::Lz4) => Compression::Lz4,
            Some(Compress::Zstd) => Compression::Zstd,
            Some(Compress::Zlib | Compress::None) | None => Compression::Zlib,
        },
        ..options
    }
}

/// The queue that `--queue` and `--broker` mean.
async fn target(client: &Client, args: &Args, queue: u32) -> Result<MessageQueue, CliError> {
    let route = client.admin().topic_route(&args.topic).await?;
    let mut matching: Vec<MessageQueue> = route
        .write_queues()
        .into_iter()
        .filter(|there| there.queue.get() == queue)
        .filter(|there| {
            let wanted = args.broker.as_ref();
            wanted.is_none_or(|wanted| there.broker.as_str() == wanted)
        })
        .collect();
    match (matching.pop(), matching.is_empty()) {
        (Some(queue), true) => Ok(queue),
        (Some(_), false) => Err(CliError::usage(format!(
            "several brokers have a queue {queue} of {}",
            args.topic
        ))
        .hint("name one with --broker")),
        (None, _) => Err(CliError::not_found(format!(
            "{} has no queue {queue} that can be written",
            args.topic
        ))),
    }
}
