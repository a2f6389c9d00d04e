//! Files that are replaced as a whole: tables, positions, settings. A crash leaves the old or the new one.
//!
//! As in Apache (`ConfigManager`, `MixAll.string2File`): what the file held before the last change is kept beside it
//! with `.bak` added, and is read when the file itself is missing or empty. Absent on purpose: what is in them.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::platform;

/// The name of the file that holds what was there before.
pub(crate) fn backup_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".bak");
    name.into()
}

/// What the file holds, or, if it is missing or empty, what its backup does. `None` when there is neither.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match read_one(path)? {
        Some(bytes) => Ok(Some(bytes)),
        None => read_one(&backup_of(path)),
    }
}

/// What the backup holds, for when the file itself makes no sense.
pub(crate) fn read_backup(path: &Path) -> io::Result<Option<Vec<u8>>> {
    read_one(&backup_of(path))
}

/// A bare name lies in the working directory.
fn dir_of(path: &Path) -> &Path {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    dir.unwrap_or(Path::new("."))
}

fn read_one(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes).filter(|bytes| !bytes.is_empty())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces what the file holds; the old content goes to the backup. Makes the directory when it is absent.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = dir_of(path);
    std::fs::create_dir_all(dir)?;
    if let Some(old) = read_one(path)? {
        replace(&backup_of(path), &old, path)?;
    }
    replace(path, bytes, path)?;
    platform::sync_dir(dir)
}

/// Replaces what the file holds without waiting for the disk; a crash of the process loses nothing, one of the machine can.
/// With `keep` what the file held becomes the backup, so it must be on the disk then: see [`sync`].
pub(crate) fn write_soon(path: &Path, bytes: &[u8], keep: bool) -> io::Result<()> {
    let dir = dir_of(path);
    std::fs::create_dir_all(dir)?;
    if keep && read_one(path)?.is_some() {
        // Until the new file is there, the backup is what is read.
        std::fs::rename(path, backup_of(path))?;
    }
    let temporary = temporary_of(path);
    std::fs::write(&temporary, bytes)?;
    std::fs::rename(&temporary, path)
}

/// An empty file to which changes are appended until the next [`write_soon`].
pub(crate) fn new_journal(path: &Path) -> io::Result<File> {
    std::fs::create_dir_all(dir_of(path))?;
    let new = OpenOptions::new().append(true).create(true).open(path)?;
    new.set_len(0)?;
    Ok(new)
}

/// Waits until what was written is on the disk.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    platform::open_write(path)?.sync_all()?;
    platform::sync_dir(dir_of(path))
}

fn temporary_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// The new file may be read and written by whoever may do so with `like`, if that is there.
fn replace(path: &Path, bytes: &[u8], like: &Path) -> io::Result<()> {
    let temporary = temporary_of(path);
    let written = platform::open_write(&temporary).and_then(|file| {
        if let Ok(like) = std::fs::metadata(like) {
            platform::share_like(&file, &like)?;
        }
        file.set_len(0)?;
        platform::write_all_at(&file, bytes, 0)?;
        file.sync_all()
    });
    let replaced = written.and_then(|()| std::fs::rename(&temporary, path));
    if replaced.is_err() {
        // Only room is lost if it stays.
        let _ = std::fs::remove_file(&temporary);
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_soon_has_the_last_synced_content_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config/topics.json");
        write_soon(&path, b"one", true).unwrap();
        sync(&path).unwrap();
        write_soon(&path, b"two", true).unwrap();
        write_soon(&path, b"three", false).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"three");
        assert_eq!(read_backup(&path).unwrap().unwrap(), b"one");
        std::fs::write(&path, b"").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"one");
    }

    #[test]
    fn the_old_content_is_kept_and_stands_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config/topics.json");
        assert_eq!(read(&path).unwrap(), None);
        write_atomic(&path, b"one").unwrap();
        assert!(!backup_of(&path).exists());
        write_atomic(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        assert_eq!(read_backup(&path).unwrap().unwrap(), b"one");
        std::fs::write(&path, b"").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"one");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"one");
        assert_eq!(backup_of(&path), dir.path().join("config/topics.json.bak"));
        assert_eq!(dir_of(Path::new("topics.json")), Path::new("."));
    }
}
