//! Reading: messages of a queue by offset or by time, and single records.

use std::ops::ControlFlow;

use super::Store;
use super::log::{LogSlice, Reader, Stretch};
use super::queue::{Entry, Queue};
use crate::base::{LogOffset, QueueOffset};
use crate::message::record::Record;

/// How a read ended, by Apache's names (`GetMessageStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetStatus {
    /// There are messages.
    Found,
    /// Messages were there, the filter wanted none of them.
    NoMatchedMessage,
    /// The records were deleted between looking and reading.
    MessageWasRemoving,
    /// The queue has an entry for the offset nowhere: its files were deleted.
    OffsetFoundNull,
    /// Behind the end by more than one.
    OffsetOverflowBadly,
    /// Exactly the end: wait there.
    OffsetOverflowOne,
    /// Below the first message.
    OffsetTooSmall,
    /// The queue never had a message.
    NoMessageInQueue,
}

/// Where a read stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// At most so many messages.
    pub messages: usize,
    /// Stop before a message that would make it more bytes than this; the first one is always given.
    pub bytes: usize,
}

/// What a read found.
#[derive(Debug)]
pub struct Found {
    /// How it ended.
    pub status: GetStatus,
    /// Where to go on.
    pub next: QueueOffset,
    /// The queue's first offset.
    pub min: QueueOffset,
    /// The offset its next message will get.
    pub max: QueueOffset,
    /// The records, in order; those that lie side by side are one slice.
    pub slices: Vec<LogSlice>,
    /// How many records.
    pub count: usize,
    /// How many bytes.
    pub bytes: usize,
}

impl Found {
    /// Brings what was found into memory, if it has left it. Blocks for as long as the disk takes.
    pub(crate) fn fetch(&self) {
        for slice in &self.slices {
            slice.fetch();
        }
    }
}

/// What a filter is asked about one message: first its queue entry, then, if that is wanted, its record.
#[derive(Debug, Clone, Copy)]
pub enum Candidate<'a> {
    /// The tags code of its entry.
    Entry(i64),
    /// The record as stored.
    Record(&'a [u8]),
}

/// What a filter says about a [`Candidate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Wanted, as far as it was shown.
    Take,
    /// Not wanted.
    Pass,
    /// The reader has had enough; the message is left for the next read. A read's first record must be judged, or no
    /// read would get past it.
    Stop,
}

impl From<bool> for Verdict {
    fn from(wanted: bool) -> Self {
        if wanted { Self::Take } else { Self::Pass }
    }
}

/// Which of several messages of one time is meant (`BoundaryType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Boundary {
    /// The first one stored at or after the time.
    #[default]
    Lower,
    /// The last one stored at or before the time.
    Upper,
}

/// Apache looks at no more entries than this for one pull, or at the number asked for if that is more.
const SCAN_MAX: usize = 800;
/// Entries copied out of the queue at a time.
const STEP: usize = 128;

impl Store {
    /// Reads messages of `queue` from `offset` on. `filter` sees each entry's tags code.
    pub fn get(
        &self,
        queue: &Queue,
        offset: QueueOffset,
        limits: ReadLimits,
        mut filter: impl FnMut(i64) -> bool,
    ) -> Found {
        self.get_matching(queue, offset, limits, |candidate| match candidate {
            Candidate::Entry(tags_code) => Verdict::from(filter(tags_code)),
            Candidate::Record(_) => Verdict::Take,
        })
    }

