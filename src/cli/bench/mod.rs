//! `rmq bench`: how fast messages go in, out, and from one end to the other.
//!
//! All of it goes through [`crate::client`], as any program's messages do. Latency is the time until a request was
//! acknowledged (`send`), or from the moment a message was to be sent until it was handed out (`e2e`). With `--rate` it
//! counts from when a message was due, so that a slow answer is not hidden by the messages that had to wait for it. Absent on
//! purpose: comparing runs, and any judgement of the figures.
#![allow(
    clippy::doc_markdown,
    reason = "comments of arguments are printed as help, where backticks would be noise"
)]

mod consume;
mod produce;
mod stage;
mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use serde_json::json;

use super::exit::{CliError, Exit};
use super::output::{Column, Unit};
use super::send::Rate;
use super::topic::rounded;
use super::{Context, interrupted};
use crate::base::units::{parse_bytes, parse_duration};
use consume::Counted;
use stage::Stage;
use tally::{Shared, Tally};

const COLUMNS: &[Column] = &[
    Column::new("what", "BENCH").name(),
    Column::new("messages", "MESSAGES").right(),
    Column::new("failed", "FAILED").right(),
    Column::new("seconds", "SECONDS").right(),
    Column::new("messagesPerSecond", "MSG/S").right(),
    Column::new("mibPerSecond", "MIB/S").right(),
    Column::new("p50Ms", "P50 MS").right(),
    Column::new("p90Ms", "P90").right(),
    Column::new("p99Ms", "P99").right(),
    Column::new("p999Ms", "P99.9").right(),
    Column::new("maxMs", "MAX").right(),
    Column::new("minMs", "MIN").right().wide(),
    Column::new("meanMs", "MEAN").right().wide(),
    Column::new("size", "SIZE").right().wide(),
    Column::new("clients", "CLIENTS").right().wide(),
    Column::new("inFlight", "IN FLIGHT").right().wide(),
    Column::new("batch", "BATCH").right().wide(),
    Column::new("rate", "RATE").wide(),
    Column::new("warmUp", "WARM-UP").right().wide(),
    Column::new("repeated", "REPEATED").right().wide(),
    Column::new("measured", "MEASURED").wide(),
];

/// Measure how fast a cluster takes and hands out messages
///
/// send: clients send, latency until each request is acknowledged. consume: a group consumes what was sent beforehand, no
/// latency. e2e: clients send and a group consumes, latency from sending to handing out, both in this process. A topic is
/// made for it and removed afterwards. It is a load: do not point it at a cluster others need.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq bench send -n 1M --size 1KiB --clients 4 --in-flight 32
  rmq bench e2e -n 50k --rate 5000/s -o json
  rmq bench consume -n 200k --clients 2 -o csv")]
pub(crate) struct Args {
    /// What is measured
    #[arg(value_enum, value_name = "WHAT")]
    what: What,
    /// Messages that are measured: 1000, 50k, 1M
    #[arg(short = 'n', long, value_name = "N", default_value = "100k", value_parser = parse_count)]
    count: u64,
    /// Messages before that, which are not measured [default: a tenth, at most 10000]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    warm_up: Option<u64>,
    /// Bytes of each body
    #[arg(long, value_name = "SIZE", default_value = "1KiB", value_parser = parse_bytes)]
    size: u64,
    /// No faster than this, all clients together: 2000/s [default: as fast as it goes]
    #[arg(long, value_name = "RATE", value_parser = Rate::parse)]
    rate: Option<Rate>,
    /// Clients, each with connections of its own
    #[arg(long, visible_alias = "connections", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    clients: u32,
    /// Messages in a request
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Requests under way at a time for each client
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    in_flight: u32,
    /// Use this topic instead of a new one; it is kept
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Queues of the new topic, on each broker
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    queues: u32,
    /// Keep the new topic
    #[arg(long)]
    keep: bool,
    /// Give up on messages that do not come for so long
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = parse_duration)]
    patience: Duration,
    /// Show what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Sending
    Send,
    /// Consuming what is there
    Consume,
    /// From sending to handing out
    E2e,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Consume => "consume",
            Self::E2e => "e2e",
        }
    }

    fn measured(self, paced: bool) -> &'static str {
        match (self, paced) {
            (Self::Send, false) => "latency from sending a request until it is acknowledged",
            (Self::Send, true) => "latency from when a request was due until it is acknowledged",
            (Self::Consume, _) => "rate of messages handed out to a group and acknowledged",
            (Self::E2e, false) => "latency from sending a message until it is handed out",
            (Self::E2e, true) => "latency from when a message was due until it is handed out",
        }
    }
}

