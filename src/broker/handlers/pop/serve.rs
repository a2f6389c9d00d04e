//! `POP_MESSAGE` (200050), with long polling.
//!
//! A pop is checked once, in the order of Apache's `PopMessageProcessor`, and becomes a [`Pop`] that owns all it needs. If
//! there is nothing it waits; a message that arrives for it runs it again, on the thread of whoever stored the message.
//! When it leaves messages behind, the next in its line runs as well.
//!
//! Lock order: none of its own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use super::attempt::{Ask, Taken, has_messages};
use super::{Target, check, check_broker, deadline, limits};
use crate::base::{QueueId, TopicName};
use crate::broker::Broker;
use crate::broker::clients::Subscription;
use crate::broker::handlers::pull::brought_along;
use crate::broker::handlers::{Refusal, Request};
use crate::broker::pop::waiting::Line;
use crate::broker::session::{GroupCounters, Session};
use crate::broker::stats::StatsName;
use crate::protocol::codes::ResponseCode;
use crate::protocol::command::{Envelope, Serialization};
use crate::protocol::header::pop::{PopMessageRequestHeader, PopMessageResponseHeader};
use crate::protocol::header::pull::PullMessageRequestHeader;
use crate::remoting::{Channel, InFlight};
use crate::sys::Clock;

/// Most messages of one pop.
const MESSAGES_MAX: i32 = 32;
/// A pop that arrives later than this after its client gave up is refused.
const TOO_LATE_MS: i64 = 500;
/// A pop that would wait for less than this does not wait.
const NO_WAIT_MS: i64 = 50;
/// With nobody waiting, deadlines are looked at this often.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// A pop that is told of messages and finds none tries so often before others get their turn.
const ATTEMPTS_MAX: u32 = 4;

/// A checked pop.
pub(crate) struct Pop {
    channel: Arc<Channel>,
    opaque: i32,
    serialization: Serialization,
    ask: Ask,
    deadline_ms: i64,
    waits: bool,
    counters: Arc<GroupCounters>,
    /// Held while the pop waits.
    admitted: Option<InFlight>,
}

impl Pop {
    fn line(&self) -> Line {
        Line {
            topic: self.ask.readable.topic.as_str().to_owned(),
            group: self.ask.readable.group.as_str().to_owned(),
            queue_id: self.ask.queue_id,
        }
    }

    /// Takes one of the connection's places for requests that are answered later, unless it has one. `false`: there is none.
    fn admit(&mut self) -> bool {
        if self.admitted.is_none() {
            self.admitted = self.channel.admit();
        }
        self.admitted.is_some()
    }

    fn send(&self, code: ResponseCode, remark: &str, taken: Taken) {
        let lists = &taken.lists;
        let header = PopMessageResponseHeader {
            pop_time: taken.pop_time,
            invisible_time: self.ask.invisible_time,
            revive_qid: taken.revive_queue,
            rest_num: taken.rest,
            start_offset_info: Some(&lists.starts),
            msg_offset_info: Some(&lists.messages),
            order_count_info: self.ask.order.then_some(lists.order_counts.as_str()),
        };
        let envelope =
            Envelope::response(self.serialization, self.opaque, code).with_remark(remark);
        self.channel.send_with(
            |out| envelope.encode(&header, taken.bytes, out),
            taken.bodies,
        );
    }

    /// Hands messages out, once their check points are safe: else they could be lost with them.
    fn answer_found(self: Box<Self>, broker: &Arc<Broker>, taken: Taken) {
        let (count, bytes) = (taken.count as u64, taken.bytes as u64);
        self.counters.nums.add(count);
        self.counters.size.add(bytes);
        if !self.ask.order {
            let readable = &self.ask.readable;
            let key = format!("{}@{}", readable.topic, readable.group);
            let check_points = 1 + taken.lists.starts.matches(';').count() as u64;
            let counter = broker.stats.counter(StatsName::GroupCkNums, &key);
            counter.add(check_points);
        }
        broker.stats.pulls.add(1);
        broker.stats.found.add(1);
        broker.stats.transferred.add(count);
        if taken.end.is_none_or(|end| broker.safety(end).is_none()) {
            return self.send(ResponseCode::SUCCESS, "FOUND", taken);
        }
        let waiting = Arc::clone(broker);
        broker.tasks.spawn(async move {
            match waiting.until_safe(taken.end).await {
                Ok(()) => self.send(ResponseCode::SUCCESS, "FOUND", taken),
                Err(refusal) => self.channel.send_with(
                    |out| refusal.encode(self.serialization, self.opaque, out),
                    [],
                ),
            }
        });
    }

