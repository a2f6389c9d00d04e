//! `rmq dlq replay`: send dead letters again.
//!
//! First a plan, then consent, then one message after the other in the order they died. Every message gets an outcome:
//! `sent`, `failed`, `skipped` or `left` (not tried). With `--report` all of them are in a file, line by line, from which
//! `--resume` goes on, also after a crash: a message whose line is missing is sent once more.
//!
//! Nothing is deleted: the letters stay where they are until the topic is purged or grows old.

mod args;
mod plan;
mod report;
mod send;

use std::collections::BTreeSet;
use std::pin::pin;

use serde_json::Value;

pub(super) use args::Args;
use plan::Plan;
use report::{Entry, Outcome, Report};
use send::Sender;

use super::letters::Letters;
use super::{Kind, Place};
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Column, Unit};
use crate::cli::{Context, interrupted};
use crate::client::{Client, Received};

const COLUMNS: &[Column] = &[
    Column::new("outcome", "OUTCOME"),
    Column::new("id", "ID").name(),
    Column::new("origin", "ORIGIN"),
    Column::new("to", "TO"),
    Column::new("newId", "NEW ID"),
    Column::new("reason", "REASON"),
    Column::new("broker", "BROKER").wide(),
    Column::new("queue", "QUEUE").wide(),
    Column::new("offset", "OFFSET").wide(),
];

/// Runs the command.
pub(super) fn run(args: &Args, kind: Kind, context: &Context) -> Result<Exit, CliError> {
    let place = Place::new(kind, &args.group)?;
    let now_ms = context.clock.now_ms();
    let resumed = args
        .resume
        .as_deref()
        .map(|path| report::read(path, &place))
        .transpose()?;
    context.block_on(async {
        let client = context.connect().await?;
        let plan = match &resumed {
            Some(resumed) => Plan::resume(&client, resumed, args, &place, context).await?,
            None => Plan::new(&client, args, &place, now_ms, context).await?,
        };
        context
            .output
            .note(&plan.sentence(&place, args.consent.dry_run));
        for problem in plan.problems(&place) {
            context.output.warn(&problem);
        }
        if args.consent.dry_run {
            context.output.rows(plan::COLUMNS, plan.rows(&place))?;
            client.close().await;
            return Ok(Exit::Ok);
        }
        if plan.wanted == 0 {
            context.output.note("nothing to send");
            client.close().await;
            return Ok(Exit::Ok);
        }
        agree(args, &plan, context)?;
        let report = Report::open(args, &plan, &place, resumed.is_some())?;
        let sender = Sender::new(&client, args, &plan)?;
        let mut run = Run {
            args,
            context,
            place: &place,
            plan: &plan,
            report,
            sender,
            seen: BTreeSet::new(),
            tally: Tally::default(),
        };
        let end = run.send_all(&client).await;
        let exit = run.finish(end);
        client.close().await;
        exit
    })
}

fn agree(args: &Args, plan: &Plan, context: &Context) -> Result<(), CliError> {
    if args.consent.yes {
        return Ok(());
    }
    if !context.output.can_ask() {
        return Err(
            CliError::usage("sending needs consent, and nobody is there to ask")
                .hint("--yes gives it, --dry-run shows the plan"),
        );
    }
    if context
        .output
        .confirm(&format!("send {} messages", plan.wanted))?
    {
        Ok(())
    } else {
        Err(CliError::new(Exit::Interrupted, "nothing was sent"))
    }
}

/// Counts of outcomes.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    sent: u64,
    failed: u64,
    skipped: u64,
    left: u64,
}

struct Run<'a> {
    args: &'a Args,
    context: &'a Context,
    place: &'a Place,
    plan: &'a Plan,
    report: Report,
    sender: Sender,
    /// Original ids met in this run.
    seen: BTreeSet<String>,
    tally: Tally,
}

/// Why it stopped before the last message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Interrupted,
    Failures,
}

