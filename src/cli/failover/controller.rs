//! Brokers with a controller, Apache's or `rmq`'s: what it knows of them, and having it make another one master.
//!
//! The controllers are those named with --controller, else those of the brokers' own configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::decide::{Decision, Lose};
use super::group::{Group, Kind, Loss, loss, names, standing};
use super::journal::Journal;
use super::members::{agreed, finish};
use super::promote::{self, Change, until};
use crate::base::list::addresses;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::gather::gather;
use crate::cli::output::Column;
use crate::client::Client;
use crate::client::admin::{Admin, ReplicaIdentity, ReplicasInfo};

/// How long a broker may take to become what it was elected to be.
const CHANGE_LIMIT: Duration = Duration::from_secs(30);
/// The setting that lets a controller elect a broker that is not in sync.
const UNCLEAN: &str = "enableElectUncleanMaster";

/// Where the controllers are.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Where {
    /// The controllers of the brokers, HOST:PORT;HOST:PORT [default: controllerAddr of the brokers]
    #[arg(long = "controller", value_name = "ADDR;ADDR")]
    addresses: Option<String>,
}

impl Where {
    /// Whether controllers were named.
    pub(super) fn is_given(&self) -> bool {
        self.addresses.is_some()
    }

    /// The controllers that were named.
    fn named(&self) -> Vec<String> {
        let named = addresses(self.addresses.as_deref().unwrap_or_default());
        named.map(str::to_owned).collect()
    }

    /// The controllers named, else those that a broker of the group names; none where a controller has no part.
    pub(super) async fn find(&self, group: &Group, admin: &Admin) -> Vec<String> {
        if self.is_given() {
            return self.named();
        }
        for (member, known) in group.answering() {
            if known.kind == Kind::Classic {
                continue;
            }
            let Ok(config) = admin.broker_config(&member.address).await else {
                continue;
            };
            let is = |key: &str, value: &str| config.get(key).is_some_and(|given| given == value);
            let told = addresses(config.get("controllerAddr").map_or("", String::as_str));
            let told: Vec<_> = told.map(str::to_owned).collect();
            if is("enableControllerMode", "true") && !told.is_empty() {
                return told;
            }
        }
        Vec::new()
    }
}

/// The one of these controllers that leads.
async fn leader(admin: &Admin, controllers: &[String]) -> Result<String, CliError> {
    let mut last = None;
    for controller in controllers {
        match admin.controller_at(controller).await {
            Ok(told) if told.is_leader => return Ok(controller.clone()),
            Ok(told) => {
                if let Some(leader) = told.leader_address {
                    return Ok(leader);
                }
                last = Some(format!("{controller} knows of no controller that leads"));
            }
            Err(error) => last = Some(error.to_string()),
        }
    }
    let why = last.unwrap_or_else(|| "no controller is named".to_owned());
    Err(
        CliError::new(Exit::Unreachable, format!("no controller leads: {why}"))
            .hint("more than half of the controllers must run: rmq failover controllers"),
    )
}

const CONTROLLERS: &[Column] = &[
    Column::new("id", "ID").name(),
    Column::new("address", "ADDRESS"),
    Column::new("group", "GROUP"),
    Column::new("role", "ROLE"),
    Column::new("follows", "FOLLOWS"),
    Column::new("problem", "PROBLEM").optional(),
];

/// Show the controllers, and which of them leads
///
/// Fields: id, address, group, role (leader, follower; null if it does not answer), follows, problem. Ends with 7 if none
/// leads or one does not answer.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq failover controllers
  rmq failover controllers --controller 10.0.0.1:9878 -o json")]
pub(super) struct ListArgs {
    #[command(flatten)]
    pub(super) controllers: Where,
}

