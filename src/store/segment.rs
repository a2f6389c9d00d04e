//! One file of fixed size: written with positioned writes, read through a shared read-only map.
//!
//! A full disk is an error of the write, never a signal: nothing is written through the map. The file always has its
//! full length; what was not written yet is a hole that reads as zeros.
//!
//! Readers get slices of the map. The map lives as long as somebody holds the [`Segment`], also after retention has
//! unlinked the file. Files of which there may be very many ([`Handle::Lazy`]) are mapped when they are read first, and
//! only so many of them: an operating system allows a process a limited number of maps. The others are read by calls.
//!
//! Absent on purpose: what the bytes mean, and how far they are valid; the log's watermark knows.
//!
//! Lock order: a lazy map's lock is a leaf. This is the only file of the crate with `unsafe` code.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use memmap2::Mmap;
use parking_lot::RwLock;

use crate::store::layout::{self, SegmentFile};
use crate::sys::platform;

/// A file of fixed size that holds one stretch of a log or a queue.
#[derive(Debug)]
pub(crate) struct Segment {
    base: u64,
    size: usize,
    path: PathBuf,
    /// Kept open for the log; queue files are opened for each write, so that many queues do not use up the
    /// process's file handles.
    file: Option<File>,
    map: Map,
}

#[derive(Debug)]
enum Map {
    Held(Mmap),
    Lazy(LazyMap),
}

/// How many files are mapped lazily at a time: a quarter of what Linux allows a process by default
/// (`vm.max_map_count`).
const LAZY_MAPS_MAX: usize = 16 * 1024;

/// How many are, in this process.
static LAZY_MAPS: AtomicUsize = AtomicUsize::new(0);

/// A map that comes with the first read and goes when nobody reads any more.
#[derive(Debug, Default)]
struct LazyMap {
    map: RwLock<Option<Arc<Mmap>>>,
    used: AtomicBool,
}

