//! What became of the messages: receipts on stdout, everything that was not acknowledged on stderr, and all of it in
//! the report file. Everything is told in the order of the input.

use std::collections::VecDeque;
use std::io::{self, BufWriter, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde_json::{Value, json};

use super::carry::{Fate, concerns_one_message};
use super::ledger::{Entry, Ledger};
use super::source::Place;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Column, Progress, Sheet};
use crate::client::{Message, SendReceipt, SendStatus};

pub(super) const COLUMNS: &[Column] = &[
    Column::new("topic", "TOPIC"),
    Column::new("brokerName", "BROKER"),
    Column::new("queueId", "QUEUE").right(),
    Column::new("queueOffset", "OFFSET").right(),
    Column::new("uniqKey", "ID").name(),
    Column::new("msgId", "OFFSET ID").wide(),
    Column::new("status", "STATUS").wide(),
];

/// Failures that are named one by one on stderr; the report file names them all.
const NAMED_MAX: u64 = 20;

/// What goes to stdout for a stored message.
pub(super) enum Receipts<'a> {
    Rows(Sheet<'a>),
    /// Its body.
    Bodies {
        out: BufWriter<io::Stdout>,
        delimiter: Vec<u8>,
    },
    Nothing,
}

/// A message whose end is not known yet, or not told.
#[derive(Debug)]
struct Slot {
    place: Place,
    end: Option<End>,
    body: Option<Bytes>,
}

/// The end of a message.
#[derive(Debug)]
pub(super) enum End {
    Fate(Fate),
    /// It was no message.
    Unreadable(CliError),
    /// Not sent, because this message before it failed and order matters.
    Skipped(Place),
    /// The command ended before its turn.
    NotTried,
}

/// Counts, prints and judges.
pub(super) struct Report<'a> {
    receipts: Receipts<'a>,
    ledger: Option<Ledger>,
    progress: Progress,
    context: &'a Context,
    slots: VecDeque<Slot>,
    /// The number of the first slot.
    first_slot: u64,
    sent: u64,
    failed: u64,
    skipped: Arc<AtomicU64>,
    /// The first failure decides the exit code if nothing was sent.
    first_error: Option<CliError>,
    /// How many messages there will be, if that is known.
    total: Option<u64>,
    /// Stop at the first failure, whatever it is.
    fail_fast: bool,
    /// Why reading ended before the input did.
    ended: Option<Why>,
    /// Say at the end how many there were, also if all went well.
    sums_up: bool,
}

/// Why not all of the input was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// The next message would fail as well.
    Failure,
    /// Ctrl-C.
    Interrupt,
}

/// What a report is made of.
pub(super) struct Options<'a> {
    pub(super) receipts: Receipts<'a>,
    pub(super) ledger: Option<Ledger>,
    pub(super) progress: Progress,
    pub(super) total: Option<u64>,
    /// Messages that were stored before, and so left out.
    pub(super) skipped: Arc<AtomicU64>,
    pub(super) fail_fast: bool,
}

impl<'a> Report<'a> {
    pub(super) fn new(options: Options<'a>, context: &'a Context) -> Self {
        let sums_up = options.ledger.is_some() || !matches!(options.receipts, Receipts::Rows(_));
        Self {
            sums_up: sums_up && options.total != Some(1),
            receipts: options.receipts,
            ledger: options.ledger,
            progress: options.progress,
            context,
            slots: VecDeque::new(),
            first_slot: 0,
            sent: 0,
            failed: 0,
            skipped: options.skipped,
            first_error: None,
            total: options.total,
            fail_fast: options.fail_fast,
            ended: None,
        }
    }

    /// A message comes in; returns the number of its slot.
    pub(super) fn open(&mut self, place: Place, message: Option<&Message>) -> u64 {
        let keeps_body = matches!(self.receipts, Receipts::Bodies { .. });
        self.slots.push_back(Slot {
            place,
            end: None,
            body: message
                .filter(|_| keeps_body)
                .map(|message| message.body().clone()),
        });
        self.first_slot + self.slots.len() as u64 - 1
    }

    /// Which part of the input the message of a slot is. The slot must not be told yet.
    pub(super) fn place(&self, slot: u64) -> Option<Place> {
        Some(self.slots.get(self.index(slot)?)?.place)
    }

    fn index(&self, slot: u64) -> Option<usize> {
        usize::try_from(slot.checked_sub(self.first_slot)?).ok()
    }

