//! The protocol of Apache's `AutoSwitchHAService`, with which a replica finds out where its history and its master's part.
//!
//! 1. Slave: [`Hello`], 16 bytes.
//! 2. Master: [`Welcome`], 20 bytes and 12 for each epoch it knows.
//! 3. Slave: [`Report`]s, 12 bytes each: where it goes on, then how far it has got.
//! 4. Master: [`Header`], 36 bytes, and a stretch of its log that lies in one epoch; without one it only says that it
//!    lives, and how far the log is committed.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{HaError, body_size, i16_at, i32_at, i64_at, position, to_wire};

/// `HAConnectionState.HANDSHAKE`.
const HANDSHAKE: i32 = 1;
/// `HAConnectionState.TRANSFER`.
const TRANSFER: i32 = 2;

/// Bytes of a [`Hello`].
pub const HELLO_BYTES: usize = 16;
/// Bytes of a [`Welcome`] without its epochs.
pub const WELCOME_BYTES: usize = 20;
/// Bytes of one epoch in it.
pub const EPOCH_BYTES: usize = 12;
/// Bytes of a [`Report`].
pub const REPORT_BYTES: usize = 12;
/// Bytes of a [`Header`].
pub const HEADER_BYTES: usize = 36;

/// A time under one master, and where in the log it began (`EpochEntry`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// Grows with every new master.
    pub number: i32,
    /// The first byte written in it.
    pub start: u64,
}

/// How a slave introduces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Whether a slave without a log wants only the master's last file (`syncFromLastFile`).
    pub from_last_file: bool,
    /// Whether it never counts as a replica that has a message (`asyncLearner`).
    pub learner: bool,
    /// Its id.
    pub broker_id: i64,
}

impl Hello {
    /// The bytes.
    pub fn encode(&self) -> [u8; HELLO_BYTES] {
        let mut out = Vec::with_capacity(HELLO_BYTES);
        out.extend_from_slice(&HANDSHAKE.to_be_bytes());
        out.extend_from_slice(&i16::from(self.from_last_file).to_be_bytes());
        out.extend_from_slice(&i16::from(self.learner).to_be_bytes());
        out.extend_from_slice(&self.broker_id.to_be_bytes());
        out.try_into().unwrap_or([0; HELLO_BYTES])
    }

    /// Reads it from the front; `None` if it is not all there yet.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, HaError> {
        let Some(state) = i32_at(bytes, 0) else {
            return Ok(None);
        };
        if state != HANDSHAKE {
            return Err(HaError::State(state));
        }
        let parts = (i16_at(bytes, 4), i16_at(bytes, 6), i64_at(bytes, 8));
        let (Some(from_last_file), Some(learner), Some(broker_id)) = parts else {
            return Ok(None);
        };
        Ok(Some(Self {
            from_last_file: from_last_file == 1,
            learner: learner == 1,
            broker_id,
        }))
    }
}

/// How a master answers: its log's end and its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// Where its log ends.
    pub end: u64,
    /// The epoch it writes in; -1 before the first.
    pub epoch: i32,
    /// All it knows, oldest first.
    pub epochs: Vec<Epoch>,
}

impl Welcome {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let size = self.epochs.len().saturating_mul(EPOCH_BYTES);
        let mut out = Vec::with_capacity(size.saturating_add(WELCOME_BYTES));
        out.extend_from_slice(&HANDSHAKE.to_be_bytes());
        out.extend_from_slice(&i32::try_from(size).unwrap_or(i32::MAX).to_be_bytes());
        out.extend_from_slice(&to_wire(self.end).to_be_bytes());
        out.extend_from_slice(&self.epoch.to_be_bytes());
        for epoch in &self.epochs {
            out.extend_from_slice(&epoch.number.to_be_bytes());
            out.extend_from_slice(&to_wire(epoch.start).to_be_bytes());
        }
        out
    }

    /// Reads it from the front, with the count of its bytes; `None` if it is not all there yet.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, HaError> {
        let Some(state) = i32_at(bytes, 0) else {
            return Ok(None);
        };
        if state != HANDSHAKE {
            return Err(HaError::OutOfTurn(state));
        }
        let parts = (i32_at(bytes, 4), i64_at(bytes, 8), i32_at(bytes, 16));
        let (Some(size), Some(end), Some(epoch)) = parts else {
            return Ok(None);
        };
        // A master without a log says -1.
        let end = if end == -1 { 0 } else { position(end)? };
        let whole = WELCOME_BYTES.saturating_add(body_size(size)?);
        let Some(body) = bytes.get(WELCOME_BYTES..whole) else {
            return Ok(None);
        };
        let mut epochs = Vec::new();
        for entry in body.chunks_exact(EPOCH_BYTES) {
            if let (Some(number), Some(start)) = (i32_at(entry, 0), i64_at(entry, 4)) {
                let start = position(start)?;
                epochs.push(Epoch { number, start });
            }
        }
        Ok(Some((Self { end, epoch, epochs }, whole)))
    }
}

