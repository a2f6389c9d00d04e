//! What belongs to a snapshot, and in which order it is read so that the parts fit together.
//!
//! A running broker goes on writing. Whatever refers to something is therefore read before what it refers to: offsets and
//! settings, then queues, index and wheel, then the timer's log, and the log of messages last, up to the end it had when its
//! turn came. What the copy lacks behind that, recovery makes of the log; what it has too much, recovery takes away.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::store::layout::{self, SegmentFile};
use crate::store::log::{Item, Walk};

/// How many phases there are.
pub(super) const PHASES: u8 = 4;
/// How much is looked at at a time for the end of the data.
const BLOCK: usize = 1 << 20;

/// A file of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Below the directory, with forward slashes.
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// The phase in which a file is read; `None`: it does not belong to the data.
fn phase_of(name: &str) -> Option<u8> {
    let (first, rest) = name.split_once('/').unwrap_or((name, ""));
    let scratch = Path::new(name).extension().is_some_and(|end| end == "tmp");
    match first {
        // Who holds a lock or runs is nothing to be kept.
        "lock" | "abort" if rest.is_empty() => None,
        ".rmq-cut" => None,
        // A role is told to one broker. Its copy may be a replica of it, and must not take itself for the master.
        "config" if rest.starts_with("rmqReplication.json") => None,
        _ if scratch => None,
        "consumequeue" | "batchconsumequeue" | "index" | "timerwheel" => Some(1),
        "timerlog" => Some(2),
        "commitlog" => Some(3),
        _ if first.starts_with("timerwheel") => Some(1),
        _ => Some(0),
    }
}

/// The files of one phase as they are now.
pub(super) fn files(dir: &Path, phase: u8) -> io::Result<Vec<Part>> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), dir.to_owned())];
    while let Some((prefix, path)) = open.pop() {
        let children = match fs::read_dir(&path) {
            Ok(children) => children,
            // A topic was deleted meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound && !prefix.is_empty() => continue,
            Err(error) => return Err(error),
        };
        for child in children {
            let child = child?;
            let Ok(name) = child.file_name().into_string() else {
                continue;
            };
            let name = format!("{prefix}{name}");
            let kind = child.file_type()?;
            if kind.is_dir() {
                open.push((format!("{name}/"), child.path()));
            } else if kind.is_file() && phase_of(&name) == Some(phase) {
                found.push(Part {
                    name,
                    path: child.path(),
                });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The position behind the last whole record of a log that is written to; `None` if there is no log. Everything that was
/// acknowledged before the call lies before it.
pub(super) fn log_end(dir: &Path) -> io::Result<Option<u64>> {
    let files = layout::segments(&dir.join("commitlog"))?;
    // One file is made ahead of need.
    let from = files.len().saturating_sub(2);
    let last: Vec<SegmentFile> = files.get(from..).unwrap_or_default().to_vec();
    let Some(first) = last.first() else {
        return Ok(None);
    };
    let mut end = first.base;
    let mut walk = Walk::over_files(&last);
    while let Some(item) = walk.next_item() {
        match item {
            Item::Record(stored) => {
                let at = stored.record.physical_offset;
                let at = u64::try_from(at).unwrap_or_default();
                end = at.saturating_add(stored.bytes.len() as u64);
            }
            Item::Blank(blank) => end = blank.at.get().saturating_add(u64::from(blank.size)),
            Item::End { .. } | Item::Damaged(_) => {}
        }
    }
    Ok(Some(end))
}

/// How many bytes of a log file are part of the log that ends at `end`; `None` if the name is none of a log file.
pub(super) fn limit(name: &str, end: u64) -> Option<u64> {
    let base = layout::parse_segment_name(name.rsplit('/').next()?)?;
    Some(end.saturating_sub(base))
}

/// How many bytes there are before the zeros at the end of a file begin, not looking behind `limit`.
pub(super) fn data_len(file: &mut File, limit: u64) -> io::Result<u64> {
    let zeros = vec![0; BLOCK];
    let mut block = vec![0; BLOCK];
    let mut end = limit;
    while end > 0 {
        let begin = (end - 1) / BLOCK as u64 * BLOCK as u64;
        let len = usize::try_from(end - begin).unwrap_or(BLOCK);
        file.seek(SeekFrom::Start(begin))?;
        let (Some(bytes), Some(empty)) = (block.get_mut(..len), zeros.get(..len)) else {
            break;
        };
        file.read_exact(bytes)?;
        if bytes != empty {
            let last = bytes.iter().rposition(|byte| *byte != 0);
            return Ok(begin + last.map_or(0, |last| last as u64 + 1));
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_refers_to_something_comes_first() {
        let phases = [
            ("config/topics.json", Some(0)),
            ("checkpoint", Some(0)),
            ("namesrv/kvConfig.json", Some(0)),
            ("consumequeue/lock/0/00000000000000000000", Some(1)),
            ("index/20261122101010000", Some(1)),
            ("timerwheel", Some(1)),
            ("timerlog/00000000000000000000", Some(2)),
            ("commitlog/00000000000000000000", Some(3)),
            ("lock", None),
            ("abort", None),
            ("config/topics.json.tmp", None),
            ("config/rmqReplication.json", None),
            (".rmq-cut/x", None),
        ];
        for (name, phase) in phases {
            assert_eq!(phase_of(name), phase, "{name}");
        }
        assert_eq!(limit("commitlog/00000000000000001024", 1030), Some(6));
        assert_eq!(limit("commitlog/00000000000000001024", 1000), Some(0));
        assert_eq!(limit("commitlog/x", 1030), None);
    }

    #[test]
    fn zeros_at_the_end_are_no_data() {
        let mut file = tempfile::tempfile().unwrap();
        let size = 3 * BLOCK as u64 + 5;
        file.set_len(size).unwrap();
        assert_eq!(data_len(&mut file, size).unwrap(), 0);
        for at in [7, BLOCK as u64, 2 * BLOCK as u64 + 9, size - 1] {
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(&[1]).unwrap();
            assert_eq!(data_len(&mut file, size).unwrap(), at + 1);
        }
        assert_eq!(data_len(&mut file, 9).unwrap(), 8);
    }
}
