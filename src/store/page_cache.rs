//! Keeps the log's share of the page cache within bounds.
//!
//! Left alone, all that was ever appended stays in the page cache until the kernel wants the room for something else. A
//! machine of its own pays nothing for that. A virtual one (WSL, Docker Desktop, most of CI) grows with each page that
//! was not in use before, which its host has to find first: that takes longer than everything else a message costs
//! here, and the host does not get the memory back. So what is on the disk and lies far behind the end of the log is
//! given up, and new messages take its pages. Who reads that far back reads from the disk, and is known to
//! ([`StoreOptions::log_cache_bytes`](super::StoreOptions::log_cache_bytes)).
//!
//! Absent on purpose: what was in the page cache when the store was opened, and what somebody read into it again. The
//! kernel judges these as it does everybody's.

use std::sync::atomic::Ordering;

use super::shared::Shared;

/// Pages are given up in steps of so many bytes, or an eighth of what is kept if that is less.
const STEP_BYTES: u64 = 64 << 20;
/// Where a step ends: pages that reach beyond it stay, and some are large.
const ALIGNED_TO: u64 = 4096;

impl Shared {
    /// Gives up the pages of what lies so far behind the end of the log that it need not be in memory.
    pub(crate) fn let_go_of_old_pages(&self) {
        let keep = self.options.log_cache_bytes;
        let until = self.log.flushed.get().saturating_sub(keep);
        let until = until - until % ALIGNED_TO;
        let from = self.cached_from.load(Ordering::Relaxed);
        if until < from.saturating_add(STEP_BYTES.min(keep / 8).max(1)) {
            return;
        }
        for segment in self.log.segments() {
            let base = segment.base();
            if segment.end() <= from || base >= until {
                continue;
            }
            let part = from.max(base) - base..until.min(segment.end()) - base;
            if let Err(error) = segment.let_go_of_pages(part) {
                tracing::debug!("pages of {} stay: {error}", segment.path().display());
            }
        }
        self.cached_from.store(until, Ordering::Relaxed);
    }
}
