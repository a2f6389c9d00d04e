//! Room for a header that is being written: a slice, so that each piece is a copy and nothing more.
//!
//! What does not fit is counted and not written; the writer is then run again with as much room as it needs.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// Bytes that are written one after the other into a slice.
#[derive(Debug)]
pub(super) struct Room<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Room<'a> {
    pub(super) fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Writes a piece.
    #[inline]
    pub(super) fn put(&mut self, piece: &[u8]) {
        let end = self.at.saturating_add(piece.len());
        if let Some(place) = self.bytes.get_mut(self.at..end) {
            place.copy_from_slice(piece);
        }
        self.at = end;
    }

    /// How many bytes were written, or would have been.
    pub(super) fn used(&self) -> usize {
        self.at
    }

    /// Writes, at `at`, the number of bytes behind the word there.
    pub(super) fn patch_length(&mut self, at: usize) {
        let after = at.saturating_add(4);
        let length = u32::try_from(self.at.saturating_sub(after)).unwrap_or(u32::MAX);
        if let Some(word) = self.bytes.get_mut(at..after) {
            word.copy_from_slice(&length.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut bytes = [0; 8];
        let mut room = Room::new(&mut bytes);
        room.put(&[0; 4]);
        room.put(b"abc");
        room.patch_length(0);
        assert_eq!(room.used(), 7);
        room.put(b"de");
        room.put(b"");
        room.patch_length(7);
        assert_eq!(room.used(), 9);
        assert_eq!(&bytes, b"\0\0\0\x03abc\0");
    }
}
