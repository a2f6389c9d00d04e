//! `rmq check`: one question with limits, answered for a monitoring system.

mod look;
mod render;

use std::time::Duration;

use clap::Subcommand;

use super::Context;
use super::exit::{CliError, Exit};
use crate::base::units::parse_duration;
use render::{Finding, Form};

/// Check something against limits
///
/// Ends with 0 if all is well, with 7 if a limit is passed. With --format nagios the exit code is that of a plugin instead:
/// 0 ok, 1 warning, 2 critical, 3 unknown.
///
/// Fields: check, object, value, unit, warn, crit, status (ok, warning, critical, unknown), message.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq check lag --group billing --warn 100 --crit 1000
  rmq check behind --group billing --crit 10m --format nagios
  rmq check disk --format prometheus")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
    /// Form of the answer; -o is for the plain form
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "rows",
        value_name = "FORM"
    )]
    format: Form,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Messages a group has not consumed yet, topic by topic
    Lag {
        /// The group
        #[arg(long, value_name = "GROUP")]
        group: String,
        /// Only in this topic
        #[arg(long, value_name = "TOPIC")]
        topic: Option<String>,
        #[command(flatten)]
        limits: Limits,
    },
    /// How long ago the oldest message was stored that a group has not consumed
    Behind {
        /// The group
        #[arg(long, value_name = "GROUP")]
        group: String,
        /// Only in this topic
        #[arg(long, value_name = "TOPIC")]
        topic: Option<String>,
        /// Warn from here on
        #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse_duration)]
        warn: Duration,
        /// Critical from here on
        #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
        crit: Duration,
    },
    /// Members of a group that are connected; fewer than the limits are too few
    Members {
        /// The group
        #[arg(long, value_name = "GROUP")]
        group: String,
        #[command(flatten)]
        limits: Limits,
    },
    /// Dead letters of a group
    Dlq {
        /// The group
        #[arg(long, value_name = "GROUP")]
        group: String,
        #[command(flatten)]
        limits: Limits,
    },
    /// How full the disks of brokers are, in percent
    Disk {
        #[command(flatten)]
        limits: Limits,
    },
    /// Whether every broker answers and every group has a master
    Brokers,
    /// Whether a topic can be written and read
    Topic {
        /// The topic
        #[arg(value_name = "TOPIC")]
        topic: String,
    },
}

/// Limits; the defaults depend on what is checked.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Limits {
    /// Warn from here on [default: lag 1000, members 1, dlq 1, disk 75]
    #[arg(long, value_name = "N")]
    warn: Option<i64>,
    /// Critical from here on [default: lag 10000, members 1, dlq 100, disk 85]
    #[arg(long, value_name = "N")]
    crit: Option<i64>,
}

impl Limits {
    /// Both limits, with what holds where nothing is said.
    fn or(self, warn: i64, crit: i64) -> (i64, i64) {
        (self.warn.unwrap_or(warn), self.crit.unwrap_or(crit))
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let found = context.block_on(async {
        let client = context.connect().await?;
        let found = look::look(&args.what, &client.admin(), context).await;
        client.close().await;
        found
    });
    // A plugin that cannot tell says so in its own way.
    let found = match found {
        Err(error) if args.format == Form::Nagios => {
            vec![Finding::unknown(args.what.name(), &error)]
        }
        found => found?,
    };
    render::print(&found, args.format, context)
}

impl What {
    fn name(&self) -> &'static str {
        match self {
            Self::Lag { .. } => "lag",
            Self::Behind { .. } => "behind",
            Self::Members { .. } => "members",
            Self::Dlq { .. } => "dlq",
            Self::Disk { .. } => "disk",
            Self::Brokers => "brokers",
            Self::Topic { .. } => "topic",
        }
    }
}
