//! `rmq config show`: what the command line goes by, and why.
#![allow(
    clippy::doc_markdown,
    reason = "these comments are printed as help, where backticks would be noise"
)]

use clap::Subcommand;
use serde_json::{Value, json};

use super::Context;
use super::exit::{CliError, Exit};
use super::output::Column;
use super::settings::{Given, name_of};

/// Show the settings in force
///
/// Order: flag, variable RMQ_…, NAMESRV_ADDR, context, ./rmq.yaml, default. A context named by --context or RMQ_CONTEXT
/// counts as said there. What a node goes by is shown by `rmq broker config get`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  rmq config show --origin")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print each setting with its value
    Show {
        /// Also where it was found
        #[arg(long)]
        origin: bool,
    },
}

const PLAIN: &[Column] = &[
    Column::new("setting", "SETTING").name(),
    Column::new("value", "VALUE"),
    Column::new("origin", "ORIGIN").wide(),
];

const WITH_ORIGIN: &[Column] = &[
    Column::new("setting", "SETTING").name(),
    Column::new("value", "VALUE"),
    Column::new("origin", "ORIGIN"),
];

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let What::Show { origin } = args.what;
    let settings = &context.settings;
    let row = |name: &str, value: Value, origin: &dyn std::fmt::Display| json!({ "setting": name, "value": value, "origin": origin.to_string() });
    let named = |given: &Given<Option<super::output::Format>>| {
        given.value.and_then(|format| name_of(&format))
    };
    let mut rows = Vec::new();
    if let Some(context) = &settings.context {
        rows.push(row(
            "context",
            context.value.clone().into(),
            &context.origin,
        ));
    }
    rows.push(row(
        "namesrv",
        settings.namesrv.value.clone().into(),
        &settings.namesrv.origin,
    ));
    rows.push(row(
        "output",
        named(&settings.output).into(),
        &settings.output.origin,
    ));
    rows.push(row(
        "color",
        name_of(&settings.color.value).into(),
        &settings.color.origin,
    ));
    rows.push(row("utc", settings.utc.value.into(), &settings.utc.origin));
    let columns = if origin { WITH_ORIGIN } else { PLAIN };
    context.output.rows(columns, rows)?;
    Ok(Exit::Ok)
}
