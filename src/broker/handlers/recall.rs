//! Taking a waiting message back: `RECALL_MESSAGE` (370).
//!
//! A recall is a message itself: it goes to the timer topic, waits in the slot of the message it takes back, and is
//! looked at before that slot is delivered. The order of the checks and their remarks are those of Apache's
//! `RecallMessageProcessor`.

use std::sync::Arc;

use super::{Refusal, Request, success};
use crate::base::{LogOffset, QueueId, TopicName};
use crate::broker::Broker;
use crate::broker::options::BrokerOptions;
use crate::broker::timer::recall::RecallHandle;
use crate::broker::timer::redirect::{self, Timing};
use crate::broker::topics::PERM_WRITE;
use crate::message::properties::write_pair;
use crate::message::{Draft, Properties, names};
use crate::protocol::codes::ResponseCode;
use crate::protocol::command::Command;
use crate::protocol::header::send::{RecallMessageRequestHeader, RecallMessageResponseHeader};
use crate::remoting::Channel;

const TAG: &str = "_RECALL_TAG_";

/// Stores the recall, and answers when it is as durable as a message would be.
pub(crate) fn handle(broker: &Arc<Broker>, request: &Request<'_, '_>) {
    let options = broker.options.load();
    let with_region =
        |answer: Command| answer.with_field(names::MSG_REGION, options.region_id.clone());
    let recalled = request
        .header()
        .and_then(|header| recall(broker, &options, &header, request.channel));
    let (unique, end) = match recalled {
        Ok(recalled) => recalled,
        Err(refusal) => return request.answer(with_region(refusal.into())),
    };
    let header = RecallMessageResponseHeader { msg_id: &unique };
    let answer = with_region(success().with_header(&header));
    broker.answer_when_safe(request, Some(end), answer);
}

/// Checks and stores; returns the key of the message that is taken back, and where the log ends.
fn recall(
    broker: &Arc<Broker>,
    options: &BrokerOptions,
    header: &RecallMessageRequestHeader<'_>,
    channel: &Channel,
) -> Result<(String, LogOffset), Refusal> {
    let refuse = |code, remark: &str| Err(Refusal::new(code, format!("recall failed, {remark}")));
    let now_ms = broker.clock.now_ms();
    if !options.recall_message_enable {
        return refuse(ResponseCode::NO_PERMISSION, "operation is forbidden");
    }
    let closed = options.broker_permission & PERM_WRITE == 0
        && !options.allow_recall_when_broker_not_writeable;
    if now_ms < options.start_accept_send_request_time_stamp || closed {
        let code = ResponseCode::SERVICE_NOT_AVAILABLE;
        return refuse(code, "broker service not available");
    }
    if broker.topic(header.topic).is_none() {
        let remark = format!("the topic[{}] not exist", header.topic);
        return refuse(ResponseCode::TOPIC_NOT_EXIST, &remark);
    }
    let illegal = ResponseCode::ILLEGAL_OPERATION;
    let handle = RecallHandle::parse(header.recall_handle)
        .ok_or_else(|| Refusal::new(illegal, "recall handle is invalid"))?;
    if handle.topic != header.topic {
        return refuse(illegal, "topic not match");
    }
    if handle.broker != options.broker_name {
        return refuse(illegal, "broker service not available");
    }
    let left_ms = handle
        .time
        .parse::<i64>()
        .map_or(0, |time| time.saturating_sub(now_ms));
    if left_ms <= 0 || left_ms >= options.timer_max_delay_ms() {
        return refuse(illegal, "timestamp invalid");
    }
    let end = store(broker, options, header, (&handle, now_ms), channel)
        .map_err(|_| Refusal::error("recall failed, execute error"))?;
    Ok((handle.unique, end))
}

fn store(
    broker: &Arc<Broker>,
    options: &BrokerOptions,
    header: &RecallMessageRequestHeader<'_>,
    (handle, now_ms): (&RecallHandle, i64),
    channel: &Channel,
) -> Result<LogOffset, Refusal> {
    let key = if options.append_topic_for_timer_delete_key {
        format!("{}+{}", handle.topic, handle.unique)
    } else {
        handle.unique.clone()
    };
    let mut properties = Vec::new();
    for (name, value) in [
        (names::TIMER_DEL_UNIQKEY, key.as_str()),
        (names::UNIQ_KEY, &handle.unique),
        (names::TIMER_DELIVER_MS, &handle.time),
        (names::BORN_TIMESTAMP, &now_ms.to_string()),
        (names::TRACE_CONTEXT, ""),
        (names::PGROUP, header.producer_group.unwrap_or_default()),
        (names::TAGS, TAG),
    ] {
        // What the client wrote must not forge further pairs.
        write_pair(
            &mut properties,
            name,
            &value.replace(['\u{1}', '\u{2}'], ""),
        );
    }
    let timing = redirect::timing(Properties::new(&properties), options, now_ms)?;
    let Timing::Later { out_ms } = timing else {
        return Err(Refusal::error("nothing to take back"));
    };
    redirect::remember(&mut properties, out_ms, &handle.topic, QueueId::new(0));
    let topic = TopicName::stored(names::TIMER_TOPIC);
    let queue = broker.store.queue(&topic, QueueId::new(0));
    let draft = Draft {
        topic: topic.as_str(),
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        born_timestamp: now_ms,
        born_host: channel.peer(),
        store_host: broker.store_host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: b"0",
        properties: &properties,
    };
    let mut group = broker.store.append_group();
    let failed = |error: &dyn std::fmt::Display| {
        tracing::warn!("a recall cannot be stored: {error}");
        Refusal::error("recall failed, execute error")
    };
    group.push(&draft, &queue).map_err(|error| failed(&error))?;
    broker
        .store
        .append(&mut group)
        .map_err(|error| failed(&error))?;
    broker.stats.put.add(1);
    broker.wake(&topic, QueueId::new(0));
    Ok(group.end())
}
