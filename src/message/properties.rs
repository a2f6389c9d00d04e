//! The properties of a message: `name 0x01 value 0x02` repeated (`MessageDecoder.string2messageProperties`).
//!
//! The order of the pairs is that of the producer's hash map. It is kept, because a record that is copied must keep
//! its bytes. A missing last separator is accepted; pairs without a value are skipped, as Apache's decoder does.

use std::{iter, str};

const NAME_END: u8 = 1;
const PAIR_END: u8 = 2;

/// The largest property block a record can hold: its length is a signed 16-bit number.
pub const MAX_BYTES: usize = i16::MAX as usize;

/// Properties as they lie in a record, borrowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    wire: &'a [u8],
}

impl<'a> Properties<'a> {
    /// Wraps the stored form without looking at it; pairs that are not UTF-8 are skipped when read.
    pub const fn new(wire: &'a [u8]) -> Self {
        Self { wire }
    }

    /// The stored form.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.wire
    }

    /// The pairs in stored order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.raw_pairs().filter_map(|(name, value)| {
            Some((str::from_utf8(name).ok()?, str::from_utf8(value).ok()?))
        })
    }

    /// The pairs in stored order, for a caller who wants few of them: nothing is checked to be UTF-8.
    pub(crate) fn raw_pairs(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.wire;
        // Every byte is looked at once: a filter does this for each message.
        iter::from_fn(move || {
            loop {
                let at = rest
                    .iter()
                    .position(|&byte| matches!(byte, NAME_END | PAIR_END))?;
                let (name, behind) = rest.split_at_checked(at)?;
                let (&separator, behind) = behind.split_first()?;
                if separator == PAIR_END {
                    rest = behind;
                    continue;
                }
                let end = behind.iter().position(|&byte| byte == PAIR_END);
                let (value, behind) = behind.split_at_checked(end.unwrap_or(behind.len()))?;
                rest = behind.get(1..).unwrap_or_default();
                if !value.is_empty() {
                    return Some((name, value));
                }
            }
        })
    }

    /// The value of the last pair with this name: a Java map keeps the one that was put last.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let wanted = name.as_bytes();
        let mut found = None;
        for pair in self.wire.split(|&byte| byte == PAIR_END) {
            if let Some((&NAME_END, value)) =
                pair.strip_prefix(wanted).and_then(<[u8]>::split_first)
            {
                let readable = str::from_utf8(value).ok();
                found = readable.filter(|value| !value.is_empty()).or(found);
            }
        }
        found
    }
}

/// The pairs of properties that are text already, each with all its bytes, the last separator included where there is
/// one. Pairs without a value are skipped.
pub(crate) fn text_pairs(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let mut rest = text;
    iter::from_fn(move || {
        loop {
            let bytes = rest.as_bytes();
            let at = bytes
                .iter()
                .position(|&byte| matches!(byte, NAME_END | PAIR_END))?;
            let (name, behind) = rest.split_at_checked(at)?;
            if bytes.get(at) == Some(&PAIR_END) {
                rest = behind.get(1..).unwrap_or_default();
                continue;
            }
            let behind = behind.get(1..).unwrap_or_default();
            let end = behind.bytes().position(|byte| byte == PAIR_END);
            let (value, behind) = behind.split_at_checked(end.unwrap_or(behind.len()))?;
            let pair = rest;
            rest = behind.get(1..).unwrap_or_default();
            if !value.is_empty() {
                let length = pair.len().saturating_sub(rest.len());
                return Some((name, value, pair.get(..length).unwrap_or_default()));
            }
        }
    })
}

/// Properties that can be changed. Names are unique; order is that of insertion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PropertiesBuf {
    pairs: Vec<(String, String)>,
}

