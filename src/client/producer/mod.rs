//! Sending: the choice of queue, and what happens when a broker says no.
//!
//! Queues are taken in turn. A send that fails in a way another broker might not is tried again at once, on another
//! broker if there is one, until it succeeded, the tries are used up or the time is. A message may therefore be
//! stored twice: the connection can break between the two. While the brokers of a topic have no master, as between the
//! end of one and the election of the next, a send waits for one within its time. What is never tried again: a message that must stay in
//! its queue (an ordering key, a queue the caller chose), a one-way message, and a send whose answer did not come.
//! Absent on purpose: transactions; they are in [`super::transaction`].

mod fault;
mod options;
mod parcel;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::base::{BrokerName, GroupName, QueueId, TopicName};
use crate::message::{java_string_hash, names, sysflag};
use crate::protocol::codes::RequestCode;
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
use fault::Faults;
pub use options::{ProducerOptions, SendReceipt, SendStatus};
use parcel::Parcel;

/// How long a send that finds no master waits before it looks again. Of all who wait one asks the name server, and only
/// when the route is old enough to be doubted.
const MASTER_PAUSE: Duration = Duration::from_millis(50);

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
    faults: Faults,
    /// Keeps heartbeats going. `None` for the producer messages are sent back with: brokers are not told about it.
    client: Option<Client>,
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
            faults: Faults::default(),
            client,
        }))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
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

    /// Sends a message made by [`Message::again`], the only kind that may carry ids of another message.
    pub async fn send_again(&self, message: Message) -> Result<SendReceipt, ClientError> {
        self.send_checked(message).await
    }

    /// The same for messages whose reserved properties are meant.
    pub(crate) async fn send_checked(&self, message: Message) -> Result<SendReceipt, ClientError> {
        self.send_as(message, RequestCode::SEND_MESSAGE_V2).await
    }

    /// The same with another request.
    pub(crate) async fn send_as(
        &self,
        message: Message,
        code: RequestCode,
    ) -> Result<SendReceipt, ClientError> {
        let (mut parcel, id) = self.parcel(message)?;
        parcel.code = code;
        let (queue, reply) = self.deliver(&parcel).await?;
        Self::receipt(queue, &reply, id)
    }

    /// Sends a message to one queue, without going elsewhere, or trying again, when that fails.
    pub async fn send_to_queue(
        &self,
        message: Message,
        queue: &MessageQueue,
    ) -> Result<SendReceipt, ClientError> {
        message.check_property_names()?;
        let (parcel, id) = self.parcel(message)?;
        let (queue, reply) = self.deliver_to(&parcel, queue).await?;
        Self::receipt(queue, &reply, id)
    }

    /// Sends a message to the queue that `key` belongs to: messages with one key stay in one order as long as the
    /// topic keeps its queues. Never tried again, since a later message could overtake it.
    pub async fn send_ordered(
        &self,
        message: Message,
        key: &str,
    ) -> Result<SendReceipt, ClientError> {
        let queue = self.queue_for_key(message.topic(), key).await?;
        self.send_to_queue(message.with_order_key(key), &queue)
            .await
    }

    /// The queue that messages with this ordering key go to, by Java's hash of the key
    /// (`SelectMessageQueueByHash`), so that Java producers and this one agree.
    pub async fn queue_for_key(&self, topic: &str, key: &str) -> Result<MessageQueue, ClientError> {
        let mut queues = self.queues(topic).await?;
        let at = Self::nth_for_key(queues.len(), key);
        Ok(queues.swap_remove(at))
    }

    /// The queues of a topic that can be written, of which there is at least one, in their order. Waits for a master no
    /// longer than a send does.
    pub async fn queues(&self, topic: &str) -> Result<Vec<MessageQueue>, ClientError> {
        let deadline = Instant::now() + self.0.options.send_timeout;
        let (_, queues) = self.writable(&TopicName::parse(topic)?, deadline).await?;
        Ok(queues)
    }

    /// Which of so many queues an ordering key belongs to; see [`Producer::queue_for_key`].
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn nth_for_key(queues: usize, key: &str) -> usize {
        let count = i64::try_from(queues).unwrap_or(i64::MAX);
        let at = (i64::from(java_string_hash(key)) % count).unsigned_abs();
        usize::try_from(at).unwrap_or_default()
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
        let deadline = Instant::now() + self.0.options.send_timeout;
        let (route, queues) = self.writable(&parcel.topic, deadline).await?;
        let queue = self.choose(&queues, None);
        let address = master(&route, queue)?;
        let request = self.send_command(&parcel, queue);
        let left = deadline.saturating_duration_since(Instant::now());
        self.0.shared.net.oneway(&address, request, left).await
    }

    /// Sends messages of one topic as one request. They are stored next to each other in one queue, all of them or
    /// none; the receipts are in their order. Delayed messages and retry topics cannot travel in a batch.
    pub async fn send_batch(&self, messages: &[Message]) -> Result<Vec<SendReceipt>, ClientError> {
        let (parcel, ids) = Parcel::batch(&self.0.shared, &self.0.options, messages)?;
        let (queue, reply) = self.deliver(&parcel).await?;
        Self::receipts(queue, &reply, ids)
    }

    /// The same for one queue, with the rules of [`Producer::send_to_queue`].
    pub async fn send_batch_to_queue(
        &self,
        messages: &[Message],
        queue: &MessageQueue,
    ) -> Result<Vec<SendReceipt>, ClientError> {
        let (parcel, ids) = Parcel::batch(&self.0.shared, &self.0.options, messages)?;
        let (queue, reply) = self.deliver_to(&parcel, queue).await?;
        Self::receipts(queue, &reply, ids)
    }

    fn parcel(&self, message: Message) -> Result<(Parcel, String), ClientError> {
        Parcel::single(&self.0.shared, &self.0.options, message)
    }

    /// Tries queue after queue.
    async fn deliver(&self, parcel: &Parcel) -> Result<(MessageQueue, Reply), ClientError> {
        let deadline = Instant::now() + self.0.options.send_timeout;
        let mut failed_at: Option<BrokerName> = None;
        let mut tries_left = self.0.options.retries;
        loop {
            let (route, queues) = self.writable(&parcel.topic, deadline).await?;
            let queue = self.choose(&queues, failed_at.as_ref());
            let elsewhere = queues.iter().any(|other| other.broker != queue.broker);
            let left = deadline.saturating_duration_since(Instant::now());
            // A broker that lets nobody connect must leave time to try another one.
            let connect_limit = if elsewhere && tries_left > 0 {
                left / 2
            } else {
                left
            };
            let error = match self
                .attempt(&route, queue, parcel, left, connect_limit)
                .await
            {
                Ok(reply) => return Ok((queue.clone(), reply)),
                Err(error) => error,
            };
            if error.is_unreachable() {
                self.0.shared.routes.doubt(&parcel.topic);
            }
            if !error.is_retried_elsewhere() || tries_left == 0 || Instant::now() >= deadline {
                return Err(error);
            }
            tracing::debug!(%queue, "send is tried again: {error}");
            tries_left -= 1;
            failed_at = Some(queue.broker.clone());
            if !elsewhere {
                self.look_again(&parcel.topic, deadline).await;
            }
        }
    }

    /// Delivers to this queue or fails.
    async fn deliver_to(
        &self,
        parcel: &Parcel,
        queue: &MessageQueue,
    ) -> Result<(MessageQueue, Reply), ClientError> {
        let limit = self.0.options.send_timeout;
        let route = self.0.shared.routes.for_sending(&parcel.topic).await?;
        let deadline = Instant::now() + limit;
        match self.attempt(&route, queue, parcel, limit, limit).await {
            Ok(reply) => Ok((queue.clone(), reply)),
            Err(error) => {
                // The queue may have another master by now, whom the next message then finds.
                if error.is_retried_elsewhere() {
                    self.look_again(&parcel.topic, deadline).await;
                } else if error.is_unreachable() {
                    self.0.shared.routes.doubt(&parcel.topic);
                }
                Err(error)
            }
        }
    }

    /// There is no other broker to go to, as far as is known. Perhaps there is by now.
    async fn look_again(&self, topic: &TopicName, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        if let Ok(Err(error)) = timeout(left, self.0.shared.routes.refresh(topic)).await {
            tracing::debug!("route not refreshed: {error}");
        }
    }

    /// The route and its writable queues, of which there is at least one. A topic whose brokers have no master gets one
    /// soon, most likely; one that may not be written stays so.
    async fn writable(
        &self,
        topic: &TopicName,
        deadline: Instant,
    ) -> Result<(Arc<Route>, Vec<MessageQueue>), ClientError> {
        let routes = &self.0.shared.routes;
        let mut route = routes.for_sending(topic).await?;
        if route.write_queues().is_empty() {
            route = routes.look_up(topic).await?;
        }
        loop {
            let queues = route.write_queues();
            if !queues.is_empty() {
                return Ok((route, queues));
            }
            let lost = route.lacks_master();
            if !lost || Instant::now() + MASTER_PAUSE >= deadline {
                let topic = topic.to_string();
                return Err(if lost {
                    ClientError::NoMaster { topic }
                } else {
                    let reason = "none of its queues can be written";
                    ClientError::NoRoute { topic, reason }
                });
            }
            sleep(MASTER_PAUSE).await;
            routes.doubt(topic);
            route = routes.for_sending(topic).await?;
        }
    }

    fn turn(&self) -> usize {
        self.0.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// The next queue in turn, on another broker than the one that failed if there is one; with fault isolation on
    /// one that is not spared, if there is one.
    fn choose<'q>(
        &self,
        queues: &'q [MessageQueue],
        failed_at: Option<&BrokerName>,
    ) -> &'q MessageQueue {
        let start = self.turn();
        let in_turn = |step: usize| &queues[start.wrapping_add(step) % queues.len()];
        let others = || {
            (0..queues.len())
                .map(in_turn)
                .filter(|queue| failed_at != Some(&queue.broker))
        };
        let available = || {
            let now = Instant::now();
            others().find(|queue| self.0.faults.is_available(&queue.broker, now))
        };
        let preferred = self.0.options.latency_fault.then(available).flatten();
        preferred
            .or_else(|| others().next())
            .unwrap_or_else(|| in_turn(0))
    }

    /// One try. Connecting may take `connect_limit` of the `limit`.
    async fn attempt(
        &self,
        route: &Route,
        queue: &MessageQueue,
        parcel: &Parcel,
        limit: Duration,
        connect_limit: Duration,
    ) -> Result<Reply, ClientError> {
        let began = Instant::now();
        let net = &self.0.shared.net;
        let address = master(route, queue)?;
        let request = self.send_command(parcel, queue);
        let answered = match net.channel(&address, connect_limit).await {
            Ok(_open) => {
                let left = limit.saturating_sub(began.elapsed());
                net.call(&address, request, left).await
            }
            Err(error) => Err(error),
        };
        let result = answered.and_then(|reply| {
            if let Some(status) = SendStatus::of(reply.code) {
                if status == SendStatus::FlushSlaveTimeout {
                    // A master whose slaves are silent may have been replaced by one of them.
                    self.0.shared.routes.doubt(&parcel.topic);
                }
                Ok(reply)
            } else {
                Err(refused(&address, "SEND_MESSAGE", &reply))
            }
        });
        if self.0.options.latency_fault {
            let (took, failed) = (began.elapsed(), result.is_err());
            let faults = &self.0.faults;
            faults.note(&queue.broker, took, failed, Instant::now());
        }
        result
    }

    fn send_command(&self, parcel: &Parcel, queue: &MessageQueue) -> Command {
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

impl Producer {
    fn receipts(
        queue: MessageQueue,
        reply: &Reply,
        ids: Vec<String>,
    ) -> Result<Vec<SendReceipt>, ClientError> {
        let first = Self::receipt(queue, reply, String::new())?;
        let mut places = first.offset_message_id.split(',');
        Ok((0..)
            .zip(ids)
            .map(|(nth, message_id)| SendReceipt {
                status: first.status,
                message_id,
                offset_message_id: places.next().unwrap_or_default().to_owned(),
                queue: first.queue.clone(),
                queue_offset: first.queue_offset + nth,
            })
            .collect())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.client.is_some() && self.shared.members.remove_producer(&self.group) {
            self.shared.leave_in_passing(Some(&self.group), None);
        }
    }
}

pub(super) fn master(route: &Route, queue: &MessageQueue) -> Result<String, ClientError> {
    route
        .broker(&queue.broker)
        .and_then(|broker| broker.master())
        .map(str::to_owned)
        .ok_or_else(|| ClientError::NoMaster {
            topic: queue.topic.to_string(),
        })
}
