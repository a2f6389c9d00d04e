//! Single messages: by key, by id, by place.

use std::net::SocketAddr;

use crate::base::{BrokerName, TopicName};
use crate::message::{names, parse_offset_message_id};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::header::message::{
    QueryMessageRequestHeader, ResumeCheckHalfMessageRequestHeader, ViewMessageRequestHeader,
};
use crate::protocol::header::send::RecallMessageRequestHeader;

use super::{Admin, no};
use crate::client::error::ClientError;
use crate::client::message::{Received, decode_block};
use crate::client::net::unreadable;
use crate::client::queue::MessageQueue;

/// Messages of a topic that carry a key.
#[derive(Clone, Copy, Debug)]
pub struct MessageQuery<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The key. Index files hold its hash only; messages whose key is another one are sorted out here.
    pub key: &'a str,
    /// Whether `key` is the id a producer gave the message.
    pub unique: bool,
    /// Most messages from each broker; brokers give 64 at most.
    pub max: i32,
    /// Stored at or after this, in milliseconds since 1970.
    pub from_ms: i64,
    /// Stored at or before this.
    pub to_ms: i64,
}

impl<'a> MessageQuery<'a> {
    /// All messages with one of their keys being `key`.
    pub fn key(topic: &'a str, key: &'a str) -> Self {
        Self {
            topic,
            key,
            unique: false,
            max: 64,
            from_ms: 0,
            to_ms: i64::MAX,
        }
    }

    /// The message whose producer gave it the id `id`; more than one if it was sent again.
    pub fn unique_id(topic: &'a str, id: &'a str) -> Self {
        Self {
            unique: true,
            ..Self::key(topic, id)
        }
    }

    fn wants(&self, message: &Received) -> bool {
        if self.unique {
            return message.properties.get(names::UNIQ_KEY) == Some(self.key);
        }
        message
            .keys()
            .is_some_and(|keys| keys.split(' ').any(|key| key == self.key))
    }
}

impl Admin {
    /// The messages a query means, from all brokers of the topic, in the order they were stored.
    pub async fn query_messages(
        &self,
        query: MessageQuery<'_>,
    ) -> Result<Vec<Received>, ClientError> {
        let route = self.topic_route(query.topic).await?;
        let mut found = Vec::new();
        for broker in &route.brokers {
            if let Some(address) = broker.readable_at(0) {
                found.extend(self.query_messages_at(address, &broker.name, query).await?);
            }
        }
        found.sort_by_key(|message| message.store_timestamp);
        Ok(found)
    }

    /// The same at one broker, whose name the messages are to bear.
    pub async fn query_messages_at(
        &self,
        broker: &str,
        name: &BrokerName,
        query: MessageQuery<'_>,
    ) -> Result<Vec<Received>, ClientError> {
        TopicName::parse(query.topic)?;
        let code = RequestCode::QUERY_MESSAGE;
        let header = QueryMessageRequestHeader {
            topic: query.topic,
            key: query.key,
            max_num: query.max,
            begin_timestamp: query.from_ms,
            end_timestamp: query.to_ms,
            unique_key_query: query.unique.then_some(true),
            ..QueryMessageRequestHeader::default()
        };
        let reply = self.call(broker, Command::request(code, &header)).await?;
        match reply.code {
            ResponseCode::SUCCESS => {
                let mut messages = decode_block(&reply.body, name)
                    .map_err(|error| unreadable(broker, code, error))?;
                messages.retain(|message| query.wants(message));
                Ok(messages)
            }
            ResponseCode::QUERY_NOT_FOUND => Ok(Vec::new()),
            _ => Err(no(broker, code, &reply)),
        }
    }

    /// The message that begins at a place in a broker's log; `None` if none does.
    pub async fn message_at(
        &self,
        broker: &str,
        name: &BrokerName,
        log_offset: i64,
    ) -> Result<Option<Received>, ClientError> {
        let code = RequestCode::VIEW_MESSAGE_BY_ID;
        let header = ViewMessageRequestHeader {
            topic: None,
            offset: log_offset,
            broker_name: None,
        };
        let reply = self.call(broker, Command::request(code, &header)).await?;
        match reply.code {
            ResponseCode::SUCCESS => decode_block(&reply.body, name)
                .map(|messages| messages.into_iter().next())
                .map_err(|error| unreadable(broker, code, error)),
            // Both of Apache's ways to say that there is nothing.
            ResponseCode::SYSTEM_ERROR | ResponseCode::QUERY_NOT_FOUND => Ok(None),
            _ => Err(no(broker, code, &reply)),
        }
    }

    /// The message at an offset of a queue; `None` if it is not there (any more).
    pub async fn message_at_offset(
        &self,
        queue: &MessageQueue,
        offset: i64,
    ) -> Result<Option<Received>, ClientError> {
        let entries = self.consume_queue(queue, offset, 1, None).await?;
        let Some(entry) = entries.queue_data.first() else {
            return Ok(None);
        };
        let address = self.shared.read_address(queue, 0).await?;
        self.message_at(&address, &queue.broker, entry.physic_offset)
            .await
    }

    /// Whether a text can be an id that names a place in a broker's log, and which. Ids made by producers have the same
    /// length, but a process number where these have the upper half of a port, which is 0.
    pub fn parse_offset_id(id: &str) -> Option<(SocketAddr, i64)> {
        let (host, offset) = parse_offset_message_id(id)?;
        Some((host, offset.to_wire()))
    }

    /// Takes back a message that waits for its delivery time. The handle came with the answer to its send. Returns the
    /// message's id. Needs a 5.4 broker.
    pub async fn recall_at(
        &self,
        broker: &str,
        topic: &str,
        handle: &str,
    ) -> Result<String, ClientError> {
        let code = RequestCode::RECALL_MESSAGE;
        let header = RecallMessageRequestHeader {
            producer_group: None,
            topic,
            recall_handle: handle,
            broker_name: None,
        };
        let reply = self.ask(broker, code, &header).await?;
        Ok(reply.fields.get("msgId").unwrap_or_default().to_owned())
    }

    /// Has the broker ask the producer of a half message once more, although it had given up.
    pub async fn resume_half_check_at(
        &self,
        broker: &str,
        topic: &str,
        offset_message_id: &str,
    ) -> Result<(), ClientError> {
        let code = RequestCode::RESUME_CHECK_HALF_MESSAGE;
        let header = ResumeCheckHalfMessageRequestHeader {
            topic: Some(topic),
            msg_id: Some(offset_message_id),
        };
        self.ask(broker, code, &header).await.map(drop)
    }
}
