//! Transactions: messages nobody sees until their producer says so, and the answers to brokers that ask.
//!
//! [`TransactionProducer::send_half`] stores a half message, [`Half::commit`] and [`Half::rollback`] end it. When neither
//! arrives (the process ended, the connection broke, the caller chose neither) the broker asks some living member of the
//! producer group, and the checker given to [`Client::transaction_producer`] answers for it. A half message that was
//! stored twice because the answer to the first try was lost is asked about as well: the checker has to know both.
//!
//! Two things differ from Apache's `TransactionMQProducer`. Commit and rollback wait for the broker's answer, also those
//! the checker decides ([`Answered`]), so that the caller learns whether the message is out. And a message that is asked
//! about again while its checker is still at work is not checked twice at a time: the one answer names the copy of the
//! last question.
//!
//! Absent on purpose: delayed transactional messages, of which Apache's producer silently drops the delay.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};

use crate::base::{GroupName, TopicName};
use crate::message::sysflag;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::header::send::EndTransactionRequestHeader;
use crate::remoting::Channel;

use super::Client;
use super::error::ClientError;
use super::heartbeat;
use super::message::{Message, Received};
use super::net::call_ok_on;
use super::producer::{Producer, ProducerOptions, SendReceipt, SendStatus};

/// Questions that wait for the checker; what does not fit is asked again later (`checkRequestHoldMax` of Apache's).
const QUESTIONS_MAX: usize = 2_000;

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The message is delivered.
    Commit,
    /// The message is never delivered.
    Rollback,
    /// Not known yet: the broker will ask again.
    Unknown,
}

/// What became of the answer to a broker's question.
#[derive(Debug)]
pub struct Answered {
    /// The id of the message that was asked about ([`Received::message_id`]).
    pub message_id: String,
    /// What the checker said.
    pub decision: Decision,
    /// Whether the broker has carried it out. After an error the outcome is open, and the broker asks again if the
    /// transaction has not ended. Nothing is sent for [`Decision::Unknown`], which is always `Ok`.
    pub result: Result<(), ClientError>,
}

impl Decision {
    fn to_wire(self) -> Option<i32> {
        match self {
            Self::Commit => Some(sysflag::TRANSACTION_COMMIT),
            Self::Rollback => Some(sysflag::TRANSACTION_ROLLBACK),
            Self::Unknown => None,
        }
    }
}

/// How a [`TransactionProducer`] sends and answers.
#[derive(Clone, Debug)]
pub struct TransactionOptions {
    /// How half messages are sent.
    pub producer: ProducerOptions,
    /// Topics whose brokers may ask from the start, before this producer has sent anything: a producer that takes over
    /// from one that ended names the topics of that one.
    pub topics: Vec<String>,
    /// How many questions are answered at a time.
    pub checks_max: usize,
    /// Is told what became of every answer.
    pub answered: Option<mpsc::UnboundedSender<Answered>>,
}

impl Default for TransactionOptions {
    fn default() -> Self {
        Self {
            producer: ProducerOptions::default(),
            topics: Vec::new(),
            checks_max: 8,
            answered: None,
        }
    }
}

type Answering = Pin<Box<dyn Future<Output = Decision> + Send>>;
type Checker = Arc<dyn Fn(Received) -> Answering + Send + Sync>;

/// Sends transactional messages as a member of a producer group, and answers for the group when brokers ask. Cheap to
/// clone; the last clone leaves the group.
///
/// ```no_run
/// # async fn example() -> Result<(), rmq::client::ClientError> {
/// use rmq::client::{Client, ClientOptions, Decision, Message, TransactionOptions};
///
/// let client = Client::connect(["127.0.0.1:9876"], ClientOptions::default()).await?;
/// let checker = |message: rmq::client::Received| async move {
///     // Look the transaction up by something the message carries.
///     if message.keys() == Some("order-42") { Decision::Commit } else { Decision::Unknown }
/// };
/// let producer = client
///     .transaction_producer("billing", TransactionOptions::default(), checker)
///     .await?;
/// let half = producer.send_half(Message::new("orders", "hello").with_keys(["order-42"])).await?;
/// // The local transaction comes here.
/// half.commit().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TransactionProducer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    producer: Producer,
    client: Client,
    /// Topics whose brokers have been told about this producer.
    told: Mutex<BTreeSet<TopicName>>,
    /// Answers questions; ends with the producer.
    _answers: JoinSet<()>,
}