/// Runs `controllers`.
pub(super) async fn list(
    args: &ListArgs,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let mut controllers = args.controllers.named();
    if !args.controllers.is_given() {
        for group in super::group::survey(admin, None, &[]).await? {
            controllers.extend(args.controllers.find(&group, admin).await);
        }
    }
    if controllers.is_empty() {
        return Err(CliError::not_found("no broker has a controller")
            .hint("brokers with enableControllerMode=true have one; --controller names it"));
    }
    let mut peers = Vec::new();
    let mut silent = None;
    for address in &controllers {
        match admin.controller_at(address).await {
            Ok(told) => peers.extend(told.peers),
            Err(error) => silent = Some(error),
        }
    }
    peers.sort();
    peers.dedup();
    if let (true, Some(error)) = (peers.is_empty(), silent) {
        return Err(error.into());
    }
    let asked = gather(peers, |(id, address)| {
        let admin = admin.clone();
        async move {
            let told = admin.controller_at(&address).await;
            (id, address, told)
        }
    })
    .await;
    let (mut leaders, mut fine) = (0, true);
    let rows = asked.into_iter().map(|(id, address, told)| match told {
        Ok(told) => {
            leaders += usize::from(told.is_leader);
            let role = if told.is_leader { "leader" } else { "follower" };
            let follows = told.leader_id.filter(|_| !told.is_leader);
            json!({"id": id, "address": address, "group": told.group, "role": role, "follows": follows,
                "problem": null})
        }
        Err(error) => {
            fine = false;
            json!({"id": id, "address": address, "group": null, "role": null, "follows": null,
                "problem": error.to_string()})
        }
    });
    let rows: Vec<_> = rows.collect();
    context.output.rows(CONTROLLERS, rows)?;
    Ok(if fine && leaders == 1 {
        Exit::Ok
    } else {
        Exit::CheckFailed
    })
}

const REPLICAS: &[Column] = &[
    Column::new("broker", "BROKER").name(),
    Column::new("address", "ADDRESS"),
    Column::new("id", "ID").right(),
    Column::new("role", "ROLE"),
    Column::new("inSync", "IN SYNC"),
    Column::new("alive", "ALIVE"),
    Column::new("masterEpoch", "EPOCH").right(),
    Column::new("syncStateSetEpoch", "SET EPOCH").right(),
    Column::new("controller", "CONTROLLER").wide(),
    Column::new("problem", "PROBLEM").optional(),
];

/// `status` as the controller that leads sees it: of one name, or of all that it or the name servers know.
pub(super) async fn status(
    controllers: &Where,
    name: Option<&str>,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let leader = leader(admin, &controllers.named()).await?;
    let mut names = match name {
        Some(name) => vec![name.to_owned()],
        None => names(admin).await?,
    };
    let mut known = admin.replicas_at(&leader, &names).await?;
    if name.is_none() {
        // `rmq`'s controllers tell of every name if none is asked for, Apache's of none.
        known.extend(admin.replicas_at(&leader, &[]).await?);
        names.extend(known.keys().cloned());
        names.sort();
        names.dedup();
    }
    if names.is_empty() {
        let why = format!("{leader} names no brokers, and neither does a name server");
        return Err(CliError::not_found(why).hint(
            "Apache's controllers tell only of a broker that is named: rmq failover status BROKER",
        ));
    }
    let mut rows = Vec::new();
    let mut fine = true;
    for name in names {
        let Some(info) = known.get(&name) else {
            fine = false;
            context
                .output
                .warn(&format!("{leader} knows no broker {name}"));
            continue;
        };
        if info.master_broker_id.is_none() {
            fine = false;
            context.output.warn(&format!("{name} has no master"));
        }
        for (replica, in_sync) in replicas(info) {
            let problem = match (replica.alive, in_sync) {
                (false, _) => Some("the controller hears nothing from it"),
                (true, false) => Some("it lacks acknowledged messages"),
                (true, true) => None,
            };
            fine &= problem.is_none();
            rows.push(row(&name, info, replica, in_sync, (&leader, problem)));
        }
    }
    context.output.rows(REPLICAS, rows)?;
    Ok(if fine { Exit::Ok } else { Exit::CheckFailed })
}

/// All replicas with whether they are in sync.
fn replicas(info: &ReplicasInfo) -> impl Iterator<Item = (&ReplicaIdentity, bool)> {
    let in_sync = info.in_sync_replicas.iter().map(|one| (one, true));
    in_sync.chain(info.not_in_sync_replicas.iter().map(|one| (one, false)))
}

