//! The JSON form of a header: a single-pass reader that borrows, and a writer in Apache's key order.
//!
//! Lenient as fastjson is where clients in the field rely on it: unknown keys are skipped, numbers may
//! come quoted and ext values unquoted, text that is not UTF-8 is read with replacement characters.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::borrow::Cow;

use super::fields::{Spill, Text};
use super::room::Room;
use super::{Envelope, Fields, Head, Serialization};
use crate::protocol::codes::LanguageCode;
use crate::protocol::header::Decimal;

/// Why a JSON header is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text ends in the middle of a value.
    #[error("unexpected end")]
    End,
    /// This byte cannot stand here.
    #[error("unexpected byte 0x{0:02x}")]
    Unexpected(u8),
    /// A backslash sequence JSON does not know.
    #[error("bad escape")]
    Escape,
    /// The value of this key is not a 32-bit number.
    #[error("{0} is not a 32-bit number")]
    Number(&'static str),
    /// Values are nested deeper than any header needs.
    #[error("nested too deep")]
    Depth,
}

/// Headers are flat but for `extFields`; deeper values are only skipped.
const DEPTH_MAX: usize = 16;

/// Parses the JSON header `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Result<Head<'_>, JsonError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse_text(text),
        Err(_) => parse_replaced(bytes),
    }
}

/// The rare case, kept away from the other: a copy with replacement characters, and an owned head.
#[cold]
fn parse_replaced<'a>(bytes: &[u8]) -> Result<Head<'a>, JsonError> {
    let text = String::from_utf8_lossy(bytes);
    let head = parse_text(&text)?;
    Ok(Head {
        code: head.code,
        language: head.language,
        version: head.version,
        opaque: head.opaque,
        flag: head.flag,
        remark: head.remark.map(|remark| Cow::Owned(remark.into_owned())),
        fields: head.fields.into_owned(),
        serialization: head.serialization,
    })
}

fn parse_text(text: &str) -> Result<Head<'_>, JsonError> {
    let mut scanner = Scanner {
        text,
        at: 0,
        spill: Spill::default(),
    };
    let mut head = Head::empty(Serialization::Json);
    scanner.object(|scanner, key| {
        match scanner.owned(key).as_ref() {
            "code" => head.code = scanner.number("code")?,
            "language" => head.language = scanner.language()?,
            "version" => head.version = scanner.number("version")?,
            "opaque" => head.opaque = scanner.number("opaque")?,
            "flag" => head.flag = scanner.number("flag")?,
            "remark" => {
                let text = scanner.text()?;
                head.remark = text.map(|text| scanner.owned(text));
            }
            "extFields" => scanner.fields(&mut head.fields)?,
            _ => {
                scanner.raw(0)?;
            }
        }
        Ok(())
    })?;
    scanner.skip_blank();
    if let Some(byte) = scanner.peek() {
        return Err(JsonError::Unexpected(byte));
    }
    head.fields.set_spill(scanner.spill);
    Ok(head)
}

struct Scanner<'a> {
    text: &'a str,
    /// How far the text is read.
    at: usize,
    /// Where strings with escapes go.
    spill: Spill,
}

impl<'a> Scanner<'a> {
    fn skip_blank(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.skip(1);
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes over `count` bytes, which must be ASCII.
    fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    fn next(&mut self) -> Result<u8, JsonError> {
        let byte = self.peek().ok_or(JsonError::End)?;
        if !byte.is_ascii() {
            return Err(JsonError::Unexpected(byte));
        }
        self.skip(1);
        Ok(byte)
    }

    fn expect(&mut self, wanted: u8) -> Result<(), JsonError> {
        self.skip_blank();
        match self.next()? {
            byte if byte == wanted => Ok(()),
            byte => Err(JsonError::Unexpected(byte)),
        }
    }

    /// The text, independent of the scanner.
    fn owned(&self, text: Text<'a>) -> Cow<'a, str> {
        match text {
            Text::Borrowed(text) => Cow::Borrowed(text),
            Text::Spilled { .. } => Cow::Owned(self.spill.get(text).to_owned()),
        }
    }

    /// Reads `{"key":value,…}` and hands each key to `member`, which must consume the value.
    fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Text<'a>) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.expect(b'{')?;
        self.skip_blank();
        if self.peek() == Some(b'}') {
            self.skip(1);
            return Ok(());
        }
        loop {
            self.expect(b'"')?;
            let key = self.string()?;
            self.expect(b':')?;
            self.skip_blank();
            member(self, key)?;
            self.skip_blank();
            match self.next()? {
                b',' => {}
                b'}' => return Ok(()),
                byte => return Err(JsonError::Unexpected(byte)),
            }
        }
    }

    /// Reads the rest of a string, its opening quote being consumed.
    fn string(&mut self) -> Result<Text<'a>, JsonError> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let length = special_at(rest).ok_or(JsonError::End)?;
        let end = self.at.saturating_add(length);
        let plain = self.text.get(self.at..end).ok_or(JsonError::End)?;
        self.at = end.saturating_add(1);
        if rest.get(length) == Some(&b'"') {
            return Ok(Text::Borrowed(plain));
        }
        self.escaped_string(plain)
    }

    /// Goes on behind the first backslash of a string, piece by piece into the spill buffer.
    fn escaped_string(&mut self, plain: &str) -> Result<Text<'a>, JsonError> {
        let mut rest = self.text.get(self.at..).unwrap_or_default();
        let text = self.spill.add(|text| {
            // A header with escapes is mostly one with message properties.
            text.reserve(plain.len().saturating_add(256));
            text.push_str(plain);
            loop {
                escape(&mut rest, text)?;
                text.push_str(plain_part(&mut rest)?);
                let closing = rest.starts_with('"');
                rest = rest.get(1..).ok_or(JsonError::End)?;
                if closing {
                    return Ok(());
                }
            }
        })?;
        self.at = self.text.len().saturating_sub(rest.len());
        Ok(text)
    }

