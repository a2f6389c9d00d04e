//! `rmq send`: one message, many, or whatever comes in on stdin.
//!
//! Sends overlap up to a window, receipts are printed in the order of the input. What was not acknowledged is named on
//! stderr, message by message. The first failure that the next message would meet as well (no broker, no topic, no
//! permission) ends the reading; what is under way is waited for.

mod groups;
mod input;
mod report;
mod window;

use std::pin::pin;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;

use super::exit::{CliError, Exit};
use super::output::Unit;
use super::times::parse_time;
use super::{Context, interrupted};
use crate::base::units::parse_duration;
use crate::client::{
    Client, ClientError, ClientOptions, Message, MessageQueue, Producer, ProducerOptions,
    SendReceipt,
};
use groups::Groups;
use input::{Cut, Input};
use report::Report;
use window::Window;

/// Send messages to a topic
///
/// Each BODY is a message: text, @FILE, or - for stdin. Without a BODY stdin is the body, or with --lines every line
/// of it a message. A topic that does not exist is created if the broker allows it.
#[derive(Debug, clap::Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "they are the switches of the command line"
)]
pub(crate) struct Args {
    /// The topic
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// The messages: text, @FILE, or - for stdin
    #[arg(value_name = "BODY")]
    bodies: Vec<String>,
    /// Every line of stdin is a message
    #[arg(long, conflicts_with = "bodies")]
    lines: bool,
    /// Messages on stdin end with a zero byte instead of a line end
    #[arg(short = '0', long, conflicts_with_all = ["bodies", "lines"])]
    null: bool,
    /// Form of stdin: jsonl takes what 'consume -o jsonl' printed
    #[arg(long, value_enum, value_name = "FORM", conflicts_with_all = ["bodies", "lines", "null"])]
    input: Option<InputForm>,
    /// Tag that consumers filter by
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Key to find the message by; may be repeated
    #[arg(short, long, value_name = "KEY")]
    key: Vec<String>,
    /// Property of the message; may be repeated
    #[arg(short = 'H', long = "property", value_name = "NAME=VALUE", value_parser = parse_property)]
    property: Vec<(String, String)>,
    /// Send each message so many times
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true)]
    count: u64,
    /// Send to this queue only; with several brokers name one with --broker
    #[arg(long, value_name = "N")]
    queue: Option<u32>,
    /// The broker of --queue
    #[arg(long, value_name = "NAME", requires = "queue")]
    broker: Option<String>,
    /// Deliver later: level 1 (1 s) to 18 (2 h)
    #[arg(long, value_name = "LEVEL", conflicts_with_all = ["delay", "at", "batch"])]
    delay_level: Option<u32>,
    /// Deliver after so long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with_all = ["at", "batch"])]
    delay: Option<Duration>,
    /// Deliver at this time
    #[arg(long, value_name = "TIME", conflicts_with = "batch")]
    at: Option<String>,
    /// Do not wait for acknowledgements
    #[arg(long, conflicts_with_all = ["batch", "queue"])]
    oneway: bool,
    /// Send up to N messages in one request
    #[arg(long, value_name = "N", conflicts_with = "queue", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Requests under way at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    window: u32,
    /// Longest time for one message, all tries together
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = parse_duration)]
    timeout: Duration,
    /// Tries on another broker after a failure
    #[arg(long, value_name = "N", default_value_t = 2)]
    retry: u32,
    /// Producer group
    #[arg(long, value_name = "GROUP", default_value = "rmq_send")]
    producer_group: String,
    /// Do not pack bodies of 4 KiB and more
    #[arg(long)]
    no_compress: bool,
    /// Show what would be sent
    #[arg(long)]
    dry_run: bool,
}

/// The forms of stdin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum InputForm {
    /// All of it is one body
    Text,
    /// Every line is a message as consume -o jsonl prints it
    Jsonl,
}

