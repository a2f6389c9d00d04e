//! What a slave is told of its master's timer: how far it has got, and how many messages wait.
//!
//! A slave has the timer's messages and files none of them. When it becomes master it makes the files anew from the timer
//! topic; the checkpoint it was told (`GET_TIMER_CHECK_POINT`) says which of the messages are dealt with, so that not all
//! of the log has to be searched for their copies. It is written down when the slave's log has everything the master's had
//! when it was told, and forgotten when the files made from it are on the disk.

use std::io;
use std::path::{Path, PathBuf};

use crate::store::timer::format::Check;
use crate::sys::config_file;

/// The file's name under `config/`: a checkpoint in the form of `timercheck`, whose own number is where in the log copies
/// may lie of which it does not know.
const FILE: &str = "rmqTimerMaster";

/// What a slave tells of its master's timer to others.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) check: Check,
    /// The answer of `GET_TIMER_METRICS`.
    pub(crate) metrics: bytes::Bytes,
}

fn path(store: &Path) -> PathBuf {
    store.join("config").join(FILE)
}

/// What was told last, if it can be read. Blocks.
pub(super) fn read(store: &Path) -> Option<Check> {
    let bytes = config_file::read(&path(store)).ok()??;
    Some(Check::decode(&bytes)).filter(|check| check.scan_from.is_some())
}

/// Writes it down. Blocks.
pub(crate) fn write(store: &Path, told: &Told) -> io::Result<()> {
    config_file::write_atomic(&path(store), &told.check.encode_file())?;
    config_file::write_atomic(&super::metrics_file(&store.join("config")), &told.metrics)
}

/// Forgets it. Blocks.
pub(super) fn forget(store: &Path) -> io::Result<()> {
    match std::fs::remove_file(path(store)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
