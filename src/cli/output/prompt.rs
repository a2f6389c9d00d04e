//! Questions, asked only where somebody can answer.

use std::io::{self, IsTerminal};

use crate::cli::exit::CliError;

/// Whether somebody can answer: questions are read from stdin and shown on stderr.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks yes or no (no is the default).
pub(super) fn confirm(question: &str) -> Result<bool, CliError> {
    dialoguer::Confirm::new()
        .with_prompt(question)
        .default(false)
        .interact()
        .map_err(|dialoguer::Error::IO(error)| CliError::from(error))
}

/// Asks for a line of text.
pub(super) fn ask_for(question: &str) -> Result<String, CliError> {
    dialoguer::Input::<String>::new()
        .with_prompt(question)
        .allow_empty(true)
        .interact_text()
        .map_err(|dialoguer::Error::IO(error)| CliError::from(error))
}
