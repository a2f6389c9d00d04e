//! `rmq replay`: sends the messages of a recording again, in their order and with the time between them.
#![allow(
    clippy::doc_markdown,
    reason = "comments of arguments are printed as help, where backticks would be noise"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::scrub::Scrub;
use super::source::{Line, Recorded, Recording, Wishes};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Column;
use crate::cli::send::{Done, Item, Job, Ledger, Rate};
use crate::client::{ClientError, MessageQueue, Producer, ProducerOptions};

const PLAN_COLUMNS: &[Column] = &[
    Column::new("line", "LINE").right(),
    Column::new("afterMs", "AFTER MS").right(),
    Column::new("from", "FROM"),
    Column::new("topic", "TO").name(),
    Column::new("tags", "TAGS"),
    Column::new("keys", "KEYS"),
    Column::new("bodyLength", "BYTES").right(),
    Column::new("error", "ERROR"),
];

/// Chunks that are read ahead of need.
const CHUNKS_AHEAD: usize = 4;

/// Send the messages of a recording again
///
/// Bodies, keys, tags and properties are kept; ids and store times are new. Messages of one queue stay in one queue and in
/// their order, and leave with the time between them that they were stored with. A line that is no message is named, and the
/// rest is sent. Delays are not repeated: a message leaves when it was delivered.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq replay orders.rmq --map orders=orders_test
  rmq replay orders.rmq --speed 10x --scrub '.card=\"****\"'
  gunzip < orders.rmq.gz | rmq replay - --speed asap --rate 500/s
  rmq replay orders.rmq --dry-run")]
pub(crate) struct Args {
    /// The recording; - for stdin
    #[arg(value_name = "FILE")]
    file: String,
    /// How fast: 1x as it was, 10x ten times faster, asap without pauses
    #[arg(long, value_name = "SPEED", default_value = "1x", value_parser = Speed::parse)]
    speed: Speed,
    /// Send what was in topic A to topic B; may be given several times
    #[arg(long, value_name = "A=B", value_parser = parse_map)]
    map: Vec<(String, String)>,
    /// Replace a value in JSON bodies: '.card="****"'; a body that is no JSON is not sent
    #[arg(long, value_name = "PATH=VALUE", value_parser = Scrub::parse)]
    scrub: Vec<Scrub>,
    /// No faster than this: 200/s, 5/m, 1000 (a second)
    #[arg(long, value_name = "RATE", value_parser = Rate::parse)]
    rate: Option<Rate>,
    /// Requests under way at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    window: u32,
    /// Longest time for one message
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = crate::base::units::parse_duration)]
    timeout: Duration,
    /// Write what became of each line to FILE, one JSON object a line
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Send only what this report of an earlier run does not call stored, and go on writing to it
    #[arg(long, value_name = "FILE", conflicts_with = "report")]
    resume: Option<PathBuf>,
    /// Show what would be sent, and when
    #[arg(long)]
    dry_run: bool,
}

/// How fast a recording runs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Speed {
    /// Without pauses.
    Asap,
    /// So many times as fast as it was.
    Times(f64),
}

impl Speed {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "asap" {
            return Ok(Self::Asap);
        }
        let times = text.strip_suffix('x').unwrap_or(text).parse::<f64>();
        match times {
            Ok(times) if times.is_finite() && times >= 0.001 => Ok(Self::Times(times)),
            _ => Err("write 1x, 10x, 0.5x or asap".to_owned()),
        }
    }

    /// When something that was stored so long after the first message is due, counted from the start.
    fn due(self, after: Duration) -> Duration {
        match self {
            Self::Asap => Duration::ZERO,
            Self::Times(times) => after.div_f64(times),
        }
    }
}

fn parse_map(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => {
            Ok((from.to_owned(), to.to_owned()))
        }
        _ => Err("write the recorded topic and the new one, as in orders=orders_test".to_owned()),
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let recording = Recording::open(&args.file)?;
    let wishes = Wishes {
        map: args.map.iter().cloned().collect(),
        scrubs: args.scrub.clone(),
        done: match &args.resume {
            Some(path) => Done::read(path)?,
            None => Done::default(),
        },
    };
    if args.dry_run {
        return dry_run(args, recording, &wishes, context);
    }
    let skipped = wishes.done.skipped();
    let ledger = args.report.as_ref().or(args.resume.as_ref());
    let ledger = ledger
        .map(|path| Ledger::open(path, args.resume.is_some()))
        .transpose()?;
    context.block_on(async {
        let client = context.connect().await?;
        let options = ProducerOptions {
            send_timeout: args.timeout,
            ..ProducerOptions::windowed()
        };
        let producer = client.producer("rmq_replay", options)?;
        let (read, lines) = mpsc::channel(CHUNKS_AHEAD);
        let (ready, items) = mpsc::channel(CHUNKS_AHEAD);
        let feed = Feed {
            targets: Targets {
                producer: producer.clone(),
                sources: recording.header.topics.clone(),
                queues: BTreeMap::new(),
            },
            speed: args.speed,
            out: ready,
        };
        tokio::task::spawn_blocking(move || recording.run(&wishes, &read));
        let job = Job {
            items,
            total: None,
            skipped: Arc::clone(&skipped),
            ledger,
            rate: args.rate,
            window: args.window,
            receipts: context.output.format().is_some(),
        };
        let (ended, ()) = tokio::join!(job.run(producer, context), feed.run(lines));
        client.close().await;
        ended
    })
}

