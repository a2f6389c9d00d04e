//! The waiting requests of one kind, shared by all connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::waiting::Waiting;

/// A table of waiting requests, its size for those who only want to know whether it is empty, and the signal for the
/// task that expires them.
pub(crate) struct Lines<W> {
    table: Mutex<Waiting<W>>,
    count: AtomicUsize,
    /// Rung when the next deadline came nearer.
    earlier: Arc<Notify>,
}

impl<W> Lines<W> {
    pub(crate) fn new(earlier: &Arc<Notify>) -> Self {
        Self {
            table: Mutex::new(Waiting::default()),
            count: AtomicUsize::new(0),
            earlier: Arc::clone(earlier),
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether somebody may wait, for whoever just stored a message.
    pub(crate) fn may_wait(&self) -> bool {
        // Either the one who parks sees the message, or this sees the one who parks.
        fence(Ordering::SeqCst);
        self.len() > 0
    }

    /// Looks at or changes the table.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut Waiting<W>) -> R) -> R {
        let mut table = self.table.lock();
        let before = table.next_deadline_ms();
        let result = change(&mut table);
        self.count.store(table.len(), Ordering::Relaxed);
        let after = table.next_deadline_ms();
        drop(table);
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.earlier.notify_one();
        }
        result
    }
}
