//! The options of `rmq send`.
#![allow(
    clippy::doc_markdown,
    reason = "these comments are printed as help, where backticks would be noise"
)]

use std::path::PathBuf;
use std::time::Duration;

use super::fields::Path;
use super::pace::Rate;
use super::template::Template;
use crate::base::units::parse_duration;
use crate::cli::exit::CliError;

const EXAMPLES: &str = "\
Examples:
  rmq send orders 'hello' --tag paid --key 42
  tail -f app.log | rmq send logs --lines
  rmq send orders --lines --key-field .id --order-by .user < events.jsonl
  rmq consume orders -o jsonl | rmq send copy --input jsonl
  rmq send orders --count 1000 --template '{\"n\":{{ n }},\"at\":\"{{ now }}\"}' --rate 200/s
  rmq send orders --lines --report r.jsonl < big.txt || rmq send orders --lines --resume r.jsonl < big.txt
  rmq send rpc --request --timeout 2s '{\"q\":1}'
  rmq send orders --transaction --exec './book.sh' --check './booked.sh' --linger 2m '{\"id\":42}'";

/// Send messages to a topic
///
/// Each BODY is a message: text, @FILE, or - for stdin. Without a BODY stdin is the body, or with --lines every line of
/// it a message (or every line of @FILE). A topic that does not exist is created if the broker allows it.
///
/// Lines that wait for each other travel together, as large batches, unless an option forbids it; each has its own
/// receipt all the same. What was not acknowledged is named line by line, on stderr and in the --report.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "they are the switches of the command line"
)]
pub(crate) struct Args {
    /// The topic
    #[arg(value_name = "TOPIC")]
    pub(super) topic: String,
    /// The messages: text, @FILE, or - for stdin
    #[arg(value_name = "BODY")]
    pub(super) bodies: Vec<String>,

