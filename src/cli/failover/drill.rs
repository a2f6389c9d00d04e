//! `rmq failover drill`: a rehearsal. Another broker becomes master and the first one again, while messages are sent; all
//! that were acknowledged must be there in the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::decide::{Decision, Given, choose, decide};
use super::group::{Group, Kind, Loss, look};
use super::journal::Journal;
use super::members::{agreed, catch_up};
use super::promote::{Change, plan, test_queue};
use super::{Consent, Next};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Column;
use crate::client::{Client, Message, ProducerOptions, ReadFrom, ReadOptions};

/// Between two messages of the ledger.
const EVERY: Duration = Duration::from_millis(5);

/// Rehearse: change masters, change back, and prove that no acknowledged message was lost
///
/// While a replica (--to, or the one that has most) becomes master and the first master becomes it again, messages are sent to the system topic that has
/// the broker's name. In the end each one that was acknowledged is looked for. Clients of the brokers notice two short
/// gaps. Fields: broker, firstMaster, otherMaster, acknowledged, lost, longestGapMs, thereMs, backMs. Ends with 7 if a
/// message is lost, or if the brokers are not fit for a rehearsal.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq failover drill broker-a --dry-run
  rmq failover drill broker-a --yes")]
pub(super) struct Args {
    #[command(flatten)]
    next: Next,
    #[command(flatten)]
    consent: Consent,
}

const COLUMNS: &[Column] = &[
    Column::new("broker", "BROKER").name(),
    Column::new("firstMaster", "FIRST MASTER"),
    Column::new("otherMaster", "OTHER MASTER"),
    Column::new("acknowledged", "ACKNOWLEDGED").right(),
    Column::new("lost", "LOST").right(),
    Column::new("longestGapMs", "LONGEST GAP MS").right(),
    Column::new("thereMs", "THERE MS").right(),
    Column::new("backMs", "BACK MS").right(),
];

fn refuse(message: impl std::fmt::Display) -> CliError {
    CliError::new(Exit::CheckFailed, message)
}

/// What was acknowledged: place to body; and the longest time without an acknowledgement.
#[derive(Debug, Default)]
struct Ledger {
    acknowledged: BTreeMap<i64, String>,
    longest_gap: Duration,
}

/// Sends until it is told to stop.
async fn keep(client: Client, broker: String, stop: Arc<AtomicBool>) -> Result<Ledger, CliError> {
    let producer = client.producer("rmq-failover-drill", ProducerOptions::default())?;
    let queue = test_queue(&broker)?;
    let mut ledger = Ledger::default();
    let mut last = Instant::now();
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let body = format!("rmq failover drill {number}");
        let message = Message::new(broker.as_str(), body.clone());
        if let Ok(receipt) = producer.send_to_queue(message, &queue).await {
            ledger.longest_gap = ledger.longest_gap.max(last.elapsed());
            last = Instant::now();
            if let Some(before) = ledger.acknowledged.insert(receipt.queue_offset, body) {
                return Err(refuse(format!(
                    "{before:?} was acknowledged at {}, where another message stands now: it is lost",
                    receipt.queue_offset
                )));
            }
        }
        sleep(EVERY).await;
    }
    Ok(ledger)
}

/// How many messages of the ledger are not where they were acknowledged.
async fn lost(client: &Client, broker: &str, ledger: &Ledger) -> Result<usize, CliError> {
    let Some((first, _)) = ledger.acknowledged.first_key_value() else {
        return Err(refuse("not one message was acknowledged"));
    };
    let options = ReadOptions {
        from: ReadFrom::Offset(*first),
        queues: vec![0],
        ..ReadOptions::default()
    };
    let mut reader = client.reader(broker, options).await?;
    let mut found = 0;
    while let Some(message) = reader.next().await? {
        let expected = ledger.acknowledged.get(&message.queue_offset);
        if expected.is_some_and(|body| body.as_bytes() == message.body().as_ref()) {
            found += 1;
        }
    }
    Ok(ledger.acknowledged.len().saturating_sub(found))
}

