//! One broker to a directory: the `lock` and `abort` files.
//!
//! A Java broker holds a POSIX record lock on `lock` ([`platform::try_lock`]), which keeps other processes away but not
//! another store of the same process; a list in memory does that. `abort` holds the process id while a broker runs; one
//! that is there at start says that the last broker was not stopped in order.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::error::StoreError;
use super::layout::Layout;
use crate::sys::platform;

static OPEN_HERE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The right to be the only one who writes to a directory. Given back when dropped.
#[derive(Debug)]
pub(crate) struct DirLock {
    dir: PathBuf,
    /// Closing it releases the lock.
    _file: File,
}

impl DirLock {
    /// Takes the lock.
    pub(crate) fn take(layout: &Layout) -> Result<Self, StoreError> {
        let dir = layout.dir();
        let dir = dir.canonicalize().map_err(StoreError::io("open", dir))?;
        let in_use = || StoreError::InUse {
            dir: dir.clone(),
            holder: holder(layout),
        };
        // Before the file is touched: closing any handle of it would release this process's lock.
        if !OPEN_HERE.lock().insert(dir.clone()) {
            return Err(in_use());
        }
        let path = layout.lock();
        let taken = platform::open_write(&path)
            .and_then(|file| Ok((platform::try_lock(&file)?, file)))
            .map_err(StoreError::io("lock", &path))
            .and_then(|(taken, file)| if taken { Ok(file) } else { Err(in_use()) })
            .and_then(|file| {
                platform::write_all_at(&file, b"lock", 0)
                    .map_err(StoreError::io("write", &path))?;
                Ok(file)
            });
        match taken {
            Ok(file) => Ok(Self { dir, _file: file }),
            Err(error) => {
                OPEN_HERE.lock().remove(&dir);
                Err(error)
            }
        }
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        OPEN_HERE.lock().remove(&self.dir);
    }
}

fn holder(layout: &Layout) -> Option<u32> {
    std::fs::read_to_string(layout.abort())
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Says that a broker runs on the directory. Returns whether the last one was stopped in order.
pub(crate) fn begin_running(layout: &Layout) -> Result<bool, StoreError> {
    let path = layout.abort();
    let clean = !path.exists();
    std::fs::write(&path, std::process::id().to_string())
        .map_err(StoreError::io("write", &path))?;
    sync_parent(&path)?;
    Ok(clean)
}

/// Says that the broker was stopped in order.
pub(crate) fn end_running(layout: &Layout) -> Result<(), StoreError> {
    let path = layout.abort();
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::io("delete", &path)(error))
        }
        _ => sync_parent(&path),
    }
}

fn sync_parent(path: &Path) -> Result<(), StoreError> {
    path.parent().map_or(Ok(()), |dir| {
        platform::sync_dir(dir).map_err(StoreError::io("sync", dir))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_store() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let lock = DirLock::take(&layout).unwrap();
        assert!(begin_running(&layout).unwrap());
        let error = DirLock::take(&layout).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(lock);
        let _again = DirLock::take(&layout).unwrap();
        assert!(!begin_running(&layout).unwrap());
        end_running(&layout).unwrap();
        assert!(begin_running(&layout).unwrap());
    }
}
