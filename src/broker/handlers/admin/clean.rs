//! Deleting what nobody needs any more, at once instead of at its hour: 306, 316, 329.

use std::collections::BTreeSet;

use crate::broker::Broker;
use crate::broker::handlers::{Answer, Refusal, success};
use crate::protocol::command::Command;

/// Queues of the light kind, which no topic stands for.
const LIGHT_PREFIX: &str = "%LMQ%";
/// Topics of POP's own log.
const REVIVE_PREFIX: &str = "rmq_sys_REVIVE_LOG_";

/// `CLEAN_EXPIRED_CONSUMEQUEUE`: queue and index files whose messages are gone from the log.
pub(super) fn expired_queues(broker: &Broker) -> Command {
    broker.store.delete_pointless_files();
    success()
}

/// `CLEAN_UNUSED_TOPIC`: the queues of topics that are not configured any more. As with Apache
/// (`DefaultMessageStore.cleanUnusedTopic`) system topics and light queues stay.
pub(super) fn unused_topics(broker: &Broker) -> Answer {
    let system = broker.topics.with(|topics| topics.system_names());
    let queues = broker.store.queues();
    let topics: BTreeSet<_> = queues.iter().map(|queue| queue.topic().clone()).collect();
    for topic in topics {
        let name = topic.as_str();
        let kept = broker.topic(name).is_some()
            || system.iter().any(|known| known == name)
            || name.starts_with(LIGHT_PREFIX)
            || name.starts_with(REVIVE_PREFIX);
        if kept {
            continue;
        }
        tracing::info!("an administrator removes the queues of {name}, which is no topic any more");
        broker
            .store
            .delete_topic(&topic)
            .map_err(|error| Refusal::error(error.to_string()))?;
    }
    Ok(success())
}

/// `DELETE_EXPIRED_COMMITLOG`: log files past their time, whatever the hour.
pub(super) fn expired_log(broker: &Broker) -> Command {
    broker.store.delete_expired();
    success()
}
