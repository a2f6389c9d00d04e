//! The bytes of the timer's files: units of the timer log, slots of the wheel, the checkpoint.
//!
//! All three are Apache's (`TimerLog`, `Slot`, `TimerCheckpoint` of 5.5.0), big-endian. Behind the checkpoint's own
//! numbers, where Apache leaves the file's page untouched, one number of ours is kept; see [`Check::scan_from`].
//!
//! Absent on purpose: files. Everything here is from bytes to values and back.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

/// Bytes of a unit.
pub const UNIT_BYTES: usize = 52;
/// Bytes of the filler behind the last unit of a file.
pub const FILLER_BYTES: usize = 16;
/// What a filler has where a unit has its kind.
pub const FILLER_MAGIC: i32 = i32::from_be_bytes([0xcb, 0xd4, 0x31, 0x94]);
/// Bytes of a slot.
pub const SLOT_BYTES: usize = 32;
/// How many slots the wheel has: two weeks of seconds, whatever the precision.
pub const SLOTS: u64 = 2 * 7 * 86_400;
/// Bytes of the checkpoint's own numbers, as a slave asks for them.
pub const CHECK_BYTES: usize = 56;
/// Bytes of the checkpoint file.
pub const CHECK_FILE_BYTES: usize = 4096;

/// Every unit has this bit.
pub const KIND_DEFAULT: i32 = 1;
/// The message goes back to the timer topic when its slot comes: it is due later than the wheel looks ahead.
pub const KIND_ROLL: i32 = 2;
/// The message takes another one back.
pub const KIND_DELETE: i32 = 4;

/// No unit comes before.
pub const NONE: i64 = -1;

const SCAN_MAGIC: u64 = 0x524d_515f_5449_4d45;
const SCAN_AT: usize = 4080;

const _: () = assert!(SLOTS * SLOT_BYTES as u64 == 38_707_200);

fn long(bytes: &[u8], at: usize) -> Option<i64> {
    Some(i64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn int(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// One message that waits, in the timer log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Where the slot's unit before this one is; [`NONE`] for the first.
    pub previous: i64,
    /// [`KIND_DEFAULT`], with [`KIND_ROLL`] and [`KIND_DELETE`].
    pub kind: i32,
    /// When it was written, cut down to the precision, ms since 1970.
    pub written_ms: i64,
    /// The slot's time, counted from then.
    pub delay_ms: i32,
    /// Where the message's record is in the commit log.
    pub log_offset: i64,
    /// The length of that record.
    pub size: i32,
    /// The Java hash of the topic the message goes to.
    pub topic_hash: i32,
}

impl Unit {
    /// The time of the slot it belongs to, ms since 1970.
    pub fn slot_ms(&self) -> i64 {
        self.written_ms.saturating_add(i64::from(self.delay_ms))
    }

    /// Its bytes.
    pub fn encode(&self) -> [u8; UNIT_BYTES] {
        let mut bytes = Vec::with_capacity(UNIT_BYTES);
        bytes.extend_from_slice(&52_i32.to_be_bytes());
        bytes.extend_from_slice(&self.previous.to_be_bytes());
        bytes.extend_from_slice(&self.kind.to_be_bytes());
        bytes.extend_from_slice(&self.written_ms.to_be_bytes());
        bytes.extend_from_slice(&self.delay_ms.to_be_bytes());
        bytes.extend_from_slice(&self.log_offset.to_be_bytes());
        bytes.extend_from_slice(&self.size.to_be_bytes());
        bytes.extend_from_slice(&self.topic_hash.to_be_bytes());
        bytes.extend_from_slice(&0_i64.to_be_bytes());
        bytes.try_into().unwrap_or([0; UNIT_BYTES])
    }

    /// Reads a unit; `None` if the bytes are none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let unit = Self {
            previous: long(bytes, 4)?,
            kind: int(bytes, 12)?,
            written_ms: long(bytes, 16)?,
            delay_ms: int(bytes, 24)?,
            log_offset: long(bytes, 28)?,
            size: int(bytes, 36)?,
            topic_hash: int(bytes, 40)?,
        };
        let known = unit.kind & KIND_DEFAULT != 0 && unit.kind & !0xf == 0;
        let whole = bytes.len() >= UNIT_BYTES && int(bytes, 0)? == 52;
        (known && whole && unit.log_offset >= 0 && unit.size > 0).then_some(unit)
    }
}

/// The filler behind the last unit of a file that has `left` bytes left.
pub fn encode_filler(left: u32) -> [u8; FILLER_BYTES] {
    let mut bytes = [0; FILLER_BYTES];
    let (size, rest) = bytes.split_at_mut(4);
    size.copy_from_slice(&left.to_be_bytes());
    let (_, magic) = rest.split_at_mut(8);
    magic.copy_from_slice(&FILLER_MAGIC.to_be_bytes());
    bytes
}

/// Whether a filler begins here.
pub fn is_filler(bytes: &[u8]) -> bool {
    int(bytes, 12) == Some(FILLER_MAGIC)
}

/// One slot of the wheel: the messages of one time, a list through the timer log from the last to the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its time, divided by the precision. The slot holds nothing for any other time.
    pub time: i64,
    /// The first unit.
    pub first: i64,
    /// The last unit.
    pub last: i64,
    /// How many messages; one that takes another back counts −1.
    pub count: i32,
    /// Unused by Apache, and kept.
    pub magic: i32,
}

impl Slot {
    /// A slot without messages.
    pub const fn empty(time: i64) -> Self {
        Self {
            time,
            first: NONE,
            last: NONE,
            count: 0,
            magic: 0,
        }
    }

