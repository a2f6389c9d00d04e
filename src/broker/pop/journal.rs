//! Writing to the revive topic.

use std::sync::Arc;

use super::records::{Ack, CK_TAG, CheckPoint};
use crate::base::{LogOffset, QueueId, TopicName};
use crate::broker::Broker;
use crate::message::properties::write_pair;
use crate::message::{Draft, names};
use crate::store::{AppendError, AppendGroup, Queue};

/// Apache lets a check point reach the revive topic so long before its messages become visible.
const ACK_INTERVAL_MS: i64 = 1_000;

/// Records that are stored together.
pub(crate) struct Batch<'b> {
    broker: &'b Broker,
    group: AppendGroup,
}

/// Stores what `fill` puts into a batch, as one append. Says where it ends, if there was anything.
pub(crate) fn write(
    broker: &Broker,
    fill: impl FnOnce(&mut Batch<'_>),
) -> Result<Option<LogOffset>, AppendError> {
    let mut batch = Batch::new(broker);
    fill(&mut batch);
    let group = batch.store()?;
    Ok((!group.is_empty()).then(|| group.end()))
}

impl<'b> Batch<'b> {
    pub(crate) fn new(broker: &'b Broker) -> Self {
        Self {
            broker,
            group: broker.store.append_group(),
        }
    }

    /// Adds a check point.
    pub(crate) fn check_point(&mut self, revive_queue: i32, point: &CheckPoint) {
        let due_ms = point.revive_ms().saturating_sub(ACK_INTERVAL_MS);
        let key = point.unique_key();
        self.record(
            revive_queue,
            (CK_TAG, &key, due_ms),
            &serde_json::to_vec(point),
        );
    }

    /// Adds an acknowledgement.
    pub(crate) fn ack(&mut self, revive_queue: i32, ack: &Ack) {
        let key = ack.unique_key();
        let what = (ack.tag(), key.as_str(), ack.pop_time);
        self.record(revive_queue, what, &serde_json::to_vec(ack));
    }

    fn record(
        &mut self,
        revive_queue: i32,
        (tag, key, due_ms): (&str, &str, i64),
        body: &serde_json::Result<Vec<u8>>,
    ) {
        let Ok(body) = body else {
            return;
        };
        let mut properties = Vec::with_capacity(128);
        write_pair(&mut properties, names::TAGS, tag);
        write_pair(&mut properties, names::UNIQ_KEY, key);
        // Apache's own revival goes by this property, should it ever read the directory.
        write_pair(
            &mut properties,
            names::TIMER_DELIVER_MS,
            &due_ms.to_string(),
        );
        let broker = self.broker;
        let topic = &broker.pop.revive_topic;
        let queue_id = QueueId::from_wire(revive_queue).unwrap_or_default();
        let draft = Draft {
            topic: topic.as_str(),
            queue_id: queue_id.to_wire(),
            flag: 0,
            sys_flag: 0,
            born_timestamp: broker.clock.now_ms(),
            born_host: broker.store_host,
            store_host: broker.store_host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body,
            properties: &properties,
        };
        self.message(topic, queue_id, &draft);
    }

    /// Adds any message; says whether it could be encoded.
    pub(crate) fn message(
        &mut self,
        topic: &TopicName,
        queue_id: QueueId,
        draft: &Draft<'_>,
    ) -> bool {
        let queue: Arc<Queue> = self.broker.store.queue(topic, queue_id);
        match self.group.push(draft, &queue) {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(%topic, "a message of POP cannot be stored: {error}");
                false
            }
        }
    }

    /// Stores everything and tells the reviver. Returns the group, which knows where its records lie.
    pub(crate) fn store(mut self) -> Result<AppendGroup, AppendError> {
        if !self.group.is_empty() {
            self.broker.store.append(&mut self.group)?;
            self.broker.pop.revival.ring();
        }
        Ok(self.group)
    }
}