    fn answer_nothing(&self, broker: &Broker, code: ResponseCode, taken: Taken) {
        broker.stats.pulls.add(1);
        broker.stats.missed.add(1);
        self.send(code, "NO_MESSAGE_IN_QUEUE", taken);
    }
}

/// Answers a pop or lets it wait.
pub(crate) fn handle(broker: &Arc<Broker>, session: &mut Session, request: &Request<'_, '_>) {
    match checked(broker, session, request) {
        Ok(pop) => start(broker, Box::new(pop)),
        Err(refusal) => request.answer(refusal.into()),
    }
}

fn checked(
    broker: &Broker,
    session: &mut Session,
    request: &Request<'_, '_>,
) -> Result<Pop, Refusal> {
    let header: PopMessageRequestHeader<'_> = request.header()?;
    let options = broker.options.load();
    let now_ms = Clock::machine_ms();
    let deadline_ms = deadline(header.born_time, header.poll_time, now_ms);
    if now_ms.saturating_sub(deadline_ms) > TOO_LATE_MS {
        return Err(Refusal::new(
            ResponseCode::POLLING_TIMEOUT,
            format!(
                "the broker[{}] pop message is timeout too much",
                options.broker_ip1
            ),
        ));
    }
    check_broker(&options, "pop")?;
    if header.max_msg_nums > MESSAGES_MAX {
        return Err(Refusal::new(
            ResponseCode::INVALID_PARAMETER,
            format!(
                "the broker[{}] pop message's num is greater than {MESSAGES_MAX}",
                options.broker_ip1
            ),
        ));
    }
    if !options.timer_wheel_enable {
        return Err(Refusal::error(format!(
            "the broker[{}] pop message is forbidden because timerWheelEnable is false",
            options.broker_ip1
        )));
    }
    let target = Target {
        topic: header.topic,
        group: header.consumer_group,
        queue_id: header.queue_id,
        peer: request.channel.peer(),
    };
    let readable = check(broker, &target)?;
    Ok(Pop {
        channel: Arc::clone(request.channel),
        opaque: request.head.opaque,
        serialization: request.head.serialization,
        ask: Ask {
            readable,
            queue_id: header.queue_id.max(-1),
            messages_max: usize::try_from(header.max_msg_nums).unwrap_or(0),
            invisible_time: header.invisible_time,
            init_mode: header.init_mode,
            order: header.order,
            attempt_id: header.attempt_id.map(str::to_owned),
            subscription: subscription(broker, &header)?,
            fetches: false,
        },
        deadline_ms,
        waits: header.poll_time > 0,
        counters: session.group_counters(broker, header.topic, header.consumer_group),
        admitted: None,
    })
}

/// What the pop takes; it brings its expression along, and without one it takes everything.
fn subscription(
    broker: &Broker,
    header: &PopMessageRequestHeader<'_>,
) -> Result<Arc<Subscription>, Refusal> {
    let expression = header.exp.filter(|expression| !expression.is_empty());
    let brought = PullMessageRequestHeader {
        consumer_group: header.consumer_group,
        topic: header.topic,
        subscription: expression,
        expression_type: header.exp_type.filter(|_| expression.is_some()),
        ..PullMessageRequestHeader::default()
    };
    let subscription = brought_along(broker, &brought);
    if let Err(error) = &subscription.filter {
        return Err(Refusal::new(
            ResponseCode::SUBSCRIPTION_PARSE_FAILED,
            format!("parse the consumer's subscription failed: {error}"),
        ));
    }
    Ok(subscription)
}

