//! Repairs of the log itself: damaged stretches become something both brokers walk over, and left-overs behind the end
//! become zeros. What was there is saved first ([`cut`]).

use std::path::{Path, PathBuf};

use super::Log;
use crate::store::cut;
use crate::store::error::StoreError;

/// A damaged stretch, and the store time of the record in front of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) store_timestamp_ms: i64,
}

/// Makes a damaged stretch something both brokers walk over.
pub(crate) fn mend(log: &Log, cut_dir: &Path, gap: Gap) -> Result<(), StoreError> {
    let mut at = gap.from;
    while at < gap.to {
        let Some(segment) = log.segment_at(at) else {
            return Ok(());
        };
        let until = gap.to.min(segment.end());
        cut::save(&segment, at, until, cut_dir)?;
        let place = usize::try_from(at - segment.base()).unwrap_or_default();
        let bytes = if until == segment.end() {
            cut::blank(until - at)
        } else {
            cut::placeholders(at, until, gap.store_timestamp_ms)
        };
        let path: PathBuf = segment.path().to_owned();
        if let Some(bytes) = bytes {
            segment
                .write(place, &bytes)
                .and_then(|()| segment.sync())
                .map_err(StoreError::io("mend", &path))?;
        }
        tracing::error!(
            "{} is damaged at log position {at} for {} bytes; the bytes are kept in {}",
            path.display(),
            until - at,
            cut_dir.display()
        );
        at = until;
    }
    Ok(())
}

/// Takes everything behind `end` off the log, saving what is not zero.
pub(crate) fn cut_tail(
    log: &Log,
    cut_dir: &Path,
    end: u64,
) -> Result<Option<(u64, u64)>, StoreError> {
    let mut lost = None;
    let mut kept = Vec::new();
    for segment in log.segments() {
        if segment.end() <= end {
            kept.push(segment);
            continue;
        }
        let from = end.max(segment.base());
        let saved = cut::save(&segment, from, segment.end(), cut_dir)?;
        if let Some(saved) = saved {
            tracing::warn!(
                "cut {saved} bytes off {} at log position {from}; they are kept in {}",
                segment.path().display(),
                cut_dir.display()
            );
            let (_, sum) = lost.get_or_insert((from, 0));
            *sum += saved;
        }
        if segment.base() > end {
            segment
                .unlink()
                .map_err(StoreError::io("delete", segment.path()))?;
            continue;
        }
        if saved.is_some() {
            let place = usize::try_from(from - segment.base()).unwrap_or_default();
            segment
                .clear_from(place)
                .and_then(|()| segment.sync())
                .map_err(StoreError::io("cut", segment.path()))?;
        }
        kept.push(segment);
    }
    log.set_segments(kept);
    Ok(lost)
}
