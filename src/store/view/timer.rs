//! Reads the timer's files: the wheel's slots, the units they lead to, and how far the timer has got.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{ViewError, segments};
use crate::store::layout::SegmentFile;
use crate::store::timer::format::{
    Check, FILLER_BYTES, SLOT_BYTES, SLOTS, Slot, UNIT_BYTES, Unit, is_filler,
};
use crate::store::window::Window;
use crate::sys::platform;

/// Slots read at a time.
const SCAN_BYTES: usize = 64 << 10;
/// Lists jump about in the timer log, but their units tend to lie close together.
const READ_AHEAD_BYTES: usize = 64 << 10;

/// What lies at a place of the timer log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerItem {
    /// A message that waits, or waited.
    Unit(Unit),
    /// Nothing more in this file.
    End,
    /// Bytes that are no unit.
    Damaged,
}

/// The timer's files of one store, opened for reading only.
#[derive(Debug)]
pub struct TimerView {
    wheel_path: PathBuf,
    wheel: Option<File>,
    files: Vec<SegmentFile>,
    /// The file last read, by its place in `files`.
    open: Option<(usize, Window)>,
    check: Option<Check>,
}

impl TimerView {
    /// Opens the timer's files below a store directory; those that are missing hold nothing.
    pub fn open(dir: &Path) -> Result<Self, ViewError> {
        let wheel_path = dir.join("timerwheel");
        let wheel = match platform::open_read(&wheel_path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(ViewError::unreadable(&wheel_path, error)),
        };
        let check_path = dir.join("config").join("timercheck");
        let check = match std::fs::read(&check_path) {
            Ok(bytes) => Some(Check::decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(ViewError::unreadable(&check_path, error)),
        };
        Ok(Self {
            wheel_path,
            wheel,
            files: segments(&dir.join("timerlog"))?,
            open: None,
            check,
        })
    }

    /// Whether the store has a timer at all.
    pub fn is_there(&self) -> bool {
        self.wheel.is_some() || !self.files.is_empty()
    }

    /// How far the timer had got when this was opened; `None` without such a file.
    pub fn check(&self) -> Option<Check> {
        self.check
    }

    /// The files of the timer log, by position.
    pub fn files(&self) -> &[SegmentFile] {
        &self.files
    }

    /// The length of the wheel's file; `None` if there is none.
    pub fn wheel_bytes(&self) -> Option<u64> {
        Some(self.wheel.as_ref()?.metadata().ok()?.len())
    }

    /// Calls `found` with every slot that was ever used, in the order they lie in. The flag says whether the slot lies
    /// where its time belongs.
    pub fn slots(&self, mut found: impl FnMut(Slot, bool)) -> Result<(), ViewError> {
        let Some(wheel) = &self.wheel else {
            return Ok(());
        };
        let mut buffer = vec![0; SCAN_BYTES];
        let mut at = 0;
        while let Some(data) = platform::next_data(wheel, at) {
            at = data / SLOT_BYTES as u64 * SLOT_BYTES as u64;
            let read = platform::read_full_at(wheel, &mut buffer, at)
                .map_err(|error| ViewError::unreadable(&self.wheel_path, error))?;
            if read < SLOT_BYTES {
                break;
            }
            let slots = buffer.get(..read).unwrap_or_default();
            for slot in slots.chunks_exact(SLOT_BYTES).filter_map(Slot::decode) {
                let place = slot.time.rem_euclid(SLOTS.cast_signed()).cast_unsigned();
                if slot.time != 0 {
                    found(slot, place == at / SLOT_BYTES as u64);
                }
                at += SLOT_BYTES as u64;
            }
        }
        Ok(())
    }

    /// The unit at a position of the timer log; `None` if there is none.
    pub fn unit(&mut self, at: i64) -> Result<Option<Unit>, ViewError> {
        let Ok(at) = u64::try_from(at) else {
            return Ok(None);
        };
        let behind = self.files.partition_point(|file| file.base <= at);
        let Some((index, file)) = behind
            .checked_sub(1)
            .and_then(|index| Some((index, self.files.get(index)?)))
        else {
            return Ok(None);
        };
        let place = at - file.base;
        Ok(match self.bytes(index, place)? {
            Some(bytes) => Unit::decode(&bytes),
            None => None,
        })
    }

    /// The units of a slot, newest first, each with its position, and whether the list is whole: it ends at its first
    /// unit, and as many as the slot counts are on it. Lists longer than `limit` end there.
    pub fn list(
        &mut self,
        slot: &Slot,
        limit: usize,
    ) -> Result<(Vec<(i64, Unit)>, bool), ViewError> {
        let mut found = Vec::new();
        let mut at = slot.last;
        while at >= 0 && found.len() < limit {
            let Some(unit) = self.unit(at)? else {
                return Ok((found, false));
            };
            found.push((at, unit));
            if unit.previous >= at {
                return Ok((found, false));
            }
            at = unit.previous;
        }
        let whole = at < 0 && found.last().is_none_or(|(first, _)| *first == slot.first);
        Ok((found, whole))
    }

    /// Calls `found` with what lies in the timer log, file after file, each with its position.
    pub fn walk(&mut self, mut found: impl FnMut(u64, TimerItem)) -> Result<(), ViewError> {
        for index in 0..self.files.len() {
            let Some((base, len)) = self.files.get(index).map(|file| (file.base, file.len)) else {
                break;
            };
            let mut place = 0;
            let item = loop {
                if place + UNIT_BYTES as u64 + FILLER_BYTES as u64 > len {
                    break TimerItem::End;
                }
                let Some(bytes) = self.bytes(index, place)? else {
                    break TimerItem::End;
                };
                match Unit::decode(&bytes) {
                    Some(unit) => found(base + place, TimerItem::Unit(unit)),
                    None if is_filler(&bytes) || bytes.iter().all(|&byte| byte == 0) => {
                        break TimerItem::End;
                    }
                    None => break TimerItem::Damaged,
                }
                place += UNIT_BYTES as u64;
            };
            found(base + place, item);
        }
        Ok(())
    }

    fn bytes(&mut self, index: usize, place: u64) -> Result<Option<[u8; UNIT_BYTES]>, ViewError> {
        let path = self
            .files
            .get(index)
            .map(|file| file.path.clone())
            .unwrap_or_default();
        let failed = |error| ViewError::unreadable(&path, error);
        let mut window = match self.open.take() {
            Some((open, window)) if open == index => window,
            _ => Window::open(&path)
                .map_err(failed)?
                .reading_ahead(READ_AHEAD_BYTES),
        };
        let bytes = window.array(place).map_err(failed);
        self.open = Some((index, window));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::layout::segment_name;
    use crate::store::timer::format::{KIND_DEFAULT, NONE, encode_filler};

    fn unit(previous: i64, log_offset: i64) -> Unit {
        Unit {
            previous,
            kind: KIND_DEFAULT,
            written_ms: 1000,
            delay_ms: 5000,
            log_offset,
            size: 100,
            topic_hash: 0,
        }
    }

    fn write(dir: &Path, bytes: &[u8], slot: Slot) {
        std::fs::create_dir_all(dir.join("timerlog")).unwrap();
        std::fs::write(dir.join("timerlog").join(segment_name(0)), bytes).unwrap();
        let place = usize::try_from(slot.time.rem_euclid(SLOTS.cast_signed())).unwrap();
        let mut wheel = vec![0; (place + 3) * SLOT_BYTES];
        wheel[place * SLOT_BYTES..][..SLOT_BYTES].copy_from_slice(&slot.encode());
        std::fs::write(dir.join("timerwheel"), wheel).unwrap();
    }

    #[test]
    fn slots_lead_to_their_units() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = [unit(NONE, 0).encode(), unit(0, 100).encode()].concat();
        bytes.extend(encode_filler(40));
        bytes.resize(160, 0);
        let slot = Slot {
            time: 6,
            first: 0,
            last: 52,
            count: 2,
            magic: 0,
        };
        write(dir.path(), &bytes, slot);
        let mut view = TimerView::open(dir.path()).unwrap();
        assert!(view.is_there());
        assert_eq!(view.check(), None);
        let mut slots = Vec::new();
        view.slots(|slot, at_home| slots.push((slot, at_home)))
            .unwrap();
        assert_eq!(slots, [(slot, true)]);
        let (units, whole) = view.list(&slot, 10).unwrap();
        let offsets: Vec<i64> = units.iter().map(|(_, unit)| unit.log_offset).collect();
        assert_eq!((offsets, whole), (vec![100, 0], true));
        let mut items = Vec::new();
        view.walk(|at, item| items.push((at, matches!(item, TimerItem::Unit(_)))))
            .unwrap();
        assert_eq!(items, [(0, true), (52, true), (104, false)]);
        assert_eq!(view.unit(51).unwrap(), None);
        assert_eq!(view.unit(-1).unwrap(), None);
    }

    proptest! {
        #[test]
        fn random_files_never_panic_and_always_end(
            bytes in proptest::collection::vec(any::<u8>(), 0..500),
            flips in proptest::collection::vec((0..156_usize, any::<u8>()), 0..12),
            time in 1..50_i64, first in -2..200_i64, last in -2..200_i64,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut damaged = [unit(NONE, 0), unit(0, 9), unit(52, 18)].map(|unit| unit.encode()).concat();
            for (at, value) in flips {
                damaged[at] = value;
            }
            for bytes in [bytes, damaged] {
                let slot = Slot { time, first, last, count: 3, magic: 0 };
                write(dir.path(), &bytes, slot);
                let mut view = TimerView::open(dir.path()).unwrap();
                let mut slots = Vec::new();
                view.slots(|slot, _| slots.push(slot)).unwrap();
                prop_assert_eq!(slots.len(), 1);
                prop_assert!(view.list(&slots[0], 100).unwrap().0.len() <= 10);
                view.walk(|_, _| {}).unwrap();
            }
        }
    }
}
