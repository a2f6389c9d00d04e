//! `rmq snapshot restore` and `rmq snapshot status`: both read all of the archive and believe nothing in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::json;
use tar::EntryType;

use super::archive::{Entry, HEAD, Hashing, Head, MANIFEST, Manifest};
use super::{FILE_COLUMNS, RestoreArgs, STATUS_COLUMNS, StatusArgs, show_sound};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::inspect::watch::Stop;
use crate::cli::output::{Progress, Unit, human_bytes};
use crate::cli::times::show_time;
use crate::store::layout::Layout;
use crate::store::lock::DirLock;

/// The most bytes of the entries that describe the others.
const TEXT_MAX: u64 = 64 << 20;
/// What a broker was told about its role. No snapshot has it.
const ROLE_FILE: &str = "config/rmqReplication.json";
/// The longest file that is restored: hundred times the largest of a store.
const FILE_MAX: u64 = 1 << 40;
/// Blocks of zeros of this size are not written: they stay holes.
const BLOCK: usize = 64 << 10;

/// A snapshot that was read and found whole.
struct Checked {
    head: Head,
    manifest: Manifest,
}

pub(super) fn status(args: &StatusArgs, context: &Context) -> Result<Exit, CliError> {
    let stop = Stop::listen()?;
    let packed = std::fs::metadata(&args.file)
        .map_err(|error| CliError::unreadable(args.file.display(), &error))?
        .len();
    let progress = context.output.progress(0, Unit::Bytes);
    let checked = read(&args.file, None, &progress, &|| stop.is_asked());
    progress.finish();
    if stop.is_asked() {
        context
            .output
            .note("interrupted: not all of it was looked at");
        return Ok(Exit::Interrupted);
    }
    let checked = match checked {
        Ok(checked) => checked,
        Err(error) => {
            let file = args.file.display().to_string();
            let row = json!({"file": file, "packedBytes": packed, "sound": false});
            context.output.rows(STATUS_COLUMNS, [row])?;
            return Err(CliError::new(Exit::CheckFailed, error));
        }
    };
    let Checked { head, manifest } = checked;
    show_sound(&args.file, packed, &head, &manifest, context)?;
    Ok(Exit::Ok)
}

pub(super) fn run(args: &RestoreArgs, context: &Context) -> Result<Exit, CliError> {
    let target = std::path::absolute(&args.data_dir)?;
    let occupied = is_occupied(&target)?;
    if occupied && !args.force {
        return Err(
            CliError::usage(format!("{} is not empty", target.display()))
                .hint("restore into another directory, or --force: what is there is moved aside"),
        );
    }
    let stop = Stop::listen()?;
    let stopped = || stop.is_asked();
    let progress = context.output.progress(0, Unit::Bytes);
    if args.dry_run {
        let checked = read(&args.file, None, &progress, &stopped);
        progress.finish();
        let files = checked?.manifest.files;
        let rows = files.iter().map(|file| {
            json!({"path": file.path, "bytes": file.bytes, "storedBytes": file.stored_bytes})
        });
        context.output.rows(FILE_COLUMNS, rows)?;
        context.output.note(&format!(
            "would restore {} files to {}",
            files.len(),
            target.display()
        ));
        return Ok(Exit::Ok);
    }
    // A broker that runs there keeps its directory.
    let lock = if occupied {
        Some(
            DirLock::take(&Layout::new(&target))
                .map_err(|error| CliError::new(Exit::NotPermitted, error))?,
        )
    } else {
        None
    };
    let parent = target.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(parent)?;
    let temporary = beside(&target, "restoring");
    std::fs::create_dir(&temporary)?;
    let checked = read(&args.file, Some(&temporary), &progress, &stopped);
    progress.finish();
    let placed = checked.and_then(|checked| {
        keep_role(&target, &temporary)?;
        let aside = put_in_place(&temporary, &target, occupied)?;
        Ok((checked, aside))
    });
    drop(lock);
    let (checked, aside) = match placed {
        Ok(placed) => placed,
        Err(error) => {
            // What was restored so far is of no use to anybody.
            std::fs::remove_dir_all(&temporary).ok();
            if stop.is_asked() {
                context.output.note("interrupted: nothing was restored");
                return Ok(Exit::Interrupted);
            }
            return Err(error);
        }
    };
    if let Some(aside) = aside {
        let note = format!("what was there before is in {}", aside.display());
        context.output.note(&note);
    }
    let bytes: u64 = checked
        .manifest
        .files
        .iter()
        .map(|one| one.stored_bytes)
        .sum();
    context.output.note(&format!(
        "restored {} files, {} of data, as of {} to {}",
        checked.manifest.files.len(),
        human_bytes(bytes),
        show_time(checked.head.created_timestamp, context.global.utc),
        target.display()
    ));
    Ok(Exit::Ok)
}

