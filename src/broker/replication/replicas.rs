//! The slaves of a master and how far each has got.
//!
//! A plain table: connections come and go, reports move positions, and [`Replicas::reached`] says how far the log is
//! safe. A slave that connects again under the same id takes the place of its old connection, so that nobody counts
//! twice.
//!
//! Lock order: leaf (replication wraps the table in one mutex).

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Who must have a message before it counts as replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quorum {
    /// So many slaves.
    Slaves(usize),
    /// Every slave that is in sync (`allAckInSyncStateSet`).
    AllInSync,
}

/// One slave's connection.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    pub(crate) peer: SocketAddr,
    /// Known where the protocol tells it.
    pub(crate) broker_id: Option<i64>,
    /// Never counts as having a message (`asyncLearner`).
    pub(crate) learner: bool,
    /// How far it has reported to be.
    pub(crate) acked: u64,
    /// How far its log was sent.
    pub(crate) sent: u64,
    /// Bytes sent in all.
    pub(crate) transferred: u64,
    pub(crate) since_ms: i64,
    /// When it last had everything the master had, ms since 1970; 0 for never.
    pub(crate) caught_up_ms: i64,
    /// Where the master's log ended at some time, and when: once the slave has that, it had everything then.
    pub(crate) mark: (u64, i64),
}

impl Replica {
    /// Notes whether it has everything, or had. Under load it never has the last message; what there was a moment ago it has.
    fn look(&mut self, log_end: u64, now_ms: i64) {
        let (end, at_ms) = self.mark;
        if self.acked >= log_end {
            self.caught_up_ms = now_ms;
            self.mark = (log_end, now_ms);
        } else if self.acked >= end {
            self.caught_up_ms = self.caught_up_ms.max(at_ms);
            self.mark = (log_end, now_ms);
        }
    }
}

/// All connected slaves, by connection.
#[derive(Debug, Default)]
pub(crate) struct Replicas {
    table: BTreeMap<u64, Replica>,
}

impl Replicas {
    /// Adds a connection; says which one it takes the place of.
    pub(crate) fn join(&mut self, connection: u64, replica: Replica) -> Option<u64> {
        let same =
            |known: &Replica| known.broker_id.is_some() && known.broker_id == replica.broker_id;
        let old = self.table.iter().find(|(_, known)| same(known));
        let old = old.map(|(old, _)| *old);
        if let Some(old) = old {
            self.table.remove(&old);
        }
        self.table.insert(connection, replica);
        old
    }

    /// Takes a connection out.
    pub(crate) fn leave(&mut self, connection: u64) {
        self.table.remove(&connection);
    }

    /// Whether a connection is still the slave's newest.
    pub(crate) fn is_current(&self, connection: u64) -> bool {
        self.table.contains_key(&connection)
    }

    /// A slave reports its position. Positions only move forward within a connection.
    pub(crate) fn acked(&mut self, connection: u64, at: u64, log_end: u64, now_ms: i64) {
        if let Some(replica) = self.table.get_mut(&connection) {
            replica.acked = replica.acked.max(at);
            replica.look(log_end, now_ms);
        }
    }

    /// Looks how far each is, and gives a copy.
    pub(crate) fn seen(&mut self, log_end: u64, now_ms: i64) -> Vec<Replica> {
        for replica in self.table.values_mut() {
            replica.look(log_end, now_ms);
        }
        self.all()
    }

    /// A stretch was sent that ends at `until`.
    pub(crate) fn sent(&mut self, connection: u64, until: u64, bytes: u64) {
        if let Some(replica) = self.table.get_mut(&connection) {
            replica.sent = until;
            replica.transferred = replica.transferred.saturating_add(bytes);
        }
    }

    /// How many slaves are less than `gap_max` bytes behind `log_end`.
    pub(crate) fn in_sync(&self, log_end: u64, gap_max: u64) -> usize {
        let near = |replica: &&Replica| {
            !replica.learner && log_end.saturating_sub(replica.acked) < gap_max
        };
        self.table.values().filter(near).count()
    }

