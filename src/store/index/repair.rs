//! Brings the index of an opened store into order.
//!
//! Index entries are in the order of the log. After a crash the newest file is gone through: entries are kept as far as
//! that order holds and no further than the log is trusted; slots, links and header are made again from them. So
//! nothing is lost that was filed before, and nothing is filed twice when recovery dispatches again from there on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{ENTRY_BYTES, Geometry, Header, IndexEntry};
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
            return Ok(IndexWriter::new(dir, geometry, files, Some(current), last));
        }
        remove(&mut files)?;
    }
    Ok(IndexWriter::new(dir, geometry, files, None, None))
}

fn remove(files: &mut Vec<PathBuf>) -> io::Result<()> {
    files.pop().map_or(Ok(()), std::fs::remove_file)
}

/// Keeps the trusted entries of a file and makes everything else again from them; `None` when there are none.
fn relink(
    segment: &Segment,
    geometry: Geometry,
    old: &Header,
    trust: Trust,
    time_of: &impl Fn(u64) -> Option<i64>,
) -> io::Result<Option<Header>> {
    let entry_at = |number: u32| -> io::Result<usize> { place(geometry.entry_at(number)) };
    let read = |number: u32| -> Option<IndexEntry> {
        let bytes = segment
            .bytes()
            .get(entry_at(number).ok()?..)?
            .first_chunk()?;
        Some(IndexEntry::decode(bytes))
    };
    let limit = next_entry(old).min(geometry.entries);
    let mut kept = 0;
    let mut before = 0;
    for number in 1..limit {
        let Some(entry) = read(number) else { break };
        let in_order = u64::try_from(entry.log_offset)
            .is_ok_and(|at| at < trust.below && at >= before && (at > 0 || before == 0));
        if !in_order || entry.key_hash < 0 {
            break;
        }
        before = entry.log_offset.unsigned_abs();
        kept = number;
    }
    // The last record kept needs no second look: what lies below the trusted position was filed whole before the
    // checkpoint named it, and recovery, which walks from there on, would not file it again.
    let (Some(first), Some(last)) = (read(1).filter(|_| kept > 0), read(kept)) else {
        return Ok(None);
    };
    let begin_ms = time_of(first.log_offset.unsigned_abs()).unwrap_or(old.begin_timestamp_ms);
    let end_ms = time_of(last.log_offset.unsigned_abs())
        .unwrap_or_else(|| begin_ms.saturating_add(i64::from(last.seconds).saturating_mul(1000)));

    let slot_count = usize::try_from(geometry.slots).map_err(io::Error::other)?;
    let mut heads = vec![0_u32; slot_count];
    let mut entries = Vec::with_capacity(ENTRY_BYTES * kept as usize);
    for number in 1..=kept {
        let Some(entry) = read(number) else { break };
        let slot = entry
            .key_hash
            .unsigned_abs()
            .checked_rem(geometry.slots)
            .unwrap_or(0) as usize;
        let previous = heads
            .get_mut(slot)
            .map_or(0, |head| std::mem::replace(head, number));
        let entry = IndexEntry {
            previous: i32::try_from(previous).unwrap_or(0),
            ..entry
        };
        entries.extend_from_slice(&entry.encode());
    }
    let used = heads.iter().filter(|&&head| head != 0).count();
    let header = Header {
        begin_timestamp_ms: begin_ms,
        end_timestamp_ms: end_ms,
        begin_log_offset: first.log_offset,
        end_log_offset: last.log_offset,
        slots_used: i32::try_from(used).unwrap_or(i32::MAX),
        next_entry: i32::try_from(kept + 1).unwrap_or(i32::MAX),
    };
    segment.clear_from(0)?;
    segment.write(entry_at(1)?, &entries)?;
    let slots: Vec<u8> = heads.iter().flat_map(|head| head.to_be_bytes()).collect();
    segment.write(place(geometry.slot_at(0))?, &slots)?;
    segment.write(0, &header.encode())?;
    Ok(Some(header))
}
