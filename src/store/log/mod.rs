//! The commit log: one stream of records, cut into files of fixed size.
//!
//! [`Log`] is what readers and the writer share: the files, and two watermarks. A byte below `appended` was written
//! and never changes; a byte below `flushed` is on the disk. Only the [`writer`] moves `appended`, only the flush
//! worker moves `flushed`.
//!
//! Lock order: the list of files is a leaf; it is held only to copy a reference out.

pub(crate) mod append;
mod filing;
pub(crate) mod mend;
mod open;
pub(crate) mod receive;
pub(crate) mod recover;
mod replay;
mod valid;
pub mod walk;
pub(crate) mod writer;
mod zeroed;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

pub use walk::{Item, Walk};

use crate::base::{LogOffset, Watermark};
use crate::message::record::Record;
use crate::store::segment::{Handle, Segment};

/// A stretch of the log, kept alive by whoever holds it, wherever retention gets to meanwhile.
#[derive(Clone, Debug)]
pub struct LogSlice {
    segment: Arc<Segment>,
    start: usize,
    len: usize,
}

impl LogSlice {
    /// Where the stretch begins in the log.
    pub fn log_offset(&self) -> LogOffset {
        LogOffset::new(self.segment.base().saturating_add(self.start as u64))
    }

    /// Brings the stretch into memory, if it has left it. Blocks for as long as the disk takes.
    pub(crate) fn fetch(&self) {
        /// The smallest page there is; one byte of each is enough.
        const PAGE: usize = 4096;
        let bytes = self.as_ref().iter().step_by(PAGE);
        std::hint::black_box(bytes.fold(0_u8, |seen, byte| seen ^ byte));
    }

    /// The bytes without copying; the file stays mapped while they are held.
    pub fn into_bytes(self) -> bytes::Bytes {
        bytes::Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for LogSlice {
    fn as_ref(&self) -> &[u8] {
        self.segment
            .bytes()
            .get(self.start..self.start.saturating_add(self.len))
            .unwrap_or_default()
    }
}

impl From<LogSlice> for bytes::Bytes {
    fn from(slice: LogSlice) -> Self {
        slice.into_bytes()
    }
}

/// Reads stretches that mostly lie in one file: that is looked up once, and counted as held once for what lies side by
/// side. What many threads lock and count for each record is what they wait for.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    log: &'a Log,
    segment: Option<Arc<Segment>>,
}

impl Reader<'_> {
    /// The stretch of `len` bytes at `position`, if all of it is appended and in one file.
    pub(crate) fn find(&mut self, position: u64, len: u64) -> Option<Stretch<'_>> {
        let end = position.checked_add(len)?;
        if len == 0 || end > self.log.appended.get() {
            return None;
        }
        let holds = |segment: &Segment| segment.base() <= position && end <= segment.end();
        if !self.segment.as_deref().is_some_and(holds) {
            self.segment = self.log.segment_at(position);
        }
        let segment = self.segment.as_ref().filter(|segment| holds(segment))?;
        Some(Stretch {
            start: usize::try_from(position - segment.base()).ok()?,
            len: usize::try_from(len).ok()?,
            segment,
        })
    }
}

/// A stretch of the log that nobody holds yet: it can be looked at, and then be taken or not.
#[derive(Debug)]
pub(crate) struct Stretch<'a> {
    segment: &'a Arc<Segment>,
    start: usize,
    len: usize,
}

impl Stretch<'_> {
    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        let bytes = self.segment.bytes();
        let rest = bytes.get(self.start..).unwrap_or_default();
        rest.get(..self.len).unwrap_or_default()
    }

    /// Holds it from now on.
    fn held(&self) -> LogSlice {
        LogSlice {
            segment: Arc::clone(self.segment),
            start: self.start,
            len: self.len,
        }
    }

    /// Adds it to `slices`: as a part of the last one if it lies directly behind that.
    pub(crate) fn add_to(&self, slices: &mut Vec<LogSlice>) {
        match slices.last_mut() {
            Some(last)
                if Arc::ptr_eq(&last.segment, self.segment)
                    && last.start + last.len == self.start =>
            {
                last.len += self.len;
            }
            _ => slices.push(self.held()),
        }
    }
}

/// The file after the last one.
#[derive(Debug, Default)]
struct Ahead {
    /// When it was made ahead of need and nobody has it yet.
    segment: Option<Arc<Segment>>,
    /// Where the newest file begins that the appender was ever given. Such a file may hold messages before it is in
    /// the list of files, so it must not be made again.
    given: u64,
}

/// The log's files and how far they are valid.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) dir: PathBuf,
    pub(crate) file_bytes: u64,
    /// Ordered by position, without gaps.
    segments: RwLock<Vec<Arc<Segment>>>,
    ahead: Mutex<Ahead>,
    pub(crate) appended: Watermark,
    pub(crate) flushed: Watermark,
}

