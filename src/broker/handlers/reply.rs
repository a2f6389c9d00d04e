//! Answers of request-reply: `SEND_REPLY_MESSAGE` (324) and its second form (325).
//!
//! A reply goes straight to the client that asked, over the connection it is known by, and is then stored in the
//! cluster's reply topic. The replier is answered when the asker has taken it.

use std::sync::Arc;
use std::time::Duration;

use super::send::{self, SendHeader};
use super::{Refusal, Request};
use crate::base::QueueId;
use crate::broker::Broker;
use crate::broker::refusal::append_refusal;
use crate::broker::session::Session;
use crate::message::{Draft, Properties, names, offset_message_id};
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
    asker: Arc<Channel>,
    push: Command,
    /// The record, ready to be stored.
    group: AppendGroup,
    queue: Arc<Queue>,
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
        let answer = finish(&working, reply).await;
        let options = working.options.load();
        let answer = answer.unwrap_or_else(|refusal| send::refused(&options, refusal));
        replier.answer(asked, answer);
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
    let properties = Properties::new(header.properties.as_bytes());
    let asker_id = properties
        .get(REPLY_TO_CLIENT)
        .ok_or_else(|| Refusal::error("REPLY_TO_CLIENT is null, can not reply message"))?;
    let asker = broker
        .clients
        .lock()
        .client(asker_id)
        .map(|member| Arc::clone(&member.handle));
    let asker = asker.ok_or_else(|| {
        Refusal::error(format!(
            "push reply message fail, channel of <{asker_id}> not found."
        ))
    })?;
    let now_ms = broker.clock.now_ms();
    let mut wire = crate::message::PropertiesBuf::from(properties);
    wire.set(names::MSG_REGION, options.region_id.as_str());
    wire.set(names::TRACE_ON, options.trace_on.to_string());
    wire.set(PUSH_REPLY_TIME, now_ms.to_string());
    wire.set(names::CLUSTER, options.broker_cluster_name.as_str());
    let wire = wire.to_wire();
    let queue_id = QueueId::from_wire(header.queue_id).unwrap_or_default();
    let topic = session
        .topics
        .get(broker, header.topic)
        .ok_or_else(|| send::no_topic(header.topic))?;
    let queue = topic.queue(broker, queue_id);
    let mut group = broker.store.append_group();
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
        properties: &wire,
    };
    group
        .push(&draft, &queue)
        .map_err(|_| crate::broker::refusal::illegal_message(&options))?;
    let (born_host, store_host) = (peer.to_string(), broker.store_host.to_string());
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
    Ok(Reply {
        asker,
        push: Command::request(RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT, &push)
            .with_body(request.body.clone()),
        group,
        queue,
    })
}

async fn finish(broker: &Arc<Broker>, reply: Reply) -> Result<Command, Refusal> {
    let Reply {
        asker,
        push,
        mut group,
        queue,
    } = reply;
    let taken = asker.call(push, PUSH_LIMIT).await.map_err(|error| {
        Refusal::error(format!(
            "push reply message to {} fail. {error}",
            asker.peer()
        ))
    })?;
    if taken.code != ResponseCode::SUCCESS {
        return Err(Refusal::error(format!(
            "push reply message to {} fail. {}",
            asker.peer(),
            taken.remark()
        )));
    }
    let options = broker.options.load();
    broker
        .store
        .append(&mut group)
        .map_err(|error| append_refusal(&error, &options))?;
    broker.wake(queue.topic(), queue.id());
    let stored = group
        .appended(0)
        .ok_or_else(|| Refusal::error("UNKNOWN_ERROR"))?;
    let header = SendMessageResponseHeader {
        msg_id: &offset_message_id(broker.store_host, stored.log_offset),
        queue_id: queue.id().to_wire(),
        queue_offset: stored.queue_offset.to_wire(),
        msg_region: Some(&options.region_id),
        trace_on: Some(if options.trace_on { "true" } else { "false" }),
        ..SendMessageResponseHeader::default()
    };
    Ok(super::success().with_header(&header))
}
