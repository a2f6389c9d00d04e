//! The protocols of the HA port, on which a slave follows its master's commit log: pure encoding and decoding.
//!
//! Two of them, and nothing on the wire tells which one a peer speaks; both brokers' configurations do.
//!
//! * [`classic`] (`DefaultHAService`): the slave reports positions, the master sends stretches of the log.
//! * [`switch`] (`AutoSwitchHAService`): the same with a handshake before it, in which both compare their histories,
//!   and with the committed position in every frame.
//!
//! Absent on purpose: sockets, and what a position means.

pub mod classic;
pub mod switch;

/// The longest body of a frame that is taken; Apache's slave takes less than 4 MiB (`READ_MAX_BUFFER_SIZE`).
pub const BODY_MAX: usize = 4 << 20;

/// Why bytes on an HA connection are not the protocol's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HaError {
    /// A body is longer than any that is sent, or negative.
    #[error("a frame with {size} bytes is no frame of the HA protocol")]
    BodySize {
        /// What the frame claims.
        size: i32,
    },
    /// A position is negative.
    #[error("{0} is no position in a log")]
    Position(i64),
    /// A state nobody sends.
    #[error("{0} is no state of an HA connection")]
    State(i32),
    /// A frame that does not belong where it came.
    #[error("the peer is in state {0} when it should not be")]
    OutOfTurn(i32),
}

/// A big-endian integer at a place; `None` if the bytes end before.
macro_rules! integer_at {
    ($name:ident, $kind:ty) => {
        fn $name(bytes: &[u8], at: usize) -> Option<$kind> {
            let bytes = bytes.get(at..)?.first_chunk()?;
            Some(<$kind>::from_be_bytes(*bytes))
        }
    };
}
integer_at!(i64_at, i64);
integer_at!(i32_at, i32);
integer_at!(i16_at, i16);

fn position(value: i64) -> Result<u64, HaError> {
    u64::try_from(value).map_err(|_| HaError::Position(value))
}

fn body_size(size: i32) -> Result<usize, HaError> {
    usize::try_from(size)
        .ok()
        .filter(|size| *size <= BODY_MAX)
        .ok_or(HaError::BodySize { size })
}

fn to_wire(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
