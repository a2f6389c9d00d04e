//! The timer's work, in steps: deliver what is due, file what has arrived, note how far that got.
//!
//! The order within a step keeps the promises. Due messages go before new ones, so a slot's place in the wheel is free
//! again before it is used for a later time. Messages that arrive too late to be filed are delivered before the queue's
//! offset moves. The checkpoint is written only when the log with everything delivered so far is on the disk.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Timer;
use super::delivered::Delivered;
use super::told;
use crate::base::{LogOffset, QueueId, TopicName};
use crate::broker::Broker;
use crate::broker::options::BrokerOptions;
use crate::message::hash::java_string_hash;
use crate::message::properties::write_pair;
use crate::message::{PropertiesBuf, Record, names};
use crate::store::timer::format::{Check, KIND_DELETE, KIND_ROLL, SLOTS};
use crate::store::timer::{Due, TimerFiles, Waiting};
use crate::store::{AppendGroup, Store};
use crate::sys::Clock;
use crate::sys::worker::Next;

/// After a refused append (a full disk, for one) the timer tries again after this.
pub(super) const RETRY: Duration = Duration::from_secs(1);
/// Messages filed in one go.
const FILE_MAX: usize = 1024;
/// Messages, and bytes, delivered as one append.
const GROUP_MAX: usize = 256;
const GROUP_BYTES_MAX: usize = 1 << 20;
/// The log may grow by so much before the place moves where a start after a crash begins to look.
const SCAN_MAX: u64 = 64 << 20;
/// Slots Apache keeps free between the longest wait and a full turn of half the wheel.
const BLANK_SLOTS: i64 = 60;

/// The state of the timer.
pub(super) struct Engine {
    files: TimerFiles,
    precision_ms: i64,
    /// Longer waits are cut into several.
    window_ms: i64,
    save_every_ms: i64,
    queue_offset: u64,
    delivered: Delivered,
    /// This broker has taken its master's place: what that one had filed up to the offset, and delivered up to the time.
    dealt_with: Option<Check>,
    /// The files were made anew.
    anew: bool,
    /// When this time is read and this offset filed, nothing from before the start is left.
    started: (i64, u64),
    /// A slot whose messages are delivered in part.
    partial: Option<(i64, usize)>,
    /// The log must be on the disk so far before the checkpoint says what was delivered.
    deliveries_end: u64,
    changed: bool,
    saved_ms: i64,
    group: AppendGroup,
    touched: Vec<(TopicName, QueueId)>,
    record: Vec<u8>,
    properties: Vec<u8>,
}

/// The store takes nothing now.
struct Refused;

impl Engine {
    /// Opens the files, finds the place in the queue and what was delivered behind the last checkpoint.
    pub(super) fn open(store: &Store, options: &BrokerOptions, now_ms: i64) -> io::Result<Self> {
        let precision_ms = options.timer_precision_ms();
        let file_bytes = u64::from(options.mapped_file_size_timer_log);
        let dir = store.layout().dir();
        let dealt_with = told::read(dir);
        if dealt_with.is_some() {
            // Whatever this broker filed when it was master itself is long out of date.
            TimerFiles::discard(dir)?;
        }
        let (mut files, opened) = TimerFiles::open(store.layout().dir(), precision_ms, file_bytes)?;
        let check = files.check();
        let queue = store.find_queue(names::TIMER_TOPIC, QueueId::new(0));
        let (min, max) = queue.as_ref().map_or((0, 0), |queue| {
            (queue.min_offset().get(), queue.max_offset().get())
        });
        let noted = u64::try_from(check.queue_offset).unwrap_or(0);
        let newest = opened.last.and_then(|unit| {
            let at = LogOffset::from_wire(unit.log_offset)?;
            let slice = store.record_at(at)?;
            let record = Record::parse(slice.as_ref()).ok()?;
            let offset = u64::try_from(record.queue_offset).ok()?;
            (record.topic == names::TIMER_TOPIC).then_some(offset + 1)
        });
        let queue_offset = if opened.anew {
            0
        } else {
            noted.max(newest.unwrap_or(0))
        };
        let scan_from = if opened.anew {
            Some(store.log_start())
        } else {
            check.scan_from.map(LogOffset::new)
        };
        let told_from = dealt_with.and_then(|check| check.scan_from);
        let delivered = match (queue.filter(|_| max > 0), told_from, scan_from) {
            (None, ..) | (_, None, None) => Delivered::default(),
            (Some(queue), Some(from), _) => {
                Delivered::scan_told(store, LogOffset::new(from), &queue)
            }
            (Some(_), None, Some(from)) => Delivered::scan(store, from, opened.anew),
        };
        let tick_ms = now_ms.div_euclid(precision_ms) * precision_ms;
        files.rewind(tick_ms)?;
        let slots = i64::from(options.timer_roll_window_slot);
        let longest = SLOTS.cast_signed() / 2 - BLANK_SLOTS;
        let slots = if (2..=longest).contains(&slots) {
            slots
        } else {
            longest
        };
        Ok(Self {
            files,
            precision_ms,
            window_ms: slots * precision_ms,
            save_every_ms: i64::from(options.timer_flush_interval_ms).max(100),
            queue_offset: queue_offset.clamp(min, max.max(min)),
            delivered,
            dealt_with,
            anew: opened.anew,
            started: (now_ms, max),
            partial: None,
            deliveries_end: 0,
            changed: opened.anew,
            saved_ms: 0,
            group: store.append_group(),
            touched: Vec::new(),
            record: Vec::new(),
            properties: Vec::new(),
        })
    }

