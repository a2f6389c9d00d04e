//! `rmq failover promote` and `switch-back`: a replica becomes master, step by step.
//!
//! Each step looks first whether it is done already, so a run that was interrupted is finished by the next one. A master
//! that was fenced for a replica which then does not catch up is made master again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::decide::{Decision, Given, Lose, choose, decide};
use super::group::{Group, Kind, Loss, look, loss, standing};
use super::journal::Journal;
use super::members::{agreed, finish};
use super::{Consent, Next, apache, controller};
use crate::base::{BrokerName, QueueId, TopicName};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::client::admin::Admin;
use crate::client::{Client, Message, MessageQueue, ProducerOptions};

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a broker may take to start anew in another role, and name servers to hear of it.
const CHANGE_LIMIT: Duration = Duration::from_secs(30);
/// How long a name server may be silent.
const SILENCE_LIMIT: Duration = Duration::from_secs(2);
/// How long until the new master takes a message.
const TEST_LIMIT: Duration = Duration::from_secs(10);

/// Make a replica the master
///
/// Without --to it is the replica that has most. Prints what it is going to do, asks, and does it: the old master is fenced (it takes no message from then on, also
/// after a restart with its old configuration), the replica catches up, is made master, the others follow it, the route
/// is checked on every name server that answers, and a message is sent to the system topic that has the broker's name. Run
/// it again after an interruption: what is done stays done. Clients of Apache ask for routes every 30 s
/// (pollNameServerInterval), and go on with the new master when they do.
///
/// Brokers with a controller are its to change: it is asked to elect the replica, by its address or its id, and does so
/// only if that is in the sync state set; with --lose it is let once (enableElectUncleanMaster).
///
/// It refuses (7) while the old master may take messages and cannot be fenced, and when acknowledged messages would be
/// lost whose number was not named with --lose. Fields: step, action, at, detail, result, tookMs, error.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq failover promote broker-a --dry-run
  rmq failover promote broker-a --yes
  rmq failover promote broker-a --to 10.0.0.2:10911 --lose 12 --yes")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) next: Next,
    /// Give up this many acknowledged messages, or `unknown` for however many there are
    #[arg(long, value_name = "N|unknown")]
    pub(super) lose: Option<Lose>,
    /// The old master is switched off or cut off, although a name server still hears it
    #[arg(long)]
    pub(super) master_is_down: bool,
    /// A broker of this name that no name server knows; may be given more than once
    #[arg(long = "member", value_name = "ADDR")]
    pub(super) members: Vec<String>,
    /// Apache's brokers: write the configuration the new master needs to this file (- for stdout)
    #[arg(long, value_name = "FILE")]
    pub(super) rewrite: Option<String>,
    #[command(flatten)]
    pub(super) controllers: controller::Where,
    #[command(flatten)]
    pub(super) consent: Consent,
}

/// Make the other broker of a pair the master again
///
/// As `promote`, for a planned change: the broker that is not master now becomes it. With more than one replica --to
/// says which.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq failover switch-back broker-a --dry-run
  rmq failover switch-back broker-a --to 10.0.0.1:10911 --yes")]
pub(super) struct BackArgs {
    #[command(flatten)]
    next: Next,
    #[command(flatten)]
    consent: Consent,
}

/// Runs `switch-back`.
pub(super) async fn back(
    args: BackArgs,
    client: &Client,
    context: &Context,
) -> Result<Exit, CliError> {
    let group = look(&client.admin(), &args.next.broker, &[]).await?;
    let slaves: Vec<_> = group
        .members
        .iter()
        .filter(|member| member.is_slave())
        .collect();
    let to = match (&args.next.to, slaves.as_slice()) {
        (Some(to), _) => to.clone(),
        (None, [only]) => only.address.clone(),
        (None, all) => {
            let all: Vec<_> = all.iter().map(|member| member.address.as_str()).collect();
            return Err(CliError::usage(format!(
                "{} has {} replicas that answer; --to says which becomes master: {}",
                args.next.broker,
                all.len(),
                all.join(", ")
            )));
        }
    };
    let args = Args {
        next: Next {
            to: Some(to),
            ..args.next
        },
        lose: None,
        master_is_down: false,
        members: Vec::new(),
        rewrite: None,
        controllers: controller::Where::default(),
        consent: args.consent,
    };
    run(args, client, context).await
}