    /// A string as text, any other value as its source text, `null` as nothing.
    fn text(&mut self) -> Result<Option<Text<'a>>, JsonError> {
        if self.peek() == Some(b'"') {
            self.skip(1);
            return self.string().map(Some);
        }
        let raw = self.raw(0)?;
        Ok((raw != "null").then_some(Text::Borrowed(raw)))
    }

    fn number(&mut self, name: &'static str) -> Result<i32, JsonError> {
        match self.text()? {
            Some(text) => {
                let digits = self.spill.get(text);
                let number = digits.parse().or_else(|_| digits.trim().parse());
                number.map_err(|_| JsonError::Number(name))
            }
            None => Ok(0),
        }
    }

    fn language(&mut self) -> Result<LanguageCode, JsonError> {
        let text = self.text()?;
        let name = text.map(|text| self.spill.get(text));
        Ok(name.map_or(LanguageCode::OTHER, LanguageCode::from_name))
    }

    fn fields(&mut self, fields: &mut Fields<'a>) -> Result<(), JsonError> {
        if self.peek() == Some(b'{') {
            return self.object(|scanner, key| {
                if let Some(value) = scanner.text()? {
                    fields.push_text(key, value);
                }
                Ok(())
            });
        }
        let first = self.peek().unwrap_or_default();
        match self.raw(0)? {
            "null" => Ok(()),
            _ => Err(JsonError::Unexpected(first)),
        }
    }

    /// Skips one value of any kind and returns its source text.
    fn raw(&mut self, depth: usize) -> Result<&'a str, JsonError> {
        if depth > DEPTH_MAX {
            return Err(JsonError::Depth);
        }
        let start = self.at;
        let deeper = depth.saturating_add(1);
        match self.peek().ok_or(JsonError::End)? {
            b'"' => {
                self.skip(1);
                self.string()?;
            }
            b'{' => self.object(|scanner, _| scanner.raw(deeper).map(|_| ()))?,
            b'[' => self.array(deeper)?,
            first => {
                let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
                let bytes = self.text.as_bytes().iter().skip(self.at);
                let length = bytes.take_while(|byte| inside(**byte)).count();
                if length == 0 {
                    return Err(JsonError::Unexpected(first));
                }
                self.skip(length);
            }
        }
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        self.expect(b'[')?;
        self.skip_blank();
        if self.peek() == Some(b']') {
            self.skip(1);
            return Ok(());
        }
        loop {
            self.skip_blank();
            self.raw(depth)?;
            self.skip_blank();
            match self.next()? {
                b',' => {}
                b']' => return Ok(()),
                byte => return Err(JsonError::Unexpected(byte)),
            }
        }
    }
}

/// Takes the text up to the next quote or backslash, which is left in place.
fn plain_part<'a>(rest: &mut &'a str) -> Result<&'a str, JsonError> {
    let length = special_at(rest.as_bytes()).ok_or(JsonError::End)?;
    let (plain, after) = rest.split_at_checked(length).ok_or(JsonError::End)?;
    *rest = after;
    Ok(plain)
}

