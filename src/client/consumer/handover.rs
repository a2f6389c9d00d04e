//! Hands queues over from member to member so that no message is handed out by both.
//!
//! Whoever gives a queue up lets the messages that are in the application's hands be finished, commits, and only then
//! gives the queue's lock back. Whoever takes a queue locks it first and asks for the offset afterwards. Ordered consumers
//! must hold the lock ([`super::order`]). For the others it is a courtesy: their locks are kept apart under a name of
//! their own, members of other makes neither ask for them nor are hindered by them, and a refused one is only waited for
//! as long as its holder may be at work. The locks of a member that vanished are taken off by those who see that it is
//! gone, so that its queues go on at once; only what it had not committed comes again.
//!
//! Apache's push consumer commits what is finished and drops the queue while its messages are still being consumed, so
//! that every change of the membership repeats some of them.
//!
//! Lock order: no lock of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::base::TopicName;

use super::super::error::ClientError;
use super::super::queue::MessageQueue;
use super::core::{Core, Owned};
use super::order;

/// How long a queue is waited for that a living member does not give back. It takes longer only if that member lost its
/// connection, or its messages take longer than [`super::ConsumerOptions::hand_over_max`].
const PATIENCE_MS: i64 = 30_000;

/// Queues on their way to other members.
#[derive(Default)]
pub(super) struct Leaving {
    tasks: JoinSet<(MessageQueue, Result<(), ClientError>)>,
    queues: BTreeSet<MessageQueue>,
}

impl Leaving {
    /// Starts to hand over a queue that is not read any more.
    pub(super) fn begin(&mut self, core: &Arc<Core>, owned: Arc<Owned>) {
        self.queues.insert(owned.queue.clone());
        let core = Arc::clone(core);
        self.tasks.spawn(async move {
            let given = give(&core, &owned).await;
            (owned.queue.clone(), given)
        });
    }

    /// Whether the queue cannot be read again yet.
    pub(super) fn contains(&self, queue: &MessageQueue) -> bool {
        self.queues.contains(queue)
    }

    /// Waits until one is handed over; for ever if there is none.
    pub(super) async fn one_is_over(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok((queue, _))) => drop(self.queues.remove(&queue)),
            Some(Err(_)) => self.forget_the_failed(),
            None => std::future::pending().await,
        }
    }

    /// Forgets those that are handed over.
    pub(super) fn reap(&mut self) {
        while let Some(over) = self.tasks.try_join_next() {
            match over {
                Ok((queue, _)) => drop(self.queues.remove(&queue)),
                Err(_) => self.forget_the_failed(),
            }
        }
    }

    /// Waits for all of them. The error is the first of a commit.
    pub(super) async fn all(&mut self) -> Result<(), ClientError> {
        let mut result = Ok(());
        while let Some(over) = self.tasks.join_next().await {
            if let Ok((_, given)) = over {
                result = result.and(given);
            }
        }
        self.queues.clear();
        result
    }

    /// A task that panicked does not say which queue it had.
    fn forget_the_failed(&mut self) {
        if self.tasks.is_empty() {
            self.queues.clear();
        }
    }
}

/// Lets what is in hand be finished, commits, and gives the lock back.
async fn give(core: &Core, owned: &Owned) -> Result<(), ClientError> {
    let queue = &owned.queue;
    let idle = timeout(core.options().hand_over_max, owned.until_idle())
        .await
        .is_ok();
    let committed = core.commit(owned).await;
    owned.release();
    if let Err(error) = &committed {
        tracing::warn!(%queue, "given up without a last commit: {error}");
    }
    // An ordered message that takes longer keeps the queue locked until the lock expires.
    let options = core.options();
    if !options.broadcast && (idle || !options.ordered) {
        order::unlock(core, std::iter::once(queue)).await;
    }
    committed
}

/// What a member that is not ordered knows about the members and queues it waits for.
#[derive(Default)]
pub(super) struct Borrower {
    /// The members at the last look.
    seen: BTreeMap<TopicName, BTreeSet<String>>,
    /// Queues that others hold, and since when that is known.
    refused: BTreeMap<MessageQueue, i64>,
}

impl Borrower {
    /// Asks for the queues that fall to this member; returns those it may read.
    pub(super) async fn borrow(
        &mut self,
        core: &Core,
        topic: &TopicName,
        all: &[MessageQueue],
        members: &BTreeSet<String>,
        mine: BTreeSet<MessageQueue>,
    ) -> BTreeSet<MessageQueue> {
        let before = self.seen.insert(topic.clone(), members.clone());
        for gone in before.iter().flatten().filter(|id| !members.contains(*id)) {
            order::unlock_for(core, gone, all.iter()).await;
        }
        let locks = order::lock(core, mine.iter()).await;
        self.refused
            .retain(|queue, _| queue.topic != *topic || mine.contains(queue));
        let now_ms = core.shared().clock.now_ms();
        let alone = members.len() == 1;
        mine.into_iter()
            .filter(|queue| {
                if alone || locks.held.contains(queue) || locks.unknown.contains(queue) {
                    self.refused.remove(queue);
                    return true;
                }
                let since_ms = *self.refused.entry(queue.clone()).or_insert(now_ms);
                now_ms.saturating_sub(since_ms) >= PATIENCE_MS
            })
            .collect()
    }
}