/// Runs `promote`.
pub(super) async fn run(args: Args, client: &Client, context: &Context) -> Result<Exit, CliError> {
    let admin = client.admin();
    let group = look(&admin, &args.next.broker, &args.members).await?;
    let controllers = args.controllers.find(&group, &admin).await;
    if !controllers.is_empty() {
        return controller::promote(&args, &group, &controllers, client, context).await;
    }
    let kind = |wanted: Kind| group.answering().any(|(_, known)| known.kind == wanted);
    if kind(Kind::Controller) {
        return Err(apache::elects(&group));
    }
    if kind(Kind::Classic) {
        return apache::steps(&args, &group, &admin, context).await;
    }
    let target = choose(&group, args.next.to.as_deref())?;
    let lost = loss(&admin, &group, target).await;
    let given = Given {
        lose: args.lose,
        master_is_down: args.master_is_down,
    };
    let decision = decide(&group, target, &lost, given);
    let mut journal = plan(&group, &decision, admin.name_servers());
    for risk in &decision.risks {
        context.output.warn(risk);
    }
    if let Some(refusal) = &decision.refusal {
        if args.consent.dry_run {
            journal.print(context)?;
        }
        return Err(CliError::new(Exit::CheckFailed, refusal));
    }
    let question = format!("make {} the master of {}?", decision.target, group.name);
    if !agreed(&journal, args.consent, &question, context)? {
        return Ok(Exit::Ok);
    }
    let change = Change {
        client,
        context,
        group: &group,
        decision: &decision,
        members: &args.members,
        lose: args.lose,
        wait: args.next.wait,
    };
    let result = change.run(&mut journal).await;
    if result.is_ok() {
        context.output.note(&format!(
            "{} is the master of {}; the steps took {} ms",
            decision.target,
            group.name,
            journal.took().as_millis()
        ));
    }
    finish(journal, result, context)
}

/// The steps of a decision, in the order [`Change::run`] takes them.
pub(super) fn plan(group: &Group, decision: &Decision, name_servers: &[String]) -> Journal {
    let mut journal = Journal::default();
    let epoch = decision.epoch;
    for (address, done) in &decision.fence {
        let done = if *done { " (it is)" } else { "" };
        journal.plan(
            "fence",
            address,
            format!("takes no message before epoch {epoch}{done}"),
        );
    }
    if !decision.is_master {
        journal.plan(
            "catch-up",
            &decision.target,
            "has every acknowledged message",
        );
    }
    for address in &decision.promise {
        journal.plan(
            "promise",
            address,
            format!("helps no master before epoch {epoch}"),
        );
    }
    let done = if decision.is_master { " (it is)" } else { "" };
    let role = decision.role.as_deref().unwrap_or("master");
    journal.plan(
        "promote",
        &decision.target,
        format!("{role} of epoch {epoch}{done}"),
    );
    for (address, id, done) in &decision.follow {
        let done = if *done { " (it does)" } else { "" };
        journal.plan(
            "follow",
            address,
            format!("slave {id} of {}{done}", decision.target),
        );
    }
    for name_server in name_servers {
        journal.plan(
            "route",
            name_server,
            format!("{} is at {}", group.name, decision.target),
        );
    }
    journal.plan(
        "test-send",
        &decision.target,
        format!("a message to the system topic {}", group.name),
    );
    journal
}

/// A change of masters under way.
pub(super) struct Change<'a> {
    pub(super) client: &'a Client,
    pub(super) context: &'a Context,
    pub(super) group: &'a Group,
    pub(super) decision: &'a Decision,
    pub(super) members: &'a [String],
    pub(super) lose: Option<Lose>,
    pub(super) wait: Duration,
}

