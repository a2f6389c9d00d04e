//! The histories of logs: under which master each stretch was written, and where two of them part (`EpochFileCache`).
//!
//! An epoch begins with a new master and ends with the next; its number only grows. Two logs are the same up to the end
//! of the last epoch they have in common, or to where the shorter of the two ends in it. The file is Apache's
//! `epochFileCheckpoint`: a count, a checksum, and `number-start` on a line for each epoch.
//!
//! Absent on purpose: who gives out numbers.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::reserve::Reserve;
use crate::protocol::ha::switch::Epoch;
use crate::sys::config_file;

/// The file's name, beside the commit log's directory, as in Apache.
const FILE: &str = "epochFileCheckpoint";
/// More epochs than this are no history but damage.
const EPOCHS_MAX: usize = 100_000;

/// A history, oldest epoch first. Numbers and starts grow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct History(Vec<Epoch>);

impl History {
    /// A history as a peer tells it; `None` if it makes no sense.
    pub(crate) fn from_peer(epochs: Vec<Epoch>) -> Option<Self> {
        let grows = epochs.is_sorted_by(|a, b| a.number < b.number && a.start < b.start);
        (grows && epochs.len() <= EPOCHS_MAX).then_some(Self(epochs))
    }

    pub(crate) fn epochs(&self) -> &[Epoch] {
        &self.0
    }

    /// The newest epoch.
    pub(crate) fn last(&self) -> Option<Epoch> {
        self.0.last().copied()
    }

    /// The newest number; -1 before the first.
    pub(crate) fn number(&self) -> i32 {
        self.last().map_or(-1, |last| last.number)
    }

    /// The epoch a position belongs to, and where that one ends; the newest has no end.
    pub(crate) fn at(&self, position: u64) -> Option<(Epoch, Option<u64>)> {
        let behind = self.0.partition_point(|epoch| epoch.start <= position);
        let epoch = self.0.get(behind.checked_sub(1)?)?;
        Some((*epoch, self.0.get(behind).map(|next| next.start)))
    }

    /// Begins an epoch; one in which nothing was written makes room for it. False if its number is not new.
    pub(crate) fn begin(&mut self, epoch: Epoch) -> bool {
        if self.number() >= epoch.number {
            return false;
        }
        self.0.retain(|known| known.start < epoch.start);
        self.0.push(epoch);
        true
    }

    /// Forgets the epochs that begin at or behind `end`: the log was cut there.
    pub(crate) fn cut(&mut self, end: u64) {
        self.0.retain(|epoch| epoch.start < end);
    }

    /// Where this log, which ends at `end`, and another part. `None` if they have nothing in common.
    pub(crate) fn parts_from(&self, end: u64, other: &Self, other_end: u64) -> Option<u64> {
        let end_of = |history: &Self, index: usize, log_end: u64| {
            history.0.get(index + 1).map_or(log_end, |next| next.start)
        };
        for (index, epoch) in self.0.iter().enumerate().rev() {
            let same = other.0.iter().position(|theirs| theirs == epoch);
            if let Some(theirs) = same {
                return Some(end_of(self, index, end).min(end_of(other, theirs, other_end)));
            }
        }
        None
    }

    fn encode(&self) -> String {
        let mut lines = String::new();
        for epoch in &self.0 {
            // Writing to a string does not fail.
            let _ = writeln!(lines, "{}-{}", epoch.number, epoch.start);
        }
        // Apache's checksums have no top bit.
        let crc = crc32fast::hash(lines.as_bytes()) & 0x7fff_ffff;
        format!("{}\n{crc}\n{lines}", self.0.len())
    }

    fn decode(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '\n');
        let count: usize = parts.next()?.trim().parse().ok()?;
        let crc: u32 = parts.next()?.trim().parse().ok()?;
        let lines = parts.next()?;
        if crc != 0 && crc != crc32fast::hash(lines.as_bytes()) & 0x7fff_ffff {
            return None;
        }
        let epochs: Option<Vec<_>> = lines
            .lines()
            .map(|line| {
                let (number, start) = line.trim().split_once('-')?;
                Some(Epoch {
                    number: number.parse().ok()?,
                    start: start.parse().ok()?,
                })
            })
            .collect();
        Self::from_peer(epochs?).filter(|history| history.0.len() == count)
    }
}