    /// Its bytes.
    pub fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = Vec::with_capacity(SLOT_BYTES);
        bytes.extend_from_slice(&self.time.to_be_bytes());
        bytes.extend_from_slice(&self.first.to_be_bytes());
        bytes.extend_from_slice(&self.last.to_be_bytes());
        bytes.extend_from_slice(&self.count.to_be_bytes());
        bytes.extend_from_slice(&self.magic.to_be_bytes());
        bytes.try_into().unwrap_or([0; SLOT_BYTES])
    }

    /// Reads a slot; `None` if the bytes are too few.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            time: long(bytes, 0)?,
            first: long(bytes, 8)?,
            last: long(bytes, 16)?,
            count: int(bytes, 24)?,
            magic: int(bytes, 28)?,
        })
    }
}

/// `config/timercheck`: how far the timer has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// Every slot before this time has been delivered, ms since 1970.
    pub read_ms: i64,
    /// How far the timer log is on the disk.
    pub flushed: i64,
    /// Every message of the timer topic before this offset is in the timer log or was delivered.
    pub queue_offset: i64,
    /// The same, as the master of a slave says it.
    pub master_queue_offset: i64,
    /// Data version.
    pub state_version: i64,
    /// Data version: when it changed, ms since 1970.
    pub changed_ms: i64,
    /// Data version: how often it changed.
    pub counter: i64,
    /// Ours: what was delivered behind the numbers above lies in the commit log at or behind this position. A start
    /// after a crash looks there and delivers nothing twice. `None` in a file of Apache's.
    pub scan_from: Option<u64>,
}

impl Check {
    /// The numbers, as a slave asks for them.
    pub fn encode(&self) -> [u8; CHECK_BYTES] {
        let mut bytes = Vec::with_capacity(CHECK_BYTES);
        for number in [
            self.read_ms,
            self.flushed,
            self.queue_offset,
            self.master_queue_offset,
            self.state_version,
            self.changed_ms,
            self.counter,
        ] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.try_into().unwrap_or([0; CHECK_BYTES])
    }

    /// The file. Our own number is tied to the others: once Apache has written its own, ours counts no more.
    pub fn encode_file(&self) -> Vec<u8> {
        let mut file = self.encode().to_vec();
        if let Some(from) = self.scan_from {
            file.resize(SCAN_AT, 0);
            file.extend_from_slice(&from.to_be_bytes());
            file.extend_from_slice(&self.seal(from).to_be_bytes());
        }
        file.resize(CHECK_FILE_BYTES, 0);
        file
    }

    fn seal(&self, from: u64) -> u64 {
        let mut seal = SCAN_MAGIC ^ from;
        for number in [
            self.read_ms,
            self.queue_offset,
            self.changed_ms,
            self.counter,
        ] {
            seal = seal.rotate_left(13) ^ number.cast_unsigned();
        }
        seal
    }

    /// Reads the file or an answer. What is missing at the end counts as 0.
    pub fn decode(bytes: &[u8]) -> Self {
        let number = |at| long(bytes, at).unwrap_or(0);
        let mut check = Self {
            read_ms: number(0),
            flushed: number(8),
            queue_offset: number(16),
            master_queue_offset: number(24),
            state_version: number(32),
            changed_ms: number(40),
            counter: number(48),
            scan_from: None,
        };
        let ours = long(bytes, SCAN_AT).map(i64::cast_unsigned);
        let seal = long(bytes, SCAN_AT.saturating_add(8)).map(i64::cast_unsigned);
        check.scan_from = ours.filter(|from| seal == Some(check.seal(*from)));
        check
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_filler_is_no_unit() {
        let filler = encode_filler(40);
        assert!(is_filler(&filler));
        assert_eq!(filler[..4], [0, 0, 0, 40]);
        assert_eq!(Unit::decode(&[filler.as_slice(), &[0; 60]].concat()), None);
        assert_eq!(Unit::decode(&[0; UNIT_BYTES]), None);
    }

    #[test]
    fn our_number_counts_only_beside_the_numbers_it_was_written_with() {
        let check = Check {
            read_ms: 5,
            scan_from: Some(77),
            ..Check::default()
        };
        let mut file = check.encode_file();
        assert_eq!(file.len(), CHECK_FILE_BYTES);
        assert_eq!(Check::decode(&file), check);
        file[7] = 6;
        assert_eq!(Check::decode(&file).scan_from, None);
    }

    proptest! {
        #[test]
        fn units_round_trip(previous: i64, written_ms: i64, delay_ms: i32, log_offset in 0..i64::MAX, size in 1..i32::MAX, topic_hash: i32, kind in 0..8) {
            let unit = Unit { previous, kind: kind * 2 + 1, written_ms, delay_ms, log_offset, size, topic_hash };
            prop_assert_eq!(Unit::decode(&unit.encode()), Some(unit));
        }

        #[test]
        fn slots_and_checks_round_trip(time: i64, first: i64, last: i64, count: i32, magic: i32, from: Option<u64>) {
            let slot = Slot { time, first, last, count, magic };
            prop_assert_eq!(Slot::decode(&slot.encode()), Some(slot));
            let check = Check { read_ms: time, flushed: first, queue_offset: last, changed_ms: time, counter: first, scan_from: from, ..Check::default() };
            prop_assert_eq!(Check::decode(&check.encode_file()), check);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4200)) {
            let _ = (Unit::decode(&bytes), Slot::decode(&bytes), Check::decode(&bytes), is_filler(&bytes));
        }
    }
}
