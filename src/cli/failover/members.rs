//! `rmq failover add-replica` and `remove-replica`: who belongs to the brokers of a name.

use std::time::Duration;

use super::Consent;
use super::group::{Group, Kind, Member, look, standing};
use super::journal::Journal;
use super::promote::{follow, until};
use crate::base::units::parse_duration;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::client::admin::Admin;

/// Make a running broker a replica of the master
///
/// For an old master that has returned, which is fenced unless it is already, and for a new one with an empty directory. It follows the present
/// master from then on, also after a restart, and the command waits until it has caught up. A log that is not a beginning
/// of the master's is not touched: the command fails and says where they part.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq failover add-replica broker-a 10.0.0.1:10911 --dry-run
  rmq failover add-replica broker-a 10.0.0.1:10911 --id 2 --yes")]
pub(super) struct AddArgs {
    /// The brokers of this name
    #[arg(value_name = "BROKER")]
    broker: String,
    /// Where the replica is
    #[arg(value_name = "ADDR")]
    address: String,
    /// Its id [default: the one it has, or the first that is free]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    id: Option<i64>,
    /// How long it may take to catch up
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    wait: Duration,
    #[command(flatten)]
    consent: Consent,
}

/// Strike a replica that is gone off the name servers
///
/// Only one that is stopped: a running one would register again. In majority mode totalReplicas of the others says how
/// many belong to them, and is not changed here.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq failover remove-replica broker-a 10.0.0.3:10911 --dry-run
  rmq failover remove-replica broker-a 10.0.0.3:10911 --yes")]
pub(super) struct RemoveArgs {
    /// The brokers of this name
    #[arg(value_name = "BROKER")]
    broker: String,
    /// Where the replica was
    #[arg(value_name = "ADDR")]
    address: String,
    #[command(flatten)]
    consent: Consent,
}

fn refuse(message: impl std::fmt::Display) -> CliError {
    CliError::new(Exit::CheckFailed, message)
}

/// Asks, or ends the command: `false` after a dry run.
pub(super) fn agreed(
    journal: &Journal,
    consent: Consent,
    question: &str,
    context: &Context,
) -> Result<bool, CliError> {
    if consent.dry_run {
        journal.print(context)?;
        return Ok(false);
    }
    if consent.yes {
        return Ok(true);
    }
    if !context.output.can_ask() {
        return Err(
            CliError::usage(format!("{question} nobody is there to ask"))
                .hint("--yes answers beforehand, --dry-run shows what would be done"),
        );
    }
    journal.announce(context);
    if context.output.confirm(question)? {
        Ok(true)
    } else {
        Err(CliError::new(Exit::Interrupted, "nothing was changed"))
    }
}

/// Prints the steps, and ends as they ended.
pub(super) fn finish(
    mut journal: Journal,
    result: Result<(), CliError>,
    context: &Context,
) -> Result<Exit, CliError> {
    match result {
        Ok(()) => {
            journal.print(context)?;
            Ok(Exit::Ok)
        }
        Err(error) => {
            let exit = journal.give_up(&error);
            journal.print(context)?;
            let hint = match exit {
                Exit::Partial => "run the same command again: it goes on where it stopped",
                _ => "rmq failover status shows where the brokers stand",
            };
            Err(CliError::new(exit, error).hint(hint))
        }
    }
}