fn row(
    name: &str,
    info: &ReplicasInfo,
    replica: &ReplicaIdentity,
    in_sync: bool,
    (leader, problem): (&str, Option<&str>),
) -> Value {
    let is_master = info.master_broker_id == Some(replica.broker_id);
    json!({
        "broker": name,
        "address": replica.broker_address,
        "id": replica.broker_id,
        "role": if is_master { "master" } else { "slave" },
        "inSync": in_sync,
        "alive": replica.alive,
        "masterEpoch": info.master_epoch,
        "syncStateSetEpoch": info.sync_state_set_epoch,
        "controller": leader,
        "problem": problem,
    })
}

/// The replica that is to be master: the one named by address or id, or the only one that could take over.
fn choose<'a>(
    name: &str,
    info: &'a ReplicasInfo,
    to: Option<&str>,
) -> Result<(&'a ReplicaIdentity, bool), CliError> {
    if let Some(to) = to {
        let mut all = replicas(info);
        let named =
            |one: &ReplicaIdentity| one.broker_address == to || one.broker_id.to_string() == to;
        return all.find(|(one, _)| named(one)).ok_or_else(|| {
            CliError::not_found(format!("the controller knows no replica {to} of {name}"))
        });
    }
    let able: Vec<_> = replicas(info)
        .filter(|(one, in_sync)| {
            *in_sync && one.alive && info.master_broker_id != Some(one.broker_id)
        })
        .collect();
    match able.as_slice() {
        [only] => Ok(*only),
        [] => Err(CliError::new(
            Exit::CheckFailed,
            format!("no other replica of {name} is in sync and alive"),
        )
        .hint("rmq failover status --controller shows them; --to names one in spite of that")),
        more => {
            let more: Vec<_> = more
                .iter()
                .map(|(one, _)| one.broker_address.as_str())
                .collect();
            Err(CliError::usage(format!(
                "several replicas of {name} could be master; --to says which: {}",
                more.join(", ")
            )))
        }
    }
}

/// `promote`: has the controller that leads elect a replica.
pub(super) async fn promote(
    args: &promote::Args,
    group: &Group,
    controllers: &[String],
    client: &Client,
    context: &Context,
) -> Result<Exit, CliError> {
    let admin = client.admin();
    let leader = leader(&admin, controllers).await?;
    let known = admin
        .replicas_at(&leader, std::slice::from_ref(&group.name))
        .await?;
    let info = known.get(&group.name).ok_or_else(|| {
        CliError::not_found(format!(
            "the controller {leader} knows no broker {}",
            group.name
        ))
    })?;
    let (target, in_sync) = choose(&group.name, info, args.next.to.as_deref())?;
    let address = target.broker_address.as_str();
    if info.master_broker_id == Some(target.broker_id) && target.alive {
        context.output.note(&format!(
            "{address} is the master of {} already",
            group.name
        ));
        return Ok(Exit::Ok);
    }
    if !target.alive {
        let why = format!("the controller hears nothing from {address}");
        return Err(CliError::new(Exit::CheckFailed, why));
    }
    if !in_sync {
        may_lose(args.lose, group, address, &admin).await?;
    }
    let decision = Decision {
        epoch: info.master_epoch.saturating_add(1),
        target: address.to_owned(),
        role: None,
        is_master: false,
        fence: Vec::new(),
        promise: Vec::new(),
        follow: Vec::new(),
        silent: Vec::new(),
        risks: Vec::new(),
        refusal: None,
    };
    let mut journal = plan(
        &decision,
        &leader,
        in_sync,
        admin.name_servers(),
        &group.name,
    );
    let question = format!(
        "have the controller make {address} the master of {}?",
        group.name
    );
    if !agreed(&journal, args.consent, &question, context)? {
        return Ok(Exit::Ok);
    }
    let change = Change {
        client,
        context,
        group,
        decision: &decision,
        members: &args.members,
        lose: args.lose,
        wait: args.next.wait,
    };
    let election = Election {
        leader: &leader,
        id: target.broker_id,
        unclean: !in_sync,
    };
    let result = election.run(&change, &mut journal).await;
    if result.is_ok() {
        let took = journal.took().as_millis();
        let name = &group.name;
        context.output.note(&format!(
            "{address} is the master of {name}; the steps took {took} ms"
        ));
    }
    finish(journal, result, context)
}

