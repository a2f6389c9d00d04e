//! The bytes of a key index file.
//!
//! A header of 40 bytes, then hash slots of 4 bytes (the number of the slot's newest entry, 0 for none),
//! then entries of 20 bytes; an entry names the previous one of its slot, so a slot is a list from the
//! newest to the oldest. Entry 0 is never used. Keys themselves are not stored, only a hash: whoever looks
//! a key up compares the message.
//!
//! Which keys a message is found by is said in one place, [`MessageKeys`], in the order of Apache 5.5.0.
//!
//! Absent on purpose: the time part of a lookup and everything that writes a file.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::message::hash::{java_hash_on, java_string_hash};
use crate::message::{Properties, names};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 40;
/// Bytes of a hash slot.
pub const SLOT_BYTES: usize = 4;
/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 20;

const _: () = assert!(4 * 8 + 2 * 4 == HEADER_BYTES);
const _: () = assert!(4 + 8 + 4 + 4 == ENTRY_BYTES);

/// The counts a file is laid out for. They are not in the file: a broker knows them from its configuration,
/// and a reader without one infers them (`View`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// How many hash slots there are (`maxHashSlotNum`).
    pub slots: u32,
    /// How many entries there is room for, the unused entry 0 included (`maxIndexNum`).
    pub entries: u32,
}

impl Geometry {
    /// Apache's default.
    pub const DEFAULT: Self = Self {
        slots: crate::store::layout::INDEX_SLOTS,
        entries: crate::store::layout::INDEX_ENTRIES,
    };

    /// Bytes of a whole file.
    pub fn file_bytes(self) -> u64 {
        self.entry_at(self.entries)
    }

    /// Where a slot lies.
    pub fn slot_at(self, slot: u32) -> u64 {
        let before = u64::from(slot).saturating_mul(SLOT_BYTES as u64);
        before.saturating_add(HEADER_BYTES as u64)
    }

    /// Where an entry lies.
    pub fn entry_at(self, number: u32) -> u64 {
        let before = u64::from(number).saturating_mul(ENTRY_BYTES as u64);
        self.slot_at(self.slots).saturating_add(before)
    }
}

/// The first 40 bytes of an index file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Store time of the first message, ms.
    pub begin_timestamp_ms: i64,
    /// Store time of the last message, ms.
    pub end_timestamp_ms: i64,
    /// Log position of the first message.
    pub begin_log_offset: i64,
    /// Log position of the last message.
    pub end_log_offset: i64,
    /// How many slots are in use.
    pub slots_used: i32,
    /// The number the next entry will have. A file without entries holds 0 or 1; the first entry is number 1.
    pub next_entry: i32,
}

impl Header {
    /// Reads the header.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Self {
        let mut fields = Fields(bytes);
        Self {
            begin_timestamp_ms: fields.long(),
            end_timestamp_ms: fields.long(),
            begin_log_offset: fields.long(),
            end_log_offset: fields.long(),
            slots_used: fields.int(),
            next_entry: fields.int(),
        }
    }

    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let longs = [
            self.begin_timestamp_ms,
            self.end_timestamp_ms,
            self.begin_log_offset,
            self.end_log_offset,
        ];
        let ints = [self.slots_used, self.next_entry];
        let fields = longs
            .into_iter()
            .flat_map(i64::to_be_bytes)
            .chain(ints.into_iter().flat_map(i32::to_be_bytes));
        for (place, byte) in bytes.iter_mut().zip(fields) {
            *place = byte;
        }
        bytes
    }

    /// The number of the last entry written; 0 if there is none.
    pub fn last_entry(&self) -> u32 {
        u32::try_from(self.next_entry)
            .unwrap_or(0)
            .saturating_sub(1)
    }
}

/// One entry of an index file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexEntry {
    /// The hash of the key ([`KeyHash`]).
    pub key_hash: i32,
    /// Where the message's record lies in the log.
    pub log_offset: i64,
    /// Whole seconds from the file's begin timestamp to the message's store time, never negative.
    pub seconds: i32,
    /// The number of the next older entry of the same slot; 0 at the end of the list.
    pub previous: i32,
}

impl IndexEntry {
    /// Reads an entry.
    pub fn decode(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let mut fields = Fields(bytes);
        Self {
            key_hash: fields.int(),
            log_offset: fields.long(),
            seconds: fields.int(),
            previous: fields.int(),
        }
    }

