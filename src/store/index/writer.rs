//! Appends to the key index.
//!
//! Entries are collected in memory and written in batches: slots page by page, entries in one write, the header last.
//! How they are batched changes nothing about the resulting bytes; they follow from the records and the names. An entry
//! learns its predecessor when its slot's page is read. Nothing is read through the map: on a file system in memory that
//! could need a page when there is none.
//!
//! Slots are hashes, so a small batch touches almost as many pages as it has entries. Larger batches are what makes the
//! index cheap: with [`WAITING_MAX`] entries a page of Apache's usual file is read and written for a dozen of them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::feed::Filed;
use super::format::{ENTRY_BYTES, Geometry, Header, IndexEntry, MessageKeys, seconds_since};
use super::name;
use crate::message::record::Record;
use crate::store::segment::{Handle, Segment};
use crate::sys::platform;

/// Written out when so many entries wait.
const WAITING_MAX: usize = 64 * 1024;
/// How much of the slots is read and written at a time: few entries change single pages, many change most of them.
const PAGE: u64 = 4096;
const PAGES: u64 = 16 * PAGE;
/// With so many entries for each page, pages are taken together.
const DENSE: u64 = 4;
/// Where an entry says which one was before it.
const PREVIOUS_AT: usize = ENTRY_BYTES - 4;

/// The file that is being filled.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) segment: Arc<Segment>,
    pub(crate) header: Header,
}

/// Appends to the newest index file and starts the next one when it is full.
#[derive(Debug)]
pub(crate) struct IndexWriter {
    dir: PathBuf,
    geometry: Geometry,
    /// All files, oldest first, the current one included.
    files: Vec<PathBuf>,
    current: Option<Current>,
    /// Encoded entries that are not in the file yet.
    entries: Vec<u8>,
    /// The slot and the number of each of them.
    slots: Vec<(u32, u32)>,
    /// The part of the slots that is being changed.
    page: Vec<u8>,
    /// The keys of the record that is being filed.
    keys: Vec<Filed>,
    /// Files written to since the last sync.
    dirty: Vec<Arc<Segment>>,
    /// The log position of the record added last, if any.
    last: Option<u64>,
    /// The end time of the newest full file that was synced.
    full_until_ms: i64,
}

impl IndexWriter {
    pub(crate) fn new(
        dir: &Path,
        geometry: Geometry,
        files: Vec<PathBuf>,
        current: Option<Current>,
        last: Option<u64>,
    ) -> Self {
        Self {
            dir: dir.to_owned(),
            geometry,
            files,
            current,
            entries: Vec::new(),
            slots: Vec::new(),
            page: Vec::new(),
            keys: Vec::new(),
            dirty: Vec::new(),
            last,
            full_until_ms: 0,
        }
    }

    pub(crate) fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// All files, oldest first.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Whether the record at `position` is filed already.
    pub(crate) fn has(&self, position: u64) -> bool {
        self.last.is_some_and(|last| last >= position)
    }

    /// The store time of the newest message of the newest file that is full and synced, ms.
    pub(crate) fn full_until_ms(&self) -> i64 {
        self.full_until_ms
    }

    /// Time and position of the message added last.
    pub(crate) fn newest(&self) -> (i64, i64) {
        self.current.as_ref().map_or((0, 0), |current| {
            (
                current.header.end_timestamp_ms,
                current.header.end_log_offset,
            )
        })
    }

    /// Files a record under its keys. `now_ms` names a new file.
    pub(crate) fn put(&mut self, record: &Record<'_>, now_ms: i64) -> io::Result<()> {
        let hashes = MessageKeys::of(record.topic, record.properties, record.sys_flag).hashes();
        let mut keys = std::mem::take(&mut self.keys);
        keys.clear();
        keys.extend(hashes.map(|hash| Filed {
            log_offset: record.physical_offset.unsigned_abs(),
            store_timestamp_ms: record.store_timestamp,
            hash,
        }));
        let put = keys.iter().try_for_each(|key| self.put_key(key, now_ms));
        self.keys = keys;
        put?;
        self.last = u64::try_from(record.physical_offset).ok();
        self.write_out_much()
    }

