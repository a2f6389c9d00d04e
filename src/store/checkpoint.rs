//! The checkpoint: up to which time and position each kind of file was on the disk.
//!
//! 4096 bytes, six big-endian 64-bit numbers, the rest zero. `logicsPhysicalOffset` is new in 5.5; an older
//! broker leaves it 0. The numbers only ever narrow what recovery must look at: a checkpoint that is
//! missing or too old costs time, never data.
//!
//! Absent on purpose: when and how the file is written; that is the flusher's.

/// Bytes of the file.
pub const CHECKPOINT_BYTES: usize = 4096;

const FIELDS: usize = 6;
const _: () = assert!(FIELDS * 8 <= CHECKPOINT_BYTES);

/// The six numbers of the checkpoint file, in file order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Store time of the newest message known to be flushed to the commit log, ms (`physicMsgTimestamp`).
    pub log_timestamp_ms: i64,
    /// Store time of the newest message known to be flushed to its consume queue, ms (`logicsMsgTimestamp`).
    pub queue_timestamp_ms: i64,
    /// Store time of the newest message in a flushed (full) index file, ms (`indexMsgTimestamp`).
    pub index_timestamp_ms: i64,
    /// Position up to which the master's log was flushed; written by a replica (`masterFlushedOffset`).
    pub master_flushed_offset: i64,
    /// Position a controller has confirmed; 0 without one (`confirmPhyOffset`).
    pub confirm_offset: i64,
    /// Log position of the newest message whose queue entry is flushed (`logicsPhysicalOffset`).
    pub queue_log_offset: i64,
}

impl Checkpoint {
    /// Reads the numbers from the file's bytes; what a short file does not have is 0, as Java's mapping
    /// would extend it with zeros.
    pub fn decode(bytes: &[u8]) -> Self {
        let mut numbers = bytes
            .chunks_exact(8)
            .map(|chunk| chunk.try_into().map_or(0, i64::from_be_bytes));
        let mut next = || numbers.next().unwrap_or(0);
        Self {
            log_timestamp_ms: next(),
            queue_timestamp_ms: next(),
            index_timestamp_ms: next(),
            master_flushed_offset: next(),
            confirm_offset: next(),
            queue_log_offset: next(),
        }
    }

    /// The file's bytes.
    pub fn encode(&self) -> [u8; CHECKPOINT_BYTES] {
        let numbers: [i64; FIELDS] = [
            self.log_timestamp_ms,
            self.queue_timestamp_ms,
            self.index_timestamp_ms,
            self.master_flushed_offset,
            self.confirm_offset,
            self.queue_log_offset,
        ];
        let mut bytes = [0; CHECKPOINT_BYTES];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_file() {
        let checkpoint = Checkpoint {
            log_timestamp_ms: 1,
            queue_timestamp_ms: 2,
            index_timestamp_ms: 3,
            master_flushed_offset: -4,
            confirm_offset: 5,
            queue_log_offset: i64::MAX,
        };
        let bytes = checkpoint.encode();
        assert_eq!(Checkpoint::decode(&bytes), checkpoint);
        assert_eq!(bytes[7], 1);
        assert!(bytes[48..].iter().all(|&b| b == 0));
    }

    #[test]
    fn a_short_file_reads_as_zeros() {
        assert_eq!(Checkpoint::decode(b""), Checkpoint::default());
        let short = Checkpoint::decode(&[0, 0, 0, 0, 0, 0, 0, 9, 1, 1]);
        assert_eq!(short.log_timestamp_ms, 9);
        assert_eq!(short.queue_timestamp_ms, 0);
    }
}