/// Runs a pop, on a thread that may block if what it wants may have to come from the disk.
fn start(broker: &Arc<Broker>, mut pop: Box<Pop>) {
    if !pop.ask.goes_far_back(broker) {
        return serve(broker, VecDeque::from([pop]));
    }
    if !pop.admit() {
        let nothing = Taken {
            pop_time: broker.clock.now_ms(),
            ..Taken::default()
        };
        return pop.answer_nothing(broker, ResponseCode::POLLING_FULL, nothing);
    }
    broker.stats.cold_pulls.add(1);
    pop.ask.fetches = true;
    let reader = Arc::clone(broker);
    broker
        .tasks
        .spawn_blocking(move || serve(&reader, VecDeque::from([pop])));
}

/// Runs pops, and those their messages are left for.
fn serve(broker: &Arc<Broker>, mut pops: VecDeque<Box<Pop>>) {
    while let Some(pop) = pops.pop_front() {
        if pop.channel.is_closed() {
            // What it was woken for is there for the next.
            pops.extend(broker.pop.pops.with(|table| table.take(&pop.line())));
            continue;
        }
        let line = pop.line();
        if run(broker, pop) > 0 && broker.pop.pops.may_wait() {
            pops.extend(broker.pop.pops.with(|table| table.take(&line)));
        }
    }
}

/// Answers one pop or lets it wait; returns how many messages it found and left.
fn run(broker: &Arc<Broker>, mut pop: Box<Pop>) -> i64 {
    let mut passed = false;
    for _ in 0..ATTEMPTS_MAX {
        let taken = pop.ask.attempt(broker);
        passed = taken.passed;
        if taken.count > 0 {
            let rest = taken.rest;
            pop.answer_found(broker, taken);
            return rest;
        }
        let Err((back, code)) = park(broker, pop) else {
            return 0;
        };
        match code {
            // A message came while it was being parked.
            None => pop = back,
            Some(code) => {
                back.answer_nothing(broker, code, taken);
                return 0;
            }
        }
    }
    if passed {
        // There is a long stretch of messages that it does not take. It gets past them, but not on this thread.
        let broker = Arc::clone(broker);
        let tasks = Arc::clone(&broker);
        tasks.tasks.spawn(async move {
            tokio::task::yield_now().await;
            start(&broker, pop);
        });
        return 0;
    }
    // There are messages that it cannot get; it waits like the others, who are told of new ones.
    if let Err((back, code)) = park_only(broker, pop) {
        let taken = back.ask.attempt(broker);
        if taken.count > 0 {
            back.answer_found(broker, taken);
        } else {
            back.answer_nothing(broker, code, taken);
        }
    }
    0
}

/// Lets a pop wait. It comes back with a code when it cannot, and without one when there are messages now.
fn park(broker: &Broker, pop: Box<Pop>) -> Result<(), (Box<Pop>, Option<ResponseCode>)> {
    let line = pop.line();
    let ask = (pop.ask.messages_max > 0).then(|| pop.ask.clone());
    park_only(broker, pop).map_err(|(pop, code)| (pop, Some(code)))?;
    // A message may have come between the attempt and the parking; who stored it saw nobody waiting. Either that one
    // sees the count now, or this sees the message.
    fence(Ordering::SeqCst);
    let there = ask.is_some_and(|ask| {
        let order = (ask.attempt_id.as_deref(), ask.invisible_time);
        has_messages(
            broker,
            &ask.readable,
            ask.queue_id,
            ask.order.then_some(order),
        )
    });
    if there && let Some(pop) = broker.pop.pops.with(|table| table.take(&line)) {
        return Err((pop, None));
    }
    Ok(())
}

