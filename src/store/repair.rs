//! Makes a damaged store whole again, on request: everything that can be derived from the log is made anew from it.
//!
//! It is the recovery of a start after a crash ([`super::log`]), told to believe nothing but the log: damaged stretches
//! are bridged, left-overs behind the end are cut, queues and index are made again. What is cut or replaced is kept below
//! `.rmq-cut` in the store directory. Messages that can be read before can be read afterwards.
//!
//! Sizes of files are taken from the files. Those of a lost index cannot be known; then it is left to the next broker,
//! which knows its own.
//!
//! Absent on purpose: judging what is wrong ([`super::verify`]), and the timer's files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::layout::{self, SegmentFile};
use super::lock::DirLock;
use super::{RecoveryReport, Store, StoreError, StoreOptions, View, ViewError, cut};
use crate::base::{LogOffset, TopicName};
use crate::message::names;
use crate::store::checkpoint::Checkpoint;
use crate::store::dispatch::LIGHT_QUEUE_PREFIX;
use crate::store::index::format::Geometry;
use crate::store::view::IndexView;
use crate::sys::Clock;

/// Longer than any repair takes.
const YEAR: Duration = Duration::from_hours(24 * 365);

/// The sizes a store's files are made with, as far as they can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of a log file.
    pub log_file_bytes: Option<u64>,
    /// Bytes of a queue file.
    pub queue_file_bytes: Option<u64>,
    /// Bytes of a file of a batch queue.
    pub batch_queue_file_bytes: Option<u64>,
    /// How index files are split.
    pub index: Option<Geometry>,
}

impl Sizes {
    /// Reads them off the files.
    pub fn of(view: &View) -> Result<Self, ViewError> {
        let mut sizes = Self {
            log_file_bytes: log_file_bytes(&view.log_files()?),
            ..Self::default()
        };
        let largest = |files: &[SegmentFile], entry: u64| {
            let whole = files.iter().map(|file| file.len);
            whole
                .filter(|len| *len > 0 && len.is_multiple_of(entry))
                .max()
        };
        for (topic, queue_id) in view.queues()? {
            let queue = view.queue(&topic, queue_id)?;
            sizes.queue_file_bytes = sizes.queue_file_bytes.max(largest(queue.files(), 20));
        }
        for (topic, queue_id) in view.batch_queues()? {
            let queue = view.batch_queue(&topic, queue_id)?;
            let found = largest(queue.files(), 46);
            sizes.batch_queue_file_bytes = sizes.batch_queue_file_bytes.max(found);
        }
        for path in view.index_files()? {
            let index = IndexView::open(&path)?;
            // Any split explains a file without entries.
            if index.header().last_entry() > 0 {
                sizes.index = sizes.index.or(index.geometry());
            }
        }
        Ok(sizes)
    }
}

/// Files lie one size apart. A single one tells only if nothing is cut off it: whole files have round sizes.
fn log_file_bytes(files: &[SegmentFile]) -> Option<u64> {
    let apart = files
        .windows(2)
        .filter_map(|pair| Some(pair.last()?.base.saturating_sub(pair.first()?.base)));
    let apart = apart.filter(|&distance| distance > 0).min();
    let alone = || {
        let only = files.first()?;
        let round = only.len > 0 && only.len.is_multiple_of(1024);
        (round && only.base.is_multiple_of(only.len)).then_some(only.len)
    };
    apart.or_else(alone)
}

