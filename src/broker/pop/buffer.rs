//! Check points that are kept in memory for a while, in the hope that they need never be stored
//! (`enablePopBufferMerge`).
//!
//! Messages that are acknowledged soon leave no trace in the log. A group's offset in a queue moves only past messages
//! that are acknowledged or whose check point is stored: what a crash wipes out here is popped again.
//!
//! Storing a check point takes two calls with the append between them, so that the table is not locked while the disk
//! is written; acknowledgements that arrive in between are given out by the second call.
//!
//! Lock order: leaf (the module above wraps the table). Who moves offsets holds the queue's gate.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::order::Place;
use super::records::{CheckPoint, Key};

/// How long a check point may stay, and how many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// It is stored when it was kept for so long (`popCkStayBufferTime`).
    pub(crate) stay_ms: i64,
    /// It is stored when its messages become visible in less than this (`popCkStayBufferTimeOut`).
    pub(crate) before_visible_ms: i64,
    /// Most check points (`popCkMaxBufferSize`).
    pub(crate) points_max: usize,
    /// Most of one queue (`popCkOffsetMaxQueueSize`).
    pub(crate) queue_max: usize,
}

/// More than this must be left of the invisible time for the buffer to make sense.
const WORTH_IT_MS: i64 = 1_500;

/// A part of a queue that was handed out.
#[derive(Debug)]
struct Step {
    id: u64,
    next: i64,
    done: bool,
}

#[derive(Debug)]
struct Buffered {
    point: CheckPoint,
    place: Place,
    revive_queue: i32,
    step: u64,
    store_ms: i64,
    /// What was acknowledged when storing began.
    storing: Option<i32>,
}

/// A group's offset that can move.
pub(crate) type Move = (Place, i64);

/// What became of an acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Acknowledged {
    /// Its check point is not in memory (any more).
    Elsewhere,
    /// It is noted, and the group's offset may move.
    Here(Option<Move>),
}

/// The check points in memory.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    steps: HashMap<Place, VecDeque<Step>>,
    points: HashMap<Key, Buffered>,
    deadlines: BTreeSet<(i64, Key)>,
    next_id: u64,
}

impl Buffer {
    /// Up to where the queue was handed out, if that is further than the group's offset.
    pub(crate) fn handed_out(&self, place: &Place) -> Option<i64> {
        Some(self.steps.get(place)?.back()?.next)
    }

    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.points.is_empty() && self.steps.is_empty()
    }

    /// Keeps a check point; `false` if it has to be stored at once instead.
    pub(crate) fn add(
        &mut self,
        point: &CheckPoint,
        revive_queue: i32,
        next: i64,
        (rules, now_ms): (Rules, i64),
    ) -> bool {
        let place = place_of(point);
        let store_ms = now_ms
            .saturating_add(rules.stay_ms)
            .min(point.revive_ms().saturating_sub(rules.before_visible_ms));
        let steps = self.steps.get(&place).map_or(0, VecDeque::len);
        let key = point.key();
        let refused = store_ms.saturating_sub(now_ms) < WORTH_IT_MS
            || self.points.len() >= rules.points_max
            || steps >= rules.queue_max
            || self.points.contains_key(&key);
        if refused {
            return false;
        }
        let step = self.step(&place, next, false);
        self.deadlines.insert((store_ms, key.clone()));
        let buffered = Buffered {
            point: point.clone(),
            place,
            revive_queue,
            step,
            store_ms,
            storing: None,
        };
        self.points.insert(key, buffered);
        true
    }

    fn step(&mut self, place: &Place, next: i64, done: bool) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        let steps = self.steps.entry(place.clone()).or_default();
        steps.push_back(Step { id, next, done });
        id
    }

    /// A part of the queue needs no check point here. Returns the offset if it can move at once.
    pub(crate) fn pass(&mut self, place: &Place, next: i64) -> Option<i64> {
        if !self.steps.contains_key(place) {
            return Some(next);
        }
        self.step(place, next, true);
        None
    }

    /// Takes messages out of a check point.
    pub(crate) fn acknowledge(&mut self, key: &Key, offsets: &[i64]) -> Acknowledged {
        let Some(buffered) = self.points.get_mut(key) else {
            return Acknowledged::Elsewhere;
        };
        for offset in offsets {
            buffered.point.acknowledge(*offset);
        }
        if buffered.point.is_done() && buffered.storing.is_none() {
            return Acknowledged::Here(self.finish(key));
        }
        Acknowledged::Here(None)
    }

    fn finish(&mut self, key: &Key) -> Option<Move> {
        let gone = self.points.remove(key)?;
        self.deadlines.remove(&(gone.store_ms, key.clone()));
        let steps = self.steps.get_mut(&gone.place)?;
        if let Some(step) = steps.iter_mut().find(|step| step.id == gone.step) {
            step.done = true;
        }
        let mut moved = None;
        while steps.front().is_some_and(|step| step.done) {
            moved = steps.pop_front().map(|step| step.next);
        }
        if steps.is_empty() {
            self.steps.remove(&gone.place);
        }
        Some((gone.place, moved?))
    }

    /// The check points that have to be stored now.
    pub(crate) fn due(&self, now_ms: i64) -> Vec<Key> {
        let due = self.deadlines.iter();
        due.take_while(|(store_ms, _)| *store_ms <= now_ms)
            .map(|(_, key)| key.clone())
            .collect()
    }

    /// When the next one has to be stored.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.deadlines.first().map(|(store_ms, _)| *store_ms)
    }

    /// Begins to store a check point: what to write, and where.
    pub(crate) fn begin_store(&mut self, key: &Key) -> Option<(CheckPoint, i32)> {
        let buffered = self.points.get_mut(key)?;
        buffered.storing = Some(buffered.point.acked);
        Some((buffered.point.clone(), buffered.revive_queue))
    }

    /// The check point is stored. Returns what was acknowledged meanwhile, and the offset that can move.
    pub(crate) fn end_store(&mut self, key: &Key) -> (Vec<i64>, Option<Move>) {
        let Some(buffered) = self.points.get(key) else {
            return (Vec::new(), None);
        };
        let written = buffered.storing.unwrap_or(0);
        let late = buffered.point.offsets_in(buffered.point.acked & !written);
        (late, self.finish(key))
    }

    /// The check point could not be stored; it is tried again at `again_ms`.
    pub(crate) fn fail_store(&mut self, key: &Key, again_ms: i64) {
        if let Some(buffered) = self.points.get_mut(key) {
            buffered.storing = None;
            self.deadlines.remove(&(buffered.store_ms, key.clone()));
            buffered.store_ms = again_ms;
            self.deadlines.insert((again_ms, key.clone()));
        }
    }

    /// Forgets how far a queue was handed out, because an administrator moved the group's offset. Its check points stay.
    pub(crate) fn clear(&mut self, place: &Place) {
        self.steps.remove(place);
    }

    /// Whether a check point is here.
    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.points.contains_key(key)
    }

    /// How many check points there are.
    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }
}

