//! The body of a batch send: several messages for one queue in one request (`MessageDecoder.encodeMessages`).
//!
//! Entries: 4 total size, 4 magic, 4 CRC (both unused), 4 flag, 4 + n body, 2 + n properties. Inner batches are
//! stored in the same form.

use super::cursor::Cursor;
use super::properties::Properties;

const FIXED_BYTES: usize = 4 + 4 + 4 + 4 + 4 + 2;

/// One message of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchEntry<'a> {
    /// Free for the application.
    pub flag: i32,
    /// The body; may be empty.
    pub body: &'a [u8],
    /// The properties the producer set for this message.
    pub properties: Properties<'a>,
}

/// Why a batch body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("batch entry {number} at byte {at} of the body does not add up")]
pub struct BatchError {
    /// Which entry, counted from 0.
    pub number: usize,
    /// Where it begins.
    pub at: usize,
}

/// The entries of a batch body, in order; ends after the first error.
pub fn decode(body: &[u8]) -> impl Iterator<Item = Result<BatchEntry<'_>, BatchError>> {
    let mut rest = Cursor::new(body);
    let mut number = 0_usize;
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed || rest.remaining() == 0 {
            return None;
        }
        let at = body.len().saturating_sub(rest.remaining());
        let entry = next_entry(&mut rest).ok_or(BatchError { number, at });
        failed = entry.is_err();
        number = number.saturating_add(1);
        Some(entry)
    })
}

fn next_entry<'a>(rest: &mut Cursor<'a>) -> Option<BatchEntry<'a>> {
    let size = rest.u32()? as usize;
    let mut entry = Cursor::new(rest.take(size.checked_sub(4)?)?);
    entry.take(8)?;
    let flag = entry.i32()?;
    let body_size = entry.u32()? as usize;
    let body = entry.take(body_size)?;
    let properties_size = usize::try_from(entry.i16()?).ok()?;
    let properties = Properties::new(entry.take(properties_size)?);
    (entry.remaining() == 0).then_some(BatchEntry {
        flag,
        body,
        properties,
    })
}

/// Appends one message to a batch body. `false`, and nothing written, if a part is too large for the format.
pub fn encode_entry(out: &mut Vec<u8>, flag: i32, body: &[u8], properties: &[u8]) -> bool {
    let Ok(properties_size) = i16::try_from(properties.len()) else {
        return false;
    };
    let total = FIXED_BYTES
        .saturating_add(body.len())
        .saturating_add(properties.len());
    let (Ok(total), Ok(body_size)) = (i32::try_from(total), i32::try_from(body.len())) else {
        return false;
    };
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&flag.to_be_bytes());
    out.extend_from_slice(&body_size.to_be_bytes());
    out.extend_from_slice(body);
    out.extend_from_slice(&properties_size.to_be_bytes());
    out.extend_from_slice(properties);
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn round_trips() {
        let mut body = Vec::new();
        assert!(encode_entry(&mut body, 7, b"one", b"TAGS\x01a\x02"));
        assert!(encode_entry(&mut body, 0, b"", b""));
        let entries: Vec<_> = decode(&body).collect::<Result<_, _>>().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(
            (
                entries[0].flag,
                entries[0].body,
                entries[0].properties.get("TAGS")
            ),
            (7, &b"one"[..], Some("a"))
        );
        assert_eq!(entries[1].body, b"");
    }

    #[test]
    fn a_cut_batch_names_the_place() {
        let mut body = Vec::new();
        encode_entry(&mut body, 0, b"one", b"");
        let first = body.len();
        encode_entry(&mut body, 0, b"two", b"");
        body.pop();
        let last = decode(&body).last().unwrap();
        assert_eq!(
            last,
            Err(BatchError {
                number: 1,
                at: first
            })
        );
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode(&bytes).count() <= bytes.len() + 1);
        }
    }
}