/// Refuses a replica that is not in sync, unless what it lacks was given up by number.
async fn may_lose(
    given_up: Option<Lose>,
    group: &Group,
    address: &str,
    admin: &Admin,
) -> Result<(), CliError> {
    let lost = match group.member(address) {
        Some(member) => loss(admin, group, member).await,
        None => Loss::Unknown("no name server knows it".to_owned()),
    };
    let refused = |why: String| Err(CliError::new(Exit::CheckFailed, why));
    match (&lost, given_up) {
        (_, Some(Lose::Unknown)) | (Loss::None, Some(Lose::Messages(0))) => Ok(()),
        (Loss::Known { messages, .. }, Some(Lose::Messages(given))) if *messages == given => Ok(()),
        (Loss::Known { messages, bytes }, _) => refused(format!(
            "{address} is not in the sync state set: it lacks {messages} acknowledged messages ({bytes} bytes); \
             --lose {messages} gives them up"
        )),
        (Loss::None, _) => refused(format!(
            "{address} is not in the sync state set, though it seems to lack nothing; --lose 0 takes that for granted"
        )),
        (Loss::Unknown(why), _) => refused(format!(
            "{address} is not in the sync state set, and nobody can tell what it lacks ({why}); --lose unknown gives it up"
        )),
    }
}

fn plan(
    decision: &Decision,
    leader: &str,
    in_sync: bool,
    name_servers: &[String],
    name: &str,
) -> Journal {
    let mut journal = Journal::default();
    let target = decision.target.as_str();
    let set = if in_sync {
        "in sync"
    } else {
        "not in sync, for which it is let once"
    };
    journal.plan(
        "elect",
        leader,
        format!("{target} ({set}), epoch {} or later", decision.epoch),
    );
    journal.plan("role", target, "takes messages");
    for name_server in name_servers {
        journal.plan("route", name_server, format!("{name} is at {target}"));
    }
    journal.plan(
        "test-send",
        target,
        format!("a message to the system topic {name}"),
    );
    journal
}

/// An election under way.
struct Election<'a> {
    leader: &'a str,
    id: i64,
    unclean: bool,
}

impl Election<'_> {
    async fn run(&self, change: &Change<'_>, journal: &mut Journal) -> Result<(), CliError> {
        let admin = change.client.admin();
        let (context, target) = (change.context, change.decision.target.as_str());
        journal
            .take(context, self.elect(&admin, change.group))
            .await?;
        let became = async {
            until(&format!("{target} is master"), CHANGE_LIMIT, async || {
                let (known, _) = standing(&admin, target).await.ok()?;
                known.takes_messages().then_some(())
            })
            .await?;
            Ok((true, ()))
        };
        journal.take(context, became).await?;
        for name_server in admin.name_servers() {
            journal
                .take(context, change.route(&admin, name_server))
                .await?;
        }
        journal.take(context, change.test_send()).await
    }

    async fn elect(&self, admin: &Admin, group: &Group) -> Result<(bool, ()), CliError> {
        let elect = || admin.elect_at(self.leader, &group.cluster, &group.name, self.id);
        if !self.unclean {
            elect().await?;
            return Ok((true, ()));
        }
        let before = admin.controller_config(self.leader).await?;
        let before = before.get(UNCLEAN).map_or("false", String::as_str);
        let set = async |value: &str| {
            let settings = BTreeMap::from([(UNCLEAN.to_owned(), value.to_owned())]);
            admin.set_controller_config(self.leader, &settings).await
        };
        set("true").await?;
        let elected = elect().await;
        let restored = set(before).await;
        elected?;
        if let Err(error) = restored {
            let leader = self.leader;
            return Err(CliError::new(
                Exit::Partial,
                format!("{UNCLEAN} is still on at the controller {leader}: {error}"),
            ));
        }
        Ok((true, ()))
    }
}
