//! The same keys in YAML: one flat mapping of keys to plain values.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};

use super::{Entry, SyntaxError};

/// Reads a YAML file. Values keep their spelling: `deleteWhen: 04` stays `04`.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Entry>, SyntaxError> {
    let text = String::from_utf8_lossy(bytes);
    if text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .all(|line| line.is_empty() || line == "---")
    {
        return Ok(Vec::new());
    }
    let pairs = serde_yaml::Deserializer::from_str(&text)
        .deserialize_map(Pairs)
        .map_err(|error| SyntaxError {
            line: error.location().map_or(1, |location| location.line()),
            message: error.to_string(),
        })?;
    let mut from = 0;
    let entries = pairs.into_iter().map(|(key, value)| {
        // The parser does not say where a value stood; keys come in order, so the search goes on from the last.
        let found = text
            .lines()
            .enumerate()
            .skip(from)
            .find(|(_, line)| is_entry(line, &key));
        if let Some((index, _)) = found {
            from = index + 1;
        }
        Entry {
            key,
            value: value.trim().to_owned(),
            line: from.max(1),
        }
    });
    Ok(entries.collect())
}

fn is_entry(line: &str, key: &str) -> bool {
    let line = line.trim_start_matches(['{', ' ', '"', '\'']);
    line.strip_prefix(key)
        .is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ']).starts_with(':'))
}

/// A line with another value; what stands behind the value stays. `None` if the line is not `key: value`.
pub(super) fn with_value(line: &[u8], key: &str, value: &str) -> Option<Vec<u8>> {
    let line = std::str::from_utf8(line).ok()?;
    let behind_key = line.find(key)? + key.len();
    let colon = behind_key + line.get(behind_key..)?.find(':')?;
    let (head, rest) = line.split_at(colon + 1);
    let old = rest.trim_start();
    let value_end = match old.chars().next() {
        Some('\'') => quoted_end(&old.replace("''", "__")[1..], '\''),
        Some('"') => quoted_end(&old.replace("\\\\", "__").replace("\\\"", "__")[1..], '"'),
        _ => old.find(" #").or_else(|| Some(old.trim_end().len())),
    };
    let tail = old.get(value_end?..)?;
    Some(format!("{head} {}{tail}", scalar(value)).into_bytes())
}

/// The position behind the closing quote, in a text that has lost the opening one.
fn quoted_end(text: &str, quote: char) -> Option<usize> {
    Some(text.find(quote)? + 2)
}

/// An entry of a mapping.
pub(super) fn entry(key: &str, value: &str) -> String {
    format!("{key}: {}", scalar(value))
}

fn scalar(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/');
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', "''"))
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping of keys to plain values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry::<String, String>()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_spelling() {
        let text = "---\n# node\nbrokerName: \"a\"\ndeleteWhen: 04\n\nlistenPort: 10911 # main\nautoCreateTopicEnable: true\n";
        let entries: Vec<_> = parse(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|entry| (entry.key, entry.value, entry.line))
            .collect();
        let expected = [
            ("brokerName", "a", 3),
            ("deleteWhen", "04", 4),
            ("listenPort", "10911", 6),
            ("autoCreateTopicEnable", "true", 7),
        ]
        .map(|(key, value, line)| (key.to_owned(), value.to_owned(), line));
        assert_eq!(entries, expected);
    }

    #[test]
    fn nothing_is_no_error() {
        assert!(parse(b"").unwrap().is_empty());
        assert!(parse(b"# only a comment\n---\n").unwrap().is_empty());
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(
            parse(b"brokerName: a\nlistenPort: [1, 2]\n")
                .unwrap_err()
                .line,
            2
        );
        assert!(parse(b"just text").is_err());
        assert!(parse(b"a: b: c").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
