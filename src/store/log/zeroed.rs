//! Zeros ahead of the tail, so that a flush finds its blocks on the disk.
//!
//! A log file has its full length from the start, but what was never written has no blocks. A flush of bytes in new
//! blocks waits for the file's metadata as well as for the bytes: one more write, or a commit of the file system's
//! journal. Where every answer waits for a flush, a stretch ahead of the tail is therefore written with zeros now and
//! then. The next flush pays for all of it, and those that follow write data over blocks that are there.
//!
//! The bytes in the file are what they were: a hole reads as zeros too.

use super::writer::to_place;
use crate::store::segment::Segment;

/// How much is written at a time.
const STRETCH_BYTES: usize = 256 << 10;

/// A larger group is better off without: writing it twice costs more than the metadata that its flush waits for.
const GROUP_BYTES_MAX: usize = 16 << 10;

/// How far the file at the tail holds zeros. Kept under the tail's lock, so that no zero ever meets a record.
#[derive(Debug, Default)]
pub(super) struct Zeroed {
    /// Empty where no answer waits for a flush.
    zeros: Vec<u8>,
    until: u64,
}

impl Zeroed {
    pub(super) fn new(wanted: bool) -> Self {
        Self {
            zeros: vec![0; if wanted { STRETCH_BYTES } else { 0 }],
            until: 0,
        }
    }

    /// Writes the next stretch if the records, which end at `position` in `segment` since a group of `group_bytes` was
    /// written, have come to the end of the last one.
    pub(super) fn extend(&mut self, segment: &Segment, position: u64, group_bytes: usize) {
        if position < self.until || self.zeros.is_empty() || group_bytes > GROUP_BYTES_MAX {
            return;
        }
        let left = usize::try_from(segment.end().saturating_sub(position)).unwrap_or(usize::MAX);
        let zeros = self.zeros.get(..left).unwrap_or(&self.zeros);
        // Where this fails, nothing is missing but the zeros; a full disk is for the next message to tell.
        if let Err(error) = segment.write(to_place(position, segment), zeros) {
            tracing::debug!("no zeros ahead in {}: {error}", segment.path().display());
        }
        self.until = position.saturating_add(zeros.len() as u64);
    }

    /// Forgets what was written: the file was cut behind its records.
    pub(super) fn forget(&mut self) {
        self.until = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::segment::Handle;

    const FILE: usize = 600 << 10;

    fn segment(dir: &std::path::Path) -> Segment {
        Segment::open(dir, 0, FILE as u64, Handle::Keep).unwrap()
    }

    /// How many bytes from `from` on have blocks, as the file system tells.
    #[cfg(target_os = "linux")]
    fn data_from(segment: &Segment, from: usize) -> usize {
        let hole = rustix::fs::seek(
            std::fs::File::open(segment.path()).unwrap(),
            rustix::fs::SeekFrom::Hole(from as u64),
        );
        usize::try_from(hole.unwrap()).unwrap() - from
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn there_are_blocks_ahead_of_the_tail_and_records_stay_whole() {
        let dir = tempfile::tempdir().unwrap();
        let segment = segment(dir.path());
        let mut zeroed = Zeroed::new(true);
        let mut position = 0;
        for record in 0..590 {
            segment.write(position, &[7; 1000]).unwrap();
            position += 1000;
            zeroed.extend(&segment, position as u64, 1000);
            assert!(
                data_from(&segment, position) > 0 || position == FILE,
                "{record}"
            );
        }
        let (records, rest) = segment.bytes().split_at(position);
        assert!(records.iter().all(|byte| *byte == 7));
        assert!(rest.iter().all(|byte| *byte == 0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn large_groups_and_flushes_that_nobody_waits_for_get_none() {
        let dir = tempfile::tempdir().unwrap();
        let segment = segment(dir.path());
        segment.write(0, &[7; 4096]).unwrap();
        Zeroed::new(false).extend(&segment, 4096, 4096);
        Zeroed::new(true).extend(&segment, 4096, GROUP_BYTES_MAX + 1);
        assert_eq!(data_from(&segment, 4096), 0);
    }

    #[test]
    fn the_file_does_not_grow() {
        let dir = tempfile::tempdir().unwrap();
        let segment = segment(dir.path());
        let mut zeroed = Zeroed::new(true);
        for position in [FILE - 10, FILE] {
            zeroed.extend(&segment, position as u64, 1);
        }
        assert_eq!(
            std::fs::metadata(segment.path()).unwrap().len(),
            FILE as u64
        );
    }
}
