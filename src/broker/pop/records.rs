//! What POP writes down in the revive topic: check points and acknowledgements, in Apache's JSON.
//!
//! A check point (`ck`) says which messages were handed out together, when, and until when they are invisible. An
//! acknowledgement (`ack`, or `bAck` for several) takes messages out of a check point. Both name it by the same six
//! values, the [`Key`].

use serde::{Deserialize, Serialize};

/// The start of the revive topic's name; the cluster's name follows.
pub(crate) const REVIVE_TOPIC_PREFIX: &str = "rmq_sys_REVIVE_LOG_";
/// The group under which progress in the revive topic is kept.
pub(crate) const REVIVE_GROUP: &str = "CID_RMQ_SYS_REVIVE_GROUP";
/// Tag of a check point.
pub(crate) const CK_TAG: &str = "ck";
/// Tag of an acknowledgement of one message.
pub(crate) const ACK_TAG: &str = "ack";
/// Tag of an acknowledgement of several messages.
pub(crate) const BATCH_ACK_TAG: &str = "bAck";
/// A check point has one bit for each message.
pub(crate) const MESSAGES_MAX: usize = 32;

/// What names a check point.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) queue_id: i32,
    pub(crate) start_offset: i64,
    pub(crate) pop_time: i64,
    pub(crate) broker_name: String,
}

/// A check point, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CheckPoint {
    /// Bit i: message i is acknowledged.
    #[serde(rename = "bm", default)]
    pub(crate) acked: i32,
    #[serde(rename = "bn", default)]
    pub(crate) broker_name: String,
    #[serde(rename = "c")]
    pub(crate) group: String,
    /// Distances of the messages' offsets from the start. Old brokers left it out: then they lie side by side.
    #[serde(rename = "d", default)]
    pub(crate) distances: Vec<i32>,
    #[serde(rename = "it")]
    pub(crate) invisible_time: i64,
    #[serde(rename = "n")]
    pub(crate) count: i32,
    #[serde(rename = "pt")]
    pub(crate) pop_time: i64,
    #[serde(rename = "q")]
    pub(crate) queue_id: i32,
    /// Written for people and other readers; [`CheckPoint::revive_ms`] is what counts.
    #[serde(rename = "reviveTime", default)]
    revive_time: i64,
    #[serde(rename = "ro", default)]
    revive_offset: i64,
    #[serde(rename = "so")]
    pub(crate) start_offset: i64,
    /// Whether the next delivery is no further attempt.
    #[serde(rename = "sp", default)]
    pub(crate) suspend: bool,
    #[serde(rename = "t")]
    pub(crate) topic: String,
}

impl CheckPoint {
    /// A check point of messages at `offsets`, which are in order and at most [`MESSAGES_MAX`].
    pub(crate) fn new(key: Key, invisible_time: i64, offsets: &[i64], suspend: bool) -> Self {
        let distance = |offset: &i64| {
            i32::try_from(offset.saturating_sub(key.start_offset)).unwrap_or(i32::MAX)
        };
        Self {
            acked: 0,
            distances: offsets.iter().map(distance).collect(),
            count: i32::try_from(offsets.len()).unwrap_or(i32::MAX),
            invisible_time,
            revive_time: key.pop_time.saturating_add(invisible_time),
            revive_offset: 0,
            suspend,
            broker_name: key.broker_name,
            group: key.group,
            pop_time: key.pop_time,
            queue_id: key.queue_id,
            start_offset: key.start_offset,
            topic: key.topic,
        }
    }

    pub(crate) fn key(&self) -> Key {
        Key {
            topic: self.topic.clone(),
            group: self.group.clone(),
            queue_id: self.queue_id,
            start_offset: self.start_offset,
            pop_time: self.pop_time,
            broker_name: self.broker_name.clone(),
        }
    }

    /// When its messages become visible again.
    pub(crate) fn revive_ms(&self) -> i64 {
        self.pop_time.saturating_add(self.invisible_time)
    }

    /// How many messages it really covers.
    fn len(&self) -> usize {
        let count = usize::try_from(self.count).unwrap_or(0).min(MESSAGES_MAX);
        if self.distances.is_empty() {
            count
        } else {
            count.min(self.distances.len())
        }
    }

    fn offset_of(&self, index: usize) -> i64 {
        let distance = match self.distances.get(index) {
            Some(distance) => i64::from(*distance),
            None => i64::try_from(index).unwrap_or(0),
        };
        self.start_offset.saturating_add(distance)
    }

    /// Marks the message at `offset`; an offset it does not cover changes nothing.
    pub(crate) fn acknowledge(&mut self, offset: i64) {
        if let Some(index) = (0..self.len()).find(|index| self.offset_of(*index) == offset) {
            self.acked |= 1 << index;
        }
    }

    /// The offsets that are marked in `bits`.
    pub(crate) fn offsets_in(&self, bits: i32) -> Vec<i64> {
        let marked = (0..self.len()).filter(|index| bits & (1 << index) != 0);
        marked.map(|index| self.offset_of(index)).collect()
    }

    /// The offsets nobody acknowledged.
    pub(crate) fn open_offsets(&self) -> Vec<i64> {
        self.offsets_in(!self.acked)
    }

    /// Whether every message is acknowledged.
    pub(crate) fn is_done(&self) -> bool {
        (0..self.len()).all(|index| self.acked & (1 << index) != 0)
    }

    /// The offset after its last message.
    pub(crate) fn end_offset(&self) -> i64 {
        match self.len() {
            0 => self.start_offset,
            len => self.offset_of(len - 1).saturating_add(1),
        }
    }