/// Runs `add-replica`.
pub(super) async fn add(args: AddArgs, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    let address = &args.address;
    let status = admin.replication_at(address).await?.ok_or_else(|| {
        refuse(format!(
            "{address} is Apache's: start it with brokerRole=SLAVE and a brokerId, and it follows"
        ))
    })?;
    if status.broker_name != args.broker {
        return Err(refuse(format!(
            "{address} is a broker of {}, not of {}",
            status.broker_name, args.broker
        )));
    }
    let group = look(admin, &args.broker, std::slice::from_ref(address)).await?;
    let master = group
        .members
        .iter()
        .filter(|member| member.address != *address && member.takes_messages())
        .max_by_key(|member| member.known().map(|known| known.epoch))
        .ok_or_else(|| {
            refuse(format!(
                "{} has no other broker that is master",
                args.broker
            ))
        })?;
    if master.known().is_some_and(|known| known.kind != Kind::Rmq) {
        return Err(refuse(format!("{} is Apache's", master.address)));
    }
    let takes_messages = group.member(address).is_some_and(Member::takes_messages);
    let epoch = master.known().map_or(0, |known| known.epoch);
    // It was cut off when the other took its place, and nobody could tell it.
    let is_deposed = takes_messages && status.epoch < epoch;
    if takes_messages && !is_deposed && status.log_end > 0 {
        return Err(
            refuse(format!("{address} is a master that takes messages")).hint(
                "rmq failover promote decides which of the two stays master, and fences the other",
            ),
        );
    }
    let id = args.id.unwrap_or_else(|| free_id(&group, address));
    let mut journal = Journal::default();
    if is_deposed {
        let what = format!("takes no message before epoch {epoch}");
        journal.plan("fence", address, what);
    }
    journal.plan(
        "follow",
        address,
        format!("slave {id} of {}", master.address),
    );
    journal.plan("catch-up", address, "has everything the master has");
    let question = format!("make {address} a replica of {}?", master.address);
    if !agreed(&journal, args.consent, &question, context)? {
        return Ok(Exit::Ok);
    }
    let result = async {
        if is_deposed {
            let fence = async {
                admin.fence_at(address, epoch).await?;
                Ok((true, ()))
            };
            journal.take(context, fence).await?;
        }
        journal
            .take(context, follow(admin, address, &master.address, id))
            .await?;
        journal
            .take(
                context,
                catch_up(admin, address, &master.address, args.wait),
            )
            .await
    }
    .await;
    finish(journal, result, context)
}

/// The id a replica has, or the first nobody has.
fn free_id(group: &Group, address: &str) -> i64 {
    let own = group
        .member(address)
        .filter(|member| member.is_slave())
        .and_then(|member| member.id);
    let used = |id: i64| {
        let mut others = group
            .members
            .iter()
            .filter(|member| member.address != address);
        others.any(|member| member.id == Some(id))
    };
    own.filter(|id| *id > 0 && !used(*id))
        .unwrap_or_else(|| (1..=i64::MAX).find(|id| !used(*id)).unwrap_or(1))
}

/// Waits until a replica has what its master has.
pub(super) async fn catch_up(
    admin: &Admin,
    address: &str,
    master: &str,
    wait: Duration,
) -> Result<(bool, ()), CliError> {
    let caught_up = until(&format!("{address} catches up"), wait, async || {
        let (own, _) = standing(admin, address).await.ok()?;
        let (all, _) = standing(admin, master).await.ok()?;
        (own.connected && own.log_end >= all.log_end).then_some(())
    })
    .await;
    if let Err(error) = caught_up {
        let (known, _) = standing(admin, address).await?;
        return Err(match known.trouble {
            Some(trouble) if !known.connected => CliError::new(
                Exit::Partial,
                format!("{address} does not follow {master}: {trouble}"),
            ),
            _ => error,
        });
    }
    Ok((true, ()))
}

/// Runs `remove-replica`.
pub(super) async fn remove(
    args: RemoveArgs,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let group = look(admin, &args.broker, std::slice::from_ref(&args.address)).await?;
    let member = group
        .member(&args.address)
        .ok_or_else(|| CliError::not_found(format!("nobody knows {}", args.address)))?;
    if member.known().is_some() {
        return Err(
            refuse(format!("{} runs: it would register again", args.address)).hint("stop it first"),
        );
    }
    if group.is_majority() && !group.majority_answers() {
        return Err(refuse(
            "fewer than half of the replicas answer: none can be spared",
        ));
    }
    let mut journal = Journal::default();
    let id = member.id.unwrap_or(0);
    for name_server in admin.name_servers() {
        journal.plan(
            "unregister",
            name_server,
            format!("forgets {} ({id})", args.address),
        );
    }
    let question = format!("remove {} from {}?", args.address, group.name);
    if !agreed(&journal, args.consent, &question, context)? {
        return Ok(Exit::Ok);
    }
    let result = async {
        for name_server in admin.name_servers() {
            let work = async {
                let place = (id, args.address.as_str());
                let clusters = admin.clusters_at(name_server).await?;
                if clusters.at_address(&args.address).is_none() {
                    return Ok((false, ()));
                }
                admin
                    .unregister_broker_at(name_server, &group.cluster, &group.name, place)
                    .await?;
                Ok((true, ()))
            };
            journal.take(context, work).await?;
        }
        Ok(())
    }
    .await;
    finish(journal, result, context)
}