fn place_of(point: &CheckPoint) -> Place {
    Place {
        topic: point.topic.clone(),
        group: point.group.clone(),
        queue_id: point.queue_id,
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::key;
    use super::*;

    const RULES: Rules = Rules {
        stay_ms: 10_000,
        before_visible_ms: 3_000,
        points_max: 3,
        queue_max: 3,
    };

    fn point(start: i64, invisible_ms: i64) -> CheckPoint {
        CheckPoint::new(key(start, 100), invisible_ms, &[start, start + 1], false)
    }

    fn add(buffer: &mut Buffer, start: i64, invisible_ms: i64) -> bool {
        buffer.add(&point(start, invisible_ms), 4, start + 2, (RULES, 100))
    }

    fn place() -> Place {
        place_of(&point(0, 0))
    }

    #[test]
    fn an_offset_moves_past_what_is_acknowledged_in_order() {
        let mut buffer = Buffer::default();
        assert!(add(&mut buffer, 0, 60_000));
        assert!(add(&mut buffer, 2, 60_000));
        assert_eq!(buffer.pass(&place(), 9), None);
        assert_eq!(buffer.handed_out(&place()), Some(9));
        assert_eq!(
            buffer.acknowledge(&key(7, 100), &[7]),
            Acknowledged::Elsewhere
        );
        assert_eq!(
            buffer.acknowledge(&key(2, 100), &[2, 3]),
            Acknowledged::Here(None)
        );
        assert_eq!(
            buffer.acknowledge(&key(0, 100), &[1]),
            Acknowledged::Here(None)
        );
        assert_eq!(
            buffer.acknowledge(&key(0, 100), &[0]),
            Acknowledged::Here(Some((place(), 9)))
        );
        assert!(buffer.is_empty());
        assert_eq!(buffer.next_due_ms(), None);
        assert_eq!(buffer.pass(&place(), 11), Some(11));
    }

    #[test]
    fn storing_loses_no_acknowledgement() {
        let mut buffer = Buffer::default();
        assert!(add(&mut buffer, 0, 60_000));
        assert!(add(&mut buffer, 2, 8_000));
        assert_eq!(buffer.next_due_ms(), Some(5_100));
        assert_eq!(buffer.due(5_099), []);
        assert_eq!(buffer.due(5_100), [key(2, 100)]);
        buffer.acknowledge(&key(2, 100), &[2]);
        let (stored, revive_queue) = buffer.begin_store(&key(2, 100)).unwrap();
        assert_eq!((stored.acked, revive_queue), (1, 4));
        assert_eq!(
            buffer.acknowledge(&key(2, 100), &[3]),
            Acknowledged::Here(None)
        );
        assert_eq!(buffer.end_store(&key(2, 100)), (vec![3], None));
        assert_eq!(
            buffer.acknowledge(&key(2, 100), &[3]),
            Acknowledged::Elsewhere
        );
        buffer.begin_store(&key(0, 100)).unwrap();
        buffer.fail_store(&key(0, 100), 77);
        assert_eq!(buffer.due(77), [key(0, 100)]);
        assert_eq!(buffer.end_store(&key(0, 100)), (vec![], Some((place(), 4))));
        assert!(buffer.is_empty());
    }

    #[test]
    fn what_is_too_short_or_too_much_is_refused() {
        let mut buffer = Buffer::default();
        assert!(!add(&mut buffer, 0, 4_499));
        assert!(add(&mut buffer, 0, 4_500));
        assert!(!add(&mut buffer, 0, 60_000));
        assert!(add(&mut buffer, 2, i64::MAX));
        assert!(add(&mut buffer, 4, 60_000));
        assert!(!add(&mut buffer, 6, 60_000));
        buffer.clear(&place());
        assert_eq!(buffer.handed_out(&place()), None);
        assert_eq!(buffer.len(), 3);
        let (late, moved) = buffer.end_store(&key(2, 100));
        assert_eq!((late, moved), (vec![], None));
    }
}
