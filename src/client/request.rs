//! Request and reply: a message whose sender waits for another message.
//!
//! The request carries the id of this client and a number; whoever consumes it sends an answer with both to the
//! cluster's reply topic, and the broker passes that on over the connection the asking client is known by
//! (`RequestFutureHolder`, `ReplyMessageProcessor`). A reply that comes too late is dropped.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use crate::base::{BrokerName, QueueId, TopicName};
use crate::message::{Properties, PropertiesBuf, compress, names};
use crate::protocol::codes::RequestCode;
use crate::protocol::command::Head;
use crate::protocol::header::HeaderError;
use crate::protocol::header::send::ReplyMessageRequestHeader;

use super::error::ClientError;
use super::heartbeat;
use super::members::Members;
use super::message::{Message, Received, UNPACKED_MAX};
use super::producer::{Producer, SendReceipt};
use super::queue::MessageQueue;

const CORRELATION_ID: &str = "CORRELATION_ID";
const REPLY_TO_CLIENT: &str = "REPLY_TO_CLIENT";
const TTL: &str = "TTL";

impl Producer {
    /// Sends a message and waits until somebody who consumed it has replied, `limit` at most, sending included.
    pub async fn request(
        &self,
        mut message: Message,
        limit: Duration,
    ) -> Result<Received, ClientError> {
        let deadline = Instant::now() + limit;
        message.check_property_names()?;
        let shared = self.shared();
        let topic = TopicName::parse(&message.topic)?;
        shared.routes.for_sending(&topic).await?;
        // The broker must know who asks before anybody can answer.
        heartbeat::beat(shared).await;
        let id = shared.unique_id();
        message.properties.set(CORRELATION_ID, id.as_str());
        message.properties.set(REPLY_TO_CLIENT, shared.id.as_str());
        message.properties.set(TTL, limit.as_millis().to_string());
        let waiting = Waiting {
            members: &shared.members,
            id: &id,
        };
        let reply = shared.members.expect_reply(&id);
        self.send_checked(message).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        let replied = timeout(left, reply).await;
        drop(waiting);
        match replied {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_gone)) => Err(ClientError::Closed),
            Err(_elapsed) => Err(ClientError::NoReply {
                topic: topic.to_string(),
                after: limit,
            }),
        }
    }

    /// Replies to a consumed message that was sent with [`Producer::request`] or by another client's equal.
    pub async fn reply(
        &self,
        request: &Received,
        body: impl Into<Bytes>,
    ) -> Result<SendReceipt, ClientError> {
        let wanted = |name: &str| {
            let value = request.properties.get(name);
            value
                .map(str::to_owned)
                .ok_or_else(|| ClientError::Message {
                    reason: format!(
                        "what it replies to has no property {name}: nobody waits for a reply"
                    ),
                })
        };
        let cluster = wanted(names::CLUSTER)?;
        let mut message = Message::new(format!("{cluster}_REPLY_TOPIC"), body);
        for name in [CORRELATION_ID, REPLY_TO_CLIENT, TTL] {
            message.properties.set(name, wanted(name)?);
        }
        message.properties.set(names::MSG_TYPE, "reply");
        self.send_as(message, RequestCode::SEND_REPLY_MESSAGE_V2)
            .await
    }
}

/// Forgets the request when the caller gives up.
struct Waiting<'a> {
    members: &'a Members,
    id: &'a str,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.members.take_reply(self.id);
    }
}

/// Hands a reply that a broker passes on to whoever waits for it.
pub(crate) fn arrived(members: &Members, head: &Head<'_>, body: &Bytes) -> Result<(), HeaderError> {
    let header: ReplyMessageRequestHeader<'_> = head.header()?;
    let reply = received(&header, body);
    let id = reply.properties.get(CORRELATION_ID).unwrap_or_default();
    if let Some(waiting) = members.take_reply(id) {
        // If the receiver has gone away just now, it is too late.
        drop(waiting.send(reply));
    } else {
        tracing::debug!(id, "a reply that nobody waits for");
    }
    Ok(())
}

fn received(header: &ReplyMessageRequestHeader<'_>, body: &Bytes) -> Received {
    let host = |text: &str| {
        let text = text.trim_start_matches('/');
        text.parse().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))
    };
    let plain = compress::decompress(header.sys_flag, body, UNPACKED_MAX).map_or_else(
        |error| {
            tracing::warn!("a reply is handed out packed: {error}");
            body.clone()
        },
        Bytes::from,
    );
    Received {
        queue: MessageQueue {
            topic: TopicName::stored(header.topic),
            broker: BrokerName::stored(""),
            queue: QueueId::from_wire(header.queue_id).unwrap_or_default(),
        },
        queue_offset: -1,
        physical_offset: 0,
        store_size: 0,
        flag: header.flag,
        sys_flag: header.sys_flag,
        born_timestamp: header.born_timestamp,
        born_host: host(header.born_host),
        store_timestamp: header.store_timestamp,
        store_host: host(header.store_host),
        reconsume_times: header.reconsume_times.unwrap_or_default(),
        body_crc: 0,
        properties: PropertiesBuf::from(Properties::new(
            header.properties.unwrap_or_default().as_bytes(),
        )),
        body: plain,
    }
}