    /// Whether every waiting message will be filed, and counted, again.
    pub(super) fn counts_anew(&self) -> bool {
        self.anew
    }

    pub(super) fn read_ms(&self) -> i64 {
        self.files.read_ms()
    }

    pub(super) fn queue_offset(&self) -> i64 {
        self.queue_offset.cast_signed()
    }

    pub(super) fn waiting(&self) -> i64 {
        self.files.waiting()
    }

    /// How many messages wait for the tick that begins at `slot_ms`.
    pub(super) fn count(&self, slot_ms: i64) -> i64 {
        self.files.count(slot_ms)
    }

    pub(super) fn check(&self) -> Check {
        self.files.check()
    }

    fn tick(&self, now_ms: i64) -> i64 {
        now_ms.div_euclid(self.precision_ms) * self.precision_ms
    }

    /// Does what can be done now and says when to come again.
    pub(super) fn step(&mut self, broker: &Arc<Broker>, timer: &Timer) -> io::Result<Next> {
        self.files.commit()?;
        let now_ms = broker.clock.now_ms();
        let tick_ms = self.tick(now_ms);
        let (stop_enqueue, stop_dequeue) = {
            let options = broker.options.load();
            (options.timer_stop_enqueue, options.timer_stop_dequeue)
        };
        let due = |slot: &i64| *slot < tick_ms && !stop_dequeue;
        while let Some(slot_ms) = self.files.next_slot_ms().filter(due) {
            if self.deliver_slot(broker, timer, slot_ms)?.is_err() {
                return Ok(Next::Pause(RETRY));
            }
        }
        self.files.pass(tick_ms);
        let filed = if stop_enqueue {
            Ok(false)
        } else {
            self.file(broker, timer, tick_ms)?
        };
        let more = match filed {
            Ok(more) => more,
            Err(Refused) => return Ok(Next::Pause(RETRY)),
        };
        if self.files.read_ms() > self.started.0 && self.queue_offset >= self.started.1 {
            self.delivered = Delivered::default();
        }
        let save_in_ms = self.save_if_time(broker, timer)?;
        if more {
            return Ok(Next::After(Duration::ZERO));
        }
        let due_ms = self.files.next_slot_ms().filter(|_| !stop_dequeue);
        let due = due_ms.map_or(Next::Idle, |slot_ms| {
            broker
                .clock
                .next_at(slot_ms.saturating_add(self.precision_ms))
        });
        Ok(match (due, save_in_ms) {
            (due, None) => due,
            (Next::After(due), Some(save)) => Next::After(due.min(save)),
            (_, Some(save)) => Next::After(save),
        })
    }

    /// Delivers a slot that is due. Whoever is taken back by a message of the same slot stays away.
    fn deliver_slot(
        &mut self,
        broker: &Arc<Broker>,
        timer: &Timer,
        slot_ms: i64,
    ) -> io::Result<Result<(), Refused>> {
        self.move_scan(&broker.store)?;
        let due = self.files.slot(slot_ms)?;
        let taken_back = self.taken_back(&broker.store, &due);
        let done = self.partial.filter(|(slot, _)| *slot == slot_ms);
        let mut at = done.map_or(0, |(_, done)| done);
        let mut noted = at;
        self.changed = true;
        while let Some(one) = due.get(at) {
            at += 1;
            if one.kind & (KIND_DELETE | KIND_ROLL) != KIND_DELETE {
                let enqueued_ms = one.written_ms;
                self.push(broker, timer, one, enqueued_ms, &taken_back);
            }
            let full = self.group.len() >= GROUP_MAX || self.group.bytes() >= GROUP_BYTES_MAX;
            if full || at == due.len() {
                if self.append(broker).is_err() {
                    self.partial = Some((slot_ms, noted));
                    return Ok(Err(Refused));
                }
                noted = at;
            }
        }
        self.partial = None;
        self.files.done(slot_ms)?;
        Ok(Ok(()))
    }

