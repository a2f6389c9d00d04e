//! `rmq consume`: look at messages, or take them as a member of a group.
//!
//! Without a group nobody's offsets move. With one, a message counts as consumed when it was written to stdout and
//! flushed, not earlier: whoever reads the pipe may lose what was sent to it, the group does not.

mod format;
mod range;

use std::fmt::Write as _;
use std::future::pending;
use std::io::{self, BufWriter, Write as _};
use std::pin::pin;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::exit::{CliError, Exit};
use super::output::{Column, Sheet};
use super::times::show_time;
use super::{Context, interrupted, records};
use crate::base::units::parse_duration;
use crate::client::{
    Client, ClientError, ClientOptions, Consumer, ConsumerOptions, Delivery, GroupName,
    MessageQueue, PullReader, ReadFrom, ReadOptions, Received, Subscription,
};
use format::{MessageFormat, PLACES};

/// How often a group without --follow is asked whether it has finished, while nothing comes.
const LOOK_EVERY: Duration = Duration::from_millis(250);

const COLUMNS: &[Column] = &[
    Column::new("storeTime", "STORED"),
    Column::new("topic", "TOPIC"),
    Column::new("brokerName", "BROKER"),
    Column::new("queueId", "QUEUE").right(),
    Column::new("queueOffset", "OFFSET").right(),
    Column::new("keys", "KEYS"),
    Column::new("tags", "TAG"),
    Column::new("uniqKey", "ID").name(),
    Column::new("bodyText", "BODY"),
    Column::new("bodyBase64", "BASE64").wide(),
];

/// Look at the messages of a topic, or consume them as a group
///
/// Without --group this only looks: no offset is moved, nobody notices. With --group it joins that consumer group
/// and acknowledges each message once it is printed.
///
/// It ends at the last message there was when it started, unless told otherwise (--follow, -n, --idle, --timeout).
#[derive(Debug, clap::Args)]
#[command(after_help = PLACES)]
pub(crate) struct Args {
    /// The topic
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Join this consumer group and move its offsets
    #[arg(short, long, value_name = "GROUP")]
    group: Option<String>,
    /// Where to begin: earliest, latest, -100 (the last hundred), an offset, or a time (-10m, 2026-11-22T10:00)
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true)]
    from: Option<String>,
    /// End at this time, or at the end there was at the start
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true, conflicts_with_all = ["follow", "group"])]
    to: Option<String>,
    /// End after so many messages; exit 9 if there were fewer
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    /// Go on with what comes in
    #[arg(long)]
    follow: bool,
    /// End when nothing has come for so long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    idle: Option<Duration>,
    /// End after so long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// Only these queues, by number
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        conflicts_with = "group"
    )]
    queue: Vec<u32>,
    /// Only messages with one of these tags: 'a || b'
    #[arg(
        long,
        value_name = "TAGS",
        default_value = "*",
        hide_default_value = true
    )]
    tag: String,
    /// Only messages with this key
    #[arg(short, long, value_name = "KEY", conflicts_with = "group")]
    key: Option<String>,
    /// Print each message in this form instead, e.g. '%p:%o %s\n'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// With --group: show what the group would get, without joining it or moving its offsets
    #[arg(long, requires = "group")]
    dry_run: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let now_ms = context.clock.now_ms();
    let from = args.from.as_deref();
    let from = from
        .map(|text| range::parse_from(text, now_ms))
        .transpose()?;
    let until_ms = match &args.to {
        Some(text) => range::parse_to(text, now_ms)?,
        None => None,
    };
    let format = args
        .format
        .as_deref()
        .map(MessageFormat::parse)
        .transpose()?;
    let start = match &args.group {
        Some(group) if !args.dry_run => Start::Group {
            group: group.clone(),
            options: ConsumerOptions {
                subscriptions: vec![
                    Subscription::tagged(&args.topic, &args.tag).map_err(ClientError::from)?,
                ],
                start_from: range::start_of_group(from.as_ref())?,
                ..ConsumerOptions::default()
            },
        },
        group => Start::Peek(ReadOptions {
            from: match group {
                Some(group) => ReadFrom::Group(GroupName::parse(group).map_err(ClientError::from)?),
                None => from.unwrap_or_default(),
            },
            until_ms,
            tags: args.tag.clone(),
            queues: args.queue.clone(),
            follow: args.follow,
            ..ReadOptions::default()
        }),
    };
    context.block_on(async {
        let client = Client::connect(context.name_servers(), ClientOptions::default()).await?;
        let ended = consume(&client, args, start, format, context).await;
        client.close().await;
        ended
    })
}

/// How to get at the messages.
enum Start {
    Peek(ReadOptions),
    Group {
        group: String,
        options: ConsumerOptions,
    },
}

