//! Holds pops that found nothing, until a message arrives or they expire.
//!
//! Those of one group for the same queues wait in the order of their deadlines. An arriving message releases one of
//! each group, since one message is handed to one consumer only; who took a waiter and finds more messages takes the
//! next.
//!
//! Absent on purpose: the requests themselves, as in the parking of pulls, and filters.
//! Lock order: leaf.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::handle::retry_topic;

/// What a pop waits for. Queue -1 is any queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Line {
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) queue_id: i32,
}

/// How many may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// For the same queues of one group.
    pub(crate) line: usize,
    /// In all.
    pub(crate) total: usize,
}

type Ticket = (i64, u64);
/// Queue to those who wait, the earliest deadline first.
type Queues<W> = BTreeMap<i32, BTreeMap<Ticket, W>>;

/// The waiting pops of all groups.
#[derive(Debug)]
pub(crate) struct Waiting<W> {
    next: u64,
    /// By topic and group.
    topics: HashMap<String, BTreeMap<String, Queues<W>>>,
    deadlines: BTreeSet<(Ticket, Line)>,
}

impl<W> Default for Waiting<W> {
    fn default() -> Self {
        Self {
            next: 0,
            topics: HashMap::new(),
            deadlines: BTreeSet::new(),
        }
    }
}

impl<W> Waiting<W> {
    /// Lets a request wait, or hands it back when too many do.
    pub(crate) fn park(
        &mut self,
        line: &Line,
        deadline_ms: i64,
        waiter: W,
        limits: Limits,
    ) -> Result<(), W> {
        // Apache lets one more in than its limit says.
        if self.deadlines.len() >= limits.total || self.count(line) > limits.line {
            return Err(waiter);
        }
        self.next += 1;
        let ticket = (deadline_ms, self.next);
        self.deadlines.insert((ticket, line.clone()));
        let groups = self.topics.entry(line.topic.clone()).or_default();
        let queues = groups.entry(line.group.clone()).or_default();
        let waiters = queues.entry(line.queue_id).or_default();
        waiters.insert(ticket, waiter);
        Ok(())
    }

    /// How many wait in a line.
    pub(crate) fn count(&self, line: &Line) -> usize {
        let groups = self.topics.get(&line.topic);
        let queues = groups.and_then(|groups| groups.get(&line.group));
        let waiters = queues.and_then(|queues| queues.get(&line.queue_id));
        waiters.map_or(0, BTreeMap::len)
    }

    /// How many wait in all.
    pub(crate) fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// Takes the first of a line.
    pub(crate) fn take(&mut self, line: &Line) -> Option<W> {
        let groups = self.topics.get(&line.topic)?;
        let waiters = groups.get(&line.group)?.get(&line.queue_id)?;
        let ticket = *waiters.first_key_value()?.0;
        self.deadlines.remove(&(ticket, line.clone()));
        self.remove(ticket, line)
    }

    /// Takes those of a group whom a message of this queue may concern.
    pub(crate) fn take_for_group(&mut self, topic: &str, group: &str, queue_id: i32) -> Vec<W> {
        let mut taken = Vec::new();
        for queue_id in [-1, queue_id] {
            let line = Line {
                topic: topic.to_owned(),
                group: group.to_owned(),
                queue_id,
            };
            taken.extend(self.take(&line));
        }
        taken
    }

    /// Takes those whom a message of this queue may concern: of every group one that takes any queue and one that takes
    /// this one.
    pub(crate) fn take_for(&mut self, topic: &str, queue_id: i32) -> Vec<W> {
        let groups: Vec<String> = match self.topics.get(topic) {
            Some(groups) => groups.keys().cloned().collect(),
            None => return Vec::new(),
        };
        groups
            .iter()
            .flat_map(|group| self.take_for_group(topic, group, queue_id))
            .collect()
    }

    /// Takes those whom a message of a retry topic concerns. Messages of a retry topic go to whatever queue was asked.
    pub(crate) fn take_for_retry(&mut self, retry: &str) -> Vec<W> {
        let mut lines = Vec::new();
        for (topic, groups) in &self.topics {
            for (group, queues) in groups {
                let concerned = [false, true]
                    .into_iter()
                    .any(|second| retry_topic(topic, group, second) == retry);
                if concerned {
                    lines.extend(queues.keys().map(|queue_id| Line {
                        topic: topic.clone(),
                        group: group.clone(),
                        queue_id: *queue_id,
                    }));
                }
            }
        }
        lines.iter().filter_map(|line| self.take(line)).collect()
    }

