//! What differs between operating systems: positioned I/O, whole-file locks, free space, directory syncs.
//!
//! Everything else in the crate is portable because it asks here. On platforms without POSIX calls the lock is the
//! standard library's and a directory sync does nothing (NTFS journals its directory entries).

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// Writes all of `bytes` at `position`, without moving a shared file cursor.
pub(crate) fn write_all_at(file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileExt::write_all_at(file, bytes, position)
    }
    #[cfg(windows)]
    {
        let (mut bytes, mut position) = (bytes, position);
        while !bytes.is_empty() {
            let written = std::os::windows::fs::FileExt::seek_write(file, bytes, position)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = bytes.get(written..).unwrap_or_default();
            position = position.saturating_add(written as u64);
        }
        Ok(())
    }
}

/// Reads up to `buffer.len()` bytes at `position`; fewer only at the end of the file.
pub(crate) fn read_full_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        let at = position.saturating_add(done as u64);
        let rest = buffer.get_mut(done..).unwrap_or_default();
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(file, rest, at);
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(file, rest, at);
        match read {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// The first position at or after `from` that holds data, or `None` when only a hole follows.
///
/// A file that was never written past some point is a hole there; skipping it keeps recovery from reading a gigabyte of
/// zeros. Where holes cannot be asked for, everything counts as data.
pub(crate) fn next_data(file: &File, from: u64) -> Option<u64> {
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    {
        match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(from)) {
            Ok(at) => Some(at),
            Err(rustix::io::Errno::NXIO) => None,
            Err(_) => Some(from),
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
    {
        let _ = file;
        Some(from)
    }
}

/// A position behind which a file of `len` bytes has only a hole; `len` if that cannot be told, or if the file has many
/// holes.
pub(crate) fn data_end(file: &File, len: u64) -> u64 {
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    {
        use rustix::fs::{SeekFrom, seek};
        const STRETCHES_MAX: usize = 16;
        let mut end = 0;
        for _ in 0..STRETCHES_MAX {
            match seek(file, SeekFrom::Data(end)) {
                Ok(data) => match seek(file, SeekFrom::Hole(data)) {
                    Ok(hole) if hole < len => end = hole,
                    _ => return len,
                },
                Err(rustix::io::Errno::NXIO) => return end,
                Err(_) => return len,
            }
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
    let _ = file;
    len
}

/// Takes a part of a file out of the page cache, as far as it is on the disk and nobody maps it.
pub(crate) fn drop_cached(file: &File, part: std::ops::Range<u64>) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    {
        // Without a length it would be all that follows.
        if let Some(length) = std::num::NonZero::new(part.end.saturating_sub(part.start)) {
            let advice = rustix::fs::Advice::DontNeed;
            rustix::fs::fadvise(file, part.start, Some(length), advice)?;
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let _ = (file, part);
    Ok(())
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        open_read(dir)?.sync_all()
    }
    #[cfg(not(unix))]
    {
        let _ = dir;
        Ok(())
    }
}

/// Makes everything durable that was written to the file system which holds `path`; `false` where there is no such call.
pub(crate) fn sync_file_system(path: &Path) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        rustix::fs::syncfs(open_read(path)?)?;
        Ok(true)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        Ok(false)
    }
}

/// Gives a file the permissions and, where this process may do that, the owner of another.
pub(crate) fn share_like(file: &File, like: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, fchown};
        let now = file.metadata()?;
        if (now.uid(), now.gid()) != (like.uid(), like.gid()) {
            // Only root may; for everybody else the file is theirs from now on.
            let _ = fchown(file, Some(like.uid()), Some(like.gid()));
        }
    }
    file.set_permissions(like.permissions())
}