/// A history and its file.
#[derive(Debug)]
pub(crate) struct EpochFile {
    path: PathBuf,
    reserve: Reserve,
    history: History,
}

impl EpochFile {
    /// Reads the file in a store directory; an empty history where there is none.
    pub(crate) fn open(store: &Path) -> io::Result<Self> {
        let path = store.join(FILE);
        let decoded = |bytes: Option<Vec<u8>>| {
            let bytes = bytes?;
            Some(History::decode(&String::from_utf8_lossy(&bytes)))
        };
        let history = match decoded(config_file::read(&path)?) {
            None => History::default(),
            Some(Some(history)) => history,
            Some(None) => match decoded(config_file::read_backup(&path)?).flatten() {
                Some(history) => history,
                None => {
                    return Err(io::Error::other(format!(
                        "{} and its .bak are damaged: without them nobody knows under which master the log was written",
                        path.display()
                    )));
                }
            },
        };
        let reserve = Reserve::of(store);
        Ok(Self {
            path,
            reserve,
            history,
        })
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// Changes the history; the file is on the disk when this returns. Blocks.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut History)) -> io::Result<()> {
        let mut new = self.history.clone();
        change(&mut new);
        if new == self.history {
            return Ok(());
        }
        self.reserve.write(&self.path, new.encode().as_bytes())?;
        self.history = new;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(epochs: &[(i32, u64)]) -> History {
        let epochs = epochs.iter();
        let epochs = epochs.map(|&(number, start)| Epoch { number, start });
        History::from_peer(epochs.collect()).unwrap()
    }

    #[test]
    fn the_file_is_apaches() {
        // The example in `CheckpointFile`: its checksum is that of the two lines.
        let text = "2\n773307083\n7-7000\n8-8000\n";
        let known = history(&[(7, 7000), (8, 8000)]);
        assert_eq!(known.encode(), text);
        assert_eq!(History::decode(text), Some(known));
        for bad in [
            "",
            "2\n1\n7-7000\n8-8000\n",
            "1\n0\n7-7000\n8-8000\n",
            "2\n0\n8-1\n7-2\n",
        ] {
            assert_eq!(History::decode(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn histories_part_where_the_last_common_epoch_ends() {
        let ours = history(&[(1, 0), (2, 100)]);
        let theirs = history(&[(1, 0), (3, 80)]);
        assert_eq!(ours.parts_from(150, &theirs, 400), Some(80));
        assert_eq!(theirs.parts_from(400, &ours, 150), Some(80));
        assert_eq!(ours.parts_from(150, &ours, 120), Some(120));
        assert_eq!(ours.parts_from(150, &history(&[(2, 90)]), 120), None);
        assert_eq!(History::default().parts_from(0, &ours, 150), None);
    }

    #[test]
    fn an_epoch_without_a_message_leaves_no_trace() {
        let mut one = history(&[(1, 0), (2, 100)]);
        assert!(!one.begin(Epoch {
            number: 2,
            start: 200
        }));
        assert!(one.begin(Epoch {
            number: 5,
            start: 100
        }));
        assert_eq!(one, history(&[(1, 0), (5, 100)]));
        assert_eq!(
            one.at(99),
            Some((
                Epoch {
                    number: 1,
                    start: 0
                },
                Some(100)
            ))
        );
        assert_eq!(one.at(100).unwrap().1, None);
        one.cut(100);
        assert_eq!(one.number(), 1);
    }

    #[test]
    fn the_file_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = EpochFile::open(dir.path()).unwrap();
        assert_eq!(file.history().number(), -1);
        file.change(|history| {
            history.begin(Epoch {
                number: 3,
                start: 7,
            });
        })
        .unwrap();
        assert_eq!(EpochFile::open(dir.path()).unwrap().history().number(), 3);
        std::fs::write(dir.path().join(FILE), "damage").unwrap();
        assert!(EpochFile::open(dir.path()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text: String) {
            if let Some(history) = History::decode(&text) {
                proptest::prop_assert_eq!(History::decode(&history.encode()), Some(history));
            }
        }
    }
}
