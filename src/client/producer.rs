//! Sending: the choice of queue, and what happens when a broker says no.
//!
//! Queues are taken in turn. A send that fails in a way another broker might not is tried again, on another broker
//! if there is one, until it succeeded, the tries are used up or the time is. A message may therefore be stored
//! twice: the answer of the first try can get lost. Absent on purpose: request-reply; transactions
//! are in [`super::transaction`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::base::{BrokerName, GroupName, QueueId, TopicName};
use crate::message::id::parse_offset_message_id;
use crate::message::{batch, compress, names, sysflag};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::{Command, Reply};
use crate::protocol::header::send::{SendMessageRequestHeaderV2, SendMessageResponseHeader};

use super::Client;
use super::error::ClientError;
use super::message::Message;
use super::net::{refused, unreadable};
use super::queue::MessageQueue;
use super::route::Route;
use super::routes::NEW_TOPIC_QUEUES;
use super::shared::Shared;

/// How a [`Producer`] sends.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// The longest a send may take, all tries together.
    pub send_timeout: Duration,
    /// How often a failed send is tried again on another broker.
    pub retries: u32,
    /// Bodies of this size and more are packed with zlib; `None`: never.
    pub compress_from_bytes: Option<usize>,
    /// The largest body, as the broker's `maxMessageSize`.
    pub body_bytes_max: usize,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            send_timeout: Duration::from_secs(3),
            retries: 2,
            compress_from_bytes: Some(4096),
            body_bytes_max: 4 << 20,
        }
    }
}

/// zlib's level in Apache's clients (`rocketmq.message.compressLevel`).
const ZLIB_LEVEL: u32 = 5;
/// `sysFlag` of a body packed with zlib, the type spelled out as clients since 5.0 do.
const ZLIB_FLAG: i32 = sysflag::COMPRESSED | 0x300;

/// How safely a message is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendStatus {
    /// As safely as the broker is set up to.
    Ok,
    /// Stored in memory; the disk did not answer in time.
    FlushDiskTimeout,
    /// Stored on the master; the slave did not answer in time.
    FlushSlaveTimeout,
    /// Stored on the master; there is no slave.
    SlaveNotAvailable,
}

impl SendStatus {
    fn of(code: ResponseCode) -> Option<Self> {
        match code {
            ResponseCode::SUCCESS => Some(Self::Ok),
            ResponseCode::FLUSH_DISK_TIMEOUT => Some(Self::FlushDiskTimeout),
            ResponseCode::FLUSH_SLAVE_TIMEOUT => Some(Self::FlushSlaveTimeout),
            ResponseCode::SLAVE_NOT_AVAILABLE => Some(Self::SlaveNotAvailable),
            _ => None,
        }
    }

    /// Apache's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "SEND_OK",
            Self::FlushDiskTimeout => "FLUSH_DISK_TIMEOUT",
            Self::FlushSlaveTimeout => "FLUSH_SLAVE_TIMEOUT",
            Self::SlaveNotAvailable => "SLAVE_NOT_AVAILABLE",
        }
    }
}

/// Where a message was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendReceipt {
    /// How safely.
    pub status: SendStatus,
    /// The id this client gave it (`UNIQ_KEY`).
    pub message_id: String,
    /// The id that names its place in the broker's log.
    pub offset_message_id: String,
    /// The queue.
    pub queue: MessageQueue,
    /// Its number in the queue. For a delayed message: in the queue where it waits.
    pub queue_offset: i64,
}

impl SendReceipt {
    /// The message's place in the broker's log; `None` if the broker named none.
    pub(super) fn log_offset(&self) -> Option<i64> {
        let (_, at) = parse_offset_message_id(&self.offset_message_id)?;
        Some(at.to_wire())
    }
}

/// Sends messages as a member of a producer group. Cheap to clone; the last clone leaves the group.
///
/// ```no_run
/// # async fn example() -> Result<(), rmq::client::ClientError> {
/// use rmq::client::{Client, ClientOptions, Message, ProducerOptions};
///
/// let client = Client::connect(["127.0.0.1:9876"], ClientOptions::default()).await?;
/// let producer = client.producer("billing", ProducerOptions::default())?;
/// let receipt = producer.send(Message::new("orders", "hello").with_tag("paid")).await?;
/// println!("{} @{}", receipt.queue, receipt.queue_offset);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Producer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    group: GroupName,
    options: ProducerOptions,
    turn: AtomicUsize,
    /// Keeps heartbeats going. `None` for the producer messages are sent back with: brokers are not told about it.
    client: Option<Client>,
}

