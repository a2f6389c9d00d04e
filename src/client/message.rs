//! Messages on their way out ([`Message`]) and as they come in ([`Received`]).

use std::net::SocketAddr;

use bytes::Bytes;

use crate::base::{BrokerName, QueueId, TopicName};
use crate::message::{PropertiesBuf, Record, compress, names, sysflag};

use super::error::ClientError;
use super::queue::MessageQueue;

/// The largest body this client unpacks: a packed body of a few kilobytes may claim gigabytes.
pub(crate) const UNPACKED_MAX: usize = 64 << 20;

/// Names only brokers, or other calls of this client, may set (`MessageConst.STRING_HASH_SET`).
const RESERVED: &[&str] = &[
    names::KEYS,
    names::TAGS,
    names::WAIT,
    names::DELAY,
    names::RETRY_TOPIC,
    names::REAL_TOPIC,
    names::REAL_QID,
    names::TRAN_MSG,
    names::PGROUP,
    "MIN_OFFSET",
    "MAX_OFFSET",
    "BUYER_ID",
    names::ORIGIN_MESSAGE_ID,
    "TRANSFER_FLAG",
    "CORRECTION_FLAG",
    "MQ2_FLAG",
    names::RECONSUME_TIME,
    names::MSG_REGION,
    names::TRACE_ON,
    names::UNIQ_KEY,
    names::DLQ_ORIGIN_TOPIC,
    names::DLQ_ORIGIN_MESSAGE_ID,
    "EXTEND_UNIQ_INFO",
    names::MAX_RECONSUME_TIMES,
    "CONSUME_START_TIME",
    "POP_CK",
    "POP_CK_OFFSET",
    "1ST_POP_TIME",
    "TRAN_PREPARED_QUEUE_OFFSET",
    "DUP_INFO",
    "INSTANCE_ID",
    "CORRELATION_ID",
    "REPLY_TO_CLIENT",
    "TTL",
    "ARRIVE_TIME",
    "PUSH_REPLY_TIME",
    names::CLUSTER,
    names::MSG_TYPE,
    "TIMER_ENQUEUE_MS",
    "TIMER_DEQUEUE_MS",
    "TIMER_ROLL_TIMES",
    names::TIMER_OUT_MS,
    "TIMER_DEL_UNIQKEY",
    names::TIMER_DELAY_SEC,
    names::TIMER_DELAY_MS,
    names::TIMER_DELIVER_MS,
    names::INNER_NUM,
    "INNER_BASE",
    names::INNER_MULTI_DISPATCH,
    names::INNER_MULTI_QUEUE_OFFSET,
    "TRANSACTION_CHECK_TIMES",
    "CHECK_IMMUNITY_TIME_IN_SECONDS",
    "__transactionId__",
    "TRACE_CONTEXT",
    "BORN_TIMESTAMP",
    "__BORNHOST",
    names::CRC32,
];

/// Whether a property name belongs to RocketMQ itself, so that applications may not set it.
pub fn is_reserved_property(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// A message to be sent.
///
/// ```
/// use rmq::client::Message;
///
/// let message = Message::new("orders", r#"{"id":42}"#)
///     .with_tag("paid")
///     .with_keys(["42"])
///     .with_property("trace", "abc");
/// assert_eq!(message.tag(), Some("paid"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub(crate) topic: String,
    pub(crate) body: Bytes,
    pub(crate) flag: i32,
    pub(crate) properties: PropertiesBuf,
}

