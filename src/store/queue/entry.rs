//! One entry of a consume queue: 20 bytes that point to one record of the log.
//!
//! Entry `n` of a queue lies at byte `n * 20` of its joined files, and `n` is the queue offset. A tags code
//! is the Java hash of the tags, a delivery time in the delay topic, or, from a Java broker with
//! `enableConsumeQueueExt`, an address in `consumequeue_ext`.
//!
//! Absent on purpose: what a tags code means; that depends on the topic, and filters know.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::places::Unit;

/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 20;

const LOG_OFFSET_BYTES: usize = 8;
const SIZE_BYTES: usize = 4;
const TAGS_CODE_BYTES: usize = 8;
const _: () = assert!(LOG_OFFSET_BYTES + SIZE_BYTES + TAGS_CODE_BYTES == ENTRY_BYTES);

/// One entry of a consume queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The record's position in the log. Signed, because that is what the file holds.
    pub log_offset: i64,
    /// The record's length in bytes.
    pub size: i32,
    /// The hash of the tags, or what stands in for it.
    pub tags_code: i64,
}

impl Entry {
    /// Stands before the first real entry of a queue that does not begin at 0 in its first file.
    pub const FILLER: Self = Self {
        log_offset: 0,
        size: i32::MAX,
        tags_code: 0,
    };

    /// Reads an entry from its bytes.
    pub fn decode(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let (offset, rest) = split::<LOG_OFFSET_BYTES>(bytes);
        let (size, rest) = split::<SIZE_BYTES>(rest);
        let (tags_code, _) = split::<TAGS_CODE_BYTES>(rest);
        Self {
            log_offset: i64::from_be_bytes(offset),
            size: i32::from_be_bytes(size),
            tags_code: i64::from_be_bytes(tags_code),
        }
    }

    /// The entry's bytes.
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        // Whole words at their places: this is done for every message.
        let mut bytes = [0; ENTRY_BYTES];
        let (offset, rest) = bytes.split_at_mut(LOG_OFFSET_BYTES);
        let (size, tags_code) = rest.split_at_mut(SIZE_BYTES);
        offset.copy_from_slice(&self.log_offset.to_be_bytes());
        size.copy_from_slice(&self.size.to_be_bytes());
        tags_code.copy_from_slice(&self.tags_code.to_be_bytes());
        bytes
    }

    /// Whether the entry only fills space before the queue's first message.
    pub fn is_filler(&self) -> bool {
        *self == Self::FILLER
    }

    /// Whether these 20 bytes were never written: no record has length 0.
    pub fn is_unwritten(&self) -> bool {
        self.size <= 0 && self.log_offset == 0
    }

    /// Whether the entry can point to a record at all.
    pub fn is_plausible(&self) -> bool {
        self.log_offset >= 0 && self.size > 0 && !self.is_filler()
    }
}

impl Unit for Entry {
    const BYTES: usize = ENTRY_BYTES;

    fn decode_first(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().map(Self::decode)
    }

    fn pointer(&self) -> Entry {
        *self
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.encode());
    }
}

/// The first `N` bytes and the rest; zeros stand in for bytes that are not there, which fixed-size input
/// never lacks.
pub(super) fn split<const N: usize>(bytes: &[u8]) -> ([u8; N], &[u8]) {
    bytes
        .split_first_chunk()
        .map_or(([0; N], &[]), |(first, rest)| (*first, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_its_documented_bytes() {
        let entry = Entry {
            log_offset: 0x0102_0304_0506_0708,
            size: 0x1112_1314,
            tags_code: -2,
        };
        let bytes = entry.encode();
        assert_eq!(bytes[..8], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(bytes[8..12], [0x11, 0x12, 0x13, 0x14]);
        assert_eq!(bytes[12..], [255, 255, 255, 255, 255, 255, 255, 254]);
        assert_eq!(Entry::decode(&bytes), entry);
        assert!(entry.is_plausible());
    }

    #[test]
    fn fillers_and_unwritten_space_point_nowhere() {
        assert!(Entry::decode(&Entry::FILLER.encode()).is_filler());
        assert!(!Entry::FILLER.is_plausible());
        let unwritten = Entry::decode(&[0; ENTRY_BYTES]);
        assert!(unwritten.is_unwritten());
        assert!(!unwritten.is_plausible());
    }
}
