//! Which brokers are alive: Apache's `DefaultBrokerHeartbeatManager`.
//!
//! A broker sends heartbeats to every controller, so each has a table of its own, and a new leader knows at once. A broker is
//! gone when its connection closes or when it is silent for as long as it said itself.
//!
//! A controller that has just started has heard of nobody. For [`GRACE_MS`] it takes a broker that it never heard of for
//! alive; without that, the first slave to send a heartbeat would take the place of a healthy master.

use std::collections::{BTreeMap, BTreeSet};

use super::elect::Candidate;
use super::state::{Group, TEXT_BYTES_MAX};

/// How long a broker may be silent that does not say (`DEFAULT_BROKER_CHANNEL_EXPIRED_TIME`).
const TIMEOUT_MS: i64 = 10_000;
/// The longest time a broker may ask for.
const TIMEOUT_MAX_MS: i64 = 600_000;
/// How long after its start a controller waits for heartbeats: several times a broker's interval.
pub(super) const GRACE_MS: i64 = 5_000;
/// Brokers in the table.
const BROKERS_MAX: usize = 20_000;

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) id: i64,
    pub(super) cluster: String,
}

/// A heartbeat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    /// The connection it came on.
    pub(super) channel: u64,
    pub(super) timeout_ms: Option<i64>,
    pub(super) epoch: Option<i32>,
    pub(super) max_offset: Option<i64>,
    pub(super) priority: Option<i32>,
}

#[derive(Clone, Copy, Debug)]
struct Live {
    channel: u64,
    /// The last moment at which it counts as alive.
    until_ms: i64,
    epoch: i32,
    max_offset: i64,
    priority: i32,
}

/// The table. Times are milliseconds of any clock that does not go back.
#[derive(Debug)]
pub(super) struct LiveTable {
    began_ms: i64,
    brokers: BTreeMap<Identity, Live>,
    /// Brokers that were heard of and are gone: the grace of the start is not for them.
    gone: BTreeSet<Identity>,
}

impl LiveTable {
    pub(super) fn new(now_ms: i64) -> Self {
        Self {
            began_ms: now_ms,
            brokers: BTreeMap::new(),
            gone: BTreeSet::new(),
        }
    }

    /// Takes a heartbeat; tells whether the broker is new, or `None` where there is no place for it.
    pub(super) fn beat(&mut self, who: Identity, beat: Beat, now_ms: i64) -> Option<bool> {
        let long = |text: &str| text.len() > TEXT_BYTES_MAX;
        let known = self.brokers.contains_key(&who);
        if long(&who.name) || long(&who.cluster) || (!known && self.brokers.len() >= BROKERS_MAX) {
            return None;
        }
        let timeout_ms = beat
            .timeout_ms
            .unwrap_or(TIMEOUT_MS)
            .clamp(1, TIMEOUT_MAX_MS);
        let live = Live {
            channel: beat.channel,
            until_ms: now_ms.saturating_add(timeout_ms),
            epoch: beat.epoch.unwrap_or(-1),
            max_offset: beat.max_offset.unwrap_or(-1),
            priority: beat.priority.unwrap_or(i32::MAX),
        };
        self.gone.remove(&who);
        self.brokers.insert(who, live);
        Some(!known)
    }

    /// The connection has closed: whoever sent its last heartbeat on it is gone.
    pub(super) fn channel_closed(&mut self, channel: u64) -> Vec<Identity> {
        self.remove(|live| live.channel == channel)
    }

    /// Removes who has been silent for too long.
    pub(super) fn expire(&mut self, now_ms: i64) -> Vec<Identity> {
        self.remove(|live| live.until_ms < now_ms)
    }

    fn remove(&mut self, is_gone: impl Fn(&Live) -> bool) -> Vec<Identity> {
        let mut gone = Vec::new();
        self.brokers.retain(|who, live| {
            let stays = !is_gone(live);
            if !stays {
                gone.push(who.clone());
            }
            stays
        });
        if self.gone.len() < BROKERS_MAX {
            self.gone.extend(gone.iter().cloned());
        }
        gone
    }

    /// Whether a broker counts as alive.
    pub(super) fn is_alive(&self, who: &Identity, now_ms: i64) -> bool {
        match self.brokers.get(who) {
            Some(live) => live.until_ms >= now_ms,
            None => now_ms < self.began_ms.saturating_add(GRACE_MS) && !self.gone.contains(who),
        }
    }