    /// How a message ended. Told once everything before it is; see [`Report::tell`].
    pub(super) fn close(&mut self, slot: u64, end: End) {
        if let Some(slot) = self.index(slot).and_then(|at| self.slots.get_mut(at)) {
            slot.end = Some(end);
        }
    }

    /// Tells what can be told by now. `false` if nothing more should be sent.
    pub(super) fn tell(&mut self) -> Result<bool, CliError> {
        let mut told = 0;
        while self.slots.front().is_some_and(|slot| slot.end.is_some()) {
            let Some(Slot {
                place,
                end: Some(end),
                body,
            }) = self.slots.pop_front()
            else {
                break;
            };
            self.first_slot += 1;
            told += 1;
            self.tell_one(place, end, body)?;
        }
        if told > 0 {
            self.progress.add(told);
            if let Some(ledger) = &mut self.ledger {
                ledger.flush()?;
            }
            self.print(|receipts| match receipts {
                Receipts::Rows(sheet) => sheet.flush(),
                Receipts::Bodies { out, .. } => Ok(out.flush()?),
                Receipts::Nothing => Ok(()),
            })?;
        }
        Ok(self.ended.is_none())
    }

    fn tell_one(&mut self, place: Place, end: End, body: Option<Bytes>) -> Result<(), CliError> {
        match end {
            End::Fate(Fate::Stored(receipt)) => {
                self.sent += 1;
                self.note(place, "stored", Some(&receipt.message_id), None)?;
                self.print_receipt(&receipt, body)
            }
            End::Fate(Fate::Sent) => {
                self.sent += 1;
                self.note(place, "sent", None, None)?;
                self.print(|receipts| match (receipts, body) {
                    (Receipts::Bodies { out, delimiter }, Some(body)) => {
                        Ok(out
                            .write_all(&body)
                            .and_then(|()| out.write_all(delimiter))?)
                    }
                    _ => Ok(()),
                })
            }
            End::Fate(Fate::Failed(error)) => {
                let outcome = if error.is_uncertain() {
                    "unknown"
                } else {
                    "refused"
                };
                if self.fail_fast || !concerns_one_message(&error) {
                    self.stop();
                }
                let perhaps = if error.is_uncertain() {
                    ", perhaps stored"
                } else {
                    ""
                };
                self.warn(&format!("not acknowledged{perhaps}: {place}: {error}"));
                self.failure(place, outcome, error.into())
            }
            End::Fate(Fate::Behind) => {
                self.skipped(place, "an earlier message of its batch was refused")
            }
            End::Skipped(failed) => self.skipped(
                place,
                &format!("{failed}, which comes before it in its queue, failed"),
            ),
            End::Unreadable(error) => {
                if self.fail_fast {
                    self.stop();
                }
                self.warn(&format!("not sent: {error}"));
                self.failure(place, "unreadable", error)
            }
            End::NotTried => Ok(()),
        }
    }

    fn skipped(&mut self, place: Place, why: &str) -> Result<(), CliError> {
        self.warn(&format!("not sent: {place}: {why}"));
        self.failure(place, "skipped", CliError::failed(why))
    }

    fn failure(&mut self, place: Place, outcome: &str, error: CliError) -> Result<(), CliError> {
        self.failed += 1;
        self.note(place, outcome, None, Some(error.to_string()))?;
        self.first_error.get_or_insert(error);
        Ok(())
    }

    fn warn(&self, text: &str) {
        if !self.is_single() && self.failed < NAMED_MAX {
            self.context.output.warn(text);
        }
    }

    fn note(
        &mut self,
        place: Place,
        outcome: &str,
        id: Option<&str>,
        error: Option<String>,
    ) -> Result<(), CliError> {
        let Some(ledger) = &mut self.ledger else {
            return Ok(());
        };
        ledger.write(&Entry {
            line: place.number,
            offset: place.offset,
            crc: place.crc,
            outcome,
            id,
            error,
        })
    }

    fn print_receipt(
        &mut self,
        receipt: &SendReceipt,
        body: Option<Bytes>,
    ) -> Result<(), CliError> {
        if receipt.status != SendStatus::Ok {
            self.context.output.warn(&format!(
                "{} is stored, but not as safely as the broker should: {}",
                receipt.message_id,
                receipt.status.name()
            ));
        }
        self.print(|receipts| match (receipts, body) {
            (Receipts::Rows(sheet), _) => sheet.row(&row(receipt)),
            (Receipts::Bodies { out, delimiter }, Some(body)) => Ok(out
                .write_all(&body)
                .and_then(|()| out.write_all(delimiter))?),
            _ => Ok(()),
        })
    }

