//! Reads one key index file.

use std::io;
use std::path::{Path, PathBuf};

use super::ViewError;
use crate::store::index::format::{
    ENTRY_BYTES, Geometry, HEADER_BYTES, Header, IndexEntry, KeyHash, SLOT_BYTES,
};
use crate::store::window::Window;

/// Up to this size every split of a file into slots and entries is tried. Larger ones are not made by hand.
const TRY_ALL_BYTES: u64 = 4 << 20;
/// How much of a larger file is read at a time: lists of entries jump about.
const READ_AHEAD_BYTES: usize = 16 << 10;
/// Up to how many of the newest entries must be found through their slots before a split is believed.
const WITNESSES: u32 = 16;

/// One key index file: its header, slots and entries.
#[derive(Debug)]
pub struct IndexView {
    path: PathBuf,
    window: Window,
    len: u64,
    header: Header,
    geometry: Option<Geometry>,
}

impl IndexView {
    /// Opens the index file at `path`.
    ///
    /// The number of slots is not in the file. It is inferred: every entry has to be reachable from the slot
    /// its hash falls into, which holds for one split of the file only.
    pub fn open(path: &Path) -> Result<Self, ViewError> {
        let refused = |source| ViewError::unreadable(path, source);
        let len = std::fs::metadata(path).map_err(refused)?.len();
        let window = Window::open(path).map_err(refused)?;
        Self::read(path.to_owned(), window, len).map_err(refused)
    }

    /// Takes bytes for an index file.
    pub fn over_memory(bytes: Vec<u8>) -> Result<Self, ViewError> {
        let len = bytes.len() as u64;
        let refused = |source| ViewError::unreadable(Path::new(""), source);
        Self::read(PathBuf::new(), Window::memory(bytes), len).map_err(refused)
    }

    fn read(path: PathBuf, window: Window, len: u64) -> io::Result<Self> {
        let ahead = match usize::try_from(len) {
            Ok(whole) if len <= TRY_ALL_BYTES => whole,
            _ => READ_AHEAD_BYTES,
        };
        let mut window = window.reading_ahead(ahead);
        let header = window
            .array::<HEADER_BYTES>(0)?
            .map(|bytes| Header::decode(&bytes))
            .unwrap_or_default();
        let mut view = Self {
            path,
            window,
            len,
            header,
            geometry: None,
        };
        view.geometry = view.infer_geometry()?;
        Ok(view)
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.len
    }

    /// The header as it was when the file was opened.
    pub fn header(&self) -> Header {
        self.header
    }

    /// How the file is split; `None` if no split makes sense of its entries.
    pub fn geometry(&self) -> Option<Geometry> {
        self.geometry
    }

    /// The number of the newest entry in a slot, 0 for none.
    pub fn slot(&mut self, slot: u32) -> Result<i32, ViewError> {
        let Some(geometry) = self.geometry.filter(|g| slot < g.slots) else {
            return Ok(0);
        };
        self.slot_of(geometry, slot)
            .map_err(|source| ViewError::unreadable(&self.path, source))
    }

    /// The entry of this number; `None` if it was never written or the file is too short for it.
    pub fn entry(&mut self, number: u32) -> Result<Option<IndexEntry>, ViewError> {
        let written = 1..=self.header.last_entry();
        let Some(geometry) = self.geometry.filter(|_| written.contains(&number)) else {
            return Ok(None);
        };
        self.entry_of(geometry, number)
            .map_err(|source| ViewError::unreadable(&self.path, source))
    }

    /// The entries filed under a hash, newest first, with their numbers.
    pub fn lookup(&mut self, hash: KeyHash) -> Result<Vec<(u32, IndexEntry)>, ViewError> {
        let mut found = Vec::new();
        let Some(geometry) = self.geometry else {
            return Ok(found);
        };
        let mut next = self.slot(hash.slot(geometry.slots))?;
        while let Ok(number) = u32::try_from(next)
            && let Some(entry) = self.entry(number)?
        {
            if entry.key_hash == hash.get() {
                found.push((number, entry));
            }
            // A list only ever goes to older entries; anything else is damage and could be a circle.
            if entry.previous >= next {
                break;
            }
            next = entry.previous;
        }
        Ok(found)
    }

    fn slot_of(&mut self, geometry: Geometry, slot: u32) -> io::Result<i32> {
        let bytes = self.window.array::<SLOT_BYTES>(geometry.slot_at(slot))?;
        Ok(bytes.map_or(0, i32::from_be_bytes))
    }

    fn entry_of(&mut self, geometry: Geometry, number: u32) -> io::Result<Option<IndexEntry>> {
        let bytes = self
            .window
            .array::<ENTRY_BYTES>(geometry.entry_at(number))?;
        Ok(bytes.map(|bytes| IndexEntry::decode(&bytes)))
    }

