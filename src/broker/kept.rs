//! A table that is kept in a file under `config/`, in Apache's form.
//!
//! Changing the table and saving it are two steps: the first holds the table's lock, the second does not. Saves of one
//! file happen one after another; a save that finds its change already written does nothing, so many changes at once
//! cost few writes. A save does not wait for the disk: requests do it, on the threads that serve the others. Once in a
//! while, and at the end, [`Kept::keep`] waits; until then `.bak` holds what the disk is known to have.
//!
//! A large table would be written anew for each change, which makes many changes quadratic. Where its form has lines, a
//! save appends one to a journal beside the file instead; [`Kept::keep`] writes the file and removes the journal.
//!
//! Lock order: `saving` before `table`. The guard of neither is handed out.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use crate::protocol::fastjson;
use crate::sys::config_file;

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
    /// What happened after a change, as one line; `None` if the whole file is to be written.
    pub(crate) line_since: fn(&T, u64) -> Option<Vec<u8>>,
}

/// The form of a table that has no journal.
pub(crate) const fn whole<T>(_table: &T, _since: u64) -> Option<Vec<u8>> {
    None
}

/// What was saved of a table after its file was written, if anything.
pub(crate) fn load_journal(path: &Path) -> Result<Option<Vec<u8>>, ConfigFileError> {
    let journal = journal_of(path);
    match std::fs::read(&journal) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigFileError::Io {
            path: journal,
            source,
        }),
    }
}

fn journal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".journal");
    name.into()
}

/// What the file holds.
struct Saved {
    /// The change that was saved last; `None` before the first save.
    changes: Option<u64>,
    /// Whether it is on the disk.
    synced: bool,
    /// Takes lines; `None` if all that was saved is in the file.
    journal: Option<File>,
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
                journal: None,
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
        let mut saved = self.saving.lock();
        if !self.append(&mut saved) {
            self.write(&mut saved);
        }
    }

    /// Saves by a line of the journal, if that can be.
    fn append(&self, saved: &mut Saved) -> bool {
        let Some(since) = saved.changes else {
            return false;
        };
        let (changes, line) = {
            let table = self.table.lock();
            let changes = (self.form.changes)(&table);
            if changes == since {
                return true;
            }
            (changes, (self.form.line_since)(&table, since))
        };
        let Some(mut line) = line else {
            return false;
        };
        line.push(b'\n');
        let appended = match &mut saved.journal {
            Some(journal) => journal.write_all(&line),
            none => config_file::new_journal(&journal_of(&self.path)).and_then(|mut journal| {
                journal.write_all(&line)?;
                *none = Some(journal);
                Ok(())
            }),
        };
        match appended {
            Ok(()) => saved.changes = Some(changes),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), "cannot append to its journal: {error}");
            }
        }
        saved.changes == Some(changes)
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
            if saved.changes == Some(changes) && saved.journal.is_none() {
                return;
            }
            (changes, (self.form.encode)(&table))
        };
        match config_file::write_soon(&self.path, &bytes, saved.synced) {
            Ok(()) => {
                // Before the first save there may be the journal of a life that ended in a crash; the table has it.
                if saved.changes.is_none() || saved.journal.is_some() {
                    let _ = std::fs::remove_file(journal_of(&self.path));
                }
                *saved = Saved {
                    changes: Some(changes),
                    synced: false,
                    journal: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn table(path: &Path, table: Vec<u64>) -> Kept<Vec<u64>> {
        let form = Form {
            changes: |table: &Vec<u64>| table.len() as u64,
            encode: |table| fastjson::to_wire(table).unwrap(),
            line_since: |table, since| {
                let new = table.get(usize::try_from(since).unwrap()..)?;
                (table.len() > 3).then(|| fastjson::to_wire(new).unwrap())
            },
        };
        Kept::new(path.to_owned(), table, form)
    }

    #[test]
    fn a_large_table_takes_lines_until_the_file_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config/table.json");
        let kept = table(&path, vec![1, 2]);
        let put = |n| kept.with(|table| table.push(n));
        let file = || load::<Vec<u64>>(&path).unwrap().unwrap();
        kept.save();
        put(3);
        kept.save();
        assert_eq!(file(), [1, 2, 3]);
        assert!(load_journal(&path).unwrap().is_none());
        put(4);
        kept.save();
        put(5);
        put(6);
        kept.save();
        kept.save();
        assert_eq!(file(), [1, 2, 3]);
        assert_eq!(load_journal(&path).unwrap().unwrap(), b"[4]\n[5,6]\n");
        kept.keep();
        assert_eq!(file(), [1, 2, 3, 4, 5, 6]);
        assert!(load_journal(&path).unwrap().is_none());
        put(7);
        kept.save();
        assert_eq!(load_journal(&path).unwrap().unwrap(), b"[7]\n");
    }

    #[test]
    fn the_journal_of_a_crash_goes_with_the_first_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table.json");
        std::fs::write(journal_of(&path), b"[4]\n").unwrap();
        let kept = table(&path, vec![1, 2, 3, 4]);
        kept.save();
        assert_eq!(load::<Vec<u64>>(&path).unwrap().unwrap(), [1, 2, 3, 4]);
        assert!(load_journal(&path).unwrap().is_none());
    }
}
