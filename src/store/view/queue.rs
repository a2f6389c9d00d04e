//! Reads one consume queue.

use std::io;
use std::path::{Path, PathBuf};

use super::{ViewError, segments};
use crate::base::QueueOffset;
use crate::store::layout::SegmentFile;
use crate::store::queue::{ENTRY_BYTES, Entry};
use crate::store::window::Window;

/// About 3,000 entries at a time.
const READ_AHEAD_BYTES: usize = 64 << 10;

/// The entries of one queue, in order, and by their number.
#[derive(Debug)]
pub struct QueueView {
    files: Vec<SegmentFile>,
    /// The file last read, by its place in `files`.
    open: Option<(usize, Window)>,
    /// What [`QueueView::next_entry`] looks at next: a file and a byte in it.
    file: usize,
    at: u64,
}

impl QueueView {
    /// Opens the queue whose files lie in `dir`.
    pub fn open(dir: &Path) -> Result<Self, ViewError> {
        Ok(Self::over(segments(dir)?))
    }

    /// Takes these files for a queue.
    pub fn over(files: Vec<SegmentFile>) -> Self {
        Self {
            files,
            open: None,
            file: 0,
            at: 0,
        }
    }

    /// The queue's files.
    pub fn files(&self) -> &[SegmentFile] {
        &self.files
    }

    /// The number of the first entry there is a place for.
    pub fn first(&self) -> QueueOffset {
        let base = self.files.first().map_or(0, |file| file.base);
        QueueOffset::new(base / ENTRY_BYTES as u64)
    }

    /// Makes `from` the next entry, or the first one there is behind it.
    #[must_use]
    pub fn starting_at(mut self, from: QueueOffset) -> Self {
        let byte = from.get().saturating_mul(ENTRY_BYTES as u64);
        let behind = self.files.partition_point(|file| file.base <= byte);
        self.file = behind.saturating_sub(1);
        let base = self.files.get(self.file).map_or(0, |file| file.base);
        self.at = byte.saturating_sub(base);
        self
    }

    /// Makes the first entry the next one again.
    pub fn rewind(&mut self) {
        self.file = 0;
        self.at = 0;
    }

    /// Gives up the open file and what was read of it. The next read opens it again.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// The next entry ever written, fillers included, and its number. Unwritten space ends a file, not the
    /// queue: after an accident there may be more files.
    pub fn next_entry(&mut self) -> Option<Result<(QueueOffset, Entry), ViewError>> {
        loop {
            let file = self.files.get(self.file)?;
            let base = file.base;
            let entry = if self.at >= file.len {
                None
            } else {
                match self.read(self.file, self.at) {
                    Ok(entry) => entry,
                    Err(error) => {
                        let path = self.path(self.file);
                        self.leave_file();
                        return Some(Err(ViewError::unreadable(&path, error)));
                    }
                }
            };
            match entry {
                Some(entry) if !entry.is_unwritten() => {
                    let number = (base + self.at) / ENTRY_BYTES as u64;
                    self.at += ENTRY_BYTES as u64;
                    return Some(Ok((QueueOffset::new(number), entry)));
                }
                _ => self.leave_file(),
            }
        }
    }

    /// The entry of this number; `None` if there is no place for it or nothing was written there.
    pub fn entry(&mut self, number: QueueOffset) -> Result<Option<Entry>, ViewError> {
        let byte = number.get().saturating_mul(ENTRY_BYTES as u64);
        let behind = self.files.partition_point(|file| file.base <= byte);
        let Some(index) = behind.checked_sub(1) else {
            return Ok(None);
        };
        let base = self.files.get(index).map_or(0, |file| file.base);
        let entry = self
            .read(index, byte - base)
            .map_err(|error| ViewError::unreadable(&self.path(index), error))?;
        Ok(entry.filter(|entry| !entry.is_unwritten()))
    }

    /// The number behind the last entry ever written; that of the first place if there is none. Entries are written one
    /// after the other, so this is a search and not a walk.
    pub fn end(&mut self) -> Result<QueueOffset, ViewError> {
        for index in (0..self.files.len()).rev() {
            let Some((base, len)) = self.files.get(index).map(|file| (file.base, file.len)) else {
                break;
            };
            let first = base / ENTRY_BYTES as u64;
            let (mut written, mut unwritten) = (0, len / ENTRY_BYTES as u64);
            while written < unwritten {
                let middle = written.midpoint(unwritten);
                if self.entry(QueueOffset::new(first + middle))?.is_some() {
                    written = middle + 1;
                } else {
                    unwritten = middle;
                }
            }
            if written > 0 {
                return Ok(QueueOffset::new(first + written));
            }
        }
        Ok(self.first())
    }

