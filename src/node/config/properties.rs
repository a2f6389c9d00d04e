//! Java's properties syntax, as `java.util.Properties.load` reads it, with line numbers.
//!
//! One difference: the text is UTF-8 where it is valid UTF-8. Java reads Latin-1, which is the fallback here.

use std::fmt::Write as _;

use super::file::without_end;
use super::{Entry, SyntaxError};

/// Reads a properties file. The order of the file is kept, duplicates included.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Entry>, SyntaxError> {
    let text = decode(bytes);
    let mut entries = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let mut logical = line.trim_start_matches(BLANKS).to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        // An odd number of backslashes at the end joins the next line, without its leading blanks.
        while (logical.len() - logical.trim_end_matches('\\').len()) % 2 == 1 {
            logical.pop();
            match lines.next() {
                Some((_, next)) => logical.push_str(next.trim_start_matches(BLANKS)),
                None => break,
            }
        }
        let line = index + 1;
        let (key, value) = split(&logical);
        let key = unescape(key, line)?;
        if key.is_empty() {
            return Err(SyntaxError {
                line,
                message: "a value without a key".to_owned(),
            });
        }
        entries.push(Entry {
            key,
            value: unescape(value, line)?.trim().to_owned(),
            line,
        });
    }
    Ok(entries)
}

/// How many of the lines, which have their ends, the entry takes that begins in the first.
pub(super) fn entry_lines(lines: &[Vec<u8>]) -> usize {
    let goes_on = |line: &Vec<u8>| {
        let line = without_end(line);
        line.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
    };
    let joined = lines.iter().take_while(|line| goes_on(line)).count();
    (joined + 1).min(lines.len())
}

/// An entry as it is read by Java as well, in ASCII.
pub(super) fn entry(key: &str, value: &str) -> String {
    let mut text = format!("{key}=");
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            ' '..='~' => text.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    text
}

const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

fn decode(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
    // A lone carriage return ends a line as well.
    .replace("\r\n", "\n")
    .replace('\r', "\n")
}

/// The key ends at the first unescaped `=`, `:` or blank; one `=` or `:` may follow the blanks.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        if escaped {
            escaped = false;
            return false;
        }
        escaped = c == '\\';
        matches!(c, '=' | ':') || BLANKS.contains(&c)
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(BLANKS);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(BLANKS))
}

fn unescape(text: &str, line: usize) -> Result<String, SyntaxError> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    // Java's strings are UTF-16: two escapes in a row may be one character.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let plain = match c {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    units.push(code_unit(&digits).ok_or_else(|| SyntaxError {
                        line,
                        message: format!("malformed escape \\u{digits}"),
                    })?);
                    continue;
                }
                Some(other) => other,
                None => break,
            },
            c => c,
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    Ok(String::from_utf16_lossy(&units))
}

fn code_unit(digits: &str) -> Option<u16> {
    let hex = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String, usize)> {
        parse(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|entry| (entry.key, entry.value, entry.line))
            .collect()
    }

    fn pair(key: &str, value: &str, line: usize) -> (String, String, usize) {
        (key.to_owned(), value.to_owned(), line)
    }

    #[test]
    fn separators_comments_and_blanks() {
        let text = "# a comment\n! another\n\nbrokerName = a\nbrokerId:0\nlistenPort 10911\n\tflag\nk==v\n";
        assert_eq!(
            read(text),
            [
                pair("brokerName", "a", 4),
                pair("brokerId", "0", 5),
                pair("listenPort", "10911", 6),
                pair("flag", "", 7),
                pair("k", "=v", 8),
            ]
        );
    }

    #[test]
    fn continuation_lines_count_as_the_first() {
        let text = "namesrvAddr=a:1;\\\n    b:2\\\r\n# not a comment\nlast\\\\\nnext=1\\";
        assert_eq!(
            read(text),
            [
                pair("namesrvAddr", "a:1;b:2# not a comment", 1),
                pair("last\\", "", 4),
                pair("next", "1", 5),
            ]
        );
    }

    #[test]
    fn escapes() {
        assert_eq!(
            read(r"a\=b\ c=tab\tend\u0041\ud83d\ude00 \q"),
            [pair("a=b c", "tab\tendA😀 q", 1)]
        );
        assert_eq!(parse(b"ok=1\nbad=\\u12x4\n").unwrap_err().line, 2);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_latin1() {
        assert_eq!(parse(b"brokerName=caf\xe9").unwrap()[0].value, "caf\u{e9}");
        assert_eq!(
            parse("\u{feff}brokerName=caf\u{e9}".as_bytes()).unwrap()[0].value,
            "caf\u{e9}"
        );
    }

    #[test]
    fn a_value_without_a_key_is_an_error() {
        assert_eq!(parse(b"a=1\n=2").unwrap_err().line, 2);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
