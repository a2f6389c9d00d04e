//! From a record to what is derived from it: queue entries. The same code live and in recovery.
//!
//! Half and rolled-back records (by their `sysFlag`) take no place in a queue, as in Apache. A record of a topic with
//! batch queues says in its properties which offsets its messages have ([`batch_place`]).

use crate::base::ids::RETRY_PREFIX;
use crate::message::names::SCHEDULE_TOPIC;
use crate::message::record::Record;
use crate::message::{Properties, names, sysflag, tags_code};

/// Whether messages of a topic can be in light queues too (`MixAll.topicAllowsLMQ`).
pub(crate) fn allows_light_queues(topic: &str) -> bool {
    !topic.starts_with(RETRY_PREFIX) && !topic.starts_with(SYSTEM_PREFIX) && topic != SCHEDULE_TOPIC
}

/// Topics of the broker itself begin so (`TopicValidator.SYSTEM_TOPIC_PREFIX`).
const SYSTEM_PREFIX: &str = "rmq_sys_";

/// The queues that share a record with another topic begin so (light queues).
pub(crate) const LIGHT_QUEUE_PREFIX: &str = "%LMQ%";

/// The third part of a queue entry, before the store timestamp is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TagsCode {
    /// The hash of the tags.
    Hash(i64),
    /// The time of delivery of this delay level.
    DelayLevel(usize),
}

impl TagsCode {
    /// What the topic and the properties (in stored form) ask for.
    pub(crate) fn of(topic: &str, properties: &[u8]) -> Self {
        let properties = Properties::new(properties);
        Self::with_tags(topic, properties, properties.get(names::TAGS))
    }

    /// The same where the tags are known already.
    pub(crate) fn with_tags(topic: &str, properties: Properties<'_>, tags: Option<&str>) -> Self {
        if topic == SCHEDULE_TOPIC {
            let level = properties
                .get(names::DELAY)
                .and_then(|level| level.parse().ok());
            if let Some(level @ 1..) = level {
                return Self::DelayLevel(level);
            }
        }
        Self::Hash(tags_code(tags))
    }

    /// The number for the entry. A level above the last counts as the last, as in Apache.
    pub(crate) fn resolve(self, store_timestamp_ms: i64, delay_levels_ms: &[i64]) -> i64 {
        match self {
            Self::Hash(hash) => hash,
            Self::DelayLevel(level) => {
                let last = delay_levels_ms.len();
                let delay = level
                    .min(last)
                    .checked_sub(1)
                    .and_then(|at| delay_levels_ms.get(at))
                    .copied()
                    .unwrap_or(1000);
                store_timestamp_ms.saturating_add(delay)
            }
        }
    }
}

/// Whether a record with these flags has a place in its queue.
pub(crate) fn takes_queue_place(sys_flag: i32) -> bool {
    matches!(
        sysflag::transaction(sys_flag),
        0 | sysflag::TRANSACTION_COMMIT
    )
}

/// The digits of a queue offset that is written into a record's properties under the log's lock: always as many, with
/// zeros in front, so that the record's length is known before.
pub(crate) const OFFSET_DIGITS: usize = 19;

/// Which messages of a batch queue a record holds: the offset of the first, and how many. An inner batch says so in its
/// properties; other records have one message. `None` if the properties contradict the record's head.
pub(crate) fn batch_place(record: &Record<'_>) -> Option<(u64, u16)> {
    let offset = u64::try_from(record.queue_offset).ok()?;
    let property = |name| record.properties.get(name);
    let (Some(base), Some(count)) = (property(names::INNER_BASE), property(names::INNER_NUM))
    else {
        return (record.sys_flag & sysflag::INNER_BATCH == 0).then_some((offset, 1));
    };
    let count = count.parse().ok()?;
    let agrees = base.parse().ok() == Some(offset) && (1..=MESSAGES_MAX).contains(&count);
    agrees.then_some((offset, count))
}

/// How many messages one record can have: the number is a Java short.
pub(crate) const MESSAGES_MAX: u16 = i16::MAX as u16;

/// The light queues a record is also in, with its number in each.
pub(crate) fn light_queues<'a>(record: &Record<'a>) -> impl Iterator<Item = (&'a str, u64)> {
    let of = |name| record.properties.get(name).unwrap_or_default();
    let queues = of(names::INNER_MULTI_DISPATCH).split(',');
    let offsets = of(names::INNER_MULTI_QUEUE_OFFSET).split(',');
    queues
        .zip(offsets)
        .filter(|(queue, _)| queue.starts_with(LIGHT_QUEUE_PREFIX))
        .filter(|_| allows_light_queues(record.topic))
        .filter_map(|(queue, offset)| Some((queue, offset.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_levels_become_delivery_times() {
        let code = TagsCode::of(SCHEDULE_TOPIC, b"DELAY\x012\x02TAGS\x01a\x02");
        assert_eq!(code, TagsCode::DelayLevel(2));
        assert_eq!(code.resolve(100, &[1000, 5000]), 5100);
        assert_eq!(TagsCode::DelayLevel(9).resolve(100, &[1000, 5000]), 5100);
        assert_eq!(
            TagsCode::of("t", b"DELAY\x012\x02TAGS\x01a\x02"),
            TagsCode::Hash(97)
        );
        assert_eq!(
            TagsCode::of(SCHEDULE_TOPIC, b"DELAY\x010\x02"),
            TagsCode::Hash(0)
        );
    }

    #[test]
    fn half_records_take_no_place() {
        assert!(takes_queue_place(0));
        assert!(takes_queue_place(
            sysflag::TRANSACTION_COMMIT | sysflag::COMPRESSED
        ));
        assert!(!takes_queue_place(sysflag::TRANSACTION_PREPARED));
        assert!(!takes_queue_place(sysflag::TRANSACTION_ROLLBACK));
        assert!(takes_queue_place(sysflag::INNER_BATCH));
    }
}
