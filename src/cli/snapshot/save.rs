//! `rmq snapshot save`.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Seek as _, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tar::{Builder, Header};

use super::archive::{Entry, HEAD, Hashing, Head, MANIFEST, Manifest, VERSION};
use super::cut::{self, PHASES, Part};
use super::{FILE_COLUMNS, SaveArgs, show_sound};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::inspect::watch::Stop;
use crate::cli::output::{Progress, Unit, human_bytes};
use crate::store::View;
use crate::store::error::StoreError;
use crate::store::layout::Layout;
use crate::store::lock::DirLock;

pub(super) fn run(args: &SaveArgs, context: &Context) -> Result<Exit, CliError> {
    let ending = args.file.extension().and_then(|ending| ending.to_str());
    if matches!(ending, Some("zst" | "zstd" | "xz" | "bz2" | "zip")) {
        return Err(CliError::usage(format!(
            "a snapshot is packed with gzip, and {} says otherwise",
            args.file.display()
        ))
        .hint("call it .tar.gz"));
    }
    let dir = &args.data_dir;
    View::open(dir.clone()).map_err(|error| {
        CliError::not_found(error).hint("--data-dir names the directory of rmq serve")
    })?;
    if args.dry_run {
        return dry_run(dir, context);
    }
    if args.file.exists() && !args.force {
        return Err(
            CliError::usage(format!("{} is there already", args.file.display()))
                .hint("--force replaces it"),
        );
    }
    // Held to the end: nobody starts a broker meanwhile.
    let lock = match DirLock::take(&Layout::new(dir)) {
        Ok(lock) => Some(lock),
        Err(StoreError::InUse { .. }) => None,
        Err(error) => return Err(CliError::failed(error)),
    };
    let stop = Stop::listen()?;
    let part = part_of(&args.file);
    let head = Head {
        rmq_snapshot: VERSION,
        rmq: env!("CARGO_PKG_VERSION").to_owned(),
        created_timestamp: context.clock.now_ms(),
        running: lock.is_none(),
        source: dir.display().to_string(),
    };
    let progress = context.output.progress(0, Unit::Bytes);
    let stopped = || stop.is_asked();
    let written = write(&part, dir, &head, &progress, &stopped);
    progress.finish();
    let written = written.and_then(|manifest| {
        std::fs::rename(&part, &args.file)?;
        Ok(manifest)
    });
    let manifest = match written {
        Ok(manifest) => manifest,
        Err(error) => {
            // It is not there if it could not even be made.
            std::fs::remove_file(&part).ok();
            if stop.is_asked() {
                context.output.note("interrupted: nothing was saved");
                return Ok(Exit::Interrupted);
            }
            return Err(CliError::new(
                CliError::from(io::Error::from(error.kind())).exit(),
                format!("the snapshot could not be written: {error}"),
            ));
        }
    };
    drop(lock);
    tell(&args.file, &head, &manifest, context)
}

fn tell(
    file: &Path,
    head: &Head,
    manifest: &Manifest,
    context: &Context,
) -> Result<Exit, CliError> {
    let stored: u64 = manifest.files.iter().map(|file| file.stored_bytes).sum();
    let packed = std::fs::metadata(file)?.len();
    show_sound(file, packed, head, manifest, context)?;
    let how = if head.running {
        "of a running broker"
    } else {
        "of a stopped broker"
    };
    context.output.note(&format!(
        "saved {how}: {} of data, {} packed",
        human_bytes(stored),
        human_bytes(packed)
    ));
    Ok(Exit::Ok)
}

fn dry_run(dir: &Path, context: &Context) -> Result<Exit, CliError> {
    let mut rows = Vec::new();
    for phase in 0..PHASES {
        for part in cut::files(dir, phase)? {
            let Some((mut file, bytes)) = open(&part)? else {
                continue;
            };
            let stored = cut::data_len(&mut file, bytes)?;
            rows.push(json!({"path": part.name, "bytes": bytes, "storedBytes": stored}));
        }
    }
    let count = rows.len();
    context.output.rows(FILE_COLUMNS, rows)?;
    context.output.note(&format!("would save {count} files"));
    Ok(Exit::Ok)
}

fn part_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    name.into()
}

/// A file and its length; `None` if it is gone.
fn open(part: &Part) -> io::Result<Option<(File, u64)>> {
    match File::options().read(true).open(&part.path) {
        Ok(file) => {
            let len = file.metadata()?.len();
            Ok(Some((file, len)))
        }
        // Retention, or a deleted topic.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes all of it and waits until it is on the disk.
fn write(
    to: &Path,
    dir: &Path,
    head: &Head,
    progress: &Progress,
    stop: &dyn Fn() -> bool,
) -> io::Result<Manifest> {
    let file = File::options().write(true).create_new(true).open(to)?;
    let out = BufWriter::with_capacity(256 << 10, file);
    let mut archive = Archive {
        tar: Builder::new(GzEncoder::new(out, Compression::fast())),
        modified: u64::try_from(head.created_timestamp / 1000).unwrap_or_default(),
        progress,
        stop,
    };
    archive.text(HEAD, head)?;
    let mut manifest = Manifest::default();
    if head.running {
        // The copy was never stopped in order, so whoever opens it has to look at it closely.
        let empty = archive.file("abort", io::empty(), 0, 0)?;
        manifest.files.push(empty);
    }
    for phase in 0..PHASES {
        let is_log = phase + 1 == PHASES;
        if is_log && head.running {
            manifest.log_end = cut::log_end(dir)?;
        }
        for part in cut::files(dir, phase)? {
            let Some((mut file, bytes)) = open(&part)? else {
                continue;
            };
            let limit = manifest
                .log_end
                .filter(|_| is_log)
                .and_then(|end| cut::limit(&part.name, end))
                .map_or(bytes, |limit| limit.min(bytes));
            let stored = cut::data_len(&mut file, limit)?;
            file.rewind()?;
            let entry = archive.file(&part.name, file, bytes, stored)?;
            manifest.files.push(entry);
        }
    }
    if !head.running {
        manifest.log_end = cut::log_end(dir)?;
    }
    archive.text(MANIFEST, &manifest)?;
    let file = archive.tar.into_inner()?.finish()?.into_inner()?;
    file.sync_all()?;
    Ok(manifest)
}

/// An archive that is being written.
struct Archive<'a, W: Write> {
    tar: Builder<W>,
    /// Seconds since 1970.
    modified: u64,
    progress: &'a Progress,
    stop: &'a dyn Fn() -> bool,
}

impl<W: Write> Archive<'_, W> {
    fn header(&self, len: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_size(len);
        header.set_mode(0o644);
        header.set_mtime(self.modified);
        header
    }

    fn text(&mut self, name: &str, value: &impl serde::Serialize) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(value)?;
        let mut header = self.header(text.len() as u64);
        self.tar.append_data(&mut header, name, text.as_slice())
    }

    fn file(
        &mut self,
        name: &str,
        input: impl io::Read,
        bytes: u64,
        stored: u64,
    ) -> io::Result<Entry> {
        let mut header = self.header(stored);
        let mut input = Hashing::new(input, stored, self.progress, self.stop).padded();
        self.tar.append_data(&mut header, name, &mut input)?;
        Ok(Entry {
            path: name.to_owned(),
            bytes,
            stored_bytes: stored,
            sha256: input.finish(),
        })
    }
}
