//! `rmq clock`: the time brokers live in, and moving it where `rmq serve --virtual-clock` allows that.

use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use super::Context;
use super::exit::{CliError, Exit};
use super::output::Column;
use super::times::show_time;
use crate::base::units::parse_duration;
use crate::client::{Client, ClientOptions, RouteBroker};

/// Show the clock of the brokers, or move a virtual one
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Show what time it is for each broker
    Show(Target),
    /// Move a virtual clock forward; what comes due is delivered at once
    Advance {
        /// How far: 500ms, 10s, 2h, 3d
        #[arg(value_name = "DURATION", value_parser = parse_duration)]
        by: Duration,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Clone, Debug, clap::Args)]
struct Target {
    /// Only this broker, not all the name servers know
    #[arg(long, value_name = "ADDR")]
    broker: Option<String>,
}

const COLUMNS: &[Column] = &[
    Column::new("broker", "BROKER"),
    Column::new("time", "TIME"),
    Column::new("timeMs", "MS").right().wide(),
    Column::new("virtual", "VIRTUAL"),
];

/// Runs the command.
pub(crate) fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    let (by, target) = match args.what {
        What::Show(target) => (None, target),
        What::Advance { by, target } => (Some(by), target),
    };
    context.block_on(async {
        let client = Client::connect(context.name_servers(), ClientOptions::default()).await?;
        let admin = client.admin();
        let brokers: Vec<String> = if let Some(address) = target.broker {
            vec![address]
        } else {
            let brokers = admin.clusters().await?.brokers;
            let masters = brokers.iter().filter_map(RouteBroker::master);
            masters.map(str::to_owned).collect()
        };
        if brokers.is_empty() {
            return Err(CliError::not_found("the name server knows no broker"));
        }
        let mut rows = Vec::new();
        for broker in brokers {
            let clock = admin.clock(&broker, by).await?;
            rows.push(json!({
                "broker": broker,
                "time": show_time(clock.now_ms, context.global.utc),
                "timeMs": clock.now_ms,
                "virtual": clock.is_virtual,
            }));
        }
        context.output.rows(COLUMNS, rows)?;
        client.close().await;
        Ok(Exit::Ok)
    })
}
