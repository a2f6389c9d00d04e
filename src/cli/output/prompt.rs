//! Questions, asked only where somebody can answer.

use std::io::{self, IsTerminal};

use crate::cli::exit::CliError;

/// Asks yes or no (no is the default).
pub(super) fn confirm(question: &str, flag: &str) -> Result<bool, CliError> {
    if !io::stdin().is_terminal() {
        return Err(CliError::usage(format!(
            "{question} Nobody can answer here: stdin is not a terminal"
        ))
        .hint(format!("say {flag} to answer beforehand")));
    }
    dialoguer::Confirm::new()
        .with_prompt(question)
        .default(false)
        .interact()
        .map_err(|dialoguer::Error::IO(error)| CliError::from(error))
}
