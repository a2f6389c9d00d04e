//! The report: the plan in its first line, then a line for each message.
//!
//! A line is written after its message was sent. What was sent right before a crash has no line, and is sent again by
//! whoever resumes; nothing is left out.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::Place;
use super::super::pick::Pick;
use super::args::Args;
use super::plan::Plan;
use crate::cli::exit::CliError;
use crate::client::{BrokerName, MessageQueue, QueueId, Received, TopicName};

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// It is in its topic again.
    Sent,
    /// It could not be sent.
    Failed,
    /// It was not meant.
    Skipped,
    /// It was meant, and not tried.
    Left,
}

/// The place of a letter: broker, queue, offset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot((String, u32, i64));

impl Spot {
    /// Where a letter lies.
    pub(super) fn of(letter: &Received) -> Self {
        Self((
            letter.queue.broker.to_string(),
            letter.queue.queue.get(),
            letter.queue_offset,
        ))
    }
}

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) outcome: Outcome,
    /// The id of the letter.
    pub(super) id: String,
    origin_message_id: String,
    broker: String,
    queue: u32,
    offset: i64,
    origin: Option<String>,
    pub(super) to: Option<String>,
    /// The id it was sent with.
    pub(super) new_id: Option<String>,
    pub(super) new_msg_id: Option<String>,
    pub(super) reason: Option<String>,
}

impl Entry {
    /// A letter that was not tried so far.
    pub(super) fn of(letter: &Received, target: Option<String>) -> Self {
        Self {
            outcome: Outcome::Left,
            id: letter.message_id(),
            origin_message_id: letter.origin_message_id(),
            broker: letter.queue.broker.to_string(),
            queue: letter.queue.queue.get(),
            offset: letter.queue_offset,
            origin: letter.origin_topic().map(str::to_owned),
            to: target,
            new_id: None,
            new_msg_id: None,
            reason: None,
        }
    }

    /// Says what became of it, and why.
    pub(super) fn settle(&mut self, outcome: Outcome, reason: impl Into<String>) {
        self.outcome = outcome;
        self.reason = Some(reason.into());
    }

    /// Where it lies.
    pub(super) fn place(&self) -> Spot {
        Spot((self.broker.clone(), self.queue, self.offset))
    }

    /// Whether it belongs on stdout. What the options left out is in the report only.
    pub(super) fn is_news(&self) -> bool {
        let by_option = |reason: &String| reason.starts_with("not chosen");
        self.outcome != Outcome::Skipped || !self.reason.as_ref().is_some_and(by_option)
    }

    /// As an object.
    pub(super) fn row(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Header {
    /// Tells it from the others, and its form from later ones.
    plan: u32,
    group: String,
    topic: String,
    pub(super) pick: Pick,
    /// The target; nothing: the topic each came from.
    pub(super) to: Option<String>,
    /// The command that changes bodies.
    #[serde(default)]
    pub(super) edit: Option<String>,
    pub(super) ends: Vec<QueueEnd>,
}

/// Where a queue ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct QueueEnd {
    broker: String,
    queue: u32,
    end: i64,
}

impl QueueEnd {
    /// With the name of its topic.
    pub(super) fn of_topic(&self, topic: &str) -> (MessageQueue, i64) {
        let queue = MessageQueue {
            topic: TopicName::stored(topic),
            broker: BrokerName::stored(&self.broker),
            queue: QueueId::new(self.queue),
        };
        (queue, self.end)
    }
}

/// A report that was read.
#[derive(Debug)]
pub(super) struct Resumed {
    pub(super) header: Header,
    pub(super) settled: BTreeSet<Spot>,
}

/// The form of reports this program writes.
const FORM: u32 = 1;

/// Reads a report. A last line that was cut short by a crash is no line.
pub(super) fn read(path: &Path, place: &Place) -> Result<Resumed, CliError> {
    let wrong = |line: usize, what: &dyn std::fmt::Display| {
        CliError::usage(format!("{} line {line}: {what}", path.display()))
    };
    let file = File::open(path).map_err(|error| {
        let named = format!("{}: {error}", path.display());
        CliError::from(std::io::Error::new(error.kind(), named))
    })?;
    let mut lines = BufReader::new(file).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let header: Header = serde_json::from_str(&first)
        .map_err(|error| wrong(1, &format!("no report of a replay: {error}")))?;
    if header.plan != FORM {
        return Err(wrong(1, &"written by another version of rmq"));
    }
    if header.topic != place.topic {
        return Err(wrong(1, &format!("it is about {}", header.topic)));
    }
    let mut settled = BTreeSet::new();
    let mut damaged: Option<(usize, serde_json::Error)> = None;
    for (nth, line) in lines.enumerate() {
        let line = line?;
        if let Some((at, error)) = damaged {
            return Err(wrong(at, &error));
        }
        match serde_json::from_str::<Entry>(&line) {
            // What failed or was left is tried again.
            Ok(entry) if matches!(entry.outcome, Outcome::Sent | Outcome::Skipped) => {
                settled.insert(entry.place());
            }
            Ok(_) => {}
            Err(error) => damaged = Some((nth + 2, error)),
        }
    }
    Ok(Resumed { header, settled })
}

/// Where lines go, if anywhere.
#[derive(Debug)]
pub(super) struct Report(Option<(PathBuf, File)>);

impl Report {
    /// Makes a new file, or goes on with one.
    pub(super) fn open(
        args: &Args,
        plan: &Plan,
        place: &Place,
        resumed: bool,
    ) -> Result<Self, CliError> {
        let Some(path) = args.resume.as_ref().or(args.report.as_ref()) else {
            return Ok(Self(None));
        };
        let file = if resumed {
            cut_half_line(path)
        } else {
            OpenOptions::new().write(true).create_new(true).open(path)
        };
        let file = file.map_err(|error| {
            CliError::usage(format!("--report {}: {error}", path.display()))
                .hint("--resume goes on with a report that is there")
        })?;
        let mut report = Self(Some((path.clone(), file)));
        if !resumed {
            let ends = plan.ends.iter().map(|(queue, end)| QueueEnd {
                broker: queue.broker.to_string(),
                queue: queue.queue.get(),
                end: *end,
            });
            let header = Header {
                plan: FORM,
                group: place.group.to_string(),
                topic: place.topic.clone(),
                pick: plan.pick.clone(),
                to: plan.to().map(str::to_owned),
                edit: plan.edit.clone(),
                ends: ends.collect(),
            };
            report.line(&serde_json::to_string(&header).map_err(CliError::failed)?)?;
        }
        Ok(report)
    }

    /// Writes a line; it has left this process when this returns.
    pub(super) fn write(&mut self, entry: &Entry) -> Result<(), CliError> {
        if self.0.is_none() {
            return Ok(());
        }
        self.line(&serde_json::to_string(entry).map_err(CliError::failed)?)
    }

    fn line(&mut self, text: &str) -> Result<(), CliError> {
        let Some((path, file)) = &mut self.0 else {
            return Ok(());
        };
        file.write_all(format!("{text}\n").as_bytes())
            .map_err(|error| CliError::failed(format!("{}: {error}", path.display())))
    }

    /// The file.
    pub(super) fn path(&self) -> Option<&Path> {
        self.0.as_ref().map(|(path, _)| path.as_path())
    }
}

/// Opens a report to go on with, without a last line that a crash has cut short.
fn cut_half_line(path: &Path) -> std::io::Result<File> {
    let whole = std::fs::read(path)?;
    let lines = whole
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let file = OpenOptions::new().append(true).open(path)?;
    if lines < whole.len() {
        file.set_len(lines as u64)?;
    }
    Ok(file)
}
