//! Answers of request-reply: `SEND_REPLY_MESSAGE` (324) and its second form (325).
//!
//! A reply goes straight to the client that asked, over the connection it is known by, and is stored in the cluster's
//! reply topic if `storeReplyMessageEnable` says so, whether or not it arrived. The replier is told whether it arrived.

use std::sync::Arc;
use std::time::Duration;

use super::send::{self, SendHeader};
use super::{Refusal, Request};
use crate::base::{LogOffset, QueueId};
use crate::broker::Broker;
use crate::broker::session::Session;
use crate::message::{Draft, Properties, PropertiesBuf, names, offset_message_id};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::header::send::{ReplyMessageRequestHeader, SendMessageResponseHeader};
use crate::remoting::{Asked, Channel};
use crate::store::{AppendGroup, Queue};

/// The client id of whoever waits for the reply.
const REPLY_TO_CLIENT: &str = "REPLY_TO_CLIENT";
/// Tells the client when the broker passed the reply on.
const PUSH_REPLY_TIME: &str = "PUSH_REPLY_TIME";
/// How long the asker may take.
const PUSH_LIMIT: Duration = Duration::from_secs(10);

/// A reply on its way.
struct Reply {
    /// Where it goes, or why nowhere.
    push: Result<Push, String>,
    /// The record, ready to be stored.
    record: Option<(AppendGroup, Arc<Queue>)>,
    queue_id: QueueId,
}

struct Push {
    asker: Arc<Channel>,
    asker_id: String,
    command: Command,
}

/// Passes a reply on, stores it and answers.
pub(crate) fn handle(broker: &Arc<Broker>, session: &mut Session, request: &Request<'_, '_>) {
    let reply = match prepare(broker, session, request) {
        Ok(reply) => reply,
        Err(refusal) => return request.answer(send::refused(session.options.get(), refusal)),
    };
    let replier = Arc::clone(request.channel);
    let asked = Asked::from(request.head);
    let working = Arc::clone(broker);
    broker.tasks.spawn(async move {
        replier.answer(asked, finish(&working, reply).await);
    });
}

fn prepare(
    broker: &Broker,
    session: &mut Session,
    request: &Request<'_, '_>,
) -> Result<Reply, Refusal> {
    let header = SendHeader::parse(request)?;
    let options = Arc::clone(session.options.get());
    let peer = request.channel.peer();
    send::check(broker, &options, &mut session.topics, &header, &peer)?;
    let mut properties = PropertiesBuf::from(Properties::new(header.properties.as_bytes()));
    properties.set(names::MSG_REGION, options.region_id.as_str());
    properties.set(names::TRACE_ON, options.trace_on.to_string());
    let stored = properties.to_wire();
    let now_ms = broker.clock.now_ms();
    properties.set(PUSH_REPLY_TIME, now_ms.to_string());
    let topic = session
        .topics
        .get(broker, header.topic)
        .ok_or_else(|| send::no_topic(header.topic))?;
    let queue_id = send::choose_queue(header.queue_id, topic, &mut session.sends.turn);
    let queue = topic.queue(broker, queue_id);
    let draft = Draft {
        topic: header.topic,
        queue_id: queue_id.to_wire(),
        flag: header.flag,
        sys_flag: header.sys_flag,
        born_timestamp: header.born_timestamp,
        born_host: peer,
        store_host: broker.store_host,
        reconsume_times: header.reconsume_times,
        prepared_transaction_offset: 0,
        body: request.body,
        properties: &stored,
    };
    Ok(Reply {
        push: address(broker, &header, &properties, request, now_ms),
        record: options
            .store_reply_message_enable
            .then(|| record(broker, &draft, queue))
            .flatten(),
        queue_id,
    })
}

fn record(
    broker: &Broker,
    draft: &Draft<'_>,
    queue: Arc<Queue>,
) -> Option<(AppendGroup, Arc<Queue>)> {
    let mut group = broker.store.append_group();
    match group.push(draft, &queue) {
        Ok(_) => Some((group, queue)),
        Err(error) => {
            tracing::warn!("a reply cannot be stored: {error}");
            None
        }
    }
}

