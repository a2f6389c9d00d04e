//! fastjson text to strict JSON, in one pass over bytes nobody has checked.

use serde::Serialize as _;

/// Why text is not even fastjson's JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StrictError {
    /// The text ends in the middle of a value.
    #[error("unexpected end")]
    End,
    /// This byte cannot stand there.
    #[error("unexpected byte 0x{byte:02x} at {at}")]
    Unexpected {
        /// The byte.
        byte: u8,
        /// Its position in the text.
        at: usize,
    },
    /// More levels than any body has.
    #[error("nested too deep")]
    Depth,
    /// An object as a key inside an object that is a key. Allowing it would let the text grow without
    /// bound, as each level escapes the one below.
    #[error("an object key inside an object key")]
    NestedKey,
}

const DEPTH_MAX: usize = 64;

/// Turns fastjson text into strict JSON: bare keys get quotes, an object key becomes a string that holds its
/// JSON text, members that are `null` go away.
pub fn to_strict(text: &[u8]) -> Result<Vec<u8>, StrictError> {
    let mut copier = Copier {
        whole: text.len(),
        rest: text,
        in_key: false,
        out: Vec::with_capacity(text.len().saturating_add(64)),
    };
    copier.value(0)?;
    copier.skip_blank();
    match copier.rest.first() {
        None => Ok(copier.out),
        Some(byte) => Err(copier.unexpected(*byte)),
    }
}

struct Copier<'a> {
    whole: usize,
    rest: &'a [u8],
    /// Whether an object key is being copied.
    in_key: bool,
    out: Vec<u8>,
}

impl Copier<'_> {
    fn unexpected(&self, byte: u8) -> StrictError {
        let at = self.whole.saturating_sub(self.rest.len());
        StrictError::Unexpected { byte, at }
    }

    fn skip_blank(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn peek(&mut self) -> Result<u8, StrictError> {
        self.skip_blank();
        self.rest.first().copied().ok_or(StrictError::End)
    }

    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    fn copy(&mut self, count: usize) {
        self.out
            .extend_from_slice(self.rest.get(..count).unwrap_or(self.rest));
        self.skip(count);
    }

    /// Copies one value; tells whether it was `null`.
    fn value(&mut self, depth: usize) -> Result<bool, StrictError> {
        if depth > DEPTH_MAX {
            return Err(StrictError::Depth);
        }
        match self.peek()? {
            b'{' => self.object(depth)?,
            b'[' => self.array(depth)?,
            b'"' => self.string()?,
            first => {
                let length = self.bare_length();
                if length == 0 {
                    return Err(self.unexpected(first));
                }
                let null = self.rest.get(..length) == Some(b"null");
                self.copy(length);
                return Ok(null);
            }
        }
        Ok(false)
    }

    /// Length of a number, a literal or a bare name.
    fn bare_length(&self) -> usize {
        let inside = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-._$".contains(byte);
        self.rest.iter().take_while(inside).count()
    }

    fn string(&mut self) -> Result<(), StrictError> {
        let mut escaped = false;
        let mut inside = self.rest.iter().skip(1);
        let closing = inside.position(|byte| match byte {
            b'\\' => {
                escaped = !escaped;
                false
            }
            b'"' if !escaped => true,
            _ => {
                escaped = false;
                false
            }
        });
        let length = closing.ok_or(StrictError::End)?.saturating_add(2);
        self.copy(length);
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), StrictError> {
        self.copy(1);
        if self.peek()? == b']' {
            self.copy(1);
            return Ok(());
        }
        loop {
            self.value(depth.saturating_add(1))?;
            match self.peek()? {
                b',' => self.copy(1),
                b']' => {
                    self.copy(1);
                    return Ok(());
                }
                byte => return Err(self.unexpected(byte)),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), StrictError> {
        self.copy(1);
        if self.peek()? == b'}' {
            self.copy(1);
            return Ok(());
        }
        let mut first = true;
        loop {
            let member_at = self.out.len();
            if !first {
                self.out.push(b',');
            }
            self.key(depth)?;
            let byte = self.peek()?;
            if byte != b':' {
                return Err(self.unexpected(byte));
            }
            self.copy(1);
            if self.value(depth.saturating_add(1))? {
                self.out.truncate(member_at);
            } else {
                first = false;
            }
            match self.peek()? {
                b',' => self.skip(1),
                b'}' => {
                    self.copy(1);
                    return Ok(());
                }
                byte => return Err(self.unexpected(byte)),
            }
        }
    }

    fn key(&mut self, depth: usize) -> Result<(), StrictError> {
        match self.peek()? {
            b'"' => self.string(),
            b'{' => self.object_key(depth),
            first => {
                let length = self.bare_length();
                if length == 0 {
                    return Err(self.unexpected(first));
                }
                self.out.push(b'"');
                self.copy(length);
                self.out.push(b'"');
                Ok(())
            }
        }
    }

    fn object_key(&mut self, depth: usize) -> Result<(), StrictError> {
        if self.in_key {
            return Err(StrictError::NestedKey);
        }
        self.in_key = true;
        let key_at = self.out.len();
        let copied = self.value(depth.saturating_add(1));
        self.in_key = false;
        copied?;
        let key = self.out.split_off(key_at);
        // The text was bytes of JSON strings and names; what is not UTF-8 fails in the strict reader.
        let key = String::from_utf8_lossy(&key);
        let mut quoted = serde_json::Serializer::new(&mut self.out);
        key.serialize(&mut quoted).map_err(|_| StrictError::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(text: &str) -> Result<String, StrictError> {
        to_strict(text.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn quotes_bare_keys_and_drops_nulls() {
        assert_eq!(
            strict(r#"{"t":{0:5,-1 : 4},a:[1, null],"n":null,"m":null,"z":null}"#).unwrap(),
            r#"{"t":{"0":5,"-1":4},"a":[1,null]}"#
        );
        assert_eq!(strict(r#"{"n":null,"a":1}"#).unwrap(), r#"{"a":1}"#);
        assert_eq!(
            strict(r#"{"a\"}":"\\","b":"\\\""}"#).unwrap(),
            r#"{"a\"}":"\\","b":"\\\""}"#
        );
        assert_eq!(strict(" {} ").unwrap(), "{}");
    }

    #[test]
    fn object_keys_become_strings() {
        assert_eq!(
            strict(r#"{"t":{{"topic":"a\"b","queueId":1}:{"x":1},{}:2}}"#).unwrap(),
            r#"{"t":{"{\"topic\":\"a\\\"b\",\"queueId\":1}":{"x":1},"{}":2}}"#
        );
    }

    #[test]
    fn hostile_text_is_refused() {
        assert_eq!(strict("{{{}:1}:1}"), Err(StrictError::NestedKey));
        assert_eq!(strict(&"[".repeat(100_000)), Err(StrictError::Depth));
        assert_eq!(strict(&"{\"a\":".repeat(100_000)), Err(StrictError::Depth));
        for text in [
            "", "{", "{1", "{1:", "{1:2", "{1:2,", "[1", "\"", "\"\\\"", "{,}", "}", "{}x", "[,]",
        ] {
            assert!(strict(text).is_err(), "{text}");
        }
    }
}
