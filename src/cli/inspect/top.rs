//! `rmq inspect top`: what takes the most room, or comes most often.
//!
//! Counting is exact up to a number of names that memory can bear. Beyond it the rarest are given up as the count goes
//! on, and the result says that it is about right: what is left has at least the counts shown.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::summary::DamageList;
use super::watch::{Passed, Watch, ended};
use super::{Findings, source};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Column;
use crate::cli::times::show_time;
use crate::message::names;
use crate::message::record::Record;
use crate::store::log::Item;
use crate::store::view::{Survey, survey};

/// Names counted at a time, for each file that is read.
const NAMES_MAX: usize = 100_000;
const HOUR_MS: i64 = 3_600_000;

/// Show what takes the most room in a log, or comes most often
///
/// Example: rmq inspect top ~/store --by key -n 10
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A store directory, its commitlog directory, or one file of it
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// What to count by; size lists the largest messages
    #[arg(long, value_enum, default_value = "topic")]
    by: By,
    /// How many rows
    #[arg(short = 'n', long = "count", value_name = "N", default_value_t = 20)]
    count: usize,
    /// Only messages of this topic
    #[arg(long)]
    topic: Option<String>,
    /// What comes first [default: time with --by hour, else bytes]
    #[arg(long, value_enum)]
    sort: Option<Sort>,
    /// Also compare bodies with their checksums
    #[arg(long)]
    check: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// Topic
    Topic,
    /// Each key of a message
    Key,
    /// Tag
    Tag,
    /// The largest messages
    Size,
    /// The hour messages were stored in
    Hour,
    /// Queue of a topic
    Queue,
    /// The host of the producer
    Host,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The most bytes first
    Bytes,
    /// The most messages first
    Messages,
    /// The oldest first
    Time,
}

const COUNTED: &[Column] = &[
    Column::new("name", "NAME").name(),
    Column::new("messages", "MESSAGES").right(),
    Column::new("bytes", "BYTES").right(),
    Column::new("averageBytes", "AVERAGE").right(),
    Column::new("share", "SHARE").right(),
    Column::new("lastStoreTime", "LAST STORED").right().wide(),
];

const LARGEST: &[Column] = &[
    Column::new("storeSize", "SIZE").right(),
    Column::new("physicalOffset", "LOG OFFSET").right(),
    Column::new("topic", "TOPIC"),
    Column::new("queueId", "QUEUE").right(),
    Column::new("queueOffset", "QUEUE OFFSET").right(),
    Column::new("keys", "KEYS"),
    Column::new("tags", "TAGS").wide(),
    Column::new("msgId", "ID").name(),
];

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    messages: u64,
    bytes: u64,
    last_ms: i64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.last_ms = self.last_ms.max(other.last_ms);
    }
}

/// Counts by name, exact or not.
#[derive(Default)]
struct Counts {
    names: HashMap<String, Count>,
    is_exact: bool,
}

impl Counts {
    fn add(&mut self, name: &str, count: Count) {
        if let Some(known) = self.names.get_mut(name) {
            known.add(count);
            return;
        }
        if self.names.len() >= NAMES_MAX {
            self.give_up_the_rarest();
        }
        self.names.insert(name.to_owned(), count);
    }

    /// Keeps the larger half.
    fn give_up_the_rarest(&mut self) {
        self.is_exact = false;
        let mut sizes: Vec<(u64, u64)> = self
            .names
            .values()
            .map(|count| (count.bytes, count.messages))
            .collect();
        let middle = sizes.len() / 2;
        let (_, least, _) = sizes.select_nth_unstable(middle);
        let least = *least;
        self.names
            .retain(|_, count| (count.bytes, count.messages) > least);
    }
}

/// One of the largest messages; the largest comes first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Large {
    size: u32,
    at: Reverse<i64>,
    row: String,
}

struct Part {
    counts: Counts,
    largest: BinaryHeap<Reverse<Large>>,
    messages: u64,
    bytes: u64,
    damage: DamageList,
    passed: Passed,
    name: String,
}

impl Part {
    fn new() -> Self {
        Self {
            counts: Counts {
                is_exact: true,
                ..Counts::default()
            },
            largest: BinaryHeap::new(),
            messages: 0,
            bytes: 0,
            damage: DamageList::default(),
            passed: Passed::default(),
            name: String::new(),
        }
    }

    fn record(&mut self, record: &Record<'_>, args: &Args) {
        use std::fmt::Write as _;
        let count = Count {
            messages: 1,
            bytes: record.size.into(),
            last_ms: record.store_timestamp,
        };
        self.messages += 1;
        self.bytes += count.bytes;
        self.name.clear();
        // Writing to a string cannot fail.
        let _ = match args.by {
            By::Topic => write!(self.name, "{}", record.topic),
            By::Tag => {
                let tags = record.properties.get(names::TAGS);
                write!(self.name, "{}", tags.unwrap_or_default())
            }
            By::Queue => write!(self.name, "{}/{}", record.topic, record.queue_id),
            By::Host => write!(self.name, "{}", record.born_host.ip()),
            By::Hour => write!(self.name, "{}", record.store_timestamp.div_euclid(HOUR_MS)),
            By::Key => {
                let keys = record.properties.get(names::KEYS).unwrap_or_default();
                for key in keys.split(' ').filter(|key| !key.is_empty()) {
                    self.counts.add(key, count);
                }
                return;
            }
            By::Size => {
                self.large(record, args.count);
                return;
            }
        };
        self.counts.add(&self.name, count);
    }