    /// Takes every waiter whose deadline has come.
    pub(crate) fn expire(&mut self, now_ms: i64) -> Vec<W> {
        let mut expired = Vec::new();
        while self.next_deadline_ms().is_some_and(|at_ms| at_ms <= now_ms) {
            if let Some((ticket, line)) = self.deadlines.pop_first() {
                expired.extend(self.remove(ticket, &line));
            }
        }
        expired
    }

    /// Drops every waiter that `unwanted` names, such as those of a closed connection.
    pub(crate) fn discard(&mut self, unwanted: impl Fn(&W) -> bool) {
        let deadlines = &mut self.deadlines;
        self.topics.retain(|topic, groups| {
            groups.retain(|group, queues| {
                queues.retain(|queue_id, waiters| {
                    waiters.retain(|ticket, waiter| {
                        let drop = unwanted(waiter);
                        if drop {
                            let line = Line {
                                topic: topic.clone(),
                                group: group.clone(),
                                queue_id: *queue_id,
                            };
                            deadlines.remove(&(*ticket, line));
                        }
                        !drop
                    });
                    !waiters.is_empty()
                });
                !queues.is_empty()
            });
            !groups.is_empty()
        });
    }

    /// When the next waiter expires.
    pub(crate) fn next_deadline_ms(&self) -> Option<i64> {
        self.deadlines.first().map(|((at_ms, _), _)| *at_ms)
    }

    fn remove(&mut self, ticket: Ticket, line: &Line) -> Option<W> {
        let groups = self.topics.get_mut(&line.topic)?;
        let queues = groups.get_mut(&line.group)?;
        let waiters = queues.get_mut(&line.queue_id)?;
        let waiter = waiters.remove(&ticket);
        if waiters.is_empty() {
            queues.remove(&line.queue_id);
            if queues.is_empty() {
                groups.remove(&line.group);
                if groups.is_empty() {
                    self.topics.remove(&line.topic);
                }
            }
        }
        waiter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { line: 2, total: 4 };

    fn line(group: &str, queue_id: i32) -> Line {
        Line {
            topic: "T".to_owned(),
            group: group.to_owned(),
            queue_id,
        }
    }

    #[test]
    fn a_message_releases_one_of_each_group_and_kind() {
        let mut waiting = Waiting::default();
        for (group, queue_id, deadline_ms, name) in [
            ("g", -1, 20, 'b'),
            ("g", -1, 10, 'a'),
            ("g", 0, 5, 'c'),
            ("h", 1, 5, 'd'),
        ] {
            waiting
                .park(&line(group, queue_id), deadline_ms, name, LIMITS)
                .unwrap();
        }
        assert_eq!(waiting.take_for("U", 0), []);
        assert_eq!(waiting.take_for("T", 0), ['a', 'c']);
        assert_eq!(waiting.take_for("T", 0), ['b']);
        assert_eq!(waiting.take_for("T", 0), []);
        assert_eq!(waiting.take_for("T", 1), ['d']);
        assert_eq!((waiting.len(), waiting.topics.len()), (0, 0));
    }

    #[test]
    fn retry_topics_of_both_versions_concern_their_group() {
        let mut waiting = Waiting::default();
        for (at, retry) in [(1, "%RETRY%g_T"), (2, "%RETRY%g+T")] {
            waiting.park(&line("g", 3), at, 'a', LIMITS).unwrap();
            waiting.park(&line("h", -1), at, 'b', LIMITS).unwrap();
            assert_eq!(waiting.take_for_retry(retry), ['a']);
            assert_eq!(waiting.take(&line("h", -1)), Some('b'));
        }
    }

    #[test]
    fn lines_and_the_table_have_limits() {
        let mut waiting = Waiting::default();
        for _ in 0..3 {
            waiting.park(&line("g", 0), 1, 'x', LIMITS).unwrap();
        }
        assert_eq!(waiting.park(&line("g", 0), 1, 'x', LIMITS), Err('x'));
        waiting.park(&line("h", 0), 7, 'y', LIMITS).unwrap();
        assert_eq!(waiting.park(&line("i", 0), 1, 'z', LIMITS), Err('z'));
        assert_eq!(waiting.count(&line("g", 0)), 3);
        assert_eq!(waiting.expire(0), []);
        assert_eq!(waiting.expire(6).len(), 3);
        assert_eq!(waiting.next_deadline_ms(), Some(7));
        waiting.discard(|waiter| *waiter == 'y');
        assert_eq!((waiting.len(), waiting.topics.len()), (0, 0));
    }
}
