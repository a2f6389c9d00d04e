//! Single records and runs of them, for whoever follows the log beside its queues.

use super::Store;
use super::error::StoreError;
use crate::base::LogOffset;
use crate::message::record::Record;

impl Store {
    /// The first position that can still be read.
    pub(crate) fn log_start(&self) -> LogOffset {
        LogOffset::new(self.shared.log.min())
    }

    /// Makes everything appended so far durable. Blocks.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.shared.flush_log()
    }

    /// Copies a record out of the log, if all of it is there. Read without the map: a record that is looked at once,
    /// long before or after anybody pulls it, should not count as this process's memory.
    pub(crate) fn copy_record(&self, at: i64, size: i32, into: &mut Vec<u8>) -> bool {
        let log = &self.shared.log;
        let (Ok(at), Ok(size)) = (u64::try_from(at), u64::try_from(size)) else {
            return false;
        };
        let end = at.saturating_add(size);
        let Some(segment) = log.segment_at(at).filter(|one| end <= one.end()) else {
            return false;
        };
        if end > log.appended.get() {
            return false;
        }
        let (Ok(size), Ok(place)) = (usize::try_from(size), usize::try_from(at - segment.base()))
        else {
            return false;
        };
        into.resize(size, 0);
        segment
            .read(place, into)
            .is_ok_and(|read| read == into.len())
    }

    /// Calls `found` with every whole record from `from` on.
    pub(crate) fn walk_records(&self, from: LogOffset, mut found: impl FnMut(&Record<'_>)) {
        let log = &self.shared.log;
        let (mut at, end) = (from.get().max(log.min()), log.appended.get());
        while at < end {
            let Some(segment) = log.segment_at(at) else {
                return;
            };
            let slice = log.record_at(at);
            let record = slice
                .as_ref()
                .and_then(|slice| Record::parse(slice.as_ref()).ok());
            match record {
                Some(record) => {
                    found(&record);
                    at += u64::from(record.size);
                }
                // The filler at the end of a file.
                None => at = segment.end(),
            }
        }
    }
}
