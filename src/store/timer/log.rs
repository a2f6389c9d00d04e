//! The timer log: units one behind the other, in files of fixed size. A unit never reaches across the end of a file.
//!
//! Written with positioned writes and read with positioned reads, never through the map: a million pending messages
//! cost page cache, not memory of this process.

use std::io;
use std::path::{Path, PathBuf};

use super::format::{FILLER_BYTES, UNIT_BYTES, Unit, encode_filler, is_filler};
use crate::store::layout;
use crate::store::segment::{Handle, Segment};

const UNIT: u64 = UNIT_BYTES as u64;
const FILLER: u64 = FILLER_BYTES as u64;
/// Units read at a time when the log is walked.
const WALK_UNITS: usize = 1024;
/// A list is read backwards, and its units tend to lie close together.
const WINDOW_BYTES: u64 = 4096;

/// The files, and how far they are valid.
#[derive(Debug)]
pub(crate) struct TimerLog {
    dir: PathBuf,
    file_bytes: u64,
    segments: Vec<Segment>,
    /// Behind the last unit, those that are not written yet included.
    end: u64,
    /// How far the units are on the disk.
    flushed: u64,
    /// Units that are not written yet; they end at `end`.
    unwritten: Vec<u8>,
    window: Vec<u8>,
    window_at: u64,
}

fn place(segment: &Segment, at: u64) -> io::Result<usize> {
    usize::try_from(at.saturating_sub(segment.base())).map_err(io::Error::other)
}

impl TimerLog {
    /// Opens what is there. Where it ends is not known before [`TimerLog::walk`] and [`TimerLog::set_end`]. `None` if
    /// the files do not belong together. Files that are there keep their size, whatever `file_bytes` says.
    pub(crate) fn open(dir: &Path, file_bytes: u64) -> io::Result<Option<Self>> {
        std::fs::create_dir_all(dir)?;
        let found = layout::segments(dir)?;
        let file_bytes = found.first().map_or(file_bytes, |file| file.len);
        let regular = file_bytes >= UNIT + FILLER
            && found
                .iter()
                .all(|file| file.len == file_bytes && file.base.is_multiple_of(file_bytes))
            && found.is_sorted_by(|one, next| one.end() == next.base);
        if !regular {
            return Ok(None);
        }
        let segments = found
            .iter()
            .map(|file| Segment::open(dir, file.base, file_bytes, Handle::Keep))
            .collect::<io::Result<Vec<_>>>()?;
        let end = segments.first().map_or(0, Segment::base);
        Ok(Some(Self {
            dir: dir.to_owned(),
            file_bytes,
            segments,
            end,
            flushed: end,
            unwritten: Vec::new(),
            window: Vec::new(),
            window_at: 0,
        }))
    }

    /// Deletes everything and begins anew.
    pub(crate) fn reset(dir: &Path, file_bytes: u64) -> io::Result<Self> {
        for file in layout::segments(dir)? {
            std::fs::remove_file(file.path)?;
        }
        Self::open(dir, file_bytes)?
            .ok_or_else(|| io::Error::other("mappedFileSizeTimerLog is too small"))
    }

    /// The size of its files.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The first position.
    pub(crate) fn start(&self) -> u64 {
        self.segments.first().map_or(0, Segment::base)
    }

    /// How far the units are on the disk.
    pub(crate) fn flushed(&self) -> u64 {
        self.flushed
    }

    /// Calls `found` with each unit from `from` on, and returns the position behind the last whole one.
    pub(crate) fn walk(
        &self,
        from: u64,
        mut found: impl FnMut(u64, Unit) -> io::Result<()>,
    ) -> io::Result<u64> {
        let mut at = from.max(self.start());
        let mut buffer = vec![0; WALK_UNITS * UNIT_BYTES];
        for segment in self.segments.iter().filter(|one| one.end() > from) {
            loop {
                let read = segment.read(place(segment, at)?, &mut buffer)?;
                let mut units = buffer.get(..read).unwrap_or_default();
                if read < FILLER_BYTES {
                    break;
                }
                while let Some(unit) = Unit::decode(units) {
                    found(at, unit)?;
                    at += UNIT;
                    units = units.get(UNIT_BYTES..).unwrap_or_default();
                }
                if is_filler(units) {
                    break;
                }
                if !units.is_empty() {
                    return Ok(at);
                }
            }
            at = segment.end();
        }
        Ok(at)
    }

    /// Says where the log ends. Recovery only. What lies behind is cleared away.
    pub(crate) fn set_end(&mut self, end: u64) -> io::Result<()> {
        while let Some(last) = self.segments.last()
            && last.base() >= end
            && last.base() > self.start()
        {
            last.unlink()?;
            self.segments.pop();
        }
        if let Some(last) = self.segments.last()
            && end < last.end()
        {
            last.clear_from(place(last, end)?)?;
        }
        self.end = end;
        self.flushed = self.flushed.min(end);
        Ok(())
    }

