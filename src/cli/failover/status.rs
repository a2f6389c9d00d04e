//! `rmq failover status`: where the brokers of a name stand.

use serde_json::{Value, json};

use super::controller;
use super::group::{Group, Loss, Member, loss, survey};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::gather::gather;
use crate::cli::output::Column;
use crate::client::admin::Admin;

/// Show roles, epochs, lag, and what promoting each replica would lose
///
/// Fields: broker, address, id, kind (rmq, apache, apache-controller), role, replication, epoch, promised, logEnd,
/// committed, behindBytes and behindMs (of what is acknowledged), inSync (the connection to the master stands and nothing
/// is lacking), fenced, losesMessages and losesBytes (null: nobody can tell), registered (name servers that know it),
/// problem. With --controller it shows what that knows instead, also while no name server answers: broker, address, id (with the controller), role, inSync
/// (in the sync state set), alive, masterEpoch, syncStateSetEpoch, controller (the one that leads), problem. Ends with 7 if a broker name has no master, or two, or a replica that is silent or not connected.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq failover status
  rmq failover status broker-a -o json
  rmq failover status --controller 10.0.0.1:9878")]
pub(super) struct Args {
    /// The brokers of this name only
    #[arg(value_name = "BROKER")]
    broker: Option<String>,
    /// Look at this broker too, although no name server knows it; may be given more than once
    #[arg(long = "member", value_name = "ADDR")]
    members: Vec<String>,
    #[command(flatten)]
    pub(super) controllers: controller::Where,
}

const COLUMNS: &[Column] = &[
    Column::new("broker", "BROKER").name(),
    Column::new("address", "ADDRESS"),
    Column::new("id", "ID").right(),
    Column::new("kind", "KIND").wide(),
    Column::new("role", "ROLE"),
    Column::new("replication", "REPLICATION").wide(),
    Column::new("epoch", "EPOCH").right(),
    Column::new("promised", "PROMISED").right().wide(),
    Column::new("logEnd", "LOG").right(),
    Column::new("committed", "COMMITTED").right().wide(),
    Column::new("behindBytes", "BEHIND").right(),
    Column::new("behindMs", "BEHIND MS").right(),
    Column::new("inSync", "IN SYNC"),
    Column::new("fenced", "FENCED").wide(),
    Column::new("losesMessages", "LOSES").right(),
    Column::new("losesBytes", "LOSES BYTES").right().wide(),
    Column::new("registered", "REGISTERED").right().wide(),
    Column::new("problem", "PROBLEM").optional(),
];

/// Runs the command.
pub(super) async fn run(args: &Args, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    let name = args.broker.as_deref();
    if args.controllers.is_given() {
        return controller::status(&args.controllers, name, admin, context).await;
    }
    let groups = survey(admin, name, &args.members).await?;
    let mut rows = Vec::new();
    let mut fine = true;
    for group in &groups {
        let losses = gather(group.members.clone(), |member| {
            let (admin, group) = (admin.clone(), group.clone());
            async move { loss(&admin, &group, &member).await }
        })
        .await;
        for (member, loss) in group.members.iter().zip(losses) {
            let problem = problem(group, member);
            fine &= problem.is_none();
            rows.push(row(group, member, &loss, problem));
        }
        if group.master().is_none() {
            fine = false;
            context.output.warn(&format!(
                "{} has no master that takes messages: rmq failover promote {}",
                group.name, group.name
            ));
        }
    }
    context.output.rows(COLUMNS, rows)?;
    Ok(if fine { Exit::Ok } else { Exit::CheckFailed })
}

/// What is wrong with a member.
fn problem(group: &Group, member: &Member) -> Option<String> {
    let known = match &member.standing {
        Ok(known) => known,
        Err(error) => return Some(error.clone()),
    };
    if known.is_slave() {
        return (!known.connected).then(|| {
            known
                .trouble
                .clone()
                .unwrap_or_else(|| "not connected to a master".to_owned())
        });
    }
    if known.fenced {
        return Some("fenced: it takes no messages until it is given a role".to_owned());
    }
    let master = group.master()?;
    (master.address != member.address).then(|| {
        format!(
            "{} is master too: two brokers take messages",
            master.address
        )
    })
}

fn row(group: &Group, member: &Member, loss: &Loss, problem: Option<String>) -> Value {
    let known = member.known();
    let behind = group.behind(member);
    let newest = group.answering().map(|(_, known)| known.stored_ms).max();
    let behind_ms = match (known, newest, behind) {
        (_, _, Some(0)) => Some(0),
        // Apache's brokers do not tell when they stored the last message, and an empty log has none.
        (Some(known), Some(newest), Some(_)) if known.stored_ms > 0 => {
            Some((newest - known.stored_ms).max(0))
        }
        _ => None,
    };
    let (messages, bytes) = match (member.takes_messages(), loss) {
        (true, _) | (_, Loss::Unknown(_)) => (None, None),
        (_, Loss::None) => (Some(0), Some(0)),
        (_, Loss::Known { bytes, messages }) => (Some(*messages), Some(*bytes)),
    };
    let why = match loss {
        Loss::Unknown(why) if problem.is_none() && known.is_some() => Some(why.clone()),
        _ => problem,
    };
    json!({
        "broker": group.name,
        "address": member.address,
        "id": member.id,
        "kind": known.map(|known| known.kind.name()),
        "role": known.map(|known| known.role.as_str()),
        "replication": known.map(|known| if known.majority { "majority" } else { "classic" }),
        "epoch": known.map(|known| known.epoch),
        "promised": known.map(|known| known.promised),
        "logEnd": known.map(|known| known.log_end),
        "committed": known.map(|known| known.committed),
        "behindBytes": behind,
        "behindMs": behind_ms,
        "inSync": known.map(|known| known.takes_messages() || known.connected && behind == Some(0)),
        "fenced": known.map(|known| known.fenced),
        "losesMessages": messages,
        "losesBytes": bytes,
        "registered": member.listed,
        "problem": why,
    })
}
