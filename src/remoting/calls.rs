//! Requests of ours that wait for an answer, matched by opaque.
//!
//! Lock order: leaf. Waiters are told after the table is unlocked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::protocol::command::{Head, Reply};
use crate::protocol::frame::{Frame, FrameError};

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// The connection ended first. The request may or may not have been carried out.
    #[error("the connection was closed before the answer came")]
    Closed,
    /// The peer has not answered in time. It may still carry the request out.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// So many calls wait already that this one was not sent.
    #[error("{0} calls already wait for an answer on this connection")]
    TooMany(usize),
}

type Waiter = oneshot::Sender<Reply>;

/// The calls of one channel.
#[derive(Debug)]
pub(super) struct Calls {
    next_opaque: AtomicI32,
    /// Set by the first call. As long as nobody calls, no frame needs to be looked at for being an answer.
    used: AtomicBool,
    waiting: Mutex<Waiting>,
    max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    gone: bool,
    by_opaque: HashMap<i32, Waiter>,
}

impl Calls {
    pub(super) fn new(max: usize) -> Self {
        Self {
            next_opaque: AtomicI32::new(0),
            used: AtomicBool::new(false),
            waiting: Mutex::default(),
            max,
        }
    }

    /// The next number for a request of ours. Wraps after 2^32; by then the first ones are long answered.
    pub(super) fn next_opaque(&self) -> i32 {
        self.next_opaque.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes a place for the answer to `opaque`. Must come before the request is queued.
    pub(super) fn expect(&self, opaque: i32) -> Result<oneshot::Receiver<Reply>, CallError> {
        let (waiter, answer) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if waiting.gone {
            return Err(CallError::Closed);
        }
        if waiting.by_opaque.len() >= self.max {
            return Err(CallError::TooMany(self.max));
        }
        waiting.by_opaque.insert(opaque, waiter);
        self.used.store(true, Ordering::Release);
        Ok(answer)
    }

    /// Nobody waits for `opaque` any more.
    pub(super) fn forget(&self, opaque: i32) {
        self.waiting.lock().by_opaque.remove(&opaque);
    }

    /// Hands an answer to whoever waits for it; everything else goes to `requests`. An answer that nobody waits
    /// for (any more) is dropped.
    pub(super) fn answered(
        &self,
        frame: Frame,
        requests: &mut Vec<Frame>,
    ) -> Result<(), FrameError> {
        if self.used.load(Ordering::Acquire) {
            let (head, body) = frame.parse()?;
            if head.is_response() {
                self.complete(head, body);
                return Ok(());
            }
        }
        requests.push(frame);
        Ok(())
    }

    fn complete(&self, head: Head<'_>, body: Bytes) {
        let waiter = self.waiting.lock().by_opaque.remove(&head.opaque);
        if let Some(waiter) = waiter {
            // The caller may have given up in this very moment.
            drop(waiter.send(head.into_reply(body)));
        } else {
            tracing::debug!(opaque = head.opaque, "an answer that nobody waits for");
        }
    }

    #[cfg(test)]
    pub(super) fn waiting_len(&self) -> usize {
        self.waiting.lock().by_opaque.len()
    }

    /// The connection is over: whoever waits learns it, and nobody may start.
    pub(super) fn gone(&self) {
        let waiters = {
            let mut waiting = self.waiting.lock();
            waiting.gone = true;
            std::mem::take(&mut waiting.by_opaque)
        };
        // A dropped sender is the message.
        drop(waiters);
    }
}