    fn infer_geometry(&mut self) -> io::Result<Option<Geometry>> {
        if self.len == Geometry::DEFAULT.file_bytes() && self.explains(Geometry::DEFAULT)? {
            return Ok(Some(Geometry::DEFAULT));
        }
        let Some(body) = self.len.checked_sub(HEADER_BYTES as u64) else {
            return Ok(None);
        };
        // Apache's defaults have four entries a slot; other counts are most often made in proportion.
        let usual = [4, 3, 2, 5, 8, 10, 1].map(|per_slot| body / (4 + 20 * per_slot));
        let all = if self.len <= TRY_ALL_BYTES {
            body / 4
        } else {
            0
        };
        for slots in usual.into_iter().chain(1..=all) {
            let entries = body.saturating_sub(4 * slots) / 20;
            if slots == 0 || entries == 0 || 4 * slots + 20 * entries != body {
                continue;
            }
            let (Ok(slots), Ok(entries)) = (u32::try_from(slots), u32::try_from(entries)) else {
                continue;
            };
            let geometry = Geometry { slots, entries };
            if self.explains(geometry)? {
                return Ok(Some(geometry));
            }
        }
        Ok(None)
    }

    /// Whether, with this split, the newest entries hang in the slots their hashes fall into, and the first
    /// one is the header's. A file without entries says nothing, so any split explains it.
    fn explains(&mut self, geometry: Geometry) -> io::Result<bool> {
        let last = self.header.last_entry();
        if last >= geometry.entries {
            return Ok(false);
        }
        if last == 0 {
            return Ok(true);
        }
        let first = self.entry_of(geometry, 1)?.unwrap_or_default();
        if first.log_offset != self.header.begin_log_offset || first.previous != 0 {
            return Ok(false);
        }
        let newest = self.entry_of(geometry, last)?.unwrap_or_default();
        if newest.log_offset != self.header.end_log_offset {
            return Ok(false);
        }
        for number in (1..=last).rev().take(WITNESSES as usize) {
            if !self.is_reachable(geometry, number, last)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_reachable(&mut self, geometry: Geometry, number: u32, last: u32) -> io::Result<bool> {
        let hash = self
            .entry_of(geometry, number)?
            .unwrap_or_default()
            .key_hash;
        let Some(slot) = u32::try_from(hash).ok().map(|hash| hash % geometry.slots) else {
            return Ok(false);
        };
        let mut next = self.slot_of(geometry, slot)?;
        // Only entries newer than the one looked for can stand before it.
        for _ in number..=last {
            match u32::try_from(next) {
                Ok(next) if next == number => return Ok(true),
                Ok(newer) if newer > number && newer <= last => {
                    next = self.entry_of(geometry, newer)?.unwrap_or_default().previous;
                }
                _ => return Ok(false),
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::index::format::seconds_since;

    /// A file with these keys of topic `t`, one message each, as a broker would write it.
    fn file(geometry: Geometry, keys: &[&str]) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(geometry.file_bytes()).unwrap()];
        let mut header = Header {
            begin_timestamp_ms: 1000,
            next_entry: 1,
            ..Header::default()
        };
        for (i, key) in keys.iter().enumerate() {
            let log_offset = i64::try_from(i).unwrap() * 100;
            let store_ms = 1000 + log_offset * 20;
            let hash = KeyHash::of_key("t", key);
            let slot = usize::try_from(geometry.slot_at(hash.slot(geometry.slots))).unwrap();
            let previous = i32::from_be_bytes(*bytes[slot..].first_chunk().unwrap());
            let entry = IndexEntry {
                key_hash: hash.get(),
                log_offset,
                seconds: seconds_since(1000, store_ms),
                previous,
            };
            let number = header.next_entry;
            let at = usize::try_from(geometry.entry_at(number.cast_unsigned())).unwrap();
            bytes[at..at + ENTRY_BYTES].copy_from_slice(&entry.encode());
            bytes[slot..slot + 4].copy_from_slice(&number.to_be_bytes());
            header.slots_used += i32::from(previous == 0);
            header.next_entry += 1;
            header.end_log_offset = log_offset;
            header.end_timestamp_ms = store_ms;
        }
        bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
        bytes
    }

    #[test]
    fn the_split_is_inferred_from_the_entries() {
        let keys: Vec<String> = (0..9).map(|i| format!("key{i}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        for (slots, entries) in [(5, 20), (7, 10), (11, 30), (1, 10)] {
            let geometry = Geometry { slots, entries };
            let view = IndexView::over_memory(file(geometry, &keys)).unwrap();
            assert_eq!(view.geometry(), Some(geometry));
        }
    }

    #[test]
    fn keys_are_found_newest_first() {
        let geometry = Geometry {
            slots: 2,
            entries: 10,
        };
        let bytes = file(geometry, &["a", "b", "a", "c"]);
        let mut view = IndexView::over_memory(bytes).unwrap();
        let mut numbers = |key| -> Vec<u32> {
            let found = view.lookup(KeyHash::of_key("t", key)).unwrap();
            found.iter().map(|(number, _)| *number).collect()
        };
        assert_eq!(numbers("a"), [3, 1]);
        assert_eq!(numbers("c"), [4]);
        assert_eq!(numbers("x"), Vec::<u32>::new());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic_and_always_end(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            flips in proptest::collection::vec((0..300_usize, any::<u8>()), 0..20),
        ) {
            let geometry = Geometry { slots: 5, entries: 10 };
            let mut damaged = file(geometry, &["a", "b", "c", "a"]);
            let len = damaged.len();
            for (at, value) in flips {
                damaged[at % len] = value;
            }
            for bytes in [bytes, damaged] {
                let mut view = IndexView::over_memory(bytes).unwrap();
                for key in ["a", "b", "c", "d"] {
                    view.lookup(KeyHash::of_key("t", key)).unwrap();
                }
                view.slot(3).unwrap();
                view.entry(1).unwrap();
            }
        }
    }
}
