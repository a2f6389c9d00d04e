//! The tail of the log: the only place where records get their positions and are written.
//!
//! One lock, and inside it the least that must be serial: each message's next queue offset, three fields patched, one
//! positioned write for the whole group (two when the file is full: the rest of a file gets an 8-byte filler), then the
//! watermark and the queue entries.
//!
//! A group is appended whole or not at all. When a write fails, positions and queue offsets are given back and the
//! half-written stretch is cut away, so that the next append tries the same place again and a later recovery cannot
//! take left-overs for records. If even the cut fails, the writer is broken and stays so.
//!
//! A topic is deleted under the same lock ([`Writer::pause`]), so that a message goes to a queue that will stay, or is
//! gone with its topic, but never to one that is being deleted.
//!
//! Lock order: tail, then the table of queues, then one queue's memory or the list of files.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::Log;
use super::append::{AppendGroup, patch_base, patch_lights};
use super::zeroed::Zeroed;
use crate::base::LogOffset;
use crate::message::{record, sysflag};
use crate::store::dispatch::takes_queue_place;
use crate::store::error::{AppendError, WriteRefusal};
use crate::store::held::Held;
use crate::store::index::feed::{Feed, Filed};
use crate::store::options::{FlushMode, StoreOptions};
use crate::store::queue::Entry;
use crate::store::queue::due::Due;
use crate::store::queue::table::QueueTable;
use crate::store::segment::Segment;
use crate::sys::{Clock, platform};

/// What a record has beside its body at most, before it counts as too large (`MessageExtEncoder`).
const RECORD_EXTRA_BYTES: usize = 64 * 1024;

/// The last record of the log, for the checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LastRecord {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) store_timestamp_ms: i64,
}

#[derive(Debug)]
pub(super) struct Tail {
    pub(super) segment: Arc<Segment>,
    pub(super) position: u64,
    pub(super) last: LastRecord,
    pub(super) broken: Option<String>,
    /// Whether the last group found no room on the disk; said once in the log.
    no_room: bool,
    zeroed: Zeroed,
}

/// Appends groups to a [`Log`].
#[derive(Debug)]
pub(crate) struct Writer {
    pub(super) log: Arc<Log>,
    clock: Clock,
    delay_levels_ms: Vec<i64>,
    record_max: usize,
    pub(super) tail: Mutex<Tail>,
    pub(crate) held: Held,
    /// What the key index has to file.
    pub(crate) feed: Feed,
    messages: AtomicU64,
    bytes: AtomicU64,
}

/// A stretch of the group's buffer that goes to one place of one file.
struct Run {
    segment: Arc<Segment>,
    at: usize,
    from: usize,
    to: usize,
    /// Bytes left in the file behind the run, when a filler must follow.
    left: Option<u32>,
}

type Runs = SmallVec<[Run; 2]>;

