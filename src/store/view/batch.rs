//! Reads one batch queue.

use std::path::Path;

use super::{ViewError, segments};
use crate::store::layout::SegmentFile;
use crate::store::queue::{BATCH_ENTRY_BYTES, BatchEntry};
use crate::store::window::Window;

const ENTRY: u64 = BATCH_ENTRY_BYTES as u64;
/// About 1,400 entries at a time.
const READ_AHEAD_BYTES: usize = 64 << 10;

/// The entries of one batch queue (`batchconsumequeue`), in order, and by the record they lead to.
#[derive(Debug)]
pub struct BatchQueueView {
    files: Vec<SegmentFile>,
    /// The file last read, by its place in `files`.
    open: Option<(usize, Window)>,
    /// What [`BatchQueueView::next_entry`] looks at next: a file and a byte in it.
    file: usize,
    at: u64,
}

impl BatchQueueView {
    /// Opens the queue whose files lie in `dir`.
    pub fn open(dir: &Path) -> Result<Self, ViewError> {
        Ok(Self {
            files: segments(dir)?,
            open: None,
            file: 0,
            at: 0,
        })
    }

    /// The queue's files.
    pub fn files(&self) -> &[SegmentFile] {
        &self.files
    }

    /// The next entry ever written. Unwritten space ends a file, not the queue: after an accident there may be more
    /// files.
    pub fn next_entry(&mut self) -> Option<Result<BatchEntry, ViewError>> {
        while self.file < self.files.len() {
            match self.read(self.file, self.at) {
                Ok(Some(batch)) => {
                    self.at += ENTRY;
                    return Some(Ok(batch));
                }
                Ok(None) => self.leave_file(),
                Err(error) => {
                    self.leave_file();
                    return Some(Err(error));
                }
            }
        }
        None
    }

    /// The entry that leads to the record at `log_offset`. Entries lie in the order of their records.
    pub fn leading_to(&mut self, log_offset: i64) -> Result<Option<BatchEntry>, ViewError> {
        for file in (0..self.files.len()).rev() {
            let first = self.read(file, 0)?;
            if first.is_none_or(|first| first.entry.log_offset > log_offset) {
                continue;
            }
            let len = self.files.get(file).map_or(0, |file| file.len);
            let (mut low, mut high) = (0, len / ENTRY);
            while low < high {
                let middle = low + (high - low) / 2;
                let batch = self.read(file, middle * ENTRY)?;
                if batch.is_some_and(|batch| batch.entry.log_offset <= log_offset) {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            let batch = self.read(file, low.saturating_sub(1) * ENTRY)?;
            return Ok(batch.filter(|batch| batch.entry.log_offset == log_offset));
        }
        Ok(None)
    }

    /// The entry at a byte of a file; `None` where nothing was written.
    fn read(&mut self, index: usize, at: u64) -> Result<Option<BatchEntry>, ViewError> {
        let Some(file) = self.files.get(index) else {
            return Ok(None);
        };
        let refused = |error| ViewError::unreadable(&file.path, error);
        let mut window = match self.open.take() {
            Some((open, window)) if open == index => window,
            _ => Window::open(&file.path)
                .map_err(refused)?
                .reading_ahead(READ_AHEAD_BYTES),
        };
        let bytes = window.array(at).map_err(refused)?;
        self.open = Some((index, window));
        let batch = bytes.map(|bytes| BatchEntry::decode(&bytes));
        Ok(batch.filter(|batch| !batch.entry.is_unwritten()))
    }

    fn leave_file(&mut self) {
        self.file += 1;
        self.at = 0;
    }
}
