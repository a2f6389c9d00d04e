//! The wheel: one slot for each tick of two weeks, in a file of 38 MB that is a hole wherever nothing waits.
//!
//! In memory there is one bit a slot: whether messages wait there. Slots are read and written where they lie.
//! As with Apache a slot is not cleared after its time; what counts is whether it lies before the time read so far.

use std::fs::File;
use std::io;
use std::path::Path;

use super::format::{SLOT_BYTES, SLOTS, Slot};
use crate::sys::platform;

const FILE_BYTES: u64 = SLOTS * SLOT_BYTES as u64;
const SCAN_BYTES: usize = 64 << 10;

/// The wheel's file and which of its slots wait.
#[derive(Debug)]
pub(crate) struct Wheel {
    file: File,
    waiting: Vec<u64>,
}

fn place(time: i64) -> u64 {
    time.rem_euclid(SLOTS.cast_signed()).cast_unsigned()
}

impl Wheel {
    /// Opens the file. The flag is true when it had to be made.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, bool)> {
        let file = platform::open_write(path)?;
        let length = file.metadata()?.len();
        if length != FILE_BYTES {
            file.set_len(0)?;
            file.set_len(FILE_BYTES)?;
        }
        let words = usize::try_from(SLOTS.div_ceil(64)).map_err(io::Error::other)?;
        let waiting = vec![0; words];
        Ok((Self { file, waiting }, length != FILE_BYTES))
    }

    /// The slot of a time (already divided by the precision).
    pub(crate) fn slot(&self, time: i64) -> io::Result<Slot> {
        let mut bytes = [0; SLOT_BYTES];
        platform::read_full_at(&self.file, &mut bytes, place(time) * SLOT_BYTES as u64)?;
        let slot = Slot::decode(&bytes).filter(|slot| slot.time == time && slot.last >= 0);
        Ok(slot.unwrap_or(Slot::empty(time)))
    }

    /// Writes a slot.
    pub(crate) fn write(&self, slot: &Slot) -> io::Result<()> {
        let at = place(slot.time) * SLOT_BYTES as u64;
        platform::write_all_at(&self.file, &slot.encode(), at)
    }

    /// Says whether messages wait in the slot of a time.
    pub(crate) fn set_waiting(&mut self, time: i64, waits: bool) {
        let place = place(time);
        let word = usize::try_from(place / 64).ok();
        if let Some(word) = word.and_then(|word| self.waiting.get_mut(word)) {
            let bit = 1 << (place % 64);
            if waits {
                *word |= bit;
            } else {
                *word &= !bit;
            }
        }
    }

    /// The first time at or after `from` with messages. All that wait lie within one turn of the wheel.
    pub(crate) fn next_waiting(&self, from: i64) -> Option<i64> {
        let start = place(from);
        let words = self.waiting.len();
        let first = usize::try_from(start / 64).ok()?;
        let ahead = !0_u64 << (start % 64);
        for turn in 0..=words {
            let index = (first + turn) % words;
            let mut word = *self.waiting.get(index)?;
            if turn == 0 {
                word &= ahead;
            } else if turn == words {
                word &= !ahead;
            }
            if word != 0 {
                let found = index as u64 * 64 + u64::from(word.trailing_zeros());
                let distance = (found + SLOTS - start) % SLOTS;
                return Some(from.saturating_add(distance.cast_signed()));
            }
        }
        None
    }

    /// Calls `found` with every slot of the file that has a time at or after `from`.
    pub(crate) fn scan(&self, from: i64, mut found: impl FnMut(Slot)) -> io::Result<()> {
        let mut buffer = vec![0; SCAN_BYTES];
        let mut at = 0;
        while let Some(data) = platform::next_data(&self.file, at) {
            at = data / SLOT_BYTES as u64 * SLOT_BYTES as u64;
            let read = platform::read_full_at(&self.file, &mut buffer, at)?;
            if read < SLOT_BYTES {
                break;
            }
            let slots = buffer.get(..read).unwrap_or_default();
            for slot in slots.chunks_exact(SLOT_BYTES).filter_map(Slot::decode) {
                // A slot that lies at another slot's place is damage.
                let here = place(slot.time) == at / SLOT_BYTES as u64;
                if here && slot.time >= from && slot.time > 0 && slot.last >= 0 {
                    found(slot);
                }
                at += SLOT_BYTES as u64;
            }
        }
        Ok(())
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_found_by_time_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("timerwheel");
        let (mut wheel, made) = Wheel::open(&path).unwrap();
        assert!(made);
        let turn = SLOTS.cast_signed();
        let base = 1_795_313_742;
        let slot = Slot {
            time: base + 70,
            first: 0,
            last: 52,
            count: 2,
            magic: 0,
        };
        wheel.write(&slot).unwrap();
        assert_eq!(wheel.slot(base + 70).unwrap(), slot);
        let other = base + 70 + turn;
        assert_eq!(wheel.slot(other).unwrap(), Slot::empty(other));
        assert_eq!(wheel.next_waiting(base), None);
        for time in [base + 70, base + turn - 1, base] {
            wheel.set_waiting(time, true);
        }
        assert_eq!(wheel.next_waiting(base), Some(base));
        assert_eq!(wheel.next_waiting(base + 1), Some(base + 70));
        assert_eq!(wheel.next_waiting(base + 71), Some(base + turn - 1));
        wheel.set_waiting(base, false);
        assert_eq!(wheel.next_waiting(base), Some(base + 70));
        let mut found = Vec::new();
        let (again, made) = Wheel::open(&path).unwrap();
        again.scan(base, |slot| found.push(slot)).unwrap();
        assert!(!made);
        assert_eq!(found, [slot]);
        std::fs::write(&path, b"short").unwrap();
        assert!(
            Wheel::open(&path).unwrap().1,
            "a file of another length is made anew"
        );
    }
}
