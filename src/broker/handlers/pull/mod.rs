//! Pulls: `PULL_MESSAGE` (11) and `LITE_PULL_MESSAGE` (361), with long polling.
//!
//! A pull is checked once, in the order of Apache's `PullMessageProcessor`, and becomes a [`Pull`] that owns all it needs.
//! If nothing is there and the consumer is willing to wait, it is parked. An append to its queue runs it again, on the
//! thread of whoever appended; one whose filter takes nothing of what arrived goes back to waiting. Records travel from
//! the store's map to the socket without being copied.
//!
//! Lock order: none of its own; each table is locked for one lookup at a time.

mod subscription;

pub(crate) use subscription::{EFFORT_MAX, brought_along};

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::subscription::Wanted;
use super::{FAQ, Refusal, Request};
use crate::base::{GroupName, QueueId, QueueOffset, TopicName};
use crate::broker::Broker;
use crate::broker::options::BrokerOptions;
use crate::broker::parking::Parking;
use crate::broker::session::{GroupCounters, Session};
use crate::broker::topics::PERM_READ;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::{Envelope, Serialization};
use crate::protocol::header::pull::{PullMessageRequestHeader, PullMessageResponseHeader};
use crate::remoting::{Channel, InFlight};
use crate::store::{Candidate, Found, GetStatus, LogSlice, Queue, ReadLimits};
use crate::sys::Clock;

const FLAG_COMMIT_OFFSET: i32 = 1;
const FLAG_SUSPEND: i32 = 2;
const FLAG_SUBSCRIPTION: i32 = 4;

/// Who refuses, in the answer's `forbiddenType`.
mod forbidden {
    pub(super) const BROKER: i32 = 1;
    pub(super) const GROUP: i32 = 2;
    pub(super) const TOPIC: i32 = 3;
    pub(super) const BROADCASTING: i32 = 4;
    pub(super) const SUBSCRIPTION: i32 = 5;
}

/// A checked pull.
pub(crate) struct Pull {
    channel: Arc<Channel>,
    opaque: i32,
    serialization: Serialization,
    topic: TopicName,
    group: GroupName,
    queue_id: QueueId,
    queue: Arc<Queue>,
    offset: i64,
    /// Everything before this was looked at and not wanted.
    scanned: i64,
    limits: ReadLimits,
    wanted: Wanted,
    topic_sys_flag: i32,
    group_sys_flag: i32,
    /// Where the group reads: the broker it should, and the one for what is not in memory.
    brokers: (i64, i64),
    counters: Arc<GroupCounters>,
    /// Held while the pull is parked.
    admitted: Option<InFlight>,
}

impl Pull {
    fn read(&self, broker: &Broker, offset: i64) -> Found {
        let Some(offset) = QueueOffset::from_wire(offset) else {
            return self.before_the_start();
        };
        let store = &broker.store;
        let mut effort = 0;
        store.get_matching(&self.queue, offset, self.limits, |candidate| {
            self.wanted.takes(candidate, &mut effort)
        })
    }

    /// As [`Pull::read`]; `None` if the messages wanted are so far behind the end of the log that reading them may block.
    fn read_unless_cold(&self, broker: &Broker, cold_before: u64) -> Option<Found> {
        let Some(offset) = QueueOffset::from_wire(self.offset) else {
            return Some(self.before_the_start());
        };
        let store = &broker.store;
        let mut effort = 0;
        let filter = |candidate: Candidate<'_>| self.wanted.takes(candidate, &mut effort);
        store.get_unless_cold(&self.queue, offset, self.limits, cold_before, filter)
    }

    /// What a negative offset finds.
    fn before_the_start(&self) -> Found {
        let (min, max) = (self.queue.min_offset(), self.queue.max_offset());
        let (status, next) = if max == QueueOffset::ZERO {
            (GetStatus::NoMessageInQueue, QueueOffset::ZERO)
        } else {
            (GetStatus::OffsetTooSmall, min)
        };
        Found {
            status,
            next,
            min,
            max,
            slices: Vec::new(),
            count: 0,
            bytes: 0,
        }
    }

    fn send(&self, code: ResponseCode, remark: &str, next: i64, found: Found) {
        self.send_from(code, remark, next, found, 0);
    }

