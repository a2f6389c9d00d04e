//! The options of `rmq consume`, and what they mean together.
#![allow(
    clippy::doc_markdown,
    reason = "these comments are printed as help, where backticks would be noise"
)]

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use regex::bytes::Regex;

use super::format::PLACES;
use crate::base::units::parse_duration;
use crate::cli::records::BodyForm;

/// How long --expect waits if nobody says.
const WITHIN: Duration = Duration::from_secs(10);

const AFTER_HELP: &str = "\
Examples:
  rmq consume orders --from -1h -n 2
  rmq consume orders --follow --tag 'paid || sent' -f '%o %s\\n'
  rmq consume orders -o jsonl | rmq send orders_copy --input jsonl
  rmq consume orders -g billing --follow --exec './bill.sh' --concurrency 4
  rmq consume orders -g billing --follow --forward http://localhost:3000/hook
  rmq consume orders --follow --from latest --expect 3 --within 5s --match paid";

/// Look at the messages of a topic, or consume them as a group
///
/// Three modes; the first line on stderr says which one it is. Without --group it peeks: no offset is moved, nobody
/// notices. With --group it joins that consumer group and acknowledges each message once it is printed, or once the
/// command or the HTTP server has taken it. With --broadcast it gets every message like each other member of the
/// group, and nobody keeps its offsets.
///
/// It ends at the last message there was when it started, unless told otherwise (--follow, --expect, -n, --idle,
/// --timeout). Ctrl-C finishes what is under way, commits and summarises.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{AFTER_HELP}\n\n{PLACES}"))]
#[allow(
    clippy::struct_excessive_bools,
    reason = "they are the switches of the command line"
)]
pub(crate) struct Args {
    /// The topic
    #[arg(value_name = "TOPIC")]
    pub(super) topic: String,
    /// Join this consumer group and move its offsets
    #[arg(short, long, value_name = "GROUP")]
    pub(super) group: Option<String>,
    /// Get every message like each other member, from now on; no offset is kept
    #[arg(long, conflicts_with_all = ["to", "orderly", "max_retries", "fail_first", "dry_run"])]
    pub(super) broadcast: bool,
    /// Where to begin: earliest, latest, -100 (the last hundred), an offset, or a time (-10m, 2026-11-22T10:00)
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true)]
    pub(super) from: Option<String>,
    /// End at this time or offset (itself included), or at the end there was at the start
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true, conflicts_with_all = ["follow", "group"])]
    pub(super) to: Option<String>,
    /// End after so many messages; exit 9 if there were fewer
    #[arg(short = 'n', long, value_name = "N")]
    pub(super) count: Option<u64>,
    /// Go on with what comes in
    #[arg(long)]
    pub(super) follow: bool,
    /// End when nothing has come for so long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) idle: Option<Duration>,
    /// End after so long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) timeout: Option<Duration>,
    /// Only these queues, by number
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        conflicts_with = "group"
    )]
    pub(super) queue: Vec<u32>,
    /// Only messages with one of these tags: 'a || b'
    #[arg(
        long,
        value_name = "TAGS",
        default_value = "*",
        hide_default_value = true
    )]
    pub(super) tag: String,
    /// Only messages whose properties fulfil this SQL92: 'a > 3'; with --group the broker evaluates it, if it may
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "tag")]
    pub(super) sql: Option<String>,
    /// Only messages with this key
    #[arg(short, long, value_name = "KEY", conflicts_with = "group")]
    pub(super) key: Option<String>,
    /// Only messages whose body matches this regular expression
    #[arg(long, value_name = "RE", conflicts_with = "group", value_parser = parse_regex)]
    pub(super) grep: Option<Regex>,
    /// Print each message in this form instead, e.g. '%p:%o %s\n'
    #[arg(short, long, value_name = "FORMAT")]
    pub(super) format: Option<String>,
    /// How bodies are shown; raw prints them alone, with nothing between them [default: as text if that is possible]
    #[arg(long, value_enum, value_name = "FORM", conflicts_with = "format")]
    pub(super) body: Option<Body>,
    /// Run this command for each message, the body on its stdin; what it prints takes the place of the body
    #[arg(long, value_name = "CMD", conflicts_with_all = ["exec", "forward"])]
    pub(super) pipe: Option<String>,
    /// Run this command for each message: the body on its stdin, RMQ_TOPIC, RMQ_MSG_ID, RMQ_KEYS, RMQ_TAG, RMQ_RETRIES,
    /// RMQ_QUEUE, RMQ_OFFSET and RMQ_PROP_name in its environment; exit code 0 acknowledges
    #[arg(long, value_name = "CMD", conflicts_with = "forward")]
    pub(super) exec: Option<String>,
    /// POST each message to this http:// address; a 2xx status acknowledges. There is no TLS
    #[arg(long, value_name = "URL")]
    pub(super) forward: Option<String>,
    /// Messages in work at a time, with --exec, --forward or --pipe
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) concurrency: u16,
    /// Longest time for one message with --exec, --forward or --pipe [default: 30s with --forward]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) exec_timeout: Option<Duration>,
    /// With --group: one message of a queue at a time; one that fails holds its queue up and is tried again
    #[arg(long, requires = "group")]
    pub(super) orderly: bool,
    /// With --group: make a dead letter of a message after so many retries [default: 16; with --orderly never]
    #[arg(long, value_name = "N", requires = "group")]
    pub(super) max_retries: Option<u32>,
    /// With --group: give each message back the first N times it is delivered, to exercise retries
    #[arg(long, value_name = "N", requires = "group")]
    pub(super) fail_first: Option<u32>,
    /// With --group: when messages are acknowledged
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        default_value = "output",
        requires = "group"
    )]
    pub(super) ack_after: AckAfter,
    /// Write each body to a file in this directory, and all messages as jsonl to messages.jsonl there
    #[arg(long, value_name = "DIR")]
    pub(super) dump: Option<PathBuf>,
    /// Wait for so many messages; exit 9 if they do not come in time
    #[arg(long, value_name = "N", conflicts_with_all = ["count", "to", "timeout"])]
    pub(super) expect: Option<u64>,
    /// How long --expect waits [default: 10s]
    #[arg(long, value_name = "DURATION", requires = "expect", value_parser = parse_duration)]
    pub(super) within: Option<Duration>,
    /// Only messages whose body matches this regular expression count for --expect
    #[arg(long = "match", value_name = "RE", requires = "expect", value_parser = parse_regex)]
    pub(super) matching: Option<Regex>,
    /// With --group: show what the group would get, without joining it or moving its offsets
    #[arg(long, requires = "group")]
    pub(super) dry_run: bool,
}