/// What is to be repaired.
#[derive(Clone, Debug, Default)]
pub struct Repair {
    /// How large files are; all that is needed must be there by now.
    pub sizes: Sizes,
    /// Queues of which a copy is kept, because they hold something that is wrong.
    pub keep: Vec<(String, u32)>,
    /// The topics that are configured. What is still in the log of others gets no queues again.
    pub topics: Option<BTreeSet<String>>,
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Repaired {
    /// What the walk over the log found and did.
    pub report: RecoveryReport,
    /// The directory that holds what was replaced.
    pub kept_in: PathBuf,
    /// Whether the index was made again; else it is left to the next broker.
    pub index_made: bool,
}

/// Refuses a store that a broker has, before anybody spends time on it.
pub fn refuse_in_use(view: &View) -> Result<(), StoreError> {
    // A broker makes the file, so without one nobody is there; and looking changes nothing.
    if !view.layout().lock().exists() {
        return Ok(());
    }
    DirLock::take(view.layout()).map(drop)
}

impl Repair {
    /// Does it. The store must not be in use.
    pub(crate) fn run(&self, view: &View, clock: &Clock) -> Result<Repaired, StoreError> {
        let layout = view.layout();
        let lock = DirLock::take(layout)?;
        let kept_in = layout
            .dir()
            .join(cut::DIR)
            .join(format!("repair-{}", clock.now_ms()));
        std::fs::create_dir_all(&kept_in).map_err(StoreError::io("make", &kept_in))?;
        for (topic, queue_id) in &self.keep {
            for dir in [
                layout.consume_queue(topic, *queue_id),
                layout.batch_consume_queue(topic, *queue_id),
            ] {
                keep_copy(layout.dir(), &dir, &kept_in)?;
            }
        }
        forget_checkpoint(layout, view, &kept_in)?;
        let index_made = self.sizes.index.is_some();
        if index_made {
            keep_index(&layout.index(), &kept_in.join("index"))?;
        }
        let before = queues(layout)?;
        let options = self.options(view)?;
        drop(lock);
        let (store, report) = Store::open(options, clock.clone())?;
        if let Some(topics) = &self.topics {
            for topic in store.queues().iter().map(|queue| queue.topic().clone()) {
                let is_new = !before.contains(topic.as_str());
                if is_new && !topics.contains(topic.as_str()) && is_users(&topic) {
                    store.delete_topic(&topic)?;
                }
            }
        }
        store.shutdown()?;
        Ok(Repaired {
            report,
            kept_in,
            index_made,
        })
    }