/// Where a slave goes on, or how far it has got.
pub fn report(at: u64) -> [u8; REPORT_BYTES] {
    let mut bytes = [0; REPORT_BYTES];
    let (state, place) = bytes.split_at_mut(4);
    state.copy_from_slice(&TRANSFER.to_be_bytes());
    place.copy_from_slice(&to_wire(at).to_be_bytes());
    bytes
}

/// Reads a report at the front; `None` if it is not all there yet.
pub fn decode_report(bytes: &[u8]) -> Result<Option<u64>, HaError> {
    let Some(state) = i32_at(bytes, 0) else {
        return Ok(None);
    };
    if state != TRANSFER {
        return Err(HaError::OutOfTurn(state));
    }
    i64_at(bytes, 4).map(position).transpose()
}

/// What a frame of the master holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Where in the log the body begins.
    pub at: u64,
    /// Bytes of the body that follows; 0 for a sign of life.
    pub size: usize,
    /// The epoch the body was written in.
    pub epoch: Epoch,
    /// How far the log is committed (`confirmOffset`).
    pub committed: u64,
}

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&TRANSFER.to_be_bytes());
        out.extend_from_slice(&i32::try_from(self.size).unwrap_or(i32::MAX).to_be_bytes());
        out.extend_from_slice(&to_wire(self.at).to_be_bytes());
        out.extend_from_slice(&self.epoch.number.to_be_bytes());
        out.extend_from_slice(&to_wire(self.epoch.start).to_be_bytes());
        out.extend_from_slice(&to_wire(self.committed).to_be_bytes());
        out.try_into().unwrap_or([0; HEADER_BYTES])
    }

    /// Reads the header at the front; `None` if it is not all there yet.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, HaError> {
        let Some(state) = i32_at(bytes, 0) else {
            return Ok(None);
        };
        if state != TRANSFER {
            return Err(HaError::OutOfTurn(state));
        }
        let parts = (
            i32_at(bytes, 4),
            i64_at(bytes, 8),
            i32_at(bytes, 16),
            i64_at(bytes, 20),
            i64_at(bytes, 28),
        );
        let (Some(size), Some(at), Some(number), Some(start), Some(committed)) = parts else {
            return Ok(None);
        };
        // A master without a log says -1.
        let known = |value: i64| if value == -1 { Ok(0) } else { position(value) };
        Ok(Some(Self {
            at: known(at)?,
            size: body_size(size)?,
            epoch: Epoch {
                number,
                start: known(start)?,
            },
            committed: known(committed)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_apaches() {
        let hello = Hello {
            from_last_file: true,
            learner: false,
            broker_id: 3,
        };
        let bytes = hello.encode();
        assert_eq!(bytes, [0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
        assert_eq!(Hello::decode(&bytes), Ok(Some(hello)));
        assert_eq!(Hello::decode(bytes.split_at(15).0), Ok(None));
        assert_eq!(decode_report(&report(9)), Ok(Some(9)));
        let header = Header {
            at: 5,
            size: 7,
            epoch: Epoch {
                number: 2,
                start: 1,
            },
            committed: 4,
        };
        assert_eq!(header.encode().len(), 36);
        assert_eq!(Header::decode(&header.encode()), Ok(Some(header)));
    }

    #[test]
    fn a_welcome_brings_the_history() {
        let epochs = [(1, 0), (4, 900)].map(|(number, start)| Epoch { number, start });
        let welcome = Welcome {
            end: 1000,
            epoch: 4,
            epochs: epochs.to_vec(),
        };
        let bytes = welcome.encode();
        assert_eq!(bytes.len(), 20 + 24);
        assert_eq!(Welcome::decode(&bytes), Ok(Some((welcome, 44))));
        assert_eq!(Welcome::decode(bytes.split_at(43).0), Ok(None));
        assert_eq!(Welcome::decode(&report(1)), Err(HaError::OutOfTurn(2)));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Hello::decode(&bytes);
            let _ = Welcome::decode(&bytes);
            let _ = Header::decode(&bytes);
            let _ = decode_report(&bytes);
        }
    }
}
