//! The parts of the archive that describe the others, and how bytes get in and out.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::cli::exit::CliError;
use crate::cli::output::Progress;
use crate::cli::records::hex;

/// The version this program writes, and the newest one it reads.
pub(super) const VERSION: u32 = 1;
/// The first entry.
pub(super) const HEAD: &str = "rmq-snapshot.json";
/// The last entry.
pub(super) const MANIFEST: &str = "MANIFEST.json";

/// The first entry: what the archive is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    /// The version of the format.
    pub(super) rmq_snapshot: u32,
    /// The program that wrote it.
    #[serde(default)]
    pub(super) rmq: String,
    /// When it was begun, in milliseconds since 1970.
    #[serde(default)]
    pub(super) created_timestamp: i64,
    /// Whether a broker was running.
    #[serde(default)]
    pub(super) running: bool,
    /// The directory it is of.
    #[serde(default)]
    pub(super) source: String,
}

impl Head {
    /// Reads the first entry.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, CliError> {
        let no_head = || CliError::failed("it is not a snapshot of rmq");
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|_| no_head())?;
        let version = value["rmqSnapshot"].as_u64().ok_or_else(no_head)?;
        if version > u64::from(VERSION) {
            return Err(CliError::failed(format!(
                "the snapshot has version {version}, this rmq reads up to {VERSION}"
            ))
            .hint("a newer rmq wrote it, and restores it"));
        }
        serde_json::from_value(value).map_err(|_| no_head())
    }
}

/// The last entry: what must be in the archive.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    /// The position behind the last message, if there is a log.
    #[serde(default)]
    pub(super) log_end: Option<u64>,
    /// Every file.
    pub(super) files: Vec<Entry>,
}

/// A file of the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    /// Below the data directory, with forward slashes.
    pub(super) path: String,
    /// Its length.
    pub(super) bytes: u64,
    /// How many of them are in the archive; the rest are zeros.
    pub(super) stored_bytes: u64,
    /// Of the bytes in the archive.
    pub(super) sha256: String,
}

/// Reads exactly so many bytes and takes their hash.
pub(super) struct Hashing<'a, R> {
    input: R,
    left: u64,
    hash: Sha256,
    /// Zeros take the place of what a file has lost meanwhile; else that is an error.
    pads: bool,
    progress: &'a Progress,
    /// Ends the reading when it says so.
    stop: &'a dyn Fn() -> bool,
}

impl<'a, R: Read> Hashing<'a, R> {
    pub(super) fn new(
        input: R,
        len: u64,
        progress: &'a Progress,
        stop: &'a dyn Fn() -> bool,
    ) -> Self {
        Self {
            input,
            left: len,
            hash: Sha256::new(),
            pads: false,
            progress,
            stop,
        }
    }

    /// The same for a file that somebody may be cutting.
    pub(super) fn padded(self) -> Self {
        Self { pads: true, ..self }
    }

    /// The hash as text.
    pub(super) fn finish(self) -> String {
        hex(&self.hash.finalize())
    }
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if (self.stop)() {
            return Err(io::Error::other("interrupted"));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let len = out.len().min(most);
        let Some(out) = out.get_mut(..len).filter(|out| !out.is_empty()) else {
            return Ok(0);
        };
        let mut read = self.input.read(out)?;
        if read == 0 {
            if !self.pads {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            out.fill(0);
            read = out.len();
        }
        self.hash.update(out.get(..read).unwrap_or_default());
        self.left -= read as u64;
        self.progress.add(read as u64);
        Ok(read)
    }
}