fn parse_property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let deliver_at_ms = deliver_at(args, context)?;
    let given = if args.bodies.is_empty() {
        input::stdin_is_given()?;
        None
    } else {
        Some(input::from_arguments(&args.topic, &args.bodies)?)
    };
    let dress = Dress {
        tag: args.tag.clone(),
        keys: args.key.clone(),
        properties: args.property.clone(),
        delay_level: args.delay_level,
        deliver_at_ms,
    };
    context.block_on(async {
        let total = given.as_ref().map_or(0, |given| {
            args.count
                .saturating_mul(u64::try_from(given.len()).unwrap_or(u64::MAX))
        });
        let inputs = inputs(args, given);
        if args.dry_run {
            return dry_run(inputs, args, &dress, context).await;
        }
        let client = Client::connect(context.name_servers(), ClientOptions::default()).await?;
        let sender = Sender::new(&client, args).await?;
        let ended = send_all(inputs, args, &dress, &sender, total, context).await;
        drop(sender);
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

/// The bodies one by one, read as fast as they are sent.
fn inputs(args: &Args, given: Option<Vec<Input>>) -> mpsc::Receiver<Input> {
    let room = usize::try_from(args.batch.unwrap_or(1).max(args.window)).unwrap_or(64);
    let (out, inputs) = mpsc::channel(room);
    let cut = match (args.input, args.lines, args.null) {
        (Some(InputForm::Jsonl), ..) => Cut::Jsonl,
        (_, true, _) => Cut::At(b'\n'),
        (_, _, true) => Cut::At(0),
        _ => Cut::Whole,
    };
    let topic = args.topic.clone();
    tokio::task::spawn_blocking(move || match given {
        Some(given) => {
            for input in given {
                if out.blocking_send(input).is_err() {
                    return;
                }
            }
        }
        None => input::read_stdin_into(&topic, cut, &out),
    });
    inputs
}

/// What every message gets besides its body.
struct Dress {
    tag: Option<String>,
    keys: Vec<String>,
    properties: Vec<(String, String)>,
    delay_level: Option<u32>,
    deliver_at_ms: Option<i64>,
}

impl Dress {
    fn put_on(&self, mut message: Message) -> Message {
        if let Some(tag) = &self.tag {
            message = message.with_tag(tag);
        }
        if !self.keys.is_empty() {
            message = message.with_keys(&self.keys);
        }
        for (name, value) in &self.properties {
            message = message.with_property(name, value);
        }
        if let Some(level) = self.delay_level {
            message = message.with_delay_level(level);
        }
        if let Some(at_ms) = self.deliver_at_ms {
            message = message.with_delivery_time_ms(at_ms);
        }
        message
    }
}

async fn dry_run(
    mut inputs: mpsc::Receiver<Input>,
    args: &Args,
    dress: &Dress,
    context: &Context,
) -> Result<Exit, CliError> {
    let mut sheet = context.output.listing(report::COLUMNS, &report::plan_line);
    let mut count = 0;
    while let Some(input) = inputs.recv().await {
        let message = dress.put_on(input.message?);
        for _ in 0..args.count {
            sheet.row(&report::plan(&message))?;
            count += 1;
        }
    }
    sheet.finish()?;
    context.output.note(&format!("would send {count} messages"));
    Ok(Exit::Ok)
}

/// How messages leave.
#[derive(Clone)]
struct Sender {
    producer: Producer,
    oneway: bool,
    batch: bool,
    target: Option<MessageQueue>,
}

impl Sender {
    async fn new(client: &Client, args: &Args) -> Result<Self, CliError> {
        let options = ProducerOptions {
            send_timeout: args.timeout,
            retries: args.retry,
            compress_from_bytes: (!args.no_compress)
                .then_some(ProducerOptions::default().compress_from_bytes)
                .flatten(),
            ..ProducerOptions::default()
        };
        let target = match args.queue {
            Some(queue) => Some(target(client, args, queue).await?),
            None => None,
        };
        Ok(Self {
            producer: client.producer(&args.producer_group, options)?,
            oneway: args.oneway,
            batch: args.batch.is_some(),
            target,
        })
    }

    /// Sends what travels together. Without acknowledgements there are no receipts.
    async fn send(self, mut messages: Vec<Message>) -> Result<Vec<SendReceipt>, ClientError> {
        if self.batch {
            return self.producer.send_batch(messages).await;
        }
        let Some(message) = messages.pop() else {
            return Ok(Vec::new());
        };
        match &self.target {
            _ if self.oneway => {
                self.producer.send_oneway(message).await?;
                Ok(Vec::new())
            }
            Some(queue) => {
                let receipt = self.producer.send_to_queue(message, queue).await?;
                Ok(vec![receipt])
            }
            None => Ok(vec![self.producer.send(message).await?]),
        }
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

async fn send_all(
    inputs: mpsc::Receiver<Input>,
    args: &Args,
    dress: &Dress,
    sender: &Sender,
    total: u64,
    context: &Context,
) -> Result<Exit, CliError> {
    let line = |row: &Value| report::line(row, context);
    let from_stdin = total == 0;
    let sheet = if from_stdin {
        context.output.stream(report::COLUMNS, &line)
    } else {
        context.output.listing(report::COLUMNS, &line)
    };
    let progress = context.output.progress(total, Unit::Count);
    let mut report = Report::new(sheet, progress, context, total);
    let mut interrupted = pin!(interrupted());
    let mut under_way = Window::new(args.window);
    let mut groups = Groups::new(inputs, args.count, args.batch.unwrap_or(1));
    let mut reading = true;
    while reading || !under_way.is_empty() {
        tokio::select! {
            biased;
            () = &mut interrupted, if !report.was_interrupted() => {
                report.interrupted();
                reading = false;
            }
            // The oldest first: receipts are printed in the order of the input.
            (names, answer) = under_way.oldest(), if !under_way.is_empty() => {
                reading &= report.answered(&names, answer)?;
            }
            group = groups.next(), if reading && under_way.has_room() => match group {
                None => reading = false,
                Some(Err(error)) => report.unreadable(&error),
                Some(Ok(group)) => {
                    let (names, messages) = group
                        .into_iter()
                        .map(|(name, message)| (name, dress.put_on(message)))
                        .unzip();
                    under_way.push(names, sender.clone().send(messages));
                }
            }
        }
    }
    report.finish()
}
