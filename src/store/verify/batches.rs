//! The same for batch queues: from every record to its entry, and from every entry to its record.
//!
//! An entry is for all the messages of one record, so the one that leads to a record is searched for.

use std::collections::HashMap;

use super::{Finding, Looked, Problem, Sink, record_at};
use crate::base::QueueOffset;
use crate::message::record::Record;
use crate::store::dispatch::batch_place;
use crate::store::log::Walk;
use crate::store::queue::BatchEntry;
use crate::store::view::BatchQueueView;
use crate::store::{View, ViewError};

/// How many batch queues are kept open at a time.
const OPEN_QUEUES_MAX: usize = 64;

/// The batch queues that the walk over the log has come by.
#[derive(Default)]
pub(super) struct Batches {
    open: HashMap<(String, u32), BatchQueueView>,
}

impl Batches {
    /// Whether a record of a topic with batch queues is in its queue.
    pub(super) fn holds(&mut self, record: &Record<'_>, view: &View) -> Result<bool, ViewError> {
        let (Ok(queue_id), Some(place)) = (u32::try_from(record.queue_id), batch_place(record))
        else {
            return Ok(false);
        };
        if self.open.len() >= OPEN_QUEUES_MAX {
            self.open.clear();
        }
        let queue = match self.open.entry((record.topic.to_owned(), queue_id)) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(view.batch_queue(record.topic, queue_id)?)
            }
        };
        let batch = queue.leading_to(record.physical_offset)?;
        Ok(batch.is_some_and(|batch| {
            is_place(&batch, place) && i64::from(batch.entry.size) == i64::from(record.size)
        }))
    }
}

fn is_place(batch: &BatchEntry, (base, count): (u64, u16)) -> bool {
    batch.first() == base && batch.end() == base.saturating_add(count.into())
}

/// From every entry of every batch queue to its record.
pub(super) fn follow_all(
    view: &View,
    log: &mut Walk,
    looked: &mut Looked,
    log_end: Option<u64>,
    sink: &mut Sink<'_>,
) -> Result<(), ViewError> {
    for (topic, queue_id) in view.batch_queues()? {
        looked.queues += 1;
        let mut queue = view.batch_queue(&topic, queue_id)?;
        while !sink.stopped
            && let Some(next) = queue.next_entry()
        {
            let batch = next?;
            looked.queue_entries += 1;
            let at = batch.entry.log_offset;
            if u64::try_from(at).is_ok_and(|at| at < looked.log_begin) {
                continue;
            }
            if let Some(problem) = problem(log, (&topic, queue_id), &batch, log_end) {
                sink.found(Finding::QueueEntry {
                    topic: topic.clone(),
                    queue_id,
                    number: QueueOffset::new(batch.first()),
                    problem,
                });
            }
        }
    }
    Ok(())
}

fn problem(
    log: &mut Walk,
    (topic, queue_id): (&str, u32),
    batch: &BatchEntry,
    log_end: Option<u64>,
) -> Option<Problem> {
    let at = batch.entry.log_offset;
    let record = match record_at(log, at, log_end) {
        Ok(record) => record,
        Err(problem) => return Some(problem),
    };
    let parts = [
        (
            i64::from(batch.entry.size) == i64::from(record.size),
            "length",
        ),
        (record.topic == topic, "topic"),
        (i64::from(record.queue_id) == i64::from(queue_id), "queue"),
        (
            batch_place(&record).is_some_and(|place| is_place(batch, place)),
            "queue offset",
        ),
        (
            batch.store_timestamp_ms == record.store_timestamp,
            "store time",
        ),
    ];
    let differs = parts.iter().find(|(same, _)| !same);
    differs.map(|&(_, part)| Problem::OtherRecord { at, part })
}
