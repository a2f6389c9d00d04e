//! Messages that are stored but not to be seen yet: with majority replication a message counts only when more than half
//! of the replicas have it.
//!
//! Their queue entries are where they belong, behind the end that readers see. [`Held::reveal`] moves that end when the
//! log is committed further. So everybody who reads queues, be it a consumer, the schedule or the timer, sees committed
//! messages only, and need not know.
//!
//! Lock order: leaf (a queue's ends are atomics).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::queue::Queue;
use crate::base::{QueueId, TopicName, Watermark};

/// One message, or one record with several.
#[derive(Debug)]
struct One {
    /// The position behind its record.
    end: u64,
    queue: Arc<Queue>,
    /// The offset behind it in its queue.
    max: u64,
}

/// What waits to be seen, in the order of the log.
#[derive(Debug, Default)]
pub(crate) struct Held {
    on: AtomicBool,
    waiting: Mutex<VecDeque<One>>,
    /// How far the log is committed, where it is held.
    committed: Watermark,
}

impl Held {
    /// From now on nothing is seen before it is committed. What is there already stays visible.
    pub(crate) fn hold(&self) {
        self.on.store(true, Ordering::Release);
    }

    /// How far the log is committed, where that is asked for.
    pub(crate) fn committed(&self) -> &Watermark {
        &self.committed
    }

    /// The end of what may be seen of a log that ends at `appended`.
    pub(crate) fn visible(&self, appended: u64) -> u64 {
        if self.on.load(Ordering::Acquire) {
            appended.min(self.committed.get())
        } else {
            appended
        }
    }

    /// Shows a queue's entries up to `max`, now or when the log is committed up to `end`.
    pub(crate) fn show(&self, queue: &Arc<Queue>, max: u64, end: u64) {
        if !self.on.load(Ordering::Acquire) {
            queue.reveal(max);
            return;
        }
        let mut waiting = self.waiting.lock();
        // Under the lock, so that no commit passes between the look and the entry.
        if end <= self.committed.get() {
            drop(waiting);
            queue.reveal(max);
            return;
        }
        waiting.push_back(One {
            end,
            queue: Arc::clone(queue),
            max,
        });
    }

    /// The log is committed up to `committed`: shows what lies before. Says which queues have more now.
    pub(crate) fn reveal(&self, committed: u64) -> Vec<(TopicName, QueueId)> {
        let mut touched: Vec<(TopicName, QueueId)> = Vec::new();
        let mut waiting = self.waiting.lock();
        self.committed.advance(committed);
        while let Some(one) = waiting.pop_front_if(|one| one.end <= committed) {
            one.queue.reveal(one.max);
            let same = |(topic, id): &(TopicName, QueueId)| {
                *id == one.queue.id() && topic == one.queue.topic()
            };
            if !touched.iter().any(same) {
                touched.push((one.queue.topic().clone(), one.queue.id()));
            }
        }
        touched
    }
}
