//! Messages that were stored twice under one unique key: a producer's retry that had succeeded before.
//!
//! A filter of fixed size says which keys may have been there before; the index then tells. So memory stays the same
//! however many messages there are, and without an index nothing is said.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use super::index::Filed;
use crate::base::LogOffset;
use crate::base::ids::{DLQ_PREFIX, RETRY_PREFIX};
use crate::message::names;
use crate::message::record::Record;
use crate::store::ViewError;
use crate::store::index::format::KeyHash;
use crate::store::log::Walk;

/// 16 MiB: with 14 million keys about one in fifty is looked up in vain.
const BITS: u64 = 1 << 27;
const PROBES: u32 = 4;

/// Which unique keys were met.
pub(super) struct Twice {
    bits: Vec<u64>,
    hasher: BuildHasherDefault<DefaultHasher>,
}

impl Default for Twice {
    fn default() -> Self {
        Self {
            bits: vec![0; usize::try_from(BITS / 64).unwrap_or_default()],
            hasher: BuildHasherDefault::default(),
        }
    }
}

impl Twice {
    /// Whether a record before this one, in the same topic, has the same unique key.
    pub(super) fn is_again(
        &mut self,
        record: &Record<'_>,
        filed: &mut Filed,
        probe: &mut Walk,
    ) -> Result<bool, ViewError> {
        if is_repeated_by_rule(record.topic) {
            return Ok(false);
        }
        let Some(key) = record.properties.get(names::UNIQ_KEY) else {
            return Ok(false);
        };
        if !self.may_be_known(record.topic, key) {
            return Ok(false);
        }
        for entry in filed.lookup(KeyHash::of_key(record.topic, key))? {
            let before = LogOffset::from_wire(entry.log_offset)
                .filter(|_| entry.log_offset < record.physical_offset);
            if let Some(at) = before
                && let Ok(other) = probe.record_at(at)
                && other.record.topic == record.topic
                && other.record.properties.get(names::UNIQ_KEY) == Some(key)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the key was here before, or another one looks like it; from now on it was.
    fn may_be_known(&mut self, topic: &str, key: &str) -> bool {
        let hash = self.hasher.hash_one((topic, key));
        let step = (hash >> 32) | 1;
        let mut known = true;
        for probe in 0..u64::from(PROBES) {
            let bit = hash.wrapping_add(step.wrapping_mul(probe)) % BITS;
            let word = usize::try_from(bit / 64).ok();
            if let Some(word) = word.and_then(|word| self.bits.get_mut(word)) {
                let mask = 1 << (bit % 64);
                known &= *word & mask != 0;
                *word |= mask;
            }
        }
        known
    }
}

/// Topics in which brokers themselves store a message again: timers that roll on, checks of transactions, retries.
fn is_repeated_by_rule(topic: &str) -> bool {
    topic.starts_with(RETRY_PREFIX)
        || topic.starts_with(DLQ_PREFIX)
        || topic == names::SCHEDULE_TOPIC
        || topic.starts_with("rmq_sys_")
        || topic.starts_with("RMQ_SYS_")
        || topic == names::TRANS_CHECK_MAX_TIME_TOPIC
}