fn dry_run(
    args: &Args,
    mut recording: Recording,
    wishes: &Wishes,
    context: &Context,
) -> Result<Exit, CliError> {
    let mut sheet = context.output.listing(PLAN_COLUMNS, &plan_line);
    let (mut count, mut broken) = (0_u64, 0_u64);
    let mut lasts = Duration::ZERO;
    while let Some(line) = recording.next(wishes) {
        match &line.recorded {
            Ok(recorded) => {
                count += 1;
                lasts = args.speed.due(recorded.after);
                sheet.row(&planned(line.place.number, recorded, lasts))?;
            }
            Err(error) => {
                broken += 1;
                sheet.row(&json!({"line": line.place.number, "error": error.to_string()}))?;
            }
        }
    }
    sheet.finish()?;
    let rest = match broken {
        0 => String::new(),
        count => format!(", {count} lines could not"),
    };
    context.output.note(&format!(
        "would send {count} messages within {:.1} s{rest}",
        lasts.as_secs_f64()
    ));
    Ok(match (broken, count) {
        (0, _) => Exit::Ok,
        (_, 0) => Exit::Failed,
        _ => Exit::Partial,
    })
}

fn planned(line: u64, recorded: &Recorded, due: Duration) -> Value {
    json!({
        "line": line,
        "afterMs": u64::try_from(due.as_millis()).unwrap_or(u64::MAX),
        "from": format!("{} {}", recorded.from.topic, recorded.from.queue()),
        "topic": recorded.message.topic(),
        "tags": recorded.message.tag(),
        "keys": recorded.message.keys(),
        "bodyLength": recorded.message.body().len(),
    })
}

fn plan_line(row: &Value) -> String {
    if let Some(error) = row["error"].as_str() {
        return error.to_owned();
    }
    format!(
        "line {}  +{} ms  {} to {}  {} bytes",
        row["line"],
        row["afterMs"],
        row["from"].as_str().unwrap_or_default(),
        row["topic"].as_str().unwrap_or_default(),
        row["bodyLength"],
    )
}

/// Hands lines over when they are due.
struct Feed {
    targets: Targets,
    speed: Speed,
    out: mpsc::Sender<Vec<Item>>,
}

impl Feed {
    /// Until the lines end, or nobody takes them any more.
    async fn run(mut self, mut lines: mpsc::Receiver<Vec<Line>>) {
        let began = Instant::now();
        while let Some(chunk) = lines.recv().await {
            let mut ready = Vec::with_capacity(chunk.len());
            for line in chunk {
                let due = match &line.recorded {
                    Ok(recorded) => began + self.speed.due(recorded.after),
                    Err(_) => began,
                };
                if due > Instant::now() {
                    if !ready.is_empty() && self.out.send(std::mem::take(&mut ready)).await.is_err()
                    {
                        return;
                    }
                    tokio::select! {
                        biased;
                        () = self.out.closed() => return,
                        () = sleep_until(due) => {}
                    }
                }
                ready.push(self.targets.item(line).await);
            }
            if !ready.is_empty() && self.out.send(ready).await.is_err() {
                return;
            }
        }
    }
}

/// Which queue a recorded message goes to.
struct Targets {
    producer: Producer,
    /// The queues of each recorded topic.
    sources: BTreeMap<String, Vec<String>>,
    /// The queues of each topic that is sent to.
    queues: BTreeMap<String, Result<Vec<MessageQueue>, ClientError>>,
}

impl Targets {
    async fn item(&mut self, line: Line) -> Item {
        let (message, queue) = match line.recorded {
            Ok(recorded) => {
                let queue = self.queue(&recorded).await;
                (Ok(recorded.message), queue)
            }
            Err(error) => (Err(error), None),
        };
        Item {
            place: line.place,
            message,
            order_key: None,
            queue,
        }
    }

    /// The nth recorded queue goes to the nth queue, around the corner if there are fewer. `None` if nobody knows the topic's
    /// queues: sending says why.
    async fn queue(&mut self, recorded: &Recorded) -> Option<MessageQueue> {
        let topic = recorded.message.topic();
        if !self.queues.contains_key(topic) {
            let queues = self.producer.queues(topic).await;
            self.queues.insert(topic.to_owned(), queues);
        }
        let queues = self.queues.get(topic)?.as_ref().ok()?;
        let nth = nth_queue(self.sources.get(&recorded.from.topic), recorded);
        queues.get(nth.checked_rem(queues.len())?).cloned()
    }
}

fn nth_queue(sources: Option<&Vec<String>>, recorded: &Recorded) -> usize {
    let name = recorded.from.queue();
    let nth = sources.and_then(|queues| queues.iter().position(|queue| *queue == name));
    nth.unwrap_or_else(|| usize::try_from(recorded.from.queue_id).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_and_maps_are_read() {
        assert_eq!(Speed::parse("asap"), Ok(Speed::Asap));
        assert_eq!(Speed::parse("10x"), Ok(Speed::Times(10.0)));
        assert_eq!(Speed::parse("0.5"), Ok(Speed::Times(0.5)));
        for bad in ["", "x", "0x", "-1x", "infx", "NaN", "fast"] {
            assert!(Speed::parse(bad).is_err(), "{bad}");
        }
        let second = Duration::from_secs(1);
        assert_eq!(Speed::Times(10.0).due(second), second / 10);
        assert_eq!(Speed::Asap.due(second), Duration::ZERO);
        assert_eq!(parse_map("a=b"), Ok(("a".into(), "b".into())));
        assert!(parse_map("a").is_err() && parse_map("=b").is_err());
    }
}
