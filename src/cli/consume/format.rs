//! `-f`: a line of text with places for the parts of a message.

use std::io::{self, Write};

use crate::cli::exit::CliError;
use crate::cli::records::{base64, hex};
use crate::cli::times::show_time;
use crate::client::Received;

/// The help of `-f`.
pub(super) const PLACES: &str = "\
Places in -f FORMAT:
  %t topic   %b broker   %p queue   %o offset   %L commit log offset
  %k keys    %g tag      %h properties           %i message id
  %s body    %S body length         %s{hex} %s{base64}
  %d store time   %D born time      %d{ms} in milliseconds
  %r retries      %c born host      %% percent sign
and \\n \\t \\r \\0 \\\\ as usual.";

/// A format, parsed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MessageFormat(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Place(char, Form),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Hex,
    Base64,
    Millis,
}

impl MessageFormat {
    /// Parses a format; the error says what is wrong with it.
    pub(super) fn parse(format: &str) -> Result<Self, CliError> {
        let mut parts = Vec::new();
        let mut text = Vec::new();
        let mut rest = format.chars().peekable();
        while let Some(char) = rest.next() {
            match char {
                '%' => {
                    let place = rest.next().ok_or_else(|| unknown("%"))?;
                    if place == '%' {
                        text.push(b'%');
                        continue;
                    }
                    let form = match rest.peek() {
                        Some('{') => form(place, &mut rest)?,
                        _ => Form::Plain,
                    };
                    if !"tbpoLkghisSdDrc".contains(place) {
                        return Err(unknown(&format!("%{place}")));
                    }
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    }
                    parts.push(Part::Place(place, form));
                }
                '\\' => text.push(match rest.next() {
                    Some('n') => b'\n',
                    Some('t') => b'\t',
                    Some('r') => b'\r',
                    Some('0') => 0,
                    Some('\\') => b'\\',
                    other => {
                        let other = other.map_or_else(String::new, String::from);
                        return Err(unknown(&format!("\\{other}")));
                    }
                }),
                other => text.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self(parts))
    }

    /// Writes one message, with `body` in the place of its own. Nothing is added, not even an end of line.
    pub(super) fn write(
        &self,
        message: &Received,
        body: &[u8],
        utc: bool,
        out: &mut impl Write,
    ) -> io::Result<()> {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.write_all(text)?,
                Part::Place('s', form) => write_body(body, *form, out)?,
                Part::Place('S', _) => write!(out, "{}", body.len())?,
                Part::Place(place, form) => {
                    out.write_all(value(*place, *form, message, utc).as_bytes())?;
                }
            }
        }
        Ok(())
    }
}

fn form(
    place: char,
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Result<Form, CliError> {
    let name: String = rest
        .by_ref()
        .skip(1)
        .take_while(|char| *char != '}')
        .collect();
    match (place, name.as_str()) {
        ('s', "hex") => Ok(Form::Hex),
        ('s', "base64") => Ok(Form::Base64),
        ('d' | 'D', "ms") => Ok(Form::Millis),
        _ => Err(unknown(&format!("%{place}{{{name}}}"))),
    }
}

fn unknown(what: &str) -> CliError {
    CliError::usage(format!("-f: {what:?} is no place of a message"))
        .hint("rmq consume --help lists them")
}

fn write_body(body: &[u8], form: Form, out: &mut impl Write) -> io::Result<()> {
    match form {
        Form::Hex => out.write_all(hex(body).as_bytes()),
        Form::Base64 => out.write_all(base64(body).as_bytes()),
        Form::Plain | Form::Millis => out.write_all(body),
    }
}

fn value(place: char, form: Form, message: &Received, utc: bool) -> String {
    let time = |ms: i64| match form {
        Form::Millis => ms.to_string(),
        _ => show_time(ms, utc),
    };
    match place {
        't' => message.topic().to_owned(),
        'b' => message.queue.broker.to_string(),
        'p' => message.queue.queue.to_string(),
        'o' => message.queue_offset.to_string(),
        'L' => message.physical_offset.to_string(),
        'k' => message.keys().unwrap_or_default().to_owned(),
        'g' => message.tag().unwrap_or_default().to_owned(),
        'h' => message
            .user_properties()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join(","),
        'i' => message.message_id(),
        'd' => time(message.store_timestamp),
        'D' => time(message.born_timestamp),
        'r' => message.reconsume_times.to_string(),
        'c' => message.born_host.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::consume::tests::received;

    fn shown(format: &str) -> String {
        let mut out = Vec::new();
        let message = received(b"b\xc3\xb6dy");
        MessageFormat::parse(format)
            .unwrap()
            .write(&message, message.body(), true, &mut out)
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_place_is_filled() {
        assert_eq!(shown(r"%t %b/%p @%o %L\n"), "orders broker-a/2 @17 4711\n");
        assert_eq!(shown("%k|%g|%h|%i"), "k1 k2|paid|mine=1|ID");
        assert_eq!(
            shown("%s %S %s{hex} %s{base64}"),
            "bödy 5 62c3b66479 YsO2ZHk="
        );
        assert_eq!(
            shown("%d %D{ms} %r %c %%"),
            "1970-01-01T00:00:02.000Z 1000 3 127.0.0.1:5 %"
        );
    }

    #[test]
    fn unknown_places_are_named() {
        for bad in ["%", "%q", "%s{rot13}", "%t{hex}", r"\q", "\\"] {
            let error = MessageFormat::parse(bad).unwrap_err();
            assert_eq!(error.exit(), crate::cli::exit::Exit::Usage, "{bad}");
        }
    }
}
