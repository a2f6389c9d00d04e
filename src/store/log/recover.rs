//! Opens the log and brings everything derived from it into step: what a crash, or another broker, left behind.
//!
//! After a clean stop the queues tell where the log ends; only what follows the newest entry is walked. After a crash
//! the walk begins with the file the checkpoint names; queue and index entries from there on are thrown away and
//! made again, by the rule that made them first. If anything before that turns out to be missing, the walk begins again
//! at the first record there is. A later record wins over an earlier one with the same queue offset (its topic was
//! deleted and made again).
//!
//! Damage: Apache cuts the log at the first bad byte and loses every message behind it. Here whole records behind a
//! damaged stretch stay. So that Apache, too, can walk over the stretch, it becomes a record with the flags of a rolled
//! back transaction (both brokers derive nothing from those), or the end-of-file filler when it reaches to the end of
//! its file. A lost message's place in its queue is taken by a copy of the entry behind it, which readers here pass over
//! and Apache delivers twice rather than losing what follows; longer losses get fillers. At the end of the log, what
//! is no whole record is cut off, and zeros take its place, so that no later walk mistakes left-overs for messages.
//! Left-overs of a cut made by Apache tell by their store time, which is before that of the record in front of them.
//!
//! Whatever is cut or overwritten is first saved in `.rmq-cut` in the store directory, and logged with file, position
//! and length.
//!
//! Absent on purpose: judging a store without changing it (that is `verify`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::mend::{Gap, cut_tail, mend};
use super::writer::LastRecord;
use super::{Item, Log, Walk};
use crate::base::{LogOffset, QueueId, TopicName};
use crate::message::record::Record;
use crate::store::checkpoint::Checkpoint;
use crate::store::dispatch::{LIGHT_QUEUE_PREFIX, TagsCode, light_queues, takes_queue_place};
use crate::store::error::StoreError;
use crate::store::index::repair::Trust;
use crate::store::index::writer::IndexWriter;
use crate::store::index::{format::Geometry, repair};
use crate::store::layout::{self, Layout, SegmentFile};
use crate::store::queue::table::QueueTable;
use crate::store::queue::{Entry, Queue};
use crate::store::segment::{Handle, Segment};
use crate::store::{RecoveryReport, StoreOptions, cut};
use crate::sys::Clock;

/// Up to so many lost messages in a row, each place gets a copy of the next entry; beyond, fillers.
const PLUGS_MAX: u64 = 64;
/// A record whose queue offset leaves a larger gap than this is not believed.
const GAP_MAX: u64 = 10_000_000;
/// Queue entries are written out after so many records, so that memory stays small.
const WRITE_OUT_EVERY: u64 = 100_000;

/// What an opened store consists of.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) log: Arc<Log>,
    pub(crate) queues: Arc<QueueTable>,
    pub(crate) index: IndexWriter,
    pub(crate) tail: Arc<Segment>,
    pub(crate) last: LastRecord,
    /// Where the walk began: what lies before was durable already.
    pub(crate) start: u64,
    pub(crate) report: RecoveryReport,
}

/// What recovery is given.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) options: &'a StoreOptions,
    pub(crate) layout: &'a Layout,
    pub(crate) clock: &'a Clock,
    /// Whether the last broker was stopped in order.
    pub(crate) clean: bool,
    pub(crate) checkpoint: Checkpoint,
}

/// Opens everything in the directory and repairs it.
pub(crate) fn recover(setting: &Setting<'_>) -> Result<Recovered, StoreError> {
    let log = open_log(setting)?;
    let dir = setting.layout.consume_queues();
    let queues = QueueTable::open(setting.layout.clone(), setting.options.queue_file_bytes)
        .map(Arc::new)
        .map_err(StoreError::io("open the queues in", &dir))?;
    let index_files = layout::index_files(&setting.layout.index())
        .map_err(StoreError::io("list", &setting.layout.index()))?;

    let log_min = log.min();
    // Everything can be read while recovery looks for the end.
    log.appended
        .reset(log.segments().last().map_or(log_min, |last| last.end()));
    let index_lost = setting.options.index_enabled && !index_is_usable(setting, &index_files)?;
    let start = if index_lost || !queues.is_whole() {
        log_min
    } else {
        start_of_walk(setting, &log, &queues, log_min)
    };
    let mut pass = Pass::begin(setting, &log, &queues, start, log_min)?;
    if !pass.walk()? {
        tracing::warn!(
            "queue entries before log position {start} are missing; everything is rebuilt from position {log_min}"
        );
        pass = Pass::begin(setting, &log, &queues, log_min, log_min)?;
        pass.walk()?;
    }
    finish(setting, log, queues, pass)
}