    /// Every line of stdin, or of @FILE, is a message
    #[arg(long, help_heading = "Input")]
    pub(super) lines: bool,
    /// Messages end with a zero byte instead of a line end
    #[arg(short = '0', long, help_heading = "Input", conflicts_with = "lines")]
    pub(super) null: bool,
    /// Messages end with this text instead of a line end; \t \n \r \0 \xHH are understood
    #[arg(short = 'D', long, help_heading = "Input", value_name = "DELIM", allow_hyphen_values = true, conflicts_with_all = ["lines", "null"], value_parser = parse_delimiter)]
    pub(super) delimiter: Option<Delimiter>,
    /// Form of the input: jsonl takes what 'consume -o jsonl' printed
    #[arg(long, help_heading = "Input", value_enum, value_name = "FORM", conflicts_with_all = ["lines", "null", "delimiter"])]
    pub(super) input: Option<InputForm>,
    /// Send each message so many times
    #[arg(
        long,
        help_heading = "Input",
        value_name = "N",
        default_value_t = 1,
        hide_default_value = true
    )]
    pub(super) count: u64,
    /// Make bodies from a pattern: {{ n }} {{ now }} {{ now_ms }} {{ uuid }} {{ random 1 9 }}
    #[arg(long, help_heading = "Input", value_name = "TEXT", conflicts_with_all = ["bodies", "lines", "null", "delimiter", "input"], value_parser = Template::parse)]
    pub(super) template: Option<Template>,
    /// Stop reading at the first message that cannot be read or sent
    #[arg(long, help_heading = "Input")]
    pub(super) fail_fast: bool,

    /// Tag that consumers filter by
    #[arg(long, help_heading = "Message", value_name = "TAG")]
    pub(super) tag: Option<String>,
    /// Key to find the message by; may be repeated
    #[arg(short, long, help_heading = "Message", value_name = "KEY")]
    pub(super) key: Vec<String>,
    /// Property of the message; may be repeated
    #[arg(short = 'H', long = "property", help_heading = "Message", value_name = "NAME=VALUE", value_parser = parse_property)]
    pub(super) property: Vec<(String, String)>,
    /// The body is JSON and holds a key here, like .id or .order.ids[0]; may be repeated
    #[arg(long, help_heading = "Message", value_name = "PATH", value_parser = Path::parse)]
    pub(super) key_field: Vec<Path>,
    /// The body is JSON and holds the tag here
    #[arg(long, help_heading = "Message", value_name = "PATH", conflicts_with = "tag", value_parser = Path::parse)]
    pub(super) tag_field: Option<Path>,
    /// Deliver later: level 1 (1 s) to 18 (2 h)
    #[arg(long, help_heading = "Message", value_name = "LEVEL", conflicts_with_all = ["delay", "at", "batch"])]
    pub(super) delay_level: Option<u32>,
    /// Deliver after so long
    #[arg(long, help_heading = "Message", value_name = "DURATION", value_parser = parse_duration, conflicts_with_all = ["at", "batch"])]
    pub(super) delay: Option<Duration>,
    /// Deliver at this time
    #[arg(
        long,
        help_heading = "Message",
        value_name = "TIME",
        conflicts_with = "batch"
    )]
    pub(super) at: Option<String>,
    /// Pack bodies of 4 KiB and more [default: zlib]; only clients since 5.0 read lz4 and zstd
    #[arg(long, help_heading = "Message", value_enum, value_name = "METHOD")]
    pub(super) compress: Option<Compress>,

    /// Keep messages with this key in order: they all go to one queue
    #[arg(long, help_heading = "Order", value_name = "KEY", conflicts_with_all = ["order_by", "queue", "oneway"])]
    pub(super) order_key: Option<String>,
    /// The body is JSON and holds the ordering key here
    #[arg(long, help_heading = "Order", value_name = "PATH", conflicts_with_all = ["queue", "oneway"], value_parser = Path::parse)]
    pub(super) order_by: Option<Path>,
    /// Send to this queue only; with several brokers name one with --broker
    #[arg(long, help_heading = "Order", value_name = "N")]
    pub(super) queue: Option<u32>,
    /// The broker of --queue
    #[arg(long, help_heading = "Order", value_name = "NAME", requires = "queue")]
    pub(super) broker: Option<String>,

    /// Do not wait for acknowledgements
    #[arg(long, help_heading = "Sending", conflicts_with_all = ["batch", "queue"])]
    pub(super) oneway: bool,
    /// Send N messages in one request, waiting a moment for them to come together; 1 sends each alone
    #[arg(long, help_heading = "Sending", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) batch: Option<u32>,
    /// Requests under way at a time
    #[arg(long, help_heading = "Sending", value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) window: u32,
    /// No faster than this: 200/s, 5/m, 1000 (a second)
    #[arg(long, help_heading = "Sending", value_name = "RATE", value_parser = Rate::parse)]
    pub(super) rate: Option<Rate>,
    /// Longest time for one message, all tries together; with --request until the reply
    #[arg(long, help_heading = "Sending", value_name = "DURATION", default_value = "3s", value_parser = parse_duration)]
    pub(super) timeout: Duration,
    /// Tries on another broker after a failure [default: 2; 1 for lines]. Ordered messages are never tried again
    #[arg(long, help_heading = "Sending", value_name = "N")]
    pub(super) retry: Option<u32>,
    /// Spare brokers that were slow or failed for a while
    #[arg(long, help_heading = "Sending")]
    pub(super) latency_fault: bool,
    /// Producer group [default: rmq_send; for transactions rmq_send_TOPIC]
    #[arg(long, help_heading = "Sending", value_name = "GROUP")]
    pub(super) producer_group: Option<String>,

    /// Write what became of each message to FILE, one JSON object a line
    #[arg(long, help_heading = "Report", value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Send only what this report of an earlier run does not call stored, and go on writing to it
    #[arg(long, help_heading = "Report", value_name = "FILE")]
    pub(super) resume: Option<PathBuf>,
    /// Pass on the bodies that were stored to stdout, instead of receipts
    #[arg(short = 'T', long, help_heading = "Report", conflicts_with = "request")]
    pub(super) tee: bool,
    /// No receipts; failures and a summary only
    #[arg(short, long, help_heading = "Report", conflicts_with = "tee")]
    pub(super) quiet: bool,
    /// Show what would be sent
    #[arg(long, help_heading = "Report")]
    pub(super) dry_run: bool,

    /// Wait for a reply and print it
    #[arg(long, help_heading = "Request and reply", conflicts_with_all = ["oneway", "batch", "delay", "at", "delay_level", "transaction", "order_key", "order_by", "queue"])]
    pub(super) request: bool,

    #[command(flatten)]
    pub(super) transaction: TransactionArgs,
}