impl LazyMap {
    /// The map, made if there may be another one.
    fn get(&self, open: impl FnOnce() -> io::Result<File>) -> Option<Arc<Mmap>> {
        self.used.store(true, Ordering::Relaxed);
        if let Some(map) = &*self.map.read() {
            return Some(Arc::clone(map));
        }
        let mut place = self.map.write();
        if place.is_none() {
            if LAZY_MAPS.fetch_add(1, Ordering::Relaxed) >= LAZY_MAPS_MAX {
                LAZY_MAPS.fetch_sub(1, Ordering::Relaxed);
                return None;
            }
            match open().and_then(|file| map(&file)) {
                Ok(map) => *place = Some(Arc::new(map)),
                Err(_) => {
                    LAZY_MAPS.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
        place.clone()
    }

    fn let_go(&self) {
        if self.map.write().take().is_some() {
            LAZY_MAPS.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for LazyMap {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Whether a segment keeps its file open between writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handle {
    /// Keep it: written all the time.
    Keep,
    /// Open it for each write.
    Reopen,
    /// Open it for each write, map it when it is read, and leave it to the caller to sync its directory: one of many.
    Lazy,
}

impl Segment {
    /// Makes the file for `base` in `dir`, or opens it when it is there, and gives it its full size.
    pub(crate) fn open(dir: &Path, base: u64, size: u64, handle: Handle) -> io::Result<Self> {
        Self::named(dir, &layout::segment_name(base), base, size, handle)
    }

    /// Like [`Segment::open`] for a file whose name is not its position.
    pub(crate) fn named(
        dir: &Path,
        name: &str,
        base: u64,
        size: u64,
        handle: Handle,
    ) -> io::Result<Self> {
        let path = dir.join(name);
        let existed = path.exists();
        let file = platform::open_write(&path)?;
        if file.metadata()?.len() != size {
            file.set_len(size)?;
        }
        let map = if handle == Handle::Lazy {
            Map::Lazy(LazyMap::default())
        } else {
            if !existed {
                platform::sync_dir(dir)?;
            }
            Map::Held(map(&file)?)
        };
        Ok(Self {
            base,
            size: usize::try_from(size).map_err(io::Error::other)?,
            path,
            file: (handle == Handle::Keep).then_some(file),
            map,
        })
    }

    /// A lazy file as it was listed, which is opened only if its size is to be another.
    pub(crate) fn listed(file: &SegmentFile, size: u64) -> io::Result<Self> {
        if file.len != size {
            platform::open_write(&file.path)?.set_len(size)?;
        }
        Ok(Self {
            base: file.base,
            size: usize::try_from(size).map_err(io::Error::other)?,
            path: file.path.clone(),
            file: None,
            map: Map::Lazy(LazyMap::default()),
        })
    }

    /// Like [`Segment::open`], but whatever the file held is gone.
    pub(crate) fn create(dir: &Path, base: u64, size: u64, handle: Handle) -> io::Result<Self> {
        let path = dir.join(layout::segment_name(base));
        if path.exists() {
            platform::open_write(&path)?.set_len(0)?;
        }
        Self::open(dir, base, size, handle)
    }

    /// The position of the first byte in the joined stream.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// The position behind the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.base.saturating_add(self.size as u64)
    }

    /// Where the file lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The whole file as mapped. Only bytes that were written and will not change again mean anything. A lazy file has
    /// none to lend: see [`Segment::view`].
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.map {
            Map::Held(map) => map,
            Map::Lazy(_) => &[],
        }
    }

    /// Shows up to `length` bytes from `at` on, mapped or read.
    pub(crate) fn view<R>(
        &self,
        at: usize,
        length: usize,
        show: impl FnOnce(&[u8]) -> R,
    ) -> io::Result<R> {
        match &self.map {
            Map::Held(map) => Ok(show(part(map, at, length))),
            Map::Lazy(lazy) => {
                let map = lazy.get(|| platform::open_read(&self.path));
                self.view_of(map.as_deref(), at, length, show)
            }
        }
    }

    /// The same for a single look, which is not worth a map: without one the bytes are read.
    pub(crate) fn peek<R>(
        &self,
        at: usize,
        length: usize,
        show: impl FnOnce(&[u8]) -> R,
    ) -> io::Result<R> {
        match &self.map {
            Map::Held(map) => Ok(show(part(map, at, length))),
            Map::Lazy(lazy) => {
                let map = lazy.map.read().clone();
                self.view_of(map.as_deref(), at, length, show)
            }
        }
    }

    /// Shows a part of `map`, or what is read without one.
    fn view_of<R>(
        &self,
        map: Option<&Mmap>,
        at: usize,
        length: usize,
        show: impl FnOnce(&[u8]) -> R,
    ) -> io::Result<R> {
        if let Some(map) = map {
            return Ok(show(part(map, at, length)));
        }
        let mut buffer = vec![0; length.min(self.size.saturating_sub(at))];
        let read = self.read(at, &mut buffer)?;
        Ok(show(buffer.get(..read).unwrap_or_default()))
    }

    /// Unmaps a lazy file that nobody has read since this was called last.
    pub(crate) fn let_go_if_idle(&self) {
        if let Map::Lazy(lazy) = &self.map
            && !lazy.used.swap(false, Ordering::Relaxed)
        {
            lazy.let_go();
        }
    }

    /// Whether any lazy file is mapped.
    pub(crate) fn any_lazy_map() -> bool {
        LAZY_MAPS.load(Ordering::Relaxed) > 0
    }

    /// Writes `bytes` at `at` in the file; all or an error, after which the stretch holds anything.
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
        if at
            .checked_add(bytes.len())
            .is_none_or(|end| end > self.size)
        {
            return Err(io::Error::other("write past the end of a segment"));
        }
        self.with_file(|file| platform::write_all_at(file, bytes, at as u64))
    }

    /// Reads without touching the map, so that a scan does not grow this process.
    pub(crate) fn read(&self, at: usize, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = |file: &File| platform::read_full_at(file, buffer, at as u64);
        match &self.file {
            Some(file) => read(file),
            None => read(&platform::open_read(&self.path)?),
        }
    }

    /// The first place at or after `at` that may hold anything but zeros.
    pub(crate) fn next_data(&self, at: usize) -> Option<usize> {
        self.with_file(|file| Ok(platform::next_data(file, at as u64)))
            .unwrap_or(Some(at as u64))
            .and_then(|at| usize::try_from(at).ok())
            .filter(|&at| at < self.size)
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.with_file(File::sync_data)
    }

    /// Takes a part of the file out of memory, as far as it is on the disk: its pages are free for other things, and who
    /// reads it reads it from the disk.
    pub(crate) fn let_go_of_pages(&self, part: Range<u64>) -> io::Result<()> {
        // Pages that are mapped would stay.
        if let Map::Held(map) = &self.map {
            unmap_pages(map, &part)?;
        }
        self.with_file(|file| platform::drop_cached(file, part))
    }

    /// Makes everything from `at` on zero again. Needs no room on the disk: the file is cut and extended.
    ///
    /// The caller sees to it that nobody reads at or behind `at` meanwhile.
    pub(crate) fn clear_from(&self, at: usize) -> io::Result<()> {
        self.with_file(|file| {
            file.set_len(at as u64)?;
            file.set_len(self.size as u64)
        })
    }

    /// Deletes the file; readers keep the bytes.
    pub(crate) fn unlink(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn with_file<T>(&self, work: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        match &self.file {
            Some(file) => work(file),
            None => work(&platform::open_write(&self.path)?),
        }
    }
}

/// Up to `length` bytes from `at` on.
fn part(bytes: &[u8], at: usize, length: usize) -> &[u8] {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.get(..length).unwrap_or(rest)
}

#[allow(
    unsafe_code,
    reason = "reading stored records without copying them needs a map"
)]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: a map must not be cut short, nor change under a reader. Cut short: the file has its full size and
    // keeps it while the store's lock keeps other brokers away; `clear_from` cuts it only behind every position
    // that readers are given, and extends it again. Change: readers are given slices only below the log's
    // `appended` watermark (or below a queue's written count), where bytes are written once, before the watermark
    // moves past them. What another program does to the files in spite of the lock is beyond any process's reach.
    unsafe { Mmap::map(file) }
}

#[cfg(unix)]
#[allow(
    unsafe_code,
    reason = "the safe way, `MADV_PAGEOUT`, leaves large pages and what others map"
)]
fn unmap_pages(map: &Mmap, part: &Range<u64>) -> io::Result<()> {
    let start = usize::try_from(part.start).map_err(io::Error::other)?;
    let end = usize::try_from(part.end).map_err(io::Error::other)?;
    let advice = memmap2::UncheckedAdvice::DontNeed;
    // SAFETY: the advice is dangerous where a map holds what its file does not: writes to a private map, or no file at
    // all. This one is shared and read-only, so whoever looks at these pages again, a slice held meanwhile included, finds
    // the file's bytes, which are what was there.
    unsafe { map.unchecked_advise_range(advice, start, end.saturating_sub(start)) }
}