impl Message {
    /// A message for `topic`. Names and sizes are checked when it is sent.
    pub fn new(topic: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            body: body.into(),
            flag: 0,
            properties: PropertiesBuf::new(),
        }
    }

    /// Sets the tag consumers filter by.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<String>) -> Self {
        self.properties.set(names::TAGS, tag);
        self
    }

    /// Sets the keys the message can be found by.
    #[must_use]
    pub fn with_keys<K: AsRef<str>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        let keys: Vec<String> = keys
            .into_iter()
            .map(|key| key.as_ref().to_owned())
            .collect();
        self.properties.set(names::KEYS, keys.join(" "));
        self
    }

    /// Sets a property of the application's own. Names that belong to RocketMQ (see [`is_reserved_property`]) are
    /// refused when the message is sent.
    #[must_use]
    pub fn with_property(mut self, name: &str, value: impl Into<String>) -> Self {
        self.properties.set(name, value);
        self
    }

    /// Says what the message belongs to: messages with one ordering key stay in order if they go to one queue
    /// ([`super::Producer::send_ordered`] sees to that).
    #[must_use]
    pub fn with_order_key(mut self, key: &str) -> Self {
        self.properties.set(names::SHARDING_KEY, key);
        self
    }

    /// Delivers the message later: level 1 is 1 s, 18 is 2 h, as `messageDelayLevel` of the broker says.
    #[must_use]
    pub fn with_delay_level(mut self, level: u32) -> Self {
        self.properties.set(names::DELAY, level.to_string());
        self
    }

    /// Delivers the message at a time, in milliseconds since 1970. Needs a 5.x broker.
    #[must_use]
    pub fn with_delivery_time_ms(mut self, at_ms: i64) -> Self {
        self.properties
            .set(names::TIMER_DELIVER_MS, at_ms.to_string());
        self
    }

    /// A half message is not asked about before it is so old, whatever the broker's `transactionTimeOut` is.
    #[must_use]
    pub fn with_check_immunity(mut self, age: std::time::Duration) -> Self {
        let seconds = age.as_secs().to_string();
        self.properties
            .set(names::CHECK_IMMUNITY_TIME_IN_SECONDS, seconds);
        self
    }

    /// Sets the number that is free for the application.
    #[must_use]
    pub fn with_flag(mut self, flag: i32) -> Self {
        self.flag = flag;
        self
    }

    /// A message once more, for `topic`: its body, flag, keys, tag and properties of the application's own. What RocketMQ
    /// noted on the way is left out, and with it how often it was retried. The ids it had are kept as properties: that of
    /// its first record (`ORIGIN_MESSAGE_ID`, as retries keep it), and the one it was taken from (`DLQ_ORIGIN_…`).
    ///
    /// Only [`super::Producer::send_again`] sends such a message.
    pub fn again(received: &Received, topic: impl Into<String>) -> Self {
        let mut properties = PropertiesBuf::new();
        for (name, value) in received.user_properties() {
            properties.set(name, value);
        }
        for name in [names::KEYS, names::TAGS] {
            if let Some(value) = received.properties.get(name) {
                properties.set(name, value);
            }
        }
        properties.set(names::ORIGIN_MESSAGE_ID, received.origin_message_id());
        properties.set(names::DLQ_ORIGIN_TOPIC, received.queue.topic.as_str());
        properties.set(names::DLQ_ORIGIN_MESSAGE_ID, received.message_id());
        let topic = topic.into();
        // Who reads a retry topic shows the application this name instead.
        if TopicName::stored(&topic).is_retry()
            && let Some(origin) = received.origin_topic()
        {
            properties.set(names::RETRY_TOPIC, origin);
        }
        Self {
            topic,
            body: received.body().clone(),
            flag: received.flag,
            properties,
        }
    }

    /// Sets another body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The tag.
    pub fn tag(&self) -> Option<&str> {
        self.properties.get(names::TAGS)
    }

    /// The keys, separated by blanks.
    pub fn keys(&self) -> Option<&str> {
        self.properties.get(names::KEYS)
    }

    /// The properties the application set.
    pub fn user_properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.properties
            .iter()
            .filter(|(name, _)| !is_reserved_property(name))
    }

    /// Whether the broker will hold the message back.
    pub(crate) fn is_delayed(&self) -> bool {
        [
            names::DELAY,
            names::TIMER_DELAY_SEC,
            names::TIMER_DELAY_MS,
            names::TIMER_DELIVER_MS,
        ]
        .iter()
        .any(|name| self.properties.get(name).is_some())
    }

    /// The checks Apache's `Validators.checkMessage` makes, before anything leaves the process.
    pub(crate) fn check(&self, body_max: usize) -> Result<TopicName, ClientError> {
        let topic = TopicName::parse(&self.topic)?;
        self.check_parts(body_max)?;
        Ok(topic)
    }

    /// The same for everything but the topic.
    pub(crate) fn check_parts(&self, body_max: usize) -> Result<(), ClientError> {
        let refuse = |reason: String| Err(ClientError::Message { reason });
        if self.body.is_empty() {
            return refuse("the body is empty, which brokers refuse".into());
        }
        if self.body.len() > body_max {
            return refuse(format!(
                "the body has {} bytes, the limit is {body_max}",
                self.body.len()
            ));
        }
        for (name, value) in self.properties.iter() {
            if name.is_empty() || value.is_empty() {
                return refuse(format!("property {name:?} has no name or no value"));
            }
        }
        Ok(())
    }

    /// Refuses properties an application may not set; this client sets some of them itself, after this check.
    pub(crate) fn check_property_names(&self) -> Result<(), ClientError> {
        const BY_METHOD: &[&str] = &[
            names::TAGS,
            names::KEYS,
            names::DELAY,
            names::TIMER_DELIVER_MS,
            names::CHECK_IMMUNITY_TIME_IN_SECONDS,
        ];
        match self
            .properties
            .iter()
            .find(|(name, _)| is_reserved_property(name) && !BY_METHOD.contains(name))
        {
            Some((name, _)) => Err(ClientError::Message {
                reason: format!("property {name} belongs to RocketMQ and cannot be set"),
            }),
            None => Ok(()),
        }
    }
}

