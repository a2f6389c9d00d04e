//! Deletes what is too old, or what the disk has no room for, and refuses writes on a disk that is nearly full.
//!
//! The rules are Apache's (`DefaultMessageStore.CleanCommitLogService`): at the hours of `deleteWhen`, and at any hour
//! while the partition is fuller than `diskMaxUsedSpaceRatio`, log files not written to for `fileReservedTime` hours go,
//! oldest first; above `diskSpaceCleanForciblyRatio` they go whatever their age; above `diskSpaceWarningLevelRatio`
//! messages are refused. The last file always stays. Queue and index files that point only to deleted messages follow.
//!
//! Two rules are this broker's own: with `retain_for` files go at that age at any hour, and with `retain_bytes` the
//! oldest go while the log is longer than that.
//!
//! Deleting unlinks: whoever is reading a file keeps its bytes. So `destroyMapedFileIntervalForcibly` has no use here.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use jiff::{Timestamp, tz::TimeZone};

use super::shared::{Reason, Shared};
use crate::sys::platform;

/// Apache's `deleteFileBatchMax`.
const FILES_AT_ONCE: usize = 10;

/// What the disk and the time of day ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Demand {
    /// Files past their time are to go.
    expired: bool,
    /// Files are to go whatever their age.
    any: bool,
    /// Messages are to be refused.
    refuse: bool,
}

/// The three ratios, as shares, held within Apache's bounds.
#[derive(Clone, Copy, Debug)]
struct Ratios {
    used_max: f64,
    clean_forcibly: f64,
    warning: f64,
}

impl Ratios {
    fn demand(self, used: f64, clean_forcibly: bool, time_is_up: bool) -> Demand {
        Demand {
            expired: time_is_up || used > self.used_max || used > self.clean_forcibly,
            any: clean_forcibly && used > self.clean_forcibly,
            refuse: used > self.warning,
        }
    }
}

impl Shared {
    /// Looks once and deletes what is to go now.
    pub(crate) fn retain(&self) {
        let _sweeping = self.sweeping.lock();
        let options = self.retention.lock().clone();
        let share = |percent: u8| f64::from(percent) / 100.0;
        let ratios = Ratios {
            used_max: share(options.disk_max_used_ratio),
            clean_forcibly: share(options.disk_clean_forcibly_ratio).clamp(0.30, 0.85),
            warning: share(options.disk_warning_ratio).clamp(0.35, 0.90),
        };
        let used =
            platform::disk_space(self.layout.dir()).map_or(0.0, platform::DiskSpace::used_ratio);
        let time_is_up = options.retain_for.is_some()
            || is_hour_of(&options.delete_when, local_hour(self.clock.now_ms()));
        let demand = ratios.demand(used, options.clean_file_forcibly, time_is_up);
        self.set_refusal(demand.refuse, used);
        if demand.expired && self.delete_log_files(demand.any) == 0 && demand.any {
            tracing::warn!(
                "the disk of {} is {:.0} % full and there is no log file to delete",
                self.layout.dir().display(),
                used * 100.0
            );
        }
        if let Some(keep) = options.retain_bytes {
            self.shorten_log(keep);
        }
        // The first time also what an earlier run left over.
        let log_min = self.log.min();
        if self.swept_below.swap(log_min, Ordering::Relaxed) != log_min {
            self.delete_derived_files(log_min);
        }
    }

    fn set_refusal(&self, refuse: bool, used: f64) {
        let dir = self.layout.dir().display();
        if refuse {
            let why = format!("the disk of {dir} is {:.1} % full", used * 100.0);
            if self.gate.close(Reason::DiskFull, why.clone()) {
                tracing::error!("{why}; messages are refused until there is room");
            }
        } else if self.gate.open(Reason::DiskFull) {
            tracing::info!("the disk of {dir} has room again");
        }
    }