/// A request body that is ready to be sent to any queue of its topic.
struct Parcel {
    topic: TopicName,
    code: RequestCode,
    flag: i32,
    sys_flag: i32,
    properties: String,
    body: Bytes,
    reconsume_times: i32,
    max_reconsume_times: Option<i32>,
}

impl Producer {
    pub(crate) fn join(client: Client, group: GroupName, options: ProducerOptions) -> Self {
        let shared = Arc::clone(client.shared());
        shared.members.add_producer(&group);
        Self::new(shared, group, options, Some(client))
    }

    /// The producer consumers give failed messages back with, when the broker that holds them cannot.
    pub(crate) fn internal(shared: Arc<Shared>) -> Self {
        let group = GroupName::stored("CLIENT_INNER_PRODUCER");
        Self::new(shared, group, ProducerOptions::default(), None)
    }

    fn new(
        shared: Arc<Shared>,
        group: GroupName,
        options: ProducerOptions,
        client: Option<Client>,
    ) -> Self {
        // Many short-lived producers that all began at the first queue would leave the others empty.
        let turn = usize::try_from(shared.clock.now_ms()).unwrap_or_default();
        Self(Arc::new(Inner {
            shared,
            group,
            options,
            turn: AtomicUsize::new(turn),
            client,
        }))
    }

    /// The group.
    pub fn group(&self) -> &GroupName {
        &self.0.group
    }

    /// Sends a message to the next queue in turn and waits until it is stored.
    pub async fn send(&self, message: Message) -> Result<SendReceipt, ClientError> {
        message.check_property_names()?;
        self.send_checked(message).await
    }

    /// The same for messages whose reserved properties are meant.
    pub(crate) async fn send_checked(&self, message: Message) -> Result<SendReceipt, ClientError> {
        let (parcel, id) = self.parcel(message)?;
        let (queue, reply) = self.deliver(&parcel).await?;
        Self::receipt(queue, &reply, id)
    }

    /// Sends a message to one queue, without going elsewhere when that fails.
    pub async fn send_to_queue(
        &self,
        message: Message,
        broker: &BrokerName,
        queue: QueueId,
    ) -> Result<SendReceipt, ClientError> {
        message.check_property_names()?;
        let (parcel, id) = self.parcel(message)?;
        let queue = MessageQueue {
            topic: parcel.topic.clone(),
            broker: broker.clone(),
            queue,
        };
        let route = self.0.shared.routes.for_sending(&parcel.topic).await?;
        let reply = self
            .attempt(&route, &queue, &parcel, self.0.options.send_timeout)
            .await?;
        Self::receipt(queue, &reply, id)
    }

    /// Stores a half message; [`super::TransactionProducer`] ends it. Also returns the id of the transaction.
    pub(super) async fn send_half(
        &self,
        mut message: Message,
    ) -> Result<(SendReceipt, String), ClientError> {
        message.check_property_names()?;
        message.properties.set(names::TRAN_MSG, "true");
        message.properties.set(names::PGROUP, self.0.group.as_str());
        let (mut parcel, id) = self.parcel(message)?;
        parcel.sys_flag |= sysflag::TRANSACTION_PREPARED;
        let (queue, reply) = self.deliver(&parcel).await?;
        let header: SendMessageResponseHeader<'_> = reply
            .header()
            .map_err(|error| unreadable(queue.broker.as_str(), RequestCode::SEND_MESSAGE, error))?;
        let transaction_id = header.transaction_id.unwrap_or(&id).to_owned();
        // The broker answers with the half queue's number; the message goes to the queue that was chosen.
        let stored = Self::receipt(queue.clone(), &reply, id)?;
        Ok((SendReceipt { queue, ..stored }, transaction_id))
    }

