//! How far the timer is: `GET_TIMER_CHECK_POINT` (60) and `GET_TIMER_METRICS` (61).

use crate::broker::Broker;
use crate::broker::handlers::{Answer, Refusal, success};

/// The checkpoint's numbers as bytes.
pub(super) fn checkpoint(broker: &Broker) -> Answer {
    let timer = broker.timer.as_ref();
    let timer = timer.ok_or_else(|| Refusal::error("The checkpoint is null"))?;
    Ok(success().with_body(timer.check().encode().to_vec()))
}

/// Waiting messages by topic.
pub(super) fn metrics(broker: &Broker) -> Answer {
    let timer = broker.timer.as_ref();
    let timer = timer.ok_or_else(|| Refusal::error("The timer message store is null"))?;
    Ok(success().with_body(timer.metrics()))
}
