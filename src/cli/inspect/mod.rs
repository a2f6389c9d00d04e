//! `rmq inspect`: looks into a store directory, ours or a Java broker's, running or not.
//!
//! Everything goes through the read-only [`View`](crate::store::View). Damage is reported by file and byte on
//! stderr, shows up among the rows, never ends a listing, and makes the exit code 7.
//!
//! Field names are those Apache has for them (`physicalOffset`, `storeSize`, `bodyCRC`), and times are
//! plain milliseconds, so that a listing compares with what Apache's own tools decode.
//!
//! Only `fsck` judges across files, and only `fsck --repair` changes anything.

mod checkpoint;
mod commitlog;
mod consumequeue;
mod export;
mod fields;
mod fsck;
mod index;
mod info;
mod message;
mod offsets;
mod source;
mod summary;
mod timer;
mod top;
pub(crate) mod watch;

use std::io;
use std::path::Path;

use clap::Subcommand;

use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::store::layout::{SegmentFile, parse_segment_name};
use crate::store::log::walk::Damage;
use crate::store::view::{is_packed, packed_file};
use crate::store::{View, ViewError};

/// Look into a store directory, without a broker
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Info(info::Args),
    Commitlog(commitlog::Args),
    Consumequeue(consumequeue::Args),
    Index(index::Args),
    Checkpoint(checkpoint::Args),
    Timer(timer::Args),
    Offsets(offsets::Args),
    Message(message::Args),
    Top(top::Args),
    Fsck(fsck::Args),
    Export(Box<export::Args>),
}

/// Runs the command.
pub(crate) fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    match args.what {
        What::Info(args) => info::run(&args, context),
        What::Commitlog(args) => commitlog::run(&args, context),
        What::Consumequeue(args) => consumequeue::run(&args, context),
        What::Index(args) => index::run(&args, context),
        What::Checkpoint(args) => checkpoint::run(&args, context),
        What::Timer(args) => timer::run(&args, context),
        What::Offsets(args) => offsets::run(&args, context),
        What::Message(args) => message::run(&args, context),
        What::Top(args) => top::run(&args, context),
        What::Fsck(args) => fsck::run(&args, context),
        What::Export(args) => export::run(&args, context),
    }
}

impl From<ViewError> for CliError {
    fn from(error: ViewError) -> Self {
        let exit = match &error {
            ViewError::Absent { .. } | ViewError::NoStore { .. } => Exit::NotFound,
            ViewError::Unreadable { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => Exit::NotPermitted,
                _ => Exit::Failed,
            },
        };
        Self::new(exit, error)
    }
}

/// What was wrong so far, and where in which file.
struct Findings<'a> {
    context: &'a Context,
    files: Vec<SegmentFile>,
    count: u64,
}

impl<'a> Findings<'a> {
    /// Places are named by these files of the log.
    fn new(context: &'a Context, files: Vec<SegmentFile>) -> Self {
        Self {
            context,
            files,
            count: 0,
        }
    }

    /// Says on stderr what is wrong with the log, and where.
    fn damage(&mut self, damage: &Damage<'_>) {
        let bytes = damage.until.since(damage.at);
        self.damaged(damage.at.get(), bytes, &damage.reason);
    }

    /// The same for damage that was met before.
    fn damaged(&mut self, at: u64, bytes: u64, reason: &dyn std::fmt::Display) {
        let place = self.place(at);
        self.add(&format!("{place}: {reason}; {bytes} bytes"));
    }

    /// Says on stderr what is wrong.
    fn add(&mut self, text: &str) {
        self.count += 1;
        self.context.output.warn(text);
    }

    /// The file and the byte in it of a position in the log.
    fn place(&self, at: u64) -> String {
        let behind = self.files.partition_point(|file| file.base <= at);
        let file = behind.checked_sub(1).and_then(|i| self.files.get(i));
        match file.filter(|file| at < file.end()) {
            Some(file) => {
                let byte = at - file.base;
                format!("{} byte {byte} (log {at})", file.path.display())
            }
            None => format!("log {at}"),
        }
    }

    /// How the command ends: 3 if something was asked for and not there, 7 if anything was wrong.
    fn exit(&self, missing: Option<&str>) -> Result<Exit, CliError> {
        if self.count > 0 {
            return Ok(Exit::CheckFailed);
        }
        missing.map_or(Ok(Exit::Ok), |what| Err(CliError::not_found(what)))
    }
}

/// A single file as a segment. One that was renamed takes its position from `otherwise`.
fn lone_segment(
    path: &Path,
    otherwise: impl FnOnce() -> Result<u64, CliError>,
) -> Result<SegmentFile, CliError> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.map(|name| name.strip_suffix(".gz").unwrap_or(name));
    let base = match name.and_then(parse_segment_name) {
        Some(base) => base,
        None => otherwise()?,
    };
    if is_packed(path) {
        return Ok(packed_file(base, path.to_owned())?);
    }
    let meta = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
    Ok(SegmentFile {
        base,
        len: meta.len(),
        path: path.to_owned(),
    })
}

fn unreadable(path: &Path, source: io::Error) -> CliError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => ViewError::Absent { path },
        _ => ViewError::Unreadable { path, source },
    }
    .into()
}

/// The path, once it is known to exist.
fn existing(path: &Path) -> Result<&Path, CliError> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(path),
        Err(error) => Err(unreadable(path, error)),
    }
}

/// The store that `path` is, or that the file or directory `path` lies in: what is above `part`.
fn store_of(path: &Path, part: &str) -> Result<View, CliError> {
    let own = View::open(path);
    if own.is_ok() {
        return Ok(own?);
    }
    let whole = std::fs::canonicalize(path).map_err(|error| unreadable(path, error))?;
    let above = whole
        .ancestors()
        .find(|dir| dir.file_name().is_some_and(|name| name == part))
        .and_then(Path::parent);
    match above {
        Some(above) => Ok(View::open(above)?),
        None => Ok(own?),
    }
}
