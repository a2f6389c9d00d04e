//! Where everything lies in a store directory, and how files are named.
//!
//! The names and default sizes are Apache RocketMQ 5.5.0's, so that its broker can take over a directory
//! and the other way round. Log and queue files are *segments*: named by the position of their first byte
//! in the joined stream, 20 decimal digits, so that sorting names sorts positions.
//!
//! Absent on purpose: opening anything for writing. The listing functions only read directories.

use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of a commit log file unless configured otherwise (`mappedFileSizeCommitLog`).
pub const LOG_FILE_BYTES: u64 = 1 << 30;
/// Bytes of a consume queue file unless configured otherwise (`mappedFileSizeConsumeQueue`).
pub const QUEUE_FILE_BYTES: u64 = 6_000_000;
/// Bytes of a file of a batch queue unless configured otherwise (`mapperFileSizeBatchConsumeQueue`).
pub const BATCH_QUEUE_FILE_BYTES: u64 = 13_800_000;
/// Hash slots of an index file unless configured otherwise (`maxHashSlotNum`).
pub const INDEX_SLOTS: u32 = 5_000_000;
/// Entries of an index file, the unused entry 0 included, unless configured otherwise (`maxIndexNum`).
pub const INDEX_ENTRIES: u32 = 20_000_000;

const NAME_DIGITS: usize = 20;

/// The paths of one store directory. Nothing is checked or created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// The layout below `dir` (Apache's `storePathRootDir`).
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The store directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory of the commit log's files.
    pub fn commit_log(&self) -> PathBuf {
        self.dir.join("commitlog")
    }

    /// The directory that holds one directory per topic.
    pub fn consume_queues(&self) -> PathBuf {
        self.dir.join("consumequeue")
    }

    /// The directory of one queue's files.
    pub fn consume_queue(&self, topic: &str, queue_id: u32) -> PathBuf {
        self.consume_queues().join(topic).join(queue_id.to_string())
    }

    /// The directory of the queues of topics with batch queues (`queue.type=BatchCQ`).
    pub fn batch_consume_queues(&self) -> PathBuf {
        self.dir.join("batchconsumequeue")
    }

    /// The directory of one batch queue's files.
    pub fn batch_consume_queue(&self, topic: &str, queue_id: u32) -> PathBuf {
        let topics = self.batch_consume_queues();
        topics.join(topic).join(queue_id.to_string())
    }

    /// The directory of the key index files.
    pub fn index(&self) -> PathBuf {
        self.dir.join("index")
    }

    /// The checkpoint file.
    pub fn checkpoint(&self) -> PathBuf {
        self.dir.join("checkpoint")
    }

    /// The file that exists while a broker runs; it holds the process id as text.
    pub fn abort(&self) -> PathBuf {
        self.dir.join("abort")
    }

    /// The file a running broker holds a lock on.
    pub fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// The directory of topics, groups and offsets.
    pub fn config(&self) -> PathBuf {
        self.dir.join("config")
    }
}

/// The name of the segment whose first byte is at `base`.
pub fn segment_name(base: u64) -> String {
    format!("{base:020}")
}

/// The position a segment's name stands for; `None` for a name that is no segment's.
pub fn parse_segment_name(name: &str) -> Option<u64> {
    let digits = name.len() == NAME_DIGITS && name.bytes().all(|b| b.is_ascii_digit());
    // Positions are Java longs, so a name above their range is no segment either.
    let base: u64 = if digits {
        name.parse().ok()?
    } else {
        return None;
    };
    i64::try_from(base).is_ok().then_some(base)
}

/// One file of a log or a queue as it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// The position of its first byte, from its name.
    pub base: u64,
    /// Its length in bytes when it was listed.
    pub len: u64,
    /// Where it lies.
    pub path: PathBuf,
}

impl SegmentFile {
    /// The position behind its last byte.
    pub fn end(&self) -> u64 {
        self.base.saturating_add(self.len)
    }
}

