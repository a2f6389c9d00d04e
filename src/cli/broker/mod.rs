//! `rmq broker`: how brokers are, what they go by, who may write to them, and cleaning up.

mod change;
mod config;
mod show;

use clap::Subcommand;

use super::Context;
use super::exit::{CliError, Exit};

pub(crate) use config::pairs;
pub(crate) use show::rate;

/// List and show brokers, change their settings and permissions, clean them up
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq broker ls
  rmq broker show broker-a
  rmq broker config set flushDiskType=SYNC_FLUSH --broker broker-a --dry-run
  rmq broker perm broker-a r --yes")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Ls(show::LsArgs),
    Show(show::ShowArgs),
    Config(config::Args),
    Perm(change::PermArgs),
    Clean(change::CleanArgs),
}

/// Runs the command.
pub(crate) fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    context.block_on(async {
        let client = context.connect().await?;
        let admin = client.admin();
        let exit = match args.what {
            What::Ls(args) => show::list(args, &admin, context).await,
            What::Show(args) => show::show(args, &admin, context).await,
            What::Config(args) => config::run(args, &admin, context).await,
            What::Perm(args) => change::perm(args, &admin, context).await,
            What::Clean(args) => change::clean(args, &admin, context).await,
        };
        client.close().await;
        exit
    })
}
