//! Queue locks of ordered consumers, and the order in which their messages are handed out.
//!
//! A queue is read only while its broker lends it to this member: for a minute since the last renewal. Whoever could not
//! renew for half of that stops reading, so that two members never read one queue at the same time. A message is handed
//! out when everything before it in its queue is finished.
//!
//! Lock order: leaf.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::BrokerName;
use crate::protocol::body::MessageQueue as WireQueue;
use crate::protocol::body::lock::{LockBatchRequestBody, LockBatchResponseBody};
use crate::protocol::codes::RequestCode;
use crate::protocol::command::Command;
use crate::protocol::fastjson;
use crate::protocol::header::NoHeader;

use super::super::error::ClientError;
use super::super::net::unreadable;
use super::super::queue::MessageQueue;
use super::core::{Buffered, Core};

/// A queue whose lock was not renewed for so long is not read any more (Apache's clients: 30 s).
pub(super) const STALE_MS: i64 = 30_000;

/// What the brokers said to a request for locks.
#[derive(Debug, Default)]
pub(super) struct Locks {
    /// Ours now.
    pub(super) held: BTreeSet<MessageQueue>,
    /// Of brokers that did not answer.
    pub(super) unknown: BTreeSet<MessageQueue>,
}

/// Takes or renews the locks of queues.
pub(super) async fn lock<'q>(core: &Core, queues: impl Iterator<Item = &'q MessageQueue>) -> Locks {
    let mut locks = Locks::default();
    for (broker, queues) in by_broker(queues) {
        match ask(core, RequestCode::LOCK_BATCH_MQ, &core.shared().id, &queues).await {
            Ok(held) => locks.held.extend(
                queues
                    .into_iter()
                    .filter(|queue| held.iter().any(|held| is_same(held, queue))),
            ),
            Err(error) => {
                tracing::debug!(%broker, "no locks: {error}");
                locks.unknown.extend(queues);
            }
        }
    }
    locks
}

/// Gives locks back. One that cannot be given back expires.
pub(super) async fn unlock<'q>(core: &Core, queues: impl Iterator<Item = &'q MessageQueue>) {
    unlock_for(core, &core.shared().id, queues).await;
}

/// Gives back what the member `client_id` has locked: for one that is gone and cannot do it itself.
pub(super) async fn unlock_for<'q>(
    core: &Core,
    client_id: &str,
    queues: impl Iterator<Item = &'q MessageQueue>,
) {
    let unlock = RequestCode::UNLOCK_BATCH_MQ;
    for (broker, queues) in by_broker(queues) {
        if let Err(error) = ask(core, unlock, client_id, &queues).await {
            tracing::debug!(%broker, "locks not given back: {error}");
        }
    }
}

fn by_broker<'q>(
    queues: impl Iterator<Item = &'q MessageQueue>,
) -> BTreeMap<BrokerName, Vec<MessageQueue>> {
    let mut brokers = BTreeMap::<BrokerName, Vec<MessageQueue>>::new();
    for queue in queues {
        let of_broker = brokers.entry(queue.broker.clone()).or_default();
        of_broker.push(queue.clone());
    }
    brokers
}

fn is_same(wire: &WireQueue, queue: &MessageQueue) -> bool {
    wire.topic == queue.topic.as_str() && wire.queue_id == queue.queue.to_wire()
}

/// Under which group the locks are kept. Brokers take a group with locks for an ordered one (a failed message of it
/// becomes a dead letter), so the locks of others have a name that is no group.
fn lock_group(consumer: &Core) -> String {
    let group = consumer.group();
    if consumer.options().ordered {
        group.to_string()
    } else {
        format!("%HAND_OVER%{group}")
    }
}

/// Asks the one broker of `queues`; the answer of an unlock lists nothing.
async fn ask(
    consumer: &Core,
    code: RequestCode,
    client_id: &str,
    queues: &[MessageQueue],
) -> Result<Vec<WireQueue>, ClientError> {
    let Some(first) = queues.first() else {
        return Ok(Vec::new());
    };
    let shared = consumer.shared();
    let address = shared.read_address(first, 0).await?;
    let body = LockBatchRequestBody {
        client_id: client_id.to_owned(),
        consumer_group: lock_group(consumer),
        mq_set: queues
            .iter()
            .map(|queue| WireQueue {
                topic: queue.topic.to_string(),
                broker_name: queue.broker.to_string(),
                queue_id: queue.queue.to_wire(),
            })
            .collect(),
        only_this_broker: false,
    };
    let bytes = fastjson::to_wire(&body).map_err(|error| unreadable(&address, code, error))?;
    let request = Command::request(code, &NoHeader).with_body(bytes);
    let reply = shared
        .net
        .call_ok(&address, request, shared.timeout())
        .await?;
    if code == RequestCode::UNLOCK_BATCH_MQ {
        return Ok(Vec::new());
    }
    let answer: LockBatchResponseBody =
        fastjson::from_slice(&reply.body).map_err(|error| unreadable(&address, code, error))?;
    Ok(answer.lock_ok_mq_set)
}

/// Messages that came and may not be handed out yet.
#[derive(Debug, Default)]
pub(super) struct Held(BTreeMap<MessageQueue, BTreeMap<i64, Buffered>>);

impl Held {
    /// Keeps a message of a queue until its turn.
    pub(super) fn keep(&mut self, buffered: Buffered) {
        if let Buffered::FromQueue { owned, message, .. } = &buffered
            && owned.wants(message.queue_offset)
        {
            let messages = self.0.entry(owned.queue.clone()).or_default();
            messages.insert(message.queue_offset, buffered);
        }
    }

    /// A message whose turn it is, already marked as handed out.
    pub(super) fn take(&mut self) -> Option<Buffered> {
        let mut taken = None;
        self.0.retain(|_, messages| {
            while taken.is_none() {
                let Some(first) = messages.first_entry() else {
                    break;
                };
                let Buffered::FromQueue { owned, .. } = first.get() else {
                    break;
                };
                let offset = *first.key();
                if !owned.wants(offset) {
                    first.remove();
                } else if owned.hand_out_next(offset) {
                    taken = Some(first.remove());
                } else {
                    break;
                }
            }
            !messages.is_empty()
        });
        taken
    }
}
