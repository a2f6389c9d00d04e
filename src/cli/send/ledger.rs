//! The report of what became of each message, and the next run's memory of it.
//!
//! One JSON object a line: `line` and `offset` say which part of the input, `crc` what was in it, `outcome` what became of it: `stored`,
//! `sent` (one way), `refused` (certainly not stored), `unknown` (no answer came: perhaps stored), `unreadable`, or
//! `skipped` (not tried, because an earlier message of its queue failed). A message without a line was not tried. A
//! later line about the same message counts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::source::Place;
use crate::cli::exit::CliError;

/// A line of the report.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    pub(super) line: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) crc: Option<u32>,
    pub(super) outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub(super) error: Option<String>,
}

/// The outcomes that need no second try.
const DONE: [&str; 2] = ["stored", "sent"];

/// Writes the report.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Ledger {
    /// Begins a new report, or goes on with one.
    pub(crate) fn open(path: &Path, go_on: bool) -> Result<Self, CliError> {
        let open = || -> io::Result<File> {
            let mut file = File::options()
                .create(true)
                .read(true)
                .append(go_on)
                .write(true)
                .truncate(!go_on)
                .open(path)?;
            if go_on {
                end_last_line(&mut file)?;
            }
            Ok(file)
        };
        let file = open().map_err(|error| wrong(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            out: BufWriter::with_capacity(64 << 10, file),
        })
    }

    pub(super) fn write(&mut self, entry: &Entry<'_>) -> Result<(), CliError> {
        let written = serde_json::to_writer(&mut self.out, entry)
            .map_err(io::Error::from)
            .and_then(|()| self.out.write_all(b"\n"));
        written.map_err(|error| wrong(&self.path, &error))
    }

    /// Hands what is written to the system: it survives the end of this process, however that comes.
    pub(super) fn flush(&mut self) -> Result<(), CliError> {
        self.out.flush().map_err(|error| wrong(&self.path, &error))
    }
}

/// A run that was killed may have left half a line.
fn end_last_line(file: &mut File) -> io::Result<()> {
    use std::io::Read as _;
    if file.seek(io::SeekFrom::End(0))? == 0 {
        return Ok(());
    }
    file.seek(io::SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(())
}

fn wrong(path: &Path, error: &io::Error) -> CliError {
    let exit = CliError::from(io::Error::from(error.kind())).exit();
    CliError::new(exit, format!("{}: {error}", path.display()))
        .hint("the report of --report or --resume is meant")
}

/// The messages an earlier run has seen stored, as runs of neighbours.
#[derive(Debug, Default)]
pub(crate) struct Done {
    path: PathBuf,
    /// First number of a run: its last number, and the checksum of the first one.
    runs: BTreeMap<u64, (u64, Option<u32>)>,
    skipped: Arc<AtomicU64>,
}

impl Done {
    /// Reads a report.
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let file = File::options()
            .read(true)
            .open(path)
            .map_err(|error| wrong(path, &error))?;
        let mut done = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        let mut lines = BufReader::with_capacity(64 << 10, file);
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            let read = lines.read_until(b'\n', &mut line);
            if read.map_err(|error| wrong(path, &error))? == 0 {
                break;
            }
            let whole = line.ends_with(b"\n");
            match serde_json::from_slice::<Entry<'_>>(line.trim_ascii_end()) {
                Ok(entry) if DONE.contains(&entry.outcome) => done.add(entry.line, entry.crc),
                Ok(_) => {}
                // The last line of a run that was killed; or such a line that was ended later.
                Err(error) if !whole || error.is_eof() => {}
                Err(error) => {
                    return Err(CliError::usage(format!(
                        "{}: line {number} is not from a report of rmq send: {error}",
                        path.display()
                    )));
                }
            }
        }
        Ok(done)
    }

    fn add(&mut self, number: u64, crc: Option<u32>) {
        if let Some((_, (last, _))) = self.runs.range_mut(..=number).next_back() {
            if number <= *last {
                return;
            }
            if number == *last + 1 {
                *last = number;
                self.join(number);
                return;
            }
        }
        self.runs.insert(number, (number, crc));
        self.join(number);
    }

    /// Joins the run that ends with `number` with the one behind it.
    fn join(&mut self, number: u64) {
        if let Some((behind, _)) = self.runs.remove(&(number + 1))
            && let Some((_, (last, _))) = self.runs.range_mut(..=number).next_back()
        {
            *last = behind;
        }
    }

    /// How many messages were found in it.
    pub(crate) fn skipped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.skipped)
    }

    /// Whether this message is stored already. An error if the report is about another input.
    pub(crate) fn contains(&self, place: Place) -> Result<bool, CliError> {
        let run = self.runs.range(..=place.number).next_back();
        let Some((first, (last, crc))) = run else {
            return Ok(false);
        };
        if *first == place.number && *crc != place.crc {
            return Err(CliError::usage(format!(
                "{place} is not what it was when {} was written: is it about another input?",
                self.path.display(),
            )));
        }
        let there = place.number <= *last;
        self.skipped.fetch_add(u64::from(there), Ordering::Relaxed);
        Ok(there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u64, crc: u32) -> Place {
        Place {
            number,
            offset: None,
            crc: Some(crc),
            is_line: true,
        }
    }

    #[test]
    fn neighbours_are_one_run() {
        let mut done = Done::default();
        for number in [5, 1, 3, 2, 4, 9, 4] {
            done.add(number, Some(7));
        }
        assert_eq!(done.runs.len(), 2);
        let there: Vec<u64> = (1..12)
            .filter(|number| done.contains(place(*number, 7)).unwrap())
            .collect();
        assert_eq!(there, [1, 2, 3, 4, 5, 9]);
        assert!(done.contains(place(9, 8)).is_err(), "another input");
    }

    #[test]
    fn a_report_of_a_killed_run_is_read_and_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        let stored = |line| Entry {
            line,
            offset: Some(line),
            crc: Some(7),
            outcome: "stored",
            id: Some("7F"),
            error: None,
        };
        let mut ledger = Ledger::open(&path, false).unwrap();
        ledger.write(&stored(1)).unwrap();
        let failed = Entry {
            outcome: "unknown",
            error: Some("no \"answer\"".into()),
            ..stored(2)
        };
        ledger.write(&failed).unwrap();
        ledger.out.write_all(b"{\"line\":3,\"offs").unwrap();
        drop(ledger);
        let done = Done::read(&path).unwrap();
        let is_done = |done: &Done, line| done.contains(place(line, 7)).unwrap();
        assert_eq!(
            [1, 2, 3].map(|line| is_done(&done, line)),
            [true, false, false]
        );

        let mut ledger = Ledger::open(&path, true).unwrap();
        ledger.write(&stored(2)).unwrap();
        drop(ledger);
        let done = Done::read(&path).unwrap();
        assert_eq!(
            [1, 2, 3].map(|line| is_done(&done, line)),
            [true, true, false]
        );

        std::fs::write(&path, "nonsense\n").unwrap();
        assert!(Done::read(&path).is_err());
        assert_eq!(
            Done::read(&dir.path().join("no")).unwrap_err().exit() as u8,
            3
        );
    }
}