impl Log {
    pub(crate) fn new(dir: PathBuf, file_bytes: u64, segments: Vec<Arc<Segment>>) -> Self {
        Self {
            dir,
            file_bytes,
            segments: RwLock::new(segments),
            ahead: Mutex::default(),
            appended: Watermark::default(),
            flushed: Watermark::default(),
        }
    }

    /// The first position that can still be read.
    pub(crate) fn min(&self) -> u64 {
        let segments = self.segments.read();
        segments
            .first()
            .map_or_else(|| self.appended.get(), |first| first.base())
    }

    /// The file that holds `position`.
    pub(crate) fn segment_at(&self, position: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.read();
        let at = segments.partition_point(|segment| segment.end() <= position);
        segments
            .get(at)
            .filter(|segment| segment.base() <= position)
            .cloned()
    }

    /// A copy of the list of files.
    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().clone()
    }

    /// Replaces the list of files. Recovery and retention only.
    pub(crate) fn set_segments(&self, segments: Vec<Arc<Segment>>) {
        *self.segments.write() = segments;
    }

    pub(crate) fn push_segment(&self, segment: Arc<Segment>) {
        self.segments.write().push(segment);
    }

    /// Takes the files away that end at or before `position`, but never the last one.
    pub(crate) fn remove_before(&self, position: u64) -> Vec<Arc<Segment>> {
        let mut segments = self.segments.write();
        let gone = segments
            .partition_point(|segment| segment.end() <= position)
            .min(segments.len().saturating_sub(1));
        segments.drain(..gone).collect()
    }

    /// For reading several stretches.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader {
            log: self,
            segment: None,
        }
    }

    /// The stretch of `len` bytes at `position`, if all of it is appended and in one file.
    pub(crate) fn slice(&self, position: u64, len: u64) -> Option<LogSlice> {
        self.reader().find(position, len).map(|found| found.held())
    }

    /// The whole record at `position`, if one begins there.
    pub(crate) fn record_at(&self, position: u64) -> Option<LogSlice> {
        let head = self.slice(position, 8)?;
        let size = u32::from_be_bytes(*head.as_ref().first_chunk()?);
        let slice = self.slice(position, u64::from(size))?;
        let record = Record::parse(slice.as_ref()).ok()?;
        (LogOffset::from_wire(record.physical_offset)?.get() == position).then_some(slice)
    }

    /// The file that begins at `base`: the one made ahead, or a new one.
    pub(crate) fn next_segment(&self, base: u64) -> io::Result<Arc<Segment>> {
        let mut ahead = self.ahead.lock();
        ahead.given = ahead.given.max(base);
        if let Some(segment) = ahead.segment.take_if(|segment| segment.base() == base) {
            return Ok(segment);
        }
        Segment::create(&self.dir, base, self.file_bytes, Handle::Keep).map(Arc::new)
    }

    /// Makes the file at `base` ahead of need, unless it is there.
    pub(crate) fn prepare(&self, base: u64) -> io::Result<()> {
        let mut ahead = self.ahead.lock();
        // The appender may have got there first; then the file is in use and not ahead any more.
        if ahead.segment.is_none() && base > ahead.given && self.segment_at(base).is_none() {
            let segment = Segment::create(&self.dir, base, self.file_bytes, Handle::Keep)?;
            ahead.segment = Some(Arc::new(segment));
        }
        Ok(())
    }

    /// Takes the last file off the list and deletes it. Replicas only.
    pub(crate) fn remove_last(&self, last: &Arc<Segment>) {
        self.segments
            .write()
            .pop_if(|segment| Arc::ptr_eq(segment, last));
        if let Err(error) = last.unlink() {
            tracing::warn!("cannot delete {}: {error}", last.path().display());
        }
        self.ahead.lock().given = 0;
    }

    /// Forgets the file that was made ahead: the log goes on elsewhere.
    pub(crate) fn forget_ahead(&self) {
        let ahead = std::mem::take(&mut *self.ahead.lock());
        if let Some(segment) = ahead.segment
            && let Err(error) = segment.unlink()
        {
            tracing::warn!("cannot delete {}: {error}", segment.path().display());
        }
    }

    /// Keeps a file that the appender could not use after all.
    pub(crate) fn give_back(&self, segment: Arc<Segment>) {
        self.ahead.lock().segment = Some(segment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_the_appender_has_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::new(dir.path().to_owned(), 4096, Vec::new());
        // The appender fills a file that is not in the list yet, while the keeper thinks that it should be made.
        let segment = log.next_segment(4096).unwrap();
        segment.write(0, b"acknowledged").unwrap();
        log.prepare(4096).unwrap();
        assert_eq!(&segment.bytes()[..12], b"acknowledged");
        log.push_segment(segment);
        log.prepare(8192).unwrap();
        assert!(dir.path().join("00000000000000008192").exists());
    }
}