/// Opens a file for reading.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the door that opens files"
)]
pub(crate) fn open_read(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Opens a file for reading and writing, making it when absent.
pub(crate) fn open_write(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// Takes the lock a Java broker takes (`FileChannel.tryLock(0, 1, false)`): a POSIX record lock, exclusive between
/// processes. `Ok(false)` when another process holds it. Released when the process closes the file.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use rustix::fs::FlockOperation::NonBlockingLockExclusive;
        match rustix::fs::fcntl_lock(file, NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
    #[cfg(not(unix))]
    {
        match file.try_lock() {
            Ok(()) => Ok(true),
            Err(std::fs::TryLockError::WouldBlock) => Ok(false),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Whether a process with this id is there. Where that cannot be asked, it counts as there.
pub(crate) fn process_is_alive(pid: u32) -> bool {
    #[cfg(unix)]
    {
        let pid = i32::try_from(pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        pid.is_some_and(|pid| {
            rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
        })
    }
    #[cfg(not(unix))]
    {
        let _ = pid;
        true
    }
}

/// How full a partition is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DiskSpace {
    /// All of it, in bytes.
    pub(crate) total: u64,
    /// What is not used by anybody, in bytes.
    pub(crate) free: u64,
    /// What this process may still use, in bytes.
    pub(crate) usable: u64,
}

impl DiskSpace {
    /// The used share, from 0.0 to 1.0, counted as Apache's `UtilAll.getDiskPartitionSpaceUsedPercent` does: the part
    /// reserved for root counts as neither used nor free.
    #[allow(
        clippy::cast_precision_loss,
        reason = "a share needs no more than 53 bits"
    )]
    pub(crate) fn used_ratio(self) -> f64 {
        let used = self.total.saturating_sub(self.free);
        let entire = used.saturating_add(self.usable);
        if entire == 0 {
            0.0
        } else {
            used as f64 / entire as f64
        }
    }
}

/// How full the partition is that holds `path`; `None` where it cannot be told.
pub(crate) fn disk_space(path: &Path) -> Option<DiskSpace> {
    #[cfg(unix)]
    {
        let stat = rustix::fs::statvfs(path).ok()?;
        Some(DiskSpace {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bfree.saturating_mul(stat.f_frsize),
            usable: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Whether an I/O error means that there is no room (and will be again).
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// How many files a process may have open; `None` where there is no such limit or it cannot be told.
pub(crate) fn open_files_max() -> Option<u64> {
    #[cfg(unix)]
    {
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current
    }
    #[cfg(not(unix))]
    {
        None
    }
}

/// The memory this process may have: the machine's, or its container's if that is less. Where the system tells it in a
/// file.
pub(crate) fn memory_bytes() -> Option<u64> {
    let machine = machine_memory_bytes()?;
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    // It says "max" where there is no limit.
    let limit = limit.and_then(|text| text.trim().parse().ok());
    Some(limit.map_or(machine, |limit: u64| limit.min(machine)))
}

fn machine_memory_bytes() -> Option<u64> {
    let table = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = table
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positioned_io_and_holes() {
        let dir = tempfile::tempdir().unwrap();
        let file = open_write(&dir.path().join("f")).unwrap();
        file.set_len(1 << 20).unwrap();
        write_all_at(&file, b"hello", 500_000).unwrap();
        let mut buffer = [0; 5];
        assert_eq!(read_full_at(&file, &mut buffer, 500_000).unwrap(), 5);
        assert_eq!(&buffer, b"hello");
        assert_eq!(read_full_at(&file, &mut buffer, (1 << 20) - 2).unwrap(), 2);
        assert!(next_data(&file, 0).is_some_and(|at| at <= 500_000));
        sync_dir(dir.path()).unwrap();
        let synced = sync_file_system(dir.path()).unwrap();
        assert_eq!(synced, cfg!(target_os = "linux"));
    }

    #[test]
    fn used_ratio_ignores_the_reserve() {
        let space = DiskSpace {
            total: 100,
            free: 50,
            usable: 45,
        };
        assert!((space.used_ratio() - 50.0 / 95.0).abs() < 1e-9);
    }
}
