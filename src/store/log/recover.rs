//! Opens the log and brings everything derived from it into step: what a crash, or another broker, left behind.
//!
//! After a clean stop the queues tell where the log ends; only what follows the newest entry is walked. After a crash
//! the walk begins where the checkpoint says, or at the start of the file it names if another broker wrote it; queue and
//! index entries from there on are thrown away and made again, by the rule that made them first. The index does so on a
//! thread beside the walk ([`filing`](super::filing)). If anything before that turns out to be missing, the walk begins
//! again at the first record there is. A later record wins over an earlier one with the same queue offset (its topic was
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
//! A replica of a majority ([`StoreOptions::cut_at_damage`]) looks further back, and is cut at the first damage instead: its log must be the
//! others' byte for byte, and it gets from them what lies behind.
//!
//! Whatever is cut or overwritten is first saved in `.rmq-cut` in the store directory, and logged with file, position
//! and length.
//!
//! Absent on purpose: judging a store without changing it (that is `verify`).

use std::path::PathBuf;
use std::sync::Arc;

use super::Log;
use super::filing::open_index;
use super::mend::{cut_tail, mend};
use super::open::{open_log, open_segment};
use super::replay::Pass;
use super::valid::{valid, valid_queues};
use super::writer::LastRecord;
use crate::message::record::Record;
use crate::store::checkpoint::Checkpoint;
use crate::store::error::StoreError;
use crate::store::index::format::Geometry;
use crate::store::index::repair::Trust;
use crate::store::index::writer::IndexWriter;
use crate::store::layout::{self, Layout};
use crate::store::queue::Queue;
use crate::store::queue::table::QueueTable;
use crate::store::segment::{Handle, Segment};
use crate::store::{RecoveryReport, StoreOptions, cut};
use crate::sys::Clock;

/// After a crash so much of what was on the disk before is checked as well, and its file from the beginning, where other
/// replicas can make good what is damaged.
const CHECKED_BYTES: u64 = 64 << 20;

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
    recover_up_to(setting, setting.options.cut_at)
}

/// The same of a log that is cut at `cut_at` first.
fn recover_up_to(setting: &Setting<'_>, cut_at: Option<u64>) -> Result<Recovered, StoreError> {
    let log = open_log(setting)?;
    let mut cut = None;
    if let Some(at) = cut_at.filter(|&at| at >= log.min()) {
        let cut_dir = setting.layout.dir().join(cut::DIR);
        cut = cut_tail(&log, &cut_dir, at)?;
    }
    let dir = setting.layout.dir();
    let queues = QueueTable::open(setting.layout.clone(), setting.options)
        .map(Arc::new)
        .map_err(StoreError::io("open the queues in", dir))?;
    let index_files = layout::index_files(&setting.layout.index())
        .map_err(StoreError::io("list", &setting.layout.index()))?;

    let log_min = log.min();
    // Everything can be read while recovery looks for the end.
    log.appended
        .reset(log.segments().last().map_or(log_min, |last| last.end()));
    let index_lost = setting.options.index_enabled && !index_is_usable(setting, &index_files)?;
    let (start, valid) = if setting.options.rebuild || index_lost || !queues.is_whole() {
        (log_min, Vec::new())
    } else if setting.clean {
        let valid = valid_queues(&log, &queues, (log_min, u64::MAX));
        let newest = valid
            .iter()
            .filter_map(|(_, valid)| valid.newest_in(log_min));
        (newest.max().unwrap_or(log_min), valid)
    } else {
        (start_of_walk(setting, &log, &queues, log_min), Vec::new())
    };
    let mut pass = Pass::begin(setting, (&log, &queues), valid, start, log_min)?;
    if !pass.walk()? {
        let (topic, queue, offset) = pass.missing.take().unwrap_or_default();
        tracing::warn!(
            "entries of queue {queue} of {topic} from {offset} on are missing, of messages before log position {start}: \
             its topic was deleted, or its files were lost; all queues are made anew from position {log_min}"
        );
        pass = Pass::begin(setting, (&log, &queues), Vec::new(), log_min, log_min)?;
        pass.walk()?;
    }
    let damage = pass
        .damaged
        .first()
        .map(|gap| (gap.from, gap.to - gap.from));
    if let Some((at, bytes)) = damage.filter(|_| setting.options.cut_at_damage) {
        tracing::error!(
            "the log is damaged at position {at}; it is cut there, since the other replicas have what lies behind it"
        );
        drop(pass);
        let mut recovered = recover_up_to(setting, Some(at))?;
        recovered.report.damaged.push((at, bytes));
        return Ok(recovered);
    }
    let mut recovered = finish(setting, log, queues, pass)?;
    recovered.report.cut = recovered.report.cut.or(cut);
    Ok(recovered)
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

pub(super) fn geometry(options: &StoreOptions) -> Geometry {
    Geometry {
        slots: options.index_slots,
        entries: options.index_entries,
    }
}

/// Where the walk over the log has to begin after a crash.
fn start_of_walk(setting: &Setting<'_>, log: &Log, queues: &QueueTable, log_min: u64) -> u64 {
    // One queue with an entry that means something will do: which is the newest, only the walk can tell.
    let means_something = |queue: &Arc<Queue>| {
        let valid = valid(queue, log, (log_min, u64::MAX));
        valid.newest_in(log_min).is_some()
    };
    if !queues.all().iter().any(means_something) {
        return log_min;
    }
    let trusted = setting.checkpoint.queue_log_offset;
    if let Some(trusted) = u64::try_from(trusted).ok().filter(|&at| at > 0) {
        if setting.options.cut_at_damage {
            // What is damaged here is whole elsewhere: it is worth looking for.
            let segment = log.segment_at(trusted.saturating_sub(CHECKED_BYTES).max(log_min));
            return segment.map_or(log_min, |segment| segment.base().max(log_min));
        }
        if is_exact(&setting.checkpoint) && is_record(log, trusted) {
            return trusted;
        }
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

/// Whether the checkpoint was written after everything below its position had been synced: log, queues and index.
///
/// This broker writes it so, and then names the position twice. Apache's confirms positions only under a controller, and
/// its queues and its log pass theirs at different times.
fn is_exact(checkpoint: &Checkpoint) -> bool {
    checkpoint.confirm_offset == checkpoint.queue_log_offset
}

/// Whether a whole record begins at `at`.
fn is_record(log: &Log, at: u64) -> bool {
    log.record_at(at).is_some_and(|slice| {
        Record::parse(slice.as_ref()).is_ok_and(|record| {
            record.crc_ok() && u64::try_from(record.physical_offset).is_ok_and(|own| own == at)
        })
    })
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
