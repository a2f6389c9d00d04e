//! How a store is to be kept. The defaults are Apache's (`MessageStoreConfig` of 5.5.0).

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::StoreError;
use super::layout::BATCH_QUEUE_FILE_BYTES;

/// When an append counts as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushMode {
    /// Acknowledge at once; a worker syncs every `interval`.
    Async {
        /// Apache's `flushIntervalCommitLog`.
        interval: Duration,
    },
    /// Acknowledge when the disk has it.
    Sync {
        /// How long a request waits for that (Apache's `syncFlushTimeout`).
        timeout: Duration,
    },
}

/// Everything a store needs to know to open a directory.
#[derive(Clone, Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub struct StoreOptions {
    /// The store directory (Apache's `storePathRootDir`).
    pub dir: PathBuf,
    /// `mappedFileSizeCommitLog`.
    pub log_file_bytes: u64,
    /// `mappedFileSizeConsumeQueue`; rounded up to whole entries of 20 bytes.
    pub queue_file_bytes: u64,
    /// `mapperFileSizeBatchConsumeQueue`; rounded up to whole entries of 46 bytes.
    pub batch_queue_file_bytes: u64,
    /// `enableLmq`: whether light queues (`%LMQ%…`) are known at all.
    pub light_queues: bool,
    /// `enableMultiDispatch`: whether a message is also put into the light queues it names.
    pub multi_dispatch: bool,
    /// `maxLmqConsumeQueueNum`: how many light queues there may be.
    pub light_queues_max: u32,
    /// `maxHashSlotNum`.
    pub index_slots: u32,
    /// `maxIndexNum`.
    pub index_entries: u32,
    /// `messageIndexEnable`.
    pub index_enabled: bool,
    /// `flushDiskType` and its time.
    pub flush: FlushMode,
    /// How often queue entries are written and synced (`flushIntervalConsumeQueue`).
    pub queue_flush_interval: Duration,
    /// `fileReservedTime`, in hours.
    pub file_reserved_hours: u64,
    /// `deleteWhen`: hours of the day, separated by `;`.
    pub delete_when: String,
    /// `diskMaxUsedSpaceRatio`: above it old files go at any hour. Percent.
    pub disk_max_used_ratio: u8,
    /// `diskSpaceCleanForciblyRatio`: above it files go before their time. Percent.
    pub disk_clean_forcibly_ratio: u8,
    /// `diskSpaceWarningLevelRatio`: above it writes are refused. Percent.
    pub disk_warning_ratio: u8,
    /// Log files not written to for so long go at any hour, whatever `file_reserved_hours` and `delete_when` say.
    pub retain_for: Option<Duration>,
    /// The oldest log files go at any hour while the log is longer than this.
    pub retain_bytes: Option<u64>,
    /// `cleanFileForciblyEnable`.
    pub clean_file_forcibly: bool,
    /// `cleanResourceInterval`.
    pub retention_interval: Duration,
    /// How much of the end of the log is to stay in the page cache, in bytes; what was appended before that and is on the
    /// disk is taken out. `u64::MAX` leaves it to the kernel.
    pub log_cache_bytes: u64,
    /// `maxMessageSize`: the longest record, body and properties included.
    pub message_max: usize,
    /// Takes everything off the log, once, that lies at or behind this position: a replica's history parts there from
    /// its master's. What is taken off is saved first.
    pub cut_at: Option<u64>,
    /// Whether recovery cuts the log at the first damage instead of keeping what lies behind it: others have all of it.
    pub cut_at_damage: bool,
    /// `messageDelayLevel`, in milliseconds, level 1 first.
    pub delay_levels_ms: Vec<i64>,
    /// Whether the start reads the whole log and makes queues and index again from it, whatever they hold.
    pub rebuild: bool,
}

impl StoreOptions {
    /// Whether messages are put into the light queues they name. Apache needs both settings for that.
    pub(crate) fn dispatches_to_light_queues(&self) -> bool {
        self.light_queues && self.multi_dispatch
    }

    /// Refuses what no store can be kept with.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let refuse = |setting, value: u64, reason| {
            Err(StoreError::Setting {
                setting,
                value: value.to_string(),
                reason,
            })
        };
        if !(1024..=1 << 31).contains(&self.log_file_bytes) {
            return refuse(
                "mappedFileSizeCommitLog",
                self.log_file_bytes,
                "it must lie between 1 KiB and 2 GiB",
            );
        }
        if !(20..=1 << 31).contains(&self.queue_file_bytes) {
            return refuse(
                "mappedFileSizeConsumeQueue",
                self.queue_file_bytes,
                "it must lie between 20 bytes and 2 GiB",
            );
        }
        if !(46..=1 << 31).contains(&self.batch_queue_file_bytes) {
            return refuse(
                "mapperFileSizeBatchConsumeQueue",
                self.batch_queue_file_bytes,
                "it must lie between 46 bytes and 2 GiB",
            );
        }
        if !(1..=1 << 30).contains(&self.index_slots) {
            return refuse(
                "maxHashSlotNum",
                self.index_slots.into(),
                "it must lie between 1 and 2^30",
            );
        }
        if !(2..=1 << 30).contains(&self.index_entries) {
            return refuse(
                "maxIndexNum",
                self.index_entries.into(),
                "it must lie between 2 and 2^30",
            );
        }
        Ok(())
    }

    /// Apache's defaults for a store in `dir`.
    pub fn new(dir: impl AsRef<Path>) -> Self {
        const SECOND: i64 = 1000;
        const MINUTE: i64 = 60 * SECOND;
        const HOUR: i64 = 60 * MINUTE;
        Self {
            dir: dir.as_ref().to_owned(),
            log_file_bytes: 1 << 30,
            queue_file_bytes: 6_000_000,
            light_queues: false,
            multi_dispatch: false,
            light_queues_max: 20_000,
            batch_queue_file_bytes: BATCH_QUEUE_FILE_BYTES,
            index_slots: 5_000_000,
            index_entries: 20_000_000,
            index_enabled: true,
            flush: FlushMode::Async {
                interval: Duration::from_millis(500),
            },
            queue_flush_interval: Duration::from_secs(1),
            file_reserved_hours: 72,
            delete_when: "04".to_owned(),
            disk_max_used_ratio: 75,
            disk_clean_forcibly_ratio: 85,
            disk_warning_ratio: 90,
            retain_for: None,
            retain_bytes: None,
            clean_file_forcibly: true,
            retention_interval: Duration::from_secs(10),
            log_cache_bytes: u64::MAX,
            message_max: 4 << 20,
            cut_at: None,
            cut_at_damage: false,
            delay_levels_ms: vec![
                SECOND,
                5 * SECOND,
                10 * SECOND,
                30 * SECOND,
                MINUTE,
                2 * MINUTE,
                3 * MINUTE,
                4 * MINUTE,
                5 * MINUTE,
                6 * MINUTE,
                7 * MINUTE,
                8 * MINUTE,
                9 * MINUTE,
                10 * MINUTE,
                20 * MINUTE,
                30 * MINUTE,
                HOUR,
                2 * HOUR,
            ],
            rebuild: false,
        }
    }
}
