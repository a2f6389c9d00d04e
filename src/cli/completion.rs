//! `rmq completion`: the completion script of a shell, on stdout.
//!
//! The script is short: for every word the shell asks this program, which knows its commands and, if a name server
//! answers at once, the names in the cluster ([`live`]).

use clap::CommandFactory as _;
use clap::builder::ValueHint;
use clap_complete::CompleteEnv;
use clap_complete::engine::ArgValueCompleter;
use clap_complete::env::Shells;

use super::Context;
use super::args::{Cli, Shell};
use super::exit::{CliError, Exit};
use super::live;

/// The variable by which a script asks this program.
const VARIABLE: &str = "RMQ_COMPLETE";

/// Print the completion script of a shell
///
/// Topics, groups and brokers are completed too, if a name server answers.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(rmq completion bash)                    # in ~/.bashrc
  rmq completion zsh > ~/.zfunc/_rmq
  rmq completion fish > ~/.config/fish/completions/rmq.fish
  rmq completion powershell >> $PROFILE")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    context.output.raw(&script(args.shell)?)?;
    Ok(Exit::Ok)
}

/// The completion script of `shell`.
pub(crate) fn script(shell: Shell) -> Result<Vec<u8>, CliError> {
    let name = match shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
        Shell::PowerShell => "powershell",
        Shell::Elvish => "elvish",
    };
    let shells = Shells::builtins();
    let completer = shells
        .completer(name)
        .ok_or_else(|| CliError::failed(format!("there is no completion for {name}")))?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, "rmq", "rmq", "rmq", &mut script)?;
    Ok(script)
}

/// Answers a shell that asks what could stand next, and ends the process; does nothing otherwise.
pub(super) fn answer() {
    CompleteEnv::with_factory(|| with_names(Cli::command()))
        .var(VARIABLE)
        .bin("rmq")
        .complete();
}

/// Lets arguments that name something of the cluster ask for the names.
fn with_names(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| match arg.get_id().as_str() {
        "topic" | "topics" => arg.add(ArgValueCompleter::new(live::topics)),
        "group" | "groups" => arg.add(ArgValueCompleter::new(live::groups)),
        "broker" | "brokers" => arg.add(ArgValueCompleter::new(live::brokers)),
        "context" => arg.add(ArgValueCompleter::new(live::contexts)),
        "path" | "dir" | "data_dir" if arg.get_value_hint() == ValueHint::Unknown => {
            arg.value_hint(ValueHint::AnyPath)
        }
        _ => arg,
    });
    let names: Vec<String> = command
        .get_subcommands()
        .map(|child| child.get_name().to_owned())
        .collect();
    names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, with_names)
    })
}