    /// The keys of the messages that a slot's own messages take back.
    fn taken_back(&mut self, store: &Store, due: &[Due]) -> HashSet<String> {
        let mut keys = HashSet::new();
        for one in due
            .iter()
            .filter(|one| one.kind & (KIND_DELETE | KIND_ROLL) == KIND_DELETE)
        {
            if store.copy_record(one.log_offset, one.size, &mut self.record)
                && let Ok(record) = Record::parse(&self.record)
                && let Some(key) = record.properties.get(names::TIMER_DEL_UNIQKEY)
            {
                keys.insert(key.to_owned());
            }
        }
        keys
    }

    /// Puts the copy of a waiting message into the group: for its own topic, or for the timer topic again.
    fn push(
        &mut self,
        broker: &Broker,
        timer: &Timer,
        one: &Due,
        enqueued_ms: i64,
        taken_back: &HashSet<String>,
    ) {
        let at = one.log_offset;
        if !broker.store.copy_record(at, one.size, &mut self.record) {
            tracing::warn!(at, "a timer message is not in the log any more");
            return;
        }
        let Ok(record) = Record::parse(&self.record) else {
            tracing::warn!(at, "a timer message cannot be read and is left out");
            return;
        };
        let Some((real_topic, real_queue)) = destination(&record) else {
            tracing::warn!(
                at,
                "a timer message does not say where it belongs and is left out"
            );
            return;
        };
        let roll = one.kind & KIND_ROLL != 0;
        if !roll && is_taken_back(&record, real_topic, taken_back) {
            return;
        }
        if self.delivered.take(real_topic, &record) {
            return;
        }
        let now_ms = broker.clock.now_ms();
        if enqueued_ms != i64::MAX {
            timer.metrics.lock().add(real_topic, -1, now_ms);
        }
        write_properties(&record, enqueued_ms, roll, now_ms, &mut self.properties);
        let (topic, queue_id) = if roll {
            (TopicName::stored(names::TIMER_TOPIC), QueueId::new(0))
        } else {
            (TopicName::stored(real_topic), real_queue)
        };
        let queue = broker.queue(&topic, queue_id);
        let draft = record.draft_for(topic.as_str(), queue_id.to_wire(), &self.properties);
        match self.group.push(&draft, &queue) {
            Ok(_) => self.touched.push((topic, queue_id)),
            Err(error) => tracing::warn!(at, "a timer message cannot be delivered: {error}"),
        }
    }

    /// Appends the group and wakes the consumers that wait for it.
    fn append(&mut self, broker: &Arc<Broker>) -> Result<(), Refused> {
        let appended = broker.store.append(&mut self.group);
        let pushed = self.group.len() as u64;
        let end = self.group.end().get();
        self.group.clear();
        let mut touched = std::mem::take(&mut self.touched);
        if let Err(error) = appended {
            tracing::warn!("timer messages wait: {error}");
            return Err(Refused);
        }
        if pushed == 0 {
            return Ok(());
        }
        broker.stats.put.add(pushed);
        broker.stats.timer_delivered.add(pushed);
        self.deliveries_end = self.deliveries_end.max(end);
        touched.sort_unstable();
        touched.dedup();
        for (topic, queue_id) in touched {
            broker.wake(&topic, queue_id);
        }
        Ok(())
    }

