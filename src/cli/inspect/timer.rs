//! `rmq inspect timer`: the timer's wheel and log, and what waits in them.
//!
//! Field names are those of Apache's classes (`Slot`, `TimerLog`, `TimerCheckpoint`).

use std::path::PathBuf;

use serde_json::{Value, json};

use super::watch::{Stop, ended};
use super::{Findings, fields, store_of};
use crate::base::LogOffset;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Column, Format};
use crate::cli::times::show_time;
use crate::message::names;
use crate::store::log::Walk;
use crate::store::timer::format::{KIND_DELETE, KIND_ROLL, SLOTS, Slot, Unit};
use crate::store::view::{TimerItem, TimerView};

/// A slot with more messages than this is shown so far and no further.
const UNITS_MAX: usize = 1 << 20;

/// Show the timer: how far it is, and which messages wait until when
///
/// Example: rmq inspect timer ~/store -n 20
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A store directory, or its timerlog or timerwheel
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The slots of the wheel instead of the messages in them
    #[arg(long, conflicts_with = "log")]
    slots: bool,
    /// The units of the timer log, in the order they were written
    #[arg(long)]
    log: bool,
    /// Also slots whose time is over
    #[arg(long)]
    all: bool,
    /// Stop after this many rows
    #[arg(short = 'n', long = "count", value_name = "N")]
    count: Option<u64>,
}

const COLUMNS: &[Column] = &[
    Column::new("kind", "KIND"),
    Column::new("dueTime", "DUE"),
    Column::new("slot", "SLOT").right(),
    Column::new("num", "MESSAGES").right(),
    Column::new("pos", "UNIT").right(),
    Column::new("physicalOffset", "LOG OFFSET").right(),
    Column::new("size", "SIZE").right(),
    Column::new("topic", "TOPIC"),
    Column::new("keys", "KEYS"),
    Column::new("uniqKey", "ID").name(),
    Column::new("reason", "REASON"),
];

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let view = store_of(&args.path, "timerlog").or_else(|error| {
        // The wheel is a file of the store itself.
        let above = args.path.parent().map(crate::store::View::open);
        above.and_then(Result::ok).ok_or(error)
    })?;
    let timer = view.timer()?;
    if !timer.is_there() {
        return Err(CliError::not_found(format!(
            "{} has no timerwheel and no timerlog",
            view.layout().dir().display()
        ))
        .hint("a broker makes them with the first start that has timerWheelEnable"));
    }
    let files = view.log_files()?;
    let utc = context.global.utc;
    let line = |row: &Value| line(row, utc);
    let mut listing = Listing {
        args,
        utc,
        log: Walk::over_files(&files),
        findings: Findings::new(context, files),
        stop: Stop::listen()?,
        left: args.count.unwrap_or(u64::MAX),
    };
    let mut sheet = context.output.listing(COLUMNS, &line);
    let names_only = context.output.format() == Some(Format::Name);
    let mut out = |row: &Value| {
        if names_only && row["kind"] != "message" {
            return Ok(());
        }
        sheet.row(row)
    };
    if args.log {
        listing.units(timer, &mut out)?;
    } else {
        listing.slots(timer, &mut out)?;
    }
    sheet.finish()?;
    ended(listing.stop.is_asked(), listing.findings.exit(None))
}

struct Listing<'a> {
    args: &'a Args,
    utc: bool,
    log: Walk,
    findings: Findings<'a>,
    stop: Stop,
    left: u64,
}

/// Where rows go.
type Out<'a> = dyn FnMut(&Value) -> Result<(), CliError> + 'a;