/// Lists the segments in `dir`, ordered by position. A directory that does not exist has none, and names
/// that are no segment's are passed over.
pub fn segments(dir: &Path) -> io::Result<Vec<SegmentFile>> {
    let mut found = Vec::new();
    for (name, path) in children(dir)? {
        let Some(base) = parse_segment_name(&name) else {
            continue;
        };
        match std::fs::metadata(&path) {
            Ok(meta) if meta.is_file() => found.push(SegmentFile {
                base,
                len: meta.len(),
                path,
            }),
            Ok(_) => {}
            // Retention of a live broker may win the race between listing and looking.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_by_key(|segment| segment.base);
    Ok(found)
}

/// Lists the packed copies of segments in `dir` (a segment's name and `.gz`), each with the position its name stands for.
pub fn packed_segments(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let found = children(dir)?.into_iter().filter_map(|(name, path)| {
        let base = parse_segment_name(name.strip_suffix(".gz")?)?;
        path.is_file().then_some((base, path))
    });
    Ok(found.collect())
}

/// Whether a topic can be the name of a directory. A damaged or hostile record may hold anything, such as a path
/// that leads out of the store.
pub fn can_be_directory(topic: &str) -> bool {
    const NAME_MAX: usize = 255;
    !matches!(topic, "" | "." | "..")
        && topic.len() <= NAME_MAX
        && !topic.contains(['/', '\\', '\0'])
}

/// Lists the queues that have a directory, as topic and queue number, ordered by both.
pub fn queues(consume_queues: &Path) -> io::Result<Vec<(String, u32)>> {
    let mut found = Vec::new();
    for (topic, path) in directories(consume_queues)? {
        for (name, _) in directories(&path)? {
            if let Ok(queue_id) = name.parse::<u32>() {
                found.push((topic.clone(), queue_id));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Lists the key index files in `dir`, oldest first: their names are creation times (17 digits).
pub fn index_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<_> = children(dir)?
        .into_iter()
        .filter(|(name, path)| name.bytes().all(|b| b.is_ascii_digit()) && path.is_file())
        .map(|(_, path)| path)
        .collect();
    found.sort();
    Ok(found)
}

/// Names and paths of what is in `dir`; nothing if there is no such directory. Names that are not UTF-8 are
/// never the store's own.
fn children(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    children_where(dir, |_| true)
}

/// The same of the directories in `dir`. The listing tells what is one, without a question for each.
fn directories(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    children_where(dir, |entry| match entry.file_type() {
        Ok(kind) if !kind.is_symlink() => kind.is_dir(),
        _ => entry.path().is_dir(),
    })
}

fn children_where(
    dir: &Path,
    wanted: impl Fn(&DirEntry) -> bool,
) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if !wanted(&entry) {
            continue;
        }
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_twenty_digits_and_read_back() {
        assert_eq!(segment_name(1_073_741_824), "00000000001073741824");
        assert_eq!(parse_segment_name("00000000001073741824"), Some(1 << 30));
        for bad in [
            "",
            "0",
            "0000000000107374182x",
            "99999999999999999999",
            "+0000000000000000001",
        ] {
            assert_eq!(parse_segment_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn listing_sorts_and_passes_strangers_over() {
        let dir = tempfile::tempdir().unwrap();
        for name in [segment_name(200), segment_name(0), "notes.txt".into()] {
            std::fs::write(dir.path().join(name), b"x").unwrap();
        }
        let bases: Vec<_> = segments(dir.path())
            .unwrap()
            .iter()
            .map(|s| s.base)
            .collect();
        assert_eq!(bases, [0, 200]);
        assert_eq!(segments(&dir.path().join("absent")).unwrap(), []);
    }

    #[test]
    fn topics_cannot_lead_out_of_the_store() {
        assert!(can_be_directory("%RETRY%g"));
        for topic in ["", "..", "a/b", "/etc", "a\0b"] {
            assert!(!can_be_directory(topic), "{topic:?}");
        }
    }

    #[test]
    fn queues_are_topic_then_number() {
        let dir = tempfile::tempdir().unwrap();
        for queue in ["b/10", "b/2", "a/0", "a/x"] {
            std::fs::create_dir_all(dir.path().join(queue)).unwrap();
        }
        let expected = [("a".into(), 0), ("b".into(), 2), ("b".into(), 10)];
        assert_eq!(queues(dir.path()).unwrap(), expected);
    }
}