/// Whether the brokers are as they should be before anything is risked.
fn fit(group: &Group) -> Result<String, CliError> {
    let name = &group.name;
    for member in &group.members {
        match &member.standing {
            Err(error) => {
                return Err(refuse(format!(
                    "{} does not answer: {error}",
                    member.address
                )));
            }
            Ok(known) if known.kind != Kind::Rmq => {
                return Err(refuse(format!("{} is Apache's", member.address)));
            }
            Ok(known) if known.is_slave() && !known.connected => {
                return Err(refuse(format!(
                    "{} is not connected to its master",
                    member.address
                )));
            }
            Ok(_) => {}
        }
    }
    let master = group
        .master()
        .ok_or_else(|| refuse(format!("{name} has no master")))?;
    Ok(master.address.clone())
}

fn decision(group: &Group, to: Option<&str>) -> Result<Decision, CliError> {
    let target = choose(group, to)?;
    if target.takes_messages() {
        return Err(refuse(format!("{} is the master", target.address)));
    }
    let decision = decide(group, target, &Loss::None, Given::default());
    match &decision.refusal {
        Some(refusal) => Err(refuse(refusal)),
        None => Ok(decision),
    }
}

/// Runs the command.
pub(super) async fn run(args: Args, client: &Client, context: &Context) -> Result<Exit, CliError> {
    let admin = client.admin();
    let group = look(&admin, &args.next.broker, &[]).await?;
    let first = fit(&group)?;
    let there = decision(&group, args.next.to.as_deref())?;
    let mut journal = plan(&group, &there, admin.name_servers());
    let question = format!(
        "make {} the master of {}, and {first} again?",
        there.target, group.name
    );
    if !agreed(&journal, args.consent, &question, context)? {
        return Ok(Exit::Ok);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut sender = tokio::task::JoinSet::new();
    sender.spawn(keep(client.clone(), group.name.clone(), Arc::clone(&stop)));
    let changed = async {
        let there_ms = change(
            client,
            context,
            &group,
            &there,
            &mut journal,
            args.next.wait,
        )
        .await?;
        catch_up(&admin, &first, &there.target, args.next.wait).await?;
        let now = look(&admin, &args.next.broker, &[]).await?;
        let back = decision(&now, Some(&first))?;
        let mut journal = plan(&now, &back, admin.name_servers());
        let back_ms = change(client, context, &now, &back, &mut journal, args.next.wait).await?;
        Ok::<_, CliError>((there_ms, back_ms))
    }
    .await;
    stop.store(true, Ordering::Relaxed);
    let ledger = match sender.join_next().await {
        Some(Ok(ledger)) => ledger?,
        Some(Err(error)) => return Err(CliError::failed(error)),
        None => Ledger::default(),
    };
    let (there_ms, back_ms) = changed.map_err(|error| {
        CliError::new(Exit::Partial, error).hint(format!(
            "rmq failover switch-back {} --to {first} puts it back",
            args.next.broker
        ))
    })?;
    let lost = lost(client, &group.name, &ledger).await?;
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    context.output.rows(
        COLUMNS,
        [json!({
            "broker": group.name,
            "firstMaster": first,
            "otherMaster": there.target,
            "acknowledged": ledger.acknowledged.len(),
            "lost": lost,
            "longestGapMs": ms(ledger.longest_gap),
            "thereMs": ms(there_ms),
            "backMs": ms(back_ms),
        })],
    )?;
    Ok(if lost == 0 {
        Exit::Ok
    } else {
        Exit::CheckFailed
    })
}

async fn change(
    client: &Client,
    context: &Context,
    group: &Group,
    decision: &Decision,
    journal: &mut Journal,
    wait: Duration,
) -> Result<Duration, CliError> {
    let change = Change {
        client,
        context,
        group,
        decision,
        members: &[],
        lose: None,
        wait,
    };
    change.run(journal).await?;
    Ok(journal.took())
}
