//! Looks at a queue's files, written or not, without touching the map: for whoever has to find out how far they are right.
//!
//! A hole of a file system in memory needs a page to be mapped, and there may be none; and a store of many queues would
//! map them all when it opens.

use std::sync::Arc;

use super::files::Files;
use super::places::Unit;
use crate::store::segment::Segment;
use crate::store::window::Window;

/// Entries that are read together: about a page.
const TOGETHER: u64 = 200;

/// Looks at entries; keeps the file open that it looked into last, and the entries around the last one.
pub(crate) struct Probe<'a, U> {
    files: &'a Files<U>,
    open: Option<(Arc<Segment>, Window)>,
}

impl<'a, U: Unit> Probe<'a, U> {
    pub(super) fn new(files: &'a Files<U>) -> Self {
        Self { files, open: None }
    }

    /// The entry at `at`, whether it counts as written or not.
    pub(crate) fn entry(&mut self, at: u64) -> Option<U> {
        let position = at.checked_mul(U::BYTES as u64)?;
        let is_open = |(segment, _): &(Arc<Segment>, Window)| {
            (segment.base()..segment.end()).contains(&position)
        };
        if !self.open.as_ref().is_some_and(is_open) {
            self.turn_to(self.files.segment_of(at)?)?;
        }
        let (segment, window) = self.open.as_mut()?;
        let place = position - segment.base();
        let together = TOGETHER * U::BYTES as u64;
        let into = place % together;
        let bytes = window.at(place - into, usize::try_from(together).ok()?);
        U::decode_first(bytes.ok()?.get(usize::try_from(into).ok()?..)?)
    }

    /// Where what was written seems to end, by what the file system knows of holes: a good place to begin a search, and
    /// no more than that.
    pub(crate) fn written(&mut self) -> u64 {
        let entry_bytes = U::BYTES as u64;
        for segment in self.files.segments().into_iter().rev() {
            let start = segment.base() / entry_bytes;
            if self.turn_to(Arc::clone(&segment)).is_none() {
                continue;
            }
            let Some((_, window)) = &self.open else {
                continue;
            };
            let data_end = window.data_end(segment.end() - segment.base());
            if data_end == 0 {
                continue;
            }
            let end = start + data_end.div_ceil(entry_bytes);
            // File systems give out whole blocks, so the last one is full of zeros behind the last entry.
            let last = (end.saturating_sub(2 * TOGETHER).max(start)..end)
                .rev()
                .find(|&at| {
                    self.entry(at)
                        .is_some_and(|unit| !unit.pointer().is_unwritten())
                });
            return last.map_or(end, |last| last + 1);
        }
        self.files.start()
    }

    fn turn_to(&mut self, segment: Arc<Segment>) -> Option<()> {
        self.open = None;
        let window = Window::open(segment.path()).ok()?;
        self.open = Some((segment, window.reading_ahead(0)));
        Some(())
    }
}
