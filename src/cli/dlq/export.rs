//! `rmq dlq export`: dead letters as JSON lines.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use super::letters::{Letters, row};
use super::pick::Pick;
use super::{Kind, Place};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};

/// The dead letters of a group as JSON lines, as rmq send --input jsonl takes them
///
/// Whatever the terminal: JSON lines on stdout, or in a new file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,
    #[command(flatten)]
    pick: Pick,
    /// Write to this file, which must not exist, instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Make the topic readable first, if it is not
    #[arg(long)]
    open: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args, kind: Kind, context: &Context) -> Result<Exit, CliError> {
    let place = Place::new(kind, &args.group)?;
    let picker = args.pick.compile(context.clock.now_ms())?;
    context.block_on(async {
        let client = context.connect().await?;
        let mut letters = Letters::open(&client, &place, args.open, context).await?;
        let mut out: BufWriter<Box<dyn Write + Send>> = BufWriter::new(match &args.out {
            None => Box::new(io::stdout()),
            Some(path) => {
                let file = OpenOptions::new().write(true).create_new(true).open(path);
                Box::new(file.map_err(|error| {
                    CliError::usage(format!("--out {}: {error}", path.display()))
                })?)
            }
        });
        let mut count = 0_u64;
        while let Some(letter) = letters.next().await? {
            if picker.refusal(&letter).is_none() {
                writeln!(out, "{}", row(&letter, &place, context.global.utc))?;
                count += 1;
            }
        }
        out.flush()?;
        client.close().await;
        context.output.note(&format!(
            "{count} {} of group {}",
            place.kind.words(),
            place.group
        ));
        Ok(Exit::Ok)
    })
}