impl TransactionProducer {
    pub(super) async fn join<A>(
        client: Client,
        group: &str,
        options: TransactionOptions,
        checker: impl Fn(Received) -> A + Send + Sync + 'static,
    ) -> Result<Self, ClientError>
    where
        A: Future<Output = Decision> + Send + 'static,
    {
        let group = GroupName::parse(group)?;
        let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
        client.shared().members.add_checker(&group, questions)?;
        let desk = Desk {
            checker: Arc::new(move |message| Box::pin(checker(message))),
            checks_max: options.checks_max.max(1),
            group: group.clone(),
            working: JoinSet::new(),
            open: HashMap::new(),
            answering: JoinSet::new(),
            answered: options.answered,
            limit: client.shared().timeout(),
        };
        let mut answers = JoinSet::new();
        answers.spawn(desk.run(asked));
        let this = Self(Arc::new(Inner {
            producer: Producer::join(client.clone(), group, options.producer),
            client,
            told: Mutex::default(),
            _answers: answers,
        }));
        for topic in &options.topics {
            let topic = TopicName::parse(topic)?;
            this.client().routes.for_sending(&topic).await?;
            this.0.told.lock().insert(topic);
        }
        heartbeat::beat(this.client()).await;
        Ok(this)
    }

    fn client(&self) -> &Arc<super::shared::Shared> {
        self.0.client.shared()
    }

    /// The group.
    pub fn group(&self) -> &GroupName {
        self.0.producer.group()
    }

    /// Stores a half message: on the broker's disk as safely as a normal one, but seen by nobody until it is committed.
    ///
    /// If the broker stored it less safely than it is set up to (a slave or the disk did not answer in time), the message
    /// is rolled back and this fails, as with Apache's producer: a commit could not be kept.
    pub async fn send_half(&self, message: Message) -> Result<Half, ClientError> {
        if message.is_delayed() {
            return Err(ClientError::Message {
                reason: "a transactional message cannot be delayed".to_owned(),
            });
        }
        let (receipt, transaction_id) = self.0.producer.send_half(message).await?;
        let half = Half {
            producer: self.clone(),
            transaction_id,
            receipt,
        };
        let topic = &half.receipt.queue.topic;
        if self.0.told.lock().insert(topic.clone()) {
            // Its brokers can ask from now on, not from the next regular heartbeat on.
            heartbeat::beat(self.client()).await;
        }
        let status = half.receipt.status;
        if status == SendStatus::Ok {
            return Ok(half);
        }
        let refused = ClientError::Refused {
            address: half.receipt.queue.broker.to_string(),
            what: "a half message",
            code: code_of(status).0,
            remark: format!(
                "it is rolled back because it is stored with {}",
                status.name()
            ),
        };
        // If that fails the broker asks, and the checker does not know the transaction.
        if let Err(error) = half.rollback().await {
            tracing::warn!("an unsafe half message is not rolled back: {error}");
        }
        Err(refused)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let members = &self.client.shared().members;
        members.remove_checker(self.producer.group());
    }
}

fn code_of(status: SendStatus) -> ResponseCode {
    match status {
        SendStatus::Ok => ResponseCode::SUCCESS,
        SendStatus::FlushDiskTimeout => ResponseCode::FLUSH_DISK_TIMEOUT,
        SendStatus::FlushSlaveTimeout => ResponseCode::FLUSH_SLAVE_TIMEOUT,
        SendStatus::SlaveNotAvailable => ResponseCode::SLAVE_NOT_AVAILABLE,
    }
}

/// A half message that is stored. Dropping it decides nothing: the broker asks the checker later.
#[derive(Debug)]
#[must_use = "a half message that is neither committed nor rolled back is asked about later"]
pub struct Half {
    producer: TransactionProducer,
    transaction_id: String,
    receipt: SendReceipt,
}

impl Half {
    /// Where the half message is stored. The queue is the one it goes to when it is committed; the offset is that of the
    /// half queue.
    pub fn receipt(&self) -> &SendReceipt {
        &self.receipt
    }

    /// The id this client gave the message.
    pub fn message_id(&self) -> &str {
        &self.receipt.message_id
    }

    /// The id of the transaction; the checker finds it in the property `__transactionId__`.
    pub fn transaction_id(&self) -> &str {
        &self.transaction_id
    }

    /// Delivers the message. Once this returns `Ok` the broker has stored it.
    ///
    /// After an error the outcome is open; the broker asks the checker if the message is not committed.
    pub async fn commit(self) -> Result<(), ClientError> {
        self.end(sysflag::TRANSACTION_COMMIT).await
    }

    /// Makes sure that the message is never delivered; see [`Half::commit`] about errors.
    pub async fn rollback(self) -> Result<(), ClientError> {
        self.end(sysflag::TRANSACTION_ROLLBACK).await
    }

