//! Asks producers about half messages they said nothing about (`TransactionalMessageServiceImpl.check`).
//!
//! The half queue is walked from the first message that may be open to the first that is too young. An open message is
//! stored again at the end of the queue, with the number of questions raised, and the question names the new copy; so the
//! walk always moves on, and what is behind it is done with. A message asked about too often, or older than the log is
//! kept, is parked in a topic of its own, from where `RESUME_CHECK_HALF_MESSAGE` brings it back.
//!
//! Two things differ from Apache. A copy that is made because the message is still immune does not count as a question:
//! there, a long immunity uses up all questions before the first is asked. And a message that cannot be stored
//! elsewhere now stays where it is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::table::State;
use super::{Name, QUEUE, records};
use crate::base::{LogOffset, QueueId, TopicName};
use crate::broker::Broker;
use crate::broker::options::BrokerOptions;
use crate::broker::topics::{PERM_READ, PERM_WRITE};
use crate::message::{Draft, Properties, PropertiesBuf, Record, names};
use crate::message::{id::offset_message_id, record};
use crate::protocol::codes::RequestCode;
use crate::protocol::command::Command;
use crate::protocol::header::send::CheckTransactionStateRequestHeader;
use crate::remoting::Channel;
use crate::store::{AppendGroup, Appended, LogSlice, Queue};
use crate::sys::Clock;

/// Messages stored again as one append.
const BATCH_MAX: usize = 64;
/// The same in bytes.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Numbers looked at before others get the thread.
const STEP_MAX: u64 = 4_096;
/// A walk that takes longer goes on next time.
const WALK_MS_MAX: i64 = 60_000;
/// A producer with so much unread is given time.
const UNREAD_MAX: usize = 1 << 20;
const BREATH: Duration = Duration::from_millis(50);
/// How long the walk's copies may take to be on the disk.
const FLUSH_LIMIT: Duration = Duration::from_secs(30);

/// Checks for as long as the broker runs.
pub(crate) async fn run(broker: Arc<Broker>) {
    loop {
        let interval = broker.options.load().transaction_check_interval.max(1);
        let next_ms = broker.clock.now_ms().saturating_add(interval);
        broker.clock.sleep_until(next_ms).await;
        check(&broker).await;
    }
}

async fn check(broker: &Arc<Broker>) {
    let start_ms = broker.clock.now_ms();
    let give_up_ms = Clock::machine_ms().saturating_add(WALK_MS_MAX);
    while Clock::machine_ms() < give_up_ms {
        let walker = Arc::clone(broker);
        let stepped = tokio::task::spawn_blocking(move || step(&walker, start_ms)).await;
        match stepped {
            Ok(Step::Again) => {}
            Ok(Step::Breathe) => tokio::time::sleep(BREATH).await,
            Ok(Step::Done) => break,
            Err(error) => {
                tracing::error!("a transaction check failed: {error}");
                break;
            }
        }
    }
    keep_progress(broker).await;
}

/// Saves how far the walk came, once everything it stored is on the disk: behind that place nothing is looked at again.
async fn keep_progress(broker: &Arc<Broker>) {
    let (half, op) = {
        let table = broker.transactions.table.lock();
        (table.base(), table.op_base())
    };
    let end = broker.store.appended().get();
    let flushed = broker.store.flushed().reached(end);
    if tokio::time::timeout(FLUSH_LIMIT, flushed).await.is_err() {
        return;
    }
    broker.note_transaction_offsets(half, op);
    let saver = Arc::clone(broker);
    if let Err(error) = tokio::task::spawn_blocking(move || saver.offsets.save()).await {
        tracing::error!("saving failed: {error}");
    }
}

/// How the walk goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Again,
    /// A producer does not keep up with the questions.
    Breathe,
    Done,
}

/// What happens to one half message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It has ended, as another number says.
    Ended(State),
    /// Too young: it and all behind it are left for next time.
    Wait,
    /// Stored again without a question.
    Immune,
    Ask,
    GiveUp,
}

/// A half message that is stored again.
struct Again {
    number: u64,
    fate: Fate,
    /// The bytes of the old copy.
    slice: LogSlice,
    properties: PropertiesBuf,
}

fn step(broker: &Arc<Broker>, start_ms: i64) -> Step {
    let Some(queue) = broker.store.find_queue(names::HALF_TOPIC, QUEUE) else {
        return Step::Done;
    };
    let mut walk = Walk {
        broker,
        queue,
        options: broker.options.load(),
        start_ms,
        group: broker.store.append_group(),
        again: Vec::new(),
    };
    let first = broker.transactions.table.lock().base();
    let (next, ended) = walk.collect(first);
    walk.finish(next, ended)
}

