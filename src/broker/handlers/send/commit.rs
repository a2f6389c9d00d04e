//! From a half message to the one that consumers see.

use std::sync::Arc;

use super::{Pending, no_topic, properties};
use crate::base::{QueueId, TopicName};
use crate::broker::Broker;
use crate::broker::handlers::{Refusal, Request};
use crate::broker::options::BrokerOptions;
use crate::broker::refusal::illegal_message;
use crate::broker::session::Session;
use crate::broker::timer::redirect::{self, Timing};
use crate::broker::transaction::{self, Name, records};
use crate::message::{Draft, Properties, Record, names};

/// A half message that is to be committed.
pub(in crate::broker::handlers) struct Commit<'a> {
    pub(in crate::broker::handlers) half: Record<'a>,
    pub(in crate::broker::handlers) name: Name,
}

/// Adds a commit to the connection's group.
pub(in crate::broker::handlers) fn push_commit(
    broker: &Broker,
    session: &mut Session,
    request: &Request<'_, '_>,
    commit: &Commit<'_>,
) -> Result<(), Refusal> {
    let half = &commit.half;
    let options = Arc::clone(session.options.get());
    let real = records::destination(half)
        .ok_or_else(|| Refusal::error("the half message does not say where it belongs"))?;
    if session.topics.get(broker, real.0.as_str()).is_none() {
        // It was deleted meanwhile. Stored there, the message would be acknowledged and lost.
        return Err(no_topic(real.0.as_str()));
    }
    let mut wire = records::committed_properties(half);
    let (topic, queue_id) = place(broker, &options, half, &mut wire, real)?;
    let topic = session
        .topics
        .get(broker, topic.as_str())
        .ok_or_else(|| no_topic(topic.as_str()))?;
    let queue = topic.queue(broker, queue_id);
    let draft = Draft {
        sys_flag: records::committed_flag(half),
        prepared_transaction_offset: half.physical_offset,
        ..transaction::again(half, topic.name.as_str(), queue_id, &wire)
    };
    let sends = &mut session.sends;
    let at = sends
        .group
        .push(&draft, &queue)
        .map_err(|_| illegal_message(&options))?;
    let touched = sends.touch(topic, &queue, queue_id);
    sends.pending.push(Pending {
        opaque: request.head.opaque,
        serialization: request.head.serialization,
        oneway: request.head.is_oneway(),
        waits: true,
        queue_id: queue_id.to_wire(),
        touched,
        records: at..at + 1,
        unique: 0..0,
        recall: 0..0,
        inner_batch: false,
        half: Some(commit.name),
    });
    Ok(())
}

/// Where the message goes: to its own topic, or where it waits for its time. A delay begins now.
fn place(
    broker: &Broker,
    options: &BrokerOptions,
    half: &Record<'_>,
    wire: &mut Vec<u8>,
    (topic, queue_id): (TopicName, QueueId),
) -> Result<(TopicName, QueueId), Refusal> {
    let facts = properties::of_stored(half.properties);
    if facts.delay_level > 0 {
        let level = broker.schedule.level(facts.delay_level);
        properties::redirect(wire, level, topic.as_str(), queue_id);
        let queue = QueueId::new(level.saturating_sub(1));
        return Ok((TopicName::stored(names::SCHEDULE_TOPIC), queue));
    }
    if facts.has_timer {
        let now_ms = broker.clock.now_ms();
        if let Timing::Later { out_ms } = redirect::timing(Properties::new(wire), options, now_ms)?
        {
            redirect::remember(wire, out_ms, topic.as_str(), queue_id);
            return Ok((TopicName::stored(names::TIMER_TOPIC), QueueId::new(0)));
        }
    }
    Ok((topic, queue_id))
}