    /// The `UNIQ_KEY` of its record.
    pub(crate) fn unique_key(&self) -> String {
        format!(
            "{}@{}@{}@{}@{}@{}@{CK_TAG}",
            self.topic,
            self.queue_id,
            self.start_offset,
            self.group,
            self.pop_time,
            self.broker_name
        )
    }
}

/// An acknowledgement, as it is stored. With `offsets` it is one of several messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ack {
    #[serde(rename = "ao", alias = "ackOffset", default)]
    pub(crate) offset: i64,
    #[serde(
        rename = "aol",
        alias = "ackOffsetList",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) offsets: Vec<i64>,
    #[serde(rename = "bn", alias = "brokerName", default)]
    pub(crate) broker_name: String,
    #[serde(rename = "c", alias = "consumerGroup")]
    pub(crate) group: String,
    #[serde(rename = "pt", alias = "popTime")]
    pub(crate) pop_time: i64,
    #[serde(rename = "q", alias = "queueId")]
    pub(crate) queue_id: i32,
    #[serde(rename = "so", alias = "startOffset")]
    pub(crate) start_offset: i64,
    #[serde(rename = "t", alias = "topic")]
    pub(crate) topic: String,
}

impl Ack {
    /// Acknowledges one message of a check point.
    pub(crate) fn one(key: Key, offset: i64) -> Self {
        Self {
            offset,
            offsets: Vec::new(),
            broker_name: key.broker_name,
            group: key.group,
            pop_time: key.pop_time,
            queue_id: key.queue_id,
            start_offset: key.start_offset,
            topic: key.topic,
        }
    }

    /// Acknowledges several messages of a check point.
    pub(crate) fn several(key: Key, offsets: Vec<i64>) -> Self {
        Self {
            offsets,
            ..Self::one(key, -1)
        }
    }

    pub(crate) fn key(&self) -> Key {
        Key {
            topic: self.topic.clone(),
            group: self.group.clone(),
            queue_id: self.queue_id,
            start_offset: self.start_offset,
            pop_time: self.pop_time,
            broker_name: self.broker_name.clone(),
        }
    }

    /// The messages it is about.
    pub(crate) fn offsets(&self) -> &[i64] {
        if self.offsets.is_empty() {
            std::slice::from_ref(&self.offset)
        } else {
            &self.offsets
        }
    }

    /// The tag of its record.
    pub(crate) fn tag(&self) -> &'static str {
        if self.offsets.is_empty() {
            ACK_TAG
        } else {
            BATCH_ACK_TAG
        }
    }

    /// The `UNIQ_KEY` of its record. Apache gives one of several messages the same form, with the offset -1.
    pub(crate) fn unique_key(&self) -> String {
        format!(
            "{}@{}@{}@{}@{}@{}@{ACK_TAG}",
            self.topic, self.queue_id, self.offset, self.group, self.pop_time, self.broker_name
        )
    }
}

#[cfg(test)]
pub(super) fn key(start_offset: i64, pop_time: i64) -> Key {
    Key {
        topic: "T".to_owned(),
        group: "g".to_owned(),
        queue_id: 0,
        start_offset,
        pop_time,
        broker_name: "b".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both texts are from the golden store `pop`.
    #[test]
    fn records_read_and_write_as_apache() {
        let text = r#"{"bm":0,"bn":"broker-a","c":"GoldPopGroup","d":[0,1,2],"it":10000,"n":3,"pt":1795313593509,"q":0,"reviveTime":1795313603509,"ro":0,"so":0,"sp":false,"t":"GoldPop"}"#;
        let point: CheckPoint = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&point).unwrap(), text);
        assert_eq!(
            point.unique_key(),
            "GoldPop@0@0@GoldPopGroup@1795313593509@broker-a@ck"
        );
        assert_eq!(
            CheckPoint::new(point.key(), 10_000, &[0, 1, 2], false),
            point
        );
        let text = r#"{"ao":1,"bn":"broker-a","c":"GoldPopGroup","pt":1795313593509,"q":0,"so":0,"t":"GoldPop"}"#;
        let ack: Ack = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&ack).unwrap(), text);
        assert_eq!(
            ack.unique_key(),
            "GoldPop@0@1@GoldPopGroup@1795313593509@broker-a@ack"
        );
        assert_eq!(ack.key(), point.key());
        assert_eq!(Ack::one(point.key(), 1), ack);
    }

    #[test]
    fn messages_leave_a_check_point_one_by_one() {
        let offsets: Vec<i64> = (0..32).map(|index| 100 + index * 2).collect();
        let mut point = CheckPoint::new(key(100, 7), 10, &offsets, false);
        assert_eq!(point.open_offsets(), offsets);
        assert_eq!(point.end_offset(), 163);
        point.acknowledge(101);
        point.acknowledge(-1);
        assert_eq!(point.acked, 0);
        for offset in &offsets {
            assert!(!point.is_done());
            point.acknowledge(*offset);
        }
        assert!(point.is_done());
        assert_eq!(point.offsets_in(1 | i32::MIN), [100, 162]);
    }

    #[test]
    fn hostile_numbers_are_cut_down() {
        let text = r#"{"c":"g","it":9223372036854775807,"n":2000000000,"pt":9223372036854775807,"q":0,"so":9223372036854775807,"t":"T"}"#;
        let point: CheckPoint = serde_json::from_str(text).unwrap();
        assert_eq!(point.open_offsets().len(), 32);
        assert_eq!(point.revive_ms(), i64::MAX);
        assert_eq!(point.end_offset(), i64::MAX);
    }
}