async fn consume(
    client: &Client,
    args: &Args,
    start: Start,
    format: Option<MessageFormat>,
    context: &Context,
) -> Result<Exit, CliError> {
    let utc = context.global.utc;
    let line = |row: &Value| line(row, context);
    let printer = match format {
        Some(format) => Printer::Format(format, BufWriter::new(io::stdout())),
        None => Printer::Rows(context.output.stream(COLUMNS, &line)),
    };
    let mut source = Source::open(client, args, start, context).await?;
    let mut run = Run {
        args,
        printer,
        printed: 0,
        utc,
    };
    let end = run.until_end(&mut source).await;
    let closed = source.close().await;
    let count = run.printed;
    let end = end?;
    run.printer.finish()?;
    closed?;
    Ok(exit_for(end, count, args, context))
}

fn exit_for(end: End, printed: u64, args: &Args, context: &Context) -> Exit {
    if end == End::Interrupted {
        context
            .output
            .note(&format!("{printed} messages, interrupted"));
        return Exit::Interrupted;
    }
    match args.count {
        Some(wanted) if printed < wanted => {
            let why = match end {
                End::Timeout => "the time is up",
                End::Idle => "nothing more came",
                _ => "there are no more",
            };
            context
                .output
                .note(&format!("{printed} of {wanted} messages: {why}"));
            Exit::Short
        }
        _ => Exit::Ok,
    }
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Count,
    AllRead,
    Idle,
    Timeout,
    Interrupted,
}

/// Where messages come from.
enum Source {
    Peek(PullReader),
    Group {
        client: Client,
        consumer: Consumer,
        /// Where the topic ended at the start. Empty if it is followed.
        ends: Vec<(MessageQueue, i64)>,
    },
}

/// A message, and the duty to acknowledge it if it came to a group.
enum Item {
    Seen(Received),
    Delivered(Delivery),
}

impl Source {
    async fn open(
        client: &Client,
        args: &Args,
        start: Start,
        context: &Context,
    ) -> Result<Self, CliError> {
        let topic = &args.topic;
        match start {
            Start::Peek(options) => {
                let from = range::describe(&options.from, |ms| show_time(ms, context.global.utc));
                let reader = client.reader(topic, options).await?;
                let queues = reader.queues().len();
                context.output.note(&format!(
                    "peek {topic}, {queues} queues, {from} (no offset is moved)"
                ));
                Ok(Self::Peek(reader))
            }
            Start::Group { group, options } => {
                let ends = ends(client, args).await?;
                let consumer = client.consumer(&group, options).await?;
                context.output.note(&format!(
                    "group {group} on {topic} (offsets move as messages are printed)"
                ));
                Ok(Self::Group {
                    client: client.clone(),
                    consumer,
                    ends,
                })
            }
        }
    }

    async fn next(&mut self) -> Result<Option<Item>, ClientError> {
        match self {
            Self::Peek(reader) => Ok(reader.next().await?.map(Item::Seen)),
            Self::Group { consumer, .. } => Ok(consumer.next().await.map(Item::Delivered)),
        }
    }

    /// Whether the group, all its members together, has finished what there was at the start.
    async fn group_is_done(&self) -> Result<bool, ClientError> {
        let Self::Group {
            client,
            consumer,
            ends,
        } = self
        else {
            return Ok(false);
        };
        consumer.commit().await?;
        for (queue, end) in ends {
            let offset = client
                .admin()
                .group_offset(consumer.group().as_str(), queue)
                .await?;
            if offset.unwrap_or_default() < *end {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// When to ask that next; never for a source that knows its end itself, or has none.
    fn look_after(&self) -> Option<Duration> {
        match self {
            Self::Group { ends, .. } if !ends.is_empty() => Some(LOOK_EVERY),
            _ => None,
        }
    }

    async fn close(self) -> Result<(), ClientError> {
        match self {
            Self::Peek(_) => Ok(()),
            Self::Group { consumer, .. } => consumer.close().await,
        }
    }
}

async fn ends(client: &Client, args: &Args) -> Result<Vec<(MessageQueue, i64)>, ClientError> {
    let mut ends = Vec::new();
    if args.follow {
        return Ok(ends);
    }
    let admin = client.admin();
    for queue in admin.topic_route(&args.topic).await?.read_queues() {
        let end = admin.max_offset(&queue).await?;
        ends.push((queue, end));
    }
    Ok(ends)
}

struct Run<'a> {
    args: &'a Args,
    printer: Printer<'a>,
    printed: u64,
    utc: bool,
}

impl Run<'_> {
    async fn until_end(&mut self, source: &mut Source) -> Result<End, CliError> {
        let deadline = self.args.timeout.map(|limit| Instant::now() + limit);
        let mut interrupted = pin!(interrupted());
        let mut last_message = Instant::now();
        let mut last_look = Instant::now();
        while self.args.count.is_none_or(|count| self.printed < count) {
            let idle = self.args.idle.map(|idle| last_message + idle);
            let look = source.look_after().map(|pause| last_look + pause);
            let item = tokio::select! {
                biased;
                () = &mut interrupted => return Ok(End::Interrupted),
                () = at(deadline) => return Ok(End::Timeout),
                item = source.next() => item?,
                () = at(idle) => return Ok(End::Idle),
                () = at(look) => {
                    if source.group_is_done().await? {
                        return Ok(End::AllRead);
                    }
                    last_look = Instant::now();
                    continue;
                }
            };
            let Some(item) = item else {
                return Ok(End::AllRead);
            };
            last_message = Instant::now();
            last_look = last_message;
            self.take(item)?;
        }
        Ok(End::Count)
    }

    fn take(&mut self, item: Item) -> Result<(), CliError> {
        match item {
            Item::Seen(message) => {
                if self.has_key(&message) {
                    self.printer.print(&message, self.utc)?;
                    self.printed += 1;
                }
            }
            Item::Delivered(delivery) => {
                self.printer.print(&delivery, self.utc)?;
                delivery.ack();
                self.printed += 1;
            }
        }
        Ok(())
    }

    fn has_key(&self, message: &Received) -> bool {
        self.args.key.as_ref().is_none_or(|wanted| {
            let mut keys = message.keys().unwrap_or_default().split_whitespace();
            keys.any(|key| key == wanted)
        })
    }
}

/// Completes at a time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Where messages are printed; each has left this process when `print` returns.
enum Printer<'a> {
    Rows(Sheet<'a>),
    Format(MessageFormat, BufWriter<io::Stdout>),
}

impl Printer<'_> {
    fn print(&mut self, message: &Received, utc: bool) -> Result<(), CliError> {
        match self {
            Self::Rows(sheet) => sheet.row(&records::row(message, utc)),
            Self::Format(format, out) => {
                format.write(message, utc, out)?;
                Ok(out.flush()?)
            }
        }
    }

