//! The log on disk, and the vote beside it.
//!
//! `log` holds eight bytes that tell what it is and then records: a length, a checksum, JSON. The first record names the
//! last entry that was purged, the others are the entries behind it, without a gap. An entry counts once it is synced.
//!
//! Recovery cuts off a record that the crash left unfinished at the very end; it had not been acknowledged. Anything else
//! that is wrong is an error: a controller that guesses could elect a second master. All entries stay in memory as
//! well; snapshots keep them few.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use openraft::{Entry, LogId, Vote};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Types;
use super::files::{StoredError, read, read_plain, replace, replace_plain};
use crate::sys::platform::{open_write, write_all_at};

const LOG: &str = "log";
const VOTE: &str = "vote";
const LOG_MAGIC: [u8; 8] = *b"RMQCLOG\n";
const VOTE_MAGIC: [u8; 8] = *b"RMQVOTE\n";
/// Bytes before a record: its length and its checksum.
const RECORD_HEAD: usize = 8;
/// Bytes of a record; the longest command has far less.
const RECORD_MAX: usize = 1 << 20;
/// Bytes of the whole log. Snapshots come long before.
const LOG_MAX: u64 = 256 << 20;

/// The first record of a log.
#[derive(Debug, Serialize, Deserialize)]
struct Begin {
    purged: Option<LogId<u64>>,
}

/// An entry in memory, and where its record begins.
#[derive(Debug)]
struct Kept {
    at: u64,
    entry: Entry<Types>,
}

/// The log of one controller.
#[derive(Debug)]
pub(super) struct LogFile {
    dir: PathBuf,
    file: File,
    end: u64,
    purged: Option<LogId<u64>>,
    entries: BTreeMap<u64, Kept>,
    vote: Option<Vote<u64>>,
}