    /// Files messages that have arrived in the timer topic; true if there may be more.
    fn file(
        &mut self,
        broker: &Arc<Broker>,
        timer: &Timer,
        tick_ms: i64,
    ) -> io::Result<Result<bool, Refused>> {
        let Some(queue) = broker.store.find_queue(names::TIMER_TOPIC, QueueId::new(0)) else {
            return Ok(Ok(false));
        };
        self.queue_offset = self.queue_offset.max(queue.min_offset().get());
        let mut entries = Vec::new();
        queue.read(self.queue_offset, FILE_MAX, &mut entries);
        if entries.is_empty() {
            return Ok(Ok(false));
        }
        self.move_scan(&broker.store)?;
        self.changed = true;
        let mut next = self.queue_offset;
        let mut filed = Vec::new();
        // A clock that was set back must not file anything before the time that is read already.
        let open_ms = tick_ms.max(self.files.read_ms());
        for entry in &entries {
            if self.group.bytes() >= GROUP_BYTES_MAX {
                break;
            }
            next += 1;
            let (at, size) = (entry.log_offset, entry.size);
            let Some(message) = self.look_at(broker, at, size, tick_ms) else {
                continue;
            };
            if self.is_dealt_with(next - 1, &message) {
                continue;
            }
            if message.slot_ms >= open_ms {
                // One that was rolled waits as its copy.
                if !self.was_rolled() {
                    filed.push(message);
                }
            } else if message.kind & KIND_DELETE == 0 {
                let taken_back = std::mem::take(&mut self.delivered.taken_back);
                let late = Due {
                    log_offset: at,
                    size,
                    kind: 0,
                    written_ms: tick_ms,
                };
                self.push(broker, timer, &late, i64::MAX, &taken_back);
                self.delivered.taken_back = taken_back;
            }
        }
        if self.append(broker).is_err() {
            return Ok(Err(Refused));
        }
        for message in &filed {
            self.files.add(message)?;
            self.note(broker, timer, message);
        }
        broker.stats.timer_filed.add(filed.len() as u64);
        self.queue_offset = next;
        self.files.commit()?;
        Ok(Ok(true))
    }

    /// What a message of the timer topic asks for.
    fn look_at(&mut self, broker: &Broker, at: i64, size: i32, tick_ms: i64) -> Option<Waiting> {
        if !broker.store.copy_record(at, size, &mut self.record) {
            return None;
        }
        let record = Record::parse(&self.record).ok()?;
        let out_ms: Option<i64> = record
            .properties
            .get(names::TIMER_OUT_MS)
            .and_then(|out| out.parse().ok());
        let Some(out_ms) = out_ms else {
            tracing::warn!(
                at,
                "a message of the timer topic has no time and is left out"
            );
            return None;
        };
        let mut slot_ms = self.tick(out_ms);
        let mut kind = 0;
        if record.properties.get(names::TIMER_DEL_UNIQKEY).is_some() {
            kind |= KIND_DELETE;
        }
        let wait_ms = slot_ms.saturating_sub(tick_ms);
        if wait_ms >= self.window_ms {
            kind |= KIND_ROLL;
            // What is left after this turn should be worth a turn of its own.
            let turn_ms = if wait_ms - self.window_ms < self.window_ms / 3 {
                self.tick(self.window_ms / 2)
            } else {
                self.window_ms
            };
            slot_ms = tick_ms + turn_ms;
        }
        let topic = record.properties.get(names::REAL_TOPIC);
        Some(Waiting {
            slot_ms,
            written_ms: tick_ms,
            kind,
            log_offset: at,
            size,
            topic_hash: topic.map_or(0, java_string_hash),
        })
    }

    /// Whether the master whose place this broker took has dealt with the message at `offset` of the timer topic.
    fn is_dealt_with(&self, offset: u64, message: &Waiting) -> bool {
        self.dealt_with.is_some_and(|check| {
            offset < u64::try_from(check.queue_offset).unwrap_or(0)
                && message.slot_ms < check.read_ms
        })
    }

    /// Whether the log has a later copy of the message looked at last, for the rest of its time.
    fn was_rolled(&mut self) -> bool {
        let Ok(record) = Record::parse(&self.record) else {
            return false;
        };
        let topic = record.properties.get(names::REAL_TOPIC);
        topic.is_some_and(|topic| self.delivered.take(topic, &record))
    }

    fn note(&mut self, broker: &Broker, timer: &Timer, message: &Waiting) {
        if broker
            .store
            .copy_record(message.log_offset, message.size, &mut self.record)
            && let Ok(record) = Record::parse(&self.record)
            && let Some(topic) = record.properties.get(names::REAL_TOPIC)
        {
            let more = if message.kind & KIND_DELETE == 0 {
                1
            } else {
                -1
            };
            timer.metrics.lock().add(topic, more, broker.clock.now_ms());
        }
    }