    fn finish(self) -> Result<(), CliError> {
        match self {
            Self::Rows(sheet) => sheet.finish(),
            Self::Format(..) => Ok(()),
        }
    }
}

/// A message as one line for people.
fn line(row: &Value, context: &Context) -> String {
    let paint = context.output.paint();
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    let mut line = format!(
        "{}  {}/{} @{}",
        paint.dim(text("storeTime")),
        text("brokerName"),
        row["queueId"],
        row["queueOffset"]
    );
    for (label, name) in [("key", "keys"), ("tag", "tags")] {
        if !text(name).is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(line, "  {label}={}", escaped(text(name)));
        }
    }
    line.push_str("  ");
    match row["bodyText"].as_str() {
        Some(body) => line.push_str(&escaped(body)),
        None => line.push_str(&paint.dim(&format!("{} bytes, not text", row["bodyLength"]))),
    }
    line
}

/// Control characters could move the cursor or fake a line.
fn escaped(text: &str) -> String {
    if text.chars().any(char::is_control) {
        text.escape_debug().to_string()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::client::BrokerName;
    use crate::message::{Draft, PropertiesBuf, Record, record};

    /// A message as a broker would hand it out.
    pub(crate) fn received(body: &[u8]) -> Received {
        let properties: PropertiesBuf = [
            ("KEYS", "k1 k2"),
            ("TAGS", "paid"),
            ("UNIQ_KEY", "ID"),
            ("mine", "1"),
        ]
        .into_iter()
        .collect();
        let host = "127.0.0.1:5".parse().unwrap();
        let mut block = Vec::new();
        Draft {
            topic: "orders",
            queue_id: 2,
            flag: 0,
            sys_flag: 0,
            born_timestamp: 1000,
            born_host: host,
            store_host: host,
            reconsume_times: 3,
            prepared_transaction_offset: 0,
            body,
            properties: &properties.to_wire(),
        }
        .encode_into(&mut block)
        .unwrap();
        record::patch(&mut block, 0, 17, 4711, 2000);
        let block = Bytes::from(block);
        let record = Record::parse(&block).unwrap();
        Received::from_record(&record, &block, &BrokerName::stored("broker-a"))
    }

    #[test]
    fn rows_have_apaches_field_names() {
        let row = records::row(&received(b"hello"), true);
        assert_eq!(row["topic"], "orders");
        assert_eq!(row["queueOffset"], 17);
        assert_eq!(row["storeTimestamp"], 2000);
        assert_eq!(row["storeTime"], "1970-01-01T00:00:02.000Z");
        assert_eq!(row["bodyText"], "hello");
        assert_eq!(row["properties"]["mine"], "1");
        let row = records::row(&received(b"\xff"), true);
        assert_eq!(row["bodyBase64"], "/w==");
        assert_eq!(row.get("bodyText"), None);
    }

    #[test]
    fn what_is_printed_can_be_sent_again() {
        let row = records::row(&received(b"hello"), true);
        let message = records::read_row("other", &row.to_string()).unwrap();
        assert_eq!(message.topic(), "other");
        assert_eq!(message.tag(), Some("paid"));
        assert_eq!(message.body().as_ref(), b"hello");
    }
}