    /// The entry's bytes.
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        // Whole words at their places: this is done for every key of every message.
        let mut bytes = [0; ENTRY_BYTES];
        let (hash, rest) = bytes.split_at_mut(4);
        let (offset, rest) = rest.split_at_mut(8);
        let (seconds, previous) = rest.split_at_mut(4);
        hash.copy_from_slice(&self.key_hash.to_be_bytes());
        offset.copy_from_slice(&self.log_offset.to_be_bytes());
        seconds.copy_from_slice(&self.seconds.to_be_bytes());
        previous.copy_from_slice(&self.previous.to_be_bytes());
        bytes
    }
}

/// Whole seconds from `begin_ms` to `store_ms` as an entry holds them. A begin of 0 means the file has no
/// first message yet.
pub fn seconds_since(begin_ms: i64, store_ms: i64) -> i32 {
    if begin_ms <= 0 {
        return 0;
    }
    let seconds = store_ms.saturating_sub(begin_ms).max(0) / 1000;
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

/// The hash under which a key is filed: the absolute value of the Java hash of `topic#key`, where the one
/// number without an absolute value becomes 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(i32);

impl KeyHash {
    /// The hash of a unique key or of one word of `KEYS`.
    pub fn of_key(topic: &str, key: &str) -> Self {
        Self::of_parts(&[topic, "#", key])
    }

    /// The hash under which 5.5.0 files the tags of a message.
    pub fn of_tags(topic: &str, tags: &str) -> Self {
        Self::of_parts(&[topic, "#T#", tags])
    }

    /// The same as [`KeyHash::of_key`] and [`KeyHash::of_tags`] for a topic whose own hash is known.
    pub(crate) fn within(topic_hash: i32, kind: KeyKind, key: &str) -> Self {
        let mark = match kind {
            KeyKind::Word => "#",
            KeyKind::Tags => "#T#",
        };
        let hash = java_hash_on(java_hash_on(topic_hash, mark), key);
        Self(hash.checked_abs().unwrap_or(0))
    }

    /// As `String.hashCode` of the joined parts, without joining them.
    fn of_parts(parts: &[&str]) -> Self {
        let hash = parts.iter().fold(0, |hash, part| java_hash_on(hash, part));
        Self(hash.checked_abs().unwrap_or(0))
    }

    /// The number as an entry holds it.
    pub fn get(self) -> i32 {
        self.0
    }

    /// The slot the hash falls into; 0 if there are no slots, which no real file has.
    pub fn slot(self, slots: u32) -> u32 {
        self.0.unsigned_abs().checked_rem(slots).unwrap_or(0)
    }
}

/// What a key is: the unique key or a word of `KEYS`, or all the tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// `topic#key`
    Word,
    /// `topic#T#tags`
    Tags,
}

/// What of a message decides which keys it is found by.
#[derive(Clone, Copy, Debug)]
pub struct MessageKeys<'a> {
    /// The topic the record is stored in.
    pub topic: &'a str,
    /// The property `UNIQ_KEY`.
    pub unique: Option<&'a str>,
    /// The property `KEYS`: words, separated by blanks.
    pub words: Option<&'a str>,
    /// The property `TAGS`.
    pub tags: Option<&'a str>,
    /// The system flag; records of a rolled-back transaction are not filed.
    pub sys_flag: i32,
}

const UNIQUE: &[u8] = names::UNIQ_KEY.as_bytes();
const WORDS: &[u8] = names::KEYS.as_bytes();
const TAGS: &[u8] = names::TAGS.as_bytes();

/// The two transaction bits of the system flag; both set means rolled back.
const TRANSACTION_ROLLBACK: i32 = 0xC;

impl<'a> MessageKeys<'a> {
    /// What the properties of a message say.
    pub(crate) fn of(topic: &'a str, properties: Properties<'a>, sys_flag: i32) -> Self {
        let mut keys = Self {
            topic,
            unique: None,
            words: None,
            tags: None,
            sys_flag,
        };
        for (name, value) in properties.raw_pairs() {
            let place = match name {
                UNIQUE => &mut keys.unique,
                WORDS => &mut keys.words,
                TAGS => &mut keys.tags,
                _ => continue,
            };
            // What is not text hides nothing that was there before.
            *place = std::str::from_utf8(value).ok().or(*place);
        }
        keys
    }