/// Reads `1000`, `50k` or `1M`.
fn parse_count(text: &str) -> Result<u64, String> {
    let wrong = || "write a number, like 1000, 50k or 1M".to_owned();
    let (digits, times) = match text.chars().last() {
        Some('k' | 'K') => (&text[..text.len() - 1], 1000),
        Some('m' | 'M') => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    count
        .checked_mul(times)
        .filter(|count| *count <= 10_000_000_000)
        .ok_or_else(wrong)
}

impl Args {
    fn warm_up(&self) -> u64 {
        self.warm_up.unwrap_or((self.count / 10).min(10_000))
    }

    fn size(&self) -> usize {
        usize::try_from(self.size).unwrap_or(usize::MAX)
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    if args.count == 0 {
        return Err(CliError::usage("-n 0 measures nothing"));
    }
    if args.size() < produce::SIZE_MIN || args.size() > 4 << 20 {
        return Err(CliError::usage(format!(
            "--size is from {} bytes to 4 MiB",
            produce::SIZE_MIN
        )));
    }
    if args.dry_run {
        let topic = args.topic.as_deref().unwrap_or("a new topic");
        context.output.note(&format!(
            "would {} {} messages of {} bytes with {} clients, {} before that to warm up, on {topic}",
            args.what.name(),
            args.count,
            args.size,
            args.clients,
            args.warm_up()
        ));
        return Ok(Exit::Ok);
    }
    context.block_on(async {
        let stage = Stage::set(args, context).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let tally = perform(args, &stage, &stop, context).await;
        stage.clear(context).await;
        tell(args, tally?, stop.load(Ordering::Relaxed), context)
    })
}

async fn perform(
    args: &Args,
    stage: &Stage,
    stop: &Arc<AtomicBool>,
    context: &Context,
) -> Result<Tally, CliError> {
    let total = args.count + args.warm_up();
    let progress = Arc::new(context.output.progress(total, Unit::Count));
    let shared = Arc::new(Shared::new(Arc::clone(stop), Arc::clone(&progress))?);
    let flag = Arc::clone(stop);
    let listening = tokio::spawn(async move {
        interrupted().await;
        flag.store(true, Ordering::Relaxed);
    });
    let ended = match args.what {
        What::Send => produce::measure(args, stage, &shared).await,
        What::Consume => consume::measure(args, stage, &shared, Counted::Rate).await,
        What::E2e => consume::measure(args, stage, &shared, Counted::Latency).await,
    };
    listening.abort();
    ended
}

fn tell(args: &Args, tally: Tally, interrupted: bool, context: &Context) -> Result<Exit, CliError> {
    let seconds = tally.took.as_secs_f64();
    #[allow(
        clippy::cast_precision_loss,
        reason = "counts of messages are far below 2^53"
    )]
    let per_second = |count: u64| {
        if seconds > 0.0 {
            count as f64 / seconds
        } else {
            0.0
        }
    };
    let at = |quantile: f64| tally.at(quantile).map(rounded3);
    let row = json!({
        "what": args.what.name(),
        "messages": tally.messages,
        "failed": tally.failed,
        "seconds": rounded3(seconds),
        "messagesPerSecond": rounded(per_second(tally.messages)),
        "mibPerSecond": rounded(per_second(tally.messages.saturating_mul(args.size)) / 1_048_576.0),
        "p50Ms": at(0.5),
        "p90Ms": at(0.9),
        "p99Ms": at(0.99),
        "p999Ms": at(0.999),
        "maxMs": at(1.0),
        "minMs": at(0.0),
        "meanMs": tally.mean().map(rounded3),
        "size": args.size,
        "clients": args.clients,
        "inFlight": args.in_flight,
        "batch": args.batch,
        "rate": args.rate.map(|rate| rate.to_string()),
        "warmUp": args.warm_up(),
        "repeated": tally.repeated,
        "measured": args.what.measured(args.rate.is_some()),
    });
    if tally.messages > 0 || tally.first_error.is_none() {
        context.output.rows(COLUMNS, [row])?;
    }
    let note = |text: &str| context.output.note(text);
    note(&format!(
        "measured: {}; {} messages to warm up are not counted",
        args.what.measured(args.rate.is_some()),
        args.warm_up()
    ));
    if interrupted {
        note(&format!("interrupted after {} messages", tally.messages));
        return Ok(Exit::Interrupted);
    }
    match tally.first_error {
        Some(error) if tally.messages == 0 => Err(error),
        Some(error) => {
            note(&format!(
                "{} messages failed, the first one: {error}",
                tally.failed
            ));
            Ok(Exit::Partial)
        }
        None if tally.messages < args.count => {
            note(&format!(
                "{} messages did not come within {:?}",
                args.count - tally.messages,
                args.patience
            ));
            Ok(Exit::Short)
        }
        None => Ok(Exit::Ok),
    }
}

/// With three decimals.
fn rounded3(number: f64) -> serde_json::Value {
    json!((number * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read() {
        assert_eq!(parse_count("1000"), Ok(1000));
        assert_eq!(parse_count("50k"), Ok(50_000));
        assert_eq!(parse_count("1M"), Ok(1_000_000));
        for bad in ["", "k", "-1", "1.5M", "99999999999999M", "é"] {
            assert!(parse_count(bad).is_err(), "{bad}");
        }
    }
}