    fn send_from(&self, code: ResponseCode, remark: &str, next: i64, found: Found, broker_id: i64) {
        let header = PullMessageResponseHeader {
            suggest_which_broker_id: broker_id,
            next_begin_offset: next,
            min_offset: found.min.to_wire(),
            max_offset: found.max.to_wire(),
            topic_sys_flag: Some(self.topic_sys_flag),
            group_sys_flag: Some(self.group_sys_flag),
            ..PullMessageResponseHeader::default()
        };
        let envelope =
            Envelope::response(self.serialization, self.opaque, code).with_remark(remark);
        let body = found.slices.into_iter().map(LogSlice::into_bytes);
        self.channel
            .send_with(|out| envelope.encode(&header, found.bytes, out), body);
    }

    /// Sends the consumer to where an administrator wants it.
    fn send_reset(&self, offset: i64) {
        let found = self.before_the_start();
        let code = ResponseCode::PULL_OFFSET_MOVED;
        self.send(code, "OFFSET_RESET", offset, found);
    }

    fn send_busy(&self) {
        let found = self.before_the_start();
        let remark = "too many pulls of this connection wait";
        self.send(ResponseCode::SYSTEM_BUSY, remark, self.offset, found);
    }

    /// Answers with what a read found.
    fn answer(&self, broker: &Broker, found: Found) {
        let (mut code, remark) = self.outcome(found.status);
        let mut next = found.next.to_wire();
        let options = broker.options.load();
        let slave = broker.is_slave();
        if slave && !options.offset_check_in_slave && corrects(found.status) {
            // The master may have what this slave has not yet: the consumer keeps its place.
            next = self.offset;
            if code == ResponseCode::PULL_OFFSET_MOVED {
                code = ResponseCode::PULL_RETRY_IMMEDIATELY;
            }
        }
        let cold = is_cold(broker, &options, &found);
        let suggested = match (options.slave_read_enable, cold) {
            (false, _) => 0,
            (true, true) => self.brokers.1,
            (true, false) => self.brokers.0,
        };
        broker.stats.pulls.add(1);
        if code == ResponseCode::SUCCESS {
            let (count, bytes) = (found.count as u64, found.bytes as u64);
            self.counters.nums.add(count);
            self.counters.size.add(bytes);
            broker.stats.found.add(1);
            broker.stats.transferred.add(count);
        } else {
            broker.stats.missed.add(1);
        }
        broker.offsets.with(|offsets| {
            offsets.commit_pull(
                self.topic.as_str(),
                self.group.as_str(),
                self.queue_id.to_wire(),
                next,
            );
        });
        self.send_from(code, remark, next, found, suggested);
    }

