//! The protocol of Apache's `DefaultHAService`.
//!
//! The slave sends bare positions, 8 bytes each: first where it wants to go on, then how far it has got. The master
//! sends frames: the position of the first byte, the count of bytes, the bytes. A count of 0 only says that it lives.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{HaError, body_size, i32_at, i64_at, position, to_wire};

/// Bytes of a slave's report.
pub const REPORT_BYTES: usize = 8;
/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 12;

/// What a frame of the master holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Where in the log the body begins.
    pub at: u64,
    /// Bytes of the body that follows; 0 for a sign of life.
    pub size: usize,
}

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let (at, size) = bytes.split_at_mut(8);
        at.copy_from_slice(&to_wire(self.at).to_be_bytes());
        size.copy_from_slice(&i32::try_from(self.size).unwrap_or(i32::MAX).to_be_bytes());
        bytes
    }

    /// Reads the header at the front; `None` if it is not all there yet.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, HaError> {
        let (Some(at), Some(size)) = (i64_at(bytes, 0), i32_at(bytes, 8)) else {
            return Ok(None);
        };
        Ok(Some(Self {
            at: position(at)?,
            size: body_size(size)?,
        }))
    }
}

/// A report's bytes.
pub fn report(at: u64) -> [u8; REPORT_BYTES] {
    to_wire(at).to_be_bytes()
}

/// Reads the report at the front; `None` if it is not all there yet.
pub fn decode_report(bytes: &[u8]) -> Result<Option<u64>, HaError> {
    i64_at(bytes, 0).map(position).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_apaches() {
        let header = Header {
            at: 0x0102,
            size: 32_768,
        };
        let bytes = header.encode();
        assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0x80, 0]);
        assert_eq!(Header::decode(&bytes), Ok(Some(header)));
        assert_eq!(Header::decode(bytes.split_at(11).0), Ok(None));
        assert_eq!(decode_report(&report(77)), Ok(Some(77)));
    }

    #[test]
    fn strangers_are_told_apart() {
        let claim = [0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff];
        assert!(matches!(
            Header::decode(&claim),
            Err(HaError::BodySize { .. })
        ));
        assert_eq!(decode_report(&[0xff; 8]), Err(HaError::Position(-1)));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = decode_report(&bytes);
            if let Ok(Some(header)) = Header::decode(&bytes) {
                proptest::prop_assert_eq!(Some(&header.encode()), bytes.first_chunk());
            }
        }
    }
}
