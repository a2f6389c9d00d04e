//! `rmq client`: who is connected, and what a consumer says about itself.

mod list;
mod running;

use clap::Subcommand;

use super::Context;
use super::exit::{CliError, Exit};

/// List connected producers and consumers, and ask consumers about themselves
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq client ls --group billing
  rmq client show 10.0.0.7@4711#1
  rmq client stack 10.0.0.7@4711#1 | less")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Ls(list::Args),
    Show(running::ShowArgs),
    Stack(running::StackArgs),
}

/// Runs the command.
pub(crate) fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    context.block_on(async {
        let client = context.connect().await?;
        let admin = client.admin();
        let exit = match args.what {
            What::Ls(args) => list::run(args, &admin, context).await,
            What::Show(args) => running::show(args, &admin, context).await,
            What::Stack(args) => running::stack(args, &admin, context).await,
        };
        client.close().await;
        exit
    })
}

/// The release that a version number of the protocol stands for (`MQVersion`): from 4.0.0 on each release has two
/// numbers, one for its snapshots.
pub(crate) fn version(number: i32) -> String {
    const V4_0_0_SNAPSHOT: i32 = 212;
    const AFTER_THE_LAST: i32 = 612;
    if !(V4_0_0_SNAPSHOT..AFTER_THE_LAST).contains(&number) {
        return format!("#{number}");
    }
    let release = (number - V4_0_0_SNAPSHOT) / 2;
    let snapshot = if (number - V4_0_0_SNAPSHOT) % 2 == 0 {
        "-snapshot"
    } else {
        ""
    };
    format!(
        "{}.{}.{}{snapshot}",
        4 + release / 100,
        release / 10 % 10,
        release % 10
    )
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn numbers_are_releases() {
        assert_eq!(version(213), "4.0.0");
        assert_eq!(version(411), "4.9.9");
        assert_eq!(version(513), "5.5.0");
        assert_eq!(version(412), "5.0.0-snapshot");
        assert_eq!(version(47), "#47");
    }
}
