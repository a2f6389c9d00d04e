//! A table that is kept in a file under `config/`, in Apache's form.
//!
//! Changing the table and saving it are two steps: the first holds the table's lock, the second does not. Saves of one
//! file happen one after another; a save that finds its change already written does nothing, so many changes at once
//! cost few writes. A save does not wait for the disk: requests do it, on the threads that serve the others. Once in a
//! while, and at the end, [`Kept::keep`] waits; until then `.bak` holds what the disk is known to have.
//!
//! Lock order: `saving` before `table`. The guard of neither is handed out.

use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use crate::protocol::fastjson;
use crate::store::config_file;

/// Why a file under `config/` cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigFileError {
    /// Neither the file nor its `.bak` holds what it should.
    #[error("{} and its .bak hold no valid content: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Reads a file, or its `.bak` if the file is missing, empty or makes no sense. `None` if there is neither.
pub(crate) fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ConfigFileError> {
    let io_error = |source| ConfigFileError::Io {
        path: path.to_owned(),
        source,
    };
    let Some(bytes) = config_file::read(path).map_err(io_error)? else {
        return Ok(None);
    };
    let reason = match fastjson::from_slice(&bytes) {
        Ok(value) => return Ok(Some(value)),
        Err(error) => error.to_string(),
    };
    let backup = config_file::read_backup(path).map_err(io_error)?;
    match backup.map(|bytes| fastjson::from_slice(&bytes)) {
        Some(Ok(value)) => {
            tracing::warn!(path = %path.display(), "using the .bak, the file is bad: {reason}");
            Ok(Some(value))
        }
        _ => Err(ConfigFileError::Content {
            path: path.to_owned(),
            reason,
        }),
    }
}

/// How a table becomes text, and how to tell whether it changed.
#[derive(Clone, Copy)]
pub(crate) struct Form<T> {
    /// Moves with every change.
    pub(crate) changes: fn(&T) -> u64,
    /// The file's content.
    pub(crate) encode: fn(&T) -> Vec<u8>,
}

/// What the file holds.
struct Saved {
    /// The change that was saved last; `None` before the first save.
    changes: Option<u64>,
    /// Whether it is on the disk.
    synced: bool,
}

/// A table and its file.
pub(crate) struct Kept<T> {
    table: Mutex<T>,
    saving: Mutex<Saved>,
    path: PathBuf,
    form: Form<T>,
}

impl<T> Kept<T> {
    pub(crate) fn new(path: PathBuf, table: T, form: Form<T>) -> Self {
        Self {
            table: Mutex::new(table),
            saving: Mutex::new(Saved {
                changes: None,
                synced: true,
            }),
            path,
            form,
        }
    }

    /// Looks at or changes the table.
    pub(crate) fn with<R>(&self, use_table: impl FnOnce(&mut T) -> R) -> R {
        use_table(&mut self.table.lock())
    }

    /// Writes the file if the table changed since it was written last. A failure is logged and tried again next time:
    /// the table in memory stays right, and a broker must not stop serving because of it.
    pub(crate) fn save(&self) {
        self.write(&mut self.saving.lock());
    }

    /// Saves, and waits until the file is on the disk. Not for threads that serve requests.
    pub(crate) fn keep(&self) {
        let written = {
            let mut saved = self.saving.lock();
            self.write(&mut saved);
            if saved.synced {
                return;
            }
            saved.changes
        };
        // Without the lock, or requests that save would wait for the disk after all.
        match config_file::sync(&self.path) {
            Ok(()) => {
                let mut saved = self.saving.lock();
                saved.synced = saved.changes == written;
            }
            Err(error) => tracing::error!(path = %self.path.display(), "cannot sync: {error}"),
        }
    }

    fn write(&self, saved: &mut Saved) {
        let (changes, bytes) = {
            let table = self.table.lock();
            let changes = (self.form.changes)(&table);
            if saved.changes == Some(changes) {
                return;
            }
            (changes, (self.form.encode)(&table))
        };
        match config_file::write_soon(&self.path, &bytes, saved.synced) {
            Ok(()) => {
                *saved = Saved {
                    changes: Some(changes),
                    synced: false,
                };
            }
            Err(error) => tracing::error!(path = %self.path.display(), "cannot save: {error}"),
        }
    }

    /// The file's content as it would be written now.
    pub(crate) fn encoded(&self) -> Vec<u8> {
        (self.form.encode)(&self.table.lock())
    }
}
