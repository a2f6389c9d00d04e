//! What was delivered before a crash but not noted: found in the log at the start, and passed over once.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::base::LogOffset;
use crate::message::{Properties, Record, names};
use crate::store::{Queue, Store};

/// Entries of the timer topic read at a time.
const ENTRIES: usize = 1024;

/// Copies of waiting messages that are in the log already, by what tells a message from others.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    copies: HashMap<u64, u32>,
    /// Keys of messages that were taken back; only when the files are made anew, with slots long past.
    pub(super) taken_back: HashSet<String>,
}

/// The topic, key, time of birth, time of delivery and number of rolls of a waiting message.
fn identity(topic: &str, born_ms: i64, properties: &Properties<'_>, rolls: i64) -> u64 {
    let mut hasher = DefaultHasher::new();
    let text = |name| properties.get(name).unwrap_or_default();
    let parts = (topic, text(names::UNIQ_KEY), text(names::TIMER_OUT_MS));
    (parts, born_ms, rolls).hash(&mut hasher);
    hasher.finish()
}

fn rolls(properties: &Properties<'_>) -> i64 {
    let rolls = properties.get(names::TIMER_ROLL_TIMES);
    rolls.and_then(|rolls| rolls.parse().ok()).unwrap_or(0)
}

/// The same of the waiting message that `record` is a delivered or rolled copy of; `None` if it is no copy.
fn original(record: &Record<'_>) -> Option<u64> {
    let properties = &record.properties;
    properties.get(names::TIMER_DEQUEUE_MS)?;
    properties.get(names::TIMER_OUT_MS)?;
    if record.topic == names::TIMER_TOPIC {
        let topic = properties.get(names::REAL_TOPIC)?;
        return Some(identity(
            topic,
            record.born_timestamp,
            properties,
            rolls(properties) - 1,
        ));
    }
    Some(identity(
        record.topic,
        record.born_timestamp,
        properties,
        rolls(properties),
    ))
}

impl Delivered {
    /// What a slave's copy of the log says: the rest of it from `from` on, and, of what lies before, the messages of the
    /// timer topic that were rolled or taken back. All else from before is dealt with or not by the master's word.
    pub(super) fn scan_told(store: &Store, from: LogOffset, queue: &Queue) -> Self {
        let mut found = Self::default();
        store.walk_records(from, |record| {
            if record.topic != names::TIMER_TOPIC
                && let Some(original) = original(record)
            {
                *found.copies.entry(original).or_default() += 1;
            }
        });
        let (mut at, mut entries) = (queue.min_offset().get(), Vec::new());
        loop {
            entries.clear();
            queue.read(at, ENTRIES, &mut entries);
            at += entries.len() as u64;
            for entry in &entries {
                let slice = LogOffset::from_wire(entry.log_offset)
                    .and_then(|offset| store.record_at(offset));
                let Some(slice) = slice else { continue };
                let Ok(record) = Record::parse(slice.as_ref()) else {
                    continue;
                };
                if let Some(original) = original(&record) {
                    *found.copies.entry(original).or_default() += 1;
                }
                if let Some(key) = record.properties.get(names::TIMER_DEL_UNIQKEY) {
                    found.taken_back.insert(key.to_owned());
                }
            }
            if entries.is_empty() {
                return found;
            }
        }
    }

    /// Looks through the log from `from` on.
    pub(super) fn scan(store: &Store, from: LogOffset, deletions_too: bool) -> Self {
        let mut found = Self::default();
        store.walk_records(from, |record| {
            if let Some(original) = original(record) {
                *found.copies.entry(original).or_default() += 1;
            }
            if deletions_too
                && record.topic == names::TIMER_TOPIC
                && let Some(key) = record.properties.get(names::TIMER_DEL_UNIQKEY)
            {
                found.taken_back.insert(key.to_owned());
            }
        });
        found
    }

    /// Whether a copy of a waiting message is in the log; that copy counts no more.
    pub(super) fn take(&mut self, topic: &str, record: &Record<'_>) -> bool {
        if self.copies.is_empty() {
            return false;
        }
        let properties = &record.properties;
        let key = identity(topic, record.born_timestamp, properties, rolls(properties));
        let Some(copies) = self.copies.get_mut(&key) else {
            return false;
        };
        *copies -= 1;
        if *copies == 0 {
            self.copies.remove(&key);
        }
        true
    }
}
