//! What is still to be revived in one revive queue: the check points nobody acknowledged in full.
//!
//! This is a fold over the records of the queue, in their order: a check point opens, acknowledgements take messages
//! out of it, and it leaves when all are acknowledged or revived. Whoever reads the same records from the same place
//! arrives at the same state, which is how a restart finds it again.
//!
//! Absent on purpose: reading and writing. The caller feeds records in and does what is due.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::records::{Ack, CheckPoint, Key};

/// A check point that is open while so many records follow it holds the start of the queue back too far.
const HELD_BACK_MAX: i64 = 20_000;

/// The open check points of one revive queue.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// The next record to read.
    next: i64,
    /// By their place in the revive queue.
    open: BTreeMap<i64, CheckPoint>,
    places: HashMap<Key, i64>,
    due: BTreeSet<(i64, i64)>,
}

impl Pending {
    /// Nothing is open, and `next` is the first record to read.
    pub(crate) fn starting_at(next: i64) -> Self {
        Self {
            next,
            ..Self::default()
        }
    }

    /// The next record to read.
    pub(crate) fn next(&self) -> i64 {
        self.next
    }

    /// Everything before `next` was read.
    pub(crate) fn read_to(&mut self, next: i64) {
        self.next = self.next.max(next);
    }

    /// A check point was read at `at`. If it is an open one that was written again, returns the messages that were
    /// acknowledged in between: the new record does not know of them, so somebody has to write them down behind it.
    pub(crate) fn check_point(&mut self, at: i64, mut point: CheckPoint) -> Vec<i64> {
        let key = point.key();
        let mut unwritten = Vec::new();
        let before = self.places.get(&key).copied();
        if let Some(known) = before.and_then(|before| self.remove(before)) {
            unwritten = point.offsets_in(known.acked & !point.acked);
            point.acked |= known.acked;
        }
        if !point.is_done() {
            self.due.insert((point.revive_ms(), at));
            self.places.insert(key, at);
            self.open.insert(at, point);
        }
        unwritten
    }

    /// An acknowledgement was read. One whose check point is not open any more changes nothing.
    pub(crate) fn acknowledge(&mut self, ack: &Ack) {
        let Some(at) = self.places.get(&ack.key()).copied() else {
            return;
        };
        let Some(point) = self.open.get_mut(&at) else {
            return;
        };
        for offset in ack.offsets() {
            point.acknowledge(*offset);
        }
        if point.is_done() {
            self.remove(at);
        }
    }

    /// The check point that has waited longest of those whose messages are visible again, and its place.
    pub(crate) fn due(&self, now_ms: i64) -> Option<(i64, &CheckPoint)> {
        let (revive_ms, at) = self.due.first()?;
        if *revive_ms > now_ms {
            return None;
        }
        Some((*at, self.open.get(at)?))
    }

    /// When the next one is due.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.due.first().map(|(revive_ms, _)| *revive_ms)
    }

    /// The check point at `at` is revived.
    pub(crate) fn remove(&mut self, at: i64) -> Option<CheckPoint> {
        let point = self.open.remove(&at)?;
        self.places.remove(&point.key());
        self.due.remove(&(point.revive_ms(), at));
        Some(point)
    }

    /// A check point that should be written again, so that a restart need not read everything behind it.
    pub(crate) fn held_back(&self) -> Option<(i64, &CheckPoint)> {
        let (at, point) = self.open.first_key_value()?;
        (self.next.saturating_sub(*at) > HELD_BACK_MAX).then_some((*at, point))
    }

    /// The check point at `at` was written again, at `to`.
    pub(crate) fn moved(&mut self, at: i64, to: i64) {
        if let Some(point) = self.remove(at) {
            self.due.insert((point.revive_ms(), to));
            self.places.insert(point.key(), to);
            self.open.insert(to, point);
        }
    }

    /// The last record that nobody needs any more, nor any before it.
    pub(crate) fn finished(&self) -> i64 {
        let first_open = self.open.first_key_value().map(|(at, _)| *at);
        first_open.unwrap_or(self.next).min(self.next) - 1
    }

    /// How many check points are open.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::key;
    use super::*;

    fn point(start: i64, pop_time: i64, invisible_ms: i64) -> CheckPoint {
        let offsets = [start, start + 1];
        CheckPoint::new(key(start, pop_time), invisible_ms, &offsets, false)
    }

    #[test]
    fn check_points_leave_by_acknowledgement_or_revival() {
        let mut pending = Pending::starting_at(4);
        assert_eq!(pending.finished(), 3);
        pending.check_point(4, point(0, 100, 50));
        pending.check_point(5, point(2, 100, 10));
        pending.acknowledge(&Ack::one(key(0, 100), 0));
        pending.acknowledge(&Ack::one(key(0, 99), 1));
        pending.read_to(9);
        assert_eq!((pending.finished(), pending.next_due_ms()), (3, Some(110)));
        assert_eq!(pending.due(109), None);
        let (at, due) = pending.due(110).unwrap();
        assert_eq!((at, due.open_offsets()), (5, vec![2, 3]));
        pending.remove(5);
        let (at, due) = pending.due(150).unwrap();
        assert_eq!((at, due.open_offsets()), (4, vec![1]));
        pending.acknowledge(&Ack::several(key(0, 100), vec![0, 1, 7]));
        assert_eq!((pending.len(), pending.finished()), (0, 8));
        assert_eq!(pending.next_due_ms(), None);
    }

    #[test]
    fn a_check_point_written_again_keeps_what_was_acknowledged() {
        let mut pending = Pending::default();
        pending.check_point(0, point(0, 100, 1_000_000));
        pending.read_to(HELD_BACK_MAX);
        assert_eq!(pending.held_back(), None);
        pending.read_to(HELD_BACK_MAX + 1);
        let again = pending.held_back().unwrap().1.clone();
        pending.moved(0, HELD_BACK_MAX + 2);
        pending.acknowledge(&Ack::one(key(0, 100), 1));
        assert_eq!(pending.check_point(HELD_BACK_MAX + 2, again), [1]);
        pending.read_to(HELD_BACK_MAX + 3);
        assert_eq!(pending.finished(), HELD_BACK_MAX + 1);
        let (_, due) = pending.due(i64::MAX).unwrap();
        assert_eq!(due.open_offsets(), [0]);
        assert_eq!(pending.len(), 1);
    }

    #[test]
    fn finished_check_points_never_open() {
        let mut pending = Pending::default();
        let mut done = point(0, 100, 5);
        done.acknowledge(0);
        done.acknowledge(1);
        assert!(pending.check_point(0, done).is_empty());
        assert_eq!(pending.len(), 0);
    }
}
