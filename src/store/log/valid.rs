//! How far the files of a queue are right.

use std::sync::Arc;

use super::Log;
use crate::message::record::Record;
use crate::store::dispatch::{LIGHT_QUEUE_PREFIX, batch_place};
use crate::store::queue::files::Files;
use crate::store::queue::places::Unit;
use crate::store::queue::table::QueueTable;
use crate::store::queue::{BatchEntry, Entry, Kind, Queue};

/// Up to so many lost messages in a row, each place gets a copy of the next entry; beyond, fillers.
pub(super) const PLUGS_MAX: u64 = 64;

/// The right entries of a queue's files.
pub(super) struct Valid {
    /// The place behind the last of them.
    pub(super) end: u64,
    /// The last of them.
    pub(super) newest: Option<Entry>,
    /// Whether anything was written at `end`.
    pub(super) is_followed: bool,
}

impl Valid {
    /// Where in the log the newest record of the queue begins, if it is there.
    pub(super) fn newest_in(&self, log_min: u64) -> Option<u64> {
        let newest = self.newest.filter(Entry::is_plausible)?;
        let at = u64::try_from(newest.log_offset).ok();
        at.filter(|&at| at >= log_min)
    }
}

/// What is right of every queue, counting only records from `log_min` to `below`.
pub(super) fn valid_queues(
    log: &Log,
    queues: &QueueTable,
    bounds: (u64, u64),
) -> Vec<(Arc<Queue>, Valid)> {
    let queues = queues.all().into_iter();
    let valid = queues.map(|queue| {
        let valid = valid(&queue, log, bounds);
        (queue, valid)
    });
    valid.collect()
}

/// What is right of a queue's files, counting only records before `below`, and those that were deleted below `log_min`.
///
/// Right entries come first, whatever is behind them in the files, so this is a binary search; it begins where the files
/// seem to end. It asks three neighbours, because one record may be damaged.
pub(super) fn valid(queue: &Queue, log: &Log, (log_min, below): (u64, u64)) -> Valid {
    let bounds = LogBounds {
        log,
        log_min,
        below,
    };
    match queue.kind() {
        Kind::Simple(places) => valid_in(places.files(), |at, entry| {
            simple_is_right(queue, entry, &bounds, at)
        }),
        Kind::Batch(places) => valid_in(places.files(), |_, batch| {
            batch_is_right(queue, batch, &bounds)
        }),
    }
}

fn valid_in<U: Unit>(files: &Files<U>, is_right: impl Fn(u64, &U) -> bool) -> Valid {
    let mut probe = files.probe();
    let written = probe.written();
    let right = |at| probe.entry(at).is_some_and(|unit| is_right(at, &unit));
    let end = first_wrong(files.start(), files.capacity(), written, right);
    let mut pointer = |at| probe.entry(at).map(|unit| unit.pointer());
    Valid {
        end,
        newest: end.checked_sub(1).and_then(&mut pointer),
        is_followed: pointer(end).is_some_and(|next| !next.is_unwritten()),
    }
}

/// The first place from `low` to `high` where neither it nor its two neighbours are right; it is near `guess`, mostly.
fn first_wrong(mut low: u64, mut high: u64, guess: u64, mut right: impl FnMut(u64) -> bool) -> u64 {
    let end = high;
    let mut is_right = |at: u64| (at..end.min(at + 3)).any(&mut right);
    let guess = guess.clamp(low, high);
    if guess == low || is_right(guess - 1) {
        low = guess;
        if guess < high && !is_right(guess) {
            return guess;
        }
    } else {
        high = guess - 1;
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if is_right(middle) {
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

fn simple_is_right(queue: &Queue, entry: &Entry, bounds: &LogBounds<'_>, at: u64) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_wherever_the_search_begins() {
        for (end, guess) in (0..40).flat_map(|end| (0..45).map(move |guess| (end, guess))) {
            let found = first_wrong(3, 38, guess, |at| at < end);
            assert_eq!(found, end.clamp(3, 38), "{end}, from {guess}");
        }
    }

    #[test]
    fn a_good_guess_costs_nothing() {
        let mut asked = 0;
        let right = |at| {
            asked += 1;
            at < 1_000
        };
        assert_eq!(first_wrong(0, 300_000, 1_000, right), 1_000);
        assert_eq!(asked, 4);
    }
}
