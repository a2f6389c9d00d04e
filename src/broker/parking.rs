//! Holds pull requests that found nothing, until a message arrives or they expire.
//!
//! A waiter is released once: by an append to its queue or by its deadline, whichever is first. Releasing reads nothing
//! from the store; whoever took the waiters runs them again and parks those back whose filter took nothing.
//!
//! Absent on purpose: the requests themselves. The table is generic over what waits, so it can be tested with numbers.
//! Lock order: leaf. Nothing else is locked while the table is.

use std::collections::{BTreeSet, HashMap};

use crate::base::{QueueId, TopicName};

/// Names a waiter for as long as it is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct Parked<W> {
    ticket: Ticket,
    deadline_ms: i64,
    waiter: W,
}

/// The parked requests of all queues.
#[derive(Debug)]
pub(crate) struct Parking<W> {
    next: u64,
    limit: usize,
    topics: HashMap<TopicName, HashMap<QueueId, Vec<Parked<W>>>>,
    /// Every parked ticket by deadline, with its place.
    deadlines: BTreeSet<(i64, Ticket, TopicName, QueueId)>,
}

impl<W> Parking<W> {
    /// A table for at most `limit` waiters.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            next: 0,
            limit,
            topics: HashMap::new(),
            deadlines: BTreeSet::new(),
        }
    }

    /// Parks a waiter, or hands it back when the table is full.
    pub(crate) fn park(
        &mut self,
        topic: &TopicName,
        queue: QueueId,
        deadline_ms: i64,
        waiter: W,
    ) -> Result<Ticket, W> {
        if self.deadlines.len() >= self.limit {
            return Err(waiter);
        }
        self.next += 1;
        let ticket = Ticket(self.next);
        self.deadlines
            .insert((deadline_ms, ticket, topic.clone(), queue));
        self.topics
            .entry(topic.clone())
            .or_default()
            .entry(queue)
            .or_default()
            .push(Parked {
                ticket,
                deadline_ms,
                waiter,
            });
        Ok(ticket)
    }

    /// Whether anybody waits for a queue.
    pub(crate) fn waits(&self, topic: &str, queue: QueueId) -> bool {
        let queues = self.topics.get(topic);
        queues.is_some_and(|queues| queues.contains_key(&queue))
    }

    /// Takes all waiters of a queue, oldest first, with their deadlines.
    pub(crate) fn wake(&mut self, topic: &str, queue: QueueId) -> Vec<(i64, W)> {
        let Some(queues) = self.topics.get_mut(topic) else {
            return Vec::new();
        };
        let Some(parked) = queues.remove(&queue) else {
            return Vec::new();
        };
        if queues.is_empty() {
            self.topics.remove(topic);
        }
        let name = TopicName::stored(topic);
        parked
            .into_iter()
            .map(|parked| {
                self.deadlines
                    .remove(&(parked.deadline_ms, parked.ticket, name.clone(), queue));
                (parked.deadline_ms, parked.waiter)
            })
            .collect()
    }

    /// Takes every waiter whose deadline has come.
    pub(crate) fn expire(&mut self, now_ms: i64) -> Vec<W> {
        let mut expired = Vec::new();
        while let Some((deadline_ms, ..)) = self.deadlines.first() {
            if *deadline_ms > now_ms {
                break;
            }
            if let Some((_, ticket, topic, queue)) = self.deadlines.pop_first() {
                expired.extend(self.remove(ticket, &topic, queue));
            }
        }
        expired
    }

    /// Takes every waiter that `unwanted` names, such as those of a closed connection.
    pub(crate) fn discard(&mut self, unwanted: impl Fn(&W) -> bool) {
        let deadlines = &mut self.deadlines;
        self.topics.retain(|topic, queues| {
            queues.retain(|queue, parked| {
                parked.retain(|one| {
                    let keep = !unwanted(&one.waiter);
                    if !keep {
                        deadlines.remove(&(one.deadline_ms, one.ticket, topic.clone(), *queue));
                    }
                    keep
                });
                !parked.is_empty()
            });
            !queues.is_empty()
        });
    }

    /// When the next waiter expires.
    pub(crate) fn next_deadline_ms(&self) -> Option<i64> {
        self.deadlines.first().map(|(deadline_ms, ..)| *deadline_ms)
    }

    /// How many requests wait.
    pub(crate) fn len(&self) -> usize {
        self.deadlines.len()
    }

    fn remove(&mut self, ticket: Ticket, topic: &TopicName, queue: QueueId) -> Option<W> {
        let queues = self.topics.get_mut(topic)?;
        let parked = queues.get_mut(&queue)?;
        let at = parked.iter().position(|one| one.ticket == ticket)?;
        let waiter = parked.remove(at).waiter;
        if parked.is_empty() {
            queues.remove(&queue);
            if queues.is_empty() {
                self.topics.remove(topic);
            }
        }
        Some(waiter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const Q0: QueueId = QueueId::new(0);
    const Q1: QueueId = QueueId::new(1);

    fn topic() -> TopicName {
        TopicName::stored("T")
    }

    #[test]
    fn an_append_releases_the_waiters_of_its_queue_only() {
        let mut parking = Parking::new(10);
        parking.park(&topic(), Q0, 100, 'a').unwrap();
        parking.park(&topic(), Q1, 50, 'b').unwrap();
        parking.park(&topic(), Q0, 70, 'c').unwrap();
        assert!(parking.waits("T", Q0) && !parking.waits("U", Q0));
        assert_eq!(parking.wake("T", Q0), [(100, 'a'), (70, 'c')]);
        assert!(!parking.waits("T", Q0) && parking.waits("T", Q1));
        assert_eq!(parking.wake("T", Q0), []);
        assert_eq!(parking.next_deadline_ms(), Some(50));
        assert_eq!(parking.len(), 1);
    }

    #[test]
    fn deadlines_release_in_order_and_once() {
        let mut parking = Parking::new(10);
        parking.park(&topic(), Q0, 100, 'a').unwrap();
        parking.park(&topic(), Q1, 50, 'b').unwrap();
        assert_eq!(parking.expire(49), []);
        assert_eq!(parking.expire(100), ['b', 'a']);
        assert_eq!(parking.expire(1000), []);
        assert_eq!(parking.wake("T", Q0), []);
        assert_eq!(parking.next_deadline_ms(), None);
    }

    #[test]
    fn a_full_table_hands_the_waiter_back() {
        let mut parking = Parking::new(1);
        parking.park(&topic(), Q0, 1, 'a').unwrap();
        assert_eq!(parking.park(&topic(), Q0, 1, 'b'), Err('b'));
        parking.discard(|waiter| *waiter == 'a');
        assert_eq!(parking.len(), 0);
        assert!(parking.park(&topic(), Q0, 1, 'b').is_ok());
    }
}