impl Run<'_> {
    async fn send_all(&mut self, client: &Client) -> Result<Option<Stop>, CliError> {
        let line = |row: &Value| line(row);
        let mut sheet = self.context.output.stream(COLUMNS, &line);
        let bar = self.context.output.progress(self.plan.total, Unit::Count);
        let mut letters = Letters::up_to(client, self.place, self.plan.ends.clone()).await?;
        let mut interrupted = pin!(interrupted());
        let mut stop = None;
        while let Some(letter) = letters.next().await? {
            bar.add(1);
            let Some(mut entry) = self.before(&letter) else {
                continue;
            };
            if entry.outcome == Outcome::Left && stop.is_none() {
                // Between two messages it may stop; one that is under way is finished.
                tokio::select! {
                    biased;
                    () = &mut interrupted => stop = Some(Stop::Interrupted),
                    () = self.sender.turn() => {}
                }
                if stop.is_none() {
                    self.sender.send(&letter, &mut entry).await;
                }
            }
            self.note(&entry)?;
            if entry.is_news() {
                sheet.row(&entry.row())?;
            }
            let limit = self.args.stop_after_failures;
            if stop.is_none() && limit > 0 && self.tally.failed >= limit {
                stop = Some(Stop::Failures);
            }
        }
        bar.finish();
        sheet.finish()?;
        Ok(stop)
    }

    /// What is known about a letter before it is sent: `left` means that it is to be tried. `None`: it was settled by
    /// the run this one resumes.
    fn before(&mut self, letter: &Received) -> Option<Entry> {
        let mut entry = Entry::of(letter, self.plan.target_of(letter));
        if self.plan.settled.contains(&entry.place()) {
            return None;
        }
        if let Some(option) = self.plan.picker.refusal(letter) {
            entry.settle(Outcome::Skipped, format!("not chosen: {option}"));
        } else if self.args.dedupe {
            let id = letter.message_id();
            if self.sender.was_sent(&id) {
                entry.settle(Outcome::Skipped, "sent by an earlier replay");
            } else if !self.seen.insert(id) {
                entry.settle(Outcome::Skipped, "the same message is here twice");
            }
        }
        Some(entry)
    }

    fn note(&mut self, entry: &Entry) -> Result<(), CliError> {
        match entry.outcome {
            Outcome::Sent => self.tally.sent += 1,
            Outcome::Failed => self.tally.failed += 1,
            Outcome::Skipped => self.tally.skipped += 1,
            Outcome::Left => self.tally.left += 1,
        }
        self.report.write(entry)?;
        if entry.outcome == Outcome::Sent && self.args.dedupe {
            self.sender.mark(&entry.id)?;
        }
        Ok(())
    }

    fn finish(self, end: Result<Option<Stop>, CliError>) -> Result<Exit, CliError> {
        let Tally {
            sent,
            failed,
            skipped,
            left,
        } = self.tally;
        let mut said = vec![format!("sent {sent} · failed {failed} · skipped {skipped}")];
        if left > 0 {
            said.push(format!(" · not tried {left}"));
        }
        if let Some(path) = self.report.path() {
            let path = path.display();
            said.push(format!("     report: {path}"));
            if failed + left > 0 || end.is_err() {
                said.push(format!("     go on with --resume {path}"));
            }
        }
        self.context.output.note(&said.concat());
        match end? {
            Some(Stop::Interrupted) => Ok(Exit::Interrupted),
            _ if failed + left == 0 => Ok(Exit::Ok),
            _ if sent == 0 => Ok(Exit::Failed),
            _ => Ok(Exit::Partial),
        }
    }
}

/// An outcome as one line for people.
fn line(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
    let mut line = format!("{:7}  {}  -> {}", text("outcome"), text("id"), text("to"));
    for name in ["newId", "reason"] {
        if let Some(more) = row[name].as_str() {
            line.push_str("  ");
            line.push_str(more);
        }
    }
    line
}
