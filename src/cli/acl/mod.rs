//! `rmq acl`: users and rules of Apache's access control 2.0.

mod rule;
mod user;

use clap::Subcommand;

use super::Context;
use super::exit::{CliError, Exit};
use super::targets::{Target, Targets};
use crate::client::admin::Admin;
use crate::client::{ClientError, ResponseCode};

/// List, change, delete and copy users and rules of Apache's access control 2.0
///
/// Brokers keep them each for itself; a change goes to all masters unless --broker or --cluster says otherwise. Brokers
/// without access control, rmq's among them, end the command with 5.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq acl user ls
  rmq acl user set alice --password-file alice.pw
  rmq acl rule set User:alice --resource Topic:orders --actions Pub,Sub --decision allow
  rmq acl user copy --from broker-a --to broker-b --yes")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Users
    User(user::Args),
    /// Rules
    Rule(rule::Args),
}

/// Runs the command.
pub(crate) fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    context.block_on(async {
        let client = context.connect().await?;
        let admin = client.admin();
        let exit = match args.what {
            What::User(args) => user::run(args, &admin, context).await,
            What::Rule(args) => rule::run(args, &admin, context).await,
        };
        client.close().await;
        exit
    })
}

/// What a broker's refusal means here.
fn explained(error: ClientError) -> CliError {
    match &error {
        ClientError::Refused { address, code, .. }
            if ResponseCode(*code) == ResponseCode::REQUEST_CODE_NOT_SUPPORTED =>
        {
            CliError::new(
                Exit::NotPermitted,
                format!("{address} has no access control: it knows neither users nor rules"),
            )
            .hint("Apache has it since 5.3; rmq brokers take everybody")
        }
        ClientError::Refused {
            address, remark, ..
        } if remark.contains("not configured") => CliError::new(
            Exit::NotPermitted,
            format!("{address} keeps neither users nor rules: {remark}"),
        )
        .hint(
            "authenticationMetadataProvider and authorizationMetadataProvider name where it does",
        ),
        _ => error.into(),
    }
}

/// Two brokers between which something is copied.
async fn two(from: &str, to: &[String], admin: &Admin) -> Result<(Target, Vec<Target>), CliError> {
    let one = |name: &str| Targets {
        brokers: vec![name.to_owned()],
        cluster: None,
    };
    let source = one(from).masters(admin).await?;
    let targets = Targets {
        brokers: to.to_vec(),
        cluster: None,
    };
    let mut targets = targets.masters(admin).await?;
    let source = source.into_iter().next();
    let source = source.ok_or_else(|| CliError::not_found(format!("there is no broker {from}")))?;
    targets.retain(|target| target.address != source.address);
    if targets.is_empty() {
        return Err(CliError::usage("there is no other broker to copy to"));
    }
    Ok((source, targets))
}