    /// The number of the first entry that leads to the log at or behind `log_begin`: what lies before was deleted, or is
    /// a filler. The end of the queue if there is none.
    pub fn first_from(&mut self, log_begin: u64) -> Result<QueueOffset, ViewError> {
        let end = self.end()?.get();
        let (mut before, mut behind) = (self.first().get(), end);
        while before < behind {
            let middle = before.midpoint(behind);
            let entry = self.entry(QueueOffset::new(middle))?;
            let readable = entry.is_some_and(|entry| {
                !entry.is_filler()
                    && u64::try_from(entry.log_offset).is_ok_and(|at| at >= log_begin)
            });
            if readable {
                behind = middle;
            } else {
                before = middle + 1;
            }
        }
        Ok(QueueOffset::new(before))
    }

    fn read(&mut self, index: usize, at: u64) -> io::Result<Option<Entry>> {
        let mut window = match self.open.take() {
            Some((open, window)) if open == index => window,
            _ => match Window::open(&self.path(index)) {
                Ok(window) => window.reading_ahead(READ_AHEAD_BYTES),
                // Retention of a live broker may win the race between listing and looking.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        let bytes = window.array(at);
        self.open = Some((index, window));
        Ok(bytes?.map(|bytes| Entry::decode(&bytes)))
    }

    fn path(&self, index: usize) -> PathBuf {
        self.files
            .get(index)
            .map(|file| file.path.clone())
            .unwrap_or_default()
    }

    fn leave_file(&mut self) {
        self.file += 1;
        self.at = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::layout::segment_name;

    fn entry(log_offset: i64) -> Entry {
        Entry {
            log_offset,
            size: 100,
            tags_code: 7,
        }
    }

    /// Two files of three places: entries 3, 4, 5 and 6.
    fn queue(dir: &Path) -> QueueView {
        let first: Vec<u8> = [Entry::FILLER, entry(0), entry(100)]
            .iter()
            .flat_map(Entry::encode)
            .collect();
        let mut second = entry(200).encode().to_vec();
        second.resize(60, 0);
        std::fs::write(dir.join(segment_name(60)), first).unwrap();
        std::fs::write(dir.join(segment_name(120)), second).unwrap();
        QueueView::open(dir).unwrap()
    }

    fn numbers(mut queue: QueueView) -> Vec<u64> {
        std::iter::from_fn(|| queue.next_entry())
            .map(|entry| entry.unwrap().0.get())
            .collect()
    }

    #[test]
    fn entries_come_in_order_across_files() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(queue(dir.path()).first(), QueueOffset::new(3));
        assert_eq!(numbers(queue(dir.path())), [3, 4, 5, 6]);
        let from = |n| numbers(queue(dir.path()).starting_at(QueueOffset::new(n)));
        assert_eq!(from(0), [3, 4, 5, 6]);
        assert_eq!(from(5), [5, 6]);
        assert_eq!(from(7), Vec::<u64>::new());
        assert_eq!(from(u64::MAX), Vec::<u64>::new());
    }

    #[test]
    fn entries_are_found_by_number() {
        let dir = tempfile::tempdir().unwrap();
        let mut queue = queue(dir.path());
        let mut at = |n| queue.entry(QueueOffset::new(n)).unwrap();
        assert_eq!(at(6), Some(entry(200)));
        assert!(at(3).unwrap().is_filler());
        for absent in [0, 2, 7, 9, u64::MAX] {
            assert_eq!(at(absent), None);
        }
    }

    #[test]
    fn the_ends_of_a_queue_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let mut queue = queue(dir.path());
        assert_eq!(queue.end().unwrap(), QueueOffset::new(7));
        let mut from = |at| queue.first_from(at).unwrap().get();
        assert_eq!([from(0), from(1), from(150), from(201)], [4, 5, 6, 7]);
        let mut empty = QueueView::over(Vec::new());
        assert_eq!(empty.end().unwrap(), QueueOffset::ZERO);
    }

    #[test]
    fn a_file_with_half_an_entry_ends_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = entry(1).encode();
        std::fs::write(
            dir.path().join(segment_name(0)),
            [&bytes[..], &bytes[..9]].concat(),
        )
        .unwrap();
        assert_eq!(numbers(QueueView::open(dir.path()).unwrap()), [0]);
    }
}