    /// Code and remark of a read, by Apache's table.
    fn outcome(&self, status: GetStatus) -> (ResponseCode, &'static str) {
        match status {
            GetStatus::Found => (ResponseCode::SUCCESS, "FOUND"),
            GetStatus::NoMatchedMessage => {
                (ResponseCode::PULL_RETRY_IMMEDIATELY, "NO_MATCHED_MESSAGE")
            }
            GetStatus::MessageWasRemoving => {
                (ResponseCode::PULL_RETRY_IMMEDIATELY, "MESSAGE_WAS_REMOVING")
            }
            GetStatus::NoMessageInQueue if self.offset == 0 => {
                (ResponseCode::PULL_NOT_FOUND, "NO_MESSAGE_IN_QUEUE")
            }
            GetStatus::NoMessageInQueue => (ResponseCode::PULL_OFFSET_MOVED, "NO_MESSAGE_IN_QUEUE"),
            GetStatus::OffsetFoundNull => (ResponseCode::PULL_NOT_FOUND, "OFFSET_FOUND_NULL"),
            GetStatus::OffsetOverflowOne => (ResponseCode::PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE"),
            GetStatus::OffsetOverflowBadly => {
                (ResponseCode::PULL_OFFSET_MOVED, "OFFSET_OVERFLOW_BADLY")
            }
            GetStatus::OffsetTooSmall => (ResponseCode::PULL_OFFSET_MOVED, "OFFSET_TOO_SMALL"),
        }
    }
}

/// Whether a read moves the consumer to an offset it did not ask for.
fn corrects(status: GetStatus) -> bool {
    matches!(
        status,
        GetStatus::NoMessageInQueue
            | GetStatus::OffsetOverflowOne
            | GetStatus::OffsetOverflowBadly
            | GetStatus::OffsetTooSmall
            | GetStatus::OffsetFoundNull
    )
}

/// Whether what was read lies further back in the log than memory reaches (`DefaultMessageStore.getMessage`).
fn is_cold(broker: &Broker, options: &BrokerOptions, found: &Found) -> bool {
    let Some(last) = found.slices.last() else {
        return false;
    };
    let in_memory = in_memory(broker, options);
    let end = broker.store.appended().get();
    end.saturating_sub(last.log_offset().get()) > in_memory
}

/// A refusal of a pull, with who refuses.
struct PullRefusal {
    refusal: Refusal,
    forbidden: Option<i32>,
}

impl<R: Into<Refusal>> From<R> for PullRefusal {
    fn from(refusal: R) -> Self {
        Self {
            refusal: refusal.into(),
            forbidden: None,
        }
    }
}

fn forbid(kind: i32, remark: String) -> PullRefusal {
    PullRefusal {
        refusal: Refusal::new(ResponseCode::NO_PERMISSION, remark),
        forbidden: Some(kind),
    }
}

/// How a pull is willing to wait.
struct Patience {
    commits: Option<i64>,
    suspend_ms: Option<i64>,
}

/// Answers a pull or parks it.
pub(crate) fn handle(broker: &Arc<Broker>, session: &mut Session, request: &Request<'_, '_>) {
    match check(broker, session, request) {
        Ok((pull, patience)) => run(broker, pull, &patience),
        Err(PullRefusal { refusal, forbidden }) => {
            let header = PullMessageResponseHeader {
                forbidden_type: forbidden,
                ..PullMessageResponseHeader::default()
            };
            let head = request.head;
            let envelope = head.answer(refusal.code).with_remark(&refusal.remark);
            request
                .channel
                .send_with(|out| envelope.encode(&header, 0, out), []);
        }
    }
}

/// What the settings alone forbid.
fn check_settings(options: &BrokerOptions, code: RequestCode) -> Result<(), PullRefusal> {
    if options.broker_permission & PERM_READ == 0 {
        let remark = format!(
            "the broker[{}] pulling message is forbidden",
            options.broker_ip1
        );
        return Err(forbid(forbidden::BROKER, remark));
    }
    if code == RequestCode::LITE_PULL_MESSAGE && !options.lite_pull_message_enable {
        let remark = format!(
            "the broker[{}] for lite pull consumer is forbidden",
            options.broker_ip1
        );
        return Err(forbid(forbidden::BROKER, remark));
    }
    Ok(())
}

fn check(
    broker: &Broker,
    session: &mut Session,
    request: &Request<'_, '_>,
) -> Result<(Pull, Patience), PullRefusal> {
    let header: PullMessageRequestHeader<'_> = request.head.header().map_err(Refusal::from)?;
    let options = Arc::clone(session.options.get());
    check_settings(&options, request.head.request_code())?;
    let group = session
        .group(broker, header.consumer_group)
        .ok_or_else(|| {
            Refusal::new(
                ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
                format!(
                    "subscription group [{}] does not exist, {FAQ}",
                    header.consumer_group
                ),
            )
        })?;
    if !group.config.consume_enable {
        let remark = format!(
            "subscription group no permission, {}",
            header.consumer_group
        );
        return Err(forbid(forbidden::GROUP, remark));
    }
    let counters = session.group_counters(broker, header.topic, header.consumer_group);
    let topic = session.topics.get(broker, header.topic).ok_or_else(|| {
        Refusal::new(
            ResponseCode::TOPIC_NOT_EXIST,
            format!(
                "topic[{}] not exist, apply first please! {FAQ}",
                header.topic
            ),
        )
    })?;
    if topic.config.perm & PERM_READ == 0 {
        let remark = format!("the topic[{}] pulling message is forbidden", header.topic);
        return Err(forbid(forbidden::TOPIC, remark));
    }
    let queue_id = QueueId::from_wire(header.queue_id)
        .filter(|_| header.queue_id < topic.config.read_queue_nums)
        .ok_or_else(|| {
            Refusal::new(
                ResponseCode::INVALID_PARAMETER,
                format!(
                    "queueId[{}] is illegal, topic:[{}] topicConfig.readQueueNums:[{}] consumer:[{}]",
                    header.queue_id,
                    header.topic,
                    topic.config.read_queue_nums,
                    request.channel.peer()
                ),
            )
        })?;
    let broadcast_enabled = group.config.consume_broadcast_enable;
    let wanted = Wanted::find(broker, &header, broadcast_enabled, &options)?;
    let pull = Pull {
        channel: Arc::clone(request.channel),
        opaque: request.head.opaque,
        serialization: request.head.serialization,
        topic: topic.name.clone(),
        group: group.name.clone(),
        queue_id,
        queue: topic.queue(broker, queue_id),
        offset: header.queue_offset,
        scanned: header.queue_offset,
        limits: limits(&header, &options),
        wanted,
        topic_sys_flag: topic.config.topic_sys_flag,
        group_sys_flag: group.config.group_sys_flag,
        brokers: (
            group.config.broker_id,
            group.config.which_broker_when_consume_slowly,
        ),
        counters,
        admitted: None,
    };
    let commits = (header.sys_flag & FLAG_COMMIT_OFFSET != 0
        && header.commit_offset >= 0
        && !broker.is_slave())
    .then_some(header.commit_offset);
    let suspend_ms = (header.sys_flag & FLAG_SUSPEND != 0).then(|| {
        if options.long_polling_enable {
            header.suspend_timeout_millis
        } else {
            i64::try_from(options.short_polling_time_mills).unwrap_or(i64::MAX)
        }
    });
    Ok((
        pull,
        Patience {
            commits,
            suspend_ms,
        },
    ))
}

fn limits(header: &PullMessageRequestHeader<'_>, options: &BrokerOptions) -> ReadLimits {
    let asked = usize::try_from(header.max_msg_nums).unwrap_or(0);
    let messages_max = options.max_transfer_count_on_message_in_memory as usize;
    let bytes_max = options.max_transfer_bytes_on_message_in_memory as usize;
    let bytes_asked = header
        .max_msg_bytes
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|bytes| *bytes > 0);
    ReadLimits {
        messages: asked.clamp(1, messages_max.max(1)),
        bytes: bytes_asked.unwrap_or(bytes_max).min(bytes_max),
    }
}

