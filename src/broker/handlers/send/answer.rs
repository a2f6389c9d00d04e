//! The answers to stored messages.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;

use crate::broker::options::BrokerOptions;
use crate::broker::replication::ReplicationMode;
use crate::message::id::push_offset_message_id;
use crate::protocol::codes::ResponseCode;
use crate::protocol::command::{Command, Envelope, Serialization};
use crate::protocol::header::send::SendMessageResponseHeader;
use crate::remoting::Channel;
use crate::store::Appended;

struct One {
    opaque: i32,
    serialization: Serialization,
    queue_id: i32,
    queue_offset: i64,
    message_id: Range<usize>,
    unique: Range<usize>,
    recall: Range<usize>,
    inner_batch: bool,
}

/// Stored messages whose producers are to be told.
pub(crate) struct Sent {
    options: Arc<BrokerOptions>,
    texts: String,
    answers: Vec<One>,
    /// Commits of transactions: their answers say success or not, and nothing else.
    commits: Vec<(i32, Serialization)>,
}

impl Sent {
    pub(super) fn new(options: &Arc<BrokerOptions>) -> Self {
        Self {
            options: Arc::clone(options),
            texts: String::new(),
            answers: Vec::new(),
            commits: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many requests are answered.
    pub(crate) fn len(&self) -> usize {
        self.answers.len() + self.commits.len()
    }

    /// Adds the commit of a transaction.
    pub(super) fn add_commit(&mut self, opaque: i32, serialization: Serialization) {
        self.commits.push((opaque, serialization));
    }

    /// Adds a request; its records follow.
    pub(super) fn add(
        &mut self,
        opaque: i32,
        serialization: Serialization,
        queue_id: i32,
        unique: &str,
    ) -> Records<'_> {
        let start = self.texts.len();
        self.texts.push_str(unique);
        let end = self.texts.len();
        Records {
            sent: self,
            one: One {
                opaque,
                serialization,
                queue_id,
                queue_offset: 0,
                message_id: end..end,
                unique: start..end,
                recall: 0..0,
                inner_batch: false,
            },
        }
    }
}

/// A request that still needs to know where its records are.
pub(super) struct Records<'a> {
    sent: &'a mut Sent,
    one: One,
}

impl Records<'_> {
    /// Whether the answer is to say that a batch was stored as one record.
    pub(super) fn inner_batch(mut self, inner_batch: bool) -> Self {
        self.one.inner_batch = inner_batch;
        self
    }

    /// The handle to take the message back, if it waits for its time.
    pub(super) fn recall(mut self, handle: &str) -> Self {
        if !handle.is_empty() {
            let texts = &mut self.sent.texts;
            let start = texts.len();
            texts.push_str(handle);
            self.one.recall = start..texts.len();
            self.one.message_id = texts.len()..texts.len();
        }
        self
    }

    /// The records in order: the message id lists them all, the queue offset is the first one's.
    pub(super) fn records(
        mut self,
        store_host: SocketAddr,
        records: impl Iterator<Item = Appended>,
    ) {
        for (number, record) in records.enumerate() {
            if number == 0 {
                self.one.queue_offset = record.queue_offset.to_wire();
            } else {
                self.sent.texts.push(',');
            }
            push_offset_message_id(&mut self.sent.texts, store_host, record.log_offset);
        }
        self.one.message_id.end = self.sent.texts.len();
        self.sent.answers.push(self.one);
    }
}

/// Writes the answers of a whole batch in one go.
pub(crate) fn write_answers(channel: &Channel, sent: &Sent, code: ResponseCode) {
    let text = |place: &Range<usize>| sent.texts.get(place.clone()).unwrap_or_default();
    let options = &sent.options;
    // A commit that is stored counts with Apache also when the disk or the slaves took too long.
    let commit_code = match options.replication {
        ReplicationMode::Classic => ResponseCode::SUCCESS,
        ReplicationMode::Majority => code,
    };
    let encode = |out: &mut BytesMut| {
        for one in &sent.answers {
            let unique = text(&one.unique);
            let header = SendMessageResponseHeader {
                msg_id: text(&one.message_id),
                queue_id: one.queue_id,
                queue_offset: one.queue_offset,
                transaction_id: Some(unique).filter(|unique| !unique.is_empty()),
                recall_handle: Some(text(&one.recall)).filter(|handle| !handle.is_empty()),
                batch_uniq_id: Some(unique).filter(|_| one.inner_batch),
                msg_region: Some(&options.region_id),
                trace_on: Some(if options.trace_on { "true" } else { "false" }),
            };
            Envelope::response(one.serialization, one.opaque, code).encode(&header, 0, out);
        }
        for &(opaque, serialization) in &sent.commits {
            Command::response(commit_code).encode(serialization, opaque, out);
        }
    };
    channel.send_with(encode, []);
}