struct Walk<'a> {
    broker: &'a Arc<Broker>,
    queue: Arc<Queue>,
    options: Arc<BrokerOptions>,
    start_ms: i64,
    group: AppendGroup,
    again: Vec<Again>,
}

impl Walk<'_> {
    /// Looks at messages from `first` on. Returns the number to go on with, and whether the walk ends there.
    fn collect(&mut self, first: u64) -> (u64, bool) {
        let max = self.queue.max_offset().get();
        let mut number = first.max(self.queue.min_offset().get());
        let until = max.min(number.saturating_add(STEP_MAX));
        while number < until && self.again.len() < BATCH_MAX && self.group.bytes() < BATCH_BYTES_MAX
        {
            let state = self.broker.transactions.table.lock().state(number);
            match state {
                State::Committed | State::Over => {}
                State::Claimed => return (number, true),
                State::Open => {
                    if !self.look(number) {
                        return (number, true);
                    }
                }
            }
            number += 1;
        }
        (number, number >= max)
    }

    /// Decides about an open message; `false` ends the walk.
    fn look(&mut self, number: u64) -> bool {
        let entry = self.queue.entry(number);
        let slice = entry
            .and_then(|entry| LogOffset::from_wire(entry.log_offset))
            .and_then(|at| self.broker.store.record_at(at));
        let Some(slice) = slice else {
            tracing::warn!(number, "a half message cannot be read and is left out");
            return true;
        };
        let Ok(half) = Record::parse(slice.as_ref()) else {
            tracing::warn!(number, "a half message is damaged and is left out");
            return true;
        };
        let transactions = &self.broker.transactions;
        let first = records::first_number(&half)
            .map_or(State::Open, |first| transactions.table.lock().state(first));
        let now_ms = self.broker.clock.now_ms();
        let fate = fate(&half, first, &self.options, (self.start_ms, now_ms));
        let properties = match fate {
            Fate::Wait => return false,
            Fate::Ended(state) => {
                let first = number;
                transactions.table.lock().end(Name { number, first }, state);
                return true;
            }
            Fate::GiveUp => PropertiesBuf::from(half.properties),
            Fate::Immune => records::copied(&half, number),
            Fate::Ask => {
                let times = records::check_times(&half).saturating_add(1);
                let mut properties = records::copied(&half, number);
                properties.set(names::TRANSACTION_CHECK_TIMES, times.to_string());
                properties
            }
        };
        let pushed = self.push(&half, fate, &properties.to_wire());
        if pushed {
            self.again.push(Again {
                number,
                fate,
                slice: slice.clone(),
                properties,
            });
        } else {
            // Only its properties can have outgrown a message that was stored before.
            tracing::error!(
                number,
                "a half message cannot be stored again; it is left out"
            );
        }
        true
    }

    fn push(&mut self, half: &Record<'_>, fate: Fate, properties: &[u8]) -> bool {
        let parked = TopicName::stored(names::TRANS_CHECK_MAX_TIME_TOPIC);
        let (topic, queue) = if fate == Fate::GiveUp {
            self.broker
                .ensure_topic(&parked, 1, PERM_READ | PERM_WRITE, false, 0);
            (parked.as_str(), self.broker.store.queue(&parked, QUEUE))
        } else {
            (names::HALF_TOPIC, Arc::clone(&self.queue))
        };
        let draft = again(half, topic, QUEUE, properties);
        self.group.push(&draft, &queue).is_ok()
    }

    /// Stores what was collected, asks the producers, and moves on to `next`.
    fn finish(mut self, next: u64, ended: bool) -> Step {
        let transactions = &self.broker.transactions;
        if let Err(error) = self.broker.store.append(&mut self.group) {
            tracing::warn!("half messages wait to be asked about: {error}");
            let stuck = self.again.first().map_or(next, |again| again.number);
            transactions.table.lock().advance(stuck);
            return Step::Done;
        }
        let mut breathe = false;
        for (at, again) in self.again.iter().enumerate() {
            let Some(stored) = self.group.appended(at) else {
                continue;
            };
            if again.fate == Fate::GiveUp {
                tracing::error!(
                    number = again.number,
                    "the producers of a half message did not decide; it is parked in {}",
                    names::TRANS_CHECK_MAX_TIME_TOPIC
                );
                continue;
            }
            let new = stored.queue_offset.get();
            let open = transactions.table.lock().put_back(again.number, new);
            if open && again.fate == Fate::Ask {
                breathe |= self.ask(again, &stored);
            }
        }
        if !self.again.is_empty() {
            let parked = TopicName::stored(names::TRANS_CHECK_MAX_TIME_TOPIC);
            self.broker.wake(&parked, QUEUE);
        }
        transactions.table.lock().advance(next);
        transactions.ended.notify_one();
        match (ended, breathe) {
            (true, _) => Step::Done,
            (false, true) => Step::Breathe,
            (false, false) => Step::Again,
        }
    }

    /// Asks a living member of the producer group; `true` if it has much to read already.
    fn ask(&self, again: &Again, stored: &Appended) -> bool {
        let Ok(half) = Record::parse(again.slice.as_ref()) else {
            return false;
        };
        let group = half.properties.get(names::PGROUP).unwrap_or_default();
        let Some(channel) = self.producer(group) else {
            tracing::warn!(group, "nobody of the producer group is there to be asked");
            return false;
        };
        if let Some(question) = question(&half, again.properties.clone(), stored, &self.options) {
            channel.send_oneway(question);
        }
        channel.unsent_bytes() > UNREAD_MAX
    }

    fn producer(&self, group: &str) -> Option<Arc<Channel>> {
        let clients = self.broker.clients.lock();
        let living =
            |member: &&crate::broker::clients::Member<Arc<Channel>>| !member.handle.is_closed();
        let members = clients.producers(group)?;
        let count = members.values().filter(living).count();
        let turn = self
            .broker
            .transactions
            .turn
            .fetch_add(1, Ordering::Relaxed);
        let chosen = turn.checked_rem(count)?;
        let member = members.values().filter(living).nth(chosen)?;
        Some(Arc::clone(&member.handle))
    }
}