    /// The brokers of a group that are heard from, and in the grace of the start the master as well.
    pub(super) fn candidates(&self, name: &str, group: &Group, now_ms: i64) -> Vec<Candidate> {
        let ids = group.replicas.keys().copied();
        let candidate = |id| {
            let who = Identity {
                name: name.to_owned(),
                id,
                cluster: group.cluster.clone(),
            };
            let live = self
                .brokers
                .get(&who)
                .filter(|live| live.until_ms >= now_ms);
            let spared = group.master == Some(id) && self.is_alive(&who, now_ms);
            (live.is_some() || spared).then(|| Candidate {
                id,
                epoch: live.map_or(-1, |live| live.epoch),
                max_offset: live.map_or(-1, |live| live.max_offset),
                priority: live.map_or(i32::MAX, |live| live.priority),
            })
        };
        ids.filter_map(candidate).collect()
    }

    /// How many brokers are alive.
    pub(super) fn len(&self) -> usize {
        self.brokers.len()
    }
}

/// Says in the log who is gone.
pub(super) fn tell_gone(gone: &[Identity], how: &str) {
    for Identity { name, id, cluster } in gone {
        tracing::warn!(cluster, broker = name, id, "a broker {how}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::state::{Command, State};

    fn who(id: i64) -> Identity {
        Identity {
            name: "b".to_owned(),
            id,
            cluster: "c".to_owned(),
        }
    }

    fn beat(channel: u64) -> Beat {
        Beat {
            channel,
            timeout_ms: Some(1000),
            epoch: Some(3),
            max_offset: Some(70),
            priority: None,
        }
    }

    #[test]
    fn silence_and_a_closed_connection_are_the_end() {
        let mut table = LiveTable::new(0);
        let late = GRACE_MS + 10;
        assert_eq!(table.beat(who(1), beat(7), late), Some(true));
        assert_eq!(table.beat(who(2), beat(8), late), Some(true));
        assert_eq!(
            table.beat(who(1), beat(9), late),
            Some(false),
            "on a new connection"
        );
        assert!(
            table.channel_closed(7).is_empty(),
            "the old one does not matter"
        );
        assert_eq!(table.channel_closed(8), [who(2)]);
        assert!(table.is_alive(&who(1), late + 1000));
        assert!(!table.is_alive(&who(1), late + 1001));
        assert_eq!(table.expire(late + 1000), []);
        assert_eq!(table.expire(late + 1001), [who(1)]);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn after_the_start_only_who_was_heard_of_can_be_gone() {
        let mut table = LiveTable::new(0);
        table.beat(who(2), beat(8), 10);
        assert!(table.is_alive(&who(1), 20), "never heard of so far");
        table.channel_closed(8);
        assert!(!table.is_alive(&who(2), 20));
        assert!(!table.is_alive(&who(1), GRACE_MS));
    }

    #[test]
    fn a_master_is_spared_while_heartbeats_are_awaited() {
        let mut state = State::default();
        for id in [1, 2] {
            state.apply(&Command::ApplyId {
                cluster: "c".to_owned(),
                name: "b".to_owned(),
                id,
                check_code: format!("h:{id};0"),
            });
        }
        state.apply(&Command::Elect {
            name: "b".to_owned(),
            by: Some(1),
            designate: false,
            unclean: false,
            alive: Vec::new(),
        });
        let group = state.group("b").unwrap();
        let mut table = LiveTable::new(0);
        let ids = |table: &LiveTable, now_ms: i64| -> Vec<i64> {
            let candidates = table.candidates("b", group, now_ms);
            candidates.iter().map(|one| one.id).collect()
        };
        assert_eq!(ids(&table, 10), [1]);
        table.beat(who(2), beat(8), 10);
        assert_eq!(ids(&table, 20), [1, 2]);
        assert_eq!(ids(&table, 1011), [1], "2 is silent");
        table.beat(who(2), beat(8), GRACE_MS);
        assert_eq!(ids(&table, GRACE_MS), [2], "1 never came");
        assert_eq!(table.candidates("b", group, GRACE_MS)[0].max_offset, 70);
    }
}
