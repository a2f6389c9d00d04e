//! From every record to its queue entry, and from every entry to its record.
//!
//! Each entry that a record of the log has found as its own is counted. A queue in which all entries are counted needs
//! no second look; the entries of the others are followed one by one.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use super::batches::Batches;
use super::{Finding, Looked, Problem, Sink, Verify, entry_at, position, record_at};
use crate::base::QueueOffset;
use crate::message::record::Record;
use crate::message::{names, sysflag, tags_code};
use crate::store::dispatch::light_queues;
use crate::store::layout::can_be_directory;
use crate::store::log::Walk;
use crate::store::queue::Entry;
use crate::store::view::QueueView;
use crate::store::{View, ViewError};

/// How many queues have their file open at a time.
const OPEN_QUEUES_MAX: usize = 256;
/// A lost message's place is taken by a copy of an entry at most so many places behind it (`store::log::replay`).
const PLUGS_MAX: u64 = 64;

/// The queues as the walk over the log has found them so far.
pub(super) struct Queued<'a> {
    view: &'a View,
    how: &'a Verify,
    log_begin: u64,
    topics: Vec<Topic>,
    /// Where each topic is in `topics`.
    names: HashMap<String, usize>,
    open: usize,
    batches: Batches,
}

struct Topic {
    queues: HashMap<u32, One>,
    /// Its queues are in `batchconsumequeue`.
    in_batches: bool,
    /// It is not configured any more.
    is_deleted: bool,
}

struct One {
    queue: QueueView,
    is_open: bool,
    /// Entries that a record has found as its own.
    matched: u64,
}

/// Where a record wants to be.
struct Place<'a> {
    topic: &'a str,
    queue_id: u32,
    number: u64,
}

impl<'a> Queued<'a> {
    pub(super) fn new(view: &'a View, how: &'a Verify, log_begin: u64) -> Self {
        Self {
            view,
            how,
            log_begin,
            topics: Vec::new(),
            names: HashMap::new(),
            open: 0,
            batches: Batches::default(),
        }
    }

    /// Looks a record up in its queues.
    pub(super) fn record(
        &mut self,
        record: &Record<'_>,
        probe: &mut Walk,
        looked: &mut Looked,
        sink: &mut Sink<'_>,
    ) -> Result<(), ViewError> {
        let transaction = sysflag::transaction(record.sys_flag);
        if !matches!(transaction, 0 | sysflag::TRANSACTION_COMMIT) {
            return Ok(());
        }
        let not_queued = |topic: &str, queue_id, number| Finding::NotQueued {
            at: position(record),
            topic: topic.to_owned(),
            queue_id,
            number,
        };
        let place = u32::try_from(record.queue_id)
            .ok()
            .zip(u64::try_from(record.queue_offset).ok())
            .filter(|_| can_be_directory(record.topic));
        let Some((queue_id, number)) = place else {
            sink.found(not_queued(
                record.topic,
                record.queue_id,
                record.queue_offset,
            ));
            return Ok(());
        };
        let own = Place {
            topic: record.topic,
            queue_id,
            number,
        };
        if !self.is_at(&own, record, probe, looked)? {
            sink.found(not_queued(
                record.topic,
                record.queue_id,
                record.queue_offset,
            ));
        }
        if record.properties.get(names::INNER_MULTI_DISPATCH).is_none() {
            return Ok(());
        }
        for (topic, number) in light_queues(record) {
            let light = Place {
                topic,
                queue_id: 0,
                number,
            };
            if can_be_directory(topic) && !self.is_at(&light, record, probe, looked)? {
                sink.found(not_queued(topic, 0, number.cast_signed()));
            }
        }
        Ok(())
    }

    /// Whether the record has its place, or there is a good reason that it has none.
    fn is_at(
        &mut self,
        place: &Place<'_>,
        record: &Record<'_>,
        probe: &mut Walk,
        looked: &mut Looked,
    ) -> Result<bool, ViewError> {
        let live = self.how.live;
        let topic = self.topic(place.topic);
        if self.topics[topic].in_batches {
            return Ok(self.batches.holds(record, self.view)? || live);
        }
        let is_deleted = self.topics[topic].is_deleted;
        let one = self.queue(topic, place)?;
        let entry = entry_at(&mut one.queue, place.number)?;
        let Some(entry) = entry.filter(|entry| !entry.is_filler()) else {
            // Entries are written one after the other, so a running broker's are missing at the end only.
            if live && one.queue.end()?.get() <= place.number {
                looked.behind += 1;
                return Ok(true);
            }
            if is_deleted {
                looked.of_deleted_topics += 1;
                return Ok(true);
            }
            return Ok(false);
        };
        if entry.log_offset == record.physical_offset {
            let right = i64::from(entry.size) == i64::from(record.size)
                && tags_are(place.topic, &entry, record);
            // One that is not right is followed later, with all of its queue.
            one.matched += u64::from(right);
            return Ok(true);
        }
        // A topic that was made again has begun again at 0, and these are the messages of the one before.
        let made_again = entry.log_offset > record.physical_offset
            && entry_problem(probe, place, &entry, None).is_none();
        if made_again {
            looked.of_deleted_topics += 1;
        }
        Ok(made_again)
    }