/// A message as a broker stores it.
#[derive(Clone, Debug)]
pub struct Received {
    /// Where it lies. For a message of a retry topic this is the retry queue; see [`Received::topic`].
    pub queue: MessageQueue,
    /// Its number in the queue.
    pub queue_offset: i64,
    /// Its position in the broker's commit log.
    pub physical_offset: i64,
    /// Bytes the record takes in the log.
    pub store_size: u32,
    /// Free for the application.
    pub flag: i32,
    /// See [`crate::message::sysflag`].
    pub sys_flag: i32,
    /// When the producer made it, ms since 1970.
    pub born_timestamp: i64,
    /// Where the producer was.
    pub born_host: SocketAddr,
    /// When the broker stored it, ms since 1970.
    pub store_timestamp: i64,
    /// The broker.
    pub store_host: SocketAddr,
    /// How often consumers gave it back.
    pub reconsume_times: i32,
    /// CRC-32 of the stored body.
    pub body_crc: u32,
    /// The properties, reserved ones included.
    pub properties: PropertiesBuf,
    pub(super) body: Bytes,
}

impl Received {
    /// Copies the head of a record; the body stays a slice of `block` unless it has to be unpacked.
    pub(crate) fn from_record(record: &Record<'_>, block: &Bytes, broker: &BrokerName) -> Self {
        let body = if sysflag::compression(record.sys_flag).is_some()
            || record.sys_flag & sysflag::COMPRESSED != 0
        {
            match compress::decompress(record.sys_flag, record.body, UNPACKED_MAX) {
                Ok(plain) => plain.into(),
                Err(error) => {
                    // One such message must not keep its consumers from everything behind it.
                    tracing::warn!(
                        "the message at log offset {} of {broker} is handed out packed: {error}",
                        record.physical_offset
                    );
                    block.slice_ref(record.body)
                }
            }
        } else {
            block.slice_ref(record.body)
        };
        Self {
            queue: MessageQueue {
                topic: TopicName::stored(record.topic),
                broker: broker.clone(),
                queue: QueueId::from_wire(record.queue_id).unwrap_or_default(),
            },
            queue_offset: record.queue_offset,
            physical_offset: record.physical_offset,
            store_size: record.size,
            flag: record.flag,
            sys_flag: record.sys_flag,
            born_timestamp: record.born_timestamp,
            born_host: record.born_host,
            store_timestamp: record.store_timestamp,
            store_host: record.store_host,
            reconsume_times: record.reconsume_times,
            body_crc: record.body_crc,
            properties: record.properties.into(),
            body,
        }
    }

    /// The topic the application knows: for a retried message the one it was first sent to.
    pub fn topic(&self) -> &str {
        if self.queue.topic.is_retry() {
            self.properties
                .get(names::RETRY_TOPIC)
                .unwrap_or(self.queue.topic.as_str())
        } else {
            self.queue.topic.as_str()
        }
    }

    /// For a retried message and a dead letter: the topic it was first sent to.
    pub fn origin_topic(&self) -> Option<&str> {
        self.properties.get(names::RETRY_TOPIC)
    }

    /// The id that names the first record of a message that was retried; for any other that of its own.
    pub fn origin_message_id(&self) -> String {
        self.properties
            .get(names::ORIGIN_MESSAGE_ID)
            .map_or_else(|| self.offset_message_id(), str::to_owned)
    }

    /// For a message that was sent again from a dead-letter topic: the id it had there.
    pub fn replay_of(&self) -> Option<&str> {
        self.properties.get(names::DLQ_ORIGIN_MESSAGE_ID)
    }

    /// The body, unpacked; as it is stored if that cannot be done.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The tag.
    pub fn tag(&self) -> Option<&str> {
        self.properties.get(names::TAGS)
    }

    /// The keys, separated by blanks as stored.
    pub fn keys(&self) -> Option<&str> {
        self.properties.get(names::KEYS)
    }

    /// The producer's id of the message; if it gave none, the broker's.
    pub fn message_id(&self) -> String {
        self.properties
            .get(names::UNIQ_KEY)
            .map_or_else(|| self.offset_message_id(), str::to_owned)
    }