/// The forms of `--body`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Body {
    /// Text, with marks in place of what is no UTF-8
    Utf8,
    /// Hexadecimal
    Hex,
    /// Base64
    Base64,
    /// JSON as a part of the JSON output
    Json,
    /// The bytes alone
    Raw,
}

/// When a group's messages are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum AckAfter {
    /// Each once it is printed, or taken by the command or the server
    Output,
    /// All of them when everything wanted was there; none if it ends early
    End,
}

impl Args {
    /// The form of bodies in rows.
    pub(super) fn body_form(&self) -> BodyForm {
        match self.body {
            None | Some(Body::Raw) => BodyForm::Auto,
            Some(Body::Utf8) => BodyForm::Utf8,
            Some(Body::Hex) => BodyForm::Hex,
            Some(Body::Base64) => BodyForm::Base64,
            Some(Body::Json) => BodyForm::Json,
        }
    }

    /// The group to join, if it is one whose offsets move.
    pub(super) fn joined_group(&self) -> Option<&str> {
        self.group
            .as_deref()
            .filter(|_| !self.dry_run && !self.broadcast)
    }

    /// Whether it goes on after the end there was at the start.
    pub(super) fn follows(&self) -> bool {
        self.follow || self.broadcast || self.expect.is_some()
    }

    /// How many messages are wanted in all, of those that count.
    pub(super) fn wanted(&self) -> Option<u64> {
        self.expect.or(self.count)
    }

    /// When it ends at the latest.
    pub(super) fn limit(&self) -> Option<Duration> {
        match self.expect {
            Some(_) => Some(self.within.unwrap_or(WITHIN)),
            None => self.timeout,
        }
    }

    /// Whether something outside this process decides about each message.
    pub(super) fn has_work(&self) -> bool {
        self.exec.is_some() || self.forward.is_some() || self.pipe.is_some()
    }
}

fn parse_regex(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| error.to_string())
}
