//! The ROCKETMQ binary form of a header.
//!
//! `code i16, language i8, version i16, opaque i32, flag i32, remark (i32 length), ext fields (i32 length in
//! all; each i16 length + key, i32 length + value)`. A length of 0 stands for both null and empty text.
//!
//! The code has only 16 bits here, so the codes from 200050 up cannot be told in this form; Java clients
//! send those as JSON, and so does [`super::Command::encode`].

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::borrow::Cow;

use super::room::Room;

use super::{Envelope, Head, Serialization, text};
use crate::protocol::codes::LanguageCode;

/// Why a binary header is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BinaryError {
    /// The header ends in the middle of this part.
    #[error("cut short in the {0}")]
    Short(&'static str),
    /// The length of this part is negative.
    #[error("negative length of the {0}")]
    Negative(&'static str),
}

/// Parses the binary header `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Result<Head<'_>, BinaryError> {
    let mut reader = Reader { rest: bytes };
    let mut head = Head::empty(Serialization::Rocketmq);
    head.code = reader.i16("code")?.into();
    let [language] = reader.array("language")?;
    head.language = LanguageCode::from_code(language);
    head.version = reader.i16("version")?.into();
    head.opaque = reader.i32("opaque")?;
    head.flag = reader.i32("flag")?;
    let remark = reader.long_text("remark")?;
    head.remark = (!remark.is_empty()).then(|| text(remark));
    let mut fields = Reader {
        rest: reader.long_text("ext fields")?,
    };
    while !fields.rest.is_empty() {
        let length = fields.i16("key length")?;
        let key = fields.take(length.into(), "key")?;
        let value = fields.long_text("value")?;
        head.fields.push(text(key), text(value));
    }
    Ok(head)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], BinaryError> {
        let split = self.rest.split_first_chunk::<N>();
        let (bytes, rest) = split.ok_or(BinaryError::Short(part))?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn i16(&mut self, part: &'static str) -> Result<i16, BinaryError> {
        self.array(part).map(i16::from_be_bytes)
    }

    fn i32(&mut self, part: &'static str) -> Result<i32, BinaryError> {
        self.array(part).map(i32::from_be_bytes)
    }

    fn take(&mut self, length: i32, part: &'static str) -> Result<&'a [u8], BinaryError> {
        let length = usize::try_from(length).map_err(|_| BinaryError::Negative(part))?;
        let split = self.rest.split_at_checked(length);
        let (bytes, rest) = split.ok_or(BinaryError::Short(part))?;
        self.rest = rest;
        Ok(bytes)
    }

    fn long_text(&mut self, part: &'static str) -> Result<&'a [u8], BinaryError> {
        let length = self.i32(part)?;
        self.take(length, part)
    }
}

/// Appends the header. The caller has made sure that the code fits.
pub(super) fn write(
    envelope: &Envelope<'_>,
    write_fields: impl FnOnce(&mut dyn FnMut(&str, &str)),
    out: &mut Room<'_>,
) {
    put_low_16(envelope.code, out);
    out.put(&[envelope.language.code()]);
    put_low_16(envelope.version, out);
    out.put(&envelope.opaque.to_be_bytes());
    out.put(&envelope.flag.to_be_bytes());
    put_long_text(envelope.remark.unwrap_or_default(), out);
    let length_at = out.used();
    out.put(&[0; 4]);
    write_fields(&mut |key, value| {
        let key = short_key(key);
        let length = u16::try_from(key.len()).unwrap_or_default();
        out.put(&length.to_be_bytes());
        out.put(key.as_bytes());
        put_long_text(value, out);
    });
    out.patch_length(length_at);
}

/// Keys come from our own tables; a longer one could only come from a peer's frame being sent on.
fn short_key(key: &str) -> Cow<'_, str> {
    let limit = usize::from(i16::MAX.unsigned_abs());
    if key.len() <= limit {
        return Cow::Borrowed(key);
    }
    let end = key.floor_char_boundary(limit);
    Cow::Borrowed(key.get(..end).unwrap_or_default())
}

fn put_low_16(value: i32, out: &mut Room<'_>) {
    let [_, _, high, low] = value.to_be_bytes();
    out.put(&[high, low]);
}

fn put_long_text(text: &str, out: &mut Room<'_>) {
    let length = u32::try_from(text.len()).unwrap_or_default();
    out.put(&length.to_be_bytes());
    out.put(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::command::FLAG_ONEWAY;

    const HEADER: &[u8] = b"\x01\x36\x09\x01\x3d\0\0\0\x07\0\0\0\x02\0\0\0\x01r\
        \0\0\0\x0e\0\x01a\0\0\0\x01x\0\0\0\0\0\0";

    #[test]
    fn reads_a_header() {
        let head = parse(HEADER).unwrap();
        assert_eq!((head.code, head.version, head.opaque), (310, 317, 7));
        assert_eq!((head.language, head.flag), (LanguageCode::GO, FLAG_ONEWAY));
        assert_eq!(head.remark.as_deref(), Some("r"));
        assert!(head.fields.iter().eq([("a", "x"), ("", "")]));
    }

    #[test]
    fn refuses_damaged_lengths() {
        for cut in 0..HEADER.len() {
            assert!(parse(HEADER.get(..cut).unwrap()).is_err(), "{cut}");
        }
        for (at, part) in [
            (13, "remark"),
            (18, "ext fields"),
            (22, "key"),
            (25, "value"),
        ] {
            let mut header = HEADER.to_vec();
            *header.get_mut(at).unwrap() = 0xff;
            assert_eq!(parse(&header), Err(BinaryError::Negative(part)));
            *header.get_mut(at).unwrap() = 0x7f;
            assert_eq!(parse(&header), Err(BinaryError::Short(part)));
        }
    }
}
