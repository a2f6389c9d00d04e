//! Bounded reads of one file: the bytes at a position, through one buffer of its own.
//!
//! The read half of the store reads with plain positioned reads, never through a map. A file that another
//! process truncates can then make a read short, but it cannot kill this process with SIGBUS, and what was
//! read is a private copy that no live writer changes while it is judged. Memory stays at one chunk, or one
//! record where a record is longer, however large the file is.
//!
//! A file whose name ends in `.gz` is read as what is packed in it: well if the reads go forward, slowly if not.
//!
//! Absent on purpose: writing, and any knowledge of what the bytes mean.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::sys::platform;

/// How much is read ahead unless asked otherwise. Large enough that a scan is bound by the disk and not by
/// calls.
const CHUNK_BYTES: usize = 1 << 20;
/// A buffer that grew beyond this for one long record is given back afterwards.
const KEPT_BYTES: usize = 8 << 20;

/// A file, or bytes in memory that stand for one, and the part of it last read.
#[derive(Debug)]
pub(crate) struct Window {
    source: Source,
    /// Where `buffer` begins in the file.
    start: u64,
    buffer: Vec<u8>,
    /// How many bytes of `buffer` were read.
    held: usize,
    chunk: usize,
}

#[derive(Debug)]
enum Source {
    File(File),
    Memory(Vec<u8>),
    Packed(Box<Packed>),
}

impl Window {
    /// Opens a file for reading; it must exist.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let source = if is_packed(path) {
            Source::Packed(Box::new(Packed::open(path)?))
        } else {
            Source::File(platform::open_read(path)?)
        };
        Ok(Self::over(source))
    }

    /// Takes bytes for a file.
    pub(crate) fn memory(bytes: Vec<u8>) -> Self {
        Self::over(Source::Memory(bytes))
    }

    fn over(source: Source) -> Self {
        Self {
            source,
            start: 0,
            buffer: Vec::new(),
            held: 0,
            chunk: CHUNK_BYTES,
        }
    }

    /// Reads this many bytes ahead: little where reads jump about, much where they do not.
    pub(crate) fn reading_ahead(mut self, bytes: usize) -> Self {
        self.chunk = bytes;
        self
    }

    /// The bytes at `at`, as many as `len` unless the file ends before.
    pub(crate) fn at(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        if !self.holds(at, len) {
            self.fill(at, len.max(self.chunk))?;
        }
        let from = usize::try_from(at.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let held = self.buffer.get(..self.held).unwrap_or_default();
        let rest = held.get(from..).unwrap_or_default();
        Ok(rest.get(..len).unwrap_or(rest))
    }

    /// Exactly `N` bytes at `at`; `None` if the file ends before.
    pub(crate) fn array<const N: usize>(&mut self, at: u64) -> io::Result<Option<[u8; N]>> {
        Ok(self.at(at, N)?.first_chunk().copied())
    }

    /// The first place at or after `at` that may hold anything but zeros; `None` if only a hole follows. A log
    /// file is made with its full size, so most of the newest one is a hole.
    pub(crate) fn next_data(&self, at: u64) -> Option<u64> {
        match &self.source {
            Source::File(file) => platform::next_data(file, at),
            Source::Memory(_) | Source::Packed(_) => Some(at),
        }
    }

    /// A position behind which there are only zeros in a file of `len` bytes, as far as is known.
    pub(crate) fn data_end(&self, len: u64) -> u64 {
        match &self.source {
            Source::File(file) => platform::data_end(file, len),
            Source::Memory(_) | Source::Packed(_) => len,
        }
    }

    /// Forgets what was read, so that the next read sees the file as it is now.
    pub(crate) fn refresh(&mut self) {
        self.held = 0;
    }

    fn holds(&self, at: u64, len: usize) -> bool {
        let from = at
            .checked_sub(self.start)
            .and_then(|from| usize::try_from(from).ok());
        from.and_then(|from| from.checked_add(len))
            .is_some_and(|end| end <= self.held)
    }

    fn fill(&mut self, at: u64, len: usize) -> io::Result<()> {
        self.start = at;
        self.held = 0;
        if i64::try_from(at).is_err() {
            // No file reaches there, and some systems refuse even to look.
            return Ok(());
        }
        let len = match &self.source {
            // What a length field claims is no reason to make room for it.
            Source::File(file) => {
                let left = file.metadata()?.len().saturating_sub(at);
                usize::try_from(left).map_or(len, |left| left.min(len))
            }
            Source::Memory(bytes) => bytes.len().min(len),
            Source::Packed(_) => len,
        };
        if self.buffer.len() > KEPT_BYTES && len <= KEPT_BYTES {
            self.buffer = Vec::new();
        }
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        let place = self.buffer.get_mut(..len).unwrap_or_default();
        self.held = match &mut self.source {
            Source::File(file) => platform::read_full_at(file, place, at)?,
            Source::Memory(bytes) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX);
                let rest = bytes.get(from..).unwrap_or_default();
                let rest = rest.get(..len).unwrap_or(rest);
                if let Some(place) = place.get_mut(..rest.len()) {
                    place.copy_from_slice(rest);
                }
                rest.len()
            }
            Source::Packed(packed) => packed.read(place, at)?,
        };
        Ok(())
    }
}

