//! The sync state set of a master: who must have a message before it is committed (`AutoSwitchHAService`).
//!
//! A plain struct. The set a controller has confirmed is never the whole truth: what was asked of the controller and not
//! answered may count there already, and then one of the brokers asked for may be elected. So a message is committed only
//! when the confirmed set *and* everybody in the sets asked for have it. A question that was answered with a refusal asks
//! no more; one without an answer does so until the controller tells of a newer set, or is heard to know nothing of it
//! long after it could have arrived.
//!
//! In majority mode the set is not made smaller than a majority: fewer could not commit anyway, and who is in the set can
//! be elected.

use std::collections::{BTreeMap, BTreeSet};

/// A slave without a connection leaves the set after this.
const GONE_MS: i64 = 1_000;
/// A question is not on its way for longer.
const ON_ITS_WAY_MS: i64 = 15_000;

/// A slave as its master sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: i64,
    /// How far it has reported to be.
    pub(crate) acked: u64,
    /// When it last had everything, ms since 1970.
    pub(crate) caught_up_ms: i64,
    /// It never counts.
    pub(crate) learner: bool,
}

/// What a master knows when it looks at its set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) now_ms: i64,
    /// The end of its log.
    pub(crate) end: u64,
    /// Where its epoch began.
    pub(crate) epoch_start: u64,
    /// How long a slave may be behind.
    pub(crate) patience_ms: i64,
    /// How many the set is to keep, the master included.
    pub(crate) floor: usize,
}

/// The set as the controller told it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Confirmed {
    /// Grows with every change of the set.
    pub(crate) number: i32,
    /// Ids, the master's among them.
    pub(crate) members: BTreeSet<i64>,
}

/// The set of one master in one epoch.
#[derive(Debug, Default)]
pub(crate) struct SyncSet {
    own: i64,
    confirmed: Option<Confirmed>,
    confirmed_ms: i64,
    /// What is being asked for.
    asking: BTreeSet<i64>,
    /// What was asked for and never answered, and when last.
    doubtful: BTreeSet<i64>,
    doubtful_ms: i64,
    /// The highest position that may have been committed.
    committing: u64,
    /// Members without a connection, since when.
    gone: BTreeMap<i64, i64>,
}

impl SyncSet {
    /// A set before the controller's first word. `before` is the union an earlier run of this master in this epoch left.
    pub(crate) fn new(own: i64, before: BTreeSet<i64>, now_ms: i64) -> Self {
        Self {
            own,
            doubtful: before,
            doubtful_ms: now_ms,
            ..Self::default()
        }
    }

    /// The master's own id, once it is known.
    pub(crate) fn own(&self) -> i64 {
        self.own
    }

    /// The controller has told which id is the master's own.
    pub(crate) fn set_own(&mut self, own: i64) {
        self.own = own;
    }

    /// The set as the controller told it last.
    pub(crate) fn confirmed(&self) -> Option<&Confirmed> {
        self.confirmed.as_ref()
    }

    /// Whether a broker is in the set the controller knows.
    pub(crate) fn has(&self, id: i64) -> bool {
        self.confirmed
            .as_ref()
            .is_some_and(|confirmed| confirmed.members.contains(&id))
    }

    /// Everybody who may be elected.
    pub(crate) fn union(&self) -> BTreeSet<i64> {
        let confirmed = self.confirmed.iter().flat_map(|set| &set.members);
        let asked = self.asking.iter().chain(&self.doubtful);
        confirmed.chain(asked).copied().collect()
    }

    /// The controller's word, to a question sent at `asked_ms`. True if the set is another one now.
    pub(crate) fn told(&mut self, told: Confirmed, asked_ms: i64, now_ms: i64) -> bool {
        let known = self.confirmed.as_ref().map_or(i32::MIN, |set| set.number);
        if told.number < known {
            return false;
        }
        if told.number == known {
            if asked_ms.saturating_sub(self.doubtful_ms) > ON_ITS_WAY_MS {
                self.doubtful.clear();
            }
            return false;
        }
        // What an earlier run asked for stays in doubt until it is clear which set that run knew.
        if self.confirmed.is_some() {
            self.doubtful.clear();
        }
        self.asking.clear();
        self.gone.clear();
        self.confirmed = Some(told);
        self.confirmed_ms = now_ms;
        true
    }

    /// Nothing an earlier run asked for counts: the controller's set is newer than any that run knew.
    pub(crate) fn settle(&mut self) {
        self.doubtful.clear();
    }