impl Writer {
    pub(crate) fn new(
        log: Arc<Log>,
        clock: Clock,
        options: &StoreOptions,
        segment: Arc<Segment>,
        last: LastRecord,
    ) -> Self {
        let record_max = options.message_max.saturating_add(RECORD_EXTRA_BYTES);
        let position = log.appended.get();
        let file_max = usize::try_from(log.file_bytes).unwrap_or(usize::MAX);
        Self {
            record_max: record_max.min(file_max.saturating_sub(record::BLANK_BYTES)),
            log,
            clock,
            delay_levels_ms: options.delay_levels_ms.clone(),
            tail: Mutex::new(Tail {
                segment,
                position,
                last,
                broken: None,
                no_room: false,
                zeroed: Zeroed::new(matches!(options.flush, FlushMode::Sync { .. })),
            }),
            held: Held::default(),
            feed: Feed::default(),
            messages: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// The longest record that a group may hold.
    pub(crate) fn record_max(&self) -> usize {
        self.record_max
    }

    /// Runs `work` while nothing is appended.
    pub(crate) fn pause<R>(&self, work: impl FnOnce() -> R) -> R {
        let _tail = self.tail.lock();
        work()
    }

    /// Appends the whole group, or nothing of it. Of `queues` come those that took the place of queues that are gone.
    pub(crate) fn append(
        &self,
        group: &mut AppendGroup,
        queues: &QueueTable,
    ) -> Result<(), AppendError> {
        let mut tail = self.tail.lock();
        if let Some(why) = &tail.broken {
            return Err(WriteRefusal::Broken(why.clone()).into());
        }
        for queue in group.queues.iter_mut().filter(|queue| queue.is_gone()) {
            *queue = queues.successor(queue);
        }
        let lights = group.pending.iter_mut().flat_map(|p| &mut p.lights);
        for light in lights.filter(|light| light.queue.is_gone()) {
            light.queue = queues.successor(&light.queue);
        }
        let now = self.clock.now_ms().max(tail.last.store_timestamp_ms);
        let runs = match self.place(&tail, group, now) {
            Ok(runs) => runs,
            Err((source, runs)) => return Err(self.undo(&mut tail, group, &runs, source)),
        };
        for run in &runs {
            if let Err(source) = write_run(run, &group.buffer) {
                return Err(self.undo(&mut tail, group, &runs, source));
            }
        }
        self.publish(&mut tail, group, &runs, (now, queues.due()));
        let tail = &mut *tail;
        tail.zeroed
            .extend(&tail.segment, tail.position, group.buffer.len());
        Ok(())
    }

    /// Gives every record its position, queue offset and time, and says what is to be written where.
    fn place(
        &self,
        tail: &Tail,
        group: &mut AppendGroup,
        now: i64,
    ) -> Result<Runs, (io::Error, Runs)> {
        let mut position = tail.position;
        let mut runs = Runs::new();
        let mut run = Run {
            segment: Arc::clone(&tail.segment),
            at: to_place(position, &tail.segment),
            from: 0,
            to: 0,
            left: None,
        };
        let mut failed = None;
        for pending in &mut group.pending {
            let Some(queue) = group.queues.get(pending.queue) else {
                continue;
            };
            // Taken before anything can fail: undoing gives back one offset for each record of the group.
            if takes_queue_place(pending.sys_flag) {
                pending.queue_offset = queue.reserve(pending.messages);
            }
            for light in &mut pending.lights {
                light.offset = light.queue.reserve(1);
            }
            if failed.is_some() {
                continue;
            }
            let size = u64::from(pending.size);
            let left = run.segment.end().saturating_sub(position);
            if size + record::BLANK_BYTES as u64 > left {
                let base = run.segment.end();
                match self.log.next_segment(base) {
                    Ok(next) => {
                        run.left = Some(u32::try_from(left).unwrap_or(u32::MAX));
                        let from = run.to;
                        let full = std::mem::replace(
                            &mut run,
                            Run {
                                segment: next,
                                at: 0,
                                from,
                                to: from,
                                left: None,
                            },
                        );
                        runs.push(full);
                        position = base;
                    }
                    Err(error) => {
                        failed = Some(error);
                        continue;
                    }
                }
            }
            pending.log_offset = position;
            let end = pending.start + pending.size as usize;
            if let Some(bytes) = group.buffer.get_mut(pending.start..end) {
                let wire = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
                record::patch(
                    bytes,
                    pending.sys_flag,
                    wire(pending.queue_offset),
                    wire(position),
                    now,
                );
                if queue.is_batch() && pending.sys_flag & sysflag::INNER_BATCH != 0 {
                    patch_base(bytes, pending.queue_offset);
                } else if !pending.lights.is_empty() {
                    patch_lights(bytes, &pending.lights);
                }
            }
            run.to = end;
            position += size;
        }
        runs.push(run);
        match failed {
            Some(error) => Err((error, runs)),
            None => Ok(runs),
        }
    }

    fn publish(
        &self,
        tail: &mut Tail,
        group: &mut AppendGroup,
        runs: &Runs,
        (now, due): (i64, &Due),
    ) {
        for run in runs.iter().skip(1) {
            self.log.push_segment(Arc::clone(&run.segment));
            tail.segment = Arc::clone(&run.segment);
        }
        let from = tail.position;
        if let Some(last) = group.pending.last() {
            tail.position = last.log_offset + u64::from(last.size);
            tail.last = LastRecord {
                start: last.log_offset,
                end: tail.position,
                store_timestamp_ms: now,
            };
        }
        if std::mem::take(&mut tail.no_room) {
            tracing::info!(
                "there is room for messages again in {}",
                self.log.dir.display()
            );
        }
        group.end = LogOffset::new(tail.position);
        group.store_timestamp_ms = Some(now);
        // Before the mark moves: whoever follows it would read the log for what the feed does not have yet.
        let keys = group.pending.iter().flat_map(|pending| {
            pending.keys.iter().map(|&hash| Filed {
                log_offset: pending.log_offset,
                store_timestamp_ms: now,
                hash,
            })
        });
        self.feed.add((from, tail.position), keys);
        // Before the queue entries: whoever finds an entry must find its record readable.
        self.log.appended.advance(tail.position);
        for pending in &group.pending {
            let Some(own) = group.queues.get(pending.queue) else {
                continue;
            };
            if takes_queue_place(pending.sys_flag) {
                let wire = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
                let entry = Entry {
                    log_offset: wire(pending.log_offset),
                    size: i32::try_from(pending.size).unwrap_or(i32::MAX),
                    tags_code: pending.tags.resolve(now, &self.delay_levels_ms),
                };
                let end = pending.log_offset + u64::from(pending.size);
                let own = (own, (pending.queue_offset, pending.messages));
                let lights = pending
                    .lights
                    .iter()
                    .map(|light| (&light.queue, (light.offset, 1)));
                for (queue, place) in std::iter::once(own).chain(lights) {
                    due.stage(queue, place, entry, now);
                    self.held.show(queue, place.0 + u64::from(place.1), end);
                }
            }
        }
        self.messages
            .fetch_add(group.pending.len() as u64, Ordering::Relaxed);
        self.bytes
            .fetch_add(group.buffer.len() as u64, Ordering::Relaxed);
    }

    /// Takes everything back that a failed append did.
    fn undo(
        &self,
        tail: &mut Tail,
        group: &mut AppendGroup,
        runs: &Runs,
        source: io::Error,
    ) -> AppendError {
        for pending in &group.pending {
            if let Some(queue) = group.queues.get(pending.queue)
                && takes_queue_place(pending.sys_flag)
            {
                queue.give_back(pending.messages);
            }
            for light in &pending.lights {
                light.queue.give_back(1);
            }
        }
        tail.zeroed.forget();
        for run in runs {
            if let Err(error) = run.segment.clear_from(run.at) {
                let why = format!(
                    "a half-written group could not be taken back from {}: {error}",
                    run.segment.path().display()
                );
                tracing::error!("{why}");
                tail.broken = Some(why);
            }
        }
        if let [_, next, ..] = runs.as_slice() {
            self.log.give_back(Arc::clone(&next.segment));
        }
        let path = tail.segment.path().to_owned();
        if platform::is_no_space(&source) {
            let what = format!(
                "no room for {} bytes in {}",
                group.buffer.len(),
                path.display()
            );
            if !std::mem::replace(&mut tail.no_room, true) {
                tracing::error!(
                    "the disk is full: {what}; messages are refused until there is room"
                );
            }
            return WriteRefusal::DiskFull(what).into();
        }
        AppendError::Io { path, source }
    }

    /// Refuses all writes from now on.
    pub(crate) fn break_off(&self, why: String) {
        self.tail.lock().broken.get_or_insert(why);
    }

    /// The last record of the log.
    pub(crate) fn last(&self) -> LastRecord {
        self.tail.lock().last
    }

    /// Messages and bytes appended since the store was opened.
    pub(crate) fn counted(&self) -> (u64, u64) {
        (
            self.messages.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }

    /// `messageDelayLevel`, level 1 first.
    pub(super) fn delay_levels_ms(&self) -> &[i64] {
        &self.delay_levels_ms
    }

    /// Counts what came from a master.
    pub(super) fn count(&self, messages: u64, bytes: u64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Makes the next file when the current one is half full.
    pub(crate) fn prepare_next(&self) -> io::Result<()> {
        let end = {
            let tail = self.tail.lock();
            let left = tail.segment.end().saturating_sub(tail.position);
            (left < self.log.file_bytes / 2).then(|| tail.segment.end())
        };
        end.map_or(Ok(()), |base| self.log.prepare(base))
    }
}

pub(super) fn to_place(position: u64, segment: &Segment) -> usize {
    usize::try_from(position.saturating_sub(segment.base())).unwrap_or(usize::MAX)
}

fn write_run(run: &Run, buffer: &[u8]) -> io::Result<()> {
    let bytes = buffer.get(run.from..run.to).unwrap_or_default();
    if !bytes.is_empty() {
        run.segment.write(run.at, bytes)?;
    }
    if let Some(left) = run.left {
        let mut blank = [0; record::BLANK_BYTES];
        let (length, magic) = blank.split_at_mut(4);
        length.copy_from_slice(&left.to_be_bytes());
        magic.copy_from_slice(&record::MAGIC_BLANK.to_be_bytes());
        run.segment.write(run.at + bytes.len(), &blank)?;
    }
    Ok(())
}
