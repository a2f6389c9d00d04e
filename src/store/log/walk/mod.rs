//! Walks the records of the commit log, file after file, and keeps going whatever it finds.
//!
//! What lies at a position is judged by size, magic, checksum and the record's own idea of its position.
//! Damage is an item like any other; after it the walk goes on with the next thing that is certainly
//! whole. A record is hard to mistake: its magic, its position and its checksum all have to agree.
//!
//! A judgement of damage is passed only when two reads of the same bytes agree, so that a record a live
//! broker is just writing is not called torn because the walk came halfway through.
//!
//! Absent on purpose: any decision about what a store should do. In particular, bytes that Apache's
//! recovery cut off stay in the file, and whole records among them look like any other; only their queue
//! offsets, which repeat, tell (see 3.9 of the golden data's notes). Nothing here truncates or repairs.

mod judge;
mod part;
mod search;
#[cfg(test)]
mod tests;

use std::io;

use crate::base::LogOffset;
use crate::message::record::{BLANK_BYTES, Record, RecordError};
use crate::store::layout::SegmentFile;
use crate::store::window::Window;
use judge::Verdict;
use part::Part;
use search::Search;

/// No broker takes larger messages unless told to (its default is 4 MiB).
const BODY_BYTES_USUAL: u64 = 16 << 20;

/// What the walk met.
#[derive(Debug)]
pub enum Item<'a> {
    /// A whole record: size, magic, position and checksum agree.
    Record(Stored<'a>),
    /// The filler at the end of a file; the log goes on in the next one.
    Blank(Blank),
    /// The first byte never written in a file. Files behind it, made ahead of need, have their own.
    End {
        /// Where it is.
        at: LogOffset,
    },
    /// Bytes that are no record although one should be there.
    Damaged(Damage<'a>),
}

/// A record and the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// The record.
    pub record: Record<'a>,
    /// All its bytes.
    pub bytes: &'a [u8],
}

/// The filler at the end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blank {
    /// Where it begins.
    pub at: LogOffset,
    /// The length it states, which is the number of bytes left in the file.
    pub size: u32,
    /// Whether nothing was ever written behind its eight bytes.
    pub rest_is_zero: bool,
}

/// A stretch of the log that holds no whole record.
#[derive(Debug)]
pub struct Damage<'a> {
    /// Its first byte.
    pub at: LogOffset,
    /// The byte behind it, where the walk goes on: a whole record, a filler, unwritten space, or the end
    /// of what was written to the file.
    pub until: LogOffset,
    /// Whether nothing whole follows in the same file.
    pub last_in_file: bool,
    /// What is wrong.
    pub reason: Reason,
    /// The record, if all its lengths add up.
    pub record: Option<Record<'a>>,
    /// The bytes as far as the length field reaches, or the first ones if it makes no sense.
    pub bytes: &'a [u8],
}

/// Why bytes are not a whole record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The parts do not make a record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The body is not the one that was stored.
    #[error("body checksum is {found:#010x}, the record says {stored:#010x}")]
    Checksum {
        /// In the record.
        stored: u32,
        /// Of the body.
        found: u32,
    },
    /// The record belongs elsewhere.
    #[error("the record says it lies at {stored}")]
    Position {
        /// The position it states.
        stored: i64,
    },
    /// The record would go on behind the end of its file.
    #[error("record of {size} bytes does not fit into its file")]
    PastFile {
        /// The length it states.
        size: u32,
    },
    /// A filler that does not reach exactly to the end of its file.
    #[error("filler states {size} bytes, {left} are left in the file")]
    Blank {
        /// The length it states.
        size: u32,
        /// The bytes there are.
        left: u64,
    },
    /// Nothing was ever written here.
    #[error("nothing was written here")]
    Unwritten,
    /// Unwritten space with whole records behind it.
    #[error("unwritten space before more records")]
    Hole,
    /// A file between others is not there, or ends too early.
    #[error("a stretch of the log is in no file")]
    Missing,
    /// The system could not read the file.
    #[error("cannot read: {0}")]
    Unreadable(String),
}

