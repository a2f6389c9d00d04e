//! Room that is kept on the disk for what a change of roles has to note.
//!
//! A master whose disk is full is one that an administrator wants to replace. Its promise to take no more messages, and
//! its new role, must be written all the same. So a small file holds the room until it is needed; it is made again when
//! there is room for it.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::sys::config_file;

/// The file's name under `config/`.
const FILE: &str = "rmqReserve";
/// More than the files of state and epochs with their backups take.
const BYTES: usize = 64 << 10;

/// The file that holds the room.
#[derive(Debug, Clone)]
pub(crate) struct Reserve(PathBuf);

impl Reserve {
    /// For a store directory; nothing is written yet.
    pub(crate) fn of(store: &Path) -> Self {
        Self(store.join("config").join(FILE))
    }

    /// Sets the room aside, unless it is. Without room there is none to set aside: that is no error. Blocks.
    pub(crate) fn keep(&self) {
        let whole = std::fs::metadata(&self.0).is_ok_and(|meta| meta.len() == BYTES as u64);
        if whole {
            return;
        }
        let Some(dir) = self.0.parent() else { return };
        let made = std::fs::create_dir_all(dir).and_then(|()| {
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create(true)
                .truncate(true)
                .open(&self.0)?;
            // Not zeros: a file system may keep those without taking room.
            file.write_all(&vec![b'x'; BYTES])?;
            file.sync_all()
        });
        if let Err(error) = made {
            tracing::debug!("no room is kept in {}: {error}", self.0.display());
            let _ = std::fs::remove_file(&self.0);
        }
    }

    /// Writes a file as [`config_file::write_atomic`] does, with the room where there is no other. Blocks.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        match config_file::write_atomic(path, bytes) {
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                std::fs::remove_file(&self.0).map_err(|_| error)?;
                tracing::warn!("the disk is full: the room kept for changes of roles is used");
                config_file::write_atomic(path, bytes)
            }
            Err(error) => Err(error),
            Ok(()) => {
                self.keep();
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_kept_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(dir.path());
        reserve.keep();
        let file = dir.path().join("config").join(FILE);
        let bytes = || std::fs::metadata(&file).map_or(0, |meta| meta.len());
        assert_eq!(bytes(), BYTES as u64);
        std::fs::remove_file(&file).unwrap();
        let noted = dir.path().join("config/noted");
        reserve.write(&noted, b"one").unwrap();
        assert_eq!(std::fs::read(&noted).unwrap(), b"one");
        assert_eq!(bytes(), BYTES as u64);
    }
}