/// The position of the first quote or backslash, looking at eight bytes at a time.
fn special_at(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    const QUOTES: u64 = 0x2222_2222_2222_2222;
    const BACKSLASHES: u64 = 0x5c5c_5c5c_5c5c_5c5c;
    // The lowest bit this leaves marks the lowest zero byte; bits above it may be false.
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word & TOPS;
    let (chunks, tail) = bytes.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let found = zero_bytes(word ^ QUOTES) | zero_bytes(word ^ BACKSLASHES);
        if found != 0 {
            let inside = usize::try_from(found.trailing_zeros() >> 3).ok()?;
            return Some(index.saturating_mul(8).saturating_add(inside));
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\');
    let inside = tail.iter().position(special)?;
    Some(chunks.len().saturating_mul(8).saturating_add(inside))
}

/// Reads one escape, its backslash being consumed.
fn escape(rest: &mut &str, text: &mut String) -> Result<(), JsonError> {
    let byte = *rest.as_bytes().first().ok_or(JsonError::End)?;
    let plain = match byte {
        b'u' => {
            *rest = rest.get(1..).unwrap_or_default();
            return unicode_escape(rest, text);
        }
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'"' | b'\\' | b'/' | b'\'' => char::from(byte),
        _ => return Err(JsonError::Escape),
    };
    text.push(plain);
    *rest = rest.get(1..).unwrap_or_default();
    Ok(())
}

fn unicode_escape(rest: &mut &str, text: &mut String) -> Result<(), JsonError> {
    if let [b'0', b'0', b'0', digit @ b'0'..=b'9', ..] = rest.as_bytes() {
        // The separators of message properties: the escapes that really come.
        text.push(char::from(digit.wrapping_sub(b'0')));
        *rest = rest.get(4..).unwrap_or_default();
        return Ok(());
    }
    let first = hex4(rest)?;
    let mut units = [first, 0];
    let mut used = 1;
    if (0xd800..0xdc00).contains(&first)
        && let Some(mut ahead) = rest.strip_prefix("\\u")
    {
        let second = hex4(&mut ahead)?;
        if (0xdc00..0xe000).contains(&second) {
            units = [first, second];
            used = 2;
            *rest = ahead;
        }
    }
    let chars = char::decode_utf16(units.into_iter().take(used));
    text.extend(chars.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
    Ok(())
}

fn hex4(rest: &mut &str) -> Result<u16, JsonError> {
    let (digits, after) = rest.split_at_checked(4).ok_or(JsonError::End)?;
    *rest = after;
    let mut value = 0u16;
    for byte in digits.bytes() {
        let digit = match byte {
            b'0'..=b'9' => byte.wrapping_sub(b'0'),
            b'a'..=b'f' => byte.wrapping_sub(b'a' - 10),
            b'A'..=b'F' => byte.wrapping_sub(b'A' - 10),
            _ => return Err(JsonError::Escape),
        };
        value = (value << 4) | u16::from(digit);
    }
    Ok(value)
}

/// Writes the header in the key order of Apache's serializer (alphabetical).
pub(super) fn write(
    envelope: &Envelope<'_>,
    write_fields: impl FnOnce(&mut dyn FnMut(&str, &str)),
    out: &mut Room<'_>,
) {
    out.put(b"{\"code\":");
    put_number(envelope.code, out);
    let mut any = false;
    write_fields(&mut |key, value| {
        out.put(if any { b"," } else { b",\"extFields\":{" });
        put_string(key, out);
        out.put(b":");
        put_string(value, out);
        any = true;
    });
    if any {
        out.put(b"}");
    }
    out.put(b",\"flag\":");
    put_number(envelope.flag, out);
    out.put(b",\"language\":\"");
    out.put(envelope.language.name().as_bytes());
    out.put(b"\",\"opaque\":");
    put_number(envelope.opaque, out);
    if let Some(remark) = envelope.remark {
        out.put(b",\"remark\":");
        put_string(remark, out);
    }
    out.put(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    put_number(envelope.version, out);
    out.put(b"}");
}

fn put_number(value: i32, out: &mut Room<'_>) {
    if let Ok(digit @ 0..=9) = u8::try_from(value) {
        return out.put(&[b'0'.wrapping_add(digit)]);
    }
    out.put(Decimal::new(value.into()).as_str().as_bytes());
}

fn needs_escape(byte: u8) -> bool {
    matches!(byte, 0..0x20 | b'"' | b'\\')
}

/// Writes a JSON string as fastjson does: raw UTF-8, short escapes where JSON has them, else `\u00xx`.
fn put_string(text: &str, out: &mut Room<'_>) {
    out.put(b"\"");
    // All of it is looked at, whatever is found: that way it goes many bytes at a time.
    let plain = !text
        .bytes()
        .fold(false, |any, byte| any | needs_escape(byte));
    if plain {
        out.put(text.as_bytes());
    } else {
        put_escaped(text.as_bytes(), out);
    }
    out.put(b"\"");
}

fn put_escaped(mut rest: &[u8], out: &mut Room<'_>) {
    while let Some((plain, tail)) = rest
        .iter()
        .position(|byte| needs_escape(*byte))
        .and_then(|length| rest.split_at_checked(length))
    {
        out.put(plain);
        let Some((byte, after)) = tail.split_first() else {
            break;
        };
        put_escape(*byte, out);
        rest = after;
    }
    out.put(rest);
}

fn put_escape(byte: u8, out: &mut Room<'_>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        _ => {
            let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
            out.put(b"\\u00");
            for nibble in [byte >> 4, byte & 0xf] {
                out.put(digit(nibble).encode_utf8(&mut [0; 4]).as_bytes());
            }
            return;
        }
    };
    out.put(&[b'\\', short]);
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "tests may panic")]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<(String, String)> {
        let head = parse(text.as_bytes()).unwrap();
        let fields = head.fields.iter();
        fields
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn reads_what_clients_send() {
        let text = br#" {"code":310, "extFields" : {"a":"x", "d":4,"k":true,"n":null,"e":-1.5e3,
            "o":{"p":["q",1]}},"flag":"2","language":"GO","new":[{"a":[]},{}],"opaque":7,
            "remark":null,"serializeTypeCurrentRPC":"JSON","version":317}