    /// As [`Store::get`], for a filter that wants to see records too.
    #[allow(clippy::missing_panics_doc, reason = "nothing can lie before 0")]
    pub fn get_matching(
        &self,
        queue: &Queue,
        offset: QueueOffset,
        limits: ReadLimits,
        filter: impl FnMut(Candidate<'_>) -> Verdict,
    ) -> Found {
        self.get_unless_cold(queue, offset, limits, 0, filter)
            .expect("nothing lies before the log's first byte")
    }

    /// As [`Store::get_matching`], but `None` when the first record to look at lies before `cold_before` in the log: it
    /// may have to come from the disk, and the caller knows of a better place to wait for that.
    pub(crate) fn get_unless_cold(
        &self,
        queue: &Queue,
        offset: QueueOffset,
        limits: ReadLimits,
        cold_before: u64,
        mut filter: impl FnMut(Candidate<'_>) -> Verdict,
    ) -> Option<Found> {
        // The end first: it only grows, so an offset below it stays readable or was retained away.
        let max = queue.max_offset();
        let min = queue.min_offset();
        let mut found = Found {
            status: GetStatus::NoMessageInQueue,
            next: QueueOffset::ZERO,
            min,
            max,
            slices: Vec::new(),
            count: 0,
            bytes: 0,
        };
        let (status, next) = if max == QueueOffset::ZERO {
            (GetStatus::NoMessageInQueue, QueueOffset::ZERO)
        } else if offset < min {
            (GetStatus::OffsetTooSmall, min)
        } else if offset == max {
            (GetStatus::OffsetOverflowOne, offset)
        } else if offset > max {
            (GetStatus::OffsetOverflowBadly, max)
        } else {
            let part = Part {
                queue,
                offset,
                limits,
                cold_before,
            };
            let is_warm = if queue.is_batch() {
                self.collect_batches(&part, &mut filter, &mut found)
            } else {
                self.collect(&part, &mut filter, &mut found)
            };
            return is_warm.then_some(found);
        };
        found.status = status;
        found.next = next;
        Some(found)
    }

    fn collect(
        &self,
        part: &Part<'_>,
        filter: &mut impl FnMut(Candidate<'_>) -> Verdict,
        found: &mut Found,
    ) -> bool {
        let Part {
            queue,
            offset,
            limits,
            ..
        } = *part;
        let scan_max = limits.messages.max(SCAN_MAX);
        let mut entries = Vec::with_capacity(STEP);
        let mut at = offset.get();
        let mut scanned = 0;
        found.status = GetStatus::OffsetFoundNull;
        let max = found.max;
        let mut records = self.collector(filter, found);
        'scan: while scanned < scan_max && at < max.get() {
            let left = usize::try_from(max.get() - at).unwrap_or(STEP);
            let step = STEP.min(left).min(scan_max - scanned);
            // One more, because the entry behind an entry tells whether that is a plug.
            queue.read(at, step + 1, &mut entries);
            let Some(first) = entries.first() else {
                break;
            };
            if scanned == 0 && part.is_cold(first) {
                return false;
            }
            for (index, entry) in entries.iter().enumerate().take(step) {
                if records.found.count >= limits.messages.max(1) {
                    break 'scan;
                }
                let wanted = entry.is_plausible()
                    && !is_plug(entry, entries.get(index + 1))
                    && records.wants(entry);
                let bytes = records.found.bytes.saturating_add(bytes_of(entry));
                if wanted && records.found.count > 0 && bytes > limits.bytes {
                    break 'scan;
                }
                let record = wanted.then_some((entry, 1));
                if records.add(record).is_break() {
                    break 'scan;
                }
                scanned += 1;
                at += 1;
            }
        }
        found.next = next_of(part, at, max);
        true
    }

    /// Like [`Store::collect`], from a batch queue: a record counts as many messages as it has, and an offset in the
    /// middle of one gives the whole record.
    fn collect_batches(
        &self,
        part: &Part<'_>,
        filter: &mut impl FnMut(Candidate<'_>) -> Verdict,
        found: &mut Found,
    ) -> bool {
        let Part {
            queue,
            offset,
            limits,
            ..
        } = *part;
        let scan_max = limits.messages.max(SCAN_MAX);
        let mut batches = Vec::with_capacity(STEP);
        let mut at = offset.get();
        let mut scanned = 0;
        found.status = GetStatus::OffsetFoundNull;
        let max = found.max;
        let mut records = self.collector(filter, found);
        'scan: while scanned < scan_max && at < max.get() {
            queue.read_batches(at, STEP, &mut batches);
            if scanned == 0
                && batches
                    .first()
                    .is_some_and(|first| part.is_cold(&first.entry))
            {
                return false;
            }
            let before = at;
            for batch in batches.iter().filter(|batch| batch.end() > before) {
                let messages = usize::try_from(batch.count).unwrap_or(1);
                let size = bytes_of(&batch.entry);
                let wanted = batch.is_plausible() && records.wants(&batch.entry);
                let is_full = records.found.count.saturating_add(messages) > limits.messages
                    || records.found.bytes.saturating_add(size) > limits.bytes;
                if records.found.count > 0 && wanted && is_full {
                    break 'scan;
                }
                let record = wanted.then_some((&batch.entry, messages));
                if records.add(record).is_break() {
                    break 'scan;
                }
                scanned += 1;
                at = batch.end();
            }
            if at == before {
                break;
            }
        }
        found.next = next_of(part, at, max);
        true
    }

    fn collector<'a, F>(&'a self, filter: &'a mut F, found: &'a mut Found) -> Collector<'a, F> {
        Collector {
            log: self.shared.log.reader(),
            filter,
            found,
        }
    }

    /// The whole record that begins at `at`.
    pub fn record_at(&self, at: LogOffset) -> Option<LogSlice> {
        self.shared.log.record_at(at.get())
    }

    /// When the message at `offset` was stored, ms since 1970.
    pub fn store_time(&self, queue: &Queue, offset: QueueOffset) -> Option<i64> {
        if offset < queue.min_offset() || offset >= queue.max_offset() {
            return None;
        }
        self.store_time_of(&queue.entry(offset.get())?)
    }