    /// Which set to ask for, if another one than the controller's. From here on everybody in it counts.
    pub(crate) fn ask(&mut self, view: View, slaves: &[Seen]) -> Option<BTreeSet<i64>> {
        let confirmed = self.confirmed.clone()?;
        let mut wanted = confirmed.members.clone();
        self.gone
            .retain(|id, _| wanted.contains(id) && !slaves.iter().any(|slave| slave.id == *id));
        let mut leaving = Vec::new();
        for id in confirmed.members.iter().filter(|id| **id != self.own) {
            let since = match slaves.iter().find(|slave| slave.id == *id) {
                None => (*self.gone.entry(*id).or_insert(view.now_ms), GONE_MS),
                Some(slave) if slave.acked >= view.end => continue,
                Some(slave) => (slave.caught_up_ms.max(self.confirmed_ms), view.patience_ms),
            };
            if view.now_ms.saturating_sub(since.0) > since.1 {
                leaving.push((since.0, *id));
            }
        }
        let far_enough = self.committing.max(view.epoch_start);
        let comes = |slave: &&Seen| {
            !slave.learner && slave.acked >= far_enough && !confirmed.members.contains(&slave.id)
        };
        wanted.extend(slaves.iter().filter(comes).map(|slave| slave.id));
        // After those who come: in a set as small as it may be, they make room for who is lost.
        leaving.sort_unstable();
        for (_, id) in leaving {
            if wanted.len() > view.floor {
                wanted.remove(&id);
            }
        }
        if wanted == confirmed.members {
            return None;
        }
        self.asking.clone_from(&wanted);
        Some(wanted)
    }

    /// Whether a slave that is not in the set could be.
    pub(crate) fn misses(&self, epoch_start: u64, slave: &Seen) -> bool {
        let far_enough = self.committing.max(epoch_start);
        let known = self.confirmed.is_some() && !self.has(slave.id);
        known && !slave.learner && slave.acked >= far_enough
    }

    /// The controller refused what was asked for.
    pub(crate) fn refused(&mut self) {
        self.asking.clear();
    }

    /// Nobody knows what became of the question.
    pub(crate) fn unanswered(&mut self, now_ms: i64) {
        self.doubtful.append(&mut self.asking);
        self.doubtful_ms = now_ms;
    }