/// Whether there is anything at the path.
fn is_occupied(path: &Path) -> Result<bool, CliError> {
    match std::fs::read_dir(path) {
        Ok(mut children) => Ok(children.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(CliError::unreadable(path.display(), &error)),
    }
}

/// The role a broker was told is its own, whosever log it has from now on: an old master that was fenced, or made a slave,
/// must not take messages with the new one's log.
fn keep_role(target: &Path, temporary: &Path) -> Result<(), CliError> {
    let told = target.join(ROLE_FILE);
    if told.exists() {
        std::fs::create_dir_all(temporary.join("config"))?;
        std::fs::copy(told, temporary.join(ROLE_FILE))?;
    }
    Ok(())
}

/// A name beside a path that nobody else takes.
fn beside(path: &Path, what: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{what}-{}", std::process::id()))
}

/// Renames; returns where the old directory is now.
fn put_in_place(
    temporary: &Path,
    target: &Path,
    occupied: bool,
) -> Result<Option<PathBuf>, CliError> {
    let aside = occupied.then(|| beside(target, "before-restore"));
    match &aside {
        Some(aside) => std::fs::rename(target, aside)?,
        None if target.exists() => std::fs::remove_dir(target)?,
        None => {}
    }
    if let Err(error) = std::fs::rename(temporary, target) {
        if let Some(aside) = &aside {
            // As it was before, if that is still possible.
            std::fs::rename(aside, target).ok();
        }
        return Err(error.into());
    }
    Ok(aside)
}

/// Reads the whole archive, writes its files to `to` if that is given, and compares them with the manifest.
fn read(
    path: &Path,
    to: Option<&Path>,
    progress: &Progress,
    stop: &dyn Fn() -> bool,
) -> Result<Checked, CliError> {
    let file = File::options().read(true).open(path);
    let mut file = file.map_err(|error| CliError::unreadable(path.display(), &error))?;
    let mut magic = [0; 2];
    if file.read_exact(&mut magic).is_err() || magic != [0x1f, 0x8b] {
        return Err(CliError::failed(format!(
            "{} is not a snapshot of rmq: it is not packed with gzip",
            path.display()
        )));
    }
    file.rewind()?;
    let input = GzDecoder::new(BufReader::with_capacity(256 << 10, file));
    let mut archive = tar::Archive::new(input);
    let mut reading = Reading {
        to,
        progress,
        stop,
        head: None,
        manifest: None,
        found: BTreeMap::new(),
    };
    let read = archive
        .entries()
        .map_err(Trouble::from)
        .and_then(|entries| {
            for entry in entries {
                reading.entry(entry?)?;
            }
            Ok(())
        });
    let checked = read.and_then(|()| {
        // The archive's end comes before the packing's, whose checksum covers head and manifest too.
        io::copy(&mut archive.into_inner(), &mut io::sink())?;
        reading.finish()
    });
    checked.map_err(|trouble| trouble.about(path))
}

/// Why an archive cannot be used.
enum Trouble {
    /// The file itself, or where it goes to.
    Io(io::Error),
    /// What is in it.
    Told(CliError),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<CliError> for Trouble {
    fn from(error: CliError) -> Self {
        Self::Told(error)
    }
}

impl Trouble {
    fn damaged(text: impl std::fmt::Display) -> Self {
        Self::Told(CliError::failed(format!("damaged: {text}")))
    }

    fn about(self, path: &Path) -> CliError {
        let path = path.display();
        match self {
            Self::Io(error) => match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    CliError::failed(format!("{path}: damaged: it ends too early"))
                }
                _ => CliError::failed(format!("{path}: {error}")),
            },
            Self::Told(error) => {
                let told = CliError::new(error.exit(), format!("{path}: {error}"));
                match error.hint_text() {
                    Some(hint) => told.hint(hint),
                    None => told,
                }
            }
        }
    }
}

/// An archive that is being read.
struct Reading<'a> {
    to: Option<&'a Path>,
    progress: &'a Progress,
    stop: &'a dyn Fn() -> bool,
    head: Option<Head>,
    manifest: Option<Manifest>,
    /// How many bytes of each file there were, and their hash.
    found: BTreeMap<String, (u64, String)>,
}

