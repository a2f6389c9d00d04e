//! Findings as rows: neighbours that say the same are one.

use serde_json::{Map, Value, json};

use super::plan::Plan;
use super::{Out, Outcome};
use crate::cli::exit::CliError;
use crate::cli::inspect::fields::{object, printable};
use crate::cli::inspect::offsets::PastQueue;
use crate::cli::output::{Column, Paint};
use crate::cli::times::show_time;
use crate::store::layout::SegmentFile;
use crate::store::verify::{Finding, Problem};

pub(super) const COLUMNS: &[Column] = &[
    Column::new("kind", "KIND"),
    Column::new("part", "PART"),
    Column::new("place", "PLACE").name(),
    Column::new("count", "COUNT").right(),
    Column::new("problem", "PROBLEM"),
    Column::new("repair", "REPAIR"),
];

/// A finding, perhaps about several entries in a row.
struct Run {
    /// What neighbours must share.
    same: (&'static str, String, &'static str),
    /// The first and the last number.
    from: u64,
    last: u64,
    count: u64,
    row: Map<String, Value>,
}

/// Gathers findings, and what a repair would have to do about them.
pub(super) struct Report {
    files: Vec<SegmentFile>,
    run: Option<Run>,
    findings: u64,
    pub(super) plan: Plan,
}

impl Report {
    pub(super) fn new(files: Vec<SegmentFile>) -> Self {
        Self {
            files,
            run: None,
            findings: 0,
            plan: Plan::default(),
        }
    }

    /// Takes a finding in; prints the one before if this is another.
    pub(super) fn finding(&mut self, finding: Finding, out: &mut Out<'_>) -> Result<(), CliError> {
        self.plan.note(&finding);
        let run = self.run_of(finding);
        if let Some(open) = &mut self.run
            && open.same == run.same
            && !open.same.2.is_empty()
            && (run.from == open.last + 1 || open.same.0 != "consumequeue")
        {
            open.last = run.last;
            open.count += run.count;
            return Ok(());
        }
        self.flush(out)?;
        self.run = Some(run);
        Ok(())
    }

    /// Prints what is gathered.
    pub(super) fn flush(&mut self, out: &mut Out<'_>) -> Result<(), CliError> {
        let Some(mut run) = self.run.take() else {
            return Ok(());
        };
        if run.count > 1 {
            let (_, place, _) = &run.same;
            run.row.insert(
                "place".into(),
                format!("{place}{}..{}", mark(&run), run.last).into(),
            );
            run.row.insert("last".into(), run.last.into());
        }
        run.row.insert("count".into(), run.count.into());
        self.print(run.row, out)
    }

    /// A configuration file that cannot be read.
    pub(super) fn config(&mut self, problem: &str, out: &mut Out<'_>) -> Result<(), CliError> {
        let row = json!({
            "part": "config",
            "place": problem.split(": ").next(),
            "problem": problem,
            "repair": "none: put a good copy there",
            "count": 1,
        });
        self.print(object(row), out)
    }

    /// An offset past the end of its queue. In a queue that has lost entries it may be right.
    pub(super) fn offset(&mut self, past: &PastQueue, out: &mut Out<'_>) -> Result<(), CliError> {
        if self.plan.has_lost_entries(past) {
            return Ok(());
        }
        let row = json!({
            "part": "offsets",
            "place": format!("{} {}", past.name, past.queue_id),
            "problem": format!("offset {} is past the end of the queue at {}", past.offset, past.max),
            "repair": format!("set to {}", past.max),
            "count": 1,
        });
        self.plan.offsets = true;
        self.print(object(row), out)
    }

    /// How many findings, and what is to be done.
    pub(super) fn finish(self) -> (u64, Plan) {
        (self.findings, self.plan)
    }

    fn print(&mut self, mut row: Map<String, Value>, out: &mut Out<'_>) -> Result<(), CliError> {
        self.findings += 1;
        let mut whole = object(json!({"kind": "finding"}));
        whole.append(&mut row);
        out(&Value::Object(whole))
    }