/// A walk over the log. Not an `Iterator`, because an item borrows the walk's buffer.
#[derive(Debug)]
pub struct Walk {
    parts: Vec<Part>,
    /// The part the walk is in, and the place in it.
    index: usize,
    at: u64,
    window: Option<Window>,
    behind_end: bool,
    checks_bodies: bool,
}

impl Walk {
    /// A walk over files, which must be ordered by position.
    pub fn over_files(files: &[SegmentFile]) -> Self {
        Self::over(files.iter().map(Part::file))
    }

    /// A walk over bytes that stand for files, each with the position of its first byte.
    pub fn over_memory(files: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Self {
        let parts = files.into_iter();
        Self::over(parts.map(|(base, bytes)| Part::memory(base, bytes)))
    }

    fn over(parts: impl Iterator<Item = Part>) -> Self {
        // Positions are Java longs; no file name holds a larger one.
        let mut parts: Vec<Part> = parts
            .filter(|part| i64::try_from(part.base).is_ok())
            .collect();
        parts.sort_by_key(|part| part.base);
        // A file reaches at most to the next one's first byte.
        for i in 1..parts.len() {
            let next = parts[i].base;
            let part = &mut parts[i - 1];
            part.len = part.len.min(next - part.base);
        }
        Self {
            parts,
            index: 0,
            at: 0,
            window: None,
            behind_end: false,
            checks_bodies: true,
        }
    }

    /// Takes records for whole without comparing the checksums of their bodies: everything else about them is still
    /// looked at. For a quick look, and for records that were checked before.
    #[must_use]
    pub fn trusting_bodies(mut self, trust: bool) -> Self {
        self.checks_bodies = !trust;
        self
    }

    /// Also looks for records behind unwritten space, as lost pages leave it. This reads every file to its
    /// end, so it is for recovery and not for a quick look.
    #[must_use]
    pub fn behind_end(mut self, look: bool) -> Self {
        self.behind_end = look;
        self
    }

    /// Starts at `from` instead of the first byte: at the record that lies there, or, if none does, at the
    /// next whole one of its file.
    #[must_use]
    pub fn starting_at(mut self, from: LogOffset) -> Self {
        let from = from.get();
        self.index = self.parts.partition_point(|part| part.base <= from);
        self.index = self.index.saturating_sub(1);
        self.at = 0;
        self.window = None;
        let Some(part) = self.parts.get(self.index) else {
            return self;
        };
        let (base, len) = (part.base, part.len);
        if from <= base {
            return self;
        }
        if from - base >= len {
            self.leave_part();
            return self;
        }
        self.at = from - base;
        // Zeros may be unwritten space or lie inside a body; in a body the next record is near.
        let search_until = match self.judge(self.at) {
            Ok(Verdict::Damaged { .. }) => len,
            Ok(Verdict::End) => len.min(self.at + BODY_BYTES_USUAL),
            Ok(Verdict::Record { .. } | Verdict::Blank { .. }) | Err(_) => return self,
        };
        if let Ok(Search::Found(at)) = self.search(self.at + 1, search_until) {
            self.at = at;
        }
        self
    }

    /// What comes next; `None` behind the last file.
    pub fn next_item(&mut self) -> Option<Item<'_>> {
        loop {
            let part = self.parts.get(self.index)?;
            if self.at < part.len {
                break;
            }
            let end = part.base + part.len;
            self.leave_part();
            if let Some(next) = self.parts.get(self.index)
                && next.base > end
            {
                return Some(Item::Damaged(Damage {
                    at: LogOffset::new(end),
                    until: LogOffset::new(next.base),
                    last_in_file: true,
                    reason: Reason::Missing,
                    record: None,
                    bytes: &[],
                }));
            }
        }
        match self.settled_judgement() {
            Ok(verdict) => self.item(verdict),
            Err(error) => Some(self.unreadable(&error)),
        }
    }

