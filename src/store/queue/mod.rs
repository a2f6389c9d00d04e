//! Consume queues: for every queue of a topic, where its messages lie in the log.
//!
//! New entries stay in memory ([`Queue::publish`]) until the keeper writes them to the files in batches; readers see
//! memory and files as one sequence. Only the log's writer, under its lock, gives out offsets and publishes.
//!
//! Lock order: a queue's memory, then its list of files; both are leaves for everyone else.

pub mod entry;
pub(crate) mod files;
pub(crate) mod table;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

pub use entry::{ENTRY_BYTES, Entry};

use crate::base::{QueueId, QueueOffset, TopicName};
use files::Files;

/// One queue of one topic.
#[derive(Debug)]
pub struct Queue {
    topic: TopicName,
    id: QueueId,
    /// The next offset to give out; moved under the writer's lock only.
    next: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
    memory: Mutex<Memory>,
    /// Held while entries go from memory to the files, so that they go in order.
    files: Files,
    writing: Mutex<Vec<u8>>,
    /// Set once, when the queue is destroyed.
    gone: AtomicBool,
}

/// Entries that are not in the files yet.
#[derive(Debug, Default)]
struct Memory {
    /// The offset of the first of them; everything before is in the files.
    first: u64,
    entries: VecDeque<Entry>,
}

/// How many entries one step of the keeper copies out of memory at a time.
const WRITE_STEP: usize = 16_384;
/// How many entries, and bytes, a queue keeps room for when it has been emptied.
const ROOM_KEPT: usize = 1024;

impl Queue {
    pub(crate) fn new(topic: TopicName, id: QueueId, files: Files) -> Self {
        let queue = Self {
            topic,
            id,
            next: AtomicU64::new(0),
            min: AtomicU64::new(0),
            max: AtomicU64::new(0),
            memory: Mutex::new(Memory::default()),
            files,
            writing: Mutex::new(Vec::new()),
            gone: AtomicBool::new(false),
        };
        queue.set_end(queue.files.end());
        queue
    }

    /// Whether its topic was deleted. Messages for a queue that is gone belong to the one that took its place.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// The topic it belongs to.
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Its number within the topic.
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// The first offset that can be read.
    pub fn min_offset(&self) -> QueueOffset {
        QueueOffset::new(self.min.load(Ordering::Acquire).min(self.max()))
    }

    /// The offset the next message will get.
    pub fn max_offset(&self) -> QueueOffset {
        QueueOffset::new(self.max())
    }

    pub(crate) fn max(&self) -> u64 {
        self.max.load(Ordering::Acquire)
    }

    pub(crate) fn reserve(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn give_back(&self) {
        self.next.fetch_sub(1, Ordering::Relaxed);
    }

    /// Makes an entry visible. `at` follows the entry published last.
    pub(crate) fn publish(&self, at: u64, entry: Entry) {
        self.memory.lock().entries.push_back(entry);
        self.max.store(at + 1, Ordering::Release);
    }

    /// How many entries wait in memory.
    pub(crate) fn waiting(&self) -> usize {
        self.memory.lock().entries.len()
    }

    /// Copies up to `count` entries from `from` on into `out` (cleared first).
    pub(crate) fn read(&self, from: u64, count: usize, out: &mut Vec<Entry>) {
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

    /// The entry at one offset.
    pub(crate) fn entry(&self, at: u64) -> Option<Entry> {
        {
            let memory = self.memory.lock();
            if let Some(index) = at.checked_sub(memory.first) {
                return memory.entries.get(usize::try_from(index).ok()?).copied();
            }
        }
        self.files.entry(at)
    }

    /// Writes what waits in memory to the files.
    pub(crate) fn write_out(&self) -> io::Result<()> {
        let mut buffer = self.writing.lock();
        // Another queue may have files of these names by now.
        if self.is_gone() {
            return Ok(());
        }
        loop {
            let (first, count) = {
                let memory = self.memory.lock();
                buffer.clear();
                for entry in memory.entries.iter().take(WRITE_STEP) {
                    buffer.extend_from_slice(&entry.encode());
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

    /// Makes what was written out durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.files.sync()
    }

    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// Whether it has not a single entry, neither in memory nor in files.
    pub(crate) fn is_without_entries(&self) -> bool {
        self.files.capacity() == 0 && self.waiting() == 0
    }

    /// Puts the end of the queue to `end`, with nothing in memory. Recovery only.
    pub(crate) fn set_end(&self, end: u64) {
        let mut memory = self.memory.lock();
        memory.entries.clear();
        memory.first = end;
        self.next.store(end, Ordering::Release);
        self.max.store(end, Ordering::Release);
    }

    /// Cuts everything at and behind `end` off. Recovery only.
    pub(crate) fn truncate(&self, end: u64) -> io::Result<()> {
        self.write_out()?;
        if end < self.max() {
            self.files.truncate(end)?;
            self.set_end(end);
        }
        Ok(())
    }

    /// Appends in recovery: offset and visibility in one.
    pub(crate) fn restore(&self, entry: Entry) {
        let at = self.reserve();
        self.publish(at, entry);
    }

    /// Lets an empty queue begin at `start`: fillers stand before it in its first file. Recovery only.
    pub(crate) fn begin_at(&self, start: u64) -> io::Result<()> {
        self.files.begin_at(start)?;
        self.set_end(start);
        Ok(())
    }

    /// Finds the first entry whose record is still in the log and makes it the queue's min offset.
    pub(crate) fn raise_min(&self, log_min: u64) {
        let readable = |entry: &Entry| {
            entry.is_plausible() && u64::try_from(entry.log_offset).is_ok_and(|at| at >= log_min)
        };
        let min = self.first_where(self.files.start(), readable);
        self.min.store(min, Ordering::Release);
    }

    /// The first entry from `low` on for which `past` holds, if it holds for all behind that one; else the end. Fillers
    /// are not asked: they stand for nothing, wherever they are.
    pub(crate) fn first_where(&self, mut low: u64, past: impl Fn(&Entry) -> bool) -> u64 {
        let mut high = self.max();
        while low < high {
            let middle = low + (high - low) / 2;
            let asked = (low..=middle)
                .rev()
                .find_map(|at| Some((at, self.entry(at)?)).filter(|(_, entry)| !entry.is_filler()));
            match asked {
                Some((at, entry)) if past(&entry) => high = at,
                _ => low = middle + 1,
            }
        }
        low
    }

    /// Deletes the files that hold only entries below the min offset. Returns how many.
    pub(crate) fn remove_old_files(&self) -> io::Result<usize> {
        self.files.remove_before(self.min_offset().get())
    }

    /// Forgets and deletes all files. For good: whoever still holds the queue finds it empty and [gone](Self::is_gone).
    pub(crate) fn destroy(&self) -> io::Result<()> {
        let _writing = self.writing.lock();
        self.gone.store(true, Ordering::Release);
        self.set_end(0);
        self.min.store(0, Ordering::Release);
        self.files.destroy()
    }
}
