//! What the tasks of one consumer share: the queues it owns, the buffer, and commits.
//!
//! Lock order: the table of queues, then one queue's progress; neither is held while waiting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::base::{GroupName, TopicName};
use crate::protocol::codes::RequestCode;
use crate::protocol::command::Command;
use crate::protocol::header::pull::UpdateConsumerOffsetRequestHeader;

use super::super::error::ClientError;
use super::super::inbound::DirectAnswer;
use super::super::message::Received;
use super::super::queue::MessageQueue;
use super::super::shared::Shared;
use super::super::subscription::Subscription;
use super::ConsumerOptions;
use super::flow::{Flow, Permit};
use super::progress::Progress;

/// A message on its way from a pull loop to the application.
#[derive(Debug)]
pub(crate) enum Buffered {
    FromQueue {
        owned: Arc<Owned>,
        message: Received,
        permit: Permit,
    },
    Direct {
        message: Received,
        answer: DirectAnswer,
    },
}

/// A queue that fell to this member.
#[derive(Debug)]
pub(crate) struct Owned {
    pub(super) queue: MessageQueue,
    pub(super) progress: Mutex<Progress>,
    /// Set when the queue goes to someone else: what is still buffered is then not for us.
    given_up: AtomicBool,
    pub(super) last_pull_ms: AtomicI64,
    last_ack_ms: AtomicI64,
    /// When the broker last lent the queue to this member; ordered consumers only.
    pub(super) renewed_ms: AtomicI64,
    /// Set once the queue is handed over: its offset is not ours to commit any more.
    released: AtomicBool,
    /// One commit at a time, or an older offset could overtake a newer one.
    committing: tokio::sync::Mutex<()>,
    /// How many messages are in the hands of the application; at most one of an ordered consumer.
    in_hand: AtomicUsize,
    /// Rung when none is any more.
    idle: Notify,
}

impl Owned {
    pub(super) fn new(queue: MessageQueue, start: i64, now_ms: i64) -> Arc<Self> {
        Arc::new(Self {
            queue,
            progress: Mutex::new(Progress::starting_at(start)),
            given_up: AtomicBool::new(false),
            last_pull_ms: AtomicI64::new(now_ms),
            last_ack_ms: AtomicI64::new(now_ms),
            renewed_ms: AtomicI64::new(now_ms),
            released: AtomicBool::new(false),
            committing: tokio::sync::Mutex::default(),
            in_hand: AtomicUsize::new(0),
            idle: Notify::new(),
        })
    }

    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::SeqCst);
    }

    /// Whether the message at `offset` is still ours to handle.
    pub(super) fn wants(&self, offset: i64) -> bool {
        !self.given_up.load(Ordering::Acquire) && self.progress.lock().is_open(offset)
    }

    pub(super) fn finish(&self, offset: i64) {
        self.progress.lock().finished(offset);
        self.put_back();
    }

    /// Nothing more is committed.
    pub(super) fn release(&self) {
        self.released.store(true, Ordering::Release);
    }

    /// Counts the message at `offset` as handed out, if it is still ours.
    pub(super) fn hand_out(&self, offset: i64) -> bool {
        self.in_hand.fetch_add(1, Ordering::SeqCst);
        self.keep_in_hand(offset)
    }

    /// The same if it is the next one and none is in hand.
    pub(super) fn hand_out_next(&self, offset: i64) -> bool {
        let open = self.progress.lock().open_range();
        if open.is_none_or(|(first, _)| first != offset) {
            return false;
        }
        let taken = self
            .in_hand
            .compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst);
        taken.is_ok() && self.keep_in_hand(offset)
    }

    /// Whoever gives the queue up looks at the count after it has said so; one of the two sees the other.
    fn keep_in_hand(&self, offset: i64) -> bool {
        let kept = !self.given_up.load(Ordering::SeqCst) && self.progress.lock().is_open(offset);
        if !kept {
            self.put_back();
        }
        kept
    }

    /// A message that was handed out is finished, or waits for its turn again.
    pub(super) fn put_back(&self) {
        if self.in_hand.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.idle.notify_one();
        }
    }

    /// Waits until no message is in the hands of the application.
    pub(super) async fn until_idle(&self) {
        while self.in_hand.load(Ordering::SeqCst) > 0 {
            self.idle.notified().await;
        }
    }
}

/// A snapshot of one owned queue, for administrators.
#[derive(Debug, Clone)]
pub(crate) struct OwnedView {
    pub(crate) queue: MessageQueue,
    pub(crate) commit_point: i64,
    pub(crate) open_count: usize,
    pub(crate) open_range: Option<(i64, i64)>,
    pub(crate) last_pull_ms: i64,
    pub(crate) last_ack_ms: i64,
}

#[derive(Debug)]
pub(crate) struct Core {
    shared: Arc<Shared>,
    group: GroupName,
    retry_topic: TopicName,
    options: ConsumerOptions,
    /// By topic, the retry topic included.
    subscriptions: BTreeMap<TopicName, Subscription>,
    started_ms: i64,
    /// Asks the balancer to look at once.
    pub(super) wake: Notify,
    pub(super) flow: Arc<Flow>,
    /// Rung when a message of an ordered consumer is finished: the next one may go.
    pub(super) turn: Notify,
    owned: Mutex<BTreeMap<MessageQueue, Arc<Owned>>>,
    /// Set when the consumer leaves: the balancer hands everything over and ends.
    closing: AtomicBool,
    /// Offsets an administrator wants queues to go on from.
    resets: Mutex<Vec<(MessageQueue, i64)>>,
    out: mpsc::UnboundedSender<Buffered>,
}

