//! Where a walk goes on behind damage.

use std::io;

use super::judge::Verdict;
use super::{Reason, Walk};
use crate::message::record::{MAGIC_BLANK, MAGIC_V1, MAGIC_V2, PHYSICAL_OFFSET_AT};

/// How many bytes a search looks at in one go.
const SEARCH_BYTES: usize = 1 << 20;

/// What a search came to.
pub(super) enum Search {
    Found(u64),
    /// Nothing whole; the byte behind the last one that is not zero.
    Nothing {
        written_until: u64,
    },
}

impl Walk {
    /// Where damage at `at` ends and where the walk goes on. Both are the same unless nothing follows: then
    /// the damage ends with what was written, and the walk with the file.
    pub(super) fn resume_after(
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
    pub(super) fn search(&mut self, from: u64, to: u64) -> io::Result<Search> {
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

    pub(super) fn is_zero(&mut self, from: u64, to: u64) -> bool {
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