    /// The hashes to file the message under, in the order in which Apache writes their entries.
    ///
    /// Properties with an empty value count as absent, because Apache's property parser drops them.
    pub fn hashes(self) -> impl Iterator<Item = KeyHash> + 'a {
        self.hashes_within(java_string_hash(self.topic))
    }

    /// The same for a topic whose own hash is known.
    pub(crate) fn hashes_within(self, topic_hash: i32) -> impl Iterator<Item = KeyHash> + 'a {
        let filed = self.sys_flag & TRANSACTION_ROLLBACK != TRANSACTION_ROLLBACK;
        let present = move |value: Option<&'a str>| value.filter(|v| filed && !v.is_empty());
        let unique = present(self.unique).into_iter();
        let words = present(self.words)
            .into_iter()
            .flat_map(|words| words.split(' ').filter(|word| !word.is_empty()));
        let tags = present(self.tags).into_iter();
        unique
            .chain(words)
            .map(move |key| KeyHash::within(topic_hash, KeyKind::Word, key))
            .chain(tags.map(move |tags| KeyHash::within(topic_hash, KeyKind::Tags, tags)))
    }
}

/// Takes big-endian numbers off the front; past the end they are 0, which fixed-size input never reaches.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (first, rest) = self.0.split_first_chunk().unwrap_or((&[0; N], &[]));
        self.0 = rest;
        *first
    }

    fn long(&mut self) -> i64 {
        i64::from_be_bytes(self.take())
    }

    fn int(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_entry_survive_their_bytes() {
        let header = Header {
            begin_timestamp_ms: 1,
            end_timestamp_ms: 2,
            begin_log_offset: 3,
            end_log_offset: 4,
            slots_used: 5,
            next_entry: 6,
        };
        assert_eq!(Header::decode(&header.encode()), header);
        assert_eq!(header.encode()[32..], [0, 0, 0, 5, 0, 0, 0, 6]);
        assert_eq!(header.last_entry(), 5);
        assert_eq!(Header::default().last_entry(), 0);
        let entry = IndexEntry {
            key_hash: 7,
            log_offset: 8,
            seconds: 9,
            previous: 10,
        };
        assert_eq!(IndexEntry::decode(&entry.encode()), entry);
    }

    #[test]
    fn the_default_file_has_its_known_size() {
        assert_eq!(Geometry::DEFAULT.file_bytes(), 420_000_040);
    }

    #[test]
    fn hashes_are_javas() {
        // "polygenelubricants".hashCode() is Integer.MIN_VALUE.
        assert_eq!(KeyHash::of_parts(&["polygenelubricants"]).get(), 0);
        assert_eq!(KeyHash::of_parts(&["Aa"]), KeyHash::of_parts(&["BB"]));
        // The first entry of the golden store `plain`.
        let unique = KeyHash::of_key("GoldPlain", "7F0000017E964E0E2F2A6C8570F60000");
        assert_eq!(unique.get(), 1_421_551_152);
        assert_eq!(KeyHash::of_key("GoldPlain", "key-0").get(), 668_474_455);
        assert_eq!(KeyHash::of_tags("GoldPlain", "TagA").get(), 31_654_991);
    }

    #[test]
    fn a_message_is_filed_by_id_words_and_tags_in_that_order() {
        let keys = MessageKeys {
            topic: "t",
            unique: Some("U"),
            words: Some("a  b "),
            tags: Some("x"),
            sys_flag: 0,
        };
        let expected = [
            KeyHash::of_key("t", "U"),
            KeyHash::of_key("t", "a"),
            KeyHash::of_key("t", "b"),
            KeyHash::of_tags("t", "x"),
        ];
        assert_eq!(keys.hashes().collect::<Vec<_>>(), expected);
        let rolled_back = MessageKeys {
            sys_flag: 0xC,
            ..keys
        };
        assert_eq!(rolled_back.hashes().count(), 0);
    }

    #[test]
    fn seconds_are_whole_and_never_negative() {
        assert_eq!(seconds_since(1000, 2999), 1);
        assert_eq!(seconds_since(1000, 0), 0);
        assert_eq!(seconds_since(0, 5000), 0);
        assert_eq!(seconds_since(1, i64::MAX), i32::MAX);
    }
}
