//! Requests on their way.

use std::future::poll_fn;
use std::task::Poll;

use tokio::task::JoinSet;

use super::plan::Request;
use crate::client::{ClientError, Message, MessageQueue, Producer, SendReceipt};

/// The bytes of bodies under way at a time; more would only wait in memory.
const BYTES_MAX: usize = 8 << 20;

/// What became of one message.
#[derive(Debug)]
pub(super) enum Fate {
    Stored(SendReceipt),
    /// Handed to a connection; nobody says what became of it.
    Sent,
    Failed(ClientError),
    /// Not tried, because one before it in this request failed and order matters.
    Behind,
}

/// A request that has come back.
#[derive(Debug)]
pub(super) struct Back {
    pub(super) slots: Vec<u64>,
    pub(super) fates: Vec<Fate>,
    pub(super) queue: Option<MessageQueue>,
    bytes: usize,
}

/// Requests under way.
#[derive(Debug)]
pub(super) struct Carrier {
    producer: Producer,
    oneway: bool,
    window: usize,
    /// The first request goes alone: it finds the route, makes the topic and opens the connection.
    primed: bool,
    under_way: JoinSet<Back>,
    /// Requests that had come back before they were waited for.
    early: Vec<Back>,
    bytes: usize,
}

impl Carrier {
    pub(super) fn new(producer: Producer, oneway: bool, window: u32) -> Self {
        Self {
            producer,
            oneway,
            window: usize::try_from(window).unwrap_or(usize::MAX),
            primed: false,
            under_way: JoinSet::new(),
            early: Vec::new(),
            bytes: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty() && self.early.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        if !self.primed {
            return self.is_empty();
        }
        self.under_way.len() < self.window && (self.bytes < BYTES_MAX || self.is_empty())
    }

    /// Sends a request. It has reached its connection when this returns, unless something was in its way: so requests
    /// reach a broker in the order they are sent.
    pub(super) async fn send(&mut self, request: Request) {
        self.bytes += request.bytes;
        let (producer, oneway) = (self.producer.clone(), self.oneway);
        let mut carrying = Box::pin(carry(producer, oneway, request));
        match poll_fn(|cx| Poll::Ready(carrying.as_mut().poll(cx))).await {
            Poll::Ready(back) => self.early.push(back),
            Poll::Pending => {
                self.under_way.spawn(carrying);
            }
        }
    }

    /// The next request that comes back. Never, if none is under way. Nothing is lost when the future is dropped.
    pub(super) async fn back(&mut self) -> Back {
        let back = match self.early.pop() {
            Some(back) => back,
            None => match self.under_way.join_next().await {
                Some(Ok(back)) => back,
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
                None => std::future::pending().await,
            },
        };
        self.primed = true;
        self.bytes -= back.bytes;
        back
    }
}

async fn carry(producer: Producer, oneway: bool, request: Request) -> Back {
    let Request {
        slots,
        messages,
        queue,
        bytes,
    } = request;
    let fates = if oneway {
        without_answer(&producer, messages).await
    } else if messages.len() == 1 {
        one_by_one(&producer, messages, queue.as_ref()).await
    } else {
        together(&producer, messages, queue.as_ref()).await
    };
    Back {
        slots,
        fates,
        queue,
        bytes,
    }
}

async fn without_answer(producer: &Producer, messages: Vec<Message>) -> Vec<Fate> {
    let mut fates = Vec::with_capacity(messages.len());
    for message in messages {
        fates.push(match producer.send_oneway(message).await {
            Ok(()) => Fate::Sent,
            Err(error) => Fate::Failed(error),
        });
    }
    fates
}

async fn one_by_one(
    producer: &Producer,
    messages: Vec<Message>,
    queue: Option<&MessageQueue>,
) -> Vec<Fate> {
    let mut fates = Vec::with_capacity(messages.len());
    let mut failed = false;
    for message in messages {
        if failed && queue.is_some() {
            fates.push(Fate::Behind);
            continue;
        }
        let sent = match queue {
            Some(queue) => producer.send_to_queue(message, queue).await,
            None => producer.send(message).await,
        };
        failed |= sent.is_err();
        fates.push(sent.map_or_else(Fate::Failed, Fate::Stored));
    }
    fates
}

/// All of them are stored, or none. If none is because of one of them, each goes alone to find out which.
async fn together(
    producer: &Producer,
    messages: Vec<Message>,
    queue: Option<&MessageQueue>,
) -> Vec<Fate> {
    let sent = match queue {
        Some(queue) => producer.send_batch_to_queue(&messages, queue).await,
        None => producer.send_batch(&messages).await,
    };
    match sent {
        Ok(receipts) => receipts.into_iter().map(Fate::Stored).collect(),
        Err(error) if concerns_one_message(&error) => one_by_one(producer, messages, queue).await,
        Err(error) => {
            let fates = messages.iter().map(|_| Fate::Failed(error.clone()));
            fates.collect()
        }
    }
}

/// Whether another message may fare better.
pub(super) fn concerns_one_message(error: &ClientError) -> bool {
    match error {
        ClientError::Message { .. } => true,
        // Refused, but not for the topic, the permission or the state of the broker.
        ClientError::Refused { .. } => !error.is_retried_elsewhere(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_failures_are_about_one_message() {
        let refused = |code| ClientError::Refused {
            address: "h:1".into(),
            what: "SEND_MESSAGE",
            code,
            remark: String::new(),
        };
        assert!(concerns_one_message(&refused(13)));
        assert!(!concerns_one_message(&refused(16)));
        assert!(!concerns_one_message(&ClientError::Closed));
    }
}