    /// Files keys in the order of the log; those of records that are filed already are left out.
    pub(crate) fn put_all(&mut self, keys: &[Filed], now_ms: i64) -> io::Result<()> {
        let behind = keys.partition_point(|key| self.has(key.log_offset));
        let keys = keys.get(behind..).unwrap_or_default();
        for of_record in keys.chunk_by(|a, b| a.log_offset == b.log_offset) {
            of_record
                .iter()
                .try_for_each(|key| self.put_key(key, now_ms))?;
            self.last = of_record.last().map(|key| key.log_offset);
            self.write_out_much()?;
        }
        Ok(())
    }

    fn put_key(&mut self, key: &Filed, now_ms: i64) -> io::Result<()> {
        let full = |current: &Current| next_entry(&current.header) >= self.geometry.entries;
        if self.current.as_ref().is_none_or(full) {
            self.next_file(now_ms)?;
        }
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let number = next_entry(&current.header);
        let header = &mut current.header;
        let log_offset = i64::try_from(key.log_offset).unwrap_or(i64::MAX);
        if number == 1 {
            header.begin_timestamp_ms = key.store_timestamp_ms;
            header.begin_log_offset = log_offset;
        }
        let entry = IndexEntry {
            key_hash: key.hash.get(),
            log_offset,
            seconds: seconds_since(header.begin_timestamp_ms, key.store_timestamp_ms),
            previous: 0,
        };
        self.entries.extend_from_slice(&entry.encode());
        let slot = key.hash.slot(self.geometry.slots);
        self.slots.push((slot, number));
        header.next_entry = i32::try_from(number + 1).unwrap_or(i32::MAX);
        header.end_timestamp_ms = key.store_timestamp_ms;
        header.end_log_offset = log_offset;
        Ok(())
    }

    /// Writes out when as much waits as may.
    fn write_out_much(&mut self) -> io::Result<()> {
        if self.slots.len() < WAITING_MAX {
            return Ok(());
        }
        self.write_out()
    }

    /// Whether anything waits to be written.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.slots.is_empty()
    }

    fn next_file(&mut self, now_ms: i64) -> io::Result<()> {
        self.write_out()?;
        if self.files.is_empty() {
            std::fs::create_dir_all(&self.dir)?;
        }
        let last = self.files.last().map(|path| name::of(path));
        let name = name::after(last, now_ms);
        let bytes = self.geometry.file_bytes();
        let segment = Segment::named(&self.dir, &name, 0, bytes, Handle::Keep)?;
        self.files.push(segment.path().to_owned());
        self.current = Some(Current {
            segment: Arc::new(segment),
            header: Header::default(),
        });
        Ok(())
    }

    /// Writes what waits in memory to the current file.
    pub(crate) fn write_out(&mut self) -> io::Result<()> {
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        if self.slots.is_empty() {
            return Ok(());
        }
        let segment = &current.segment;
        let count = self.entries.len() / ENTRY_BYTES;
        let first = next_entry(&current.header) - u32::try_from(count).map_err(io::Error::other)?;
        self.slots.sort_unstable();
        let mut batch = Batch {
            geometry: self.geometry,
            first,
            entries: &mut self.entries,
            slots_used: 0,
        };
        batch.write_slots(segment, &self.slots, &mut self.page)?;
        let slots_used = batch.slots_used;
        segment.write(place(self.geometry.entry_at(first))?, &self.entries)?;
        let header = Header {
            slots_used: current.header.slots_used + slots_used,
            ..current.header
        };
        segment.write(0, &header.encode())?;
        current.header = header;
        self.note_dirty();
        self.entries.clear();
        self.slots.clear();
        Ok(())
    }

    /// Remembers that the current file was written to.
    pub(crate) fn note_dirty(&mut self) {
        let segment = self.current.as_ref().map(|current| &current.segment);
        let dirty = &mut self.dirty;
        if let Some(segment) =
            segment.filter(|segment| !dirty.iter().any(|known| Arc::ptr_eq(known, segment)))
        {
            dirty.push(Arc::clone(segment));
        }
    }

    /// Makes everything filed so far durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.write_out()?;
        for segment in &self.dirty {
            if segment.path().exists() {
                segment.sync()?;
            }
        }
        if !self.dirty.is_empty() {
            platform::sync_dir(&self.dir)?;
        }
        for segment in self.dirty.drain(..) {
            if let Some(header) = segment.bytes().first_chunk().map(Header::decode)
                && next_entry(&header) >= self.geometry.entries
            {
                self.full_until_ms = self.full_until_ms.max(header.end_timestamp_ms);
            }
        }
        Ok(())
    }

    /// Deletes the files whose messages are all below `log_min`, but never the current one. Returns how many.
    pub(crate) fn remove_before(&mut self, log_min: u64) -> io::Result<usize> {
        let mut removed = 0;
        while self.files.len() > 1 {
            let Some(oldest) = self.files.first() else {
                break;
            };
            let header = super::query::header_of(oldest)?;
            let ended = u64::try_from(header.end_log_offset).is_ok_and(|end| end < log_min);
            if !ended {
                break;
            }
            std::fs::remove_file(oldest)?;
            self.files.remove(0);
            removed += 1;
        }
        Ok(removed)
    }
}