    /// Whoever read the receipts may have seen enough; the messages still have to go.
    fn print(
        &mut self,
        print: impl FnOnce(&mut Receipts<'a>) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        match print(&mut self.receipts) {
            Err(error) if error.exit() == Exit::Ok => {
                self.receipts = Receipts::Nothing;
                Ok(())
            }
            printed => printed,
        }
    }

    /// There is one message only, so the error of the command says it all.
    fn is_single(&self) -> bool {
        self.total == Some(1)
    }

    fn stop(&mut self) {
        self.ended.get_or_insert(Why::Failure);
    }

    /// Whether the first failure ends it all.
    pub(super) fn fails_fast(&self) -> bool {
        self.fail_fast
    }

    pub(super) fn interrupt(&mut self) {
        self.ended = Some(Why::Interrupt);
    }

    pub(super) fn was_interrupted(&self) -> bool {
        self.ended == Some(Why::Interrupt)
    }

    /// Ends the output and says how it went.
    pub(super) fn finish(mut self) -> Result<Exit, CliError> {
        self.tell()?;
        self.progress.finish();
        if let Receipts::Rows(sheet) = self.receipts {
            sheet.finish()?;
        }
        let Self { sent, failed, .. } = self;
        let note = |text: &str| self.context.output.note(text);
        if failed > NAMED_MAX {
            let rest = failed - NAMED_MAX;
            note(&format!(
                "… and {rest} more were not acknowledged; --report FILE names all"
            ));
        }
        let rest = match self.ended {
            Some(_) => "; what came after that was not tried",
            None => "",
        };
        if self.ended == Some(Why::Interrupt) {
            note(&format!(
                "interrupted: {sent} sent, {failed} not acknowledged{rest}"
            ));
            return Ok(Exit::Interrupted);
        }
        match self.first_error {
            None => {
                let skipped = self.skipped.load(Ordering::Relaxed);
                if skipped > 0 {
                    note(&format!("{sent} sent, {skipped} were stored before"));
                } else if self.sums_up {
                    note(&format!("{sent} sent"));
                }
                Ok(Exit::Ok)
            }
            Some(error) => {
                if sent > 0 || failed > 1 {
                    note(&format!("{sent} sent, {failed} not acknowledged{rest}"));
                }
                if sent > 0 {
                    return Ok(Exit::Partial);
                }
                Err(error)
            }
        }
    }
}

fn row(receipt: &SendReceipt) -> Value {
    json!({
        "topic": receipt.queue.topic.as_str(),
        "brokerName": receipt.queue.broker.as_str(),
        "queueId": receipt.queue.queue.get(),
        "queueOffset": receipt.queue_offset,
        "uniqKey": receipt.message_id,
        "msgId": receipt.offset_message_id,
        "status": receipt.status.name(),
    })
}

/// A receipt as a line for people.
pub(super) fn line(row: &Value, context: &Context) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    format!(
        "{}  {}/{}  offset {}  {}",
        text("topic"),
        text("brokerName"),
        row["queueId"],
        row["queueOffset"],
        context.output.paint().dim(text("uniqKey")),
    )
}

/// What a dry run shows of a message.
pub(super) fn plan(place: Place, message: &Message, order_key: Option<&str>) -> Value {
    json!({
        "line": place.number,
        "topic": message.topic(),
        "tags": message.tag(),
        "keys": message.keys(),
        "orderKey": order_key,
        "bodyLength": message.body().len(),
        "status": "DRY_RUN",
    })
}

/// The columns of a dry run.
pub(super) const PLAN_COLUMNS: &[Column] = &[
    Column::new("line", "LINE").right(),
    Column::new("topic", "TOPIC"),
    Column::new("tags", "TAG"),
    Column::new("keys", "KEYS"),
    Column::new("orderKey", "ORDER KEY"),
    Column::new("bodyLength", "BYTES").right(),
    Column::new("status", "STATUS").wide(),
];

/// A line of a dry run for people.
pub(super) fn plan_line(row: &Value) -> String {
    let topic = row["topic"].as_str().unwrap_or_default();
    let mut line = format!("{topic}  {} bytes", row["bodyLength"]);
    for (name, title) in [("tags", "tag"), ("keys", "keys"), ("orderKey", "order key")] {
        if let Some(text) = row[name].as_str() {
            line = format!("{line}  {title} {text}");
        }
    }
    line + "  not sent"
}
