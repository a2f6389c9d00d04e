//! What a repair would do about the findings, and how it is done.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cli::exit::{CliError, Exit};
use crate::cli::inspect::offsets::PastQueue;
use crate::node::Clock;
use crate::node::saved;
use crate::store::repair::{Repair, Sizes, keep_copy};
use crate::store::verify::Finding;
use crate::store::{StoreError, View};

/// So many damaged stretches are listed one by one.
const LISTED_MAX: usize = 1000;

/// What is to be done.
#[derive(Default)]
pub(super) struct Plan {
    stretches: Vec<(u64, u64)>,
    more_stretches: u64,
    /// Queues that hold something wrong.
    queues: BTreeSet<(String, u32)>,
    /// Those of them that messages are missing from.
    unqueued: BTreeSet<(String, u32)>,
    /// Anything of log, queues, index or checkpoint.
    rebuild: bool,
    /// Saved offsets that are past their queues.
    pub(super) offsets: bool,
    pub(super) topics: Option<BTreeSet<String>>,
    pub(super) log_end: u64,
}

impl Plan {
    /// Takes a finding into account.
    pub(super) fn note(&mut self, finding: &Finding) {
        match finding {
            Finding::Timer { .. } => return,
            Finding::Log { at, until, .. } => {
                if self.stretches.len() < LISTED_MAX {
                    self.stretches.push((at.get(), until.get()));
                } else {
                    self.more_stretches += 1;
                }
            }
            Finding::QueueEntry {
                topic, queue_id, ..
            } => {
                let queue = (topic.clone(), *queue_id);
                self.queues.insert(queue);
            }
            Finding::NotQueued {
                topic, queue_id, ..
            } => {
                if let Ok(queue_id) = u32::try_from(*queue_id) {
                    self.queues.insert((topic.clone(), queue_id));
                    self.unqueued.insert((topic.clone(), queue_id));
                }
            }
            Finding::NotFiled { .. }
            | Finding::NoIndex { .. }
            | Finding::IndexEntry { .. }
            | Finding::IndexFile { .. }
            | Finding::Checkpoint { .. } => {}
        }
        self.rebuild = true;
    }

    /// Whether messages were found that should be in the queue and are not.
    pub(super) fn has_lost_entries(&self, past: &PastQueue) -> bool {
        let (topic, _) = past.name.rsplit_once('@').unwrap_or((&past.name, ""));
        let queue_id = u32::try_from(past.queue_id).unwrap_or(u32::MAX);
        self.unqueued.contains(&(topic.to_owned(), queue_id))
    }

    /// The plan, a row a step.
    pub(super) fn rows(&self, sizes: &Sizes) -> Vec<Value> {
        let mut steps = Vec::new();
        for &(at, until) in &self.stretches {
            let bytes = until.saturating_sub(at);
            let action = if at >= self.log_end { "cut" } else { "bridge" };
            steps.push((
                action,
                format!("{action} log {at} to {until}, {bytes} B, kept in .rmq-cut"),
            ));
        }
        if self.more_stretches > 0 {
            let text = format!("the same for {} more stretches", self.more_stretches);
            steps.push(("bridge", text));
        }
        if self.rebuild {
            for (topic, queue_id) in &self.queues {
                let text = format!("keep a copy of queue {topic}/{queue_id} in .rmq-cut");
                steps.push(("keep", text));
            }
            let text = "read the whole log and make all queues again from it, and the checkpoint";
            steps.push(("queues", text.to_owned()));
            steps.push(match sizes.index {
                Some(index) => (
                    "index",
                    format!(
                        "move the index to .rmq-cut and make it again, {} slots and {} entries a file",
                        index.slots, index.entries
                    ),
                ),
                None => (
                    "index",
                    "leave the index to the next broker: the size of its files is not known".to_owned(),
                ),
            });
        }
        if self.offsets || self.rebuild {
            let text = "set saved offsets that are past the end of their queue to that end";
            steps.push(("offsets", text.to_owned()));
        }
        let rows = steps.into_iter();
        rows.map(|(action, text)| json!({"kind": "step", "action": action, "problem": text}))
            .collect()
    }

    /// Does it; what was done, in sentences.
    pub(super) fn carry_out(
        &self,
        view: &View,
        sizes: Sizes,
        clock: &Clock,
    ) -> Result<Vec<String>, CliError> {
        let mut done = Vec::new();
        let repair = Repair {
            sizes,
            keep: self.queues.iter().cloned().collect(),
            topics: self.topics.clone(),
        };
        let repaired = repair.run(view, clock)?;
        let report = &repaired.report;
        for (at, bytes) in &report.damaged {
            done.push(format!("bridged log {at}, {bytes} B"));
        }
        if let Some((at, bytes)) = report.cut {
            done.push(format!("cut log {at}, {bytes} B"));
        }
        done.push(format!(
            "made the queues again from {} records, log {} to {}",
            report.scanned, report.log_min, report.log_end
        ));
        done.push(if repaired.index_made {
            "made the index again".to_owned()
        } else {
            "left the index to the next broker".to_owned()
        });
        let changes = offset_changes(view, report.log_min)?;
        if !changes.is_empty() {
            let config = view.layout().config();
            let file = config.join("consumerOffset.json");
            keep_copy(view.layout().dir(), &file, &repaired.kept_in)?;
            saved::set_offsets(&config, &changes)?;
            done.push(format!(
                "set {} offsets to the end of their queues",
                changes.len()
            ));
        }
        done.push(format!(
            "what was replaced is in {}",
            repaired.kept_in.display()
        ));
        Ok(done)
    }
}

/// The offsets that are past the ends the queues have now.
fn offset_changes(view: &View, log_begin: u64) -> Result<Vec<(String, i32, i64)>, CliError> {
    let saved = saved::Saved::read(&view.layout().config());
    let past = crate::cli::inspect::offsets::past_their_queues(view, &saved, log_begin)?;
    Ok(past
        .into_iter()
        .map(|past| (past.name, past.queue_id, past.max))
        .collect())
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::InUse { .. } => {
                Self::new(Exit::Refused, &error).hint("stop the broker, or repair a copy")
            }
            StoreError::Setting { .. } => Self::usage(&error),
            StoreError::Io { source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Self::new(Exit::NotPermitted, &error)
            }
            _ => Self::failed(&error),
        }
    }
}
