//! Brings the index of an opened store into order.
//!
//! Index entries are in the order of the log. After a crash the newest file is gone through: entries are kept as far as
//! that order holds and no further than the log is trusted; slots, links and header are made again from them. So
//! nothing is lost that was filed before, and nothing is filed twice when recovery dispatches again from there on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{ENTRY_BYTES, Geometry, Header, IndexEntry, SLOT_BYTES};
use super::query::header_of;
use super::writer::{Current, IndexWriter, next_entry, place};
use crate::store::layout;
use crate::store::segment::{Handle, Segment};

/// How an index is to be opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trust {
    /// Entries of records at or behind this position are thrown away.
    pub(crate) below: u64,
    /// Whether the newest file was left in order.
    pub(crate) clean: bool,
}

/// Opens the index in `dir`. `time_of` tells when the record at a log position was stored.
pub(crate) fn open(
    dir: &Path,
    geometry: Geometry,
    trust: Trust,
    time_of: impl Fn(u64) -> Option<i64>,
) -> io::Result<IndexWriter> {
    let mut files = layout::index_files(dir)?;
    while let Some(path) = files.last().cloned() {
        let header = header_of(&path)?;
        let len = std::fs::metadata(&path)?.len();
        let begins = u64::try_from(header.begin_log_offset).unwrap_or(u64::MAX);
        let ends = u64::try_from(header.end_log_offset).unwrap_or(u64::MAX);
        let empty = header.last_entry() == 0;
        if empty || begins >= trust.below {
            remove(&mut files)?;
            continue;
        }
        if len != geometry.file_bytes() {
            remove(&mut files)?;
            continue;
        }
        let segment = Segment::named(dir, super::name::of(&path), 0, len, Handle::Keep)?;
        if trust.clean && ends < trust.below {
            let current = Current {
                segment: Arc::new(segment),
                header,
            };
            return Ok(IndexWriter::new(
                dir,
                geometry,
                files,
                Some(current),
                Some(ends),
            ));
        }
        if let Some(header) = relink(&segment, geometry, &header, trust, &time_of)? {
            let last = u64::try_from(header.end_log_offset).ok();
            let current = Current {
                segment: Arc::new(segment),
                header,
            };
            let mut writer = IndexWriter::new(dir, geometry, files, Some(current), last);
            writer.note_dirty();
            return Ok(writer);
        }
        remove(&mut files)?;
    }
    Ok(IndexWriter::new(dir, geometry, files, None, None))
}

fn remove(files: &mut Vec<PathBuf>) -> io::Result<()> {
    files.pop().map_or(Ok(()), std::fs::remove_file)
}

/// How many entries, or slots, are looked at at a time.
const AT_A_TIME: u32 = 4096;

/// Keeps the trusted entries of a file and brings everything else into step with them; `None` when there are none.
///
/// What the file should hold follows from the entries alone. It is compared with what is there, and only what differs is
/// written: most of a file is right, and a start in the middle of this leaves no less than it found.
fn relink(
    segment: &Segment,
    geometry: Geometry,
    old: &Header,
    trust: Trust,
    time_of: &impl Fn(u64) -> Option<i64>,
) -> io::Result<Option<Header>> {
    let mut heads = Heads::new(geometry.slots);
    let limit = next_entry(old).min(geometry.entries);
    let Some(kept) = link_entries(segment, geometry, limit, trust, &mut heads)? else {
        return Ok(None);
    };
    // The last record kept needs no second look: what lies below the trusted position was filed whole before the
    // checkpoint named it, and recovery, which walks from there on, would not file it again.
    let begin_ms = time_of(kept.first.log_offset.unsigned_abs()).unwrap_or(old.begin_timestamp_ms);
    let end_ms = time_of(kept.last.log_offset.unsigned_abs()).unwrap_or_else(|| {
        begin_ms.saturating_add(i64::from(kept.last.seconds).saturating_mul(1000))
    });
    let used = heads.used();
    let header = Header {
        begin_timestamp_ms: begin_ms,
        end_timestamp_ms: end_ms,
        begin_log_offset: kept.first.log_offset,
        end_log_offset: kept.last.log_offset,
        slots_used: i32::try_from(used).unwrap_or(i32::MAX),
        next_entry: i32::try_from(kept.count + 1).unwrap_or(i32::MAX),
    };
    segment.clear_from(place(geometry.entry_at(kept.count + 1))?)?;
    write_slots(segment, geometry, &heads)?;
    segment.write(0, &header.encode())?;
    Ok(Some(header))
}

