//! Looks keys up in index files.

use std::io;
use std::path::Path;

use super::format::{ENTRY_BYTES, Geometry, HEADER_BYTES, Header, IndexEntry, KeyHash};
use crate::sys::platform;

/// What is looked for in one file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup {
    pub(crate) hash: KeyHash,
    pub(crate) begin_ms: i64,
    pub(crate) end_ms: i64,
}

/// The header of a file.
pub(crate) fn header_of(path: &Path) -> io::Result<Header> {
    let mut bytes = [0; HEADER_BYTES];
    let file = platform::open_read(path)?;
    platform::read_full_at(&file, &mut bytes, 0)?;
    Ok(Header::decode(&bytes))
}

/// Calls `hit` with the log position of each entry that may be of the key, newest first, until it says stop.
///
/// The times compared are those of the entries, whole seconds after the file's first message, as Apache has it.
pub(crate) fn lookup(
    path: &Path,
    geometry: Geometry,
    header: &Header,
    wanted: Lookup,
    mut hit: impl FnMut(i64) -> bool,
) -> io::Result<()> {
    let file = platform::open_read(path)?;
    if file.metadata()?.len() != geometry.file_bytes() {
        return Err(io::Error::other(
            "the file has another size than configured",
        ));
    }
    let mut slot = [0; 4];
    let slot_at = geometry.slot_at(wanted.hash.slot(geometry.slots));
    platform::read_full_at(&file, &mut slot, slot_at)?;
    let mut number = i32::from_be_bytes(slot);
    let mut below = header.next_entry;
    // Every entry names an older one; a chain that does not is damaged and ends there.
    while number > 0 && number < below {
        let mut bytes = [0; ENTRY_BYTES];
        let at = geometry.entry_at(number.unsigned_abs());
        platform::read_full_at(&file, &mut bytes, at)?;
        let entry = IndexEntry::decode(&bytes);
        let time = header
            .begin_timestamp_ms
            .saturating_add(i64::from(entry.seconds).saturating_mul(1000));
        // An entry's time is cut down to whole seconds, so the message may be up to a second younger.
        let matched = time.saturating_add(999) >= wanted.begin_ms && time <= wanted.end_ms;
        if entry.key_hash == wanted.hash.get() && matched && !hit(entry.log_offset) {
            return Ok(());
        }
        below = number;
        number = entry.previous;
    }
    Ok(())
}
