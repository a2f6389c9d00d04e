//! `rmq cheat`: the commands of every day on one page.

use super::Context;
use super::exit::{CliError, Exit};

/// Every line that begins with `  rmq ` is a command line; a test parses them.
const PAGE: &str = include_str!("cheat.txt");

/// Print the commands of every day on one page
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  rmq cheat | less")]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_: &Args, context: &Context) -> Result<Exit, CliError> {
    context.output.raw(PAGE.as_bytes())?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::PAGE;
    use crate::cli::args::Cli;

    #[test]
    fn the_page_holds_command_lines_that_exist() {
        let commands = PAGE.lines().filter_map(|line| {
            let command = line.strip_prefix("  rmq ")?;
            // What stands behind it explains it.
            Some(command.split("   ").next().unwrap_or(command))
        });
        let mut count = 0;
        for command in commands {
            let words = ["rmq"].into_iter().chain(command.split_whitespace());
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("rmq {command}: {error}");
            }
            count += 1;
        }
        assert!(count > 20);
    }

    #[test]
    fn the_page_fits_a_screen() {
        assert!(PAGE.lines().all(|line| line.len() <= 110));
        assert!(PAGE.lines().count() <= 60);
    }
}