impl Core {
    pub(super) fn new(
        shared: Arc<Shared>,
        group: GroupName,
        options: ConsumerOptions,
        out: mpsc::UnboundedSender<Buffered>,
    ) -> Self {
        let retry_topic = TopicName::retry_of(&group);
        let mut subscriptions: BTreeMap<TopicName, Subscription> = options
            .subscriptions
            .iter()
            .map(|subscription| (subscription.topic().clone(), subscription.clone()))
            .collect();
        if !options.broadcast {
            subscriptions.insert(
                retry_topic.clone(),
                Subscription::of(retry_topic.clone(), "*"),
            );
        }
        Self {
            flow: Flow::new(options.buffered_messages_max, options.buffered_bytes_max),
            started_ms: shared.clock.now_ms(),
            wake: Notify::new(),
            turn: Notify::new(),
            owned: Mutex::default(),
            closing: AtomicBool::new(false),
            resets: Mutex::default(),
            shared,
            group,
            retry_topic,
            options,
            subscriptions,
            out,
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn group(&self) -> &GroupName {
        &self.group
    }

    pub(crate) fn options(&self) -> &ConsumerOptions {
        &self.options
    }

    pub(crate) fn retry_topic(&self) -> &TopicName {
        &self.retry_topic
    }

    pub(crate) fn max_reconsume_times(&self) -> i32 {
        i32::try_from(self.options.retries_max).unwrap_or(i32::MAX)
    }

    pub(crate) fn subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.values()
    }

    pub(crate) fn subscription(&self, topic: &TopicName) -> Option<&Subscription> {
        self.subscriptions.get(topic)
    }

    /// The version of every subscription: they do not change while the consumer lives.
    pub(crate) fn started_ms(&self) -> i64 {
        self.started_ms
    }

    /// The group's members may have changed: share out the queues again, now.
    pub(crate) fn rebalance_soon(&self) {
        self.wake.notify_one();
    }

    /// Lets the balancer hand everything over and end.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Lets queues go on from other offsets, as soon as the balancer gets to it.
    pub(crate) fn reset(&self, offsets: impl IntoIterator<Item = (MessageQueue, i64)>) {
        self.resets.lock().extend(offsets);
        self.rebalance_soon();
    }

    pub(super) fn take_resets(&self) -> Vec<(MessageQueue, i64)> {
        std::mem::take(&mut *self.resets.lock())
    }

    /// Hands a message to the application. After the consumer is gone it goes nowhere.
    pub(crate) fn hand_out(&self, message: Buffered) {
        if self.out.send(message).is_err() {
            tracing::debug!(group = %self.group, "a message came after the consumer was closed");
        }
    }

    pub(super) fn add(&self, owned: &Arc<Owned>) {
        self.owned
            .lock()
            .insert(owned.queue.clone(), Arc::clone(owned));
    }

    pub(super) fn remove(&self, queue: &MessageQueue) -> Option<Arc<Owned>> {
        self.owned.lock().remove(queue)
    }

    pub(super) fn owned(&self) -> Vec<Arc<Owned>> {
        self.owned.lock().values().cloned().collect()
    }

    pub(crate) fn views(&self) -> Vec<OwnedView> {
        let view = |owned: Arc<Owned>| {
            let progress = owned.progress.lock();
            OwnedView {
                queue: owned.queue.clone(),
                commit_point: progress.commit_point(),
                open_count: progress.open_count(),
                open_range: progress.open_range(),
                last_pull_ms: owned.last_pull_ms.load(Ordering::Relaxed),
                last_ack_ms: owned.last_ack_ms.load(Ordering::Relaxed),
            }
        };
        self.owned().into_iter().map(view).collect()
    }

    /// Commits what was finished since the last time, queue by queue.
    pub(super) async fn commit_all(&self) -> Result<(), ClientError> {
        let mut first_error = None;
        for owned in self.owned() {
            if let Err(error) = self.commit(&owned).await {
                tracing::debug!(queue = %owned.queue, "offset not committed: {error}");
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Tells the broker how far the group has got in a queue, if it does not know yet.
    pub(super) async fn commit(&self, owned: &Owned) -> Result<(), ClientError> {
        let _one = owned.committing.lock().await;
        if self.options.broadcast || owned.released.load(Ordering::Acquire) {
            return Ok(());
        }
        let Some(offset) = owned.progress.lock().uncommitted() else {
            return Ok(());
        };
        let address = self.shared.read_address(&owned.queue, 0).await?;
        let request = self.commit_request(&owned.queue, offset);
        let timeout = self.shared.timeout();
        self.shared.net.call_ok(&address, request, timeout).await?;
        owned.progress.lock().committed(offset);
        owned
            .last_ack_ms
            .store(self.shared.clock.now_ms(), Ordering::Relaxed);
        Ok(())
    }

    fn commit_request(&self, queue: &MessageQueue, offset: i64) -> Command {
        let header = UpdateConsumerOffsetRequestHeader {
            consumer_group: self.group.as_str(),
            topic: queue.topic.as_str(),
            queue_id: queue.queue.to_wire(),
            commit_offset: offset,
            broker_name: Some(queue.broker.as_str()),
        };
        Command::request(RequestCode::UPDATE_CONSUMER_OFFSET, &header)
    }
}
