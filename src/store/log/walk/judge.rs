//! What lies at a place of a log file: a record, a filler, nothing, or damage.

use std::io;

use super::{Reason, Walk};
use crate::base::LogOffset;
use crate::message::record::{
    BLANK_BYTES, MAGIC_BLANK, MAGIC_V1, MAGIC_V2, MIN_BYTES, Record, RecordError, body_crc,
};

/// How often bytes that keep changing are read again before they are called damaged.
const REREADS_MAX: usize = 8;
/// Where the fixed part of the longest record head ends: both hosts with 16 bytes, and the body length.
const HEAD_BYTES: usize = MIN_BYTES + 24;
/// What a record can hold beside fixed part and body: topic and properties with their lengths at most.
const TOPIC_AND_PROPERTIES_MAX: u64 = 2 + 65_535 + 2 + 32_767;

/// A judgement without the bytes it was passed on, so that the buffer is free to be read again.
pub(super) enum Verdict {
    Record { size: usize },
    Blank { size: u32 },
    End,
    Damaged { reason: Reason, claim: Option<u64> },
}

impl Walk {
    /// Judges the current place, and damage only once two reads agree.
    pub(super) fn settled_judgement(&mut self) -> io::Result<Verdict> {
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
    pub(super) fn judge(&mut self, at: u64) -> io::Result<Verdict> {
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
        let checks_bodies = self.checks_bodies;
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
            Ok(_) if !checks_bodies => return Ok(Verdict::Record { size }),
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
}

fn damaged(reason: impl Into<Reason>) -> Verdict {
    Verdict::Damaged {
        reason: reason.into(),
        claim: None,
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
