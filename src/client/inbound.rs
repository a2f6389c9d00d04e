//! Requests that brokers send to this client on its own connections.
//!
//! Answered or acted on: 40 (members changed), 220 (reset offsets), 221 (report offsets), 307 (running info), 309
//! (consume one message), 326 (a reply) and 39 (check a transaction; the checker answers later by a request of its own).
//! Anything else is answered with "not supported".

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::{BrokerName, QueueId, TopicName};
use crate::message::{Record, names};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::{Command, Head, Serialization};
use crate::protocol::fastjson;
use crate::protocol::frame::Frame;
use crate::protocol::header::HeaderError;
use crate::protocol::header::send::CheckTransactionStateRequestHeader;
use crate::remoting::{Channel, Service};
use crate::sys::Clock;

use super::consumer::{Buffered, Core};
use super::members::Members;
use super::message::Received;
use super::queue::MessageQueue;
use super::reports;
use super::request;
use super::transaction::{Place, Question};

/// The service behind every connection of a client.
#[derive(Debug)]
pub(crate) struct Inbound {
    members: Arc<Members>,
    clock: Clock,
}

impl Inbound {
    pub(crate) fn new(members: Arc<Members>, clock: Clock) -> Self {
        Self { members, clock }
    }

    fn handle(&self, channel: &Arc<Channel>, frame: &Frame) -> Result<(), Problem> {
        let (head, body) = frame.parse().map_err(|error| Problem(error.to_string()))?;
        let asker = Asker::of(channel, &head);
        let answer = match head.request_code() {
            RequestCode::NOTIFY_CONSUMER_IDS_CHANGED => {
                if let Some(core) = field(&head, "consumerGroup").and_then(|group| self.core(group))
                {
                    core.rebalance_soon();
                }
                None
            }
            RequestCode::RESET_CONSUMER_CLIENT_OFFSET => {
                self.reset(&head, &body)?;
                None
            }
            RequestCode::GET_CONSUMER_STATUS_FROM_CLIENT => Some(self.status(&head)?),
            RequestCode::GET_CONSUMER_RUNNING_INFO => Some(self.running_info(&head)?),
            RequestCode::CONSUME_MESSAGE_DIRECTLY => self.consume_directly(&head, &body, &asker)?,
            RequestCode::CHECK_TRANSACTION_STATE => {
                self.check_transaction(channel, &head, &body)?;
                None
            }
            RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT => {
                request::arrived(&self.members, &head, &body)?;
                Some(Command::response(ResponseCode::SUCCESS))
            }
            code => {
                tracing::debug!(peer = %channel.peer(), %code, "a request this client does not serve");
                let remark = format!("request type {} not supported", head.code);
                let answer = Command::response(ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
                Some(answer.with_remark(remark))
            }
        };
        if let Some(answer) = answer {
            asker.answer(&answer);
        }
        Ok(())
    }

    fn core(&self, group: &str) -> Option<Arc<Core>> {
        self.members.consumer(group)
    }

    fn reset(&self, head: &Head<'_>, body: &Bytes) -> Result<(), Problem> {
        let group = required(head, "group")?;
        let topic = required(head, "topic")?;
        let Some(core) = self.core(group) else {
            return Ok(());
        };
        let wanted = reports::read_reset(body)?;
        core.reset(
            wanted
                .into_iter()
                .filter(|(queue, _)| queue.topic.as_str() == topic),
        );
        Ok(())
    }

    fn status(&self, head: &Head<'_>) -> Result<Command, Problem> {
        let topic = required(head, "topic")?;
        let Some(core) = self.core(required(head, "group")?) else {
            return Ok(not_a_member());
        };
        let offsets: BTreeMap<MessageQueue, i64> = core
            .views()
            .into_iter()
            .filter(|view| view.queue.topic.as_str() == topic)
            .map(|view| (view.queue, view.commit_point))
            .collect();
        let body = reports::consumer_status(&offsets)?;
        Ok(Command::response(ResponseCode::SUCCESS).with_body(body))
    }

    fn running_info(&self, head: &Head<'_>) -> Result<Command, Problem> {
        let Some(core) = self.core(required(head, "consumerGroup")?) else {
            return Ok(not_a_member());
        };
        let body = reports::running_info(&core)?;
        Ok(Command::response(ResponseCode::SUCCESS).with_body(body))
    }

    /// Hands a broker's question to the checker of the producer group. What finds no room is asked again.
    fn check_transaction(
        &self,
        channel: &Arc<Channel>,
        head: &Head<'_>,
        body: &Bytes,
    ) -> Result<(), Problem> {
        let header: CheckTransactionStateRequestHeader<'_> = head.header()?;
        let record = Record::parse(body).map_err(|error| Problem(error.to_string()))?;
        let broker = BrokerName::stored(header.broker_name.unwrap_or_default());
        let message = Received::from_record(&record, body, &broker);
        let group = message.properties.get(names::PGROUP).unwrap_or_default();
        let Some(questions) = self.members.checker(group) else {
            tracing::warn!(
                peer = %channel.peer(), group,
                "a broker asks about a transaction, and this client has no checker for the group: another member has to answer"
            );
            return Ok(());
        };
        let message_id = message.message_id();
        let place = Place {
            number: header.tran_state_table_offset,
            log_offset: header.commit_log_offset,
            transaction_id: header.transaction_id.unwrap_or(&message_id).to_owned(),
            message_id,
        };
        let question = Question {
            channel: Arc::clone(channel),
            place,
            message,
        };
        if questions.try_send(question).is_err() {
            tracing::debug!("a question about a transaction finds no room");
        }
        Ok(())
    }

    /// Hands the message in the body to the application; the answer follows when it says what became of it.
    fn consume_directly(
        &self,
        head: &Head<'_>,
        body: &Bytes,
        asker: &Asker,
    ) -> Result<Option<Command>, Problem> {
        let Some(core) = self.core(required(head, "consumerGroup")?) else {
            return Ok(Some(not_a_member()));
        };
        let broker = BrokerName::stored(field(head, "brokerName").unwrap_or_default());
        let record = Record::parse(body).map_err(|error| Problem(error.to_string()))?;
        let message = Received::from_record(&record, body, &broker);
        core.hand_out(Buffered::Direct {
            message,
            answer: DirectAnswer {
                asker: Some(asker.clone()),
                clock: self.clock.clone(),
                asked_ms: self.clock.now_ms(),
            },
        });
        Ok(None)
    }
}

impl Service for Inbound {
    type Session = ();