impl Reading<'_> {
    fn entry<R: Read>(&mut self, mut entry: tar::Entry<'_, R>) -> Result<(), Trouble> {
        if entry.header().entry_type() != EntryType::Regular {
            return Err(Trouble::damaged("there is something else than files in it"));
        }
        let name = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| Trouble::damaged("a name is no text"))?;
        if self.head.is_none() {
            if name != HEAD {
                return Err(Head::read(b"")
                    .err()
                    .map_or_else(|| Trouble::damaged("it has no head"), Trouble::Told));
            }
            self.head = Some(Head::read(&text(&mut entry)?)?);
            return Ok(());
        }
        if self.manifest.is_some() {
            return Err(Trouble::damaged(format!("{name} comes behind the end")));
        }
        if name == MANIFEST {
            let manifest = serde_json::from_slice(&text(&mut entry)?);
            let manifest =
                manifest.map_err(|error| Trouble::damaged(format!("{MANIFEST}: {error}")))?;
            self.manifest = Some(manifest);
            return Ok(());
        }
        if !is_inside(&name) {
            return Err(Trouble::damaged(format!(
                "{name:?} leads out of the directory"
            )));
        }
        if self.found.contains_key(&name) {
            return Err(Trouble::damaged(format!("{name} is in it twice")));
        }
        let len = entry.size();
        let mut input = Hashing::new(&mut entry, len, self.progress, self.stop);
        match self.to {
            Some(dir) => write_sparse(&dir.join(&name), &mut input)?,
            None => {
                io::copy(&mut input, &mut io::sink())?;
            }
        }
        self.found.insert(name, (len, input.finish()));
        Ok(())
    }

    /// Compares, and gives the files their length.
    fn finish(self) -> Result<Checked, Trouble> {
        let Some(head) = self.head else {
            return Err(Trouble::damaged("it is empty"));
        };
        let Some(manifest) = self.manifest else {
            return Err(Trouble::damaged(
                "it ends too early, the manifest is not there",
            ));
        };
        let mut found = self.found;
        for file in &manifest.files {
            match found.remove(&file.path) {
                None => {
                    return Err(Trouble::damaged(format!("{} is not in it", file.path)));
                }
                Some((len, hash)) if len != file.stored_bytes || hash != file.sha256 => {
                    return Err(Trouble::damaged(format!(
                        "{} is not what was saved: its SHA-256 is {hash}",
                        file.path
                    )));
                }
                Some(_) if file.bytes < file.stored_bytes || file.bytes > FILE_MAX => {
                    return Err(Trouble::damaged(format!(
                        "{} cannot have {} bytes",
                        file.path, file.bytes
                    )));
                }
                Some(_) => {}
            }
            if let Some(dir) = self.to {
                set_len(&dir.join(&file.path), file)?;
            }
        }
        if let Some(name) = found.keys().next() {
            return Err(Trouble::damaged(format!("{name} is not in the manifest")));
        }
        Ok(Checked { head, manifest })
    }
}

/// One of the entries that describe the others.
fn text(entry: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    entry.take(TEXT_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// Whether a path stays below the directory it is joined to.
fn is_inside(name: &str) -> bool {
    let mut parts = Path::new(name).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// Writes a new file, leaving holes where there are only zeros.
fn write_sparse(path: &Path, input: &mut impl Read) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut file = File::options().write(true).create_new(true).open(path)?;
    let zeros = vec![0; BLOCK];
    let mut block = Vec::with_capacity(BLOCK);
    loop {
        block.clear();
        let read = input.take(BLOCK as u64).read_to_end(&mut block)?;
        if read == 0 {
            return Ok(());
        }
        if zeros.get(..read) == Some(block.as_slice()) {
            file.seek(SeekFrom::Current(i64::try_from(read).unwrap_or(0)))?;
        } else {
            file.write_all(&block)?;
        }
    }
}

fn set_len(path: &Path, entry: &Entry) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(entry.bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out() {
        assert!(is_inside("commitlog/00000000000000000000") && is_inside("..x"));
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "."] {
            assert!(!is_inside(bad), "{bad}");
        }
    }

    #[test]
    fn zeros_become_holes_and_keep_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let mut bytes = vec![0; 3 * BLOCK];
        bytes[2 * BLOCK + 7] = 5;
        write_sparse(&path, &mut bytes.as_slice()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}
