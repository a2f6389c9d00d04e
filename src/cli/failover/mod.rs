//! `rmq failover`: who is master of the brokers of a name, and making another one it.
//!
//! What is looked at lives in [`group`], what follows from it in [`decide`], what is done about it in [`promote`],
//! [`members`] and [`drill`]. Where brokers have a controller, [`controller`] has it do so.
//!
//! Absent on purpose: doing so by itself. That is for a controller.

mod apache;
mod controller;
mod decide;
mod drill;
mod group;
mod journal;
mod members;
mod promote;
mod status;

use clap::Subcommand;

use super::Context;
use super::exit::{CliError, Exit};
use super::plan::Consent;

/// Show who is master, and make a replica the master
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq failover status
  rmq failover plan broker-a
  rmq failover promote broker-a
  rmq failover switch-back broker-a --yes")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Status(status::Args),
    /// Show what `promote` would do: the same with --dry-run
    Plan(Box<promote::Args>),
    Promote(Box<promote::Args>),
    SwitchBack(promote::BackArgs),
    AddReplica(members::AddArgs),
    RemoveReplica(members::RemoveArgs),
    Drill(drill::Args),
    Controllers(controller::ListArgs),
}

/// Runs the command.
pub(crate) fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    context.block_on(async {
        let client = context.connect().await?;
        let admin = client.admin();
        let exit = match args.what {
            What::Status(args) => status::run(&args, &admin, context).await,
            What::Plan(mut args) => {
                args.consent.dry_run = true;
                promote::run(*args, &client, context).await
            }
            What::Promote(args) => promote::run(*args, &client, context).await,
            What::SwitchBack(args) => promote::back(args, &client, context).await,
            What::AddReplica(args) => members::add(args, &admin, context).await,
            What::RemoveReplica(args) => members::remove(args, &admin, context).await,
            What::Drill(args) => drill::run(args, &client, context).await,
            What::Controllers(args) => controller::list(&args, &admin, context).await,
        };
        client.close().await;
        exit
    })
}
