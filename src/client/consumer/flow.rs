//! The bound on what a consumer holds in memory.
//!
//! A pull may begin while there is room, so the bound is passed by at most one pull answer for each queue.
//! Lock order: leaf; two atomics and a signal, no lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts messages and bytes that are buffered or handed out.
#[derive(Debug)]
pub(crate) struct Flow {
    messages: AtomicUsize,
    bytes: AtomicUsize,
    messages_max: usize,
    bytes_max: usize,
    freed: Notify,
}

/// One counted message; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Permit {
    flow: Arc<Flow>,
    bytes: usize,
}

impl Flow {
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            messages_max: messages_max.max(1),
            bytes_max: bytes_max.max(1),
            freed: Notify::new(),
        })
    }

    /// Counts a message of `bytes`, whether there is room or not.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Permit {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Permit {
            flow: Arc::clone(self),
            bytes,
        }
    }

    fn has_room(&self) -> bool {
        self.messages.load(Ordering::Relaxed) < self.messages_max
            && self.bytes.load(Ordering::Relaxed) < self.bytes_max
    }

    /// Completes when there is room for a pull.
    pub(crate) async fn room(&self) {
        loop {
            let freed = self.freed.notified();
            if self.has_room() {
                return;
            }
            freed.await;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.flow.messages.fetch_sub(1, Ordering::Relaxed);
        self.flow.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        if self.flow.has_room() {
            self.flow.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pulls_wait_for_room() {
        let flow = Flow::new(2, 1000);
        let first = flow.take(10);
        flow.room().await;
        let second = flow.take(10);
        let waiter = tokio::spawn({
            let flow = Arc::clone(&flow);
            async move { flow.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        drop(first);
        waiter.await.unwrap();
        drop(second);
        let _large = flow.take(1000);
        assert!(!flow.has_room());
    }
}