fn fate(
    half: &Record<'_>,
    first: State,
    options: &BrokerOptions,
    (start_ms, now_ms): (i64, i64),
) -> Fate {
    if first.is_over() {
        return Fate::Ended(first);
    }
    let age_ms = now_ms.saturating_sub(half.born_timestamp);
    let hours = i64::try_from(options.store.file_reserved_hours).unwrap_or(i64::MAX);
    let asked = half
        .properties
        .get(names::TRANSACTION_CHECK_TIMES)
        .is_some();
    let too_often = asked && records::check_times(half) >= options.transaction_check_max;
    if too_often || age_ms > hours.saturating_mul(3_600_000) {
        return Fate::GiveUp;
    }
    if half.store_timestamp >= start_ms {
        return Fate::Wait;
    }
    let timeout_ms = options.transaction_time_out;
    match records::immunity_ms(half) {
        Some(immunity) => {
            let immunity_ms = immunity.ok().filter(|ms| *ms >= 0).unwrap_or(timeout_ms);
            if age_ms <= immunity_ms {
                Fate::Immune
            } else {
                Fate::Ask
            }
        }
        // A message from the future comes from a clock that is wrong; waiting for it helps nobody.
        None if (0..=timeout_ms).contains(&age_ms) => Fate::Wait,
        None => Fate::Ask,
    }
}

/// A message as it was, in another place.
pub(crate) fn again<'a>(
    half: &Record<'a>,
    topic: &'a str,
    queue_id: QueueId,
    properties: &'a [u8],
) -> Draft<'a> {
    Draft {
        topic,
        queue_id: queue_id.to_wire(),
        flag: half.flag,
        sys_flag: half.sys_flag,
        born_timestamp: half.born_timestamp,
        born_host: half.born_host,
        store_host: half.store_host,
        reconsume_times: half.reconsume_times,
        prepared_transaction_offset: 0,
        body: half.body,
        properties,
    }
}

/// `CHECK_TRANSACTION_STATE` with the message in its body, under its real topic.
fn question(
    half: &Record<'_>,
    mut properties: PropertiesBuf,
    stored: &Appended,
    options: &BrokerOptions,
) -> Option<Command> {
    let (topic, queue_id) = records::destination(half)?;
    properties.set(names::WAIT, "false");
    let wire = properties.to_wire();
    let mut body = Vec::new();
    let draft = again(half, topic.as_str(), queue_id, &wire);
    draft.encode_into(&mut body).ok()?;
    let (queue_offset, log_offset) = (stored.queue_offset.to_wire(), stored.log_offset.to_wire());
    let sys_flag = Record::parse(&body).ok()?.sys_flag;
    record::patch(
        &mut body,
        sys_flag,
        queue_offset,
        log_offset,
        half.store_timestamp,
    );
    let unique = Properties::new(&wire).get(names::UNIQ_KEY);
    let message_id = offset_message_id(half.store_host, stored.log_offset);
    let header = CheckTransactionStateRequestHeader {
        topic: Some(names::HALF_TOPIC),
        tran_state_table_offset: queue_offset,
        commit_log_offset: log_offset,
        msg_id: unique,
        transaction_id: unique,
        offset_msg_id: Some(&message_id),
        broker_name: Some(&options.broker_name),
    };
    Some(Command::request(RequestCode::CHECK_TRANSACTION_STATE, &header).with_body(body))
}