    /// Sends a message and does not wait. That it was handed to a connection is all that `Ok` means.
    pub async fn send_oneway(&self, message: Message) -> Result<(), ClientError> {
        message.check_property_names()?;
        let (parcel, _) = self.parcel(message)?;
        let (route, queues) = self.writable(&parcel.topic).await?;
        let queue = &queues[self.turn() % queues.len()];
        let address = master(&route, queue)?;
        let request = self.request(&parcel, queue);
        let timeout = self.0.options.send_timeout;
        self.0.shared.net.oneway(&address, request, timeout).await
    }

    /// Sends messages of one topic as one request. They are stored next to each other in one queue; the receipts are
    /// in their order. Delayed messages and retry topics cannot travel in a batch.
    pub async fn send_batch(
        &self,
        messages: Vec<Message>,
    ) -> Result<Vec<SendReceipt>, ClientError> {
        let (parcel, ids) = self.batch_parcel(messages)?;
        let (queue, reply) = self.deliver(&parcel).await?;
        let first = Self::receipt(queue, &reply, String::new())?;
        let mut places = first.offset_message_id.split(',');
        Ok((0..)
            .zip(ids)
            .map(|(nth, message_id)| SendReceipt {
                message_id,
                offset_message_id: places.next().unwrap_or_default().to_owned(),
                queue_offset: first.queue_offset + nth,
                ..first.clone()
            })
            .collect())
    }

    fn parcel(&self, mut message: Message) -> Result<(Parcel, String), ClientError> {
        let options = &self.0.options;
        let topic = message.check(options.body_bytes_max)?;
        let id = self.set_standard_properties(&mut message);
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
            .map(|_| compress::compress_zlib(&message.body, ZLIB_LEVEL));
        let parcel = Parcel {
            topic,
            code: RequestCode::SEND_MESSAGE_V2,
            flag: message.flag,
            sys_flag: if packed.is_some() { ZLIB_FLAG } else { 0 },
            properties: wire_text(&message)?,
            body: packed.map_or(message.body, Bytes::from),
            reconsume_times: reconsume_times.unwrap_or_default(),
            max_reconsume_times,
        };
        Ok((parcel, id))
    }