/// Finds who asked and writes what it is sent.
fn address(
    broker: &Broker,
    header: &SendHeader<'_>,
    properties: &PropertiesBuf,
    request: &Request<'_, '_>,
    now_ms: i64,
) -> Result<Push, String> {
    let asker_id = properties
        .get(REPLY_TO_CLIENT)
        .ok_or_else(|| format!("reply message properties[{REPLY_TO_CLIENT}] is null"))?;
    let asker = broker
        .clients
        .lock()
        .client(asker_id)
        .map(|member| Arc::clone(&member.handle));
    let asker = asker
        .ok_or_else(|| format!("push reply message fail, channel of <{asker_id}> not found."))?;
    let (born_host, store_host) = (
        request.channel.peer().to_string(),
        broker.store_host.to_string(),
    );
    let wire = properties.to_wire();
    let push = ReplyMessageRequestHeader {
        producer_group: header.producer_group,
        topic: header.topic,
        default_topic: header.default_topic,
        default_topic_queue_nums: header.default_topic_queue_nums,
        queue_id: header.queue_id,
        sys_flag: header.sys_flag,
        born_timestamp: header.born_timestamp,
        flag: header.flag,
        properties: std::str::from_utf8(&wire).ok(),
        reconsume_times: Some(header.reconsume_times),
        unit_mode: header.unit_mode,
        born_host: &born_host,
        store_host: &store_host,
        store_timestamp: now_ms,
    };
    let command = Command::request(RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT, &push);
    Ok(Push {
        asker,
        asker_id: asker_id.to_owned(),
        command: command.with_body(request.body.clone()),
    })
}

/// Hands the reply over.
async fn deliver(push: Result<Push, String>) -> Result<(), String> {
    let Push {
        asker,
        asker_id,
        command,
    } = push?;
    let failed = || format!("push reply message to {asker_id}fail.");
    let taken = asker
        .call(command, PUSH_LIMIT)
        .await
        .map_err(|_| failed())?;
    if taken.code == ResponseCode::SUCCESS {
        Ok(())
    } else {
        Err(failed())
    }
}

async fn finish(broker: &Arc<Broker>, reply: Reply) -> Command {
    let queue_id = reply.queue_id.to_wire();
    let (code, remark) = match deliver(reply.push).await {
        Ok(()) => (ResponseCode::SUCCESS, None),
        Err(remark) => (ResponseCode::SYSTEM_ERROR, Some(remark)),
    };
    let place = reply
        .record
        .and_then(|(group, queue)| store(broker, group, &queue));
    if let Err(refusal) = broker
        .until_safe(place.as_ref().map(|place| place.end))
        .await
    {
        return refusal;
    }
    let options = broker.options.load();
    // Clients read these fields of every answer; without a record Apache sends zeros.
    let (message_id, queue_offset) = place.map_or(("0".to_owned(), 0), |place| {
        (place.message_id, place.queue_offset)
    });
    let header = SendMessageResponseHeader {
        msg_id: &message_id,
        queue_id,
        queue_offset,
        msg_region: Some(&options.region_id),
        trace_on: Some(if options.trace_on { "true" } else { "false" }),
        ..SendMessageResponseHeader::default()
    };
    let mut answer = Command::response(code).with_header(&header);
    answer.remark = remark;
    answer
}

/// Where a reply was stored.
struct Place {
    message_id: String,
    queue_offset: i64,
    /// Where its record ends.
    end: LogOffset,
}

/// Stores the reply; one that cannot be stored has been delivered all the same.
fn store(broker: &Arc<Broker>, mut group: AppendGroup, queue: &Arc<Queue>) -> Option<Place> {
    if let Err(error) = broker.store.append(&mut group) {
        tracing::warn!("a reply was not stored: {error}");
        return None;
    }
    broker.wake(queue.topic(), queue.id());
    broker.stats.put.add(1);
    let stored = group.appended(0)?;
    Some(Place {
        message_id: offset_message_id(broker.store_host, stored.log_offset),
        queue_offset: stored.queue_offset.to_wire(),
        end: group.end(),
    })
}
