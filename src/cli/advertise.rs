//! `rmq advertise`: tells a node that waits for it the address its clients are to be told.

use std::time::Duration;

use super::Context;
use super::exit::{CliError, Exit};
use crate::client::Webhook;
use crate::node::config::HostPort;

const LIMIT: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  rmq serve --advertise wait --http 8082 &     binds its ports, answers /livez, and waits
  rmq advertise localhost:32768                registers as this, and becomes ready
  curl -d localhost:32768 http://127.0.0.1:8082/advertise";

/// Tell a node that was started with --advertise wait which address its clients can reach
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where clients reach the broker; without a port, on the port it listens on
    #[arg(value_name = "HOST[:PORT]")]
    address: HostPort,
    /// The HTTP port of the node
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8082")]
    http: String,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    context.block_on(async {
        let node = Webhook::new(&format!("http://{}/advertise", args.http), LIMIT)?;
        let (status, answer) = node.post_text(args.address.to_string()).await?;
        let answer = answer.trim();
        match status {
            200 => {
                context.output.note(answer);
                Ok(Exit::Ok)
            }
            400 => Err(CliError::usage(answer)),
            _ => Err(CliError::failed(format!("{} refused: {answer}", args.http))),
        }
    })
}