/// Whether there is an index of the configured size. Files of another size cannot be added to: they go, and the whole
/// index is made again.
fn index_is_usable(setting: &Setting<'_>, files: &[PathBuf]) -> Result<bool, StoreError> {
    let expected = geometry(setting.options).file_bytes();
    let fits = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|meta| meta.len() == expected);
    if files.iter().all(fits) {
        return Ok(!files.is_empty());
    }
    tracing::warn!(
        "the key index in {} was made with other sizes and is made again",
        setting.layout.index().display()
    );
    for path in files {
        std::fs::remove_file(path).map_err(StoreError::io("delete", path))?;
    }
    Ok(false)
}

fn geometry(options: &StoreOptions) -> Geometry {
    Geometry {
        slots: options.index_slots,
        entries: options.index_entries,
    }
}

/// Where the walk over the log has to begin.
fn start_of_walk(setting: &Setting<'_>, log: &Log, queues: &QueueTable, log_min: u64) -> u64 {
    let newest = queues.all().into_iter().filter_map(|queue| {
        let (start, end) = (
            queue.files().start(),
            valid_end(&queue, log, log_min, u64::MAX),
        );
        let last = (start..end)
            .next_back()
            .and_then(|at| queue.files().entry(at))?;
        u64::try_from(last.log_offset)
            .ok()
            .filter(|_| last.is_plausible())
    });
    let Some(newest) = newest.max().filter(|&newest| newest >= log_min) else {
        return log_min;
    };
    if setting.clean {
        return newest;
    }
    let trusted = setting.checkpoint.queue_log_offset;
    if let Some(trusted) = u64::try_from(trusted).ok().filter(|&at| at > 0) {
        let segment = log.segment_at(trusted);
        return segment.map_or(log_min, |segment| segment.base());
    }
    // Brokers before 5.5 leave only a time.
    let until_ms = setting
        .checkpoint
        .queue_timestamp_ms
        .min(setting.checkpoint.log_timestamp_ms);
    let first_is_older = |segment: &Arc<Segment>| {
        let first = log.record_at(segment.base());
        first.is_some_and(|first| {
            Record::parse(first.as_ref()).is_ok_and(|first| first.store_timestamp <= until_ms)
        })
    };
    let segments = log.segments();
    let segment = segments
        .iter()
        .rev()
        .find(|segment| first_is_older(segment));
    segment.map_or(log_min, |segment| segment.base())
}

/// Opens the files of the log, and makes them one sequence of files of the right size.
fn open_log(setting: &Setting<'_>) -> Result<Arc<Log>, StoreError> {
    let dir = setting.layout.commit_log();
    std::fs::create_dir_all(&dir).map_err(StoreError::io("make", &dir))?;
    let files = layout::segments(&dir).map_err(StoreError::io("list", &dir))?;
    let size = setting.options.log_file_bytes;
    check_files(&files, size)?;
    let mut segments: Vec<Arc<Segment>> = Vec::new();
    // Only the newest files are written to; one of them becomes the tail.
    let handle = |index: usize| {
        if index + 2 >= files.len() {
            Handle::Keep
        } else {
            Handle::Reopen
        }
    };
    for (index, file) in files.iter().enumerate() {
        while let Some(base) = segments
            .last()
            .map(|last| last.end())
            .filter(|&end| end < file.base)
        {
            tracing::error!(
                "{} is missing from {}",
                layout::segment_name(base),
                dir.display()
            );
            segments.push(open_segment(&dir, base, size, Handle::Reopen)?);
        }
        if file.len < size {
            tracing::warn!(
                "{} has {} bytes instead of {size}; it is filled up with zeros",
                file.path.display(),
                file.len
            );
        }
        segments.push(open_segment(&dir, file.base, size, handle(index))?);
    }
    Ok(Arc::new(Log::new(dir, size, segments)))
}

fn open_segment(
    dir: &Path,
    base: u64,
    size: u64,
    handle: Handle,
) -> Result<Arc<Segment>, StoreError> {
    let path = dir.join(layout::segment_name(base));
    Segment::open(dir, base, size, handle)
        .map(Arc::new)
        .map_err(StoreError::io("open", &path))
}