    /// How far the log is replicated, as `quorum` asks. `log_end` where nobody needs to be asked.
    pub(crate) fn reached(&self, quorum: Quorum, log_end: u64, gap_max: u64) -> u64 {
        let voters = self.table.values().filter(|replica| !replica.learner);
        match quorum {
            Quorum::Slaves(0) => log_end,
            Quorum::Slaves(count) => {
                let mut acked: Vec<_> = voters.map(|replica| replica.acked).collect();
                acked.sort_unstable_by(|a, b| b.cmp(a));
                acked.get(count - 1).copied().unwrap_or(0)
            }
            Quorum::AllInSync => voters
                .map(|replica| replica.acked)
                .filter(|acked| log_end.saturating_sub(*acked) < gap_max)
                .min()
                .unwrap_or(log_end),
        }
    }

    /// A copy, in the order the slaves came.
    pub(crate) fn all(&self) -> Vec<Replica> {
        self.table.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(id: Option<i64>) -> Replica {
        Replica {
            peer: ([127, 0, 0, 1], 1).into(),
            broker_id: id,
            learner: false,
            acked: 0,
            sent: 0,
            transferred: 0,
            since_ms: 0,
            caught_up_ms: 0,
            mark: (u64::MAX, 0),
        }
    }

    fn with(acked: &[u64]) -> Replicas {
        let mut replicas = Replicas::default();
        for (connection, at) in acked.iter().enumerate() {
            replicas.join(connection as u64, replica(None));
            replicas.acked(connection as u64, *at, 1000, 5);
        }
        replicas
    }

    #[test]
    fn the_quorum_is_the_slowest_that_counts() {
        let replicas = with(&[100, 300, 200]);
        let reached = |quorum| replicas.reached(quorum, 1000, 850);
        assert_eq!(reached(Quorum::Slaves(0)), 1000);
        assert_eq!(reached(Quorum::Slaves(1)), 300);
        assert_eq!(reached(Quorum::Slaves(2)), 200);
        assert_eq!(reached(Quorum::Slaves(4)), 0);
        assert_eq!(reached(Quorum::AllInSync), 200, "100 is too far behind");
        assert_eq!(replicas.in_sync(1000, 850), 2);
        assert_eq!(with(&[]).reached(Quorum::AllInSync, 1000, 850), 1000);
    }

    #[test]
    fn under_load_a_slave_has_what_there_was_a_moment_ago() {
        let mut replicas = Replicas::default();
        replicas.join(1, replica(Some(2)));
        let caught_up = |replicas: &Replicas| replicas.all()[0].caught_up_ms;
        replicas.acked(1, 100, 100, 5);
        assert_eq!(caught_up(&replicas), 5);
        replicas.acked(1, 150, 200, 10);
        replicas.acked(1, 190, 300, 15);
        assert_eq!(caught_up(&replicas), 5, "200 is not there yet");
        replicas.acked(1, 210, 400, 20);
        assert_eq!(caught_up(&replicas), 10);
        // It stands still.
        assert_eq!(replicas.seen(500, 99)[0].caught_up_ms, 10);
        replicas.acked(1, 500, 500, 120);
        assert_eq!(replicas.seen(500, 130)[0].caught_up_ms, 130);
    }

    #[test]
    fn nobody_counts_twice() {
        let mut replicas = Replicas::default();
        assert_eq!(replicas.join(1, replica(Some(2))), None);
        replicas.acked(1, 50, 100, 0);
        assert_eq!(replicas.join(2, replica(Some(2))), Some(1));
        assert!(!replicas.is_current(1));
        assert_eq!(replicas.reached(Quorum::Slaves(1), 100, 10), 0);
        replicas.acked(2, 70, 100, 0);
        replicas.acked(2, 60, 100, 0);
        assert_eq!(replicas.reached(Quorum::Slaves(1), 100, 10), 70);
        assert_eq!(replicas.reached(Quorum::Slaves(2), 100, 10), 0);
    }
}
