//! Queue locks of orderly consumers: who may consume a queue of a group, for at most a minute since the last renewal.
//!
//! Lock order: leaf (the broker wraps the table in one mutex).

use std::collections::HashMap;
use std::time::Duration;

use crate::base::GroupName;

/// How long a lock lives after its last renewal (`rocketmq.broker.rebalance.lockMaxLiveTime`).
const LOCK_LIFE: Duration = Duration::from_mins(1);

/// A queue as clients name it. The broker name is part of it: a client may use its own idea of the name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LockKey {
    pub(crate) topic: String,
    pub(crate) broker_name: String,
    pub(crate) queue_id: i32,
}

#[derive(Debug)]
struct Held {
    client_id: String,
    renewed_ms: i64,
}

impl Held {
    fn expired(&self, now_ms: i64) -> bool {
        let life = i64::try_from(LOCK_LIFE.as_millis()).unwrap_or(i64::MAX);
        now_ms.saturating_sub(self.renewed_ms) > life
    }
}

/// All queue locks of a broker.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    groups: HashMap<GroupName, HashMap<LockKey, Held>>,
}

impl Locks {
    /// Locks or renews each queue that is free, expired or already the client's. Returns those it holds now.
    pub(crate) fn lock(
        &mut self,
        group: &GroupName,
        queues: Vec<LockKey>,
        client_id: &str,
        now_ms: i64,
    ) -> Vec<LockKey> {
        if queues.is_empty() {
            return queues;
        }
        let held = self.groups.entry(group.clone()).or_default();
        let mut locked = Vec::with_capacity(queues.len());
        for queue in queues {
            let taken = held
                .get(&queue)
                .is_some_and(|lock| lock.client_id != client_id && !lock.expired(now_ms));
            if taken {
                continue;
            }
            held.insert(
                queue.clone(),
                Held {
                    client_id: client_id.to_owned(),
                    renewed_ms: now_ms,
                },
            );
            locked.push(queue);
        }
        locked
    }

    /// Frees those of the queues that the client holds.
    pub(crate) fn unlock(&mut self, group: &str, queues: &[LockKey], client_id: &str) {
        let Some(held) = self.groups.get_mut(group) else {
            return;
        };
        for queue in queues {
            if held
                .get(queue)
                .is_some_and(|lock| lock.client_id == client_id)
            {
                held.remove(queue);
            }
        }
        if held.is_empty() {
            self.groups.remove(group);
        }
    }

    /// Forgets locks that nobody renewed; they keep nobody out.
    pub(crate) fn expire(&mut self, now_ms: i64) {
        self.groups.retain(|_, held| {
            held.retain(|_, lock| !lock.expired(now_ms));
            !held.is_empty()
        });
    }

    /// Whether the group holds a live lock, which makes its consumer an orderly one.
    pub(crate) fn any_live(&self, group: &str, now_ms: i64) -> bool {
        self.groups
            .get(group)
            .is_some_and(|held| held.values().any(|lock| !lock.expired(now_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(queue_id: i32) -> LockKey {
        LockKey {
            topic: "T".to_owned(),
            broker_name: "b".to_owned(),
            queue_id,
        }
    }

    #[test]
    fn a_lock_is_held_until_it_expires() {
        let group = GroupName::stored("g");
        let mut locks = Locks::default();
        assert_eq!(
            locks.lock(&group, vec![queue(0), queue(1)], "a", 0).len(),
            2
        );
        assert_eq!(locks.lock(&group, vec![queue(0)], "b", 60_000), []);
        assert!(locks.any_live("g", 60_000));
        assert!(!locks.any_live("g", 60_001));
        assert_eq!(locks.lock(&group, vec![queue(0)], "b", 60_001), [queue(0)]);
        assert_eq!(
            locks.lock(&group, vec![queue(0), queue(1)], "a", 60_002),
            [queue(1)]
        );
    }

    #[test]
    fn only_the_holder_unlocks() {
        let group = GroupName::stored("g");
        let mut locks = Locks::default();
        locks.lock(&group, vec![queue(0)], "a", 0);
        locks.unlock("g", &[queue(0)], "b");
        assert!(locks.any_live("g", 1));
        locks.unlock("g", &[queue(0)], "a");
        assert!(!locks.any_live("g", 1));
    }

    #[test]
    fn locks_of_the_gone_are_forgotten() {
        let group = GroupName::stored("g");
        let mut locks = Locks::default();
        locks.lock(&group, vec![queue(0)], "a", 0);
        locks.lock(&group, vec![queue(1)], "a", 30_000);
        locks.expire(60_001);
        assert_eq!(locks.groups[&group].len(), 1);
        locks.expire(90_001);
        assert!(locks.groups.is_empty());
        assert_eq!(locks.lock(&group, vec![], "a", 0), []);
        assert!(locks.groups.is_empty());
    }
}
