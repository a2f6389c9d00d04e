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

use std::time::Duration;

use clap::Subcommand;

use super::Context;
use super::exit::{CliError, Exit};
use super::plan::Consent;
use crate::base::units::parse_duration;
use crate::client::{Client, ClientError, ClientOptions};

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

/// Which replica is to become master.
#[derive(Clone, Debug, clap::Args)]
struct Next {
    /// The brokers of this name
    #[arg(value_name = "BROKER")]
    broker: String,
    /// The replica that becomes master
    #[arg(long, value_name = "ADDR")]
    to: Option<String>,
    /// How long it may take to catch up
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    wait: Duration,
}

impl What {
    /// Whether it asks only controllers that were named.
    fn asks_controllers(&self) -> bool {
        match self {
            Self::Status(args) => args.controllers.is_given(),
            Self::Controllers(args) => args.controllers.is_given(),
            _ => false,
        }
    }
}

/// What controllers say is worth most when nothing else answers.
async fn connect(what: &What, context: &Context) -> Result<Client, CliError> {
    let options = ClientOptions::default();
    match Client::connect(context.name_servers(), options.clone()).await {
        Err(error @ ClientError::NoNameServer { .. }) if what.asks_controllers() => {
            context.output.warn(&format!(
                "{error}; brokers that the controllers do not know are missing"
            ));
            Ok(Client::without_name_servers(options))
        }
        connected => Ok(connected?),
    }
}

/// Runs the command.
pub(crate) fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    context.block_on(async {
        let client = connect(&args.what, context).await?;
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