    async fn end(self, outcome: i32) -> Result<(), ClientError> {
        let shared = self.producer.client();
        let address = shared.master_address(&self.receipt.queue).await?;
        let place = Place {
            number: self.receipt.queue_offset,
            log_offset: self
                .receipt
                .log_offset()
                .ok_or_else(|| ClientError::Unreadable {
                    address: address.clone(),
                    what: "SEND_MESSAGE",
                    reason: format!(
                        "{:?} names no place in a log",
                        self.receipt.offset_message_id
                    ),
                })?,
            message_id: self.receipt.message_id,
            transaction_id: self.transaction_id,
        };
        let header = place.header(self.producer.group(), outcome, false);
        let request = Command::request(RequestCode::END_TRANSACTION, &header);
        let answer = shared.net.call_ok(&address, request, shared.timeout());
        answer.await.map(drop)
    }
}

/// Which half message is meant.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Its number in the half queue.
    pub(crate) number: i64,
    pub(crate) log_offset: i64,
    pub(crate) message_id: String,
    pub(crate) transaction_id: String,
}

impl Place {
    fn header<'p>(
        &'p self,
        group: &'p GroupName,
        outcome: i32,
        from_check: bool,
    ) -> EndTransactionRequestHeader<'p> {
        EndTransactionRequestHeader {
            topic: None,
            producer_group: group.as_str(),
            tran_state_table_offset: self.number,
            commit_log_offset: self.log_offset,
            commit_or_rollback: outcome,
            from_transaction_check: from_check,
            msg_id: &self.message_id,
            transaction_id: Some(&self.transaction_id),
            broker_name: None,
        }
    }
}

/// A broker asks how a transaction ended.
#[derive(Debug)]
pub(crate) struct Question {
    /// Where the answer goes.
    pub(crate) channel: Arc<Channel>,
    pub(crate) place: Place,
    pub(crate) message: Received,
}

/// Answers the questions about one producer group.
struct Desk {
    checker: Checker,
    checks_max: usize,
    group: GroupName,
    working: JoinSet<Decision>,
    /// What the checker is working on: by task, and where the answer goes.
    open: HashMap<Id, (Arc<Channel>, Place)>,
    /// Answers the broker has not confirmed yet.
    answering: JoinSet<Answered>,
    answered: Option<mpsc::UnboundedSender<Answered>>,
    limit: Duration,
}

impl Desk {
    async fn run(mut self, mut asked: mpsc::Receiver<Question>) {
        loop {
            tokio::select! {
                biased;
                Some(checked) = self.working.join_next_with_id() => self.answer(checked),
                Some(Ok(answered)) = self.answering.join_next() => self.tell(answered),
                question = asked.recv(), if self.has_room() => match question {
                    Some(question) => self.take(question),
                    None => return,
                },
            }
        }
    }

    fn has_room(&self) -> bool {
        self.working.len() + self.answering.len() < self.checks_max
    }

    fn take(&mut self, question: Question) {
        let Question {
            channel,
            place,
            message,
        } = question;
        let same = |(_, open): &&mut (Arc<Channel>, Place)| {
            !place.transaction_id.is_empty() && open.transaction_id == place.transaction_id
        };
        if let Some(open) = self.open.values_mut().find(same) {
            *open = (channel, place);
            return;
        }
        let checker = Arc::clone(&self.checker);
        let task = self.working.spawn(async move { checker(message).await });
        self.open.insert(task.id(), (channel, place));
    }

    fn answer(&mut self, checked: Result<(Id, Decision), JoinError>) {
        let (id, decision) = match checked {
            Ok(checked) => checked,
            Err(error) => {
                self.open.remove(&error.id());
                tracing::error!(group = %self.group, "a transaction checker failed: {error}");
                return;
            }
        };
        let Some((channel, place)) = self.open.remove(&id) else {
            return;
        };
        let mut answered = Answered {
            message_id: place.message_id.clone(),
            decision,
            result: Ok(()),
        };
        let Some(outcome) = decision.to_wire() else {
            return self.tell(answered);
        };
        let header = place.header(&self.group, outcome, true);
        let request = Command::request(RequestCode::END_TRANSACTION, &header);
        // Sent now, whatever happens to the task.
        let reply = call_ok_on(&channel, request, self.limit);
        self.answering.spawn(async move {
            answered.result = reply.await.map(drop);
            answered
        });
    }

    fn tell(&self, answered: Answered) {
        if let Err(error) = &answered.result {
            tracing::warn!(
                group = %self.group,
                id = answered.message_id,
                "the answer about a transaction is not confirmed, and is asked for again if it has not arrived: {error}"
            );
        }
        if let Some(listener) = &self.answered {
            // Who does not listen any more does not want to know.
            listener.send(answered).ok();
        }
    }
}