/// Whether a file is read as what is packed in it.
pub(crate) fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

/// How many bytes are packed in a `.gz` file, found by unpacking it: its own word for it is only of the last part, and
/// modulo 4 GiB. A file that cannot be unpacked to its end counts one byte more than could be, so that whoever
/// reads on meets the error there.
pub(crate) fn packed_bytes(path: &Path) -> io::Result<u64> {
    let mut packed = Packed::open(path)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let at = packed.at;
        match packed.read(&mut buffer, at) {
            Ok(0) => return Ok(packed.at),
            Ok(_) => {}
            Err(_) => return Ok(packed.at.saturating_add(1)),
        }
    }
}

/// A file packed by gzip, and how far it has been unpacked.
struct Packed {
    path: PathBuf,
    decoder: MultiGzDecoder<BufReader<File>>,
    at: u64,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Packed({} at {})", self.path.display(), self.at)
    }
}

impl Packed {
    fn open(path: &Path) -> io::Result<Self> {
        let file = BufReader::with_capacity(CHUNK_BYTES, platform::open_read(path)?);
        Ok(Self {
            path: path.to_owned(),
            decoder: MultiGzDecoder::new(file),
            at: 0,
        })
    }

    /// Reads as much as there is at `at`. What lies before is unpacked and thrown away; going back begins anew.
    fn read(&mut self, into: &mut [u8], at: u64) -> io::Result<usize> {
        if at < self.at {
            *self = Self::open(&self.path)?;
        }
        let skipped = io::copy(&mut (&mut self.decoder).take(at - self.at), &mut io::sink())?;
        self.at += skipped;
        if self.at < at {
            return Ok(0);
        }
        let mut done = 0;
        while let Some(place) = into.get_mut(done..).filter(|place| !place.is_empty()) {
            match self.decoder.read(place) {
                Ok(0) => break,
                Ok(read) => {
                    done += read;
                    self.at += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What came before the damage is as good as ever; the next read meets it again.
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn reads_anywhere_and_stops_at_the_end() {
        let bytes: Vec<u8> = (0..=255).cycle().take(CHUNK_BYTES + 100).collect();
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("plain");
        std::fs::write(&plain, &bytes).unwrap();
        let packed = dir.path().join("packed.gz");
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&bytes).unwrap();
        let whole = encoder.finish().unwrap();
        std::fs::write(&packed, &whole).unwrap();
        for mut window in [
            Window::memory(bytes.clone()),
            Window::open(&plain).unwrap(),
            Window::open(&packed).unwrap(),
        ] {
            let last = bytes.len() - 10;
            assert_eq!(window.at(3, 4).unwrap(), &bytes[3..7]);
            assert_eq!(window.at(last as u64, 50).unwrap(), &bytes[last..]);
            assert_eq!(window.at(0, 2).unwrap(), &bytes[..2]);
            assert_eq!(window.at(u64::MAX, 2).unwrap(), b"");
            assert_eq!(window.array::<4>(last as u64 + 8).unwrap(), None);
            let across = CHUNK_BYTES - 3;
            assert_eq!(
                window.at(across as u64, 9).unwrap(),
                &bytes[across..across + 9]
            );
        }
        assert_eq!(packed_bytes(&packed).unwrap(), bytes.len() as u64);
        std::fs::write(&packed, &whole[..whole.len() / 2]).unwrap();
        let readable = packed_bytes(&packed).unwrap() - 1;
        let mut window = Window::open(&packed).unwrap();
        assert_eq!(window.at(7, 4).unwrap(), &bytes[7..11]);
        assert!(window.at(readable, 4).is_err());
    }
}
