//! Which queues have something to do, so that nobody has to ask each of a hundred thousand.
//!
//! A queue is on a list at most once for each of its two flags; the flag is taken down before the work begins, so that
//! what comes meanwhile puts the queue on the list again. Lock order: leaf.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::Queue;

/// Whether a queue is on a list.
#[derive(Debug, Default)]
pub(super) struct Flag(AtomicBool);

impl Flag {
    /// Puts it up; true if it was down.
    pub(super) fn raise(&self) -> bool {
        !self.0.load(Ordering::Acquire) && !self.0.swap(true, Ordering::AcqRel)
    }

    /// Takes it down.
    pub(super) fn lower(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// The queues whose entries wait in memory, and those whose files are not on the disk yet.
#[derive(Debug, Default)]
pub(crate) struct Due {
    waiting: Mutex<Vec<Arc<Queue>>>,
    unsynced: Mutex<Vec<Arc<Queue>>>,
}

impl Due {
    /// Puts a record in its place (`Queue::stage`), given its first offset and number of messages, and remembers that its
    /// entry is to be written to a file.
    pub(crate) fn stage(
        &self,
        queue: &Arc<Queue>,
        record: (u64, u16),
        entry: super::Entry,
        store_timestamp_ms: i64,
    ) {
        let (at, messages) = record;
        queue.stage(at, messages, entry, store_timestamp_ms);
        self.note(queue);
    }

    /// Remembers a queue that was given entries otherwise.
    pub(crate) fn note(&self, queue: &Arc<Queue>) {
        if queue.waits.raise() {
            self.waiting.lock().push(Arc::clone(queue));
        }
    }

    /// Whether entries wait in memory.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.lock().is_empty()
    }

    /// Takes the queues whose entries wait. [`Queue::write_out`] takes their flags down.
    pub(crate) fn take_waiting(&self) -> Vec<Arc<Queue>> {
        std::mem::take(&mut *self.waiting.lock())
    }

    /// Gives back queues that could not be written out.
    pub(crate) fn still_waiting(&self, queues: Vec<Arc<Queue>>) {
        for queue in &queues {
            queue.waits.raise();
        }
        self.waiting.lock().extend(queues);
    }

    /// Remembers a queue whose files were written to.
    pub(crate) fn written(&self, queue: Arc<Queue>) {
        if queue.unsynced.raise() {
            self.unsynced.lock().push(queue);
        }
    }

    /// Takes the queues whose files are to be synced.
    pub(crate) fn take_unsynced(&self) -> Vec<Arc<Queue>> {
        let queues = std::mem::take(&mut *self.unsynced.lock());
        for queue in &queues {
            queue.unsynced.lower();
        }
        queues
    }
}