    fn delete_log_files(&self, any_age: bool) -> usize {
        let reserved = {
            let options = self.retention.lock();
            let hours = Duration::from_secs(options.file_reserved_hours.saturating_mul(3600));
            options.retain_for.unwrap_or(hours)
        };
        let now_ms = u64::try_from(self.clock.now_ms()).unwrap_or_default();
        let expired = |modified: SystemTime| {
            let since_1970 = modified
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            Duration::from_millis(now_ms) >= since_1970.saturating_add(reserved)
        };
        let mut until = None;
        let segments = self.log.segments();
        let (_last, older) = segments
            .split_last()
            .map_or((None, [].as_slice()), |(l, o)| (Some(l), o));
        for segment in older.iter().take(FILES_AT_ONCE) {
            let modified = std::fs::metadata(segment.path()).and_then(|meta| meta.modified());
            // A file that somebody else deleted is as good as expired.
            if !any_age && !modified.is_ok_and(expired) && segment.path().exists() {
                break;
            }
            // Not synced yet means not safe to call old, whatever the clock says.
            if segment.end() > self.log.flushed.get() {
                break;
            }
            until = Some(segment.end());
        }
        until.map_or(0, |until| self.delete_log_before(until))
    }

    /// Deletes the oldest files until the log is no longer than `keep` bytes.
    fn shorten_log(&self, keep: u64) {
        let written = self.log.flushed.get();
        let segments = self.log.segments();
        let (_last, older) = segments
            .split_last()
            .map_or((None, [].as_slice()), |(l, o)| (Some(l), o));
        let mut from = self.log.min();
        for segment in older {
            if written.saturating_sub(from) <= keep || segment.end() > written {
                break;
            }
            from = segment.end();
        }
        if from > self.log.min() {
            self.delete_log_before(from);
        }
    }

    fn delete_log_before(&self, until: u64) -> usize {
        let gone = self.log.remove_before(until);
        for segment in &gone {
            match segment.unlink() {
                Ok(()) => tracing::info!("deleted {}", segment.path().display()),
                Err(error) => tracing::warn!("cannot delete {}: {error}", segment.path().display()),
            }
        }
        gone.len()
    }

    /// What the hours of `deleteWhen` are for, at once.
    pub(crate) fn delete_expired(&self) {
        let _sweeping = self.sweeping.lock();
        self.delete_log_files(false);
        self.delete_derived_files(self.log.min());
    }

    /// Deletes queue and index files that point only to messages that are gone.
    pub(crate) fn delete_pointless_files(&self) {
        let _sweeping = self.sweeping.lock();
        self.delete_derived_files(self.log.min());
    }

    fn delete_derived_files(&self, log_min: u64) {
        for queue in self.queues.all() {
            let first = queue.entry(queue.min_offset().get());
            let past = first
                .is_some_and(|first| u64::try_from(first.log_offset).is_ok_and(|at| at < log_min));
            if past {
                queue.raise_min(log_min);
                if let Err(error) = queue.remove_old_files() {
                    tracing::warn!(
                        "cannot delete old files of {}/{}: {error}",
                        queue.topic(),
                        queue.id()
                    );
                }
            }
        }
        if let Err(error) = self.dispatcher.lock().index.remove_before(log_min) {
            tracing::warn!("cannot delete old index files: {error}");
        }
    }
}

fn local_hour(now_ms: i64) -> i8 {
    let now = Timestamp::from_millisecond(now_ms).unwrap_or_default();
    now.to_zoned(TimeZone::system()).hour()
}

/// Whether `hours` (`04` or `04;16`) names this hour of the day.
fn is_hour_of(hours: &str, hour: i8) -> bool {
    hours
        .split(';')
        .any(|named| named.trim().parse() == Ok(hour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demands_follow_apaches_ratios() {
        let ratios = Ratios {
            used_max: 0.75,
            clean_forcibly: 0.85,
            warning: 0.90,
        };
        let demand = |used| {
            let demand = ratios.demand(used, true, false);
            (demand.expired, demand.any, demand.refuse)
        };
        assert_eq!(demand(0.5), (false, false, false));
        assert_eq!(demand(0.76), (true, false, false));
        assert_eq!(demand(0.86), (true, true, false));
        assert_eq!(demand(0.91), (true, true, true));
        assert!(ratios.demand(0.5, true, true).expired);
        assert!(!ratios.demand(0.86, false, false).any);
    }

    #[test]
    fn hours_of_the_day() {
        assert!(is_hour_of("04", 4));
        assert!(is_hour_of("04;16", 16));
        assert!(!is_hour_of("04;16", 5));
        assert!(!is_hour_of("", 0));
    }
}