    /// Takes a unit in and returns its position. It is written with the next [`TimerLog::write_out`].
    pub(crate) fn append(&mut self, unit: &Unit) -> io::Result<u64> {
        let file_end = self.segments.last().map_or(self.end, Segment::end);
        let left = file_end.saturating_sub(self.end);
        if left < UNIT + FILLER {
            // There is always room for it: it is what the unit before it left.
            if left >= FILLER {
                let filler = encode_filler(u32::try_from(left).unwrap_or(u32::MAX));
                self.unwritten.extend_from_slice(&filler);
                self.end += FILLER;
            }
            self.write_out()?;
            self.end = file_end;
            let next = Segment::create(&self.dir, file_end, self.file_bytes, Handle::Keep)?;
            self.segments.push(next);
        }
        let at = self.end;
        self.unwritten.extend_from_slice(&unit.encode());
        self.end += UNIT;
        Ok(at)
    }

    /// Writes what waits. After an error it waits on.
    pub(crate) fn write_out(&mut self) -> io::Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let from = self.end - self.unwritten.len() as u64;
        let segment = self.segments.iter().rev().find(|one| one.base() <= from);
        let segment =
            segment.ok_or_else(|| io::Error::other("the timer log has no file for a unit"))?;
        segment.write(place(segment, from)?, &self.unwritten)?;
        self.unwritten.clear();
        // A unit that was cut off in recovery may have lain where a new one lies now.
        self.window.clear();
        Ok(())
    }

    /// Reads one unit that was written.
    pub(crate) fn unit(&mut self, at: u64) -> io::Result<Option<Unit>> {
        let behind = at.saturating_add(UNIT);
        let cached = self.window_at + self.window.len() as u64;
        if at < self.window_at || behind > cached {
            let holds = |one: &&Segment| one.base() <= at && behind <= one.end();
            let Some(segment) = self.segments.iter().rev().find(holds) else {
                return Ok(None);
            };
            let from = behind.saturating_sub(WINDOW_BYTES).max(segment.base());
            let length = usize::try_from(behind - from).map_err(io::Error::other)?;
            self.window.resize(length, 0);
            self.window_at = from;
            if segment.read(place(segment, from)?, &mut self.window)? < length {
                self.window.clear();
                return Ok(None);
            }
        }
        let in_window = usize::try_from(at - self.window_at).map_err(io::Error::other)?;
        Ok(self.window.get(in_window..).and_then(Unit::decode))
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.write_out()?;
        for segment in self.segments.iter().filter(|one| one.end() > self.flushed) {
            segment.sync()?;
        }
        self.flushed = self.end;
        Ok(())
    }

    /// Deletes files, oldest first, while the last unit of a file satisfies `is_over`. The last file stays.
    pub(crate) fn remove_old(&mut self, is_over: impl Fn(&Unit) -> bool) -> io::Result<()> {
        // The last unit of a full file is at a fixed place.
        let last_unit = ((self.file_bytes - FILLER) / UNIT).saturating_sub(1) * UNIT;
        while self.segments.len() > 1 {
            let last = self.unit(self.start() + last_unit)?;
            if !last.is_some_and(|last| is_over(&last)) {
                break;
            }
            let first = self.segments.remove(0);
            self.window.clear();
            first.unlink()?;
            tracing::info!("deleted {}", first.path().display());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::timer::format::{KIND_DEFAULT, NONE};

    fn unit(number: i64) -> Unit {
        Unit {
            previous: NONE,
            kind: KIND_DEFAULT,
            written_ms: 1000,
            delay_ms: 5,
            log_offset: number,
            size: 100,
            topic_hash: 0,
        }
    }

    #[test]
    fn units_fill_files_and_are_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = TimerLog::open(dir.path(), 200).unwrap().unwrap();
        let append = |number| log.append(&unit(number)).unwrap();
        let places: Vec<u64> = (0..7).map(append).collect();
        assert_eq!(places, [0, 52, 104, 200, 252, 304, 400]);
        log.sync().unwrap();
        for (number, at) in (0..).zip(&places) {
            assert_eq!(log.unit(*at).unwrap(), Some(unit(number)));
        }
        let mut again = TimerLog::open(dir.path(), 999).unwrap().unwrap();
        let mut found = Vec::new();
        let end = again
            .walk(0, |at, unit| {
                found.push((at, unit.log_offset));
                Ok(())
            })
            .unwrap();
        assert_eq!(end, 452);
        let expected: Vec<(u64, i64)> = places.into_iter().zip(0..).collect();
        assert_eq!(found, expected);
        again.set_end(end).unwrap();
        again.remove_old(|unit| unit.log_offset < 5).unwrap();
        assert_eq!(again.start(), 200);
        assert_eq!(again.append(&unit(7)).unwrap(), 452);
    }

    #[test]
    fn a_torn_unit_ends_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = TimerLog::open(dir.path(), 104_000).unwrap().unwrap();
        for number in 0..1500 {
            log.append(&unit(number)).unwrap();
        }
        log.write_out().unwrap();
        let walked = log.walk(52, |_, _| Ok(())).unwrap();
        assert_eq!(walked, 1500 * 52);
        log.segments[0].write(20 * 52, &[0; 30]).unwrap();
        let mut again = TimerLog::open(dir.path(), 104_000).unwrap().unwrap();
        let end = again.walk(52, |_, _| Ok(())).unwrap();
        assert_eq!(end, 20 * 52);
        again.set_end(end).unwrap();
        assert_eq!(again.append(&unit(9)).unwrap(), end);
    }
}
