//! The files of one queue.

use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::Entry;
use super::places::Unit;
use super::probe::Probe;
use crate::store::layout;
use crate::store::segment::{Handle, Segment};
use crate::sys::platform;

/// The files of one queue, ordered and without gaps. Positions are counted in entries of one kind.
#[derive(Debug)]
pub(crate) struct Files<U> {
    dir: PathBuf,
    file_bytes: u64,
    segments: RwLock<Vec<Arc<Segment>>>,
    /// How many entries are in the files, counted from offset 0.
    written: AtomicU64,
    /// What was done since the last sync.
    dirty: Mutex<Dirty>,
    unit: PhantomData<U>,
}

/// What is not on the disk yet.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    /// Files that were written to.
    segments: Vec<Arc<Segment>>,
    /// Whether there are new ones among them, so that the directories must be synced too.
    names: bool,
}

impl<U: Unit> Files<U> {
    const ENTRY: u64 = U::BYTES as u64;

    /// The files of a queue that has none yet.
    pub(crate) fn none(dir: &Path, file_bytes: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            file_bytes: whole_entries::<U>(file_bytes),
            segments: RwLock::default(),
            written: AtomicU64::new(0),
            dirty: Mutex::default(),
            unit: PhantomData,
        }
    }

    /// Opens what is there. How many entries are valid is for the caller to find out ([`Files::set_end`]).
    ///
    /// The flag is false when files are missing in between: those behind are deleted then, and the queue must be made
    /// again from the log.
    pub(crate) fn open(dir: &Path, file_bytes: u64) -> io::Result<(Self, bool)> {
        let file_bytes = whole_entries::<U>(file_bytes);
        let mut segments: Vec<Arc<Segment>> = Vec::new();
        let found = layout::segments(dir)?;
        let mut whole = true;
        for (index, file) in found.iter().enumerate() {
            // Every file reaches to the next one; a last one of another configuration keeps its size.
            let next = found.get(index + 1).map(|next| next.base);
            let size = next.map_or(
                file.len.next_multiple_of(Self::ENTRY).max(file_bytes),
                |next| next - file.base,
            );
            let follows = segments.last().is_none_or(|last| last.end() == file.base);
            let aligned = size.is_multiple_of(Self::ENTRY) && file.base.is_multiple_of(Self::ENTRY);
            let has_gap = next.is_some() && file.len < size;
            whole &= follows && aligned && !has_gap;
            if !whole {
                tracing::warn!("{} does not belong where it is", file.path.display());
                std::fs::remove_file(&file.path)?;
                continue;
            }
            segments.push(Arc::new(Segment::listed(file, size)?));
        }
        let files = Self {
            dir: dir.to_owned(),
            file_bytes,
            written: AtomicU64::new(
                segments
                    .first()
                    .map_or(0, |first| first.base() / Self::ENTRY),
            ),
            segments: RwLock::new(segments),
            dirty: Mutex::default(),
            unit: PhantomData,
        };
        Ok((files, whole))
    }

    /// The first entry the files have room for.
    pub(crate) fn start(&self) -> u64 {
        self.segments
            .read()
            .first()
            .map_or(0, |first| first.base() / Self::ENTRY)
    }

    /// How far the files reach, whether written or not.
    pub(crate) fn capacity(&self) -> u64 {
        self.segments
            .read()
            .last()
            .map_or(0, |last| last.end() / Self::ENTRY)
    }

    /// The offset behind the last entry.
    pub(crate) fn end(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Says how many entries are valid.
    pub(crate) fn set_end(&self, end: u64) {
        self.written.store(end, Ordering::Release);
    }

    /// The files, in their order.
    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().clone()
    }

    pub(super) fn segment_of(&self, at: u64) -> Option<Arc<Segment>> {
        let position = at.checked_mul(Self::ENTRY)?;
        let segments = self.segments.read();
        let index = segments.partition_point(|segment| segment.end() <= position);
        segments
            .get(index)
            .filter(|segment| segment.base() <= position)
            .cloned()
    }

    /// The entry at `at`, whether it counts as written or not.
    pub(crate) fn entry(&self, at: u64) -> Option<U> {
        let segment = self.segment_of(at)?;
        let place = usize::try_from(at.checked_mul(Self::ENTRY)? - segment.base()).ok()?;
        segment.peek(place, U::BYTES, U::decode_first).ok()?
    }

    /// For many looks at once.
    pub(crate) fn probe(&self) -> Probe<'_, U> {
        Probe::new(self)
    }

    /// Appends up to `count` entries from `at` on to `out`; stops at the end of a file.
    pub(crate) fn read(&self, at: u64, count: usize, out: &mut Vec<U>) {
        let Some(segment) = self.segment_of(at) else {
            return;
        };
        let Ok(place) = usize::try_from(at * Self::ENTRY - segment.base()) else {
            return;
        };
        let decode = |bytes: &[u8]| {
            let entries = bytes.chunks_exact(U::BYTES);
            out.extend(entries.filter_map(U::decode_first));
        };
        let bytes = count.saturating_mul(U::BYTES);
        if let Err(error) = segment.view(place, bytes, decode) {
            tracing::warn!("cannot read {}: {error}", segment.path().display());
        }
    }

    /// Writes encoded entries from `at` on, making files as needed.
    pub(crate) fn write(&self, at: u64, mut bytes: &[u8]) -> io::Result<()> {
        let mut position = at * Self::ENTRY;
        while !bytes.is_empty() {
            let segment = self.segment_for_write(position)?;
            let room = segment.end() - position;
            let part = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            let (now, later) = bytes.split_at(part);
            let place = usize::try_from(position - segment.base()).map_err(io::Error::other)?;
            segment.write(place, now)?;
            {
                let segments = &mut self.dirty.lock().segments;
                if !segments.iter().any(|known| Arc::ptr_eq(known, &segment)) {
                    segments.push(Arc::clone(&segment));
                }
            }
            position += part as u64;
            bytes = later;
        }
        self.set_end(position / Self::ENTRY);
        Ok(())
    }

    fn segment_for_write(&self, position: u64) -> io::Result<Arc<Segment>> {
        if let Some(segment) = self.segment_of(position / Self::ENTRY) {
            return Ok(segment);
        }
        if self.segments.read().is_empty() {
            std::fs::create_dir_all(&self.dir)?;
        }
        let base = self
            .segments
            .read()
            .last()
            .map_or(position - position % self.file_bytes, |last| last.end());
        let segment = Segment::create(&self.dir, base, self.file_bytes, Handle::Lazy)?;
        let segment = Arc::new(segment);
        self.dirty.lock().names = true;
        self.segments.write().push(Arc::clone(&segment));
        Ok(segment)
    }

    /// Makes everything written so far durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let dirty = self.take_dirty();
        let synced = self.sync_all(&dirty);
        if synced.is_err() {
            self.give_back(dirty);
        }
        synced
    }

    fn sync_all(&self, dirty: &Dirty) -> io::Result<()> {
        for segment in &dirty.segments {
            // A file that retention deleted needs no sync.
            if segment.path().exists() {
                segment.sync()?;
            }
        }
        if dirty.names {
            // The queue's own directory, its topic's, and the one of all topics.
            for dir in self.dir.ancestors().take(3).filter(|dir| dir.exists()) {
                platform::sync_dir(dir)?;
            }
        }
        Ok(())
    }

    /// Whether something is not on the disk yet.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.lock().segments.is_empty()
    }

    /// Takes what is not on the disk yet, for a caller who syncs it by other means.
    pub(crate) fn take_dirty(&self) -> Dirty {
        std::mem::take(&mut *self.dirty.lock())
    }

    /// Gives back what could not be synced.
    pub(crate) fn give_back(&self, taken: Dirty) {
        let mut dirty = self.dirty.lock();
        dirty.names |= taken.names;
        dirty.segments.extend(taken.segments);
    }

    /// Unmaps the files that nobody has read lately.
    pub(crate) fn let_go_idle(&self) {
        for segment in self.segments.read().iter() {
            segment.let_go_if_idle();
        }
    }

    /// Cuts everything at and behind `end` off: the rest of its file becomes zero, later files go. Recovery only.
    pub(crate) fn truncate(&self, end: u64) -> io::Result<()> {
        let position = end * Self::ENTRY;
        let mut segments = self.segments.write();
        while let Some(last) = segments.pop_if(|last| last.base() >= position) {
            last.unlink()?;
        }
        if let Some(last) = segments.last()
            && position < last.end()
        {
            let place = usize::try_from(position - last.base()).map_err(io::Error::other)?;
            last.clear_from(place)?;
        }
        self.set_end(end);
        Ok(())
    }

    /// Deletes the files whose last entry is below `min`, but never the last file. Returns how many.
    pub(crate) fn remove_before(&self, min: u64) -> io::Result<usize> {
        let gone: Vec<_> = {
            let mut segments = self.segments.write();
            let count = segments
                .partition_point(|segment| segment.end() / Self::ENTRY <= min)
                .min(segments.len().saturating_sub(1));
            segments.drain(..count).collect()
        };
        for segment in &gone {
            segment.unlink()?;
        }
        Ok(gone.len())
    }

    /// The directory of the files; it may not be there yet.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Deletes all files and the directories that become empty.
    pub(crate) fn destroy(&self) -> io::Result<()> {
        self.take_dirty();
        let segments = std::mem::take(&mut *self.segments.write());
        self.set_end(0);
        for segment in &segments {
            segment.unlink()?;
        }
        // The queue's directory and then the topic's: refused, as it should be, while something else is in them.
        for dir in self.dir.ancestors().take(2) {
            if std::fs::remove_dir(dir).is_err() {
                break;
            }
        }
        if let Some(parent) = self.dir.ancestors().find(|dir| dir.exists()) {
            platform::sync_dir(parent)?;
        }
        Ok(())
    }
}

impl Files<Entry> {
    /// Lets an empty queue begin at `start`, with fillers before it in its file.
    pub(crate) fn begin_at(&self, start: u64) -> io::Result<()> {
        let per_file = self.file_bytes / Self::ENTRY;
        let first = start - start % per_file;
        let fillers: Vec<u8> = (first..start)
            .flat_map(|_| Entry::FILLER.encode())
            .collect();
        self.set_end(first);
        self.write(first, &fillers)
    }
}

fn whole_entries<U: Unit>(file_bytes: u64) -> u64 {
    let entry = U::BYTES as u64;
    file_bytes.div_ceil(entry).max(1).saturating_mul(entry)
}
