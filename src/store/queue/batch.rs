//! One entry of a batch queue: 46 bytes that point to one record of the log, which may hold several messages.
//!
//! Topics with `queue.type=BatchCQ` have such queues, in `batchconsumequeue` (`BatchConsumeQueue`). An entry says which
//! queue offsets its record covers: from its base, as many as the record has messages. So an entry is found by a search
//! for its base, not by its place.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::entry::{Entry, split};
use super::places::Unit;

/// Bytes of an entry of a batch queue.
pub const BATCH_ENTRY_BYTES: usize = 46;

const _: () = assert!(8 + 4 + 8 + 8 + 8 + 2 + 4 + 4 == BATCH_ENTRY_BYTES);

/// What stands for the compacted offset: these queues are never compacted.
const NOT_COMPACTED: i32 = -1;

/// One entry of a batch queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchEntry {
    /// Where the record lies, and the hash of its tags.
    pub entry: Entry,
    /// When the record was stored, ms since 1970.
    pub store_timestamp_ms: i64,
    /// The queue offset of its first message.
    pub base: i64,
    /// How many messages it has.
    pub count: i16,
}

impl BatchEntry {
    /// Reads an entry from its bytes.
    pub fn decode(bytes: &[u8; BATCH_ENTRY_BYTES]) -> Self {
        let (log_offset, rest) = split::<8>(bytes);
        let (size, rest) = split::<4>(rest);
        let (tags_code, rest) = split::<8>(rest);
        let (store_timestamp, rest) = split::<8>(rest);
        let (base, rest) = split::<8>(rest);
        let (count, _) = split::<2>(rest);
        Self {
            entry: Entry {
                log_offset: i64::from_be_bytes(log_offset),
                size: i32::from_be_bytes(size),
                tags_code: i64::from_be_bytes(tags_code),
            },
            store_timestamp_ms: i64::from_be_bytes(store_timestamp),
            base: i64::from_be_bytes(base),
            count: i16::from_be_bytes(count),
        }
    }

    /// Whether the entry can point to a record at all. Unwritten space cannot.
    pub fn is_plausible(&self) -> bool {
        self.entry.log_offset >= 0 && self.entry.size > 0 && self.base >= 0 && self.count > 0
    }

    /// The queue offset of the first message, 0 if there is none.
    pub(crate) fn first(&self) -> u64 {
        u64::try_from(self.base).unwrap_or_default()
    }

    /// The queue offset behind the last message.
    pub(crate) fn end(&self) -> u64 {
        self.first()
            .saturating_add(u64::try_from(self.count).unwrap_or_default())
    }
}

impl Unit for BatchEntry {
    const BYTES: usize = BATCH_ENTRY_BYTES;

    fn decode_first(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().map(Self::decode)
    }

    fn pointer(&self) -> Entry {
        self.entry
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.entry.encode());
        out.extend_from_slice(&self.store_timestamp_ms.to_be_bytes());
        out.extend_from_slice(&self.base.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(&NOT_COMPACTED.to_be_bytes());
        // Reserved.
        out.extend_from_slice(&[0; 4]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_its_documented_bytes() {
        let entry = BatchEntry {
            entry: Entry {
                log_offset: 5,
                size: 100,
                tags_code: 7,
            },
            store_timestamp_ms: 9,
            base: 1000,
            count: 3,
        };
        let mut bytes = Vec::new();
        entry.encode_into(&mut bytes);
        assert_eq!(bytes.len(), BATCH_ENTRY_BYTES);
        let (_, tail) = bytes.split_at(28);
        assert_eq!(tail.split_at(10).0, [0, 0, 0, 0, 0, 0, 3, 232, 0, 3]);
        assert_eq!(tail.split_at(10).1, [255, 255, 255, 255, 0, 0, 0, 0]);
        assert_eq!(BatchEntry::decode_first(&bytes), Some(entry));
        assert!(entry.is_plausible());
        assert_eq!((entry.first(), entry.end()), (1000, 1003));
        assert!(!BatchEntry::decode(&[0; BATCH_ENTRY_BYTES]).is_plausible());
    }
}