    fn batch_parcel(&self, messages: Vec<Message>) -> Result<(Parcel, Vec<String>), ClientError> {
        let refuse = |reason: &str| ClientError::Message {
            reason: reason.to_owned(),
        };
        let options = &self.0.options;
        let mut body = Vec::new();
        let mut ids = Vec::with_capacity(messages.len());
        let mut topic: Option<TopicName> = None;
        for mut message in messages {
            message.check_property_names()?;
            let this = message.check(options.body_bytes_max)?;
            if message.is_delayed() || this.is_retry() {
                return Err(refuse(
                    "a delayed message or one for a retry topic cannot travel in a batch",
                ));
            }
            if topic.get_or_insert_with(|| this.clone()) != &this {
                return Err(refuse("the messages of a batch must have one topic"));
            }
            ids.push(self.set_standard_properties(&mut message));
            let properties = message.properties.to_wire();
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
        self.set_standard_properties(&mut envelope);
        let parcel = Parcel {
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

    /// Gives the message its id, unless it has one, and says that the sender waits.
    fn set_standard_properties(&self, message: &mut Message) -> String {
        let properties = &mut message.properties;
        if properties.get(names::WAIT).is_none() {
            properties.set(names::WAIT, "true");
        }
        if let Some(id) = properties.get(names::UNIQ_KEY) {
            return id.to_owned();
        }
        let id = self.0.shared.unique_id();
        properties.set(names::UNIQ_KEY, id.as_str());
        id
    }

    /// Tries queue after queue.
    async fn deliver(&self, parcel: &Parcel) -> Result<(MessageQueue, Reply), ClientError> {
        let deadline = Instant::now() + self.0.options.send_timeout;
        let mut failed_at: Option<BrokerName> = None;
        let mut tries_left = self.0.options.retries;
        loop {
            let (route, queues) = self.writable(&parcel.topic).await?;
            let queue = self.choose(&queues, failed_at.as_ref());
            let left = deadline.saturating_duration_since(Instant::now());
            let error = match self.attempt(&route, queue, parcel, left).await {
                Ok(reply) => return Ok((queue.clone(), reply)),
                Err(error) => error,
            };
            if !error.is_retried_elsewhere() || tries_left == 0 || Instant::now() >= deadline {
                return Err(error);
            }
            tracing::debug!(%queue, "send is tried again: {error}");
            tries_left -= 1;
            failed_at = Some(queue.broker.clone());
            if let Err(error) = self.0.shared.routes.refresh(&parcel.topic).await {
                tracing::debug!("route not refreshed: {error}");
            }
        }
    }

    /// The route and its writable queues, of which there is at least one.
    async fn writable(
        &self,
        topic: &TopicName,
    ) -> Result<(Arc<Route>, Vec<MessageQueue>), ClientError> {
        let routes = &self.0.shared.routes;
        let route = routes.for_sending(topic).await?;
        let queues = route.write_queues();
        if !queues.is_empty() {
            return Ok((route, queues));
        }
        let route = routes.refresh(topic).await?;
        let queues = route.write_queues();
        if queues.is_empty() {
            return Err(ClientError::NoRoute {
                topic: topic.to_string(),
                reason: "none of its queues can be written",
            });
        }
        Ok((route, queues))
    }

    fn turn(&self) -> usize {
        self.0.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// The next queue in turn, on another broker than the one that failed if there is one.
    fn choose<'q>(
        &self,
        queues: &'q [MessageQueue],
        failed_at: Option<&BrokerName>,
    ) -> &'q MessageQueue {
        let start = self.turn();
        let in_turn = |step: usize| &queues[start.wrapping_add(step) % queues.len()];
        (0..queues.len())
            .map(in_turn)
            .find(|queue| failed_at != Some(&queue.broker))
            .unwrap_or_else(|| in_turn(0))
    }

    async fn attempt(
        &self,
        route: &Route,
        queue: &MessageQueue,
        parcel: &Parcel,
        limit: Duration,
    ) -> Result<Reply, ClientError> {
        let address = master(route, queue)?;
        let request = self.request(parcel, queue);
        let reply = self.0.shared.net.call(&address, request, limit).await?;
        if SendStatus::of(reply.code).is_some() {
            Ok(reply)
        } else {
            Err(refused(&address, "SEND_MESSAGE", &reply))
        }
    }

    fn request(&self, parcel: &Parcel, queue: &MessageQueue) -> Command {
        let header = SendMessageRequestHeaderV2 {
            producer_group: self.0.group.as_str(),
            topic: parcel.topic.as_str(),
            default_topic: names::AUTO_CREATE_TOPIC,
            default_topic_queue_nums: NEW_TOPIC_QUEUES.cast_signed(),
            queue_id: queue.queue.to_wire(),
            sys_flag: parcel.sys_flag,
            born_timestamp: self.0.shared.clock.now_ms(),
            flag: parcel.flag,
            properties: Some(&parcel.properties),
            reconsume_times: Some(parcel.reconsume_times),
            unit_mode: Some(false),
            max_reconsume_times: parcel.max_reconsume_times,
            batch: Some(parcel.code == RequestCode::SEND_BATCH_MESSAGE),
            broker_name: Some(queue.broker.as_str()),
        };
        Command::request(parcel.code, &header).with_body(parcel.body.clone())
    }

    fn receipt(
        queue: MessageQueue,
        reply: &Reply,
        message_id: String,
    ) -> Result<SendReceipt, ClientError> {
        let header: SendMessageResponseHeader<'_> = reply
            .header()
            .map_err(|error| unreadable(queue.broker.as_str(), RequestCode::SEND_MESSAGE, error))?;
        Ok(SendReceipt {
            status: SendStatus::of(reply.code).unwrap_or(SendStatus::Ok),
            message_id,
            offset_message_id: header.msg_id.to_owned(),
            // The broker chooses for a message that asked for any queue, and for delayed ones.
            queue: MessageQueue {
                queue: QueueId::from_wire(header.queue_id).unwrap_or(queue.queue),
                ..queue
            },
            queue_offset: header.queue_offset,
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.client.is_some() && self.shared.members.remove_producer(&self.group) {
            self.shared.leave_in_passing(Some(&self.group), None);
        }
    }
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

pub(super) fn master(route: &Route, queue: &MessageQueue) -> Result<String, ClientError> {
    route
        .broker(&queue.broker)
        .and_then(|broker| broker.master())
        .map(str::to_owned)
        .ok_or_else(|| ClientError::NoRoute {
            topic: queue.topic.to_string(),
            reason: "its broker has no master",
        })
}