    /// The id that names the place where this record lies.
    pub fn offset_message_id(&self) -> String {
        let offset = crate::base::LogOffset::from_wire(self.physical_offset).unwrap_or_default();
        crate::message::offset_message_id(self.store_host, offset)
    }

    /// The properties the application set.
    pub fn user_properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.properties
            .iter()
            .filter(|(name, _)| !is_reserved_property(name))
    }
}

/// Cuts a pull answer's body into messages.
///
/// An unreadable record makes the whole block unreadable, because nothing says where the next one begins.
pub(crate) fn decode_block(block: &Bytes, broker: &BrokerName) -> Result<Vec<Received>, String> {
    let mut messages = Vec::new();
    let mut rest: &[u8] = block;
    while !rest.is_empty() {
        let record = Record::parse(rest).map_err(|error| error.to_string())?;
        messages.push(Received::from_record(&record, block, broker));
        rest = rest.get(record.size as usize..).unwrap_or_default();
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Draft;

    fn stored(topic: &str, body: &[u8], sys_flag: i32, properties: &PropertiesBuf) -> Vec<u8> {
        let host: SocketAddr = "127.0.0.1:10911".parse().unwrap();
        let mut out = Vec::new();
        Draft {
            topic,
            queue_id: 3,
            flag: 0,
            sys_flag,
            born_timestamp: 1,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body,
            properties: &properties.to_wire(),
        }
        .encode_into(&mut out)
        .unwrap();
        out
    }

    #[test]
    fn a_block_is_cut_into_messages() {
        let mut properties = PropertiesBuf::new();
        properties.set(names::TAGS, "a");
        properties.set("mine", "1");
        properties.set(names::UNIQ_KEY, "ID");
        let mut block = stored("T", b"one", 0, &properties);
        let packed = compress::compress(sysflag::Compression::Zlib, &[b'x'; 9000]);
        block.extend(stored(
            "T",
            &packed,
            sysflag::COMPRESSED | 0x300,
            &PropertiesBuf::new(),
        ));
        let messages = decode_block(&block.into(), &BrokerName::stored("b")).unwrap();
        assert_eq!(messages.len(), 2);
        assert_eq!(messages[0].body().as_ref(), b"one");
        assert_eq!(messages[0].message_id(), "ID");
        assert_eq!(
            messages[0].user_properties().collect::<Vec<_>>(),
            [("mine", "1")]
        );
        assert_eq!(messages[1].body().len(), 9000);
        assert_eq!(messages[1].message_id().len(), 32);
    }

    #[test]
    fn a_body_that_cannot_be_unpacked_holds_nothing_up() {
        let none = PropertiesBuf::new();
        let mut block = Vec::new();
        for method in [0x100, 0x200, 0x300, 0x700] {
            block.extend(stored("T", b"junk", sysflag::COMPRESSED | method, &none));
        }
        block.extend(stored("T", b"plain", 0, &none));
        let messages = decode_block(&block.into(), &BrokerName::stored("b")).unwrap();
        let bodies: Vec<_> = messages.iter().map(|one| one.body().as_ref()).collect();
        assert_eq!(bodies, [&b"junk"[..], b"junk", b"junk", b"junk", b"plain"]);
    }

    #[test]
    fn a_torn_block_is_an_error() {
        let mut block = stored("T", b"one", 0, &PropertiesBuf::new());
        block.truncate(block.len() - 1);
        assert!(decode_block(&block.into(), &BrokerName::stored("b")).is_err());
    }

    #[test]
    fn retried_messages_show_their_first_topic() {
        let mut properties = PropertiesBuf::new();
        properties.set(names::RETRY_TOPIC, "orders");
        let block = stored("%RETRY%g", b"x", 0, &properties);
        let messages = decode_block(&block.into(), &BrokerName::stored("b")).unwrap();
        assert_eq!(messages[0].topic(), "orders");
    }

    #[test]
    fn what_brokers_refuse_is_refused_here() {
        let max = 4 << 20;
        assert!(Message::new("T", "x").check(max).is_ok());
        assert!(Message::new("T", "").check(max).is_err());
        assert!(Message::new("a b", "x").check(max).is_err());
        assert!(Message::new("T", vec![0; 5]).check(4).is_err());
        let forged = Message::new("T", "x").with_property(names::UNIQ_KEY, "1");
        assert!(forged.check_property_names().is_err());
        let fine = Message::new("T", "x").with_tag("a").with_property("b", "c");
        assert!(fine.check_property_names().is_ok());
    }
}