/// Refuses what cannot be a log of this file size; files that are merely cut short pass.
fn check_files(files: &[SegmentFile], size: u64) -> Result<(), StoreError> {
    let alone = files.len() == 1;
    for file in files {
        if file.base % size != 0 {
            return Err(StoreError::LogFileName {
                path: file.path.clone(),
                expected: size,
            });
        }
        // A whole file of another configuration, rather than one that lost its end, has a round size.
        let other_size = alone && file.len > 0 && file.len < size && file.len % 1024 == 0;
        if file.len > size || other_size {
            return Err(StoreError::LogFileSize {
                path: file.path.clone(),
                expected: size,
                actual: file.len,
            });
        }
    }
    Ok(())
}

/// How many entries of a queue's files are right, counting only records before `below`.
///
/// Right entries come first, whatever is behind them in the files, so this is a binary search. It asks three neighbours,
/// because one record may be damaged.
fn valid_end(queue: &Queue, log: &Log, log_min: u64, below: u64) -> u64 {
    let files = queue.files();
    let light = queue.topic().as_str().starts_with(LIGHT_QUEUE_PREFIX);
    let right = |at: u64| {
        let Some(entry) = files.entry_if_written(at) else {
            return false;
        };
        if entry.is_filler() {
            return true;
        }
        let Some(log_offset) = u64::try_from(entry.log_offset)
            .ok()
            .filter(|_| entry.is_plausible())
        else {
            return false;
        };
        if log_offset < log_min {
            return true;
        }
        if log_offset >= below {
            return false;
        }
        let Some(slice) = log.record_at(log_offset) else {
            return false;
        };
        Record::parse(slice.as_ref()).is_ok_and(|record| {
            record.size.cast_signed() == entry.size
                && (light
                    || (record.topic == queue.topic().as_str()
                        && record.queue_id == queue.id().to_wire()
                        && u64::try_from(record.queue_offset).is_ok_and(|n| n == at)))
        })
    };
    let (mut low, mut high) = (files.start(), files.capacity());
    while low < high {
        let middle = low + (high - low) / 2;
        if (middle..high.min(middle + 3)).any(right) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// One walk over the log from a position to its end.
struct Pass<'a> {
    setting: &'a Setting<'a>,
    log: Arc<Log>,
    queues: Arc<QueueTable>,
    index: IndexWriter,
    start: u64,
    log_min: u64,
    /// Whether whole records behind damage count.
    resume: bool,
    end: u64,
    last: LastRecord,
    scanned: u64,
    damaged: Vec<Gap>,
    /// Topics whose queues are in `batchconsumequeue`, which is not ours to write.
    batch_topics: BTreeSet<String>,
}

impl<'a> Pass<'a> {
    fn begin(
        setting: &'a Setting<'a>,
        log: &Arc<Log>,
        queues: &Arc<QueueTable>,
        start: u64,
        log_min: u64,
    ) -> Result<Self, StoreError> {
        let resume = !setting.clean || start == log_min;
        let below = if resume { start } else { u64::MAX };
        for queue in queues.all() {
            let end = valid_end(&queue, log, log_min, below);
            let files = queue.files();
            let dirty = end < files.capacity()
                && (files.entry(end).is_some_and(|entry| !entry.is_unwritten())
                    || end == files.start());
            if dirty {
                let dir = setting
                    .layout
                    .consume_queue(queue.topic().as_str(), queue.id().get());
                files
                    .truncate(end)
                    .map_err(StoreError::io("cut the queue in", &dir))?;
            }
            files.set_end(end);
            queue.set_end(end);
        }
        let trust = Trust {
            below,
            clean: !resume,
        };
        let batch_dir = setting.layout.dir().join("batchconsumequeue");
        let batch_queues =
            layout::queues(&batch_dir).map_err(StoreError::io("list", &batch_dir))?;
        let batch_topics = batch_queues.into_iter().map(|(topic, _)| topic).collect();
        Ok(Self {
            index: open_index(setting, log, trust)?,
            setting,
            log: Arc::clone(log),
            queues: Arc::clone(queues),
            start,
            log_min,
            resume,
            end: start,
            last: LastRecord::default(),
            scanned: 0,
            damaged: Vec::new(),
            batch_topics,
        })
    }

    /// Walks and dispatches. False when something before the start is missing, and the start was not the first record.
    fn walk(&mut self) -> Result<bool, StoreError> {
        let dir = &self.log.dir;
        let files = layout::segments(dir).map_err(StoreError::io("list", dir))?;
        let mut walk = Walk::over_files(&files)
            .behind_end(self.resume)
            .starting_at(LogOffset::new(self.start));
        let mut gaps: Vec<Gap> = Vec::new();
        while let Some(item) = walk.next_item() {
            match item {
                Item::Record(stored) => {
                    let record = &stored.record;
                    if !gaps.is_empty() {
                        if record.store_timestamp < self.last.store_timestamp_ms {
                            break;
                        }
                        self.damaged.append(&mut gaps);
                    }
                    if !self.dispatch(record)? {
                        return Ok(false);
                    }
                }
                Item::Blank(blank) => {
                    let next = blank.at.get() + u64::from(blank.size);
                    if gaps.is_empty() {
                        self.end = next;
                    }
                }
                Item::End { at } => {
                    if !self.resume {
                        break;
                    }
                    let segment = self.log.segment_at(at.get());
                    gaps.extend(segment.map(|segment| self.gap(at.get(), segment.end())));
                }
                Item::Damaged(damage) => {
                    tracing::warn!("the log is damaged at {}: {}", damage.at, damage.reason);
                    if !self.resume {
                        break;
                    }
                    gaps.push(self.gap(damage.at.get(), damage.until.get()));
                }
            }
        }
        self.write_out()?;
        Ok(true)
    }

    fn gap(&self, from: u64, to: u64) -> Gap {
        Gap {
            from,
            to,
            store_timestamp_ms: self.last.store_timestamp_ms,
        }
    }

    fn dispatch(&mut self, record: &Record<'_>) -> Result<bool, StoreError> {
        let at = u64::try_from(record.physical_offset).unwrap_or_default();
        self.end = at + u64::from(record.size);
        self.last = LastRecord {
            start: at,
            end: self.end,
            store_timestamp_ms: record.store_timestamp,
        };
        self.scanned += 1;
        let entry = Entry {
            log_offset: record.physical_offset,
            size: record.size.cast_signed(),
            tags_code: TagsCode::of(record.topic, record.properties.as_bytes()).resolve(
                record.store_timestamp,
                &self.setting.options.delay_levels_ms,
            ),
        };
        if takes_queue_place(record.sys_flag) {
            let offset = u64::try_from(record.queue_offset).ok();
            let queue = QueueId::from_wire(record.queue_id);
            if let (Some(offset), Some(id)) = (offset, queue)
                && !self.place((record.topic, id), offset, entry)?
            {
                return Ok(false);
            }
            for (topic, offset) in light_queues(record) {
                if !self.place((topic, QueueId::new(0)), offset, entry)? {
                    return Ok(false);
                }
            }
        }
        if self.setting.options.index_enabled && !self.index.has(at) {
            let dir = self.setting.layout.index();
            self.index
                .put(record, self.setting.clock.now_ms())
                .map_err(StoreError::io("write the index in", &dir))?;
        }
        if self.scanned.is_multiple_of(WRITE_OUT_EVERY) {
            self.write_out()?;
        }
        Ok(true)
    }

    /// Gives a record its place in a queue. False when entries before it are missing although they must have been
    /// dispatched before the walk began.
    fn place(
        &mut self,
        (topic, id): (&str, QueueId),
        offset: u64,
        entry: Entry,
    ) -> Result<bool, StoreError> {
        if !is_directory_name(topic) {
            tracing::warn!("the record at {} has an impossible topic", entry.log_offset);
            return Ok(true);
        }
        if self.batch_topics.contains(topic) {
            return Ok(true);
        }
        let queue = match self.queues.find(topic, id) {
            Some(queue) => queue,
            None => self.queues.queue(&TopicName::stored(topic), id),
        };
        let next = queue.max();
        let dir = || self.setting.layout.consume_queue(topic, id.get());
        if offset < next {
            let older = queue
                .entry(offset)
                .is_none_or(|known| known.log_offset < entry.log_offset && !known.is_filler());
            if !older {
                return Ok(true);
            }
            queue
                .truncate(offset)
                .map_err(StoreError::io("cut the queue in", &dir()))?;
        } else if offset > next {
            if self.start > self.log_min {
                return Ok(false);
            }
            let gap = offset - next;
            if queue.files().capacity() == 0 && next == 0 && offset < u64::MAX / 64 {
                queue
                    .begin_at(offset)
                    .map_err(StoreError::io("write the queue in", &dir()))?;
            } else if gap > GAP_MAX {
                tracing::warn!(
                    "the record at {} claims place {offset} in {topic}/{id}, which ends at {next}: not believed",
                    entry.log_offset
                );
                return Ok(true);
            } else {
                let plug = if gap <= PLUGS_MAX {
                    entry
                } else {
                    Entry::FILLER
                };
                (next..offset).for_each(|_| queue.restore(plug));
            }
        }
        queue.restore(entry);
        Ok(true)
    }

    fn write_out(&mut self) -> Result<(), StoreError> {
        for queue in self.queues.all() {
            let dir = self.setting.layout.consume_queues();
            queue
                .write_out()
                .map_err(StoreError::io("write queues in", &dir))?;
        }
        let dir = self.setting.layout.index();
        self.index
            .write_out()
            .map_err(StoreError::io("write the index in", &dir))
    }
}

fn open_index(setting: &Setting<'_>, log: &Log, trust: Trust) -> Result<IndexWriter, StoreError> {
    let geometry = geometry(setting.options);
    let dir = setting.layout.index();
    if !setting.options.index_enabled {
        return Ok(IndexWriter::new(&dir, geometry, Vec::new(), None, None));
    }
    let time_of = |at: u64| {
        let slice = log.record_at(at)?;
        Some(Record::parse(slice.as_ref()).ok()?.store_timestamp)
    };
    repair::open(&dir, geometry, trust, time_of).map_err(StoreError::io("open the index in", &dir))
}

/// A topic from a record whose checksum does not cover it must not lead out of its directory.
fn is_directory_name(topic: &str) -> bool {
    !topic.is_empty()
        && topic.len() <= 255
        && topic != "."
        && topic != ".."
        && !topic.contains(['/', '\\', '\0'])
}

/// Mends the damaged stretches, cuts the end, and sets all marks.
fn finish(
    setting: &Setting<'_>,
    log: Arc<Log>,
    queues: Arc<QueueTable>,
    pass: Pass<'_>,
) -> Result<Recovered, StoreError> {
    let Pass {
        mut index,
        start,
        log_min,
        end,
        last,
        scanned,
        damaged,
        ..
    } = pass;
    let cut_dir = setting.layout.dir().join(cut::DIR);
    for gap in &damaged {
        mend(&log, &cut_dir, *gap)?;
    }
    let cut = cut_tail(&log, &cut_dir, end)?;
    let tail = if let Some(segment) = log.segment_at(end) {
        segment
    } else {
        let segment = open_segment(&log.dir, end, log.file_bytes, Handle::Keep)?;
        log.push_segment(Arc::clone(&segment));
        segment
    };
    log.appended.reset(end);
    let beyond = u64::try_from(index.newest().1).is_ok_and(|newest| newest >= end);
    if setting.options.index_enabled && beyond {
        let trust = Trust {
            below: end,
            clean: false,
        };
        index = open_index(setting, &log, trust)?;
        refile(setting, &log, &mut index, last)?;
    }
    let log_min = log_min.min(end);
    for queue in queues.all() {
        queue.raise_min(log_min);
    }
    let report = RecoveryReport {
        clean: setting.clean,
        log_min,
        log_end: end,
        scanned,
        rebuilt: start == log_min && scanned > 0,
        damaged: damaged
            .iter()
            .map(|gap| (gap.from, gap.to - gap.from))
            .collect(),
        cut,
    };
    Ok(Recovered {
        log,
        queues,
        index,
        tail,
        last,
        start: start.min(end),
        report,
    })
}

/// Files the last records again after the index was cut in a clean start.
fn refile(
    setting: &Setting<'_>,
    log: &Log,
    index: &mut IndexWriter,
    last: LastRecord,
) -> Result<(), StoreError> {
    let dir = setting.layout.index();
    let from = u64::try_from(index.newest().1).unwrap_or(log.min());
    let mut at = from.max(log.min());
    while at < last.end {
        let Some(slice) = log.record_at(at) else {
            // The end of a file, or damage: go on with the next file.
            match log.segment_at(at) {
                Some(segment) if segment.end() < last.end => at = segment.end(),
                _ => break,
            }
            continue;
        };
        let Ok(record) = Record::parse(slice.as_ref()) else {
            break;
        };
        if !index.has(at) {
            index
                .put(&record, setting.clock.now_ms())
                .map_err(StoreError::io("write the index in", &dir))?;
        }
        at += u64::from(record.size);
    }
    index
        .write_out()
        .map_err(StoreError::io("write the index in", &dir))
}