    fn large(&mut self, record: &Record<'_>, count: usize) {
        let full = self.largest.len() >= count;
        let least = self.largest.peek().map_or(0, |least| least.0.size);
        if full && record.size <= least {
            return;
        }
        let row = json!({
            "storeSize": record.size,
            "physicalOffset": record.physical_offset,
            "topic": record.topic,
            "queueId": record.queue_id,
            "queueOffset": record.queue_offset,
            "bodyLength": record.body.len(),
            "storeTimestamp": record.store_timestamp,
            "tags": record.properties.get(names::TAGS),
            "keys": record.properties.get(names::KEYS),
            "uniqKey": record.properties.get(names::UNIQ_KEY),
            "msgId": record.offset_message_id(),
        });
        self.keep(
            Large {
                size: record.size,
                at: Reverse(record.physical_offset),
                row: row.to_string(),
            },
            count,
        );
    }

    fn keep(&mut self, large: Large, count: usize) {
        self.largest.push(Reverse(large));
        if self.largest.len() > count {
            self.largest.pop();
        }
    }

    fn add(&mut self, other: Self, count: usize) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.counts.is_exact &= other.counts.is_exact;
        for (name, one) in other.counts.names {
            self.counts.add(&name, one);
        }
        for Reverse(large) in other.largest {
            self.keep(large, count);
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let files = source::log_files(&args.path)?;
    let watch = Watch::over(&files, &context.output)?;
    let how = Survey {
        trust_bodies: !args.check,
        in_order: false,
    };
    let parts = survey(&files, how, Part::new, |part, item| {
        let bytes = match item {
            Item::Record(stored) => {
                let wanted = args.topic.as_deref();
                if wanted.is_none_or(|topic| topic == stored.record.topic) {
                    part.record(&stored.record, args);
                }
                u64::from(stored.record.size)
            }
            Item::Blank(blank) => u64::from(blank.size),
            Item::Damaged(damage) => {
                part.damage.add(&damage);
                damage.until.since(damage.at)
            }
            Item::End { .. } => 0,
        };
        watch.pass(&mut part.passed, bytes)
    });
    let interrupted = watch.finish(context);
    let mut findings = Findings::new(context, files);
    let mut whole = Part::new();
    for mut part in parts {
        std::mem::take(&mut part.damage).report(&mut findings);
        whole.add(part, args.count);
    }
    if !whole.counts.is_exact {
        context.output.warn(&format!(
            "there are more than {NAMES_MAX} names: the counts are the least there can be"
        ));
    }
    if args.by == By::Size {
        context.output.rows(LARGEST, largest(whole))?;
    } else {
        context
            .output
            .rows(COUNTED, counted(whole, args, context))?;
    }
    ended(interrupted, findings.exit(None))
}

fn largest(whole: Part) -> Vec<Value> {
    let sorted = whole.largest.into_sorted_vec();
    let rows = sorted.into_iter().map(|Reverse(large)| large.row);
    rows.filter_map(|row| serde_json::from_str(&row).ok())
        .collect()
}

fn counted(whole: Part, args: &Args, context: &Context) -> Vec<Value> {
    let default = if args.by == By::Hour {
        Sort::Time
    } else {
        Sort::Bytes
    };
    let mut names: Vec<(String, Count)> = whole.counts.names.into_iter().collect();
    let hour = |name: &str| name.parse::<i64>().unwrap_or(0);
    names.sort_by(|(one, a), (other, b)| match args.sort.unwrap_or(default) {
        Sort::Bytes => (b.bytes, b.messages, one).cmp(&(a.bytes, a.messages, other)),
        Sort::Messages => (b.messages, b.bytes, one).cmp(&(a.messages, a.bytes, other)),
        Sort::Time if args.by == By::Hour => hour(one).cmp(&hour(other)),
        Sort::Time => (a.last_ms, one).cmp(&(b.last_ms, other)),
    });
    let utc = context.global.utc;
    let shown = names.into_iter().take(args.count);
    shown
        .map(|(name, count)| {
            let name = if args.by == By::Hour {
                show_time(hour(&name).saturating_mul(HOUR_MS), utc)
            } else {
                name
            };
            json!({
                "name": name,
                "messages": count.messages,
                "bytes": count.bytes,
                "averageBytes": count.bytes.checked_div(count.messages),
                "share": share(count.bytes, whole.bytes),
                "lastStoreTimestamp": count.last_ms,
                "lastStoreTime": show_time(count.last_ms, utc),
            })
        })
        .collect()
}

/// A part of a whole in percent, with one decimal.
fn share(part: u64, whole: u64) -> String {
    let tenths = (u128::from(part) * 1000).checked_div(u128::from(whole));
    let tenths = tenths.unwrap_or(0);
    format!("{}.{}%", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_survive_more_names_than_memory_bears() {
        let mut counts = Counts {
            is_exact: true,
            ..Counts::default()
        };
        for number in 0..NAMES_MAX * 2 {
            let once = Count {
                messages: 1,
                bytes: 10,
                last_ms: 0,
            };
            counts.add("often", once);
            counts.add(&number.to_string(), once);
        }
        assert!(!counts.is_exact);
        assert!(counts.names.len() <= NAMES_MAX);
        assert_eq!(counts.names["often"].messages, NAMES_MAX as u64 * 2);
        assert_eq!(share(1, 3), "33.3%");
        assert_eq!(share(1, 0), "0.0%");
    }
}