/// Writes the slots that differ.
fn write_slots(segment: &Segment, geometry: Geometry, heads: &Heads) -> io::Result<()> {
    // Entry 0, which nothing is ever written to, lies behind the last slot.
    let nothing = [Heads::NONE; ENTRY_BYTES / SLOT_BYTES];
    let mut at = place(geometry.slot_at(0))?;
    let mut wanted = Vec::new();
    let mut there = Vec::new();
    for heads in heads.0.chunks(AT_A_TIME as usize).chain([&nothing[..]]) {
        wanted.clear();
        wanted.extend(heads.iter().flat_map(|head| (!head).to_be_bytes()));
        there.resize(wanted.len(), 0);
        segment.read(at, &mut there)?;
        if there != wanted {
            segment.write(at, &wanted)?;
        }
        at += wanted.len();
    }
    Ok(())
}

/// The newest entry of each slot, as the complement of its number.
///
/// So the memory of empty slots is written when it is made. Zeros would come with their first use, each page twice, when
/// it is read and when it is written, and the second time the other processors must be told: a quarter of a start.
struct Heads(Vec<u32>);

impl Heads {
    /// Stands for 0, no entry.
    const NONE: u32 = !0;

    fn new(slots: u32) -> Self {
        Self(vec![Self::NONE; slots as usize])
    }

    /// Makes an entry the newest of its slot, and returns the one before it, or 0.
    fn replace(&mut self, slot: u32, number: u32) -> u32 {
        let head = self.0.get_mut(slot as usize);
        head.map_or(0, |head| !std::mem::replace(head, !number))
    }

    /// How many slots have an entry.
    fn used(&self) -> usize {
        self.0.iter().filter(|&&head| head != Self::NONE).count()
    }
}

/// What is kept of the entries of a file.
struct Kept {
    count: u32,
    first: IndexEntry,
    last: IndexEntry,
}

/// Goes through the entries below the number `limit` as far as they can be trusted, and lets each name the one before it
/// in its slot. `heads` then has the newest of each slot.
fn link_entries(
    segment: &Segment,
    geometry: Geometry,
    limit: u32,
    trust: Trust,
    heads: &mut Heads,
) -> io::Result<Option<Kept>> {
    let mut kept: Option<Kept> = None;
    let mut buffer = Vec::new();
    let mut number = 1;
    while number < limit {
        let count = AT_A_TIME.min(limit - number);
        buffer.resize(count as usize * ENTRY_BYTES, 0);
        let at = place(geometry.entry_at(number))?;
        segment.read(at, &mut buffer)?;
        let (mut linked, mut changed) = (0, false);
        for bytes in buffer.chunks_exact_mut(ENTRY_BYTES) {
            let Some(entry) = bytes.first_chunk().map(IndexEntry::decode) else {
                break;
            };
            let before = kept.as_ref().map_or(0, |kept| kept.last.log_offset);
            let below = i64::try_from(trust.below).unwrap_or(i64::MAX);
            let in_order = entry.log_offset >= before
                && entry.log_offset < below
                && (entry.log_offset > 0 || before == 0);
            if !in_order || entry.key_hash < 0 {
                break;
            }
            let slot = entry.key_hash.unsigned_abs().checked_rem(geometry.slots);
            let previous = slot.map_or(0, |slot| heads.replace(slot, number));
            let entry = IndexEntry {
                previous: i32::try_from(previous).unwrap_or(0),
                ..entry
            };
            let right = entry.encode();
            if *bytes != right {
                bytes.copy_from_slice(&right);
                changed = true;
            }
            let first = kept.map_or(entry, |kept| kept.first);
            kept = Some(Kept {
                count: number,
                first,
                last: entry,
            });
            linked += ENTRY_BYTES;
            number += 1;
        }
        if changed {
            segment.write(at, buffer.get(..linked).unwrap_or_default())?;
        }
        if linked < buffer.len() {
            break;
        }
    }
    Ok(kept)
}
