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

use std::io;
use std::path::PathBuf;

use crate::base::LogOffset;
use crate::message::record::{
    BLANK_BYTES, MAGIC_BLANK, MAGIC_V1, MAGIC_V2, MIN_BYTES, PHYSICAL_OFFSET_AT, Record,
    RecordError, body_crc,
};
use crate::store::layout::SegmentFile;
use crate::store::window::Window;

/// How often bytes that keep changing are read again before they are called damaged.
const REREADS_MAX: usize = 8;
/// Where the fixed part of the longest record head ends: both hosts with 16 bytes, and the body length.
const HEAD_BYTES: usize = MIN_BYTES + 24;
/// What a record can hold beside fixed part and body: topic and properties with their lengths at most.
const TOPIC_AND_PROPERTIES_MAX: u64 = 2 + 65_535 + 2 + 32_767;
/// No broker takes larger messages unless told to (its default is 4 MiB).
const BODY_BYTES_USUAL: u64 = 16 << 20;
/// How many bytes a search looks at in one go.
const SEARCH_BYTES: usize = 1 << 20;

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

/// One file of the log, as the walk sees it.
#[derive(Debug)]
struct Part {
    base: u64,
    len: u64,
    source: PartSource,
}

#[derive(Debug)]
enum PartSource {
    File(PathBuf),
    Memory(Vec<u8>),
}

impl Part {
    fn open(&self) -> io::Result<Window> {
        match &self.source {
            PartSource::File(path) => Window::open(path),
            PartSource::Memory(bytes) => Ok(Window::memory(bytes.clone())),
        }
    }
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
}

/// A judgement without the bytes it was passed on, so that the buffer is free to be read again.
enum Verdict {
    Record { size: usize },
    Blank { size: u32 },
    End,
    Damaged { reason: Reason, claim: Option<u64> },
}

impl Walk {
    /// A walk over files, which must be ordered by position.
    pub fn over_files(files: &[SegmentFile]) -> Self {
        Self::over(files.iter().map(|file| Part {
            base: file.base,
            len: file.len,
            source: PartSource::File(file.path.clone()),
        }))
    }