    /// The record at exactly `at`, wherever the walk is; the walk then stands behind it.
    pub fn record_at(&mut self, at: LogOffset) -> Result<Stored<'_>, Reason> {
        let at = at.get();
        let index = self.parts.partition_point(|part| part.base <= at);
        let index = index.checked_sub(1).ok_or(Reason::Missing)?;
        let part = self.parts.get(index).ok_or(Reason::Missing)?;
        if at - part.base >= part.len {
            return Err(Reason::Missing);
        }
        let place = at - part.base;
        if index != self.index {
            self.index = index;
            self.window = None;
        }
        self.at = place;
        let verdict = self.settled_judgement();
        match verdict.map_err(|error| Reason::Unreadable(error.to_string()))? {
            Verdict::Record { size } => {
                self.at = place + size as u64;
                let bytes = self
                    .read(place, size)
                    .map_err(|error| Reason::Unreadable(error.to_string()))?;
                let record = Record::parse(bytes)?;
                Ok(Stored { record, bytes })
            }
            Verdict::Blank { .. } | Verdict::End => Err(Reason::Unwritten),
            Verdict::Damaged { reason, .. } => Err(reason),
        }
    }

    /// Turns a verdict into an item and moves on behind it.
    fn item(&mut self, verdict: Verdict) -> Option<Item<'_>> {
        let (base, len) = self.parts.get(self.index).map(|p| (p.base, p.len))?;
        let here = self.at;
        let at = LogOffset::new(base + here);
        match verdict {
            Verdict::Record { size } => {
                self.at += size as u64;
                let bytes = self.read(here, size).unwrap_or(&[]);
                // The same bytes were parsed a moment ago, from the same buffer.
                let record = Record::parse(bytes).ok()?;
                Some(Item::Record(Stored { record, bytes }))
            }
            Verdict::Blank { size } => {
                let rest_is_zero = self.is_zero(here + BLANK_BYTES as u64, len);
                self.at = len;
                Some(Item::Blank(Blank {
                    at,
                    size,
                    rest_is_zero,
                }))
            }
            Verdict::End => {
                let behind = self.behind_end.then(|| self.search(here, len));
                if let Some(Ok(Search::Found(found))) = behind {
                    self.at = found;
                    return Some(Item::Damaged(Damage {
                        at,
                        until: LogOffset::new(base + found),
                        last_in_file: false,
                        reason: Reason::Hole,
                        record: None,
                        bytes: &[],
                    }));
                }
                self.at = len;
                Some(Item::End { at })
            }
            Verdict::Damaged { reason, claim } => {
                match self.resume_after(here, &reason, claim, len) {
                    Ok((until, next)) => {
                        self.at = next;
                        let size = claim.map_or(BLANK_BYTES as u64, |claim| claim.min(len - here));
                        let bytes = self
                            .read(here, usize::try_from(size).unwrap_or(BLANK_BYTES))
                            .unwrap_or(&[]);
                        Some(Item::Damaged(Damage {
                            at,
                            until: LogOffset::new(base + until),
                            last_in_file: next == len,
                            reason,
                            record: Record::parse(bytes).ok(),
                            bytes,
                        }))
                    }
                    Err(error) => Some(self.unreadable(&error)),
                }
            }
        }
    }

    /// Gives up the rest of the current file.
    fn unreadable(&mut self, error: &io::Error) -> Item<'static> {
        let (base, len) = self
            .parts
            .get(self.index)
            .map_or((0, 0), |p| (p.base, p.len));
        let at = LogOffset::new(base + self.at);
        self.at = len;
        Item::Damaged(Damage {
            at,
            until: LogOffset::new(base + len),
            last_in_file: true,
            reason: Reason::Unreadable(error.to_string()),
            record: None,
            bytes: &[],
        })
    }

    fn leave_part(&mut self) {
        self.index += 1;
        self.at = 0;
        self.window = None;
    }

    /// The first place at or after `at` of the current file that is not in a hole.
    fn next_data(&mut self, at: u64) -> io::Result<Option<u64>> {
        Ok(self.window()?.and_then(|window| window.next_data(at)))
    }

    /// Bytes of the current file.
    fn read(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        match self.window()? {
            Some(window) => window.at(at, len),
            None => Ok(&[]),
        }
    }

    /// The current file, opened on first use.
    fn window(&mut self) -> io::Result<Option<&mut Window>> {
        if self.window.is_none() {
            self.window = self.parts.get(self.index).map(Part::open).transpose()?;
        }
        Ok(self.window.as_mut())
    }
}
