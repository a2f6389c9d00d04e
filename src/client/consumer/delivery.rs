//! One message in the hands of the application, and what becomes of it.

use std::ops::Deref;
use std::sync::Arc;

use crate::message::names;
use crate::protocol::codes::RequestCode;
use crate::protocol::command::Command;
use crate::protocol::header::send::ConsumerSendMsgBackRequestHeader;

use super::super::error::ClientError;
use super::super::inbound::DirectAnswer;
use super::super::message::{Message, Received};
use super::super::producer::Producer;
use super::core::{Buffered, Core, Owned};
use super::flow::Permit;

/// A message that was handed out, and the duty to say what became of it.
///
/// [`Delivery::ack`] finishes it, [`Delivery::retry`] gives it back to the group. A delivery that is dropped without
/// either is handed out again by the same consumer: its offset is not passed before it is finished.
///
/// Dereferences to the message.
#[derive(Debug)]
pub struct Delivery {
    message: Option<Received>,
    origin: Option<Origin>,
    permit: Option<Permit>,
}

#[derive(Debug)]
enum Origin {
    Queue(Arc<Core>, Arc<Owned>),
    /// An administrator had the message sent to this very member and waits for the outcome.
    Direct(DirectAnswer),
}

impl Delivery {
    pub(super) fn new(core: &Arc<Core>, buffered: Buffered) -> Self {
        match buffered {
            Buffered::FromQueue {
                owned,
                message,
                permit,
            } => Self {
                message: Some(message),
                origin: Some(Origin::Queue(Arc::clone(core), owned)),
                permit: Some(permit),
            },
            Buffered::Direct { message, answer } => Self {
                message: Some(message),
                origin: Some(Origin::Direct(answer)),
                permit: None,
            },
        }
    }

    /// Finishes the message. Its offset is committed with the next commit, once everything before it in the queue
    /// is finished as well.
    pub fn ack(mut self) {
        match self.origin.take() {
            Some(Origin::Queue(core, owned)) => {
                owned.finish(self.queue_offset);
                core.turn.notify_one();
            }
            Some(Origin::Direct(answer)) => answer.done(true),
            None => {}
        }
    }

    /// Gives the message back, to be delivered again to some member of the group after the delay the broker has for
    /// the number of attempts (10 s, 30 s, 1 m, … 2 h), or to become a dead letter after the last one.
    ///
    /// If this fails the message stays with this consumer and is handed out again.
    pub async fn retry(self) -> Result<(), ClientError> {
        self.retry_at_level(0).await
    }

    /// The same with a delay level of your own; 0 leaves it to the broker, -1 makes it a dead letter at once.
    pub async fn retry_at_level(mut self, delay_level: i32) -> Result<(), ClientError> {
        match &self.origin {
            Some(Origin::Queue(core, owned)) => {
                send_back(core, &self, delay_level).await?;
                owned.finish(self.queue_offset);
                core.turn.notify_one();
                self.origin = None;
            }
            Some(Origin::Direct(_)) => {
                if let Some(Origin::Direct(answer)) = self.origin.take() {
                    answer.done(false);
                }
            }
            None => {}
        }
        Ok(())
    }
}

impl Deref for Delivery {
    type Target = Received;

    fn deref(&self) -> &Received {
        self.message
            .as_ref()
            .expect("the message is taken out only when the delivery is dropped")
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let (Some(message), Some(origin)) = (self.message.take(), self.origin.take()) else {
            return;
        };
        match origin {
            Origin::Queue(core, owned) => {
                if let Some(permit) = self.permit.take() {
                    core.hand_out(Buffered::FromQueue {
                        owned: Arc::clone(&owned),
                        message,
                        permit,
                    });
                    owned.put_back();
                    core.turn.notify_one();
                }
            }
            Origin::Direct(answer) => answer.done(false),
        }
    }
}

/// Asks the broker that holds the message to retry it; if that fails, sends a copy to the group's retry topic.
async fn send_back(
    core: &Arc<Core>,
    message: &Received,
    delay_level: i32,
) -> Result<(), ClientError> {
    if core.options().broadcast {
        // Nobody would read it there: members that broadcast have no retry topic. Apache's clients drop it as well.
        return Ok(());
    }
    let Err(error) = ask_broker(core, message, delay_level).await else {
        return Ok(());
    };
    tracing::warn!(
        queue = %message.queue, offset = message.queue_offset,
        "the broker cannot take a message back, a copy goes to the retry topic: {error}"
    );
    let producer = Producer::internal(Arc::clone(core.shared()));
    let copy = retry_copy(core, message);
    producer.send_checked(copy).await.map(drop)
}

async fn ask_broker(core: &Core, message: &Received, delay_level: i32) -> Result<(), ClientError> {
    let shared = core.shared();
    let address = shared.read_address(&message.queue, 0).await?;
    let id = message.message_id();
    let header = ConsumerSendMsgBackRequestHeader {
        offset: message.physical_offset,
        group: core.group().as_str(),
        delay_level,
        origin_msg_id: Some(&id),
        origin_topic: Some(message.topic()),
        unit_mode: false,
        max_reconsume_times: Some(core.max_reconsume_times()),
        broker_name: Some(message.queue.broker.as_str()),
    };
    let request = Command::request(RequestCode::CONSUMER_SEND_MSG_BACK, &header);
    shared
        .net
        .call_ok(&address, request, shared.timeout())
        .await
        .map(drop)
}

/// The message as Apache's consumer sends it to the retry topic itself.
fn retry_copy(core: &Core, message: &Received) -> Message {
    let mut copy = Message::new(core.retry_topic().as_str(), message.body().clone());
    copy.flag = message.flag;
    copy.properties = message.properties.clone();
    let properties = &mut copy.properties;
    properties.remove(names::TRAN_MSG);
    // A new record needs an id of its own only if it had none.
    if properties.get(names::ORIGIN_MESSAGE_ID).is_none() {
        properties.set(names::ORIGIN_MESSAGE_ID, message.message_id());
    }
    properties.set(names::RETRY_TOPIC, message.topic());
    let attempt = message.reconsume_times.saturating_add(1);
    properties.set(names::RECONSUME_TIME, attempt.to_string());
    properties.set(
        names::MAX_RECONSUME_TIMES,
        core.max_reconsume_times().to_string(),
    );
    let level = message.reconsume_times.saturating_add(3);
    properties.set(names::DELAY, level.to_string());
    copy
}