    fn options(&self, view: &View) -> Result<StoreOptions, StoreError> {
        let dir = view.layout().dir();
        let defaults = StoreOptions::new(dir);
        let geometry = self.sizes.index.unwrap_or(Geometry::DEFAULT);
        let missing = || StoreError::Setting {
            setting: "mappedFileSizeCommitLog",
            value: "unknown".to_owned(),
            reason: "the files do not tell it",
        };
        Ok(StoreOptions {
            log_file_bytes: self.sizes.log_file_bytes.ok_or_else(missing)?,
            queue_file_bytes: self
                .sizes
                .queue_file_bytes
                .unwrap_or(defaults.queue_file_bytes),
            batch_queue_file_bytes: self
                .sizes
                .batch_queue_file_bytes
                .unwrap_or(defaults.batch_queue_file_bytes),
            index_slots: geometry.slots,
            index_entries: geometry.entries,
            index_enabled: self.sizes.index.is_some(),
            delay_levels_ms: delay_levels(view, &defaults.delay_levels_ms),
            // A repair deletes nothing for being old, however full the disk is.
            file_reserved_hours: 24 * 365 * 1000,
            disk_max_used_ratio: 100,
            disk_clean_forcibly_ratio: 100,
            disk_warning_ratio: 100,
            clean_file_forcibly: false,
            retention_interval: YEAR,
            rebuild: true,
            ..defaults
        })
    }
}

/// The topics that have queues.
fn queues(layout: &layout::Layout) -> Result<BTreeSet<String>, StoreError> {
    let mut topics = BTreeSet::new();
    for dir in [layout.consume_queues(), layout.batch_consume_queues()] {
        let found = layout::queues(&dir).map_err(StoreError::io("list", &dir))?;
        topics.extend(found.into_iter().map(|(topic, _)| topic));
    }
    Ok(topics)
}

/// Whether only users make and delete the topic; brokers do not list all of their own.
fn is_users(topic: &TopicName) -> bool {
    let name = topic.as_str();
    let of_brokers = name.starts_with(LIGHT_QUEUE_PREFIX)
        || name.starts_with('%')
        || name.to_ascii_lowercase().starts_with("rmq_sys_")
        || [
            names::SCHEDULE_TOPIC,
            names::TRANS_CHECK_MAX_TIME_TOPIC,
            names::SELF_TEST_TOPIC,
            names::OFFSET_MOVED_EVENT,
        ]
        .contains(&name);
    !of_brokers
}

/// How long each delay level waits: what the queues' own entries say, for the broker may have been told other times than
/// the usual ones.
fn delay_levels(view: &View, usual: &[i64]) -> Vec<i64> {
    let mut levels = usual.to_vec();
    let Ok(mut log) = view.log() else {
        return levels;
    };
    for (level, queue_id) in (0_usize..).zip(0..usual.len() as u64) {
        let Ok(mut queue) = u32::try_from(queue_id)
            .map_err(|_| ())
            .and_then(|id| view.queue(names::SCHEDULE_TOPIC, id).map_err(|_| ()))
        else {
            continue;
        };
        while let Some(Ok((_, entry))) = queue.next_entry() {
            let Some(at) = LogOffset::from_wire(entry.log_offset).filter(|_| !entry.is_filler())
            else {
                continue;
            };
            if let Ok(stored) = log.record_at(at)
                && stored.record.topic == names::SCHEDULE_TOPIC
            {
                let waits = entry
                    .tags_code
                    .saturating_sub(stored.record.store_timestamp);
                if waits >= 0
                    && let Some(place) = levels.get_mut(level)
                {
                    *place = waits;
                }
                break;
            }
        }
    }
    levels
}

/// Nothing the checkpoint says is believed; only what a master has told this slave is nowhere else.
fn forget_checkpoint(
    layout: &layout::Layout,
    view: &View,
    kept_in: &Path,
) -> Result<(), StoreError> {
    let path = layout.checkpoint();
    keep_copy(layout.dir(), &path, kept_in)?;
    let Ok(Some(old)) = view.checkpoint() else {
        return Ok(());
    };
    let new = Checkpoint {
        master_flushed_offset: old.master_flushed_offset,
        ..Checkpoint::default()
    };
    std::fs::write(&path, new.encode()).map_err(StoreError::io("write", &path))
}

/// Moves the index files away.
fn keep_index(index: &Path, to: &Path) -> Result<(), StoreError> {
    let files = layout::index_files(index).map_err(StoreError::io("list", index))?;
    if files.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(to).map_err(StoreError::io("make", to))?;
    for file in files {
        let name = file.file_name().unwrap_or_default();
        std::fs::rename(&file, to.join(name)).map_err(StoreError::io("move away", &file))?;
    }
    Ok(())
}

/// Copies a file, or a directory of files, to where it would lie below `to`. What is not there is passed over.
pub fn keep_copy(store: &Path, what: &Path, to: &Path) -> Result<(), StoreError> {
    let below = what.strip_prefix(store).unwrap_or(what);
    let to = to.join(below);
    if what.is_dir() {
        let entries = std::fs::read_dir(what).map_err(StoreError::io("list", what))?;
        for entry in entries {
            let entry = entry.map_err(StoreError::io("list", what))?;
            if entry.path().is_file() {
                copy(&entry.path(), &to.join(entry.file_name()))?;
            }
        }
    } else if what.is_file() {
        copy(what, &to)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    if let Some(dir) = to.parent() {
        std::fs::create_dir_all(dir).map_err(StoreError::io("make", dir))?;
    }
    // Holes stay holes where the system can.
    let copied = std::fs::copy(from, to);
    copied
        .map(|_| ())
        .map_err(StoreError::io("keep a copy of", from))
}
