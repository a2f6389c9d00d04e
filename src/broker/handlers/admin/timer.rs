//! How far the timer is: `GET_TIMER_CHECK_POINT` (60) and `GET_TIMER_METRICS` (61). A slave passes on what its master told.

use bytes::Bytes;

use crate::broker::Broker;
use crate::broker::handlers::{Answer, Refusal, success};
use crate::broker::timer::Timer;

/// The checkpoint's numbers as bytes.
pub(super) fn checkpoint(broker: &Broker) -> Answer {
    let own = broker.timer.as_ref().map(Timer::check);
    let check = own.or_else(|| Some(broker.replication.told_timer()?.check));
    let check = check.ok_or_else(|| Refusal::error("The checkpoint is null"))?;
    Ok(success().with_body(check.encode().to_vec()))
}

/// Waiting messages by topic.
pub(super) fn metrics(broker: &Broker) -> Answer {
    let own = broker
        .timer
        .as_ref()
        .map(|timer| Bytes::from(timer.metrics()));
    let metrics = own.or_else(|| Some(broker.replication.told_timer()?.metrics));
    let metrics = metrics.ok_or_else(|| Refusal::error("The timer message store is null"))?;
    Ok(success().with_body(metrics))
}