"#;
        let head = parse(text).unwrap();
        assert_eq!((head.code, head.opaque, head.version), (310, 7, 317));
        assert!(head.is_oneway() && !head.is_response());
        assert_eq!(head.language, LanguageCode::GO);
        assert_eq!(head.remark, None);
        let fields: Vec<_> = head.fields.iter().collect();
        let expected = [("a", "x"), ("d", "4"), ("k", "true"), ("e", "-1.5e3")];
        assert_eq!(fields[..4], expected);
        assert_eq!(fields[4], ("o", r#"{"p":["q",1]}"#));
        assert_eq!(head.fields.get("n"), None);
        assert_eq!(parse(b"{}").unwrap().code, 0);
        let head = parse(br#"{"language":"KLINGON","extFields":null}"#).unwrap();
        assert_eq!(head.language, LanguageCode::OTHER);
    }

    #[test]
    fn unescapes() {
        let text =
            r#"{"extFields":{"k\u0001\"":"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud800\ud800\u0041"}}"#;
        let expected = "\\/\u{8}\u{c}\n\r\t\u{e9}\u{1f600}\u{fffd}\u{fffd}A";
        assert_eq!(fields(text), [("k\u{1}\"".to_owned(), expected.to_owned())]);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        let head = parse(b"{\"remark\":\"a\xffb\"}").unwrap();
        assert_eq!(head.remark.as_deref(), Some("a\u{fffd}b"));
    }

    #[test]
    fn special_bytes_are_found_anywhere() {
        for at in 0..40 {
            for special in [b'"', b'\\'] {
                // 0x21 and 0x23, 0x5b and 0x5d, 0xa2 and 0xdc look alike to word arithmetic.
                let mut bytes: Vec<u8> = [0x21, 0x23, 0x5b, 0x5d, 0xa2, 0xdc, 0, 0xff].repeat(5);
                bytes[at] = special;
                assert_eq!(special_at(&bytes), Some(at));
                assert_eq!(special_at(&bytes[..at]), None);
            }
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        let head = parse(br#"{"extFields":{"a":"1","a":"2"}}"#).unwrap();
        assert_eq!(head.fields.get("a"), Some("2"));
    }

    #[test]
    fn refuses_what_is_not_a_header() {
        for text in [
            "",
            "null",
            "[]",
            "{",
            "{\"code\"",
            "{\"code\":",
            "{\"code\":1",
            "{\"code\":1,}",
            "{\"code\":\"x\"}",
            "{\"code\":99999999999}",
            "{\"code\":1}x",
            "{code:1}",
            "{\"a\":}",
            "{\"a\":\"",
            "{\"a\":\"\\",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u00g0\"}",
            "{\"a\":\"\\ud83d\\u\"}",
            "{\"extFields\":[]}",
            "{\"extFields\":5}",
            "{\"a\":[1,]}",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        let deep = format!("{{\"a\":{}", "[".repeat(1_000_000));
        assert_eq!(parse(deep.as_bytes()), Err(JsonError::Depth));
        let deep = format!("{{\"a\":{}", "{\"b\":".repeat(1_000_000));
        assert_eq!(parse(deep.as_bytes()), Err(JsonError::Depth));
    }

    #[test]
    fn writes_as_fastjson_does() {
        let mut bytes = [0; 512];
        let mut out = Room::new(&mut bytes);
        let all: String = (0u8..0x80)
            .map(char::from)
            .chain(['\u{e9}', '\u{2028}'])
            .collect();
        put_string(&all, &mut out);
        let used = out.used();
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(&bytes[..used], text.as_bytes());
    }
}