fn park_only(broker: &Broker, mut pop: Box<Pop>) -> Result<(), (Box<Pop>, ResponseCode)> {
    if !pop.waits || pop.deadline_ms.saturating_sub(Clock::machine_ms()) < NO_WAIT_MS {
        return Err((pop, ResponseCode::POLLING_TIMEOUT));
    }
    if !pop.admit() {
        return Err((pop, ResponseCode::POLLING_FULL));
    }
    let limits = limits(&broker.options.load());
    let (line, deadline_ms) = (pop.line(), pop.deadline_ms);
    broker
        .pop
        .pops
        .with(|table| table.park(&line, deadline_ms.saturating_sub(NO_WAIT_MS), pop, limits))
        .map_err(|pop| (pop, ResponseCode::POLLING_FULL))
}

/// A message was stored: runs a waiting pop of each group that it concerns, and answers those who wait to be notified.
pub(crate) fn wake(broker: &Arc<Broker>, topic: &TopicName, queue_id: QueueId) {
    let retried = topic.as_str().starts_with(crate::base::ids::RETRY_PREFIX);
    if broker.pop.pops.may_wait() {
        let mut pops = broker
            .pop
            .pops
            .with(|table| table.take_for(topic.as_str(), queue_id.to_wire()));
        if retried {
            let more = broker
                .pop
                .pops
                .with(|table| table.take_for_retry(topic.as_str()));
            pops.extend(more);
        }
        serve(broker, pops.into());
    }
    if broker.pop.notices.may_wait() {
        super::notice::wake(broker, topic, queue_id, retried);
    }
}

/// A queue that one group consumes in order is free again.
pub(crate) fn wake_group(broker: &Arc<Broker>, place: &crate::broker::pop::order::Place) {
    let (topic, group, queue_id) = (&place.topic, &place.group, place.queue_id);
    if broker.pop.pops.may_wait() {
        let pops = broker
            .pop
            .pops
            .with(|table| table.take_for_group(topic, group, queue_id));
        serve(broker, pops.into());
    }
    if broker.pop.notices.may_wait() {
        super::notice::wake_group(broker, place);
    }
}

/// Forgets the pops and notifications of a closed connection.
pub(crate) fn forget(broker: &Broker, channel: &Channel) {
    let id = channel.id();
    if broker.pop.pops.len() > 0 {
        broker
            .pop
            .pops
            .with(|table| table.discard(|pop| pop.channel.id() == id));
    }
    if broker.pop.notices.len() > 0 {
        broker
            .pop
            .notices
            .with(|table| table.discard(|notice| notice.channel_id() == id));
    }
}

/// Answers those whose time is up and wakes groups whose queues are free again, for as long as the broker runs.
pub(crate) async fn expire(broker: Arc<Broker>) {
    loop {
        let clock_ms = broker.clock.now_ms();
        for place in broker.pop.orders.with(|orders| orders.freed(clock_ms)) {
            wake_group(&broker, &place);
        }
        let now_ms = Clock::machine_ms();
        for pop in broker.pop.pops.with(|table| table.expire(now_ms)) {
            let taken = pop.ask.attempt(&broker);
            if taken.count > 0 {
                pop.answer_found(&broker, taken);
            } else {
                pop.answer_nothing(&broker, ResponseCode::POLLING_TIMEOUT, taken);
            }
        }
        for notice in broker.pop.notices.with(|table| table.expire(now_ms)) {
            notice.answer_now(&broker);
        }
        let free_ms = broker.pop.orders.with(|orders| orders.next_free_ms());
        let deadlines = [
            broker.pop.pops.with(|table| table.next_deadline_ms()),
            broker.pop.notices.with(|table| table.next_deadline_ms()),
        ];
        let deadline_ms = deadlines.into_iter().flatten().min();
        let left = deadline_ms.unwrap_or(i64::MAX).saturating_sub(now_ms);
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(LONGEST_WAIT);
        tokio::select! {
            biased;
            () = broker.pop.earlier.notified() => {}
            () = tokio::time::sleep(left) => {}
            () = broker.clock.sleep_until(free_ms.unwrap_or(i64::MAX)) => {}
        }
    }
}
