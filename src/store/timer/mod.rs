//! Messages that wait for a time of their own: Apache's timer log and timer wheel, and how they are brought in order.
//!
//! A message with a time of delivery lies in the commit log, in the queue of the timer topic. For each there is one
//! unit in the timer log; the units of one time are a list that begins in the wheel's slot of that time. This module
//! keeps both and finds what is due; who reads the queue and who delivers is the broker's timer.
//!
//! What it promises: a unit that [`TimerFiles::commit`] took is found again after a crash of the process; after
//! [`TimerFiles::sync`] also after one of the machine. Files that do not belong together are made anew from the queue.
//!
//! Absent on purpose: messages. A unit only says where its record is.

pub mod format;
mod log;
mod wheel;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use self::format::{Check, KIND_DEFAULT, KIND_DELETE, NONE, Slot, Unit};
use self::log::TimerLog;
use self::wheel::Wheel;
use crate::sys::platform;

/// A message that is to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// The time of its slot, a multiple of the precision, ms since 1970.
    pub(crate) slot_ms: i64,
    /// Now, cut down to the precision.
    pub(crate) written_ms: i64,
    /// Kinds beside the default one.
    pub(crate) kind: i32,
    pub(crate) log_offset: i64,
    pub(crate) size: i32,
    pub(crate) topic_hash: i32,
}

/// One message of a slot that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) log_offset: i64,
    pub(crate) size: i32,
    pub(crate) kind: i32,
    pub(crate) written_ms: i64,
}

/// What opening found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    /// The newest unit: every message of the queue up to its own was taken in.
    pub(crate) last: Option<Unit>,
    /// The files were not usable (or not there), and the queue must be read from its start.
    pub(crate) anew: bool,
}

/// The timer's files in one store directory.
#[derive(Debug)]
pub(crate) struct TimerFiles {
    precision_ms: i64,
    log: TimerLog,
    wheel: Wheel,
    check_path: PathBuf,
    /// As it was written last.
    check: Check,
    /// Slots that changed since the last commit.
    touched: HashMap<i64, Slot>,
    /// Every slot before this time is done.
    read_ms: i64,
    waiting: i64,
}

impl TimerFiles {
    /// Removes the files below a store directory, the checkpoint first: without it the others are made anew.
    pub(crate) fn discard(dir: &Path) -> io::Result<()> {
        let gone = |removed: io::Result<()>| match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        gone(std::fs::remove_file(dir.join("config").join("timercheck")))?;
        gone(std::fs::remove_file(dir.join("timerwheel")))?;
        gone(std::fs::remove_dir_all(dir.join("timerlog")))
    }

