//! `rmq inspect fsck`: is everything in a store as it should be, and how is it made so?
//!
//! Looking changes nothing, on a live store as well. `--repair` looks first, says what it would do, asks, does it, and
//! looks again. See [`crate::store::verify`] for what is compared and [`crate::store::repair`] for what is done.

mod plan;
mod report;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;

use serde_json::Value;

use super::offsets::past_their_queues;
use super::watch::Watch;
use crate::base::units::parse_bytes;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Format;
use crate::node::saved::Saved;
use crate::store::View;
use crate::store::index::format::Geometry;
use crate::store::repair::{Sizes, refuse_in_use};
use crate::store::verify::{Event, Looked, Verify};
use crate::store::view::is_packed;
use report::Report;

/// Check whether everything in a store fits together; repair it on request
///
/// Compares log, queues, index, checkpoint, timer and saved offsets with each other. Exit code 7 says that something
/// was found. Nothing is changed without --repair, which says first what it would do; what it cuts or replaces is
/// kept in .rmq-cut in the store directory.
///
/// Example: rmq inspect fsck ~/store --repair --dry-run
#[derive(Debug, clap::Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "they are the switches of the command line"
)]
pub(crate) struct Args {
    /// A store directory
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Leave out the checksums of bodies, what is in the index, and messages stored twice
    #[arg(long)]
    fast: bool,
    /// Repair what was found: bridge damage, cut left-overs, make queues and index again from the log
    #[arg(long, conflicts_with = "fast")]
    repair: bool,
    /// With --repair: only say what would be done
    #[arg(long, requires = "repair")]
    dry_run: bool,
    /// With --repair: do not ask
    #[arg(long, requires = "repair")]
    yes: bool,
    /// With --repair: size of a log file, where the files do not tell it (mappedFileSizeCommitLog)
    #[arg(long, value_name = "SIZE", requires = "repair", value_parser = parse_bytes)]
    log_file_size: Option<u64>,
    /// With --repair: size of a consume queue file, where the queues are lost (mappedFileSizeConsumeQueue)
    #[arg(long, value_name = "SIZE", requires = "repair", value_parser = parse_bytes)]
    queue_file_size: Option<u64>,
    /// With --repair: slots of an index file, where the index is lost (maxHashSlotNum)
    #[arg(long, value_name = "N", requires_all = ["repair", "index_entries"])]
    index_slots: Option<u32>,
    /// With --repair: entries of an index file, where the index is lost (maxIndexNum)
    #[arg(long, value_name = "N", requires_all = ["repair", "index_slots"])]
    index_entries: Option<u32>,
}

/// What a look at the store came to.
struct Outcome {
    looked: Looked,
    /// Findings, each counted once however many entries it is about.
    findings: u64,
    plan: plan::Plan,
    interrupted: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let view = View::open(&args.path)?;
    if args.repair && !args.dry_run {
        refuse_in_use(&view)?;
    }
    let utc = context.global.utc;
    let line = |row: &Value| report::line(row, utc, context.output.paint());
    let mut sheet = context.output.listing(report::COLUMNS, &line);
    let names_only = context.output.format() == Some(Format::Name);
    let outcome = look(&view, args, context, &mut |row| sheet.row(row))?;
    if !names_only {
        sheet.row(&report::summary(&outcome))?;
    }
    if outcome.interrupted {
        sheet.finish()?;
        return Ok(Exit::Interrupted);
    }
    if outcome.findings == 0 {
        sheet.finish()?;
        if args.repair {
            context.output.note("there is nothing to repair");
        }
        return Ok(Exit::Ok);
    }
    if !args.repair {
        sheet.finish()?;
        context.output.note(&format!(
            "{}. Nothing was changed. `--repair` makes a plan, asks, and keeps what it cuts in {}",
            problems(outcome.findings),
            view.layout().dir().join(".rmq-cut").display()
        ));
        return Ok(Exit::CheckFailed);
    }
    let sizes = sizes(&view, args)?;
    for row in outcome.plan.rows(&sizes) {
        if !names_only {
            sheet.row(&row)?;
        }
    }
    sheet.finish()?;
    if args.dry_run {
        context.output.note("this is the plan; nothing was changed");
        return Ok(Exit::CheckFailed);
    }
    if !args.yes {
        if !context.output.can_ask() {
            return Err(CliError::usage("a repair changes the store")
                .hint("--yes does it without asking, --dry-run only shows the plan"));
        }
        if !context.output.confirm("Repair the store now?")? {
            return Ok(Exit::CheckFailed);
        }
    }
    repair(&view, args, context, &outcome, sizes)
}