    #[allow(
        clippy::too_many_lines,
        reason = "one row for each kind of finding, one below the other"
    )]
    fn run_of(&self, finding: Finding) -> Run {
        match finding {
            Finding::Log {
                at,
                until,
                is_tail,
                reason,
            } => {
                let bytes = until.since(at);
                let file = self
                    .files
                    .iter()
                    .rfind(|file| file.base <= at.get() && at.get() < file.end());
                single(json!({
                    "part": "log",
                    "place": format!("log {at}"),
                    "physicalOffset": at.get(),
                    "until": until.get(),
                    "bytes": bytes,
                    "file": file.map(|file| file.path.display().to_string()),
                    "byte": file.map(|file| at.get() - file.base),
                    "problem": reason.to_string(),
                    "repair": format!("{} {bytes} B", if is_tail { "cut" } else { "bridge" }),
                }))
            }
            Finding::QueueEntry {
                topic,
                queue_id,
                number,
                problem,
            } => {
                let (kind, repair) = match &problem {
                    Problem::PastLog { .. } => ("past", "truncate"),
                    Problem::NoRecord { .. } => ("none", "make again from the log"),
                    Problem::OtherRecord { part, .. } => (*part, "make again from the log"),
                };
                let place = format!("{topic}/{queue_id}");
                Run {
                    row: object(json!({
                        "part": "consumequeue",
                        "place": format!("{place} @{number}"),
                        "topic": topic,
                        "queueId": queue_id,
                        "cqOffset": number.get(),
                        "problem": problem.to_string(),
                        "repair": repair,
                    })),
                    same: ("consumequeue", place, kind),
                    from: number.get(),
                    last: number.get(),
                    count: 1,
                }
            }
            Finding::NotQueued {
                at,
                topic,
                queue_id,
                number,
            } => Run {
                row: object(json!({
                    "part": "queued",
                    "place": format!("log {at}"),
                    "physicalOffset": at.get(),
                    "topic": topic,
                    "queueId": queue_id,
                    "cqOffset": number,
                    "problem": format!("not in queue {}/{queue_id} @{number}", printable(&topic)),
                    "repair": "make the queues again from the log",
                })),
                same: ("queued", "log".to_owned(), "unqueued"),
                from: at.get(),
                last: at.get(),
                count: 1,
            },
            Finding::NotFiled { at, missing } => Run {
                row: object(json!({
                    "part": "filed",
                    "place": format!("log {at}"),
                    "physicalOffset": at.get(),
                    "problem": format!("{missing} of its keys are not in the index"),
                    "repair": "make the index again from the log",
                })),
                same: ("filed", "log".to_owned(), "unfiled"),
                from: at.get(),
                last: at.get(),
                count: 1,
            },
            Finding::IndexEntry {
                file,
                number,
                problem,
            } => Run {
                row: object(json!({
                    "part": "index",
                    "place": format!("{file} #{number}"),
                    "file": file,
                    "number": number,
                    "problem": problem.to_string(),
                    "repair": "make the index again from the log",
                })),
                same: ("index", file, "entry"),
                from: number.into(),
                last: number.into(),
                count: 1,
            },
            Finding::IndexFile { file, problem } => single(json!({
                "part": "index",
                "place": file,
                "file": file,
                "problem": problem,
                "repair": "make the index again from the log",
            })),
            Finding::NoIndex { records } => single(json!({
                "part": "index",
                "place": "index",
                "problem": format!("there is none: {records} messages are not found by their keys"),
                "repair": "make it from the log; its size must be told (--index-slots, --index-entries)",
            })),
            Finding::Checkpoint {
                field,
                value,
                limit,
            } => single(json!({
                "part": "checkpoint",
                "place": field,
                "problem": format!("{value} is past the end of the log at {limit}"),
                "repair": "write it again",
            })),
            Finding::Timer { slot_ms, problem } => single(json!({
                "part": "timer",
                "place": format!("slot {slot_ms}"),
                "dueTimestamp": slot_ms,
                "problem": problem,
                "repair": "none",
            })),
        }
    }
}

fn single(row: Value) -> Run {
    let row = object(row);
    Run {
        same: ("", String::new(), ""),
        from: 0,
        last: 0,
        count: 1,
        row,
    }
}

/// What stands between the place and the first number.
fn mark(run: &Run) -> String {
    let sign = match run.same.0 {
        "consumequeue" => " @",
        "index" => " #",
        _ => " ",
    };
    format!("{sign}{}", run.from)
}

/// What was looked at, as the last row.
pub(super) fn summary(outcome: &Outcome) -> Value {
    let looked = &outcome.looked;
    json!({
        "kind": "summary",
        "problems": outcome.findings,
        "complete": !looked.stopped,
        "messages": looked.records,
        "bytes": looked.bytes,
        "logBegin": looked.log_begin,
        "logEnd": looked.log_end,
        "queues": looked.queues,
        "queueEntries": looked.queue_entries,
        "indexEntries": looked.index_entries,
        "timerSlots": looked.timer_slots,
        "ofDeletedTopics": looked.of_deleted_topics,
        "placesOfLost": looked.places_of_lost,
        "behind": looked.behind,
        "storedTwice": looked.stored_twice,
        "firstStoredTwiceAt": looked.first_twice_at,
    })
}

/// A row for people.
pub(super) fn line(row: &Value, utc: bool, paint: Paint) -> String {
    let text = |name: &str| printable(row[name].as_str().unwrap_or_default());
    match row["kind"].as_str() {
        Some("finding") => {
            let many = match row["count"].as_u64() {
                Some(count) if count > 1 => format!(" ({count})"),
                _ => String::new(),
            };
            let place = match row["dueTimestamp"].as_i64() {
                Some(ms) => format!("slot of {}", show_time(ms, utc)),
                None => text("place"),
            };
            let part = match row["part"].as_str() {
                Some("log" | "queued" | "filed") => String::new(),
                _ => format!("{} ", text("part")),
            };
            format!(
                "{} {part}{place}: {}{many}     repair: {}",
                paint.red("✗"),
                text("problem"),
                text("repair")
            )
        }
        Some("step") => format!("→ {}", text("problem")),
        _ => {
            let number = |name: &str| row[name].as_u64().unwrap_or(0);
            let mut lines = vec![format!(
                "{} {} messages · {} entries in {} queues · {} index entries · {} timer slots",
                paint.green("✓"),
                row["messages"],
                row["queueEntries"],
                row["queues"],
                row["indexEntries"],
                row["timerSlots"],
            )];
            let notes = [
                ("ofDeletedTopics", "messages of topics that were deleted"),
                ("placesOfLost", "places of messages that were lost before"),
                ("behind", "messages the running broker has not queued yet"),
                ("storedTwice", "messages stored twice under one unique key"),
            ];
            for (name, what) in notes {
                if number(name) > 0 {
                    lines.push(format!("  {} {what}", number(name)));
                }
            }
            lines.join("\n")
        }
    }
}