    /// A walk over bytes that stand for files, each with the position of its first byte.
    pub fn over_memory(files: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Self {
        Self::over(files.into_iter().map(|(base, bytes)| Part {
            base,
            len: bytes.len() as u64,
            source: PartSource::Memory(bytes),
        }))
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
        }
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

    /// Judges the current place, and damage only once two reads agree.
    fn settled_judgement(&mut self) -> io::Result<Verdict> {
        let mut before = None;
        for _ in 0..REREADS_MAX {
            let verdict = self.judge(self.at)?;
            let Verdict::Damaged { claim, .. } = &verdict else {
                return Ok(verdict);
            };
            let len = claim.map_or(HEAD_BYTES, |claim| {
                usize::try_from(claim).unwrap_or(HEAD_BYTES)
            });
            let sum = crc32fast::hash(self.read(self.at, len)?);
            if before == Some(sum) {
                return Ok(verdict);
            }
            before = Some(sum);
            if let Some(window) = &mut self.window {
                window.refresh();
            }
        }
        self.judge(self.at)
    }

    /// Judges what lies at a place of the current file.
    fn judge(&mut self, at: u64) -> io::Result<Verdict> {
        let (base, len) = match self.parts.get(self.index) {
            Some(part) => (part.base, part.len),
            None => return Ok(Verdict::End),
        };
        let left = len.saturating_sub(at);
        let head_len = usize::try_from(left).map_or(HEAD_BYTES, |left| left.min(HEAD_BYTES));
        let head = self.read(at, head_len)?;
        let lengths = head.split_first_chunk::<4>().and_then(|(size, rest)| {
            let magic = rest.first_chunk::<4>()?;
            Some((u32::from_be_bytes(*size), u32::from_be_bytes(*magic)))
        });
        let Some((size, magic)) = lengths else {
            return Ok(if head.iter().all(|&b| b == 0) {
                Verdict::End
            } else {
                damaged(RecordError::Short {
                    needed: BLANK_BYTES as u64,
                    have: head.len(),
                })
            });
        };
        match magic {
            0 if size == 0 => return Ok(Verdict::End),
            MAGIC_BLANK if u64::from(size) == left => return Ok(Verdict::Blank { size }),
            MAGIC_BLANK => return Ok(damaged(Reason::Blank { size, left })),
            MAGIC_V1 | MAGIC_V2 => {}
            _ => return Ok(damaged(RecordError::Magic { found: magic })),
        }
        if u64::from(size) > left {
            return Ok(damaged(Reason::PastFile { size }));
        }
        if !adds_up(head, size) {
            // The parse of the head alone names the part; a length that makes no sense is not read.
            let part = "body length";
            return Ok(damaged(RecordError::Length { size, part }));
        }
        let claim = Some(u64::from(size));
        let size = size as usize;
        let reason = match Record::parse(self.read(at, size)?) {
            Err(error) => Reason::Record(error),
            Ok(record) if record.physical_offset != LogOffset::new(base + at).to_wire() => {
                Reason::Position {
                    stored: record.physical_offset,
                }
            }
            // The checksum is of the body alone. Properties that end in zeros are those of a record whose end never
            // reached the disk.
            Ok(record) if record.properties.as_bytes().last() == Some(&0) => {
                Reason::Record(RecordError::Length {
                    size: record.size,
                    part: "properties end in zeros",
                })
            }
            Ok(record) => match body_crc(record.body) {
                found if found == record.body_crc => return Ok(Verdict::Record { size }),
                found => Reason::Checksum {
                    stored: record.body_crc,
                    found,
                },
            },
        };
        Ok(Verdict::Damaged { reason, claim })
    }

    /// Where damage at `at` ends and where the walk goes on. Both are the same unless nothing follows: then
    /// the damage ends with what was written, and the walk with the file.
    fn resume_after(
        &mut self,
        at: u64,
        reason: &Reason,
        claim: Option<u64>,
        len: u64,
    ) -> io::Result<(u64, u64)> {
        let mut from = at + 1;
        if let Some(claim) = claim {
            let claimed_end = at + claim;
            // Position and all lengths agree, only the body is not what it was: the length can be trusted.
            if matches!(reason, Reason::Checksum { .. }) {
                return Ok((claimed_end, claimed_end));
            }
            if let Search::Found(found) = self.search(from, claimed_end)? {
                return Ok((found, found));
            }
            let boundary = match self.judge(claimed_end)? {
                Verdict::Damaged { claim, .. } => claim.is_some(),
                Verdict::Record { .. } | Verdict::Blank { .. } | Verdict::End => true,
            };
            if boundary {
                return Ok((claimed_end, claimed_end));
            }
            from = claimed_end;
        }
        Ok(match self.search(from, len)? {
            Search::Found(found) => (found, found),
            Search::Nothing { written_until } => (written_until.max(at + 1), len),
        })
    }

    /// Looks for the first whole record or filler that begins in `from..to`.
    fn search(&mut self, from: u64, to: u64) -> io::Result<Search> {
        let (base, len) = self
            .parts
            .get(self.index)
            .map_or((0, 0), |p| (p.base, p.len));
        let mut written_until = from;
        let mut at = from;
        while let Some(data) = self.next_data(at)?.filter(|&data| data < to) {
            at = data;
            let span = usize::try_from(to - at).map_or(SEARCH_BYTES, |left| left.min(SEARCH_BYTES));
            let bytes = self.read(at, span + PHYSICAL_OFFSET_AT + 8)?;
            if bytes.is_empty() {
                break;
            }
            let span = span.min(bytes.len());
            let place = |i: usize| Place {
                position: base + at + i as u64,
                left: len.saturating_sub(at + i as u64),
            };
            let found = (0..span).find(|&i| may_begin(&bytes[i..], &place(i)));
            let passed = found.map_or(span, |i| i + 1);
            if let Some(last) = bytes[..passed].iter().rposition(|&b| b != 0) {
                written_until = at + last as u64 + 1;
            }
            if let Some(i) = found {
                let candidate = at + i as u64;
                let verdict = self.judge(candidate)?;
                if matches!(verdict, Verdict::Record { .. } | Verdict::Blank { .. }) {
                    return Ok(Search::Found(candidate));
                }
            }
            at += passed as u64;
        }
        Ok(Search::Nothing { written_until })
    }

    fn is_zero(&mut self, from: u64, to: u64) -> bool {
        let mut at = from;
        while let Ok(Some(data)) = self.next_data(at) {
            if data >= to {
                break;
            }
            at = data;
            let span = usize::try_from(to - at).map_or(SEARCH_BYTES, |left| left.min(SEARCH_BYTES));
            match self.read(at, span) {
                Ok([]) => break,
                Ok(bytes) if bytes.iter().all(|&b| b == 0) => at += bytes.len() as u64,
                Ok(_) | Err(_) => return false,
            }
        }
        true
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

enum Search {
    Found(u64),
    /// Nothing whole; the byte behind the last one that is not zero.
    Nothing {
        written_until: u64,
    },
}

fn damaged(reason: impl Into<Reason>) -> Verdict {
    Verdict::Damaged {
        reason: reason.into(),
        claim: None,
    }
}

/// A place in the log and what its file holds from there on.
struct Place {
    position: u64,
    left: u64,
}

/// Whether a record or filler may begin here: the cheap part of the judgement.
fn may_begin(bytes: &[u8], place: &Place) -> bool {
    let Some(([size, magic], _)) = bytes.as_chunks::<4>().0.split_first_chunk::<2>() else {
        return false;
    };
    match u32::from_be_bytes(*magic) {
        MAGIC_BLANK => u64::from(u32::from_be_bytes(*size)) == place.left,
        MAGIC_V1 | MAGIC_V2 => bytes
            .get(PHYSICAL_OFFSET_AT..)
            .and_then(<[u8]>::first_chunk)
            .is_some_and(|stored| u64::from_be_bytes(*stored) == place.position),
        _ => false,
    }
}

/// Whether length field and body length agree within what topic and properties can take, so that reading
/// as many bytes as the length field says is worth it.
fn adds_up(head: &[u8], size: u32) -> bool {
    const SYS_FLAG_AT: usize = 36;
    let int = |at: usize| head.get(at..).and_then(<[u8]>::first_chunk).copied();
    let Some(sys_flag) = int(SYS_FLAG_AT).map(i32::from_be_bytes) else {
        return false;
    };
    let wide = |bit| if sys_flag & bit == 0 { 0 } else { 12 };
    let hosts =
        wide(crate::message::sysflag::BORN_HOST_V6) + wide(crate::message::sysflag::STORE_HOST_V6);
    // The shortest record ends with the lengths of topic and properties, 1 and 2 bytes.
    let body_length_at = MIN_BYTES - 3 - 4 + hosts;
    let Some(body) = int(body_length_at).map(u32::from_be_bytes) else {
        return false;
    };
    let least = (MIN_BYTES + hosts) as u64 + u64::from(body);
    (least..=least + TOPIC_AND_PROPERTIES_MAX).contains(&u64::from(size))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::record::{Draft, patch};

    const FILE_BYTES: usize = 2000;

    fn record(at: u64, body: &[u8]) -> Vec<u8> {
        let host = "127.0.0.1:10911".parse().unwrap();
        let draft = Draft {
            topic: "T",
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_timestamp: 1,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body,
            properties: b"",
        };
        let mut bytes = Vec::new();
        let encoded = draft.encode_into(&mut bytes).unwrap();
        patch(&mut bytes, encoded.sys_flag, 0, at.cast_signed(), 2);
        bytes
    }

    /// One file with as many records as asked for, each of 102 bytes.
    fn file(base: u64, records: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..records {
            let at = base + bytes.len() as u64;
            bytes.extend(record(at, b"ten bytes!"));
        }
        bytes.resize(FILE_BYTES, 0);
        bytes
    }

    fn listing(mut walk: Walk) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(item) = walk.next_item() {
            lines.push(match item {
                Item::Record(stored) => format!("record {}", stored.record.physical_offset),
                Item::Blank(blank) => format!("blank {}+{}", blank.at, blank.size),
                Item::End { at } => format!("end {at}"),
                Item::Damaged(damage) => format!("damaged {}..{}", damage.at, damage.until),
            });
        }
        lines
    }

    #[test]
    fn goes_from_file_to_file() {
        let mut first = file(0, 2);
        first[204..208].copy_from_slice(&1796_u32.to_be_bytes());
        first[208..212].copy_from_slice(&MAGIC_BLANK.to_be_bytes());
        let files = [(0, first), (2000, file(2000, 1)), (4000, file(4000, 0))];
        let expected = [
            "record 0",
            "record 102",
            "blank 204+1796",
            "record 2000",
            "end 2102",
            "end 4000",
        ];
        assert_eq!(listing(Walk::over_memory(files)), expected);
    }

    #[test]
    fn whole_records_after_damage_are_kept() {
        let mut bytes = file(0, 4);
        bytes[102 + 95] ^= 1; // in the body: lengths still add up
        bytes[204] = 0xFF; // the length field: only a search finds the next record
        let expected = [
            "record 0",
            "damaged 102..204",
            "damaged 204..306",
            "record 306",
            "end 408",
        ];
        assert_eq!(listing(Walk::over_memory([(0, bytes)])), expected);
    }

    #[test]
    fn garbage_behind_the_last_record_ends_with_the_last_byte_written() {
        let mut bytes = file(0, 1);
        bytes[102..130].fill(0xAB);
        let expected = ["record 0", "damaged 102..130"];
        assert_eq!(listing(Walk::over_memory([(0, bytes)])), expected);
    }

    #[test]
    fn a_record_that_lies_elsewhere_is_no_record() {
        let mut walk = Walk::over_memory([(0, record(77, b"x"))]);
        let Some(Item::Damaged(damage)) = walk.next_item() else {
            panic!("a record at the wrong place must be damage");
        };
        assert_eq!(damage.reason, Reason::Position { stored: 77 });
        assert!(damage.record.is_some());
    }

    #[test]
    fn a_missing_file_is_a_gap() {
        let files = [(0, record(0, b"x")), (500, file(500, 1))];
        let expected = ["record 0", "damaged 93..500", "record 500", "end 602"];
        assert_eq!(listing(Walk::over_memory(files)), expected);
    }

    #[test]
    fn starts_at_the_next_whole_record() {
        let walk = || Walk::over_memory([(100, file(100, 3)), (2100, file(2100, 1))]);
        let from = |at| listing(walk().starting_at(LogOffset::new(at)));
        assert_eq!(from(0)[0], "record 100");
        assert_eq!(from(100)[0], "record 100");
        assert_eq!(from(101)[0], "record 202");
        assert_eq!(from(406), ["end 406", "record 2100", "end 2202"]);
        assert_eq!(from(2100)[0], "record 2100");
        assert_eq!(from(99_999), Vec::<String>::new());
    }

    #[test]
    fn records_behind_a_hole_are_found_when_asked_for() {
        let mut bytes = file(0, 4);
        bytes[102..306].fill(0);
        let walk = || Walk::over_memory([(0, bytes.clone())]);
        assert_eq!(listing(walk()), ["record 0", "end 102"]);
        let expected = ["record 0", "damaged 102..306", "record 306", "end 408"];
        assert_eq!(listing(walk().behind_end(true)), expected);
    }

    proptest! {
        #[test]
        fn always_ends_and_covers_every_byte_once(
            flips in proptest::collection::vec((0..FILE_BYTES, any::<u8>()), 0..40),
            cut in 0..FILE_BYTES,
            from in 0..5000_u64,
        ) {
            let mut bytes = file(0, 19);
            for (at, value) in flips {
                bytes[at] = value;
            }
            bytes.truncate(cut);
            let files = [(0, bytes), (2000, file(2000, 3))];
            let mut at = 0;
            let mut walk = Walk::over_memory(files.clone());
            while let Some(item) = walk.next_item() {
                let (begin, end) = match &item {
                    Item::Record(s) => {
                        let begin = s.record.physical_offset.cast_unsigned();
                        (begin, begin + u64::from(s.record.size))
                    }
                    Item::Blank(b) => (b.at.get(), b.at.get() + u64::from(b.size)),
                    Item::End { at } => (at.get(), at.get()),
                    Item::Damaged(d) => (d.at.get(), d.until.get()),
                };
                prop_assert!(begin >= at && end >= begin);
                at = end;
            }
            let mut walk = Walk::over_memory(files).starting_at(LogOffset::new(from)).behind_end(true);
            while walk.next_item().is_some() {}
        }

        #[test]
        fn random_bytes_never_panic(base in any::<u64>(), bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut walk = Walk::over_memory([(base, bytes)]);
            while walk.next_item().is_some() {}
        }
    }
}