impl Change<'_> {
    /// Takes every step.
    pub(super) async fn run(&self, journal: &mut Journal) -> Result<(), CliError> {
        let admin = self.client.admin();
        let (decision, context) = (self.decision, self.context);
        // Where what the fenced masters acknowledged ends: nothing is added to it any more.
        let mut goal = None;
        let mut fenced = None;
        for (address, _) in &decision.fence {
            let end = journal.take(context, self.fence(&admin, address)).await?;
            goal = goal.max(Some(end));
            fenced = Some(address.as_str());
        }
        if !decision.is_master {
            let caught_up = journal.take(context, self.catch_up(&admin, goal)).await;
            if let Err(error) = caught_up {
                return Err(self.restore(&admin, fenced, error).await);
            }
        }
        for address in &decision.promise {
            journal.take(context, self.promise(&admin, address)).await?;
        }
        journal.take(context, self.promote(&admin)).await?;
        for (address, id, _) in &decision.follow {
            journal
                .take(context, self.follow(&admin, address, *id))
                .await?;
        }
        let mut deaf = None;
        let mut told = 0;
        for name_server in admin.name_servers() {
            // One that is down hears of it when it is back, and must not hold up the others.
            match journal.take(context, self.route(&admin, name_server)).await {
                Ok(()) => told += 1,
                Err(error) => {
                    context.output.warn(&error.to_string());
                    deaf = Some(error);
                }
            }
        }
        if let Some(error) = deaf.filter(|_| told == 0) {
            return Err(error);
        }
        journal.take(context, self.test_send()).await
    }

    /// Returns where the fenced master's log ends; in majority mode the part that counts, because nobody else may have
    /// what lies behind it.
    async fn fence(&self, admin: &Admin, address: &str) -> Result<(bool, i64), CliError> {
        let (known, _) = standing(admin, address).await?;
        if known.fenced || known.is_slave() {
            return Ok((false, known.acknowledged()));
        }
        let status = admin.fence_at(address, self.decision.epoch).await?;
        if !status.fenced {
            return Err(CliError::new(
                Exit::CheckFailed,
                format!("{address} is of epoch {} and takes messages", status.epoch),
            ));
        }
        // What was under way when it promised may still have been written.
        let mut before = (status.log_end, status.committed);
        loop {
            sleep(PAUSE).await;
            let (known, _) = standing(admin, address).await?;
            let now = (known.log_end, known.committed);
            if now == before {
                return Ok((true, known.acknowledged()));
            }
            before = now;
        }
    }

    async fn catch_up(&self, admin: &Admin, goal: Option<i64>) -> Result<(bool, ()), CliError> {
        let target = &self.decision.target;
        let deadline = Instant::now() + self.wait;
        let mut waited = false;
        loop {
            let (known, _) = standing(admin, target).await?;
            if goal.is_none_or(|goal| known.log_end >= goal) {
                return Ok((waited, ()));
            }
            if !known.connected || Instant::now() >= deadline {
                break;
            }
            waited = true;
            sleep(PAUSE).await;
        }
        let group = look(admin, &self.group.name, self.members).await?;
        let member = group
            .member(target)
            .ok_or_else(|| CliError::failed(format!("{target} is gone")))?;
        match (loss(admin, &group, member).await, self.lose) {
            (Loss::None, _) | (_, Some(Lose::Unknown)) => Ok((waited, ())),
            (Loss::Known { messages, .. }, Some(Lose::Messages(count))) if messages == count => {
                Ok((waited, ()))
            }
            (Loss::Known { bytes, messages }, _) => Err(CliError::new(
                Exit::CheckFailed,
                format!(
                    "{target} lacks {messages} acknowledged messages ({bytes} bytes) and does not catch up; \
                     --lose {messages} gives them up"
                ),
            )),
            (Loss::Unknown(why), _) => Err(CliError::new(
                Exit::CheckFailed,
                format!("nobody can tell what would be lost: {why}"),
            )),
        }
    }

    /// A promise from a replica that has more than the one chosen would be a loss.
    async fn promise(&self, admin: &Admin, address: &str) -> Result<(bool, ()), CliError> {
        let status = admin.fence_at(address, self.decision.epoch).await?;
        let (target, _) = standing(admin, &self.decision.target).await?;
        let more = (status.epoch, status.log_end) > (target.epoch, target.log_end);
        if more && self.lose.is_none() {
            return Err(CliError::new(
                Exit::CheckFailed,
                format!(
                    "{address} has more than {}: --to {address}",
                    self.decision.target
                ),
            ));
        }
        Ok((true, ()))
    }

    async fn promote(&self, admin: &Admin) -> Result<(bool, ()), CliError> {
        let (target, epoch) = (&self.decision.target, self.decision.epoch);
        let (known, _) = standing(admin, target).await?;
        if known.takes_messages() && known.epoch >= epoch {
            return Ok((false, ()));
        }
        admin.promote_at(target, epoch).await?;
        self.until(&format!("{target} is master"), async || {
            let (known, _) = standing(admin, target).await.ok()?;
            (known.takes_messages() && known.epoch >= epoch).then_some(())
        })
        .await?;
        Ok((true, ()))
    }

    async fn follow(&self, admin: &Admin, address: &str, id: i64) -> Result<(bool, ()), CliError> {
        let target = &self.decision.target;
        follow(admin, address, target, id).await
    }

    pub(super) async fn route(
        &self,
        admin: &Admin,
        name_server: &str,
    ) -> Result<(bool, ()), CliError> {
        let target = self.decision.target.as_str();
        let begun = Instant::now();
        let mut heard = false;
        loop {
            let clusters = admin.clusters_at(name_server).await;
            heard |= clusters.is_ok();
            let brokers = clusters.iter().flat_map(|clusters| &clusters.brokers);
            let mut named = brokers.filter(|broker| broker.name.as_str() == self.group.name);
            if named.any(|broker| broker.master() == Some(target)) {
                return Ok((true, ()));
            }
            let limit = if heard { CHANGE_LIMIT } else { SILENCE_LIMIT };
            if begun.elapsed() >= limit {
                let why = match clusters {
                    Err(error) if !heard => format!("it does not answer: {error}"),
                    _ => format!("not within {} s", limit.as_secs()),
                };
                return Err(CliError::failed(format!(
                    "{name_server} does not know {target} as master: {why}"
                )));
            }
            sleep(PAUSE).await;
        }
    }

    pub(super) async fn test_send(&self) -> Result<(bool, ()), CliError> {
        let producer = self
            .client
            .producer("rmq-failover", ProducerOptions::default())?;
        let queue = test_queue(&self.group.name)?;
        let deadline = Instant::now() + TEST_LIMIT;
        loop {
            let message = Message::new(self.group.name.as_str(), "rmq failover");
            match producer.send_to_queue(message, &queue).await {
                Ok(_) => return Ok((true, ())),
                Err(error) if Instant::now() >= deadline => return Err(error.into()),
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// The master that was fenced for nothing takes messages again.
    async fn restore(&self, admin: &Admin, fenced: Option<&str>, error: CliError) -> CliError {
        let Some(address) = fenced else { return error };
        let epoch = self.decision.epoch.saturating_add(1);
        let restored = match admin.promote_at(address, epoch).await {
            Err(failed) => Err(failed.to_string()),
            Ok(_) => self
                .until("the old master is back", async || {
                    let (known, _) = standing(admin, address).await.ok()?;
                    known.takes_messages().then_some(())
                })
                .await
                .map_err(|error| error.to_string()),
        };
        match restored {
            Ok(()) => CliError::new(
                error.exit(),
                format!("{error}; {address} is master as before"),
            ),
            Err(failed) => CliError::new(
                Exit::Partial,
                format!("{error}; and {address} stays fenced: {failed}"),
            ),
        }
    }

    async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> Result<T, CliError> {
        until(what, CHANGE_LIMIT, look).await
    }
}

/// The queue of the topic that each broker has under its own name, where tools may send.
pub(super) fn test_queue(broker: &str) -> Result<MessageQueue, CliError> {
    Ok(MessageQueue {
        topic: TopicName::parse(broker).map_err(CliError::failed)?,
        broker: BrokerName::stored(broker),
        queue: QueueId::new(0),
    })
}

/// Makes a broker a slave of `master` and waits until it is.
pub(super) async fn follow(
    admin: &Admin,
    address: &str,
    master: &str,
    id: i64,
) -> Result<(bool, ()), CliError> {
    let (known, own) = standing(admin, address).await?;
    let follows = known.is_slave() && known.master.as_deref() == Some(master);
    if follows && own == id {
        return Ok((false, ()));
    }
    admin.follow_at(address, master, id).await?;
    until(&format!("{address} follows"), CHANGE_LIMIT, async || {
        let (known, _) = standing(admin, address).await.ok()?;
        (known.is_slave() && known.master.as_deref() == Some(master)).then_some(())
    })
    .await?;
    Ok((true, ()))
}

/// Waits for a condition.
pub(super) async fn until<T>(
    what: &str,
    limit: Duration,
    look: impl AsyncFn() -> Option<T>,
) -> Result<T, CliError> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            return Err(CliError::new(
                Exit::Unreachable,
                format!("{what}: not within {} s", limit.as_secs()),
            ));
        }
        sleep(PAUSE).await;
    }
}
