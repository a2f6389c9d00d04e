//! Bounded reads of one file: the bytes at a position, through one buffer of its own.
//!
//! The read half of the store reads with plain positioned reads, never through a map. A file that another
//! process truncates can then make a read short, but it cannot kill this process with SIGBUS, and what was
//! read is a private copy that no live writer changes while it is judged. Memory stays at one chunk, or one
//! record where a record is longer, however large the file is.
//!
//! Absent on purpose: writing, and any knowledge of what the bytes mean.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use crate::sys::platform;

/// How much is read ahead unless asked otherwise. Large enough that a scan is bound by the disk and not by
/// calls.
const CHUNK_BYTES: usize = 1 << 20;

/// A file, or bytes in memory that stand for one, and the part of it last read.
#[derive(Debug)]
pub(crate) struct Window {
    source: Source,
    /// Where `bytes` begins in the file.
    start: u64,
    bytes: Vec<u8>,
    chunk: usize,
}

#[derive(Debug)]
enum Source {
    File(File),
    Memory(Cursor<Vec<u8>>),
}

impl Window {
    /// Opens a file for reading; it must exist.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::over(Source::File(File::open(path)?)))
    }

    /// Takes bytes for a file.
    pub(crate) fn memory(bytes: Vec<u8>) -> Self {
        Self::over(Source::Memory(Cursor::new(bytes)))
    }

    fn over(source: Source) -> Self {
        Self {
            source,
            start: 0,
            bytes: Vec::new(),
            chunk: CHUNK_BYTES,
        }
    }

    /// Reads this many bytes ahead: little where reads jump about, much where they do not.
    pub(crate) fn reading_ahead(mut self, bytes: usize) -> Self {
        self.chunk = bytes;
        self
    }

    /// The bytes at `at`, as many as `len` unless the file ends before.
    pub(crate) fn at(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        if self.held(at, len).is_none() {
            self.fill(at, len.max(self.chunk))?;
        }
        let from = usize::try_from(at.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let rest = self.bytes.get(from..).unwrap_or(&[]);
        Ok(rest.get(..len).unwrap_or(rest))
    }

    /// Exactly `N` bytes at `at`; `None` if the file ends before.
    pub(crate) fn array<const N: usize>(&mut self, at: u64) -> io::Result<Option<[u8; N]>> {
        Ok(self.at(at, N)?.first_chunk().copied())
    }

    /// The first place at or after `at` that may hold anything but zeros; `None` if only a hole follows. A log
    /// file is made with its full size, so most of the newest one is a hole.
    pub(crate) fn next_data(&self, at: u64) -> Option<u64> {
        match &self.source {
            Source::File(file) => platform::next_data(file, at),
            Source::Memory(_) => Some(at),
        }
    }

    /// Forgets what was read, so that the next read sees the file as it is now.
    pub(crate) fn refresh(&mut self) {
        self.bytes.clear();
    }

    fn held(&self, at: u64, len: usize) -> Option<&[u8]> {
        let from = usize::try_from(at.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..from.checked_add(len)?)
    }

    fn fill(&mut self, at: u64, len: usize) -> io::Result<()> {
        self.start = at;
        self.bytes.clear();
        if i64::try_from(at).is_err() {
            // No file reaches there, and some systems refuse even to look.
            return Ok(());
        }
        match &mut self.source {
            Source::File(file) => read_at(file, at, len, &mut self.bytes),
            Source::Memory(memory) => read_at(memory, at, len, &mut self.bytes),
        }
    }
}

fn read_at(
    source: &mut (impl Read + Seek),
    at: u64,
    len: usize,
    into: &mut Vec<u8>,
) -> io::Result<()> {
    source.seek(SeekFrom::Start(at))?;
    source.take(len as u64).read_to_end(into)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_anywhere_and_stops_at_the_end() {
        let bytes: Vec<u8> = (0..=255).cycle().take(CHUNK_BYTES + 100).collect();
        let mut window = Window::memory(bytes.clone());
        let last = bytes.len() - 10;
        assert_eq!(window.at(3, 4).unwrap(), &bytes[3..7]);
        assert_eq!(window.at(last as u64, 50).unwrap(), &bytes[last..]);
        assert_eq!(window.at(0, 2).unwrap(), &bytes[..2]);
        assert_eq!(window.at(u64::MAX, 2).unwrap(), b"");
        assert_eq!(window.array::<4>(last as u64 + 8).unwrap(), None);
        let across = CHUNK_BYTES - 3;
        assert_eq!(
            window.at(across as u64, 9).unwrap(),
            &bytes[across..across + 9]
        );
    }
}