    /// Lets a start after a crash begin to look no further back than it must.
    fn move_scan(&mut self, store: &Store) -> io::Result<()> {
        let end = store.appended().get();
        let mut check = self.files.check();
        let far = check
            .scan_from
            .is_none_or(|from| end.saturating_sub(from) > SCAN_MAX);
        // While something delivered is not noted yet, the next checkpoint moves it.
        if far && !self.changed {
            check.scan_from = Some(end);
            self.files.write_check(check, false)?;
        }
        Ok(())
    }

    /// Notes the progress if it is time to; says when to come again for that.
    fn save_if_time(&mut self, broker: &Broker, timer: &Timer) -> io::Result<Option<Duration>> {
        if !self.changed {
            return Ok(None);
        }
        let every = self.save_every_ms;
        let since_ms = Clock::machine_ms().saturating_sub(self.saved_ms);
        let left_ms = if since_ms < 0 { 0 } else { every - since_ms };
        if left_ms > 0 {
            let left = Duration::from_millis(left_ms.cast_unsigned());
            return Ok(Some(left));
        }
        if broker.store.flushed().get() < self.deliveries_end {
            return Ok(Some(Duration::from_millis(every.cast_unsigned())));
        }
        self.save(broker, timer)?;
        Ok(None)
    }

    /// Notes the progress. Everything delivered must be on the disk.
    pub(super) fn save(&mut self, broker: &Broker, timer: &Timer) -> io::Result<()> {
        let scan_from = broker.store.appended().get();
        self.files.sync()?;
        if self.partial.is_none() {
            let now_ms = broker.clock.now_ms();
            let before = self.files.check();
            let mut check = Check {
                read_ms: self.files.read_ms(),
                flushed: self.files.flushed(),
                queue_offset: self.queue_offset.cast_signed(),
                master_queue_offset: self.queue_offset.cast_signed(),
                scan_from: Some(scan_from),
                ..before
            };
            if (check.read_ms, check.queue_offset) != (before.read_ms, before.queue_offset) {
                check.counter += 1;
                check.changed_ms = now_ms;
            }
            self.files.write_check(check, true)?;
            if self.dealt_with.is_some() && self.queue_offset >= self.started.1 {
                told::forget(broker.store.layout().dir())?;
                self.dealt_with = None;
            }
        }
        self.files.remove_old(broker.store.log_start().get())?;
        timer.metrics.lock().save()?;
        self.saved_ms = Clock::machine_ms();
        self.changed = self.partial.is_some();
        Ok(())
    }
}

fn destination<'a>(record: &Record<'a>) -> Option<(&'a str, QueueId)> {
    let topic = record.properties.get(names::REAL_TOPIC)?;
    let queue: i32 = record.properties.get(names::REAL_QID)?.parse().ok()?;
    Some((topic, QueueId::from_wire(queue)?))
}

/// Both forms of the key count: `appendTopicForTimerDeleteKey` decides which one Apache writes.
fn is_taken_back(record: &Record<'_>, topic: &str, keys: &HashSet<String>) -> bool {
    let key = record.properties.get(names::UNIQ_KEY);
    !keys.is_empty()
        && key.is_some_and(|key| keys.contains(key) || keys.contains(&format!("{topic}+{key}")))
}

fn write_properties(
    record: &Record<'_>,
    enqueued_ms: i64,
    roll: bool,
    now_ms: i64,
    out: &mut Vec<u8>,
) {
    out.clear();
    if roll || record.properties.get(names::TIMER_DEQUEUE_MS).is_some() {
        let mut properties = PropertiesBuf::from(record.properties);
        properties.set(names::TIMER_ENQUEUE_MS, enqueued_ms.to_string());
        properties.set(names::TIMER_DEQUEUE_MS, now_ms.to_string());
        if roll {
            let times = properties.get(names::TIMER_ROLL_TIMES);
            let times: i32 = times.and_then(|times| times.parse().ok()).unwrap_or(0);
            properties.set(names::TIMER_ROLL_TIMES, times.saturating_add(1).to_string());
        }
        properties.write_to(out);
        return;
    }
    out.extend_from_slice(record.properties.as_bytes());
    // The last pair of a record made elsewhere may lack its end.
    if out.last().is_some_and(|last| *last != 2) {
        out.push(2);
    }
    write_pair(out, names::TIMER_ENQUEUE_MS, &enqueued_ms.to_string());
    write_pair(out, names::TIMER_DEQUEUE_MS, &now_ms.to_string());
}