/// What recovery found at some place of the file.
enum Found<'a> {
    Record { content: &'a [u8], end: usize },
    Bad(&'static str),
    End,
}

impl LogFile {
    /// Opens the log in `dir`, making an empty one where there is none.
    pub(super) fn open(dir: &Path) -> Result<Self, StoredError> {
        std::fs::create_dir_all(dir).map_err(StoredError::io("create", dir))?;
        let path = dir.join(LOG);
        let vote = match read(&dir.join(VOTE), VOTE_MAGIC, RECORD_MAX as u64)? {
            Some(content) => Some(parse(&dir.join(VOTE), 0, &content)?),
            None => None,
        };
        let whole = if let Some(whole) = read_plain(&path, LOG_MAX)? {
            whole
        } else {
            let fresh = begin(&path, None)?;
            replace_plain(&path, &fresh)?;
            fresh
        };
        let recovered = recover(&path, &whole)?;
        let file = open_write(&path).map_err(StoredError::io("open", &path))?;
        let log = Self {
            dir: dir.to_owned(),
            file,
            end: recovered.end,
            purged: recovered.purged,
            entries: recovered.entries,
            vote,
        };
        if recovered.end < whole.len() as u64 {
            tracing::warn!(
                file = %path.display(),
                at = recovered.end,
                "an unfinished record was cut off the end of the controller's log"
            );
            log.cut()?;
        }
        Ok(log)
    }

    fn path(&self) -> PathBuf {
        self.dir.join(LOG)
    }

    /// Makes the file end where the log ends.
    fn cut(&self) -> Result<(), StoredError> {
        self.file
            .set_len(self.end)
            .and_then(|()| self.file.sync_all())
            .map_err(StoredError::io("cut", &self.path()))
    }

    pub(super) fn vote(&self) -> Option<Vote<u64>> {
        self.vote
    }

    pub(super) fn save_vote(&mut self, vote: Vote<u64>) -> Result<(), StoredError> {
        let path = self.dir.join(VOTE);
        replace(&path, VOTE_MAGIC, &to_json(&path, &vote)?)?;
        self.vote = Some(vote);
        Ok(())
    }

    pub(super) fn purged(&self) -> Option<LogId<u64>> {
        self.purged
    }

    /// The newest entry, or the last one purged.
    pub(super) fn last(&self) -> Option<LogId<u64>> {
        let last = self.entries.last_key_value();
        last.map(|(_, kept)| kept.entry.log_id).or(self.purged)
    }

    pub(super) fn range(&self, range: impl std::ops::RangeBounds<u64>) -> Vec<Entry<Types>> {
        let range = self.entries.range(range);
        range.map(|(_, kept)| kept.entry.clone()).collect()
    }

    /// Appends entries; they are on the disk when this returns.
    pub(super) fn append(&mut self, entries: Vec<Entry<Types>>) -> Result<(), StoredError> {
        let path = self.path();
        let mut bytes = Vec::new();
        let mut places = Vec::with_capacity(entries.len());
        for entry in &entries {
            places.push(self.end.saturating_add(bytes.len() as u64));
            add_record(&path, entry, &mut bytes)?;
        }
        let end = self.end.saturating_add(bytes.len() as u64);
        if end > LOG_MAX {
            let full = std::io::ErrorKind::FileTooLarge.into();
            return Err(StoredError::io("append to", &path)(full));
        }
        write_all_at(&self.file, &bytes, self.end)
            .and_then(|()| self.file.sync_data())
            .map_err(StoredError::io("append to", &path))?;
        self.end = end;
        for (at, entry) in places.into_iter().zip(entries) {
            self.entries.insert(entry.log_id.index, Kept { at, entry });
        }
        Ok(())
    }

    /// Drops the entries from `index` on.
    pub(super) fn truncate(&mut self, index: u64) -> Result<(), StoredError> {
        let dropped = self.entries.split_off(&index);
        if let Some((_, first)) = dropped.first_key_value() {
            self.end = first.at;
            self.cut()?;
        }
        Ok(())
    }

    /// Drops the entries up to `last`, which a snapshot holds.
    pub(super) fn purge(&mut self, last: LogId<u64>) -> Result<(), StoredError> {
        let path = self.path();
        let mut whole = begin(&path, Some(last))?;
        let mut kept = self.entries.split_off(&last.index.saturating_add(1));
        for one in kept.values_mut() {
            one.at = whole.len() as u64;
            add_record(&path, &one.entry, &mut whole)?;
        }
        replace_plain(&path, &whole)?;
        self.file = open_write(&path).map_err(StoredError::io("open", &path))?;
        self.end = whole.len() as u64;
        self.purged = Some(last);
        self.entries = kept;
        Ok(())
    }
}

struct Recovered {
    purged: Option<LogId<u64>>,
    entries: BTreeMap<u64, Kept>,
    end: u64,
}

fn recover(path: &Path, whole: &[u8]) -> Result<Recovered, StoredError> {
    if !whole.starts_with(&LOG_MAGIC) {
        return Err(StoredError::damaged(
            path,
            0,
            "it is no log of a controller",
        ));
    }
    let mut at = LOG_MAGIC.len();
    let purged = match record(whole, at) {
        Found::Record { content, end } => {
            let begin: Begin = parse(path, at, content)?;
            at = end;
            begin.purged
        }
        // This record is written with the file, in one piece, before the file has its name.
        Found::Bad(what) => return Err(StoredError::damaged(path, at as u64, what)),
        Found::End => return Err(StoredError::damaged(path, at as u64, "it has no beginning")),
    };
    let mut entries = BTreeMap::new();
    let mut next = purged.map_or(0, |id| id.index.saturating_add(1));
    loop {
        match record(whole, at) {
            Found::Record { content, end } => {
                let entry: Entry<Types> = parse(path, at, content)?;
                if entry.log_id.index != next {
                    let what = format!("entry {} stands where {next} should", entry.log_id.index);
                    return Err(StoredError::damaged(path, at as u64, what));
                }
                entries.insert(
                    next,
                    Kept {
                        at: at as u64,
                        entry,
                    },
                );
                next = next.saturating_add(1);
                at = end;
            }
            Found::Bad(what) if is_followed(whole, at) => {
                return Err(StoredError::damaged(path, at as u64, what));
            }
            Found::Bad(_) | Found::End => break,
        }
    }
    Ok(Recovered {
        purged,
        entries,
        end: at as u64,
    })
}

/// The record at `at`.
fn record(whole: &[u8], at: usize) -> Found<'_> {
    let rest = whole.get(at..).unwrap_or_default();
    if rest.is_empty() {
        return Found::End;
    }
    let Some((head, rest)) = rest.split_first_chunk::<RECORD_HEAD>() else {
        return Found::Bad("the record is cut off");
    };
    let [a, b, c, d, crc @ ..] = *head;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length == 0 || length > RECORD_MAX {
        return Found::Bad("the record has an impossible length");
    }
    let Some(content) = rest.get(..length) else {
        return Found::Bad("the record is cut off");
    };
    if crc32fast::hash(content) != u32::from_be_bytes(crc) {
        return Found::Bad("the checksum of the record is wrong");
    }
    let end = at.saturating_add(RECORD_HEAD).saturating_add(length);
    Found::Record { content, end }
}

/// Whether a whole record stands anywhere behind the bad one at `at`: then the bad one is no unfinished end.
fn is_followed(whole: &[u8], at: usize) -> bool {
    let starts = at.saturating_add(1)..whole.len();
    // Content begins with a brace, which spares most of the checksums.
    let plausible = |at: &usize| whole.get(at.saturating_add(RECORD_HEAD)) == Some(&b'{');
    starts
        .filter(plausible)
        .any(|at| matches!(record(whole, at), Found::Record { .. }))
}