impl PropertiesBuf {
    /// No properties.
    pub const fn new() -> Self {
        Self { pairs: Vec::new() }
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Sets a property, in its old place if it was there. The two separator characters cannot be part of a name or a
    /// value; they are dropped, since they would forge further pairs.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let clean = |text: String| {
            if text.contains(['\u{1}', '\u{2}']) {
                text.replace(['\u{1}', '\u{2}'], "")
            } else {
                text
            }
        };
        let value = clean(value.into());
        if let Some((_, old)) = self.pairs.iter_mut().find(|(known, _)| known == name) {
            *old = value;
        } else {
            self.pairs.push((clean(name.to_owned()), value));
        }
    }

    /// Takes a property away and returns its value.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        let at = self.pairs.iter().position(|(known, _)| known == name)?;
        Some(self.pairs.remove(at).1)
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Appends the stored form to `out`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.pairs {
            write_pair(out, name, value);
        }
    }

    /// The stored form.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_to(&mut out);
        out
    }
}

/// Appends one pair in stored form. Neither part may hold a separator.
pub fn write_pair(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.push(NAME_END);
    out.extend_from_slice(value.as_bytes());
    out.push(PAIR_END);
}

impl From<Properties<'_>> for PropertiesBuf {
    fn from(stored: Properties<'_>) -> Self {
        let mut buf = Self::new();
        for (name, value) in stored.iter() {
            buf.set(name, value);
        }
        buf
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for PropertiesBuf {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut buf = Self::new();
        for (name, value) in pairs {
            buf.set(&name.into(), value);
        }
        buf
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_unreadable_value_hides_no_readable_one() {
        let properties = Properties::new(b"a\x01one\x02a\x01\xff\x02");
        assert_eq!(properties.get("a"), Some("one"));
        assert_eq!(properties.iter().collect::<Vec<_>>(), [("a", "one")]);
    }

    #[test]
    fn reads_what_java_writes() {
        let stored = Properties::new(b"KEYS\x01k1 k2\x02TAGS\x01TagA\x02EMPTY\x01\x02WAIT\x01true");
        let pairs: Vec<_> = stored.iter().collect();
        assert_eq!(
            pairs,
            [("KEYS", "k1 k2"), ("TAGS", "TagA"), ("WAIT", "true")]
        );
        assert_eq!(stored.get("TAGS"), Some("TagA"));
        assert_eq!(stored.get("EMPTY"), None);
        assert_eq!(stored.get("TAG"), None);
    }

    #[test]
    fn separators_cannot_be_smuggled_in() {
        let mut buf = PropertiesBuf::new();
        buf.set("a", "1\u{2}TAGS\u{1}x");
        assert_eq!(Properties::new(&buf.to_wire()).get("TAGS"), None);
    }

    #[test]
    fn pairs_of_text_are_those_of_bytes() {
        for sent in [
            "a\u{1}1\u{2}b\u{1}é\u{2}",
            "x\u{2}a\u{1}\u{2}b\u{1}2",
            "",
            "\u{1}",
            "a\u{1}v\u{1}w\u{2}\u{2}",
        ] {
            let of_bytes: Vec<_> = Properties::new(sent.as_bytes()).iter().collect();
            let of_text: Vec<_> = text_pairs(sent)
                .map(|(name, value, _)| (name, value))
                .collect();
            assert_eq!(of_text, of_bytes, "{sent:?}");
            for (name, value, pair) in text_pairs(sent) {
                let whole = format!("{name}\u{1}{value}\u{2}");
                assert!(pair == whole || format!("{pair}\u{2}") == whole, "{pair:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), name in ".{0,4}") {
            let stored = Properties::new(&bytes);
            let _ = stored.get(&name);
            for (name, _) in stored.iter() {
                prop_assert!(stored.get(name).is_some());
            }
        }

        #[test]
        fn owned_form_round_trips(pairs in proptest::collection::vec(("[a-zA-Z_]{1,8}", "[^\u{1}\u{2}]{1,12}"), 0..8)) {
            let buf: PropertiesBuf = pairs.into_iter().collect();
            prop_assert_eq!(&PropertiesBuf::from(Properties::new(&buf.to_wire())), &buf);
        }
    }
}
