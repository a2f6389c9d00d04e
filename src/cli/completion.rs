//! `rmq completion`: the completion script of a shell, on stdout.

use clap::CommandFactory as _;

use super::Context;
use super::args::{Cli, Shell};
use super::exit::{CliError, Exit};

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    context.output.raw(&script(args.shell))?;
    Ok(Exit::Ok)
}

/// The completion script of `shell`.
pub(crate) fn script(shell: Shell) -> Vec<u8> {
    use clap_complete::{Shell as Target, generate};
    let target = match shell {
        Shell::Bash => Target::Bash,
        Shell::Zsh => Target::Zsh,
        Shell::Fish => Target::Fish,
        Shell::PowerShell => Target::PowerShell,
        Shell::Elvish => Target::Elvish,
    };
    let mut script = Vec::new();
    generate(target, &mut Cli::command(), "rmq", &mut script);
    script
}
