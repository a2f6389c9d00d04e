//! The lines of a recording, one after the other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::time::Duration;

use tokio::sync::mpsc;

use super::format;
use super::format::Header;
use super::scrub::{self, Scrub};
use crate::cli::exit::CliError;
use crate::cli::records;
use crate::cli::send::{Done, Place};
use crate::client::Message;

/// A line longer than this is none.
const LINE_MAX: u64 = 64 << 20;
/// Lines that are handed over together.
const CHUNK: usize = 256;

/// A line of a recording, or what is wrong with it.
pub(super) struct Line {
    pub(super) place: Place,
    pub(super) recorded: Result<Recorded, CliError>,
}

/// A message to be sent again.
pub(super) struct Recorded {
    pub(super) message: Message,
    pub(super) from: format::Place,
    /// How long after the first one it was stored.
    pub(super) after: Duration,
}

/// What is done with the lines on their way.
pub(super) struct Wishes {
    pub(super) map: BTreeMap<String, String>,
    pub(super) scrubs: Vec<Scrub>,
    pub(super) done: Done,
}

/// An open recording whose header has been read.
pub(super) struct Recording {
    input: Box<dyn BufRead + Send>,
    pub(super) header: Header,
    number: u64,
    offset: u64,
    first_ms: Option<i64>,
    last: Duration,
}

impl Recording {
    /// Opens a file, or stdin for `-`, and reads its header.
    pub(super) fn open(path: &str) -> Result<Self, CliError> {
        let input: Box<dyn BufRead + Send> = if path == "-" {
            Box::new(BufReader::new(io::stdin()))
        } else {
            let file = File::options().read(true).open(path);
            Box::new(BufReader::with_capacity(
                64 << 10,
                file.map_err(|error| CliError::unreadable(path, &error))?,
            ))
        };
        Self::new(input).map_err(|error| {
            let named = CliError::new(error.exit(), format!("{path}: {error}"));
            match error.hint_text() {
                Some(hint) => named.hint(hint),
                None => named,
            }
        })
    }

    fn new(input: Box<dyn BufRead + Send>) -> Result<Self, CliError> {
        let mut recording = Self {
            input,
            header: Header::default(),
            number: 0,
            offset: 0,
            first_ms: None,
            last: Duration::ZERO,
        };
        let (_, first) = recording.line()?.unwrap_or_default();
        recording.header = Header::read(&String::from_utf8_lossy(&first))?;
        Ok(recording)
    }

    /// The next line that is not empty, and where it begins.
    fn line(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        loop {
            let begins_at = self.offset;
            let mut line = Vec::new();
            let read = (&mut self.input)
                .take(LINE_MAX)
                .read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(None);
            }
            if read as u64 == LINE_MAX {
                return Err(io::Error::other(format!(
                    "a line has more than {LINE_MAX} bytes"
                )));
            }
            self.number += 1;
            self.offset += read as u64;
            line.truncate(line.trim_ascii_end().len());
            if !line.is_empty() {
                return Ok(Some((begins_at, line)));
            }
        }
    }

    /// The next message. `None` at the end.
    pub(super) fn next(&mut self, wishes: &Wishes) -> Option<Line> {
        loop {
            let (offset, line) = match self.line() {
                Ok(Some(line)) => line,
                Ok(None) => return None,
                Err(error) => {
                    // Nothing behind it can be found.
                    self.input = Box::new(io::empty());
                    self.number += 1;
                    let place = self.place(self.offset, None);
                    let error = CliError::failed(format!("{place} cannot be read: {error}"));
                    return Some(Line {
                        place,
                        recorded: Err(error),
                    });
                }
            };
            let place = self.place(offset, Some(crc32fast::hash(&line)));
            let recorded = match wishes.done.contains(place) {
                Ok(true) => continue,
                Ok(false) => self
                    .read(&line, wishes)
                    .map_err(|reason| CliError::failed(format!("{place}: {reason}"))),
                Err(error) => Err(error),
            };
            return Some(Line { place, recorded });
        }
    }

    fn place(&self, offset: u64, crc: Option<u32>) -> Place {
        Place {
            number: self.number,
            offset: Some(offset),
            crc,
            is_line: true,
        }
    }

    fn read(&mut self, line: &[u8], wishes: &Wishes) -> Result<Recorded, String> {
        let text = std::str::from_utf8(line).map_err(|error| error.to_string())?;
        let from = format::Place::read(text)?;
        let topic = wishes.map.get(&from.topic).unwrap_or(&from.topic);
        let mut message = records::read_row(topic, text)?;
        if let Some(body) = scrub::apply(&wishes.scrubs, message.body())? {
            message = message.with_body(body);
        }
        // Clocks of brokers differ and step back; a message never leaves before the one in front of it.
        if let Some(stored_ms) = from.store_timestamp {
            let first_ms = *self.first_ms.get_or_insert(stored_ms);
            let after_ms = u64::try_from(stored_ms.saturating_sub(first_ms)).unwrap_or(0);
            self.last = self.last.max(Duration::from_millis(after_ms));
        }
        Ok(Recorded {
            message,
            from,
            after: self.last,
        })
    }

    /// Reads all of it, on the calling thread, until nobody listens.
    pub(super) fn run(mut self, wishes: &Wishes, out: &mpsc::Sender<Vec<Line>>) {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            while chunk.len() < CHUNK
                && let Some(line) = self.next(wishes)
            {
                chunk.push(line);
            }
            if chunk.is_empty() || out.blocking_send(chunk).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str, wishes: &Wishes) -> Vec<Line> {
        let mut recording = Recording::new(Box::new(text.as_bytes())).unwrap();
        std::iter::from_fn(|| recording.next(wishes)).collect()
    }

    #[test]
    fn lines_keep_their_gaps_and_a_broken_one_its_number() {
        let wishes = Wishes {
            map: [("a".to_owned(), "b".to_owned())].into(),
            scrubs: vec![Scrub::parse(".n=0").unwrap()],
            done: Done::default(),
        };
        let lines = read(
            r#"{"rmqRecording":1}
{"topic":"a","storeTimestamp":1000,"bodyText":"{\"n\":1}"}

{"topic":"c","storeTimestamp":1500,"bodyText":"{\"n\":2}"}
{"topic":"a","storeTimestamp":1200,"bodyText":"plain"}
{"topic":"a","storeTimestamp":1400,"bodyText":"{}"}
{"topic":"a","storeTim"#,
            &wishes,
        );
        let shown: Vec<String> = lines
            .iter()
            .map(|line| match &line.recorded {
                Ok(one) => format!(
                    "{} {} {} {}",
                    line.place,
                    one.message.topic(),
                    one.after.as_millis(),
                    String::from_utf8_lossy(one.message.body())
                ),
                Err(error) => error.to_string().chars().take(26).collect(),
            })
            .collect();
        assert_eq!(
            shown,
            [
                "line 2 b 0 {\"n\":0}",
                "line 4 c 500 {\"n\":0}",
                "line 5: --scrub cannot loo",
                "line 6 b 500 {}",
                "line 7: EOF while parsing ",
            ]
        );
    }
}
