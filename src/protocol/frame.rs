//! Cuts frames out of a socket buffer.
//!
//! A frame is `4 length of the rest | 1 serialization, 3 header length | header | body`, all big-endian.
//! Lengths come from strangers: nothing is allocated for a length before the bytes have arrived, and a
//! length past the limit is an error at once, so that four bytes cannot make a connection wait for ever.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::{Buf, Bytes, BytesMut};

use super::command::{Head, Serialization, binary, json};

/// Apache's `com.rocketmq.remoting.frameMaxLength`: the longest frame, its length word included.
pub const FRAME_MAX_DEFAULT: usize = 16 * 1024 * 1024;

const LENGTH_WORD: usize = 4;
const HEADER_LENGTH_MASK: u32 = 0x00ff_ffff;

/// Why bytes are not a frame. Each of these ends the connection: there is no way to find the next frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length word is negative or past the limit.
    #[error("frame length {length} is outside 4 to {max}")]
    Length {
        /// The length word as a signed number, as Java reads it.
        length: i32,
        /// The limit in force, length word included.
        max: usize,
    },
    /// The header does not fit into the frame.
    #[error("bad header length {header} in a frame of {frame} bytes")]
    HeaderLength {
        /// The header length the frame claims.
        header: usize,
        /// Bytes in the frame, without its length word.
        frame: usize,
    },
    /// The serialization byte is neither 0 (JSON) nor 1 (ROCKETMQ).
    #[error("unknown header serialization {0}")]
    Serialization(u8),
    /// The header is not the JSON object it claims to be.
    #[error("bad JSON header: {0}")]
    Json(#[from] json::JsonError),
    /// A length inside the binary header points past its end.
    #[error("bad binary header: {0}")]
    Binary(#[from] binary::BinaryError),
}

/// One frame without its length word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Header length word, header and body.
    pub bytes: Bytes,
}

impl Frame {
    /// Takes the next whole frame from the front of `buffer`; `None` means more bytes are needed.
    ///
    /// `max` limits the frame with its length word, as Apache counts.
    pub fn take(buffer: &mut BytesMut, max: usize) -> Result<Option<Self>, FrameError> {
        let Some(word) = buffer.first_chunk::<LENGTH_WORD>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*word);
        let refused = FrameError::Length { length, max };
        let size = usize::try_from(length).map_err(|_| refused.clone())?;
        let whole = size.saturating_add(LENGTH_WORD);
        if size < LENGTH_WORD || whole > max {
            return Err(refused);
        }
        if buffer.len() < whole {
            // One allocation for a large frame instead of many doublings. The peer has to send what it
            // announced, and the limit bounds it.
            buffer.reserve(whole.saturating_sub(buffer.len()).min(RESERVE_MAX));
            return Ok(None);
        }
        let mut frame = buffer.split_to(whole);
        frame.advance(LENGTH_WORD);
        Ok(Some(Self {
            bytes: frame.freeze(),
        }))
    }

    /// Parses the header, borrowed, and slices off the body, shared.
    pub fn parse(&self) -> Result<(Head<'_>, Bytes), FrameError> {
        let (serialization, header, body_at) = self.split()?;
        let head = match serialization {
            Serialization::Json => json::parse(header)?,
            Serialization::Rocketmq => binary::parse(header)?,
        };
        Ok((head, self.bytes.slice(body_at..)))
    }

    fn split(&self) -> Result<(Serialization, &[u8], usize), FrameError> {
        let frame = self.bytes.len();
        let Some((word, rest)) = self.bytes.split_first_chunk::<LENGTH_WORD>() else {
            return Err(FrameError::HeaderLength { header: 0, frame });
        };
        let word = u32::from_be_bytes(*word);
        let [kind, ..] = word.to_be_bytes();
        let serialization =
            Serialization::from_code(kind).ok_or(FrameError::Serialization(kind))?;
        let header = usize::try_from(word & HEADER_LENGTH_MASK).unwrap_or(usize::MAX);
        let Some(bytes) = rest.get(..header) else {
            return Err(FrameError::HeaderLength { header, frame });
        };
        Ok((serialization, bytes, header.saturating_add(LENGTH_WORD)))
    }
}

/// A stranger's length word alone reserves at most this much; real bytes must arrive for more.
const RESERVE_MAX: usize = 256 * 1024;

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "tests may panic")]
mod tests {
    use super::*;

    fn buffer(parts: &[&[u8]]) -> BytesMut {
        BytesMut::from(parts.concat().as_slice())
    }

    #[test]
    fn waits_for_whole_frames_and_leaves_the_rest() {
        let frame: &[u8] = b"\0\0\0\x0a\0\0\0\x02{}body";
        let mut incoming = BytesMut::new();
        for byte in &frame[..frame.len() - 1] {
            incoming.extend_from_slice(&[*byte]);
            assert_eq!(Frame::take(&mut incoming, 64), Ok(None));
        }
        incoming.extend_from_slice(b"y\0\0");
        let taken = Frame::take(&mut incoming, 64).unwrap().unwrap();
        assert_eq!(&taken.bytes[..], &frame[4..]);
        assert_eq!(&incoming[..], b"\0\0");
        let (head, body) = taken.parse().unwrap();
        assert_eq!(head.code, 0);
        assert_eq!(&body[..], b"body");
    }

    #[test]
    fn refuses_bad_lengths() {
        for word in [-1, i32::MIN, 0, 3, 61, i32::MAX] {
            let mut bytes = buffer(&[&word.to_be_bytes(), b"xxxxxxxx"]);
            assert_eq!(
                Frame::take(&mut bytes, 64),
                Err(FrameError::Length {
                    length: word,
                    max: 64
                }),
            );
        }
        let mut http = buffer(&[b"GET / HTTP/1.1\r\n\r\n"]);
        assert!(Frame::take(&mut http, FRAME_MAX_DEFAULT).is_err());
        let mut limit = buffer(&[&60i32.to_be_bytes()]);
        assert_eq!(Frame::take(&mut limit, 64), Ok(None));
    }

    #[test]
    fn refuses_bad_header_words() {
        let parse = |bytes: &'static [u8]| {
            Frame {
                bytes: Bytes::from_static(bytes),
            }
            .parse()
            .map(|_| ())
        };
        assert_eq!(
            parse(b"\0\0\0\x03{}"),
            Err(FrameError::HeaderLength {
                header: 3,
                frame: 6
            })
        );
        assert_eq!(parse(b"\x02\0\0\x02{}"), Err(FrameError::Serialization(2)));
        assert!(matches!(parse(b"\0\0\0\0"), Err(FrameError::Json(_))));
        assert!(matches!(parse(b"\x01\0\0\0"), Err(FrameError::Binary(_))));
        assert!(parse(b"\0").is_err());
    }
}
