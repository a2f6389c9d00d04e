//! How far the files of a queue are right.

use super::Log;
use crate::message::record::Record;
use crate::store::dispatch::{LIGHT_QUEUE_PREFIX, batch_place};
use crate::store::queue::files::Probe;
use crate::store::queue::{BatchEntry, Entry, Kind, Queue};

/// Up to so many lost messages in a row, each place gets a copy of the next entry; beyond, fillers.
pub(super) const PLUGS_MAX: u64 = 64;

/// How many entries of a queue's files are right, counting only records before `below`.
///
/// Right entries come first, whatever is behind them in the files, so this is a binary search. It asks three neighbours,
/// because one record may be damaged.
pub(super) fn valid_end(queue: &Queue, log: &Log, log_min: u64, below: u64) -> u64 {
    let bounds = LogBounds {
        log,
        log_min,
        below,
    };
    match queue.kind() {
        Kind::Simple(places) => {
            let files = places.files();
            let mut probe = files.probe();
            let right = |at| simple_is_right(queue, &mut probe, &bounds, at);
            first_wrong(files.start(), files.capacity(), right)
        }
        Kind::Batch(places) => {
            let files = places.files();
            let mut probe = files.probe();
            let right = |at| {
                let batch = probe.entry(at);
                batch.is_some_and(|batch| batch_is_right(queue, &batch, &bounds))
            };
            first_wrong(files.start(), files.capacity(), right)
        }
    }
}

fn first_wrong(mut low: u64, mut high: u64, mut right: impl FnMut(u64) -> bool) -> u64 {
    while low < high {
        let middle = low + (high - low) / 2;
        if (middle..high.min(middle + 3)).any(&mut right) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// The part of the log whose records count.
struct LogBounds<'a> {
    log: &'a Log,
    log_min: u64,
    below: u64,
}

impl LogBounds<'_> {
    /// Whether the record at `log_offset` may be pointed to: it is deleted already, or `is_it` says so.
    fn admits(&self, log_offset: u64, is_it: impl Fn(&Record<'_>) -> bool) -> bool {
        if log_offset < self.log_min {
            return true;
        }
        if log_offset >= self.below {
            return false;
        }
        let Some(slice) = self.log.record_at(log_offset) else {
            return false;
        };
        Record::parse(slice.as_ref()).is_ok_and(|record| is_it(&record))
    }
}

fn simple_is_right(
    queue: &Queue,
    probe: &mut Probe<'_, Entry>,
    bounds: &LogBounds<'_>,
    at: u64,
) -> bool {
    let Some(entry) = probe.entry(at) else {
        return false;
    };
    if entry.is_filler() {
        return true;
    }
    let Some(log_offset) = u64::try_from(entry.log_offset)
        .ok()
        .filter(|_| entry.is_plausible())
    else {
        return false;
    };
    bounds.admits(log_offset, |record| {
        record.size.cast_signed() == entry.size
            && (is_light(queue)
                || (is_in(queue, record)
                    && u64::try_from(record.queue_offset).is_ok_and(|n| is_of(n, at))))
    })
}

fn batch_is_right(queue: &Queue, batch: &BatchEntry, bounds: &LogBounds<'_>) -> bool {
    let Some(log_offset) = u64::try_from(batch.entry.log_offset)
        .ok()
        .filter(|_| batch.is_plausible())
    else {
        return false;
    };
    bounds.admits(log_offset, |record| {
        record.size.cast_signed() == batch.entry.size
            && is_in(queue, record)
            && batch_place(record).is_some_and(|(base, count)| {
                base == batch.first() && base + u64::from(count) == batch.end()
            })
    })
}

fn is_in(queue: &Queue, record: &Record<'_>) -> bool {
    record.topic == queue.topic().as_str() && record.queue_id == queue.id().to_wire()
}

pub(super) fn is_light(queue: &Queue) -> bool {
    queue.topic().as_str().starts_with(LIGHT_QUEUE_PREFIX)
}

/// Whether an entry for the record with queue offset `number` may stand at `at`: at its own place, or at that of a lost
/// message before it.
fn is_of(number: u64, at: u64) -> bool {
    number
        .checked_sub(at)
        .is_some_and(|ahead| ahead <= PLUGS_MAX)
}
