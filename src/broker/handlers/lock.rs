//! Queue locks of orderly consumers: `LOCK_BATCH_MQ` (41) and `UNLOCK_BATCH_MQ` (42).

use super::{Answer, Refusal, Request, json, success};
use crate::base::GroupName;
use crate::broker::Broker;
use crate::broker::locks::LockKey;
use crate::protocol::body::MessageQueue;
use crate::protocol::body::lock::{LockBatchRequestBody, LockBatchResponseBody};

fn key(queue: MessageQueue) -> LockKey {
    LockKey {
        topic: queue.topic,
        broker_name: queue.broker_name,
        queue_id: queue.queue_id,
    }
}

/// A request that says for whom. Apache fails on one that does not.
fn read(request: &Request<'_, '_>) -> Result<LockBatchRequestBody, Refusal> {
    let body: LockBatchRequestBody = request.json()?;
    if body.consumer_group.is_empty() || body.client_id.is_empty() {
        return Err(Refusal::error(
            "a lock needs a consumerGroup and a clientId",
        ));
    }
    Ok(body)
}

/// Locks what is free; the answer lists what the client holds now.
pub(crate) fn lock(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let body = read(request)?;
    let group = GroupName::stored(&body.consumer_group);
    let wanted = body.mq_set.into_iter().map(key).collect();
    let now_ms = broker.clock.now_ms();
    let locked = broker
        .locks
        .lock()
        .lock(&group, wanted, &body.client_id, now_ms);
    let lock_ok_mq_set = locked
        .into_iter()
        .map(|key| MessageQueue {
            topic: key.topic,
            broker_name: key.broker_name,
            queue_id: key.queue_id,
        })
        .collect();
    json(&LockBatchResponseBody { lock_ok_mq_set })
}

/// Frees what the client holds.
pub(crate) fn unlock(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let body = read(request)?;
    let queues: Vec<LockKey> = body.mq_set.into_iter().map(key).collect();
    broker
        .locks
        .lock()
        .unlock(&body.consumer_group, &queues, &body.client_id);
    Ok(success())
}
