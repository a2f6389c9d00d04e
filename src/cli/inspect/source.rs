//! What a PATH on the command line stands for: a store, a part of one, or one file.

use std::path::Path;

use super::{existing, lone_segment, store_of};
use crate::cli::exit::CliError;
use crate::message::record::PHYSICAL_OFFSET_AT;
use crate::store::layout::SegmentFile;
use crate::store::view::{self, log_files_in};
use crate::store::{View, ViewError};

/// The log files that `path` stands for: those of a store, of its commitlog directory, or the file itself, packed ones
/// included.
pub(super) fn log_files(path: &Path) -> Result<Vec<SegmentFile>, CliError> {
    if existing(path)?.is_file() {
        return Ok(vec![lone_segment(path, || stated_position(path))?]);
    }
    let own = log_files_in(path)?;
    if !own.is_empty() {
        return Ok(own);
    }
    let view = View::open(path)?;
    let files = view.log_files()?;
    if files.is_empty() && !view.layout().commit_log().exists() {
        return Err(ViewError::Absent {
            path: view.layout().commit_log(),
        }
        .into());
    }
    Ok(files)
}

/// The store that holds the log files of `path`, if it is one or lies in one.
pub(super) fn store_with_log(path: &Path) -> Option<View> {
    store_of(path, "commitlog").ok()
}

/// The position the first record of a file states; a file that was renamed has no other.
fn stated_position(path: &Path) -> Result<u64, CliError> {
    let head = view::first_bytes(path, PHYSICAL_OFFSET_AT + 8)?;
    let stated = head.get(PHYSICAL_OFFSET_AT..).and_then(<[u8]>::first_chunk);
    Ok(stated.copied().map_or(0, u64::from_be_bytes))
}
