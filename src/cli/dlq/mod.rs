//! `rmq dlq`: what became of messages that could not be consumed, and what to do with them.
//!
//! A message whose group has given up lies in the topic `%DLQ%group`, one that waits for its next try in `%RETRY%group`;
//! with `--retry` the commands are about the latter. Nothing here deletes but `purge`, which deletes the whole topic:
//! brokers have no request that removes single messages.
//!
//! Brokers before 5.0 made dead-letter topics that could be written but not read. `--open` makes them readable; without
//! it the commands say so and end.

mod export;
mod letters;
mod ls;
mod pick;
mod purge;
mod replay;
mod show;

use super::Context;
use super::exit::{CliError, Exit};
use crate::client::{ClientError, GroupName};

/// Dead letters: list them, look at them, send them again, keep them, purge them
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "\
Examples:
  rmq dlq ls
  rmq dlq show billing --since -1d
  rmq dlq replay billing --match timeout --rate 50/s --dry-run
  rmq dlq replay billing --match timeout --rate 50/s --yes --report r.jsonl
  rmq dlq replay billing --resume r.jsonl --yes
  rmq dlq export billing > billing.jsonl
  rmq dlq ls --retry"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// Messages that wait for their next try (%RETRY%GROUP) instead of dead letters (%DLQ%GROUP)
    #[arg(long, global = true)]
    retry: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Ls(ls::Args),
    Show(show::Args),
    Replay(Box<replay::Args>),
    Export(export::Args),
    Purge(purge::Args),
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let kind = if args.retry { Kind::Retry } else { Kind::Dead };
    match &args.command {
        Command::Ls(args) => ls::run(args, kind, context),
        Command::Show(args) => show::run(args, kind, context),
        Command::Replay(args) => replay::run(args, kind, context),
        Command::Export(args) => export::run(args, kind, context),
        Command::Purge(args) => purge::run(args, kind, context),
    }
}

/// Which messages a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Those a group has given up.
    Dead,
    /// Those it gets again.
    Retry,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Dead => "%DLQ%",
            Self::Retry => "%RETRY%",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Dead => "dead letters",
            Self::Retry => "messages to retry",
        }
    }
}

/// A group and the topic its messages lie in.
#[derive(Clone, Debug)]
struct Place {
    kind: Kind,
    group: GroupName,
    topic: String,
}

impl Place {
    /// Takes the name of a group, or that of the topic itself.
    fn new(kind: Kind, group: &str) -> Result<Self, CliError> {
        let group = group.strip_prefix(kind.prefix()).unwrap_or(group);
        Ok(Self {
            kind,
            group: GroupName::parse(group).map_err(ClientError::from)?,
            topic: format!("{}{group}", kind.prefix()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_names_its_group() {
        let place = Place::new(Kind::Dead, "billing").unwrap();
        assert_eq!(place.topic, "%DLQ%billing");
        let place = Place::new(Kind::Retry, "%RETRY%billing").unwrap();
        assert_eq!(place.group.as_str(), "billing");
        assert_eq!(place.topic, "%RETRY%billing");
        assert!(Place::new(Kind::Dead, "a b").is_err());
    }
}
