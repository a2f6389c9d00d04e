//! `rmq snapshot`: a data directory in one file, and back.
//!
//! A snapshot is a tar archive packed with gzip: a head, the files, and a manifest with the SHA-256 of each file at the end,
//! so that one that was cut off is never taken for whole. Zeros at the end of a file, which store files have by the
//! gigabyte, are not in the archive; the manifest knows the whole length. Absent on purpose: zstd, because the only encoder at
//! hand ([`ruzstd`]'s) packs in one go and no better than gzip does.
#![allow(
    clippy::doc_markdown,
    reason = "comments of arguments are printed as help, where backticks would be noise"
)]

mod archive;
mod cut;
mod restore;
mod save;

use std::path::{Path, PathBuf};

use serde_json::json;

use self::archive::{Head, Manifest};
use super::Context;
use super::exit::{CliError, Exit};
use super::output::Column;
use super::times::show_time;

const STATUS_COLUMNS: &[Column] = &[
    Column::new("file", "FILE").name(),
    Column::new("createdTime", "CREATED"),
    Column::new("running", "RUNNING"),
    Column::new("files", "FILES").right(),
    Column::new("bytes", "BYTES").right(),
    Column::new("packedBytes", "PACKED").right(),
    Column::new("logEnd", "LOG END").right(),
    Column::new("sound", "SOUND"),
    Column::new("source", "FROM").wide(),
    Column::new("rmq", "RMQ").wide(),
    Column::new("version", "VERSION").right().wide(),
    Column::new("createdTimestamp", "CREATED MS").right().wide(),
];

const FILE_COLUMNS: &[Column] = &[
    Column::new("path", "FILE").name(),
    Column::new("bytes", "BYTES").right(),
    Column::new("storedBytes", "STORED").right(),
];

/// Save a node's data directory as one file, and restore it
///
/// Messages, offsets, topics, groups and settings, as of one moment. The broker may be running: every message that was
/// acknowledged before the snapshot began is in it, and what came meanwhile is cut off where the log was when it ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq snapshot save fixtures.tar.gz --data-dir ./data
  rmq snapshot status fixtures.tar.gz
  rmq snapshot restore fixtures.tar.gz --data-dir ./fresh && rmq serve --data-dir ./fresh")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Save(SaveArgs),
    Restore(RestoreArgs),
    Status(StatusArgs),
}

/// Save a data directory, of a stopped node or a running one on this machine
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq snapshot save before-upgrade.tar.gz --data-dir /var/lib/rmq
  rmq snapshot save s.tar.gz --data-dir ./data --dry-run")]
struct SaveArgs {
    /// The file to write: a tar archive packed with gzip, so call it .tar.gz
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The data directory, as in rmq serve --data-dir
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Replace FILE if it is there
    #[arg(long)]
    force: bool,
    /// Show which files would be saved
    #[arg(long)]
    dry_run: bool,
}

/// Restore a snapshot as a data directory
///
/// Everything is checked before anything is put in place. A directory that is not empty is refused; with --force it is moved
/// aside, not deleted, and the role its broker was told by `rmq failover` stays with it. So a replica gets its master's log:
/// restore a snapshot of the running master, and start the broker with --role slave, or as the slave it was made.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq snapshot restore fixtures.tar.gz --data-dir ./fresh
  rmq snapshot restore before-upgrade.tar.gz --data-dir /var/lib/rmq --force")]
struct RestoreArgs {
    /// The snapshot
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The directory to make
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Also if the directory is not empty: what is there is moved aside
    #[arg(long)]
    force: bool,
    /// Check the snapshot and show what would be restored
    #[arg(long)]
    dry_run: bool,
}

/// Check a snapshot and say what is in it
///
/// Exit code 7 if it is damaged.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq snapshot status fixtures.tar.gz
  rmq snapshot status fixtures.tar.gz -o json")]
struct StatusArgs {
    /// The snapshot
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    match &args.action {
        Action::Save(args) => save::run(args, context),
        Action::Restore(args) => restore::run(args, context),
        Action::Status(args) => restore::status(args, context),
    }
}

/// The row of a snapshot in which everything is as its manifest says.
fn show_sound(
    file: &Path,
    packed: u64,
    head: &Head,
    manifest: &Manifest,
    context: &Context,
) -> Result<(), CliError> {
    let row = json!({
        "file": file.display().to_string(),
        "createdTime": show_time(head.created_timestamp, context.global.utc),
        "running": head.running,
        "files": manifest.files.len(),
        "bytes": manifest.files.iter().map(|file| file.bytes).sum::<u64>(),
        "packedBytes": packed,
        "logEnd": manifest.log_end,
        "sound": true,
        "source": head.source,
        "rmq": head.rmq,
        "version": head.rmq_snapshot,
        "createdTimestamp": head.created_timestamp,
    });
    context.output.rows(STATUS_COLUMNS, [row])?;
    Ok(())
}