fn begin(path: &Path, purged: Option<LogId<u64>>) -> Result<Vec<u8>, StoredError> {
    let mut whole = LOG_MAGIC.to_vec();
    add_record(path, &Begin { purged }, &mut whole)?;
    Ok(whole)
}

fn add_record(path: &Path, value: &impl Serialize, out: &mut Vec<u8>) -> Result<(), StoredError> {
    let content = to_json(path, value)?;
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    if content.len() > RECORD_MAX {
        let long = std::io::ErrorKind::InvalidInput.into();
        return Err(StoredError::io("append so long a record to", path)(long));
    }
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(&content).to_be_bytes());
    out.extend_from_slice(&content);
    Ok(())
}

fn to_json(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, StoredError> {
    serde_json::to_vec(value).map_err(|error| StoredError::io("write", path)(error.into()))
}

fn parse<T: DeserializeOwned>(path: &Path, at: usize, content: &[u8]) -> Result<T, StoredError> {
    serde_json::from_slice(content)
        .map_err(|error| StoredError::damaged(path, at as u64, error.to_string()))
}

#[cfg(test)]
mod tests {
    use openraft::{CommittedLeaderId, EntryPayload};
    use proptest::prelude::*;

    use super::*;
    use crate::controller::state::Command;

    fn id(index: u64) -> LogId<u64> {
        LogId::new(CommittedLeaderId::new(1, 2), index)
    }

    fn entry(index: u64) -> Entry<Types> {
        let command = Command::Register {
            name: format!("broker-{index}"),
            id: 1,
            address: "127.0.0.1:10911".to_owned(),
        };
        Entry {
            log_id: id(index),
            payload: EntryPayload::Normal(command),
        }
    }

    fn indexes(log: &LogFile) -> Vec<u64> {
        let all = log.range(..);
        all.iter().map(|entry| entry.log_id.index).collect()
    }

    #[test]
    fn entries_survive_and_are_cut_at_both_ends() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(dir.path()).unwrap();
        assert_eq!((log.last(), log.vote()), (None, None));
        log.append((0..5).map(entry).collect()).unwrap();
        log.save_vote(Vote::new(7, 1)).unwrap();
        log.truncate(4).unwrap();
        log.append(vec![entry(4), entry(5)]).unwrap();
        let mut log = LogFile::open(dir.path()).unwrap();
        assert_eq!(indexes(&log), [0, 1, 2, 3, 4, 5]);
        assert_eq!(log.vote(), Some(Vote::new(7, 1)));
        assert_eq!(log.range(3..).first(), Some(&entry(3)));

        log.purge(id(3)).unwrap();
        log.append(vec![entry(6)]).unwrap();
        let mut log = LogFile::open(dir.path()).unwrap();
        assert_eq!((log.purged(), log.last()), (Some(id(3)), Some(id(6))));
        assert_eq!(indexes(&log), [4, 5, 6]);
        log.purge(id(9)).unwrap();
        assert_eq!((log.last(), indexes(&log)), (Some(id(9)), vec![]));
    }

    #[test]
    fn only_an_unfinished_end_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOG);
        let mut log = LogFile::open(dir.path()).unwrap();
        log.append(vec![entry(0), entry(1)]).unwrap();
        let two = usize::try_from(log.end).unwrap();
        log.append(vec![entry(2)]).unwrap();
        let good = std::fs::read(&path).unwrap();

        for cut in two + 1..good.len() {
            std::fs::write(&path, &good[..cut]).unwrap();
            assert_eq!(
                indexes(&LogFile::open(dir.path()).unwrap()),
                [0, 1],
                "cut at {cut}"
            );
            assert_eq!(std::fs::metadata(&path).unwrap().len(), two as u64);
        }
        let mut torn = good.clone();
        torn[two..].fill(0);
        std::fs::write(&path, &torn).unwrap();
        assert_eq!(indexes(&LogFile::open(dir.path()).unwrap()), [0, 1]);

        let mut damaged = good.clone();
        damaged[two - 3] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let error = LogFile::open(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("checksum") && error.contains("log"),
            "{error}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "nothing is cut off");
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_an_error_or_a_shorter_log(
            at in 0_usize..2000,
            noise in proptest::collection::vec(any::<u8>(), 1..64),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(LOG);
            let mut log = LogFile::open(dir.path()).unwrap();
            log.append((0..6).map(entry).collect()).unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            let at = at % bytes.len();
            let end = bytes.len().min(at + noise.len());
            bytes.splice(at..end, noise);
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(log) = LogFile::open(dir.path()) {
                let found = indexes(&log);
                let expected: Vec<u64> = (0..found.len() as u64).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
