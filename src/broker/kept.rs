//! A table that is kept in a file under `config/`, in Apache's form.
//!
//! Changing the table and saving it are two steps: the first holds the table's lock, the second does not. Saves of one
//! file happen one after another; a save that finds its change already written does nothing, so many changes at once
//! cost few writes.
//!
//! Lock order: `saving` before `table`. The guard of neither is handed out.

use std::path::PathBuf;

use parking_lot::Mutex;

use crate::store::config_file;

/// How a table becomes text, and how to tell whether it changed.
#[derive(Clone, Copy)]
pub(crate) struct Form<T> {
    /// Moves with every change.
    pub(crate) changes: fn(&T) -> u64,
    /// The file's content.
    pub(crate) encode: fn(&T) -> Vec<u8>,
}

/// A table and its file.
pub(crate) struct Kept<T> {
    table: Mutex<T>,
    /// The change that was saved last; `None` before the first save.
    saving: Mutex<Option<u64>>,
    path: PathBuf,
    form: Form<T>,
}

impl<T> Kept<T> {
    pub(crate) fn new(path: PathBuf, table: T, form: Form<T>) -> Self {
        Self {
            table: Mutex::new(table),
            saving: Mutex::new(None),
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
        let mut saved = self.saving.lock();
        let (changes, bytes) = {
            let table = self.table.lock();
            let changes = (self.form.changes)(&table);
            if *saved == Some(changes) {
                return;
            }
            (changes, (self.form.encode)(&table))
        };
        match config_file::write_atomic(&self.path, &bytes) {
            Ok(()) => *saved = Some(changes),
            Err(error) => tracing::error!(path = %self.path.display(), "cannot save: {error}"),
        }
    }

    /// The file's content as it would be written now.
    pub(crate) fn encoded(&self) -> Vec<u8> {
        (self.form.encode)(&self.table.lock())
    }
}
