//! Small files that are replaced whole: the vote and the snapshot.
//!
//! A file is eight bytes that tell what it is, a length, a checksum and the content. Writing is atomic and durable:
//! after a crash there is the old file or the new one.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::sys::platform::{open_read, sync_dir};

/// Bytes before the content: what it is, length, checksum.
const HEAD_BYTES: usize = 16;

/// Why what is stored cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoredError {
    /// The system would not read or write it.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes are not what was written.
    #[error("{} is damaged at byte {at}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What is wrong.
        what: String,
    },
}

impl StoredError {
    /// For `map_err`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    pub(super) fn damaged(path: &Path, at: u64, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            at,
            what: what.into(),
        }
    }
}

impl From<StoredError> for io::Error {
    fn from(error: StoredError) -> Self {
        Self::other(error)
    }
}

/// Puts `content` in the place of the file.
pub(super) fn replace(path: &Path, magic: [u8; 8], content: &[u8]) -> Result<(), StoredError> {
    let length = u32::try_from(content.len())
        .map_err(|_| StoredError::io("write", path)(io::ErrorKind::FileTooLarge.into()))?;
    let mut whole = Vec::with_capacity(HEAD_BYTES.saturating_add(content.len()));
    whole.extend_from_slice(&magic);
    whole.extend_from_slice(&length.to_be_bytes());
    whole.extend_from_slice(&crc32fast::hash(content).to_be_bytes());
    whole.extend_from_slice(content);
    replace_plain(path, &whole)
}

/// The same for a file that has its own form.
pub(super) fn replace_plain(path: &Path, whole: &[u8]) -> Result<(), StoredError> {
    let fresh = path.with_extension("tmp");
    let write = || -> io::Result<()> {
        let mut file = std::fs::File::create(&fresh)?;
        file.write_all(whole)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        path.parent().map_or(Ok(()), sync_dir)
    };
    write().map_err(StoredError::io("write", path))
}

/// Everything in a file, if there is one; a file longer than `max` bytes is refused.
pub(super) fn read_plain(path: &Path, max: u64) -> Result<Option<Vec<u8>>, StoredError> {
    let file = match open_read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoredError::io("open", path)(error)),
    };
    let mut whole = Vec::new();
    file.take(max.saturating_add(1))
        .read_to_end(&mut whole)
        .map_err(StoredError::io("read", path))?;
    if whole.len() as u64 > max {
        return Err(StoredError::damaged(
            path,
            max,
            "it is longer than it can be",
        ));
    }
    Ok(Some(whole))
}

/// The content of a file that [`replace`] wrote.
pub(super) fn read(path: &Path, magic: [u8; 8], max: u64) -> Result<Option<Vec<u8>>, StoredError> {
    let Some(mut whole) = read_plain(path, max)? else {
        return Ok(None);
    };
    let damaged = |at: u64, what: &str| StoredError::damaged(path, at, what);
    let Some((head, content)) = whole.split_first_chunk::<HEAD_BYTES>() else {
        return Err(damaged(0, "it is too short"));
    };
    let word = |at: usize| {
        let bytes = head.get(at..).and_then(<[u8]>::first_chunk::<4>);
        u32::from_be_bytes(bytes.copied().unwrap_or_default())
    };
    if !head.starts_with(&magic) {
        return Err(damaged(0, "it is another kind of file"));
    }
    if word(8) as usize != content.len() {
        return Err(damaged(8, "it is not as long as it says"));
    }
    if word(12) != crc32fast::hash(content) {
        return Err(damaged(12, "the checksum is wrong"));
    }
    Ok(Some(whole.split_off(HEAD_BYTES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: [u8; 8] = *b"RMQTEST\n";

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vote");
        assert!(read(&path, MAGIC, 100).unwrap().is_none());
        replace(&path, MAGIC, b"first").unwrap();
        replace(&path, MAGIC, b"second").unwrap();
        assert_eq!(read(&path, MAGIC, 100).unwrap().unwrap(), b"second");
        assert!(read(&path, *b"RMQOTHER", 100).is_err());
        assert!(read(&path, MAGIC, 10).is_err(), "longer than allowed");

        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(&path, &bad).unwrap();
            assert!(read(&path, MAGIC, 100).is_err(), "byte {at} was turned");
            std::fs::write(&path, &good[..at]).unwrap();
            assert!(read(&path, MAGIC, 100).is_err(), "cut off at {at}");
        }
    }
}