    fn open(&self, _channel: &Arc<Channel>) {}

    fn frames(&self, _session: &mut (), channel: &Arc<Channel>, frames: &mut Vec<Frame>) {
        for frame in frames.drain(..) {
            if let Err(Problem(reason)) = self.handle(channel, &frame) {
                tracing::warn!(peer = %channel.peer(), "a broker's request was not understood: {reason}");
            }
        }
    }

    fn closed(&self, _session: (), _channel: &Arc<Channel>) {}
}

/// Why a request could not be served.
#[derive(Debug)]
pub(crate) struct Problem(pub(crate) String);

impl From<HeaderError> for Problem {
    fn from(error: HeaderError) -> Self {
        Self(error.to_string())
    }
}

impl From<fastjson::BodyError> for Problem {
    fn from(error: fastjson::BodyError) -> Self {
        Self(error.to_string())
    }
}

/// Who waits for an answer, and in which form.
#[derive(Clone, Debug)]
struct Asker {
    channel: Arc<Channel>,
    opaque: i32,
    serialization: Serialization,
    oneway: bool,
}

impl Asker {
    fn of(channel: &Arc<Channel>, head: &Head<'_>) -> Self {
        Self {
            channel: Arc::clone(channel),
            opaque: head.opaque,
            serialization: head.serialization,
            oneway: head.is_oneway(),
        }
    }

    fn answer(&self, answer: &Command) {
        if !self.oneway {
            self.channel.send_with(
                |out| answer.encode_head(self.serialization, self.opaque, out),
                [answer.body.clone()],
            );
        }
    }
}

/// The answer an administrator waits for who had a message sent to this very client.
#[derive(Debug)]
pub(crate) struct DirectAnswer {
    asker: Option<Asker>,
    clock: Clock,
    asked_ms: i64,
}

impl DirectAnswer {
    pub(crate) fn done(mut self, acknowledged: bool) {
        let Some(asker) = self.asker.take() else {
            return;
        };
        let spent_ms = self.clock.now_ms() - self.asked_ms;
        match reports::consume_result(acknowledged, spent_ms) {
            Ok(body) => asker.answer(&Command::response(ResponseCode::SUCCESS).with_body(body)),
            Err(Problem(reason)) => tracing::error!("result not reported: {reason}"),
        }
    }
}

fn not_a_member() -> Command {
    Command::response(ResponseCode::SYSTEM_ERROR)
        .with_remark("this client is not in the consumer group")
}

fn field<'h>(head: &'h Head<'_>, name: &str) -> Option<&'h str> {
    head.fields.get(name)
}

fn required<'h>(head: &'h Head<'_>, name: &'static str) -> Result<&'h str, Problem> {
    field(head, name).ok_or_else(|| HeaderError::Missing(name).into())
}

/// A queue as brokers write it.
pub(crate) fn queue_from(topic: &str, broker: &str, queue: i32) -> Option<MessageQueue> {
    Some(MessageQueue {
        topic: TopicName::stored(topic),
        broker: BrokerName::stored(broker),
        queue: QueueId::from_wire(queue)?,
    })
}