/// What lies before this position of the log is thought to have left the memory: reading it may block.
pub(crate) fn cold_before(broker: &Broker) -> u64 {
    let options = broker.options.load();
    let distance = match options.cold_read_distance {
        0 => in_memory(broker, &options),
        distance => distance,
    };
    broker.store.appended().get().saturating_sub(distance)
}

/// How far behind the end of the log a record may lie and still be thought to be in memory.
fn in_memory(broker: &Broker, options: &BrokerOptions) -> u64 {
    let share = u64::from(options.access_message_in_memory_max_ratio);
    let kept = broker.store.options().log_cache_bytes;
    kept.min(broker.memory_bytes / 100 * share)
}

fn run(broker: &Arc<Broker>, mut pull: Pull, patience: &Patience) {
    let options = broker.options.load();
    let use_resets = options.use_server_side_reset_offset;
    drop(options);
    let (topic, group, queue_id) = (
        pull.topic.as_str(),
        pull.group.as_str(),
        pull.queue_id.to_wire(),
    );
    let reset = broker.offsets.with(|offsets| {
        let reset = offsets.take_reset(topic, group, queue_id);
        if let Some(offset) = patience.commits.filter(|_| reset.is_none() || !use_resets) {
            offsets.commit(topic, group, queue_id, offset);
        }
        reset
    });
    if let Some(offset) = reset.filter(|_| use_resets) {
        pull.send_reset(offset);
        return;
    }
    let suspend_ms = patience.suspend_ms;
    if let Some(found) = pull.read_unless_cold(broker, cold_before(broker)) {
        conclude(broker, pull, found, suspend_ms);
        return;
    }
    pull.admitted = pull.channel.admit();
    if pull.admitted.is_none() {
        pull.send_busy();
        return;
    }
    broker.stats.cold_pulls.add(1);
    let reader = Arc::clone(broker);
    let read = move || {
        let began = Instant::now();
        let found = pull.read(&reader, pull.offset);
        // Not by the thread that writes to the socket.
        found.fetch();
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let longest = &reader.stats.longest_read_ms;
        longest.fetch_max(took_ms, Ordering::Relaxed);
        conclude(&reader, pull, found, suspend_ms);
    };
    broker.tasks.spawn_blocking(read);
}

/// Answers a pull with what was found, or parks it.
fn conclude(broker: &Arc<Broker>, pull: Pull, found: Found, suspend_ms: Option<i64>) {
    let (code, _) = pull.outcome(found.status);
    match suspend_ms {
        Some(suspend_ms) if code == ResponseCode::PULL_NOT_FOUND => {
            let deadline_ms = Clock::machine_ms().saturating_add(suspend_ms.max(0));
            park(broker, Box::new(pull), deadline_ms);
        }
        _ => pull.answer(broker, found),
    }
}

/// The parked pulls of a broker, and the signal for the task that expires them.
pub(crate) struct ParkedPulls {
    table: Mutex<Parking<Box<Pull>>>,
    count: AtomicUsize,
    /// Rung when the next deadline came nearer.
    earlier: Notify,
}