    /// How far the log is committed: everybody in the set has it. `None` if nobody can say, because the controller has not
    /// spoken yet or one of the set is not connected, or if the set is smaller than `least`.
    pub(crate) fn reach(
        &mut self,
        own_end: u64,
        least: usize,
        acked: impl Fn(i64) -> Option<u64>,
    ) -> Option<u64> {
        let confirmed = self.confirmed.as_ref()?;
        if confirmed.members.len() < least || !confirmed.members.contains(&self.own) {
            return None;
        }
        let everybody = confirmed
            .members
            .iter()
            .chain(&self.asking)
            .chain(&self.doubtful);
        let mut reached = own_end;
        for id in everybody.filter(|id| **id != self.own) {
            reached = reached.min(acked(*id)?);
        }
        self.committing = self.committing.max(reached);
        Some(reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(members: &[i64]) -> BTreeSet<i64> {
        members.iter().copied().collect()
    }

    fn confirmed(number: i32, members: &[i64]) -> Confirmed {
        let members = set(members);
        Confirmed { number, members }
    }

    fn view(now_ms: i64, end: u64) -> View {
        View {
            now_ms,
            end,
            epoch_start: 100,
            patience_ms: 3_000,
            floor: 1,
        }
    }

    fn seen(id: i64, acked: u64, caught_up_ms: i64) -> Seen {
        Seen {
            id,
            acked,
            caught_up_ms,
            learner: false,
        }
    }

    fn told(members: &[i64]) -> SyncSet {
        let mut known = SyncSet::new(1, BTreeSet::new(), 0);
        assert!(known.told(confirmed(5, members), 0, 0));
        known
    }

    #[test]
    fn nothing_counts_before_the_controller_has_spoken() {
        let mut known = SyncSet::new(1, BTreeSet::new(), 0);
        assert_eq!(known.reach(900, 1, |_| None), None);
        assert_eq!(known.ask(view(9_000, 900), &[seen(2, 900, 0)]), None);
        known.told(confirmed(1, &[1]), 0, 0);
        assert_eq!(known.reach(900, 1, |_| None), Some(900));
        assert_eq!(known.reach(900, 2, |_| None), None, "no majority");
    }

    #[test]
    fn everybody_in_the_set_must_have_it() {
        let mut known = told(&[1, 2, 3]);
        let acked = |id| (id == 2).then_some(700);
        assert_eq!(known.reach(900, 2, acked), None, "3 is not connected");
        assert_eq!(
            known.reach(900, 2, |id| Some(if id == 3 { 500 } else { 700 })),
            Some(500)
        );
        let mut other = told(&[2, 3]);
        assert_eq!(other.reach(900, 1, |_| Some(900)), None, "not in the set");
    }

    #[test]
    fn a_slave_that_caught_up_counts_from_the_question_on() {
        let mut known = told(&[1]);
        assert_eq!(known.reach(900, 1, |_| None), Some(900));
        assert_eq!(known.ask(view(10, 950), &[seen(2, 899, 0)]), None);
        assert!(known.misses(100, &seen(2, 900, 0)));
        let wanted = known.ask(view(10, 950), &[seen(2, 920, 0)]);
        assert_eq!(wanted, Some(set(&[1, 2])));
        assert_eq!(known.reach(950, 1, |_| Some(920)), Some(920));
        // The answer is lost: the controller may know the larger set.
        known.unanswered(20);
        assert_eq!(known.reach(980, 1, |_| Some(930)), Some(930));
        assert_eq!(known.reach(980, 1, |_| None), None);
        assert!(!known.told(confirmed(5, &[1]), 30, 30));
        assert_eq!(known.reach(980, 1, |_| None), None);
        // Long after it could have arrived the controller knows nothing of it.
        known.told(confirmed(5, &[1]), 20 + ON_ITS_WAY_MS + 1, 40_000);
        assert_eq!(known.reach(980, 1, |_| None), Some(980));
    }

    #[test]
    fn a_refused_question_asks_no_more_and_a_newer_set_answers_all() {
        let mut known = told(&[1]);
        known.ask(view(10, 950), &[seen(2, 920, 0)]).unwrap();
        known.refused();
        assert_eq!(known.union(), set(&[1]));
        known.ask(view(10, 950), &[seen(2, 920, 0)]).unwrap();
        known.unanswered(11);
        assert!(known.told(confirmed(6, &[1, 3]), 12, 12));
        assert_eq!(known.union(), set(&[1, 3]));
        assert!(
            !known.told(confirmed(5, &[1]), 13, 13),
            "older news are none"
        );
        assert_eq!(known.union(), set(&[1, 3]));
    }

    #[test]
    fn who_is_gone_or_too_slow_leaves() {
        let mut known = told(&[1, 2, 3]);
        let slaves = [seen(2, 950, 0), seen(3, 940, 2_000)];
        // 2 has all; 3 had all not long ago.
        assert_eq!(known.ask(view(4_000, 950), &slaves), None);
        assert_eq!(known.ask(view(5_001, 950), &slaves), Some(set(&[1, 2])));
        known.refused();
        // A connection that is gone is missed for a while.
        assert_eq!(known.ask(view(4_000, 950), &slaves[1..]), None);
        assert_eq!(
            known.ask(view(5_001, 950), &[seen(3, 950, 0)]),
            Some(set(&[1, 3]))
        );
        known.refused();
        // Whoever is back in time was never gone.
        assert_eq!(
            known.ask(view(5_500, 950), &[slaves[0], seen(3, 950, 0)]),
            None
        );
        assert_eq!(known.ask(view(6_000, 950), &[seen(3, 950, 0)]), None);
    }

    #[test]
    fn a_majority_stays() {
        let mut known = told(&[1, 2, 3]);
        let floor = |now_ms| View {
            floor: 2,
            ..view(now_ms, 950)
        };
        assert_eq!(known.ask(floor(10), &[seen(3, 950, 0)]), None);
        assert_eq!(known.ask(floor(500), &[]), None);
        // 2 is gone for longer.
        assert_eq!(known.ask(floor(9_000), &[]), Some(set(&[1, 3])));
        known.told(confirmed(6, &[1, 3]), 9_000, 9_000);
        assert_eq!(known.ask(floor(20_000), &[]), None);
        assert_eq!(known.ask(floor(40_000), &[]), None);
    }

    #[test]
    fn who_comes_makes_room_for_who_is_lost() {
        let mut known = told(&[1, 2]);
        let floor = View {
            floor: 2,
            ..view(9_000, 950)
        };
        let lost = seen(2, 920, 0);
        assert_eq!(known.ask(floor, &[lost]), None);
        assert_eq!(
            known.ask(floor, &[lost, seen(3, 940, 8_000)]),
            Some(set(&[1, 3]))
        );
    }

    #[test]
    fn learners_never_count() {
        let mut known = told(&[1]);
        let learner = Seen {
            learner: true,
            ..seen(2, 950, 0)
        };
        assert_eq!(known.ask(view(10, 950), &[learner]), None);
        assert!(!known.misses(0, &learner));
    }

    #[test]
    fn what_an_earlier_run_asked_for_stays_in_doubt() {
        let mut known = SyncSet::new(1, set(&[1, 2, 3]), 0);
        known.told(confirmed(5, &[1, 2]), 0, 0);
        assert_eq!(known.reach(900, 2, |id| (id == 2).then_some(900)), None);
        known.settle();
        assert_eq!(
            known.reach(900, 2, |id| (id == 2).then_some(900)),
            Some(900)
        );
    }
}
