//! What can go wrong in the store, with the place.

use std::io;
use std::path::{Path, PathBuf};

/// Why a store cannot be opened or kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another broker, or another store of this process, has the directory.
    #[error("{} is in use by another broker{}", dir.display(), holder.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    InUse {
        /// The store directory.
        dir: PathBuf,
        /// The process that says it is running there.
        holder: Option<u32>,
    },
    /// A log file does not have the configured size and cannot be repaired safely.
    #[error("{} has {actual} bytes instead of {expected}; is mappedFileSizeCommitLog right?", path.display())]
    LogFileSize {
        /// The file.
        path: PathBuf,
        /// The configured size.
        expected: u64,
        /// Its size.
        actual: u64,
    },
    /// Two log files are not one file size apart.
    #[error("{} does not start at a multiple of mappedFileSizeCommitLog ({expected})", path.display())]
    LogFileName {
        /// The file.
        path: PathBuf,
        /// The configured size.
        expected: u64,
    },
    /// A setting makes no sense.
    #[error("{setting} cannot be {value}: {reason}")]
    Setting {
        /// Apache's name of it.
        setting: &'static str,
        /// What it was set to.
        value: String,
        /// Why not.
        reason: &'static str,
    },
}

impl StoreError {
    /// For `map_err`: names what was tried on which path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// Why the store takes no messages at the moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteRefusal {
    /// The partition is fuller than `diskSpaceWarningLevelRatio`, or had no room for the last write. Ends by itself.
    #[error("the disk is full: {0}")]
    DiskFull(String),
    /// Only the master's log may grow by itself; a replica follows it.
    #[error("this broker is a slave")]
    Replica,
    /// The store is being closed.
    #[error("the store is shutting down")]
    ShuttingDown,
    /// The disk failed. Ends only with a restart: after a failed sync nobody knows what the disk has.
    #[error("the store takes no more writes since {0}")]
    Broken(String),
}

/// Why a stretch of the master's log was not taken. What came before it is kept.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// It is not the next one.
    #[error("the master sends log position {at}, this log ends at {expected}")]
    Elsewhere {
        /// Where this log ends.
        expected: u64,
        /// What was sent.
        at: u64,
    },
    /// It cannot be the continuation of this log.
    #[error("what the master sends does not continue this log at position {at}: {reason}")]
    Foreign {
        /// Where.
        at: u64,
        /// Why.
        reason: &'static str,
    },
    /// The store could not write it.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// Why a group was not appended. Nothing of it is in the log.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The store takes no messages at the moment.
    #[error(transparent)]
    Refused(#[from] WriteRefusal),
    /// A record is longer than `maxMessageSize` allows or than a log file can hold.
    #[error("record of {size} bytes is longer than {max}")]
    TooLarge {
        /// Its length.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// The write failed for another reason than room; the next one may succeed.
    #[error("cannot write to {}: {source}", path.display())]
    Io {
        /// The log file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