    /// Opens the files below a store directory, makes what is missing and repairs what a crash left behind.
    pub(crate) fn open(
        dir: &Path,
        precision_ms: i64,
        file_bytes: u64,
    ) -> io::Result<(Self, Opened)> {
        let check_path = dir.join("config").join("timercheck");
        let kept = match std::fs::read(&check_path) {
            Ok(bytes) => Some(Check::decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let check = kept.unwrap_or_default();
        let (log_dir, wheel_path) = (dir.join("timerlog"), dir.join("timerwheel"));
        let (wheel, made) = Wheel::open(&wheel_path)?;
        let log = match TimerLog::open(&log_dir, file_bytes)? {
            Some(log) => log,
            None => TimerLog::reset(&log_dir, file_bytes)?,
        };
        let mut files = Self {
            precision_ms,
            log,
            wheel,
            check_path,
            check,
            touched: HashMap::new(),
            read_ms: check.read_ms,
            waiting: 0,
        };
        let (last, whole) = files.recover(made)?;
        if kept.is_some() && whole {
            return Ok((files, Opened { last, anew: false }));
        }
        if kept.is_some() {
            tracing::warn!(
                dir = %dir.display(),
                "the timer log is shorter than it was; it is made anew from the messages that wait"
            );
        }
        files.log = TimerLog::reset(&log_dir, file_bytes)?;
        platform::open_write(&wheel_path)?.set_len(0)?;
        files.wheel = Wheel::open(&wheel_path)?.0;
        files.waiting = 0;
        let (last, anew) = (None, true);
        Ok((files, Opened { last, anew }))
    }

    /// Finds the end of the log and brings the wheel in line with it. False if units that were on the disk are gone.
    fn recover(&mut self, wheel_is_new: bool) -> io::Result<(Option<Unit>, bool)> {
        let flushed = u64::try_from(self.check.flushed).unwrap_or(0);
        let file_bytes = self.log.file_bytes();
        let start = self.log.start();
        let whole_files = |at: u64| at / file_bytes * file_bytes;
        // Units behind this may be missing in the wheel. After Apache go back by one of its files, as it does itself.
        let mut from = match self.check.scan_from {
            _ if wheel_is_new => start,
            Some(_) => flushed.max(start),
            None => whole_files(flushed.saturating_sub(file_bytes)).max(start),
        };
        let mut last = None;
        let walked = from.min(whole_files(flushed.saturating_sub(1)).max(start));
        let end = self.log.walk(walked, |_, unit| {
            last = Some(unit);
            Ok(())
        })?;
        if end < flushed {
            return Ok((None, false));
        }
        self.log.set_end(end)?;
        // Slots that lead behind the end of the log are made anew as well.
        let end = end.cast_signed();
        let read_time = self.read_ms.div_euclid(self.precision_ms);
        let (mut sound, mut broken) = (Vec::new(), HashSet::new());
        self.wheel.scan(read_time, |slot| {
            if slot.last < end {
                sound.push((slot.time, slot.count));
            } else {
                let first = u64::try_from(slot.first).map_or(start, whole_files);
                from = from.min(first.max(start));
                broken.insert(slot.time);
            }
        })?;
        for (time, count) in sound {
            self.wheel.set_waiting(time, true);
            self.waiting += i64::from(count);
        }
        for time in broken {
            self.wheel.write(&Slot::empty(time))?;
        }
        self.link_from(from)?;
        self.commit()?;
        Ok((last, true))
    }

    /// Puts units into their slots that are not there yet.
    fn link_from(&mut self, from: u64) -> io::Result<()> {
        let (wheel, touched) = (&mut self.wheel, &mut self.touched);
        let (precision_ms, read_ms, waiting) = (self.precision_ms, self.read_ms, &mut self.waiting);
        self.log.walk(from, |at, unit| {
            if unit.slot_ms() >= read_ms {
                let time = unit.slot_ms().div_euclid(precision_ms);
                let slot = match touched.get_mut(&time) {
                    Some(slot) => slot,
                    None => touched.entry(time).or_insert(wheel.slot(time)?),
                };
                if slot.last < at.cast_signed() {
                    *waiting += i64::from(link(slot, at, unit.kind));
                    wheel.set_waiting(time, true);
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Takes a message in. It is in the files with the next [`TimerFiles::commit`].
    pub(crate) fn add(&mut self, message: &Waiting) -> io::Result<()> {
        let time = message.slot_ms.div_euclid(self.precision_ms);
        let slot = match self.touched.get_mut(&time) {
            Some(slot) => slot,
            None => self.touched.entry(time).or_insert(self.wheel.slot(time)?),
        };
        let kind = KIND_DEFAULT | message.kind;
        let delay_ms = message.slot_ms.saturating_sub(message.written_ms);
        let at = self.log.append(&Unit {
            previous: slot.last,
            kind,
            written_ms: message.written_ms,
            delay_ms: i32::try_from(delay_ms).unwrap_or(i32::MAX),
            log_offset: message.log_offset,
            size: message.size,
            topic_hash: message.topic_hash,
        })?;
        self.waiting += i64::from(link(slot, at, kind));
        self.wheel.set_waiting(time, true);
        Ok(())
    }

    /// Writes what was added: the units first, then the slots that lead to them. Can be tried again after an error.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        self.log.write_out()?;
        for slot in self.touched.values() {
            self.wheel.write(slot)?;
        }
        self.touched.clear();
        Ok(())
    }

    /// The time of the next slot with messages, ms since 1970.
    pub(crate) fn next_slot_ms(&self) -> Option<i64> {
        let from = self.read_ms.div_euclid(self.precision_ms);
        let time = self.wheel.next_waiting(from)?;
        Some(time.saturating_mul(self.precision_ms))
    }

    /// The messages of a slot, in the order they came. Everything added must have been committed.
    pub(crate) fn slot(&mut self, slot_ms: i64) -> io::Result<Vec<Due>> {
        let slot = self.wheel.slot(slot_ms.div_euclid(self.precision_ms))?;
        let mut found = Vec::new();
        let mut at = slot.last;
        while let Ok(position) = u64::try_from(at) {
            let Some(unit) = self.log.unit(position)? else {
                tracing::warn!(slot_ms, at, "the list of a timer slot ends early");
                break;
            };
            found.push(Due {
                log_offset: unit.log_offset,
                size: unit.size,
                kind: unit.kind,
                written_ms: unit.written_ms,
            });
            // A list only leads back; anything else is damage and might go round in circles.
            at = if unit.previous < at {
                unit.previous
            } else {
                NONE
            };
        }
        found.reverse();
        Ok(found)
    }

    /// How many messages a slot has; 0 if that cannot be read.
    pub(crate) fn count(&self, slot_ms: i64) -> i64 {
        let time = slot_ms.div_euclid(self.precision_ms);
        let slot = self.wheel.slot(time);
        slot.map_or(0, |slot| slot.count.into())
    }

    /// The messages of a slot have been delivered.
    pub(crate) fn done(&mut self, slot_ms: i64) -> io::Result<()> {
        let time = slot_ms.div_euclid(self.precision_ms);
        self.waiting -= i64::from(self.wheel.slot(time)?.count);
        self.wheel.set_waiting(time, false);
        self.read_ms = self.read_ms.max(slot_ms.saturating_add(self.precision_ms));
        Ok(())
    }

    /// Moves the time read so far up to `ms`, if nothing waits before.
    pub(crate) fn pass(&mut self, ms: i64) {
        if ms > self.read_ms && self.next_slot_ms().is_none_or(|next| next >= ms) {
            self.read_ms = ms;
        }
    }

    /// Goes back to `ms` when the time read so far lies in the future: the clock was set back, or was a virtual one.
    /// What was delivered ahead of time is taken off the wheel, so that it does not come again.
    pub(crate) fn rewind(&mut self, ms: i64) -> io::Result<()> {
        if self.read_ms <= ms {
            return Ok(());
        }
        let read_time = self.read_ms.div_euclid(self.precision_ms);
        let mut over = Vec::new();
        self.wheel.scan(ms.div_euclid(self.precision_ms), |slot| {
            over.extend(Some(slot.time).filter(|time| *time < read_time));
        })?;
        for time in over {
            self.wheel.write(&Slot::empty(time))?;
        }
        self.read_ms = ms;
        Ok(())
    }

    /// Every slot before this time has been delivered, ms since 1970.
    pub(crate) fn read_ms(&self) -> i64 {
        self.read_ms
    }

    /// How many messages wait.
    pub(crate) fn waiting(&self) -> i64 {
        self.waiting.max(0)
    }

    /// How far the timer log is on the disk.
    pub(crate) fn flushed(&self) -> i64 {
        self.log.flushed().cast_signed()
    }

    /// The checkpoint as it was written last.
    pub(crate) fn check(&self) -> Check {
        self.check
    }

    /// Makes units and slots durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.commit()?;
        self.log.sync()?;
        self.wheel.sync()
    }

    /// Writes the checkpoint; `durable` says whether to wait for the disk.
    pub(crate) fn write_check(&mut self, check: Check, durable: bool) -> io::Result<()> {
        if let Some(dir) = self.check_path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let file = platform::open_write(&self.check_path)?;
        platform::write_all_at(&file, &check.encode_file(), 0)?;
        if durable {
            file.sync_all()?;
        }
        self.check = check;
        Ok(())
    }

    /// Deletes the timer log's files that lead only to records before `log_min`.
    pub(crate) fn remove_old(&mut self, log_min: u64) -> io::Result<()> {
        let log_min = log_min.cast_signed();
        self.log.remove_old(|unit| unit.log_offset < log_min)
    }
}

/// Puts the unit at `at` at the end of the slot's list; says by how much the number of messages grows.
fn link(slot: &mut Slot, at: u64, kind: i32) -> i32 {
    let at = at.cast_signed();
    if slot.first == NONE {
        slot.first = at;
    }
    slot.last = at;
    let more = if kind & KIND_DELETE == 0 { 1 } else { -1 };
    slot.count = slot.count.saturating_add(more);
    more
}

#[cfg(test)]
mod tests;
