//! `rmq send`.

use super::Context;
use super::exit::{CliError, Exit};

/// (not built yet)
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_args: Args, _context: &Context) -> Result<Exit, CliError> {
    Err(CliError::failed("this command is not built yet"))
}