#[cfg(not(unix))]
fn unmap_pages(_: &Mmap, _: &Range<u64>) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_seen_in_the_map() {
        let dir = tempfile::tempdir().unwrap();
        for handle in [Handle::Keep, Handle::Reopen] {
            let segment = Segment::open(dir.path(), 8192, 8192, handle).unwrap();
            segment.write(100, b"record").unwrap();
            assert_eq!(&segment.bytes()[100..106], b"record");
            assert_eq!(segment.end(), 16384);
            assert!(segment.write(8190, b"abc").is_err());
            segment.sync().unwrap();
            segment.clear_from(103).unwrap();
            assert_eq!(&segment.bytes()[100..106], b"rec\0\0\0");
        }
        let lazy = Segment::open(dir.path(), 8192, 8192, Handle::Lazy).unwrap();
        let view = |at, length| lazy.view(at, length, <[u8]>::to_vec).unwrap();
        for _ in 0..3 {
            assert_eq!(view(100, 4), b"rec\0");
            assert_eq!(view(8190, 10), [0, 0]);
            lazy.let_go_if_idle();
        }
        assert!(lazy.view(9000, 10, <[u8]>::is_empty).unwrap());
        let segment = Segment::open(dir.path(), 8192, 8192, Handle::Keep).unwrap();
        segment.unlink().unwrap();
        assert_eq!(&segment.bytes()[100..103], b"rec");
        segment.unlink().unwrap();
    }
}