    /// The place of a topic in the list.
    fn topic(&mut self, name: &str) -> usize {
        if let Some(known) = self.names.get(name) {
            return *known;
        }
        let batches = self.view.layout().batch_consume_queues().join(name);
        let configured = self.how.topics.as_ref();
        self.topics.push(Topic {
            queues: HashMap::new(),
            in_batches: batches.exists(),
            is_deleted: configured.is_some_and(|topics| !topics.contains(name)),
        });
        let place = self.topics.len() - 1;
        self.names.insert(name.to_owned(), place);
        place
    }

    fn queue(&mut self, topic: usize, place: &Place<'_>) -> Result<&mut One, ViewError> {
        if self.open >= OPEN_QUEUES_MAX {
            self.open = 0;
            let topics = self.topics.iter_mut();
            for one in topics.flat_map(|topic| topic.queues.values_mut()) {
                one.queue.close();
                one.is_open = false;
            }
        }
        let one = match self.topics[topic].queues.entry(place.queue_id) {
            Slot::Occupied(known) => known.into_mut(),
            Slot::Vacant(new) => new.insert(One {
                queue: self.view.queue(place.topic, place.queue_id)?,
                is_open: false,
                matched: 0,
            }),
        };
        self.open += usize::from(!one.is_open);
        one.is_open = true;
        Ok(one)
    }

    /// Looks at what no record has claimed.
    pub(super) fn finish(
        mut self,
        probe: &mut Walk,
        looked: &mut Looked,
        sink: &mut Sink<'_>,
    ) -> Result<(), ViewError> {
        for (topic, queue_id) in self.view.queues()? {
            looked.queues += 1;
            let known = self.names.get(&topic).copied();
            let known = known.and_then(|known| self.topics[known].queues.remove(&queue_id));
            let matched = known.as_ref().map_or(0, |one| one.matched);
            let mut queue = match known {
                Some(one) => one.queue,
                None => self.view.queue(&topic, queue_id)?,
            };
            let (first, end) = (queue.first().get(), queue.end()?.get());
            let readable = queue.first_from(self.log_begin)?.get();
            if matched == end.saturating_sub(readable) {
                looked.queue_entries += end.saturating_sub(first);
            } else if !sink.stopped {
                self.follow(&topic, queue_id, &mut queue, probe, looked, sink)?;
            }
            queue.close();
        }
        Ok(())
    }

    /// Follows every entry of a queue.
    fn follow(
        &self,
        topic: &str,
        queue_id: u32,
        queue: &mut QueueView,
        probe: &mut Walk,
        looked: &mut Looked,
        sink: &mut Sink<'_>,
    ) -> Result<(), ViewError> {
        queue.rewind();
        while !sink.stopped
            && let Some(next) = queue.next_entry()
        {
            let (number, entry) = next?;
            if entry.is_filler() {
                looked.places_of_lost += 1;
                continue;
            }
            looked.queue_entries += 1;
            let deleted = u64::try_from(entry.log_offset).is_ok_and(|at| at < self.log_begin);
            if deleted {
                continue;
            }
            let place = Place {
                topic,
                queue_id,
                number: number.get(),
            };
            let end = (!self.how.live).then_some(looked.log_end);
            let Some(problem) = entry_problem(probe, &place, &entry, end) else {
                continue;
            };
            if is_plug(queue, probe, &place, &entry)? {
                looked.places_of_lost += 1;
                continue;
            }
            sink.found(Finding::QueueEntry {
                topic: topic.to_owned(),
                queue_id,
                number,
                problem,
            });
        }
        Ok(())
    }
}

/// Whether the entry stands for a lost message: it is a copy of the next one that is right.
fn is_plug(
    queue: &mut QueueView,
    probe: &mut Walk,
    place: &Place<'_>,
    entry: &Entry,
) -> Result<bool, ViewError> {
    for number in place.number + 1..=place.number.saturating_add(PLUGS_MAX) {
        match entry_at(queue, number)? {
            Some(next) if next == *entry => {
                let own = Place { number, ..*place };
                if entry_problem(probe, &own, entry, None).is_none() {
                    return Ok(true);
                }
            }
            _ => return Ok(false),
        }
    }
    Ok(false)
}

fn entry_problem(
    log: &mut Walk,
    place: &Place<'_>,
    entry: &Entry,
    log_end: Option<u64>,
) -> Option<Problem> {
    let at = entry.log_offset;
    let record = match record_at(log, at, log_end) {
        Ok(record) => record,
        Err(problem) => return Some(problem),
    };
    let other = |part| Some(Problem::OtherRecord { at, part });
    if i64::from(entry.size) != i64::from(record.size) {
        return other("length");
    }
    // A light queue shares its records with the topic they were sent to, under numbers of its own.
    if light_queues(&record).any(|queue| queue == (place.topic, place.number)) {
        return None;
    }
    if record.topic != place.topic {
        return other("topic");
    }
    if i64::from(record.queue_id) != i64::from(place.queue_id) {
        return other("queue");
    }
    if record.queue_offset != QueueOffset::new(place.number).to_wire() {
        return other("queue offset");
    }
    if !tags_are(place.topic, entry, &record) {
        return other("tags");
    }
    None
}

/// Whether the entry's third part is the hash of the record's tags, where it is one: in the delay topic it is a time,
/// and numbers no hash can have are addresses of extensions.
fn tags_are(topic: &str, entry: &Entry, record: &Record<'_>) -> bool {
    topic == names::SCHEDULE_TOPIC
        || i32::try_from(entry.tags_code).is_err()
        || entry.tags_code == tags_code(record.properties.get(names::TAGS))
}
