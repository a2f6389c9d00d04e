//! One file of the log, as the walk sees it.

use std::io;
use std::path::PathBuf;

use crate::store::layout::SegmentFile;
use crate::store::window::Window;

/// Read at a time: records are looked at while the bytes are still in the processor's own cache.
const READ_BYTES: usize = 256 << 10;

/// A stretch of the log and where its bytes come from.
#[derive(Debug)]
pub(super) struct Part {
    /// The position of the first byte.
    pub(super) base: u64,
    /// How many bytes.
    pub(super) len: u64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Memory(Vec<u8>),
}

impl Part {
    pub(super) fn file(file: &SegmentFile) -> Self {
        Self {
            base: file.base,
            len: file.len,
            source: Source::File(file.path.clone()),
        }
    }

    pub(super) fn memory(base: u64, bytes: Vec<u8>) -> Self {
        Self {
            base,
            len: bytes.len() as u64,
            source: Source::Memory(bytes),
        }
    }

    pub(super) fn open(&self) -> io::Result<Window> {
        match &self.source {
            Source::File(path) => Ok(Window::open(path)?.reading_ahead(READ_BYTES)),
            Source::Memory(bytes) => Ok(Window::memory(bytes.clone())),
        }
    }
}
