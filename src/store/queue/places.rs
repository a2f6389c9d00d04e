//! A sequence of fixed-size entries: the newest in memory, all others in files.
//!
//! New entries stay in memory until the keeper writes them to the files in batches; readers see both as one sequence.
//! Positions count entries, from the first one the queue ever had.
//!
//! Lock order: memory, then the list of files; both are leaves for everyone else.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::Entry;
use super::files::Files;

/// One kind of entry.
pub(crate) trait Unit: Copy {
    /// The bytes of each.
    const BYTES: usize;

    /// The entry that `bytes` begin with; `None` if they are too few.
    fn decode_first(bytes: &[u8]) -> Option<Self>;

    /// Which record it points to.
    fn pointer(&self) -> Entry;

    /// Appends the entry's bytes.
    fn encode_into(&self, out: &mut Vec<u8>);
}

/// Entries, in memory and in files.
#[derive(Debug)]
pub(crate) struct Places<U> {
    memory: Mutex<Memory<U>>,
    files: Files<U>,
    /// Held while entries go from memory to the files, so that they go in order.
    writing: Mutex<Vec<u8>>,
}

/// Entries that are not in the files yet.
#[derive(Debug)]
struct Memory<U> {
    /// The position of the first of them; everything before is in the files.
    first: u64,
    entries: VecDeque<U>,
}

/// How many entries one step of the keeper copies out of memory at a time.
const WRITE_STEP: usize = 16_384;
/// How many entries, and bytes, a queue keeps room for when it has been emptied.
const ROOM_KEPT: usize = 1024;

impl<U: Unit> Places<U> {
    pub(crate) fn new(files: Files<U>) -> Self {
        Self {
            memory: Mutex::new(Memory {
                first: files.end(),
                entries: VecDeque::new(),
            }),
            files,
            writing: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn files(&self) -> &Files<U> {
        &self.files
    }

    /// Appends an entry.
    pub(crate) fn push(&self, entry: U) {
        self.memory.lock().entries.push_back(entry);
    }

    /// How many entries wait in memory.
    pub(crate) fn waiting(&self) -> usize {
        self.memory.lock().entries.len()
    }

    /// The position behind the last entry.
    pub(crate) fn end(&self) -> u64 {
        let memory = self.memory.lock();
        memory.first + memory.entries.len() as u64
    }

    /// Copies up to `count` entries from `from` on into `out` (cleared first).
    pub(crate) fn read(&self, from: u64, count: usize, out: &mut Vec<U>) {
        out.clear();
        while out.len() < count {
            let at = from + out.len() as u64;
            let first = {
                let memory = self.memory.lock();
                if at >= memory.first {
                    let skip = usize::try_from(at - memory.first).unwrap_or(usize::MAX);
                    let entries = memory.entries.iter().skip(skip).take(count - out.len());
                    out.extend(entries.copied());
                    return;
                }
                memory.first
            };
            let in_files = usize::try_from(first - at).unwrap_or(usize::MAX);
            let before = out.len();
            self.files.read(at, in_files.min(count - before), out);
            if out.len() == before {
                return;
            }
        }
    }

    /// The entry at one position.
    pub(crate) fn entry(&self, at: u64) -> Option<U> {
        {
            let memory = self.memory.lock();
            if let Some(index) = at.checked_sub(memory.first) {
                return memory.entries.get(usize::try_from(index).ok()?).copied();
            }
        }
        self.files.entry(at)
    }

    /// Writes what waits in memory to the files, unless the queue is `gone`: another one may have files of these names
    /// by now.
    pub(crate) fn write_out(&self, gone: &AtomicBool) -> io::Result<()> {
        let mut buffer = self.writing.lock();
        if gone.load(Ordering::Acquire) {
            return Ok(());
        }
        loop {
            let (first, count) = {
                let memory = self.memory.lock();
                buffer.clear();
                for entry in memory.entries.iter().take(WRITE_STEP) {
                    entry.encode_into(&mut buffer);
                }
                (memory.first, memory.entries.len().min(WRITE_STEP))
            };
            if count == 0 {
                return Ok(());
            }
            self.files.write(first, &buffer)?;
            let mut memory = self.memory.lock();
            memory.entries.drain(..count);
            memory.first += count as u64;
            // After a burst there may be many queues that wait for the next one.
            if memory.entries.is_empty() && memory.entries.capacity() > WRITE_STEP {
                memory.entries.shrink_to(ROOM_KEPT);
                buffer.clear();
                buffer.shrink_to(ROOM_KEPT);
            }
        }
    }

    /// Puts the end to `end`, with nothing in memory. Recovery only.
    pub(crate) fn set_end(&self, end: u64) {
        let mut memory = self.memory.lock();
        memory.entries.clear();
        memory.first = end;
    }

    /// Cuts everything at and behind `end` off. Recovery only; memory must have been written out.
    pub(crate) fn truncate(&self, end: u64) -> io::Result<()> {
        self.files.truncate(end)?;
        self.set_end(end);
        Ok(())
    }

    /// Whether there is not a single entry, neither in memory nor in files.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.capacity() == 0 && self.waiting() == 0
    }

    /// Forgets and deletes everything, and sets `gone` before anybody can write again.
    pub(crate) fn destroy(&self, gone: &AtomicBool) -> io::Result<()> {
        let _writing = self.writing.lock();
        gone.store(true, Ordering::Release);
        self.set_end(0);
        self.files.destroy()
    }

    /// The first position from `low` to `high` for which `past` holds, if it holds for all behind that one; else
    /// `high`. Positions that cannot be read count as not past.
    pub(crate) fn first_where(
        &self,
        (mut low, mut high): (u64, u64),
        past: impl Fn(&U) -> bool,
    ) -> u64 {
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle).is_some_and(|entry| past(&entry)) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }
}