impl Listing<'_> {
    /// How far the timer is, then the slots, earliest first, each with its messages.
    fn slots(&mut self, mut timer: TimerView, out: &mut Out<'_>) -> Result<(), CliError> {
        let mut slots = Vec::new();
        let mut misplaced = 0_u64;
        timer.slots(|slot, at_home| {
            if at_home {
                slots.push(slot);
            } else {
                misplaced += 1;
            }
        })?;
        slots.sort_by_key(|slot| slot.time);
        if misplaced > 0 {
            self.findings.add(&format!(
                "timerwheel: {misplaced} slots hold the time of another slot"
            ));
        }
        let read_ms = timer.check().map(|check| check.read_ms);
        // A slot's own time is divided by a precision that only its units tell; one tells it for all.
        let precision = precision_ms(&mut timer, &slots)?;
        let due_ms = |slot: &Slot| slot.time.saturating_mul(precision);
        let waits = |slot: &Slot| read_ms.is_none_or(|read| due_ms(slot) >= read);
        let waiting: i64 = slots
            .iter()
            .filter(|slot| waits(slot))
            .map(|slot| i64::from(slot.count))
            .sum();
        out(&head(&timer, precision, waiting, slots.len(), self.utc))?;
        for slot in slots {
            if self.stop.is_asked() || self.left == 0 {
                break;
            }
            if !self.args.all && !waits(&slot) {
                continue;
            }
            let due = due_ms(&slot);
            if self.args.slots {
                self.left -= 1;
                out(&slot_row(&slot, due, waits(&slot), self.utc))?;
                continue;
            }
            let (units, whole) = timer.list(&slot, UNITS_MAX)?;
            if !whole {
                self.findings.add(&format!(
                    "timer slot of {}: its list breaks off after {} of {} messages",
                    show_time(due, self.utc),
                    units.len(),
                    slot.count
                ));
            }
            for (at, unit) in units.into_iter().rev() {
                if self.left == 0 {
                    break;
                }
                self.left -= 1;
                let row = self.message(at.cast_unsigned(), &unit, waits(&slot));
                out(&row)?;
            }
        }
        Ok(())
    }

    /// Every unit of the timer log.
    fn units(&mut self, mut timer: TimerView, out: &mut Out<'_>) -> Result<(), CliError> {
        let files = timer.files().to_vec();
        let mut damaged = Vec::new();
        let read_ms = timer.check().map(|check| check.read_ms);
        // Rows are made as the units come; the first that cannot be printed ends it.
        let mut failed = Ok(());
        timer.walk(|at, item| match item {
            TimerItem::Unit(unit) if self.left > 0 && failed.is_ok() && !self.stop.is_asked() => {
                self.left -= 1;
                let waits = read_ms.is_none_or(|read| unit.slot_ms() >= read);
                let mut row = self.message(at, &unit, waits);
                row["kind"] = "unit".into();
                failed = out(&row);
            }
            TimerItem::Damaged => damaged.push(at),
            TimerItem::Unit(_) | TimerItem::End => {}
        })?;
        for at in damaged {
            let file = files.iter().rfind(|file| file.base <= at);
            let place = file.map_or_else(String::new, |file| {
                format!("{} byte {}", file.path.display(), at - file.base)
            });
            self.findings
                .add(&format!("{place}: no unit of the timer log"));
        }
        failed
    }

    /// A message that waits, or a unit of the log.
    fn message(&mut self, at: u64, unit: &Unit, waits: bool) -> Value {
        let mut row = json!({
            "kind": "message",
            "dueTimestamp": unit.slot_ms(),
            "dueTime": show_time(unit.slot_ms(), self.utc),
            "waits": waits,
            "pos": at,
            "prevPos": unit.previous,
            "magic": unit.kind,
            "roll": unit.kind & KIND_ROLL != 0,
            "delete": unit.kind & KIND_DELETE != 0,
            "writeTime": unit.written_ms,
            "delayedTime": unit.delay_ms,
            "physicalOffset": unit.log_offset,
            "size": unit.size,
            "hashCode": unit.topic_hash,
        });
        let position = LogOffset::from_wire(unit.log_offset).unwrap_or_default();
        match self.log.record_at(position) {
            Ok(stored) => {
                let property = |name| stored.record.properties.get(name);
                row["topic"] = property(names::REAL_TOPIC)
                    .unwrap_or(stored.record.topic)
                    .into();
                row["keys"] = property(names::KEYS).into();
                row["uniqKey"] = property(names::UNIQ_KEY).into();
            }
            // What is over may have been deleted with its log file.
            Err(_) if !waits => {}
            Err(reason) => {
                let place = self.findings.place(position.get());
                self.findings
                    .add(&format!("timer unit {at}: {place}: {reason}"));
                row["reason"] = reason.to_string().into();
            }
        }
        row
    }
}

/// What a slot's time is divided by.
fn precision_ms(timer: &mut TimerView, slots: &[Slot]) -> Result<i64, CliError> {
    const APACHE_DEFAULT_MS: i64 = 1000;
    for slot in slots.iter().rev() {
        if let Some(unit) = timer.unit(slot.last)?
            && slot.time > 0
            && unit.slot_ms() % slot.time == 0
        {
            return Ok((unit.slot_ms() / slot.time).max(1));
        }
    }
    Ok(APACHE_DEFAULT_MS)
}

fn head(timer: &TimerView, precision: i64, waiting: i64, slots: usize, utc: bool) -> Value {
    let check = timer.check();
    json!({
        "kind": "timer",
        "waiting": waiting,
        "slots": slots,
        "precisionMs": precision,
        "lastReadTimeMs": check.map(|check| check.read_ms),
        "lastReadTime": check.map(|check| show_time(check.read_ms, utc)),
        "lastTimerLogFlushPos": check.map(|check| check.flushed),
        "lastTimerQueueOffset": check.map(|check| check.queue_offset),
        "masterTimerQueueOffset": check.map(|check| check.master_queue_offset),
        "logFiles": timer.files().len(),
        "wheelBytes": timer.wheel_bytes(),
    })
}

fn slot_row(slot: &Slot, due_ms: i64, waits: bool, utc: bool) -> Value {
    json!({
        "kind": "slot",
        "dueTimestamp": due_ms,
        "dueTime": show_time(due_ms, utc),
        "waits": waits,
        "slot": slot.time.rem_euclid(SLOTS.cast_signed()),
        "timeDivPrecision": slot.time,
        "firstPos": slot.first,
        "lastPos": slot.last,
        "num": slot.count,
        "magic": slot.magic,
    })
}

fn line(row: &Value, utc: bool) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    match text("kind") {
        "timer" => {
            let read = row["lastReadTimeMs"].as_i64();
            format!(
                "timer  {} messages wait  read up to {}  timer queue up to @{}",
                row["waiting"],
                read.map_or_else(|| "never".to_owned(), |ms| show_time(ms, utc)),
                row["lastTimerQueueOffset"],
            )
        }
        "slot" => format!(
            "{}  slot {}  {} messages  units {} to {}",
            text("dueTime"),
            row["slot"],
            row["num"],
            row["firstPos"],
            row["lastPos"]
        ),
        _ => {
            let kind = match (row["delete"] == true, row["roll"] == true) {
                (true, _) => "  takes one back",
                (_, true) => "  rolls on",
                _ => "",
            };
            let reason = match text("reason") {
                "" => String::new(),
                reason => format!("  DAMAGED {reason}"),
            };
            format!(
                "{}  {}  log {}  {} B  id={}{kind}{reason}",
                text("dueTime"),
                fields::printable(text("topic")),
                row["physicalOffset"],
                row["size"],
                fields::printable(text("uniqKey")),
            )
        }
    }
}