impl ParkedPulls {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            table: Mutex::new(Parking::new(limit)),
            count: AtomicUsize::new(0),
            earlier: Notify::new(),
        }
    }

    /// How many pulls wait.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether a pull waits for a queue.
    pub(crate) fn waits(&self, topic: &str, queue: QueueId) -> bool {
        self.table.lock().waits(topic, queue)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Parking<Box<Pull>>) -> R) -> R {
        let mut table = self.table.lock();
        let before = table.next_deadline_ms();
        let result = change(&mut table);
        self.count.store(table.len(), Ordering::Relaxed);
        let after = table.next_deadline_ms();
        drop(table);
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.earlier.notify_one();
        }
        result
    }
}

fn park(broker: &Arc<Broker>, mut pull: Box<Pull>, deadline_ms: i64) {
    if pull.admitted.is_none() {
        pull.admitted = pull.channel.admit();
    }
    if pull.admitted.is_none() {
        pull.send_busy();
        return;
    }
    let (topic, queue_id) = (pull.topic.clone(), pull.queue_id);
    let (queue, scanned) = (Arc::clone(&pull.queue), pull.scanned);
    let parked = broker
        .parked
        .change(|table| table.park(&topic, queue_id, deadline_ms, pull));
    if let Err(pull) = parked {
        let found = pull.read(broker, pull.offset);
        pull.answer(broker, found);
        return;
    }
    // A message may have come between the read and the parking; its appender saw nobody waiting. Either it sees the
    // count now, or this sees the message.
    fence(Ordering::SeqCst);
    if queue.max_offset().to_wire() > scanned {
        wake(broker, &topic, queue_id);
    }
}

/// Runs the pulls that wait for a queue again. Called by whoever appended to it.
pub(crate) fn wake(broker: &Arc<Broker>, topic: &TopicName, queue_id: QueueId) {
    fence(Ordering::SeqCst);
    if broker.parked.count.load(Ordering::Relaxed) == 0 {
        return;
    }
    let released = broker
        .parked
        .change(|table| table.wake(topic.as_str(), queue_id));
    for (deadline_ms, pull) in released {
        resume(broker, pull, deadline_ms);
    }
}

/// Whether the offset was reset while the pull waited; then it is answered.
fn answer_reset(broker: &Broker, pull: &Pull) -> bool {
    if !broker.options.load().use_server_side_reset_offset {
        return false;
    }
    let (topic, group) = (pull.topic.as_str(), pull.group.as_str());
    let reset = broker
        .offsets
        .with(|offsets| offsets.take_reset(topic, group, pull.queue_id.to_wire()));
    let answered = reset.map(|offset| pull.send_reset(offset));
    answered.is_some()
}

fn resume(broker: &Arc<Broker>, mut pull: Box<Pull>, deadline_ms: i64) {
    if pull.channel.is_closed() {
        return;
    }
    // The topic may have been deleted and made anew while the pull waited.
    if let Some(queue) = broker.store.find_queue(pull.topic.as_str(), pull.queue_id) {
        pull.queue = queue;
    }
    if answer_reset(broker, &pull) {
        return;
    }
    let found = pull.read(broker, pull.scanned);
    match found.status {
        GetStatus::NoMatchedMessage => {
            pull.scanned = found.next.to_wire();
            park(broker, pull, deadline_ms);
        }
        GetStatus::OffsetOverflowOne => park(broker, pull, deadline_ms),
        GetStatus::Found => pull.answer(broker, found),
        _ => {
            let found = pull.read(broker, pull.offset);
            pull.answer(broker, found);
        }
    }
}

/// Forgets the pulls of a closed connection.
pub(crate) fn forget(broker: &Broker, channel: &Channel) {
    if broker.parked.len() > 0 {
        let id = channel.id();
        broker
            .parked
            .change(|table| table.discard(|pull| pull.channel.id() == id));
    }
}

/// Answers pulls whose time is up, for as long as the broker runs.
pub(crate) async fn expire(broker: Arc<Broker>) {
    loop {
        let now_ms = Clock::machine_ms();
        for pull in broker.parked.change(|table| table.expire(now_ms)) {
            if answer_reset(&broker, &pull) {
                continue;
            }
            let found = pull.read(&broker, pull.offset);
            pull.answer(&broker, found);
        }
        let next_ms = broker.parked.table.lock().next_deadline_ms();
        let wait = next_ms.map(|next_ms| u64::try_from(next_ms - now_ms).unwrap_or(0));
        let rung = broker.parked.earlier.notified();
        match wait {
            Some(ms) => {
                let _ = tokio::time::timeout(std::time::Duration::from_millis(ms), rung).await;
            }
            None => rung.await,
        }
    }
}