/// Does what was planned, and looks again.
fn repair(
    view: &View,
    args: &Args,
    context: &Context,
    outcome: &Outcome,
    sizes: Sizes,
) -> Result<Exit, CliError> {
    context.start_log();
    let done = outcome.plan.carry_out(view, sizes, &context.clock)?;
    for line in &done {
        context.output.note(line);
    }
    let mut left = Vec::new();
    let again = look(view, args, context, &mut |row| {
        left.push(row.clone());
        Ok(())
    })?;
    for row in &left {
        let text = report::line(row, context.global.utc, context.output.stderr_paint());
        context.output.note(&text);
    }
    if again.interrupted {
        return Ok(Exit::Interrupted);
    }
    if again.findings > 0 {
        context.output.warn(&format!(
            "after the repair there is still something: {}",
            problems(again.findings)
        ));
        return Ok(Exit::CheckFailed);
    }
    context
        .output
        .note("repaired: another look found nothing wrong");
    Ok(Exit::Ok)
}

fn problems(count: u64) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} problem{s}")
}

/// Where rows go.
type Out<'a> = dyn FnMut(&Value) -> Result<(), CliError> + 'a;

fn look(
    view: &View,
    args: &Args,
    context: &Context,
    out: &mut Out<'_>,
) -> Result<Outcome, CliError> {
    let saved = Saved::read(&view.layout().config());
    let topics: Option<BTreeSet<String>> = saved
        .topics
        .as_ref()
        .map(|topics| topics.keys().cloned().collect());
    let live = view.running();
    if let Some(pid) = live {
        context.output.note(&format!(
            "process {pid} seems to run a broker on it: what it has not written yet is not called missing"
        ));
    }
    let files = view.log_files()?;
    let watch = Watch::over(&files, &context.output)?;
    let mut report = Report::new(files);
    report.plan.topics.clone_from(&topics);
    let mut failed = Ok(());
    let how = Verify {
        fast: args.fast,
        live: live.is_some(),
        topics,
    };
    let looked = how.run(view, &mut |event| {
        let next = match event {
            Event::Found(finding) => {
                if let Err(error) = report.finding(finding, out) {
                    failed = Err(error);
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            }
            Event::Passed(bytes) => watch.pass_now(bytes),
        };
        if next.is_break() {
            return next;
        }
        ControlFlow::Continue(())
    })?;
    failed?;
    report.flush(out)?;
    if !looked.stopped {
        for unreadable in &saved.unreadable {
            report.config(unreadable, out)?;
        }
        if live.is_none() {
            for past in past_their_queues(view, &saved, looked.log_begin)? {
                report.offset(&past, out)?;
            }
        }
    }
    let interrupted = watch.finish(context);
    let (findings, mut plan) = report.finish();
    plan.log_end = looked.log_end;
    Ok(Outcome {
        looked,
        findings,
        plan,
        interrupted,
    })
}

/// The sizes of the store's files, from the files or from the command line.
fn sizes(view: &View, args: &Args) -> Result<Sizes, CliError> {
    if let Some(packed) = view.log_files()?.iter().find(|file| is_packed(&file.path)) {
        return Err(CliError::usage(format!(
            "{} is packed; a broker does not read it, and a repair neither",
            packed.path.display()
        ))
        .hint("unpack it first"));
    }
    let mut sizes = Sizes::of(view)?;
    sizes.log_file_bytes = args.log_file_size.or(sizes.log_file_bytes);
    sizes.queue_file_bytes = args.queue_file_size.or(sizes.queue_file_bytes);
    if let (Some(slots), Some(entries)) = (args.index_slots, args.index_entries) {
        sizes.index.get_or_insert(Geometry { slots, entries });
    }
    if sizes.log_file_bytes.is_none() {
        return Err(
            CliError::usage("the log's files do not tell how large a log file is to be").hint(
                "say it with --log-file-size, as mappedFileSizeCommitLog does in broker.conf",
            ),
        );
    }
    Ok(sizes)
}
