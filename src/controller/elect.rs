//! Who becomes master: Apache's `DefaultElectPolicy`.
//!
//! Replicas in sync come first; the others count only where the configuration allows a master that may lack acknowledged
//! messages. Among those alive the longest history wins: newest epoch, longest log, then the configured priority.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A replica that is heard from, with what it last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Candidate {
    /// Its id with the controller.
    pub(crate) id: i64,
    /// The newest epoch of its log; -1 if it told none.
    pub(crate) epoch: i32,
    /// The end of its log; -1 if it told none.
    pub(crate) max_offset: i64,
    /// The smaller, the rather.
    pub(crate) priority: i32,
}

/// What an election is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ballot<'a> {
    /// The replicas in sync.
    pub(super) in_sync: &'a BTreeSet<i64>,
    /// Every replica, if one that is not in sync may become master.
    pub(super) all: Option<&'a BTreeSet<i64>>,
    /// The master so far.
    pub(super) master: Option<i64>,
    /// The only one that will do, if somebody named it.
    pub(super) designated: Option<i64>,
    /// Who is alive.
    pub(super) alive: &'a [Candidate],
}

impl Ballot<'_> {
    /// The master from now on, perhaps the one there is.
    pub(super) fn elect(&self) -> Option<i64> {
        self.elect_from(self.in_sync)
            .or_else(|| self.elect_from(self.all?))
    }

    fn elect_from(&self, replicas: &BTreeSet<i64>) -> Option<i64> {
        let eligible = || self.alive.iter().filter(|one| replicas.contains(&one.id));
        let is_eligible = |id: i64| eligible().any(|one| one.id == id);
        if let Some(designated) = self.designated {
            return Some(designated).filter(|id| is_eligible(*id));
        }
        if let Some(master) = self.master.filter(|id| is_eligible(*id)) {
            return Some(master);
        }
        eligible()
            .min_by_key(|one| (Reverse((one.epoch, one.max_offset)), one.priority, one.id))
            .map(|one| one.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: i64, epoch: i32, max_offset: i64, priority: i32) -> Candidate {
        Candidate {
            id,
            epoch,
            max_offset,
            priority,
        }
    }

    fn ballot<'a>(in_sync: &'a BTreeSet<i64>, alive: &'a [Candidate]) -> Ballot<'a> {
        Ballot {
            in_sync,
            all: None,
            master: None,
            designated: None,
            alive,
        }
    }

    #[test]
    fn the_longest_history_in_sync_wins() {
        let in_sync = BTreeSet::from([1, 2, 3]);
        let by_epoch = [candidate(1, 2, 900, 1), candidate(2, 3, 10, 9)];
        assert_eq!(ballot(&in_sync, &by_epoch).elect(), Some(2));
        let by_offset = [candidate(1, 3, 900, 9), candidate(2, 3, 10, 1)];
        assert_eq!(ballot(&in_sync, &by_offset).elect(), Some(1));
        let by_priority = [candidate(1, 3, 10, 9), candidate(3, 3, 10, 1)];
        assert_eq!(ballot(&in_sync, &by_priority).elect(), Some(3));
        let outsider = [candidate(4, 9, 9999, 0), candidate(1, 1, 1, 1)];
        assert_eq!(ballot(&in_sync, &outsider).elect(), Some(1));
    }

    #[test]
    fn a_living_master_stays_unless_another_is_named() {
        let in_sync = BTreeSet::from([1, 2]);
        let alive = [candidate(1, 1, 1, 1), candidate(2, 9, 9, 1)];
        let mut ballot = ballot(&in_sync, &alive);
        ballot.master = Some(1);
        assert_eq!(ballot.elect(), Some(1));
        ballot.designated = Some(2);
        assert_eq!(ballot.elect(), Some(2));
        ballot.designated = Some(3);
        assert_eq!(ballot.elect(), None, "nobody instead of the one named");
    }

    #[test]
    fn who_is_not_in_sync_counts_only_where_that_is_allowed() {
        let (in_sync, all) = (BTreeSet::from([1]), BTreeSet::from([1, 2]));
        let alive = [candidate(2, 5, 5, 1)];
        let mut ballot = ballot(&in_sync, &alive);
        assert_eq!(ballot.elect(), None);
        ballot.all = Some(&all);
        assert_eq!(ballot.elect(), Some(2));
        ballot.alive = &[];
        assert_eq!(ballot.elect(), None);
    }
}