    fn store_time_of(&self, entry: &Entry) -> Option<i64> {
        let mut log = self.shared.log.reader();
        let record = record_of(entry, &mut log)?;
        Some(Record::parse(record.bytes()).ok()?.store_timestamp)
    }

    /// The offset that stands for a time (`ConsumeQueue.getOffsetInQueueByTime`): at the lower boundary the first
    /// message stored at or after it, at the upper one the last message stored at or before it. A time before the first
    /// message gives the first offset, one after the last message the end (lower) or the last message (upper).
    pub fn offset_by_time(
        &self,
        queue: &Queue,
        timestamp_ms: i64,
        boundary: Boundary,
    ) -> QueueOffset {
        let min = queue.min_offset().get();
        let first_where = |past: &dyn Fn(i64) -> bool| {
            // A record that retention takes away meanwhile is old: the answer lies behind it.
            queue.first_where(min, |entry| self.store_time_of(entry).is_some_and(past))
        };
        let offset = match boundary {
            Boundary::Lower => first_where(&|time| time >= timestamp_ms),
            Boundary::Upper if queue.is_batch() => {
                let behind = first_where(&|time| time > timestamp_ms);
                queue.base_of(behind.saturating_sub(1)).max(min)
            }
            Boundary::Upper => first_where(&|time| time > timestamp_ms)
                .saturating_sub(1)
                .max(min),
        };
        QueueOffset::new(offset)
    }
}

/// Collects the records that a filter wants.
struct Collector<'a, F> {
    log: Reader<'a>,
    filter: &'a mut F,
    found: &'a mut Found,
}

impl<F: FnMut(Candidate<'_>) -> Verdict> Collector<'_, F> {
    /// Whether the filter wants a message as far as its queue entry tells.
    fn wants(&mut self, entry: &Entry) -> bool {
        (self.filter)(Candidate::Entry(entry.tags_code)) == Verdict::Take
    }

    /// Adds the record of an entry with so many messages to what was found, if the filter wants it too; `None` stands
    /// for an entry that is not wanted. Breaks when the reader has had enough.
    fn add(&mut self, record: Option<(&Entry, usize)>) -> ControlFlow<()> {
        let stretch = record.and_then(|(entry, _)| record_of(entry, &mut self.log));
        let verdict = stretch
            .as_ref()
            .map(|stretch| (self.filter)(Candidate::Record(stretch.bytes())));
        let found = &mut *self.found;
        match (record, stretch, verdict) {
            (_, _, Some(Verdict::Stop)) => return ControlFlow::Break(()),
            (Some((entry, messages)), Some(stretch), Some(Verdict::Take)) => {
                found.count += messages;
                found.bytes += bytes_of(entry);
                found.status = GetStatus::Found;
                stretch.add_to(&mut found.slices);
            }
            _ if found.count > 0 => {}
            (Some(_), None, _) => found.status = GetStatus::MessageWasRemoving,
            _ => found.status = GetStatus::NoMatchedMessage,
        }
        ControlFlow::Continue(())
    }
}

/// The record an entry points to; `None` if retention took it away, or if what stands there is no record of that length:
/// a client would stumble over such bytes and take nothing of the whole answer.
fn record_of<'l>(entry: &Entry, log: &'l mut Reader<'_>) -> Option<Stretch<'l>> {
    let offset = u64::try_from(entry.log_offset).ok()?;
    let record = log.find(offset, u64::try_from(entry.size).ok()?)?;
    if Record::begins(record.bytes()) {
        return Some(record);
    }
    tracing::error!(
        offset,
        size = entry.size,
        "the commit log is damaged: a queue entry points to bytes that are no record; the message is passed over \
         (`rmq inspect commitlog` shows the place)"
    );
    None
}

/// What a read is to look at.
struct Part<'a> {
    queue: &'a Queue,
    offset: QueueOffset,
    limits: ReadLimits,
    cold_before: u64,
}

impl Part<'_> {
    fn is_cold(&self, first: &Entry) -> bool {
        u64::try_from(first.log_offset).is_ok_and(|at| at < self.cold_before)
    }
}

/// Recovery fills the place of a lost message with a copy of the entry behind it, so that a Java broker can go on past
/// it; here it is passed over.
fn is_plug(entry: &Entry, next: Option<&Entry>) -> bool {
    next.is_some_and(|next| next.log_offset == entry.log_offset)
}

fn bytes_of(entry: &Entry) -> usize {
    usize::try_from(entry.size).unwrap_or(usize::MAX)
}

/// Where to go on after a read that came to `at`. If nothing at all could be read, that is where reading makes sense
/// again.
fn next_of(part: &Part<'_>, at: u64, max: QueueOffset) -> QueueOffset {
    if at > part.offset.get() {
        return QueueOffset::new(at);
    }
    let min = part.queue.min_offset().get();
    QueueOffset::new(min.max(at + 1).min(max.get()))
}