/// The number the next entry gets; entry 0 is never used.
pub(crate) fn next_entry(header: &Header) -> u32 {
    u32::try_from(header.next_entry).unwrap_or(0).max(1)
}

/// Entries on their way to the file, whose first number is `first`.
struct Batch<'a> {
    geometry: Geometry,
    first: u32,
    entries: &'a mut [u8],
    slots_used: i32,
}

impl Batch<'_> {
    /// Writes the slots of sorted entries, one read and one write for each stretch that changes, and links every entry to
    /// what its slot held.
    fn write_slots(
        &mut self,
        segment: &Segment,
        slots: &[(u32, u32)],
        buffer: &mut Vec<u8>,
    ) -> io::Result<()> {
        let geometry = self.geometry;
        let pages = geometry.slot_at(geometry.slots) / PAGE + 1;
        let dense = slots.len() as u64 / pages >= DENSE;
        let stretch = if dense { PAGES } else { PAGE };
        let stretch_of = |slot: u32| geometry.slot_at(slot) / stretch;
        for changed in slots.chunk_by(|a, b| stretch_of(a.0) == stretch_of(b.0)) {
            let (Some(&(low, _)), Some(&(high, _))) = (changed.first(), changed.last()) else {
                continue;
            };
            let from = place(geometry.slot_at(low))?;
            buffer.clear();
            buffer.resize(place(geometry.slot_at(high + 1))? - from, 0);
            segment.read(from, buffer)?;
            for &(slot, number) in changed {
                let at = place(geometry.slot_at(slot))? - from;
                if let Some(bytes) = buffer.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
                    let old = u32::from_be_bytes(*bytes);
                    self.link(number, old);
                    *bytes = number.to_be_bytes();
                }
            }
            segment.write(from, buffer)?;
        }
        Ok(())
    }

    /// Tells the entry `number` which one was before it in its slot.
    ///
    /// When a write fails the whole batch is tried again. Then a slot may hold the last of its entries in this very batch;
    /// the first of them keeps the predecessor it was told before.
    fn link(&mut self, number: u32, old: u32) {
        let at = (number - self.first) as usize * ENTRY_BYTES + PREVIOUS_AT;
        if let Some(place) = self.entries.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            if old < number {
                *place = old.to_be_bytes();
            }
            self.slots_used += i32::from(*place == [0; 4]);
        }
    }
}

pub(crate) fn place(at: u64) -> io::Result<usize> {
    usize::try_from(at).map_err(io::Error::other)
}
