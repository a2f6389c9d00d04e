//! What the store and its workers share, and the state that decides whether writes are taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering, fence};

use parking_lot::Mutex;

use super::checkpoint::Checkpoint;
use super::error::WriteRefusal;
use super::index::feed::Filed;
use super::index::writer::IndexWriter;
use super::layout::Layout;
use super::log::Log;
use super::log::writer::Writer;
use super::options::StoreOptions;
use super::queue::table::QueueTable;
use crate::sys::Clock;
use crate::sys::worker::Signal;

/// Everything but the threads.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: StoreOptions,
    /// The options as retention follows them; these may change while the store is open.
    pub(crate) retention: Mutex<StoreOptions>,
    pub(crate) layout: Layout,
    pub(crate) clock: Clock,
    pub(crate) log: Arc<Log>,
    pub(crate) queues: Arc<QueueTable>,
    pub(crate) writer: Writer,
    pub(crate) dispatcher: Mutex<Dispatcher>,
    pub(crate) checkpoint: Mutex<Checkpoint>,
    pub(crate) gate: Gate,
    /// Held while the log is synced.
    pub(crate) flushing: Mutex<()>,
    /// Held while old files are looked for and deleted.
    pub(crate) sweeping: Mutex<()>,
    pub(crate) flush_signal: Signal,
    pub(crate) dispatch_signal: Signal,
    pub(crate) keeper_signal: Signal,
    pub(crate) asleep: Asleep,
    /// When the log reaches this position, the checkpoint is to move; 0 when it has, and the keeper was told.
    pub(crate) checkpoint_at: AtomicU64,
    /// What lies before this position of the log was taken out of the page cache, or was there before the store was opened.
    pub(crate) cached_from: AtomicU64,
    /// When queue entries were written out last, in the machine's time.
    pub(crate) queues_written_ms: AtomicI64,
    /// The start of the log when files of queues and index were last deleted below it; `u64::MAX` before the first time.
    pub(crate) swept_below: AtomicU64,
    /// A topic was deleted since the checkpoint moved last. Its records must soon lie before the checkpoint: recovery would
    /// miss their queue, and walk over all of the log to make it again.
    pub(crate) topic_gone: AtomicBool,
}

/// Which workers want to be woken by the next append. Without appends nobody wakes up but the keeper, now and then.
#[derive(Debug, Default)]
pub(crate) struct Asleep {
    pub(crate) flush: AtomicBool,
    pub(crate) dispatch: AtomicBool,
    pub(crate) keeper: AtomicBool,
}

impl Asleep {
    /// Says that a worker wants to be woken. It looks for work after this, so that no append is missed.
    pub(crate) fn note(flag: &AtomicBool) {
        flag.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }
}

impl Shared {
    /// Wakes the workers that wait for an append; called after one.
    pub(crate) fn rouse(&self) {
        fence(Ordering::SeqCst);
        let at = self.checkpoint_at.load(Ordering::Relaxed);
        if at > 0 && self.log.appended.get() >= at {
            self.checkpoint_at.store(0, Ordering::Relaxed);
            self.keeper_signal.notify();
        }
        for (asleep, signal) in [
            (&self.asleep.flush, &self.flush_signal),
            (&self.asleep.dispatch, &self.dispatch_signal),
            (&self.asleep.keeper, &self.keeper_signal),
        ] {
            if asleep.load(Ordering::Relaxed) && asleep.swap(false, Ordering::SeqCst) {
                signal.notify();
            }
        }
    }
}

/// The key index, and how far it has followed the log.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    pub(crate) index: IndexWriter,
    pub(crate) at: u64,
    /// What was taken from the feed; empty between steps.
    pub(crate) fed: Vec<Filed>,
    /// When the index was written out last, in the machine's time.
    pub(crate) written_ms: i64,
}

/// Why writes are refused. Asking costs one load.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    closed: AtomicU8,
    why: Mutex<[Option<String>; 5]>,
}

/// One reason to refuse writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A sync failed; for good.
    Broken,
    /// The store is being closed.
    ShuttingDown,
    /// The partition is too full.
    DiskFull,
    /// Queue entries cannot be written, so they must not pile up in memory.
    QueuesBlocked,
    /// The store follows a master.
    Replica,
}

impl Gate {
    /// Closes the gate for a reason. True if it was not closed for it before.
    pub(crate) fn close(&self, reason: Reason, why: String) -> bool {
        let mut texts = self.why.lock();
        let Some(text) = texts.get_mut(reason as usize) else {
            return false;
        };
        // The first failure is the one that explains the others.
        let first = text.is_none();
        text.get_or_insert(why);
        self.closed.fetch_or(1 << reason as u8, Ordering::AcqRel);
        first
    }

    /// Takes a reason away. True if it was there.
    pub(crate) fn open(&self, reason: Reason) -> bool {
        let mut texts = self.why.lock();
        self.closed
            .fetch_and(!(1 << reason as u8), Ordering::AcqRel);
        texts
            .get_mut(reason as usize)
            .is_some_and(|text| text.take().is_some())
    }

    /// Whether writes are refused for this reason.
    pub(crate) fn is_closed_for(&self, reason: Reason) -> bool {
        self.closed.load(Ordering::Acquire) & (1 << reason as u8) != 0
    }

    /// Why what the master sends is refused, if so.
    pub(crate) fn refusal_of_replica(&self) -> Option<WriteRefusal> {
        self.refusal_but(1 << Reason::Replica as u8)
    }

    /// Why writes are refused, the most lasting reason first.
    pub(crate) fn refusal(&self) -> Option<WriteRefusal> {
        self.refusal_but(0)
    }

    fn refusal_but(&self, passed_over: u8) -> Option<WriteRefusal> {
        let closed = self.closed.load(Ordering::Acquire) & !passed_over;
        if closed == 0 {
            return None;
        }
        let texts = self.why.lock();
        let text = |reason: Reason| {
            let counts = closed & (1 << reason as u8) != 0;
            texts.get(reason as usize).filter(|_| counts)?.clone()
        };
        text(Reason::Broken)
            .map(WriteRefusal::Broken)
            .or_else(|| text(Reason::ShuttingDown).map(|_| WriteRefusal::ShuttingDown))
            .or_else(|| text(Reason::Replica).map(|_| WriteRefusal::Replica))
            .or_else(|| text(Reason::DiskFull).map(WriteRefusal::DiskFull))
            .or_else(|| text(Reason::QueuesBlocked).map(WriteRefusal::DiskFull))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_tells_the_most_lasting_reason() {
        let gate = Gate::default();
        assert_eq!(gate.refusal(), None);
        assert!(gate.close(Reason::DiskFull, "91 %".into()));
        assert!(!gate.close(Reason::DiskFull, "92 %".into()));
        assert_eq!(gate.refusal(), Some(WriteRefusal::DiskFull("91 %".into())));
        gate.close(Reason::Broken, "fsync".into());
        assert_eq!(gate.refusal(), Some(WriteRefusal::Broken("fsync".into())));
        gate.open(Reason::Broken);
        assert!(gate.open(Reason::DiskFull));
        assert_eq!(gate.refusal(), None);
    }
}
