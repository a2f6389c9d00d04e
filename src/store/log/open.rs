//! Opens the files of the log before anything is known about what is in them.

use std::path::Path;
use std::sync::Arc;

use super::Log;
use super::recover::Setting;
use crate::store::error::StoreError;
use crate::store::layout::{self, SegmentFile};
use crate::store::segment::{Handle, Segment};

/// Opens the files of the log, and makes them one sequence of files of the right size.
pub(super) fn open_log(setting: &Setting<'_>) -> Result<Arc<Log>, StoreError> {
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

pub(super) fn open_segment(
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