/// The part of the options that is about transactions.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Transactions")]
pub(super) struct TransactionArgs {
    /// Send half messages, which nobody sees until they are committed
    #[arg(long, conflicts_with_all = ["oneway", "batch", "delay", "at", "delay_level", "order_key", "order_by", "queue", "tee"])]
    pub(super) transaction: bool,
    /// The local transaction, run by the shell for each half message with the body on stdin: exit 0 commits, another rolls back
    #[arg(long, value_name = "CMD", requires = "transaction", conflicts_with_all = ["txn", "only_checks"])]
    pub(super) exec: Option<String>,
    /// End every transaction like this, without a command
    #[arg(long, value_enum, value_name = "HOW", conflicts_with_all = ["oneway", "batch", "delay", "at", "delay_level", "order_key", "order_by", "queue", "tee", "request"])]
    pub(super) txn: Option<Txn>,
    /// Answers brokers that ask about an undecided transaction: exit 0 commits, 1 rolls back, another: ask again later
    #[arg(long, value_name = "CMD")]
    pub(super) check: Option<String>,
    /// Stay so long after the last message to answer with --check
    #[arg(long, value_name = "DURATION", requires = "check", value_parser = parse_duration)]
    pub(super) linger: Option<Duration>,
    /// Send nothing: only answer with --check, until Ctrl-C or for --linger
    #[arg(long, requires = "check", conflicts_with_all = ["bodies", "lines", "input", "null", "delimiter", "template", "txn"])]
    pub(super) only_checks: bool,
}

impl TransactionArgs {
    /// Whether this command is about transactions at all.
    pub(super) fn is_meant(&self) -> bool {
        self.transaction || self.txn.is_some() || self.only_checks
    }

    /// Refuses a transaction that nobody would ever decide.
    pub(super) fn check(&self) -> Result<(), CliError> {
        if self.transaction && self.exec.is_none() && self.txn.is_none() && !self.only_checks {
            return Err(CliError::usage("nobody decides the transactions").hint(
                "--exec CMD decides each by an exit code; --txn commit|rollback|unknown decides them all",
            ));
        }
        Ok(())
    }
}

/// The forms of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum InputForm {
    /// All of it is one body
    Text,
    /// Every line is a message as consume -o jsonl prints it
    Jsonl,
}

/// What bodies are packed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Compress {
    /// Every client reads it
    Zlib,
    /// Fast
    Lz4,
    /// Fast and small
    Zstd,
    /// Send bodies as they are
    None,
}

/// How transactions end without a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Txn {
    /// The message is delivered
    Commit,
    /// The message is dropped
    Rollback,
    /// Nothing is said: the broker asks later
    Unknown,
}

fn parse_property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// The bytes between messages; not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delimiter(pub(super) Vec<u8>);

fn parse_delimiter(text: &str) -> Result<Delimiter, String> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        if next != '\\' {
            bytes.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        bytes.push(match rest.next() {
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('x') => {
                let digits: String = rest.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16)
                    .ok()
                    .filter(|_| digits.len() == 2)
                    .ok_or("\\x needs two hexadecimal digits")?
            }
            _ => return Err("after \\ comes one of n r t 0 \\ xHH".to_owned()),
        });
    }
    if bytes.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(Delimiter(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_read() {
        let read = |text| parse_delimiter(text).map(|delimiter| delimiter.0);
        assert_eq!(read(";").unwrap(), b";");
        assert_eq!(read("\\r\\n").unwrap(), b"\r\n");
        assert_eq!(read("\\x1e\\0\\\\").unwrap(), [0x1e, 0, b'\\']);
        assert_eq!(read("é").unwrap(), "é".as_bytes());
        for bad in ["", "\\", "\\q", "\\x1", "\\xzz"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
