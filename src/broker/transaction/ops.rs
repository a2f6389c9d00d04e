//! Tells the op queue which half messages have ended, many in one record.

use std::sync::Arc;

use super::{QUEUE, records};
use crate::base::TopicName;
use crate::broker::Broker;
use crate::message::{Draft, names};

/// After a refused append (a full disk, for one) it is tried again after this.
const RETRY_MS: i64 = 1_000;
/// The shortest number with its comma: with so many, a record is full without counting.
const NUMBER_BYTES: usize = 2;

/// Writes op records for as long as the broker runs.
pub(crate) async fn run(broker: Arc<Broker>) {
    loop {
        let transactions = &broker.transactions;
        if transactions.table.lock().unsaid_len() == 0 {
            transactions.ended.notified().await;
            continue;
        }
        // The first of a batch waits for others.
        let until_ms = {
            let interval = i64::from(broker.options.load().transaction_op_batch_interval);
            broker.clock.now_ms().saturating_add(interval)
        };
        while !is_full(&broker) {
            tokio::select! {
                biased;
                () = transactions.ended.notified() => {}
                () = broker.clock.sleep_until(until_ms) => break,
            }
        }
        if !write_all(&broker) {
            let retry_ms = broker.clock.now_ms().saturating_add(RETRY_MS);
            broker.clock.sleep_until(retry_ms).await;
        }
    }
}

fn bytes_max(broker: &Broker) -> usize {
    usize::try_from(broker.options.load().transaction_op_msg_max_size).unwrap_or(usize::MAX)
}

fn is_full(broker: &Broker) -> bool {
    let bytes_max = bytes_max(broker);
    let table = broker.transactions.table.lock();
    if table.unsaid_len() < bytes_max / 16 {
        return false;
    }
    if table.unsaid_len() >= bytes_max / NUMBER_BYTES {
        return true;
    }
    records::op_body(&table.unsaid(bytes_max)).len() >= bytes_max
}

/// Writes all there is; `false` if the store takes nothing now.
pub(crate) fn write_all(broker: &Broker) -> bool {
    let _one = broker.transactions.saying.lock();
    let bytes_max = bytes_max(broker).max(1);
    let topic = TopicName::stored(names::OP_HALF_TOPIC);
    let queue = broker.store.queue(&topic, QUEUE);
    loop {
        let numbers = broker.transactions.table.lock().unsaid(bytes_max);
        if numbers.is_empty() {
            return true;
        }
        let body = records::op_body(&numbers);
        let draft = Draft {
            topic: topic.as_str(),
            queue_id: QUEUE.to_wire(),
            flag: 0,
            sys_flag: 0,
            born_timestamp: broker.clock.now_ms(),
            born_host: broker.store_host,
            store_host: broker.store_host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: &body,
            properties: &records::op_properties(),
        };
        let mut group = broker.store.append_group();
        if let Err(error) = group.push(&draft, &queue) {
            tracing::error!("an op record is too large: {error}");
            return false;
        }
        if let Err(error) = broker.store.append(&mut group) {
            tracing::warn!("op records wait: {error}");
            return false;
        }
        if let Some(stored) = group.appended(0) {
            let mut table = broker.transactions.table.lock();
            table.said(numbers.len(), stored.queue_offset.get());
        }
    }
}
