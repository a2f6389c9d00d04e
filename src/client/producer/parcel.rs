//! What a message, or a batch of them, looks like when it leaves.

use bytes::Bytes;

use super::options::ProducerOptions;
use crate::base::TopicName;
use crate::client::error::ClientError;
use crate::client::message::Message;
use crate::client::shared::Shared;
use crate::message::properties::write_pair;
use crate::message::{batch, compress, names, sysflag};
use crate::protocol::codes::RequestCode;

/// A request body that is ready to be sent to any queue of its topic.
pub(super) struct Parcel {
    pub(super) topic: TopicName,
    pub(super) code: RequestCode,
    pub(super) flag: i32,
    pub(super) sys_flag: i32,
    pub(super) properties: String,
    pub(super) body: Bytes,
    pub(super) reconsume_times: i32,
    pub(super) max_reconsume_times: Option<i32>,
}

impl Parcel {
    /// One message, and the id it has or got.
    pub(super) fn single(
        shared: &Shared,
        options: &ProducerOptions,
        mut message: Message,
    ) -> Result<(Self, String), ClientError> {
        let topic = message.check(options.body_bytes_max)?;
        let id = set_standard_properties(shared, &mut message);
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        let (reconsume_times, max_reconsume_times) = if topic.is_retry() {
            let properties = &mut message.properties;
            (
                number(properties.remove(names::RECONSUME_TIME)),
                number(properties.remove(names::MAX_RECONSUME_TIMES)),
            )
        } else {
            (None, None)
        };
        let packed = options
            .compress_from_bytes
            .filter(|from| message.body.len() >= *from)
            .map(|_| compress::compress(options.compression, &message.body));
        let sys_flag = packed
            .as_ref()
            .map_or(0, |_| sysflag::compressed_with(options.compression));
        let parcel = Self {
            topic,
            code: RequestCode::SEND_MESSAGE_V2,
            flag: message.flag,
            sys_flag,
            properties: wire_text(&message)?,
            body: packed.map_or(message.body, Bytes::from),
            reconsume_times: reconsume_times.unwrap_or_default(),
            max_reconsume_times,
        };
        Ok((parcel, id))
    }

    /// Several messages of one topic, and their ids in order.
    pub(super) fn batch(
        shared: &Shared,
        options: &ProducerOptions,
        messages: &[Message],
    ) -> Result<(Self, Vec<String>), ClientError> {
        let refuse = |reason: &str| ClientError::Message {
            reason: reason.to_owned(),
        };
        let mut body = Vec::new();
        let mut properties = Vec::new();
        let mut ids = Vec::with_capacity(messages.len());
        let mut topic: Option<TopicName> = None;
        for message in messages {
            message.check_property_names()?;
            match &topic {
                Some(topic) if topic.as_str() == message.topic => {
                    message.check_parts(options.body_bytes_max)?;
                }
                Some(_) => return Err(refuse("the messages of a batch must have one topic")),
                None => topic = Some(message.check(options.body_bytes_max)?),
            }
            if message.is_delayed() || topic.as_ref().is_some_and(TopicName::is_retry) {
                return Err(refuse(
                    "a delayed message or one for a retry topic cannot travel in a batch",
                ));
            }
            properties.clear();
            message.properties.write_to(&mut properties);
            ids.push(write_standard_properties(shared, message, &mut properties));
            if !batch::encode_entry(&mut body, message.flag, &message.body, &properties) {
                return Err(refuse("the properties are larger than a message can hold"));
            }
        }
        let topic = topic.ok_or_else(|| refuse("the batch is empty"))?;
        if body.len() > options.body_bytes_max {
            return Err(refuse(&format!(
                "the batch has {} bytes, the limit is {}",
                body.len(),
                options.body_bytes_max
            )));
        }
        // The request itself carries the properties of a message as well.
        let mut envelope = Message::new(topic.as_str(), Bytes::new());
        set_standard_properties(shared, &mut envelope);
        let parcel = Self {
            topic,
            code: RequestCode::SEND_BATCH_MESSAGE,
            flag: 0,
            sys_flag: 0,
            properties: wire_text(&envelope)?,
            body: body.into(),
            reconsume_times: 0,
            max_reconsume_times: None,
        };
        Ok((parcel, ids))
    }
}

/// Gives the message its id, unless it has one, and says that the sender waits.
fn set_standard_properties(shared: &Shared, message: &mut Message) -> String {
    let properties = &mut message.properties;
    if properties.get(names::WAIT).is_none() {
        properties.set(names::WAIT, "true");
    }
    if let Some(id) = properties.get(names::UNIQ_KEY) {
        return id.to_owned();
    }
    let id = shared.unique_id();
    properties.set(names::UNIQ_KEY, id.as_str());
    id
}

/// The same behind the properties of a message that is part of a batch.
fn write_standard_properties(shared: &Shared, message: &Message, wire: &mut Vec<u8>) -> String {
    if message.properties.get(names::WAIT).is_none() {
        write_pair(wire, names::WAIT, "true");
    }
    if let Some(id) = message.properties.get(names::UNIQ_KEY) {
        return id.to_owned();
    }
    let id = shared.unique_id();
    write_pair(wire, names::UNIQ_KEY, &id);
    id
}

/// The properties as they travel in a header.
fn wire_text(message: &Message) -> Result<String, ClientError> {
    let wire = message.properties.to_wire();
    if wire.len() > crate::message::properties::MAX_BYTES {
        return Err(ClientError::Message {
            reason: format!(
                "the properties have {} bytes, the limit is 32767",
                wire.len()
            ),
        });
    }
    String::from_utf8(wire).map_err(|error| ClientError::Message {
        reason: error.to_string(),
    })
}
