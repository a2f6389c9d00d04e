//! What waits to be written to one peer.
//!
//! Anybody may queue; only the connection task takes out and writes. Small pieces are copied into one running
//! buffer, so that many small answers leave as one slice; larger ones (message bodies, slices of the store's maps)
//! are queued as they are and never copied.
//!
//! Promises: pieces leave in the order they were queued, a message is never torn apart by another, and the unsent
//! bytes are counted until the kernel has them.
//!
//! Lock order: leaf. The waker runs after the lock is free.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

/// Pieces up to this size are copied into the running buffer: cheaper than one more entry in a vectored write.
const COALESCE_MAX_BYTES: usize = 1024;

/// The running buffer is given back when a quiet connection holds more than this.
const TAIL_KEPT_BYTES: usize = 4096;

/// How far the end of a channel has come. Only ever moves down this list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Reads and writes.
    #[default]
    Open,
    /// Writes out what is queued, reads no more.
    Closing,
    /// Stops at once.
    Aborted,
    /// The socket is gone; whatever is queued now is dropped.
    Gone,
}

#[derive(Debug, Default)]
struct Queue {
    stage: Stage,
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    waker: Option<Waker>,
}

impl Queue {
    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            let sealed = self.tail.split().freeze();
            self.chunks.push_back(sealed);
        }
    }

    fn push(&mut self, piece: Bytes) {
        if piece.len() <= COALESCE_MAX_BYTES {
            self.tail.extend_from_slice(&piece);
        } else {
            self.seal_tail();
            self.chunks.push_back(piece);
        }
    }
}

/// The queue between everyone who answers and the one task that writes.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    unsent_bytes: AtomicUsize,
}

impl Outbox {
    /// Bytes queued or taken by the connection task that the kernel has not accepted yet.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.unsent_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn stage(&self) -> Stage {
        self.queue.lock().stage
    }

    /// Lets `encode` append to the running buffer, and queues `body` behind that. On a channel that is ending
    /// neither happens.
    pub(super) fn append(
        &self,
        encode: impl FnOnce(&mut BytesMut),
        body: impl IntoIterator<Item = Bytes>,
    ) {
        let mut queue = self.queue.lock();
        if queue.stage != Stage::Open {
            return;
        }
        let before = queue.tail.len();
        encode(&mut queue.tail);
        let mut bytes = queue.tail.len().saturating_sub(before);
        for piece in body {
            bytes += piece.len();
            queue.push(piece);
        }
        self.unsent_bytes.fetch_add(bytes, Ordering::Relaxed);
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Moves the stage down the list and tells the connection task.
    pub(super) fn end(&self, stage: Stage) {
        let mut queue = self.queue.lock();
        queue.stage = queue.stage.max(stage);
        if queue.stage == Stage::Gone {
            queue.chunks.clear();
            queue.tail = BytesMut::new();
        }
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// For the connection task: moves everything queued behind `writing`, and has the task woken by whatever
    /// comes next.
    pub(super) fn take(&self, cx: &Context<'_>, writing: &mut VecDeque<Bytes>) -> Stage {
        let mut queue = self.queue.lock();
        queue.seal_tail();
        writing.append(&mut queue.chunks);
        match &mut queue.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        queue.stage
    }

    /// For the connection task: it is awake and will look again by itself, nobody needs to wake it.
    pub(super) fn awake(&self) {
        self.queue.lock().waker = None;
    }

    /// For the connection task: the kernel has taken `bytes`.
    pub(super) fn sent(&self, bytes: usize) {
        self.unsent_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// For the connection task: gives back memory that a busy time has left.
    pub(super) fn shrink(&self) {
        let mut queue = self.queue.lock();
        if queue.tail.is_empty() && queue.tail.capacity() > TAIL_KEPT_BYTES {
            queue.tail = BytesMut::new();
        }
        if queue.chunks.is_empty() {
            queue.chunks = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(outbox: &Outbox) -> Vec<Bytes> {
        let mut writing = VecDeque::new();
        outbox.take(&Context::from_waker(Waker::noop()), &mut writing);
        writing.into()
    }

    #[test]
    fn small_messages_leave_as_one_slice_and_large_ones_uncopied() {
        let outbox = Outbox::default();
        let large = Bytes::from(vec![7; 4096]);
        outbox.append(|tail| tail.extend_from_slice(b"one"), []);
        outbox.append(|tail| tail.extend_from_slice(b"two"), []);
        outbox.append(
            |tail| tail.extend_from_slice(b"head"),
            [large.clone(), Bytes::from_static(b"end")],
        );
        assert_eq!(outbox.unsent_bytes(), 3 + 3 + 4 + 4096 + 3);

        let pieces = taken(&outbox);
        assert_eq!(pieces.len(), 3);
        assert_eq!(&*pieces[0], b"onetwohead");
        assert_eq!(pieces[1].as_ptr(), large.as_ptr());
        assert_eq!(&*pieces[2], b"end");
        outbox.sent(4109);
        assert_eq!(outbox.unsent_bytes(), 0);
    }

    #[test]
    fn an_ending_channel_takes_nothing_more_but_keeps_what_it_has() {
        let outbox = Outbox::default();
        outbox.append(|tail| tail.extend_from_slice(b"last words"), []);
        outbox.end(Stage::Closing);
        outbox.append(|tail| tail.extend_from_slice(b"too late"), []);
        assert_eq!(taken(&outbox), [Bytes::from_static(b"last words")]);
        outbox.end(Stage::Gone);
        outbox.end(Stage::Closing);
        assert_eq!(outbox.stage(), Stage::Gone);
    }
}
